# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import dataclasses
import datetime
from typing import Any

import pytest
from ansible_collections.orbit.rs.plugins.plugin_utils import lock, preflight
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Desired, Finding, Object, Release, Request, Snapshot
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
PORTS = f"{POD}|containers|0|ports"
NAMED = [{"name": "grpc", "containerPort": 50051}, {"name": "http", "containerPort": 8080}]
CPU = f"{POD}|containers|0|resources|requests|cpu"
CLASS = "spec|volumeClaimTemplates|0|spec|storageClassName"
THREE_NODES = (data.node("a", "z1"), data.node("b", "z2"), data.node("c", "z3"))
REBUILT = {
    "metadata": {
        "annotations": {lock.UNFINISHED: '{"resume": "restore", "phase": "rebuilt"}'},
        "creationTimestamp": "2026-01-01T00:00:00Z",
    },
    "spec": {},
}
INFO = ("info", "replicas")
INDEPENDENT = ("warning", "replicas")

SPREAD_HOSTS = (SPREAD[0], [{**SPREAD[1][0], "topologyKey": preflight.HOSTNAME, "maxSkew": 1}])


def bound(places: dict[int, tuple[str, str]]) -> dict[str, Any]:
    """Claims of three ordinals, with the label of nodes that the volumes of some are tied to."""
    claims, volumes = [], {}
    for ordinal in range(3):
        claims.append({**data.claim(ordinal), "spec": {"volumeName": f"pv-{ordinal}"}})
        key, value = places.get(ordinal, ("", ""))
        match = {"matchExpressions": [{"key": key, "operator": "In", "values": [value]}]}
        affinity = {"nodeAffinity": {"required": {"nodeSelectorTerms": [match]}}} if key else {}
        volumes[f"PersistentVolume/pv-{ordinal}"] = {"metadata": {"name": f"pv-{ordinal}"}, "spec": affinity}
    return {"claims": tuple(claims), "objects": volumes}


def zonal(*zones: str) -> Object:
    term = {"matchLabelExpressions": [{"key": preflight.ZONE, "values": list(zones)}]}
    return {**data.storage_class("zonal", default=True), "allowedTopologies": [term]}


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
        [("warning", "permission")],
        "list nodes; list persistentvolumeclaims -n orbit-rs; get storageclass/fast; get configmap/x -n orbit-rs;",
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
        "as many pods as a node runs",
        [],
        {
            **nodes(data.change((data.node("a"),), "a", "status|allocatable|pods", "10")[0]),
            "requested": {"a": {"pods": 10.0}},
        },
        [("info", "nodes"), ("error", "capacity")],
        "the pods that run there leave too little",
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
    (
        "as many zones, and one is full",
        [THREE, ANTI],
        {"requested": {"b": {"cpu": 4.0}}},
        [("warning", "capacity"), INDEPENDENT],
        "not where they may run; anti-affinity over topology.kubernetes.io/zone allows 1 each: 1 pod would",
    ),
    ("spread", [THREE, SPREAD_HOSTS], {}, [INDEPENDENT], ""),
    (
        "spread over a place that nobody tolerates",
        [("spec|replicas", 6), SPREAD_HOSTS],
        nodes(*THREE_NODES, data.node("d", taints=[TAINT])),
        [("warning", "zones"), INDEPENDENT],
        "allows 1 for each of a, b, c",
    ),
    (
        "spread that does not count it",
        [("spec|replicas", 6), (SPREAD[0], [{**SPREAD_HOSTS[1][0], "nodeTaintsPolicy": "Honor"}])],
        nodes(*THREE_NODES, data.node("d", taints=[TAINT])),
        [INDEPENDENT],
        "",
    ),
    (
        "volume on a node that is gone",
        [THREE],
        {**bound({1: ("kubernetes.io/hostname", "x")}), **release("deployed")},
        [("warning", "volumes"), INFO],
        "The volume of orbit-server-1 is tied to node x, where no node can take the pod",
    ),
    (
        "volumes in a zone that is full",
        [THREE],
        {**bound({0: (preflight.ZONE, "z1")}), **release("deployed"), "requested": {"a": {"cpu": 4.0}}},
        [("warning", "capacity"), INFO],
        "volumes are tied to zone z1: 1 pod would stay Pending",
    ),
    (
        "volumes where there is room",
        [THREE],
        {**bound({0: (preflight.ZONE, "z1"), 1: (preflight.ZONE, "z1")}), **release("deployed")},
        [INFO],
        "",
    ),
    (
        "class of another zone",
        [],
        classes(zonal("z9")),
        [("error", "storage class")],
        "makes volumes in places only (allowedTopologies) where no node can take orbit-server-0",
    ),
    ("class of one zone", [THREE], classes(zonal("z1")), [("warning", "zones"), INDEPENDENT], "in zone z1 only"),
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
        [("warning", "default class")],
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
    ("just restored", [], {"claims": (data.claim(0),), "lease": REBUILT}, [], ""),
    ("claims of the release", [], {"claims": (data.claim(0),), **release("deployed")}, [], ""),
    ("independent", [THREE], {}, [INDEPENDENT], "3 independent databases"),
    ("independent, known", [THREE], release("deployed"), [INFO], "nothing is replicated"),
    ("tag", [(f"{POD}|containers|0|image", "a/b:v1")], {}, [("info", "image")], "has no digest"),
    ("latest", [(f"{POD}|containers|0|image", "a:5000/b")], {}, [("info", "image")], "moving tag latest"),
    ("name too long", [("metadata|name", "x" * 53)], {}, [("error", "names")], "allow 52"),
    ("name just right", [("metadata|name", "x" * 52)], {}, [], ""),
    (
        "ports of the pod",
        [(PORTS, [*NAMED, {"name": "b", "containerPort": 50051}])],
        {},
        [("error", "ports")],
        "TCP port 50051 more than once: grpc, b",
    ),
    (
        "port names of the pod",
        [(PORTS, [*NAMED, {"name": "grpc", "containerPort": 1}])],
        {},
        [("error", "ports")],
        "more than one port named grpc",
    ),
    (
        "port name that Kubernetes does not take",
        [(PORTS, [*NAMED, {"name": "a-much-too-long-name", "containerPort": 1}])],
        {},
        [("error", "ports")],
        "at most 15 lower case letters",
    ),
    (
        "service to a port that is not there",
        [(PORTS, NAMED[:1])],
        {},
        [("error", "ports")],
        "orbit-server-headless forwards to the port http",
    ),
    (
        "same number, other protocol",
        [(PORTS, [*NAMED, {"containerPort": 50051, "protocol": "UDP"}])],
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


@pytest.mark.parametrize(
    ("versions", "expected", "words"),
    [
        ({"ansible-core": "2.21.5", "kubernetes.core": "6.6.0"}, [], ""),
        ({"ansible-core": "2.19.0", "kubernetes.core": "6.5.0"}, [], ""),
        ({"ansible-core": "2.18.9", "kubernetes.core": "6.6.0"}, ["ansible-core version"], "at least 2.19"),
        (
            {"ansible-core": "2.21.5", "kubernetes.core": "6.2.0"},
            ["kubernetes.core version"],
            "'kubernetes.core:>=6.5.0'",
        ),
        ({"ansible-core": "2.21.5"}, ["kubernetes.core version"], "is not installed"),
    ],
)
def test_what_runs_the_playbook(versions: dict[str, str], expected: list[str], words: str) -> None:
    result = found(sts(), cluster(controller=versions))
    assert [item.check for item in result] == expected
    assert words in "".join(f"{item.seen} {item.remedy}" for item in result)


def more(*added: Object, **fields: Any) -> list[Finding]:
    """Findings about a release that renders these objects as well."""
    objs = [{**obj, "metadata": {"namespace": "orbit-rs", "name": "x", **obj.get("metadata", {})}} for obj in added]
    return found(data.wanted((*sts().objects, *objs)), cluster(**fields))


SCALER = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "spec": {"minReplicas": 1}}
METRICS = {"metrics.k8s.io/v1beta1": ()}


