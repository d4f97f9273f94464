# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import dataclasses
import datetime
from typing import Any

import pytest
from ansible_collections.orbit.rs.plugins.plugin_utils import preflight
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Desired, Finding, Object, Release, Snapshot
from ansible_collections.orbit.rs.tests.unit.plugins.plugin_utils import data

TODAY = datetime.date(2026, 11, 24)
POD = "spec|template|spec"
DIGEST = f"orbit-rs/orbit-server:v0.1.0@sha256:{'0' * 64}"
BUDGET = "PodDisruptionBudget/orbit-rs/orbit-server"


def sts(*edits: tuple[str, Any]) -> Desired:
    """A desired state that nothing can be said against, with some fields of the StatefulSet set."""
    objs = data.change(data.rendered(), data.STATEFULSET, f"{POD}|containers|0|image", DIGEST)
    for path, value in (("spec|replicas", 1), *edits):
        objs = data.change(objs, data.STATEFULSET, path, value)
    return data.wanted(objs)


def cluster(**fields: Any) -> Snapshot:
    return dataclasses.replace(data.EMPTY, **fields)


def found(desired: Desired, snapshot: Snapshot, today: datetime.date = TODAY) -> list[Finding]:
    return preflight.findings(desired, snapshot, today)


def test_nothing_to_say() -> None:
    assert found(sts(), data.EMPTY) == []


def namespace(**status: Any) -> Object:
    return {"metadata": {"name": "orbit-rs", **status.pop("metadata", {})}, "status": status}


def nodes(*items: Object) -> dict[str, Any]:
    return {"nodes": items}


def classes(*items: Object) -> dict[str, Any]:
    return {"storage_classes": items}


def release(status: str, deployed: int = 0, chart: str = "orbit-rs-0.0.9") -> dict[str, Any]:
    return {"release": dataclasses.replace(data.stored((), status, 7, deployed), chart=chart)}


THREE = ("spec|replicas", 3)
TAINT = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}
ANTI = (
    f"{POD}|affinity|podAntiAffinity|requiredDuringSchedulingIgnoredDuringExecution",
    [{"labelSelector": {"matchLabels": {"app.kubernetes.io/name": "orbit-rs"}}, "topologyKey": preflight.ZONE}],
)
NO_LABEL = (ANTI[0], [{**ANTI[1][0], "topologyKey": "rack"}])
SPREAD = (f"{POD}|topologySpreadConstraints", [{"topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule"}])
CPU = f"{POD}|containers|0|resources|requests|cpu"
CLASS = "spec|volumeClaimTemplates|0|spec|storageClassName"
THREE_NODES = (data.node("a", "z1"), data.node("b", "z2"), data.node("c", "z3"))
INFO = ("info", "replicas")
INDEPENDENT = ("warning", "replicas")

