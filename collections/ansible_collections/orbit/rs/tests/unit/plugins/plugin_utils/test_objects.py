# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import copy
from decimal import Decimal
from typing import Any

import pytest
from ansible_collections.orbit.rs.plugins.plugin_utils import objects
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Object, OrbitError
from ansible_collections.orbit.rs.tests.unit.plugins.plugin_utils import data
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("time: 12:30", {"time": "12:30"}),
        ("day: 2026-01-01", {"day": "2026-01-01"}),
        ("n: 1e3", {"n": 1000.0}),
        ("n: 0644", {"n": 420}),
        ("n: 2.097152e+06", {"n": 2097152.0}),
        ("v: v0.1.0", {"v": "v0.1.0"}),
        ("n: null", {"n": None}),
    ],
)
def test_yaml_is_read_as_kubernetes_reads_it(text: str, value: dict[Any, Any]) -> None:
    (obj,) = objects.parse(f"kind: ConfigMap\nmetadata: {{name: a}}\ndata: {{{text}}}\n", "ns")
    assert obj["data"] == value


def test_parse_fills_the_namespace_of_namespaced_kinds_only() -> None:
    found = objects.parse(
        "kind: Namespace\nmetadata: {name: a}\n---\n---\nkind: List\nitems:\n"
        "- {kind: Secret, metadata: {name: b}}\n- {kind: Secret, metadata: {name: b, namespace: other}}\n",
        "ns",
    )
    assert [objects.key(obj) for obj in found] == ["Namespace/a", "Secret/ns/b", "Secret/other/b"]


@pytest.mark.parametrize("text", ["a: [", "- a\n- b", "just text", "a: 1"])
def test_parse_refuses_what_is_no_manifest(text: str) -> None:
    with pytest.raises(OrbitError, match="manifest"):
        objects.parse(text, "ns")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1000m", "1"),
        ("1", "1"),
        (0.5, "0.5"),
        ("1Ki", "1024"),
        ("1.5Gi", "1610612736"),
        ("1e3", "1000"),
        ("2G", "2e9"),
    ],
)
def test_quantity(text: object, value: str) -> None:
    assert objects.quantity(text) == Decimal(value)


@pytest.mark.parametrize("text", ["", "1X", "1 Gi", "ten", "1Gib", None])
def test_no_quantity(text: object) -> None:
    with pytest.raises(ValueError, match="not a quantity"):
        objects.quantity(text)


def test_a_served_object_has_no_differences() -> None:
    for obj in data.rendered():
        assert objects.differences(obj, data.served(obj), obj) == []


Row = tuple[str, Any, Any, Any, list[tuple[str, Any, Any]]]


@pytest.mark.parametrize(
    ("field", "wanted", "found", "was", "expected"),
    [
        ("a", 1, 2, None, [("a", 1, 2)]),
        ("a", 1, None, None, [("a", 1, None)]),
        ("a", None, 1, None, []),
        ("a", None, 1, 1, [("a", None, 1)]),
        ("a", None, None, 1, []),
        ("a", {}, None, None, []),
        ("a", [], None, None, []),
        ("a", "", None, None, []),
        ("a", {"b": None, "c": ""}, None, None, []),
        ("a", False, None, None, [("a", False, None)]),
        ("a", 1, True, None, [("a", 1, True)]),
        ("readOnly", False, None, None, []),
        ("readOnly", False, True, None, [("readOnly", False, True)]),
        ("initialDelaySeconds", 0, 5, None, [("initialDelaySeconds", 0, 5)]),
        ("labels", {"x": ""}, {}, None, [("labels.x", "", None)]),
        ("labels", {"x": ""}, {"x": ""}, None, []),
        ("labels", {"a.b/c": "1"}, {"a.b/c": "2"}, None, [("labels[a.b/c]", "1", "2")]),
        ("labels", {"size": "1000m"}, {"size": "1"}, None, [("labels.size", "1000m", "1")]),
        ("limits", {"cpu": "1000m", "memory": "1024Mi"}, {"cpu": 1, "memory": "1Gi"}, None, []),
        ("limits", {"cpu": "1001m"}, {"cpu": "1"}, None, [("limits.cpu", "1001m", "1")]),
        ("sizeLimit", "1024Mi", "1Gi", None, []),
        ("args", ["a", "b"], ["a", "c"], None, [("args", ["a", "b"], ["a", "c"])]),
        ("rules", [{"x": 1}], [{"x": 1, "default": 2}], None, []),
        ("rules", [{"x": 1}], [{"x": 2}], None, [("rules[0].x", 1, 2)]),
        ("rules", [{"x": 1}], [{"x": 1}, {"x": 2}], None, [("rules", [{"x": 1}], [{"x": 1}, {"x": 2}])]),
        ("env", [{"name": "A", "value": "1"}], [{"name": "B"}, {"name": "A", "value": "1"}], None, []),
        (
            "env",
            [{"name": "A"}, {"name": "B"}],
            [{"name": "B"}, {"name": "A"}],
            None,
            [("env.(order)", ["A", "B"], ["B", "A"])],
        ),
        ("env", [{"name": "A"}], [{"name": "A"}, {"name": "B"}], [{"name": "B"}], [("env[B]", None, {"name": "B"})]),
        ("env", [], [{"name": "B"}], [{"name": "B"}], [("env[B]", None, {"name": "B"})]),
        ("env", [{"name": "A", "value": "1"}], [{"name": "A", "value": "2"}], None, [("env[A].value", "1", "2")]),
        ("ports", [{"port": 1}], [{"port": 1, "protocol": "TCP", "nodePort": 30000}], None, []),
        ("ports", [{"port": 1}], [{"port": 1, "protocol": "UDP"}], None, [("ports[1]", {"port": 1}, None)]),
        ("volumes", [{"name": "t", "emptyDir": {}}], [{"name": "t", "hostPath": {}}], None,
         [("volumes[t].emptyDir", {}, None)]),
    ],
)  # fmt: skip
def test_differences(field: str, wanted: Any, found: Any, was: Any, expected: list[tuple[str, Any, Any]]) -> None:
    def obj(value: Any) -> Object:
        return {"kind": "A", "metadata": {"name": "a"}, "spec": {} if value is None else {field: value}}

    result = objects.differences(obj(wanted), obj(found), None if was is None else obj(was))
    assert [(item.path, item.wanted, item.found) for item in result] == [
        (f"spec.{path}", want, have) for path, want, have in expected
    ]