def test_an_autoscaler_needs_metrics_and_room_in_the_budget() -> None:
    assert data.checks(more(SCALER)) == [("error", "metrics")]
    assert more(SCALER, lists=METRICS) == []
    external = {**SCALER, "spec": {"metrics": [{"type": "External"}]}}
    assert "external.metrics.k8s.io/v1beta1" in more(external, lists=METRICS)[0].seen
    assert preflight.lists(data.wanted((SCALER,))) == {"metrics.k8s.io/v1beta1": "/apis/metrics.k8s.io/v1beta1"}
    assert preflight.lists(sts()) == {}


def test_a_node_port_that_is_taken() -> None:
    service = {"apiVersion": "v1", "kind": "Service", "spec": {"ports": [{"port": 1, "nodePort": 30000}]}}
    other = {"metadata": {"namespace": "a", "name": "b"}, "spec": {"ports": [{"port": 9, "nodePort": 30000}]}}
    taken = {"services of all namespaces": (other,)}
    (finding,) = more(service, lists=taken)
    assert (finding.severity, "which Service b in namespace a has" in finding.seen) == ("error", True)
    own = {**other, "metadata": {"namespace": "orbit-rs", "name": "x"}}
    assert more(service, lists={"services of all namespaces": (own,)}) == []
    assert preflight.lists(data.wanted((service,))) == {"services of all namespaces": "/api/v1/services"}
    twice = {
        **service,
        "spec": {"ports": [{"name": "a", "port": 1, "nodePort": 30000}, {"name": "b", "port": 2, "nodePort": 30000}]},
    }
    assert data.checks(more(twice)) == [("error", "ports")]