ROWS: list[tuple[str, list[tuple[str, Any]], dict[str, Any], list[tuple[str, str]], str]] = [
    # name, edits of the StatefulSet, fields of the snapshot, findings, words among them
    ("too old", [], {"kubernetes": "v1.23.17"}, [("error", "kubernetes version")], "at least 1.24"),
    ("oldest", [], {"kubernetes": "v1.24.0"}, [("warning", "kubernetes version")], "long out of upstream support"),
    ("ended", [], {"kubernetes": "v1.34.4-gke.1"}, [("warning", "kubernetes version")], "since 2026-10-27"),
    ("supported", [], {"kubernetes": "v1.35.4+k3s1"}, [], ""),
    ("newer than the table", [], {"kubernetes": "v1.99.0"}, [], ""),
    ("helm too old", [], {"helm": "v3.11.3"}, [("error", "helm version")], "at least 3.12"),
    ("helm 3", [], {"helm": "v3.22.0"}, [("warning", "helm version")], "ends on 2027-02-10"),
    (
        "pending",
        [],
        release("pending-upgrade", 6),
        [("error", "release status")],
        "helm rollback orbit-rs 6 -n orbit-rs",
    ),
    ("first pending", [], release("pending-install"), [("error", "release status")], "helm uninstall orbit-rs"),
    ("failed", [], release("failed"), [("warning", "release status")], "Revision 7 of orbit-rs has failed"),
    ("deployed", [], release("deployed"), [], ""),
    (
        "other chart",
        [],
        release("deployed", chart="redis-1.2.3"),
        [("error", "release chart")],
        "orbit_rs_release",
    ),
    ("same chart", [], release("deployed", chart="orbit-rs-1.2.3-rc.1"), [], ""),
    ("terminating", [], {"namespace": namespace(phase="Terminating")}, [("error", "namespace")], "being deleted"),
    (
        "terminating and why",
        [],
        {
            "namespace": namespace(
                metadata={"deletionTimestamp": "x"}, conditions=[{"status": "True", "message": "finalizers remain"}]
            )
        },
        [("error", "namespace")],
        "finalizers remain",
    ),
    (
        "denied",
        [],
        {"nodes": None, "denied": ("nodes", "claims", "StorageClass/fast", "ConfigMap/orbit-rs/x")},
        [("warning", "permission")] * 4,
        "kubectl auth can-i list nodes",
    ),
    (
        "denied object",
        [],
        {"denied": ("ConfigMap/orbit-rs/x",)},
        [("warning", "permission")],
        "get configmap/x -n orbit-rs",
    ),
    ("two nodes", [], nodes(*THREE_NODES[:2]), [("info", "nodes")], "2 nodes can take pods"),
    ("two nodes for three", [THREE], nodes(*THREE_NODES[:2]), [("warning", "nodes"), INDEPENDENT], "2 nodes can take"),
    (
        "not ready",
        [],
        nodes(
            *THREE_NODES, {"metadata": {"name": "d"}, "status": {"conditions": [{"type": "Ready", "status": "False"}]}}
        ),
        [("warning", "nodes")],
        "kubectl describe node d",
    ),
    ("small", [], nodes(*THREE_NODES, data.node("d", cpu="1")), [("info", "nodes")], "Smaller than the 2 CPU"),
    ("cordoned", [], nodes(*THREE_NODES[:2], data.node("c", unschedulable=True)), [("info", "nodes")], "2 nodes"),
    ("tainted", [], nodes(*THREE_NODES[:2], data.node("c", taints=[TAINT])), [("info", "nodes")], "2 nodes"),
    (
        "tolerated",
        [(f"{POD}|tolerations", [{"operator": "Exists"}])],
        nodes(*THREE_NODES[:2], data.node("c", taints=[TAINT])),
        [],
        "",
    ),
    ("not selected", [(f"{POD}|nodeSelector", {"disk": "ssd"})], {}, [("error", "capacity")], "None of 3 nodes"),
    ("too big for any", [(CPU, "5")], {}, [("error", "capacity")], "even an empty one is too small"),
    (
        "all taken",
        [],
        {"requested": {name: {"cpu": 3.9} for name in "abc"}},
        [("error", "capacity")],
        "the pods that run there leave too little",
    ),
    (
        "not all fit",
        [THREE],
        {"requested": {"a": {"cpu": 4.0}, "b": {"cpu": 4.0}, "c": {"cpu": 3.5}}},
        [("warning", "capacity"), INDEPENDENT],
        "room for 2 of 3 ordinals of cpu 0.25, memory 512Mi: 1 pod would stay Pending",
    ),
    (
        "own pods make room",
        [(CPU, "2")],
        {
            **nodes(*THREE_NODES[:1]),
            "requested": {"a": {"cpu": 4.0}},
            "pods": (data.pod(0, nodeName="a", containers=[{"resources": {"requests": {"cpu": "2"}}}]),),
        },
        [("info", "nodes")],
        "",
    ),
    (
        "one zone",
        [THREE],
        nodes(*(data.node(name, "z1") for name in "abc")),
        [("warning", "zones"), INDEPENDENT],
        "one zone, z1",
    ),
    ("no zone", [THREE], nodes(*map(data.node, "abc")), [("info", "zones"), INDEPENDENT], "No node names its zone"),
    (
        "more ordinals than zones",
        [("spec|replicas", 5), ANTI],
        {},
        [("warning", "zones"), INDEPENDENT],
        "2 pods of 5 would stay Pending",
    ),
    ("as many zones", [THREE, ANTI], {}, [INDEPENDENT], ""),
    ("label of nobody", [THREE, NO_LABEL], {}, [("warning", "zones"), INDEPENDENT], "spreads nothing"),
    (
        "must spread over nothing",
        [THREE, SPREAD],
        {},
        [("error", "zones"), INDEPENDENT],
        "all of them would stay Pending",
    ),
    ("no class", [], classes(), [("error", "storage class")], "there are: none"),
    ("no default", [], classes(data.storage_class("a"), data.storage_class("b")), [("error", "storage class")], "a, b"),
    (
        "no default, volumes there",
        [],
        {**classes(data.storage_class("a")), "claims": (data.claim(0),), **release("deployed")},
        [("warning", "storage class")],
        "none is the default",
    ),
    (
        "two defaults",
        [],
        classes(data.storage_class("a", True), data.storage_class("b", True)),
        [("warning", "storage class")],
        "kubectl annotate storageclass",
    ),
    ("class missing", [(CLASS, "fast")], {}, [("error", "storage class")], "fast does not exist; there are: standard"),
    ("class there", [(CLASS, "standard")], {}, [], ""),
    ("class by hand", [(CLASS, "")], classes(), [], ""),
    (
        "binds at once",
        [],
        classes(data.storage_class("a", True, "Immediate")),
        [("warning", "storage class")],
        "WaitForFirstConsumer",
    ),
    ("earlier life", [], {"claims": (data.claim(0),)}, [("warning", "volumes")], "data-orbit-server-0"),
    ("claims of the release", [], {"claims": (data.claim(0),), **release("deployed")}, [], ""),
    ("independent", [THREE], {}, [INDEPENDENT], "3 independent databases"),
    ("independent, known", [THREE], release("deployed"), [INFO], "nothing is replicated"),
    ("tag", [(f"{POD}|containers|0|image", "a/b:v1")], {}, [("info", "image")], "has no digest"),
    ("latest", [(f"{POD}|containers|0|image", "a:5000/b")], {}, [("info", "image")], "moving tag latest"),
    ("name too long", [("metadata|name", "x" * 53)], {}, [("error", "names")], "allow 52"),
    ("name just right", [("metadata|name", "x" * 52)], {}, [], ""),
    (
        "ports of the pod",
        [(f"{POD}|containers|0|ports", [{"name": "a", "containerPort": 1}, {"name": "b", "containerPort": 1}])],
        {},
        [("error", "ports")],
        "TCP port 1 more than once: a, b",
    ),
    (
        "same number, other protocol",
        [(f"{POD}|containers|0|ports", [{"containerPort": 1}, {"containerPort": 1, "protocol": "UDP"}])],
        {},
        [],
        "",
    ),
]


