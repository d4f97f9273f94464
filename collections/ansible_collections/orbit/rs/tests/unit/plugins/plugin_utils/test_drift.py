# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import copy
import dataclasses
import json
from typing import Any

import pytest
from ansible_collections.orbit.rs.plugins.plugin_utils import drift, objects
from ansible_collections.orbit.rs.plugins.plugin_utils.drift import Drift, find
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Object, Snapshot
from ansible_collections.orbit.rs.tests.unit.plugins.plugin_utils import data

CONFIG = "ConfigMap/orbit-rs/orbit-server-config"
SERVICE = "Service/orbit-rs/orbit-server-headless"
BUDGET = "PodDisruptionBudget/orbit-rs/orbit-server"
CONTAINER = "spec|template|spec|containers|0"
K_CONTAINER = 'k:{"name":"orbit-server"}'


def managed(fields: Any, manager: str = "kubectl-edit", **more: str) -> Object:
    return {"manager": manager, "operation": "Update", "time": "2026-11-24T16:00:00Z", "fieldsV1": fields, **more}


def edited(name: str, path: str, value: Any, fields: Any = None, **more: str) -> Snapshot:
    """A deployed release in which somebody has given one field of one live object another value."""
    snapshot = data.deployed()
    (live,) = data.change([snapshot.objects[name]], name, path, value)
    if fields:
        live["metadata"]["managedFields"] = [managed({}, "helm"), managed(fields, **more)]
    return dataclasses.replace(snapshot, objects={**snapshot.objects, name: live})


def lines(found: Drift) -> list[tuple[str, str, str]]:
    return [(item.risk, item.difference.object, item.difference.path) for item in found.items]


def test_a_release_as_it_was_deployed_has_no_drift() -> None:
    assert find(data.wanted(), data.deployed()) == Drift((), (), ())


@pytest.mark.parametrize(
    ("name", "path", "value", "risk", "shown"),
    [
        (data.STATEFULSET, "spec|replicas", 4, "unsafe", "spec.replicas"),
        (data.STATEFULSET, f"{CONTAINER}|image", "x:v2", "unsafe", "spec.template.spec.containers[orbit-server].image"),
        (BUDGET, "spec|maxUnavailable", 3, "unsafe", "spec.maxUnavailable"),
        (CONFIG, "data|orbit-server.toml", "x", "unsafe", "data[orbit-server.toml]"),
        (
            data.STATEFULSET,
            "spec|template|metadata|annotations|checksum/config",
            "x",
            "benign",
            "spec.template.metadata.annotations[checksum/config]",
        ),
    ],
)
def test_a_changed_field_is_found_and_weighed(name: str, path: str, value: Any, risk: str, shown: str) -> None:
    found = find(data.wanted(), edited(name, path, value))
    assert lines(found) == [(risk, name, shown)]
    assert (found.items[0].difference.found, found.items[0].difference.origin) == (value, "cluster")
    assert found.fails("any") and not found.fails("none")
    assert found.fails("unsafe") == (risk == "unsafe")