def test_an_ingress_that_nobody_serves() -> None:
    ingress = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "spec": {}}
    nginx = {"metadata": {"name": "nginx"}}
    default = {"metadata": {"name": "n", "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}}}
    assert data.checks(more(ingress, lists={"ingress classes": (nginx,)})) == [("warning", "references")]
    assert more(ingress, lists={"ingress classes": (nginx, default)}) == []
    assert "ingress classes" in preflight.lists(data.wanted(({**ingress, "metadata": {"name": "x"}},)))
    named = {**ingress, "spec": {"ingressClassName": "nginx"}}
    assert data.checks(more(named)) == [("warning", "references")]
    assert more(named, objects={"IngressClass/nginx": nginx}) == []


def test_pods_that_the_namespace_would_refuse() -> None:
    rootful = sts((f"{POD}|containers|0|securityContext", {}))
    (finding,) = found(rootful, data.EMPTY)
    assert (finding.severity, finding.check) == ("error", "pod security")
    assert (
        "container orbit-server lacks allowPrivilegeEscalation: false; container orbit-server does not drop"
        in finding.seen
    )
    unlabelled = dataclasses.replace(rootful, platform=())
    assert found(unlabelled, cluster(namespace=namespace())) == []


def test_a_driver_that_is_not_installed() -> None:
    disk = {**data.storage_class("fast", True), "provisioner": "ebs.csi.aws.com"}
    (finding,) = found(sts(), cluster(**classes(disk)))
    assert finding.seen == "CSIDriver ebs.csi.aws.com does not exist; StorageClass fast refers to it."
    there = {"CSIDriver/ebs.csi.aws.com": {}}
    assert found(sts(), cluster(**classes(disk), objects=there)) == []
    assert found(sts(), cluster(**classes(disk), claims=(data.claim(0),), **release("deployed"))) == []


def test_volumes_made_by_hand() -> None:
    desired = sts(THREE, (CLASS, ""))
    volume = {"spec": {"capacity": {"storage": "10Gi"}}, "status": {"phase": "Available"}}
    small = {**volume, "spec": {"capacity": {"storage": "9Gi"}}}
    errors = [item for item in found(desired, cluster(lists={"volumes": (volume, small)})) if item.severity == "error"]
    assert errors[0].seen.startswith("3 claims of data need volumes made by hand")
    assert not [item for item in found(desired, cluster(lists={"volumes": (volume,) * 3})) if item.severity == "error"]
    assert preflight.lists(desired) == {"volumes": "/api/v1/persistentvolumes"}


def test_a_volume_that_is_too_small_for_its_provider() -> None:
    disk = {**data.storage_class("d", True), "provisioner": "pd.csi.storage.gke.io"}
    disk["parameters"] = {"type": "hyperdisk-balanced"}
    objs = data.change(
        sts().objects, data.STATEFULSET, "spec|volumeClaimTemplates|0|spec|resources|requests|storage", "2Gi"
    )
    there = {"CSIDriver/pd.csi.storage.gke.io": {}}
    (finding,) = found(data.wanted(objs), cluster(**classes(disk), objects=there))
    assert "makes volumes of 4Gi and more" in finding.seen


def test_attributes_of_volumes() -> None:
    objs = data.change(
        sts().objects, data.STATEFULSET, "spec|volumeClaimTemplates|0|spec|volumeAttributesClassName", "gold"
    )
    desired = data.wanted(objs)
    asked = preflight.lists(desired)
    assert list(asked.values()) == ["/apis/storage.k8s.io/v1/volumeattributesclasses"]
    gold = ({"metadata": {"name": "gold"}, "driverName": "x"},)

    def said(**more: Any) -> list[str]:
        return [item.seen for item in found(desired, cluster(**more)) if item.check == "volume attributes"]

    (seen,) = said()
    assert "does not serve VolumeAttributesClass" in seen
    there = dict.fromkeys(asked, gold)
    assert said(lists=there) == []  # the default class of this cluster is of the driver x
    claim = data.claim(0)
    claim["spec"]["volumeName"] = "pv-0"
    volume = {"PersistentVolume/pv-0": {"spec": {"hostPath": {"path": "/a"}}}}
    (seen,) = said(lists=there, claims=(claim,), objects=volume, **release("deployed"))
    assert "the volumes are of no driver" in seen
    assert said(denied=tuple(asked)) == []


def test_larger_volumes_need_room_in_a_quota() -> None:
    live = data.deployed()
    quota = {"metadata": {"name": "q"}, "spec": {"hard": {"requests.storage": "40Gi"}}}
    live = dataclasses.replace(live, quotas=({**quota, "status": {"used": {"requests.storage": "30Gi"}}},))
    objs = data.change(
        data.rendered(), data.STATEFULSET, "spec|volumeClaimTemplates|0|spec|resources|requests|storage", "20Gi"
    )
    assert "this rollout needs 30Gi more" in "".join(item.seen for item in found(data.wanted(objs), live))
    fixed = {**data.storage_class("standard", True), "allowVolumeExpansion": False}  # the plan says that it cannot grow
    live = dataclasses.replace(live, storage_classes=(fixed,))
    assert "quota" not in {item.check for item in found(data.wanted(objs), live)}


def test_what_the_account_may_not_do() -> None:
    refused = (
        Request("create", "statefulsets", "apps", "orbit-rs"),
        Request("patch", "statefulsets", "apps", "orbit-rs"),
    )
    (finding,) = found(sts(), cluster(forbidden=refused))
    assert (finding.severity, finding.check) == ("error", "permission")
    assert "may not create and patch statefulsets.apps in namespace orbit-rs" in finding.seen


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