@pytest.mark.parametrize(
    ("edits", "fields", "expected", "words"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS]
)
def test_findings(edits: list[tuple[str, Any]], fields: dict[str, Any], expected: Any, words: str) -> None:
    result = found(sts(*edits), cluster(**fields))
    assert data.checks(result) == expected
    assert words in "\n".join(f"{finding.seen} {finding.remedy}" for finding in result)
    assert all(finding.remedy for finding in result)


def test_support_ends_with_time() -> None:
    assert found(sts(), cluster(kubernetes="v1.35.4"), datetime.date(2027, 3, 1))[0].check == "kubernetes version"
    helm = found(sts(), cluster(helm="v3.22.0"), datetime.date(2027, 3, 1))
    assert "ended on 2027-02-10" in helm[0].seen
    assert "newest" in found(sts(), cluster(kubernetes="v1.35.4"), datetime.date(2030, 1, 1))[0].remedy


@pytest.mark.parametrize(
    ("replicas", "spec", "expected"),
    [
        (3, {"maxUnavailable": 1}, False),
        (3, {"minAvailable": 2}, False),
        (2, {"minAvailable": 2}, True),
        (1, {"minAvailable": 2}, True),
        (3, {"minAvailable": "67%"}, True),
        (3, {"minAvailable": "66%"}, False),
        (3, {"maxUnavailable": 0}, True),
        (3, {"maxUnavailable": "0%"}, True),
        (3, {"maxUnavailable": "1%"}, False),
    ],
)
def test_a_budget_that_blocks_every_drain(replicas: int, spec: dict[str, Any], expected: bool) -> None:
    selector = {"selector": {"matchLabels": data.LABELS}}
    objs = data.change(sts(("spec|replicas", replicas)).objects, BUDGET, "spec", {**spec, **selector})
    errors = [item for item in found(data.wanted(objs), data.EMPTY) if item.severity == "error"]
    assert [item.check for item in errors] == ["disruption budget"] * expected


