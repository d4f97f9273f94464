# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.orbit.rs.plugins.plugin_utils import quota
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Object

POD: dict[str, Any] = {
    "containers": [
        {"name": "c", "resources": {"requests": {"cpu": "250m", "memory": "512Mi"}, "limits": {"memory": "1Gi"}}}
    ]
}
BARE: dict[str, Any] = {"containers": [{"name": "c"}]}
CLAIM: Object = {"metadata": {"name": "data"}, "spec": {"resources": {"requests": {"storage": "10Gi"}}}}
SERVICE: Object = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {},
    "spec": {"type": "LoadBalancer", "ports": [{}, {}]},
}
SET: Object = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {}}


def limits(kind: str, **fields: Any) -> list[Object]:
    return [{"metadata": {"name": "l"}, "spec": {"limits": [{"type": kind, **fields}]}}]


def found(hard: dict[str, str], used: dict[str, str] | None = None, running: int = 0, **spec: Any) -> list[str]:
    item = {
        "metadata": {"name": "q", "namespace": "ns"},
        "spec": {"hard": hard, **spec},
        "status": {"used": used or {}},
    }
    pods = [POD] * running
    claims = [(CLAIM, 3 - running)]
    return [finding.seen for finding in quota.quota_findings([SERVICE, SET], POD, 3, pods, claims, [item], "standard")]


@pytest.mark.parametrize(
    ("hard", "used", "words"),
    [
        ({"requests.cpu": "750m"}, {}, ""),
        ({"requests.cpu": "749m"}, {}, "allows requests.cpu 749m, of which 0 is used; this rollout needs 0.75 more"),
        ({"cpu": "1"}, {"cpu": "500m"}, "allows cpu 1, of which 0.5 is used"),
        ({"requests.memory": "1Gi"}, {}, "needs 1.5Gi more"),
        ({"limits.memory": "3Gi"}, {}, ""),
        ({"limits.memory": "2Gi"}, {}, "needs 3Gi more"),
        ({"pods": "2"}, {}, "allows pods 2"),
        ({"count/pods": "3"}, {"count/pods": "1"}, "allows count/pods 3"),
        ({"persistentvolumeclaims": "2"}, {}, "needs 3 more"),
        ({"requests.storage": "29Gi"}, {}, "needs 30Gi more"),
        ({"standard.storageclass.storage.k8s.io/requests.storage": "29Gi"}, {}, "needs 30Gi more"),
        ({"other.storageclass.storage.k8s.io/requests.storage": "0"}, {}, ""),
        ({"services.loadbalancers": "0"}, {}, "needs 1 more"),
        ({"services.nodeports": "1"}, {}, "needs 2 more"),
        ({"services": "0"}, {}, "needs 1 more"),
        ({"count/statefulsets.apps": "0"}, {}, "needs 1 more"),
        ({"configmaps": "0"}, {}, ""),
        ({"limits.cpu": "9"}, {}, "demands that every container states limits.cpu"),
    ],
)
def test_quota(hard: dict[str, str], used: dict[str, str], words: str) -> None:
    seen = found(hard, used)
    assert len(seen) == bool(words) and words in "".join(seen)


def test_pods_that_run_are_replaced_one_by_one() -> None:
    assert found({"requests.cpu": "750m", "pods": "3"}, {"requests.cpu": "750m", "pods": "3"}, running=3) == []
    assert found({"requests.cpu": "749m"}, {"requests.cpu": "500m"}, running=2)


@pytest.mark.parametrize(
    ("hard", "words"),
    [
        ({"requests.storage": "40Gi"}, ""),
        ({"requests.storage": "39Gi"}, "of which 30Gi is used; this rollout needs 10Gi more"),
        ({"fast.storageclass.storage.k8s.io/requests.storage": "5Gi"}, "needs 10Gi more"),
        ({"standard.storageclass.storage.k8s.io/requests.storage": "30Gi"}, ""),
    ],
)
def test_volumes_that_grow(hard: dict[str, str], words: str) -> None:
    used = {"requests.storage": "30Gi", "standard.storageclass.storage.k8s.io/requests.storage": "30Gi"}
    item = {"metadata": {"name": "q"}, "spec": {"hard": hard}, "status": {"used": used}}
    growing = [("fast", 5.0 * 2**30), ("fast", 5.0 * 2**30)]
    seen = [finding.seen for finding in quota.quota_findings([], POD, 3, [POD] * 3, [], [item], "standard", growing)]
    assert len(seen) == bool(words) and words in "".join(seen)


@pytest.mark.parametrize(
    ("spec", "counts"),
    [
        ({"scopes": ["NotTerminating", "NotBestEffort"]}, True),
        ({"scopes": ["Terminating"]}, False),
        ({"scopes": ["BestEffort"]}, False),
        (
            {
                "scopeSelector": {
                    "matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["x"]}]
                }
            },
            False,
        ),
        ({"scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "DoesNotExist"}]}}, True),
        ({"scopeSelector": {"matchExpressions": [{"scopeName": "NotTerminating", "operator": "Exists"}]}}, True),
    ],
)
def test_scopes(spec: dict[str, Any], counts: bool) -> None:
    assert bool(found({"pods": "0"}, **spec)) == counts


@pytest.mark.parametrize(
    ("pod", "item", "words"),
    [
        (POD, {"max": {"memory": "1Gi"}}, ""),
        (POD, {"max": {"memory": "512Mi"}}, "Container c has the limit memory 1Gi; the most is 512Mi"),
        (POD, {"max": {"cpu": "1"}}, "Container c has the limit no cpu; the most is 1"),
        (POD, {"min": {"cpu": "1"}}, "Container c requests cpu 250m; the least is 1"),
        (POD, {"min": {"cpu": "100m"}}, ""),
        (POD, {"maxLimitRequestRatio": {"memory": "1"}}, "more than 1 times the memory"),
        (POD, {"maxLimitRequestRatio": {"memory": "2"}}, ""),
        (BARE, {"max": {"cpu": "1"}, "default": {"cpu": "1"}, "defaultRequest": {"cpu": "1"}}, ""),
    ],
)
def test_limits_of_containers(pod: dict[str, Any], item: dict[str, Any], words: str) -> None:
    ranges = limits("Container", **item)
    seen = [finding.seen for finding in quota.limit_findings(quota.with_defaults(pod, ranges), [], ranges)]
    assert len(seen) == bool(words) and words in "".join(seen)


def test_limits_of_pods_and_claims() -> None:
    assert [item.seen for item in quota.limit_findings(POD, [CLAIM], limits("Pod", max={"memory": "2Gi"}))] == []
    (finding,) = quota.limit_findings(POD, [CLAIM], limits("Pod", max={"memory": "512Mi"}))
    assert finding.seen.startswith("A pod has the limit memory 1Gi")
    (finding,) = quota.limit_findings(POD, [CLAIM], limits("PersistentVolumeClaim", max={"storage": "5Gi"}))
    assert finding.seen.startswith("The claim data has the limit storage 10Gi; the most is 5Gi")


def test_defaults_fill_only_what_is_not_stated() -> None:
    ranges = limits("Container", default={"cpu": "1", "memory": "9Gi"}, defaultRequest={"cpu": "100m", "memory": "9Gi"})
    (container,) = quota.with_defaults(POD, ranges)["containers"]
    assert container["resources"] == {
        "requests": {"cpu": "250m", "memory": "512Mi"},
        "limits": {"cpu": "1", "memory": "1Gi"},
    }
    assert quota.with_defaults(BARE, ranges)["containers"][0]["resources"]["requests"] == {
        "cpu": "100m",
        "memory": "9Gi",
    }
