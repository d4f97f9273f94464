# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from ansible_collections.orbit.rs.plugins.plugin_utils import access
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Request, Snapshot
from ansible_collections.orbit.rs.tests.unit.plugins.plugin_utils import data

RESOURCES = {
    "v1 ConfigMap": "configmaps",
    "v1 Service": "services",
    "v1 Namespace": "namespaces",
    "policy/v1 PodDisruptionBudget": "poddisruptionbudgets",
    "apps/v1 StatefulSet": "statefulsets",
}
ALWAYS = {"list pods", "list persistentvolumeclaims", "list events", "get pods/log"}
ALWAYS |= {"get pods/portforward", "create pods/portforward"}
CHANGE = {f"{verb} secrets" for verb in ("get", "list", "create", "update", "delete")}
CHANGE |= {f"{verb} leases" for verb in ("get", "create", "update", "patch")}
CHANGE |= {f"{verb} configmaps" for verb in ("get", "create", "patch")}
CHANGE |= {"patch statefulsets", "delete pods"}


def asked(snapshot: Snapshot, **fields: Any) -> set[str]:
    desired = dataclasses.replace(data.wanted(), **fields)
    return {f"{item.verb} {item.resource}" for item in access.needed(desired, snapshot, RESOURCES)}


def test_a_run_without_a_difference_only_watches_and_gates() -> None:
    assert asked(data.deployed()) == ALWAYS


def test_an_install_creates() -> None:
    created = {f"create {name}" for name in RESOURCES.values()} | {"patch namespaces"}
    assert asked(data.EMPTY) == ALWAYS | CHANGE | created


def test_a_change_patches_and_deletes() -> None:
    live = data.deployed()
    objs = [obj for obj in data.rendered() if obj["kind"] != "ConfigMap"]
    patched = {"patch services", "patch statefulsets", "patch poddisruptionbudgets"}
    assert asked(live, objects=tuple(objs)) == ALWAYS | CHANGE | patched | {"delete configmaps"}


def test_larger_volumes_need_more() -> None:
    objs = data.change(
        data.rendered(), data.STATEFULSET, "spec|volumeClaimTemplates|0|spec|resources|requests|storage", "20Gi"
    )
    more = {"get persistentvolumeclaims", "patch persistentvolumeclaims"}
    more |= {f"{verb} statefulsets" for verb in ("get", "create", "delete")}
    assert more & asked(data.deployed()) == set()
    assert asked(data.deployed(), objects=objs) >= more


def test_what_is_missing_or_changed_in_the_cluster_is_made_again() -> None:
    missing = data.deployed(live=[obj for obj in data.rendered() if obj["kind"] != "ConfigMap"])
    assert "create configmaps" in asked(missing)
    assert asked(data.deployed(status="failed")) >= CHANGE


def test_the_platform_is_patched_where_it_differs() -> None:
    labelled = {**data.NAMESPACE, "metadata": {"name": "orbit-rs", "labels": {"a": "b"}}}
    assert asked(data.deployed(), platform=(labelled,)) == ALWAYS | {"patch namespaces"}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}, True),
        ({"verbs": ["create"], "apiGroups": [""], "resources": ["pods/portforward"]}, True),
        ({"verbs": ["create"], "apiGroups": [""], "resources": ["*/portforward"]}, True),
        ({"verbs": ["create"], "apiGroups": [""], "resources": ["pods"]}, False),
        ({"verbs": ["get"], "apiGroups": [""], "resources": ["pods/portforward"]}, False),
        ({"verbs": ["create"], "apiGroups": ["apps"], "resources": ["*"]}, False),
        ({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "resourceNames": ["x"]}, False),
    ],
)
def test_rules(rule: dict[str, Any], expected: bool) -> None:
    forward = Request("create", "pods/portforward", "", "orbit-rs")
    assert access.covered(forward, [rule], "orbit-rs") == expected
    assert not access.covered(Request("create", "namespaces"), [rule], "orbit-rs"), "of the cluster: rules cannot tell"


def test_a_review_asks_about_the_subresource() -> None:
    attributes = access.review(Request("create", "pods/portforward", "", "a"))["spec"]["resourceAttributes"]
    assert attributes == {"verb": "create", "resource": "pods", "subresource": "portforward", "namespace": "a"}
    assert access.review(Request("patch", "namespaces"))["spec"]["resourceAttributes"] == {
        "verb": "patch",
        "resource": "namespaces",
    }


def test_one_finding_for_each_resource_names_every_verb() -> None:
    forbidden = [
        *(Request(verb, "secrets", "", "a") for verb in ("get", "create", "update")),
        Request("create", "pods/portforward", "", "a"),
        Request("create", "storageclasses", "storage.k8s.io"),
    ]
    first, second, third = access.findings(forbidden)
    assert "may not get, create and update secrets in namespace a;" in first.seen
    assert second.remedy.endswith("kubectl auth can-i create pods/portforward -n a")
    assert third.remedy.endswith("kubectl auth can-i create storageclasses.storage.k8s.io")