SERVED: list[tuple[str, Object, Object]] = [
    (
        "HorizontalPodAutoscaler",
        {"behavior": {"scaleDown": {"selectPolicy": "Disabled"}}},
        {
            "behavior": {
                "scaleDown": {"selectPolicy": "Disabled", "policies": [{"type": "Percent", "value": 100}]},
                "scaleUp": {"selectPolicy": "Max", "stabilizationWindowSeconds": 0},
            }
        },
    ),
    (
        "NetworkPolicy",
        {"ingress": [{"ports": [{"port": 6379}]}], "egress": [{}]},
        {"ingress": [{"ports": [{"port": 6379, "protocol": "TCP"}]}], "egress": [{}]},
    ),
    (
        "HTTPRoute",
        {"parentRefs": [{"name": "a"}], "rules": [{"backendRefs": [{"name": "a", "port": 1}]}]},
        {
            "parentRefs": [{"name": "a", "group": "gateway.networking.k8s.io", "kind": "Gateway"}],
            "rules": [
                {
                    "backendRefs": [{"name": "a", "port": 1, "weight": 1, "group": "", "kind": "Service"}],
                    "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                }
            ],
        },
    ),
    (
        "ExternalSecret",
        {"data": [{"secretKey": "a", "remoteRef": {"key": "b"}}], "target": {"name": "a"}},
        {
            "data": [{"secretKey": "a", "remoteRef": {"key": "b", "decodingStrategy": "None"}}],
            "target": {"name": "a", "creationPolicy": "Owner", "deletionPolicy": "Retain"},
        },
    ),
]


@pytest.mark.parametrize(("kind", "wanted", "served"), SERVED)
def test_defaults_of_the_api_server_are_no_difference(kind: str, wanted: Object, served: Object) -> None:
    def obj(spec: Object) -> Object:
        return {"kind": kind, "metadata": {"name": "a"}, "spec": spec}

    assert objects.differences(obj(wanted), obj(served), obj(wanted)) == []


def test_what_only_the_server_writes_does_not_count() -> None:
    wanted = {"apiVersion": "v1", "kind": "A", "metadata": {"name": "a", "annotations": {objects.PLAN_DIGEST: "1"}}}
    found = {"metadata": {"name": "a", "uid": "1"}, "status": {"ready": 1}}
    assert objects.differences(wanted, found, wanted) == []
    assert objects.digest([wanted]) == objects.digest([{**wanted, "metadata": {"name": "a"}, "status": {}}])


def test_secrets_stay_hidden() -> None:
    wanted = {"kind": "Secret", "metadata": {"name": "a"}, "stringData": {"same": "x", "other": "new", "added": "y"}}
    found = {"kind": "Secret", "metadata": {"name": "a"}, "data": {"same": "eA==", "other": "b2xk"}}
    assert [(item.path, item.wanted, item.found) for item in objects.differences(wanted, found)] == [
        ("data.added", objects.HIDDEN, None),
        ("data.other", objects.HIDDEN, objects.HIDDEN),
    ]


def test_the_field_manager_is_named() -> None:
    fields = {"f:spec": {"f:containers": {'k:{"name":"x"}': {"f:image": {}}}, "f:replicas": {}}}
    managed = [
        {"manager": "helm", "time": "2026-11-24T10:00:00Z", "fieldsV1": fields},
        {"manager": "kubectl", "subresource": "scale", "time": "2026-11-24T11:00:00Z",
         "fieldsV1": {"f:spec": {"f:replicas": {}}}},
    ]  # fmt: skip
    wanted = {"kind": "A", "spec": {"replicas": 3, "containers": [{"name": "x", "image": "1"}], "other": 1}}
    found = {
        "metadata": {"managedFields": managed},
        "spec": {"replicas": 5, "containers": [{"name": "x", "image": "2"}]},
    }
    assert {item.path: item.by for item in objects.differences(wanted, found)} == {
        "spec.containers[x].image": "helm, 2026-11-24 10:00:00 UTC",
        "spec.other": "",
        "spec.replicas": "kubectl (scale), 2026-11-24 11:00:00 UTC",
    }


@pytest.mark.parametrize(
    ("pod", "total"),
    [
        ({"containers": [{"resources": {"requests": {"cpu": "100m"}}}, {"resources": {"limits": {"cpu": 1}}}]}, 1.1),
        ({"containers": [{}], "initContainers": [{"resources": {"requests": {"cpu": 2}}}]}, 2.0),
        (
            {
                "containers": [{"resources": {"requests": {"cpu": 1}}}],
                "initContainers": [{"restartPolicy": "Always", "resources": {"requests": {"cpu": 2}}}],
                "overhead": {"cpu": "500m"},
            },
            3.5,
        ),
    ],
)
def test_requests_of_a_pod(pod: dict[str, Any], total: float) -> None:
    assert objects.requests(pod) == {"cpu": pytest.approx(total)}


scalars = st.one_of(st.booleans(), st.integers(-3, 3), st.sampled_from(["", "a", "1", "1000m"]))
keys = st.sampled_from(["a", "labels", "data", "requests", "env", "ports", "readOnly", "volumes", "x.y/z"])
trees = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.dictionaries(keys, inner, max_size=4),
        st.lists(scalars, max_size=3),
        st.lists(st.dictionaries(keys, inner, max_size=2), max_size=3),
        st.lists(st.fixed_dictionaries({"name": st.sampled_from("ABC")}, optional={"value": inner}), max_size=3),
    ),
    max_leaves=12,
)
specs = st.dictionaries(keys, trees, max_size=4).map(
    lambda spec: {"kind": "A", "metadata": {"name": "a"}, "spec": spec}
)