@pytest.mark.parametrize(
    ("name", "path", "value", "fields", "expected"),
    [
        (
            CONFIG,
            "metadata|labels|team",
            "blue",
            {"f:metadata": {"f:labels": {"f:team": {}}}},
            ("benign", CONFIG, "metadata.labels.team"),
        ),
        (
            SERVICE,
            "metadata|annotations|lb/internal",
            "false",
            {"f:metadata": {"f:annotations": {"f:lb/internal": {}}}},
            ("unsafe", SERVICE, "metadata.annotations[lb/internal]"),
        ),
        (
            data.STATEFULSET,
            "spec|updateStrategy|rollingUpdate|partition",
            2,
            {"f:spec": {"f:updateStrategy": {"f:rollingUpdate": {".": {}, "f:partition": {}}}}},
            ("unsafe", data.STATEFULSET, "spec.updateStrategy.rollingUpdate"),
        ),
        (
            data.STATEFULSET,
            f"{CONTAINER}|securityContext|privileged",
            True,
            {
                "f:spec": {
                    "f:template": {
                        "f:spec": {"f:containers": {K_CONTAINER: {"f:securityContext": {"f:privileged": {}}}}}
                    }
                }
            },
            ("unsafe", data.STATEFULSET, "spec.template.spec.containers[orbit-server].securityContext.privileged"),
        ),
        (
            data.STATEFULSET,
            f"{CONTAINER}|env|2",
            {"name": "C", "value": "3"},
            {
                "f:spec": {
                    "f:template": {"f:spec": {"f:containers": {K_CONTAINER: {"f:env": {'k:{"name":"C"}': {".": {}}}}}}}
                }
            },
            ("unsafe", data.STATEFULSET, "spec.template.spec.containers[orbit-server].env[C]"),
        ),
        (
            data.STATEFULSET,
            "spec|template|metadata|annotations|kubectl.kubernetes.io/restartedAt",
            "now",
            {"f:spec": {"f:template": {"f:metadata": {"f:annotations": {"f:kubectl.kubernetes.io/restartedAt": {}}}}}},
            ("benign", data.STATEFULSET, "spec.template.metadata.annotations[kubectl.kubernetes.io/restartedAt]"),
        ),
    ],
)
def test_an_added_field_is_found_by_who_has_set_it(
    name: str, path: str, value: Any, fields: Any, expected: tuple[str, str, str]
) -> None:
    snapshot = data.deployed()
    live = copy.deepcopy(snapshot.objects[name])
    node: Any = live
    *parents, last = [int(part) if part.isdigit() else part for part in path.split("|")]
    for part in parents:
        node = node.setdefault(part, {}) if isinstance(node, dict) else node[part]
    if isinstance(node, list):
        node.append(value)
    else:
        node[last] = value
    live["metadata"]["managedFields"] = [managed(fields)]
    snapshot = dataclasses.replace(snapshot, objects={**snapshot.objects, name: live})
    found = find(data.wanted(), snapshot)
    assert lines(found) == [expected]
    assert found.items[0].difference.by == "kubectl-edit, 2026-11-24 16:00:00 UTC"

    for ours in ("helm", "orbit.rs", "kube-controller-manager"):
        live["metadata"]["managedFields"] = [managed(fields, ours)]
        assert find(data.wanted(), snapshot).items == (), ours
    live["metadata"]["managedFields"] = [managed(fields, subresource="status")]
    assert find(data.wanted(), snapshot).items == ()


def test_who_scaled_and_since_when() -> None:
    snapshot = edited(data.STATEFULSET, "spec|replicas", 4, {"f:spec": {"f:replicas": {}}}, manager="kubectl")
    managed_fields = snapshot.objects[data.STATEFULSET]["metadata"]["managedFields"]
    managed_fields[1] |= {"subresource": "scale"}
    del managed_fields[1]["time"]  # the API server keeps none for this subresource
    fourth = data.pod(3)
    fourth["metadata"]["creationTimestamp"] = "2026-11-24T16:01:00Z"
    snapshot = dataclasses.replace(snapshot, pods=(*snapshot.pods, fourth))
    (item,) = find(data.wanted(), snapshot).items
    assert item.difference.by == "kubectl (scale), about 2026-11-24 16:01:00 UTC"


def test_the_own_autoscaler_is_no_drift_and_a_foreign_one_is() -> None:
    scaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "orbit-server", "namespace": "orbit-rs"},
        "spec": {"maxReplicas": 5},
    }
    stored = (*data.rendered(), scaler)
    live = data.change(stored, data.STATEFULSET, "spec|replicas", 4)
    assert find(data.wanted(live), data.deployed(stored, live)).items == ()
    assert lines(find(data.wanted(), edited(data.STATEFULSET, "spec|replicas", 4))) == [
        ("unsafe", data.STATEFULSET, "spec.replicas")
    ]


def test_a_missing_object_is_unsafe_and_one_that_may_not_be_read_is_named() -> None:
    snapshot = data.deployed()
    less = {name: obj for name, obj in snapshot.objects.items() if name != BUDGET}
    assert lines(find(data.wanted(), dataclasses.replace(snapshot, objects=less))) == [("unsafe", BUDGET, "")]
    found = find(data.wanted(), dataclasses.replace(snapshot, objects=less, denied=(BUDGET,)))
    assert found.items == () and BUDGET in found.notes[0]


def test_what_the_inventory_asks_for_is_pending_and_no_drift() -> None:
    wanted = data.wanted(data.change(data.rendered(), CONFIG, "data|orbit-server.toml", "new"))
    found = find(wanted, edited(data.STATEFULSET, "spec|replicas", 4))
    assert lines(found) == [("unsafe", data.STATEFULSET, "spec.replicas")]
    assert [(item.object, item.path) for item in found.pending] == [(CONFIG, "data[orbit-server.toml]")]


def test_a_field_that_both_have_changed_is_drift() -> None:
    wanted = data.wanted(data.change(data.rendered(), data.STATEFULSET, "spec|replicas", 5))
    found = find(wanted, edited(data.STATEFULSET, "spec|replicas", 4))
    assert [(item.difference.wanted, item.difference.found) for item in found.items] == [(3, 4)]