@pytest.mark.parametrize(
    ("release_name", "expected"),
    [("orbit-rs", []), ("x" * 54, ["names"]), ("Orbit", ["names"]), ("-x", ["names"]), ("a.b", [])],
)
def test_release_names(release_name: str, expected: list[str]) -> None:
    desired = dataclasses.replace(sts(), release=Release(release_name, "orbit-rs"))
    assert [item.check for item in found(desired, data.EMPTY)] == expected


def test_a_namespace_that_nobody_makes() -> None:
    desired = dataclasses.replace(sts(), platform=())
    assert data.checks(found(desired, data.EMPTY)) == [("error", "namespace")]
    assert found(desired, cluster(namespace=namespace())) == []


def test_a_class_that_the_platform_makes_is_there() -> None:
    fast = {**data.storage_class("fast"), "kind": "StorageClass"}
    desired = dataclasses.replace(sts((CLASS, "fast")), platform=(data.NAMESPACE, fast))
    assert found(desired, data.EMPTY) == []


def test_ports_of_a_service() -> None:
    ports = [{"name": "a", "port": 1}, {"name": "b", "port": 1}]
    objs = data.change(sts().objects, "Service/orbit-rs/orbit-server-headless", "spec|ports", ports)
    assert data.checks(found(data.wanted(objs), data.EMPTY)) == [("error", "ports")]


def test_all_findings_at_once() -> None:
    snapshot = cluster(kubernetes="v1.20.0", helm="v3.0.0", nodes=(), storage_classes=())
    assert len([item for item in found(sts(), snapshot) if item.severity == "error"]) == 4


@pytest.mark.parametrize(
    ("expression", "matches"),
    [
        ({"key": "disk", "operator": "In", "values": ["ssd"]}, True),
        ({"key": "disk", "operator": "In", "values": ["hdd"]}, False),
        ({"key": "disk", "operator": "NotIn", "values": ["ssd"]}, False),
        ({"key": "disk", "operator": "Exists"}, True),
        ({"key": "disk", "operator": "DoesNotExist"}, False),
        ({"key": "gen", "operator": "Gt", "values": ["1"]}, True),
    ],
)
def test_node_affinity(expression: dict[str, Any], matches: bool) -> None:
    node = data.node("a", "z1")
    node["metadata"]["labels"]["disk"] = "ssd"
    terms = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    path = f"{POD}|affinity|nodeAffinity|requiredDuringSchedulingIgnoredDuringExecution"
    result = found(sts((path, terms)), cluster(nodes=(node,)))
    assert [item.check for item in result] == ["nodes" if matches else "capacity"]


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        ("a", ("a", "", "")),
        ("a:v1", ("a", "v1", "")),
        ("host:5000/a", ("host:5000/a", "", "")),
        ("host:5000/a:v1@sha256:00", ("host:5000/a", "v1", "sha256:00")),
        ("a@sha256:00", ("a", "", "sha256:00")),
    ],
)
def test_image(reference: str, parts: tuple[str, str, str]) -> None:
    assert preflight.image(reference) == parts
