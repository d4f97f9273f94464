# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.orbit.rs.plugins.plugin_utils import addons
from ansible_collections.orbit.rs.plugins.plugin_utils.addons import KNOWN, Addon
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Object, OrbitError

EMPTY = {"chart": "", "repository": "", "version": "", "namespace": "", "values": {}, "api_groups": [], "app": ""}


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ({"name": "grafana"}, {}),
        ({"name": "grafana", "version": "1.0"}, {"version": "1.0"}),
        ({"name": "grafana", "repository": "https://mirror"}, {"repository": "https://mirror"}),
        ({"name": "grafana", "chart": "/a/folder"}, {"chart": "/a/folder", "version": "", "repository": ""}),
        (
            {"name": "grafana", "chart": "oci://x/y", "version": "2"},
            {"chart": "oci://x/y", "version": "2", "repository": ""},
        ),
        ({"name": "grafana", "values": {"a": 1}, "namespace": "n"}, {"values": {"a": 1}, "namespace": "n"}),
    ],
)
def test_what_is_given_wins_over_what_is_known(wish: dict[str, Any], expected: dict[str, Any]) -> None:
    found = addons.wanted({**EMPTY, **wish})
    assert {name: getattr(found, name) for name in expected} == expected
    rest = set(EMPTY) - set(expected)
    assert {name: getattr(found, name) for name in rest} == {name: getattr(KNOWN["grafana"], name) for name in rest}


def test_another_one() -> None:
    wish = {**EMPTY, "name": "mine", "chart": "x", "api_groups": ["mine.example.com"]}
    assert addons.wanted(wish) == Addon("mine", "x", "", api_groups=("mine.example.com",))


@pytest.mark.parametrize(
    ("wish", "remedy"),
    [
        ({"name": "metric-server"}, "Did you mean metrics-server?"),
        ({"name": "mine"}, "Known are metrics-server"),
        ({"name": "mine", "chart": "x"}, "needs chart, and api_groups or app"),
    ],
)
def test_refused(wish: dict[str, Any], remedy: str) -> None:
    with pytest.raises(OrbitError, match=f"the add-on {wish['name']} is not known") as error:
        addons.wanted({**EMPTY, **wish})
    assert remedy in error.value.remedy


def deployment(**labels: str) -> Object:
    return {
        "metadata": {"namespace": "x", "name": "y", "labels": {key.replace("_", "-"): v for key, v in labels.items()}}
    }


@pytest.mark.parametrize(
    ("name", "groups", "found", "says"),
    [
        ("metrics-server", {"apps"}, [], ""),
        ("metrics-server", {"metrics.k8s.io"}, [], "API group metrics.k8s.io"),
        ("metrics-server", set(), [deployment(k8s_app="metrics-server")], "Deployment x/y"),
        ("grafana", set(), [deployment(), {"metadata": {"namespace": "x", "name": "y"}}], ""),
        (
            "grafana",
            set(),
            [{"metadata": {"namespace": "x", "name": "y", "labels": {addons.NAME: "grafana"}}}],
            "Deployment x/y",
        ),
        ("cert-manager", {"certmanager.k8s.io"}, [deployment(k8s_app="")], ""),
    ],
)
def test_present(name: str, groups: set[str], found: list[Object], says: str) -> None:
    assert addons.present(KNOWN[name], groups, found) == says


def workload(kind: str, status: dict[str, int], replicas: int = 2) -> Object:
    return {"kind": kind, "metadata": {"name": "x", "generation": 3}, "spec": {"replicas": replicas}, "status": status}


@pytest.mark.parametrize(
    ("found", "unready"),
    [
        (workload("Deployment", {"observedGeneration": 3, "readyReplicas": 2, "updatedReplicas": 2}), []),
        (
            workload("Deployment", {"observedGeneration": 2, "readyReplicas": 2, "updatedReplicas": 2}),
            ["Deployment x: 2 of 2 ready"],
        ),
        (
            workload("StatefulSet", {"observedGeneration": 3, "readyReplicas": 1, "updatedReplicas": 2}),
            ["StatefulSet x: 1 of 2 ready"],
        ),
        (workload("Deployment", {"observedGeneration": 3}, 0), []),
        (workload("Deployment", {}), ["Deployment x: 0 of 2 ready"]),
        (
            workload(
                "DaemonSet",
                {"observedGeneration": 3, "numberReady": 3, "desiredNumberScheduled": 3, "updatedNumberScheduled": 3},
            ),
            [],
        ),
        (
            workload(
                "DaemonSet",
                {"observedGeneration": 3, "numberReady": 1, "desiredNumberScheduled": 3, "updatedNumberScheduled": 3},
            ),
            ["DaemonSet x: 1 of 3 ready"],
        ),
    ],
)
def test_waiting(found: Object, unready: list[str]) -> None:
    assert addons.waiting([found], []) == (unready, [])


@pytest.mark.parametrize(
    ("reason", "stuck"), [("ImagePullBackOff", True), ("CrashLoopBackOff", False), ("ContainerCreating", False)]
)
@pytest.mark.parametrize("kind", ["initContainerStatuses", "containerStatuses"])
def test_a_pod_that_waiting_does_not_help(reason: str, stuck: bool, kind: str) -> None:
    pod = {"metadata": {"name": "p"}, "status": {kind: [{"state": {"waiting": {"reason": reason, "message": "why"}}}]}}
    assert addons.waiting([], [pod]) == ([], [f"pod p: {reason}: why"] if stuck else [])