def test_a_namespace_label_is_drift_unless_we_have_set_it() -> None:
    name, field = "Namespace/orbit-rs", "pod-security.kubernetes.io/enforce"
    fields = {"f:metadata": {"f:labels": {f"f:{field}": {}}}}
    path = f"metadata|labels|{field}"
    found = find(data.wanted(), edited(name, path, "privileged", fields))
    assert lines(found) == [("unsafe", name, f"metadata.labels[{field}]")]
    found = find(data.wanted(), edited(name, path, "baseline", fields, manager="orbit.rs"))
    assert (found.items, len(found.pending)) == ((), 1)


@pytest.mark.parametrize(
    ("entry", "ignored"),
    [
        ({}, True),
        ({"object": "StatefulSet/*"}, True),
        ({"object": data.STATEFULSET, "path": "spec.replicas"}, True),
        ({"path": "spec.*"}, True),
        ({"object": "StatefulSet/*", "path": "spec"}, False),
        ({"object": "Service/*"}, False),
        ({"object": "StatefulSet/orbit-rs"}, False),
    ],
)
def test_ignored_drift_is_shown_last_and_does_not_count(entry: dict[str, str], ignored: bool) -> None:
    found = find(data.wanted(), edited(data.STATEFULSET, "spec|replicas", 4), [entry])
    assert [item.ignored for item in found.items] == [ignored]
    assert found.fails("any") is not ignored


def test_brackets_in_a_pattern_are_themselves() -> None:
    pattern = {"path": "spec.template.spec.containers[orbit-server].*"}
    found = find(data.wanted(), edited(data.STATEFULSET, f"{CONTAINER}|image", "x:v2"), [pattern])
    assert found.items[0].ignored


@pytest.mark.parametrize(
    ("newest", "drifted"),
    [
        ({"outcome": "succeeded", "revision": 1}, False),
        ({"outcome": "succeeded", "revision": 2}, True),
        ({"outcome": "failed", "revision": 0}, False),
    ],
)
def test_a_revision_that_is_not_on_record_was_made_by_somebody_else(newest: dict[str, Any], drifted: bool) -> None:
    records = {"data": {"2026-11-24T10.00.00-deploy": json.dumps(newest)}}
    found = find(data.wanted(), dataclasses.replace(data.deployed(), records=records))
    assert lines(found) == ([("unsafe", "Release/orbit-rs/orbit-rs", "revision")] if drifted else [])


def test_secrets_are_not_shown() -> None:
    name = "Secret/orbit-rs/app"
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "app", "namespace": "orbit-rs"}}
    stored = (*data.rendered(), {**secret, "data": {"password": "b2xk"}})
    live = (*data.rendered(), {**secret, "data": {"password": "bmV3"}})
    snapshot = data.deployed(stored, live)
    live_set = snapshot.objects[data.STATEFULSET]
    live_set["spec"]["template"]["spec"]["containers"][0]["env"].append({"name": "API_TOKEN", "value": "abcdef"})
    containers = {K_CONTAINER: {"f:env": {'k:{"name":"API_TOKEN"}': {".": {}}}}}
    live_set["metadata"]["managedFields"] = [
        managed({"f:spec": {"f:template": {"f:spec": {"f:containers": containers}}}})
    ]
    found = find(data.wanted(stored), snapshot)
    assert [item.difference.object for item in found.items] == [name, data.STATEFULSET]
    assert "abcdef" not in repr(found) and "bmV3" not in repr(found) and "b2xk" not in repr(found)
    assert objects.HIDDEN in repr(found)


def test_every_rule_can_be_reached_and_the_last_one_takes_all() -> None:
    assert drift.RULES[-1].object == drift.RULES[-1].path == "*"
    pairs = [(rule.object, rule.path) for rule in drift.RULES]
    assert len(set(pairs)) == len(pairs)


def test_what_makes_no_revision_hides_none() -> None:
    restore = {"outcome": "succeeded", "revision": 0}
    for revision, drifted in ((1, False), (2, True)):
        deploy = {"outcome": "succeeded", "revision": revision}
        data_of = {"2026-11-24T10.00.00-deploy": json.dumps(deploy), "2026-11-25T10.00.00-restore": json.dumps(restore)}
        found = find(data.wanted(), dataclasses.replace(data.deployed(), records={"data": data_of}))
        assert bool(lines(found)) is drifted
