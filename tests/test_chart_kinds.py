# SPDX-License-Identifier: GPL-3.0-or-later
"""What the chart renders for operators and the Gateway API, held strictly against their own definitions."""

from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
import yaml
from ansible_collections.orbit.rs.plugins.plugin_utils import values
from ansible_collections.orbit.rs.tests.unit.chart import helpers as h
from ansible_collections.orbit.rs.tests.unit.chart.test_chart_validity import FOREIGN

from testbed import crds

KINDS = {
    "Certificate",
    "ExternalSecret",
    "GRPCRoute",
    "HTTPRoute",
    "PodMonitor",
    "PrometheusRule",
    "SecretStore",
    "ServiceMonitor",
    "TCPRoute",
}


def closed(schema: Any) -> Any:
    """The schema, refusing what it does not name: the API server drops such a field, and strict clients refuse it."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: closed(value) for key, value in schema.items()}
    if schema.get("x-kubernetes-int-or-string"):
        result.pop("type", None)
        result["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    open_ended = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    # Only a whole object: what stands below allOf, anyOf and the like names a part of one.
    if "properties" in schema and schema.get("type") == "object" and not open_ended:
        result["additionalProperties"] = False
    return result


@pytest.fixture(scope="module")
def served() -> dict[tuple[str, str], Any]:
    """Give the schemas that a cluster would serve, by apiVersion and kind."""
    found = {}
    for document in yaml.load_all(crds.file().read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        definition = (document or {}).get("spec", {"versions": []})
        for version in definition["versions"]:
            if version["served"]:
                schema = closed(version["schema"]["openAPIV3Schema"])
                schema["properties"]["metadata"] = {"type": "object"}  # the API server's own business
                schema["properties"] |= {"apiVersion": {"type": "string"}, "kind": {"type": "string"}}
                found[f"{definition['group']}/{version['name']}", definition["names"]["kind"]] = schema
    return found


def problems(obj: Any, served: dict[tuple[str, str], Any]) -> Iterator[str]:
    schema = served.get((obj["apiVersion"], obj["kind"]))
    if schema is None:
        yield f"{obj['apiVersion']} {obj['kind']} is not served"
        return
    for error in jsonschema.Draft7Validator(schema).iter_errors(obj):
        yield f"{obj['kind']} {error.json_path}: {error.message[:200]}"


def foreign(given: Any) -> list[Any]:
    return [obj for obj in h.render(given).values() if obj["apiVersion"].startswith(FOREIGN)]


@pytest.mark.parametrize("case", ["EVERYTHING", "EVERYTHING_SNAPSHOT"])
def test_strictly_valid(case, served):
    found = foreign(getattr(h, case))
    assert {obj["kind"] for obj in found} == KINDS
    assert [problem for obj in found for problem in problems(obj, served)] == []


def test_the_store_of_the_guide_is_brought_up_to_date(served):
    pasted = {"extraObjects": [h.guide_objects()["SecretStore"]]}
    (before,) = foreign(pasted)
    assert list(problems(before, served)) == ["external-secrets.io/v1beta1 SecretStore is not served"]
    translated, (finding,) = values.translate(pasted)
    assert "external-secrets.io/v1 is used instead" in finding.seen
    (after,) = foreign(translated)
    assert list(problems(after, served)) == []


BREAKS = {
    "ServiceMonitor": ("endpoints", [{"port": "metrics", "intervall": "30s"}]),
    "PodMonitor": ("podMetricsEndpoints", [{"port": "metrics", "interval": "soon"}]),
    "PrometheusRule": ("groups", [{"name": "a", "rules": [{"alert": "A"}]}]),
    "Certificate": ("privateKey", {"algorithm": "DSA"}),
    "SecretStore": ("provider", {"vault": {"server": "a", "auths": {}}}),
    "ExternalSecret": ("refreshIntervall", "1h"),
    "HTTPRoute": ("rules", [{"backendRefs": [{"name": "a", "port": 0}]}]),
    "GRPCRoute": ("hostnames", ["Not A Host"]),
    "TCPRoute": ("parentRefs", [{"namespace": "a"}]),
}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_validation_sees_what_is_wrong(kind, served):
    field, value = BREAKS[kind]
    broken = next(obj for obj in foreign(h.EVERYTHING) if obj["kind"] == kind)
    assert list(problems(broken, served)) == []
    broken["spec"][field] = value
    assert list(problems(broken, served))
