# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.orbit.rs.plugins.plugin_utils import values

CHART = Path(__file__).parents[4] / "charts" / "orbit-rs"


@pytest.mark.parametrize(
    ("layers", "result"),
    [
        ([], {}),
        ([{"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}], {"a": {"b": 3, "c": 2}}),
        ([{"a": [1, 2]}, {"a": [3]}], {"a": [3]}),
        ([{"a": {"b": 1}}, {"a": None}], {"a": None}),
        ([{"a": None}, {"a": {"b": 1}}], {"a": {"b": 1}}),
        ([{"a": 1}, {"a": {"b": 1}}], {"a": {"b": 1}}),
        ([{"a": 1}, {"b": 2}, {"a": 3}], {"a": 3, "b": 2}),
    ],
)
def test_merge(layers: list[dict[str, Any]], result: dict[str, Any]) -> None:
    before = copy.deepcopy(layers)
    assert values.merge(*layers) == result
    assert layers == before


ZONE = "failure-domain.beta.kubernetes.io/zone"


@pytest.mark.parametrize(
    ("given", "result", "seen"),
    [
        ({"persistence": {"size": "1Gi"}}, {"persistence": {"size": "1Gi"}}, []),
        (
            {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}},
            {"strategy": {"type": "RollingUpdate", "rollingUpdate": {}}},
            ["strategy.rollingUpdate.maxSurge has no effect"],
        ),
        (
            {"affinity": {"podAntiAffinity": {"required": [{"topologyKey": ZONE}, {"topologyKey": ZONE}]}}},
            {"affinity": {"podAntiAffinity": {"required": [{"topologyKey": "topology.kubernetes.io/zone"}] * 2}}},
            [f"{ZONE} at affinity.podAntiAffinity.required[0].topologyKey, affinity.podAntiAffinity.required[1]"],
        ),
        (
            {"orbitServer": {"nodeSelector": {"beta.kubernetes.io/os": "linux"}}},
            {"orbitServer": {"nodeSelector": {"kubernetes.io/os": "linux"}}},
            ["beta.kubernetes.io/os at orbitServer.nodeSelector.beta.kubernetes.io/os is outdated"],
        ),
        ({"storageAccountType": "Premium_LRS"}, {"skuName": "Premium_LRS"}, ["storageaccounttype at"]),
        (
            {"orbitServer": {"env": [{"name": "RUST_LOG_MAX_SIZE", "value": "1"}, {"name": "RUST_LOG", "value": "a"}]}},
            {"orbitServer": {"env": [{"name": "RUST_LOG", "value": "a"}]}},
            ["RUST_LOG_MAX_SIZE at orbitServer.env[0] has no effect"],
        ),
        ({"dependencies": {"etcd": {}}, "tests": {}}, {}, ["dependencies has no effect", "tests has no effect"]),
        (
            {"monitoring": {"prometheus": {"enabled": True}, "podMonitor": {"enabled": True}}},
            {"monitoring": {"podMonitor": {"enabled": True}}},
            ["monitoring.prometheus has no effect"],
        ),
        (
            {"extraObjects": [{"apiVersion": "external-secrets.io/v1beta1", "kind": "SecretStore"}]},
            {"extraObjects": [{"apiVersion": "external-secrets.io/v1", "kind": "SecretStore"}]},
            ["external-secrets.io/v1beta1 at extraObjects[0].apiVersion is outdated"],
        ),
        (
            {"orbitServer": {"ingress": {"enabled": True, "className": "a"}}, "ingress": {"className": "b"}},
            {"ingress": {"enabled": True, "className": "b"}},
            ["orbitServer.ingress is not where the guide and this chart have it; it is taken as ingress."],
        ),
        (
            {"global": {"storageClass": "fast", "imageRegistry": ""}, "nodeSelector": {"disk": "ssd"}},
            {"persistence": {"storageClass": "fast"}, "orbitServer": {"nodeSelector": {"disk": "ssd"}}},
            ["global.storageClass is not where", "nodeSelector is not where"],
        ),
        (
            {"config": {"transactions": {"enableWal": False, "maxConnections": 5}, "cluster": {"discoveryMode": "x"}}},
            {
                "config": {
                    "transactions": {"maxConnections": 5},
                    "extra": {"cluster": {"discovery_mode": "x"}, "transactions": {"enable_wal": False}},
                }
            },
            ["config.cluster.discoveryMode is not where", "config.transactions.enableWal is not where"],
        ),
        (
            {"orbitServer": {"compatibility": "snapshot-2025-11"}, "config": {"saga": {"a": 1}, "logging": {"b": 2}}},
            {"orbitServer": {"compatibility": "snapshot-2025-11"}, "config": {"logging": {"b": 2}}},
            ["config.saga has no effect: the server of orbitServer.compatibility snapshot-2025-11 reads no"],
        ),
        (
            {"orbitServer": {"podLabels": {"monitoring": "on"}}},
            {"orbitServer": {"podLabels": {"monitoring": "on"}}},
            [],
        ),
    ],
)
def test_translate(given: dict[str, Any], result: dict[str, Any], seen: list[str]) -> None:
    before = copy.deepcopy(given)
    translated, findings = values.translate(given)
    assert translated == result
    assert given == before
    assert [finding.seen.startswith(start) for finding, start in zip(findings, seen, strict=True)] == [True] * len(seen)
    assert {(finding.severity, finding.check) for finding in findings} <= {("warning", "values")}
    assert all(finding.remedy for finding in findings)
    assert values.translate(translated) == (result, [])


@pytest.mark.parametrize("rule", values.RULES, ids=lambda rule: rule.old)
def test_every_rule_applies(rule: values.Rule) -> None:
    given: Any = "x"
    anywhere = rule.old.startswith("*.")
    for part in [rule.old[2:]] if anywhere else reversed(rule.old.split(".")):
        given = {part: given}
    given = {"below": given} if anywhere else given
    if rule.mode:
        assert values.translate(given) == (given, [])
        given["orbitServer"] = {"compatibility": rule.mode}
    translated, findings = values.translate(given)
    assert len(findings) == 1
    assert rule.old.rpartition(".")[2] not in str(translated) or rule.new


@pytest.mark.parametrize("old", values.MOVES)
def test_every_move_applies(old: str) -> None:
    def at(path: str, value: Any) -> dict[str, Any]:
        for part in reversed(path.split(".")):
            value = {part: value}
        return dict(value)

    value = {"a": "b"}
    translated, (finding,) = values.translate(at(old, value))
    assert values.merge(translated, at(values.MOVES[old], value)) == translated
    assert finding.remedy == f"Write {values.MOVES[old]} instead."


@pytest.mark.parametrize(
    ("key", "known", "result"),
    [
        ("replicas", ["replicaCount", "image"], "replicaCount"),
        ("ORBITSERVER", ["orbitServer"], "orbitServer"),
        ("zzz", ["orbitServer"], ""),
        ("a", [], ""),
    ],
)
def test_nearest(key: str, known: list[str], result: str) -> None:
    assert values.nearest(key, known) == result


SCHEMA = {
    "$defs": {"probe": {"type": "object", "properties": {"periodSeconds": {"type": "integer", "minimum": 1}}}},
    "type": "object",
    "additionalProperties": False,
    "required": ["server"],
    "properties": {
        "server": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "replicaCount": {"type": "integer", "minimum": 1, "maximum": 9, "description": "How many."},
                "policy": {"enum": ["Always", "Never"]},
                "tag": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 5},
                "probe": {"$ref": "#/$defs/probe"},
                "cpu": {"anyOf": [{"type": "string", "pattern": "^[0-9]+m$"}, {"type": "number"}]},
                "labels": {"type": "object", "additionalProperties": False, "patternProperties": {"^[a-z]+$": {}}},
                "env": {"type": "array", "items": {"type": "object", "required": ["name"], "minProperties": 1}},
            },
        }
    },
}