def grown(value: Any, extra: Any) -> Any:
    """The value as an API server with defaults returns it: the same, and more keys in every map."""
    if isinstance(value, dict):
        return {"addedByTheServer": extra} | {name: grown(item, extra) for name, item in value.items()}
    return [grown(item, extra) for item in value] if isinstance(value, list) else value


@given(specs)
def test_an_object_does_not_differ_from_itself(obj: Object) -> None:
    assert objects.differences(obj, copy.deepcopy(obj)) == []
    assert objects.differences(obj, copy.deepcopy(obj), copy.deepcopy(obj)) == []


@given(specs, scalars)
def test_a_superset_has_no_differences(obj: Object, extra: Any) -> None:
    assert objects.differences(obj, {**obj, "spec": grown(obj["spec"], extra)}, obj) == []


@given(specs, specs)
def test_exact_comparison_sees_every_digest_change_that_means_something(one: Object, other: Object) -> None:
    if objects.digest([one]) == objects.digest([other]):
        assert objects.differences(one, other, other) == []


@given(st.integers(1, 10**6), st.sampled_from(["limits", "requests", "capacity"]))
def test_quantities_are_normalised(milli: int, field: str) -> None:
    one = {"kind": "A", "spec": {field: {"cpu": f"{milli}m", "memory": f"{milli}Ki"}}}
    other = {"kind": "A", "spec": {field: {"cpu": str(Decimal(milli) / 1000), "memory": milli * 1024}}}
    assert objects.differences(one, other) == []
    assert objects.differences(other, one) == []