@pytest.mark.parametrize(
    ("given", "seen", "remedy"),
    [
        ({"server": {"replicas": 1}}, "server.replicas is not known.", "Did you mean server.replicaCount?"),
        ({"replicaCount": 1}, "replicaCount is not known.", "Did you mean server.replicaCount?"),
        ({"Server": {}}, "Server is not known.", "Did you mean server?"),
        ({"periodSecond": 1}, "periodSecond is not known.", "Did you mean server.probe.periodSeconds?"),
        ({"zzz": 1}, "zzz is not known.", "Allowed here: server."),
        ({"server": {"labels": {"A1": 1}}}, "server.labels.A1 is not known.", "Allowed here: names like ^[a-z]+$."),
        ({"server": {"replicaCount": "three"}}, "server.replicaCount is text; it must be a whole number.", "How many."),
        ({"server": {"replicaCount": True}}, "server.replicaCount is true; it must be a whole number.", "How many."),
        ({"server": {"replicaCount": 0}}, "server.replicaCount: '0' is too small; the least is 1.", "How many."),
        ({"server": {"replicaCount": 10}}, "server.replicaCount: '10' is too big; the most is 9.", "How many."),
        ({"server": []}, "server is a list; it must be a map.", "Correct server."),
        (
            {"server": {"policy": "never"}},
            "server.policy: 'never' is not allowed; allowed are: Always, Never.",
            "Correct server.policy.",
        ),
        ({"server": {"tag": "A"}}, "server.tag: 'A' does not have the form ^[a-z]+$", "Correct server.tag."),
        (
            {"server": {"tag": "abcdef"}},
            "server.tag: 'abcdef' is too long; the most is 5 characters.",
            "Correct server.tag.",
        ),
        ({"server": {"cpu": []}}, "server.cpu is a list; it must be text or a number.", ""),
        ({"server": {"cpu": "x"}}, "server.cpu: 'x' does not have the form ^[0-9]+m$", "Correct server.cpu."),
        ({"server": {"env": [{"value": 1}]}}, "server.env[0] lacks name.", "Add it to server.env[0]."),
    ],
)
def test_check_speaks_in_sentences(given: dict[str, Any], seen: str, remedy: str) -> None:
    (finding,) = values.check(given, SCHEMA)
    assert (finding.severity, finding.check) == ("error", "values")
    assert (finding.seen, finding.remedy) == (seen, remedy)


@pytest.mark.parametrize("given", [{}, {"server": {}}, {"server": {"replicaCount": None}}, {"server": {"cpu": 1}}])
def test_check_accepts(given: dict[str, Any]) -> None:
    assert values.check(given, SCHEMA) == []


def test_a_wrong_type_does_not_show_the_value() -> None:
    assert "hunter2" not in str(values.check({"server": {"replicaCount": "hunter2"}}, SCHEMA))


def test_all_errors_at_once() -> None:
    assert len(values.check({"a": 1, "b": 2, "server": {"policy": "x", "replicaCount": "y"}}, SCHEMA)) == 4


def test_the_schema_of_the_chart_is_understood() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert values.check({"orbitServer": {"replicaCount": 3}}, schema) == []
    (finding,) = values.check({"replicaCount": 3}, schema)
    assert finding.remedy == "Did you mean orbitServer.replicaCount?"
