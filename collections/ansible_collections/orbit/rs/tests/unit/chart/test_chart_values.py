# SPDX-License-Identifier: GPL-3.0-or-later
"""values.yaml, its schema and the guide: they agree, every key has an effect, what is wrong is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from ansible_collections.orbit.rs.tests.unit.chart import helpers as h

# Keys of the guide that later versions of the chart will know. Until then they are refused.
LATER = {"autoscaling", "ingress", "monitoring"}

# Leaves of the guide whose value comes to the same as none, though values.yaml does not hold it.
SAYS_THE_DEFAULT = {("orbitServer", "image", "tag"), ("strategy", "type")}

# Another valid value for the keys whose type does not suggest one.
TERM = {"labelSelector": {"matchLabels": {"a": "b"}}, "topologyKey": "kubernetes.io/hostname"}
ANOTHER: dict[str, Any] = {
    "nameOverride": "other",
    "planDigest": "0123abcd",
    "imagePullSecrets": [{"name": "pull"}],
    "serviceAccount.name": "other",
    "serviceAccount.annotations": {"example.org/role": "orbit"},
    "orbitServer.image.repository": "registry.example.org:5000/orbit/server",
    "orbitServer.image.tag": "v9.9.9",
    "orbitServer.image.digest": "sha256:" + "a" * 64,
    "orbitServer.env": [{"name": "RUST_BACKTRACE", "value": "1"}],
    "orbitServer.podAnnotations": {"example.org/owner": "me"},
    "orbitServer.podLabels": {"team": "db"},
    "orbitServer.nodeSelector": {"disk": "ssd"},
    "orbitServer.tolerations": [{"key": "db", "operator": "Exists", "effect": "NoSchedule"}],
    "orbitServer.priorityClassName": "high",
    "orbitServer.service.annotations": {"example.org/lb": "internal"},
    "persistence.size": "20Gi",
    "persistence.storageClass": "fast-ssd",
    "config.tls.certFile": "/app/certs/other.crt",
    "config.tls.keyFile": "/app/certs/other.key",
    "affinity.nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [{"key": "disk", "operator": "Exists"}]}]
        }
    },
    "affinity.podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [TERM]},
    "affinity.podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [TERM]},
    "podDisruptionBudget.minAvailable": 2,
    "podDisruptionBudget.maxUnavailable": "50%",
    "strategy.rollingUpdate.maxUnavailable": 1,
    "strategy.rollingUpdate.maxSurge": 1,
    "extraVolumes": [{"name": "certs", "secret": {"secretName": "orbit-rs-tls"}}],
    "extraVolumeMounts": [{"name": "data", "mountPath": "/app/certs", "subPath": "certs", "readOnly": True}],
}


def another(path: h.Path, schema: Mapping[str, Any]) -> Any:
    """A valid value that is not the default."""
    name = ".".join(path)
    if name in ANOTHER:
        return ANOTHER[name]
    if "enum" in schema:
        return next(value for value in schema["enum"] if value != schema["default"])
    if schema["type"] == "boolean":
        return not schema["default"]
    if schema["type"] == "integer":
        return schema["default"] + 1
    if path[-1] in ("cpu", "memory", "ephemeral-storage"):
        return "777" if path[-1] == "cpu" else "777Mi"
    raise AssertionError(f"ANOTHER needs a value for {name}")


CHANGEABLE = [
    pytest.param(path, schema, id=".".join(path))
    for path, schema in h.schema_leaves()
    if len(schema.get("enum", [])) != 1
]


@pytest.mark.parametrize(("path", "schema"), CHANGEABLE)
def test_no_key_without_effect(path: h.Path, schema: Mapping[str, Any]) -> None:
    assert h.outcome(h.nested(path, another(path, schema))) != h.outcome()


def test_keys_with_one_value() -> None:
    """These cannot be changed yet, so they cannot have an effect: the list must stay as short as it is."""
    single = {".".join(path) for path, schema in h.schema_leaves() if len(schema.get("enum", [])) == 1}
    assert single == {"orbitServer.compatibility", "strategy.type"}


def comments() -> dict[h.Path, str]:
    """The description of each documented key of values.yaml."""
    found: dict[h.Path, str] = {}
    path: list[str] = []
    said: list[str] = []
    for line in (h.CHART / "values.yaml").read_text().splitlines():
        if match := re.match(r"\s*# -- (.*)", line):
            said = [match[1]]
        elif (match := re.match(r"\s*# (.*)", line)) and said:
            said.append(match[1])
        else:
            if match := re.match(r"( *)([A-Za-z]+):", line):
                path[len(match[1]) // 2 :] = [match[2]]
                if said:
                    found[tuple(path)] = " ".join(said)
            said = []
    return found


def test_every_key_is_documented() -> None:
    assert set(comments()) == {path for path, dummy in h.leaves(h.DEFAULTS)}


def test_values_and_schema_agree() -> None:
    described: dict[h.Path, tuple[str, Any]] = {}

    def walk(node: Mapping[str, Any], path: h.Path) -> None:
        if "description" in node:
            described[path] = node["description"], node["default"]
        for key, child in node.get("properties", {}).items():
            walk(child, (*path, key))

    walk(h.SCHEMA, ())
    said = comments()
    assert described == {path: (said[path], value) for path, value in h.leaves(h.DEFAULTS)}


def test_every_group_of_the_schema_is_closed() -> None:
    def walk(node: Any, path: str) -> Iterator[str]:
        if isinstance(node, dict):
            if "properties" in node and node.get("additionalProperties") is not False:
                yield path
            for key, child in node.items():
                yield from walk(child, f"{path}/{key}")

    assert list(walk(h.SCHEMA, "")) == []


@pytest.mark.parametrize("heading", h.guide())
def test_guide_block_is_accepted_and_counts(heading: str) -> None:
    """Each block as it is pasted; each of its leaves changes the outcome, unless it says what is the default anyway."""
    block = {key: value for key, value in h.guide()[heading].items() if key not in LATER}
    whole = h.outcome(block)
    for path, value in h.leaves(block):
        if value != h.lookup(h.DEFAULTS, path) and path not in SAYS_THE_DEFAULT:
            assert h.outcome(h.without(block, path)) != whole, ".".join(path)


def test_guide_is_whole() -> None:
    assert len(h.guide()) == 10
    assert {key for block in h.guide().values() for key in block} - set(h.DEFAULTS) == LATER


def test_guide_all_blocks_at_once() -> None:
    """One below the other in a single file, later ones over earlier ones."""
    merged: dict[str, Any] = {}
    for block in h.guide().values():
        for key, value in block.items():
            if key not in LATER:
                merged[key] = {**merged[key], **value} if isinstance(merged.get(key), dict) else value
    manifest, notes = h.outcome(merged)
    assert notes.count("WARNING") == 3
    assert "worker_threads = 8" in manifest


BAD: list[tuple[str, Any, str]] = [
    # a wrong key, at each depth
    ("orbitserver.replicaCount", 3, "additional properties 'orbitserver' not allowed"),
    ("orbitServer.replicas", 3, "additional properties 'replicas' not allowed"),
    ("orbitServer.image.name", "x", "additional properties 'name' not allowed"),
    ("orbitServer.resources.limit", {}, "additional properties 'limit' not allowed"),
    ("resources.requests.mem", "1Gi", "additional properties 'mem' not allowed"),
    ("config.performance.threads", 4, "additional properties 'threads' not allowed"),
    ("livenessProbe.httpGet", {}, "additional properties 'httpGet' not allowed"),
    ("strategy.rollingUpdate.partition", 1, "additional properties 'partition' not allowed"),
    ("affinity.podAntiaffinity", {}, "additional properties 'podAntiaffinity' not allowed"),
    # a wrong type
    ("orbitServer.replicaCount", "3", "got string, want integer"),
    ("orbitServer.replicaCount", 2.5, "got number, want integer"),
    ("orbitServer.image.tag", 1.1, "got number, want string"),
    ("orbitServer.env", {"A": "b"}, "got object, want array"),
    ("orbitServer.env", [{"name": "A", "value": 1}], "got number, want string"),
    ("orbitServer.podAnnotations", {"a": True}, "got boolean, want string"),
    ("persistence.enabled", "yes", "got string, want boolean"),
    ("config.tls", True, "got boolean, want object"),
    # a default taken away
    ("orbitServer.replicaCount", None, "missing property 'replicaCount'"),
    ("config.logging.level", None, "missing property 'level'"),
    ("persistence", None, "missing property 'persistence'"),
    # a value that cannot be
    ("nameOverride", "", "does not match pattern"),
    ("nameOverride", "Orbit", "does not match pattern"),
    ("nameOverride", "n" * 53, "maxLength: got 53, want 52"),
    ("orbitServer.compatibility", "snapshot", "value must be 'documented'"),
    ("orbitServer.replicaCount", 0, "minimum: got 0, want 1"),
    ("orbitServer.image.repository", "orbit server", "does not match pattern"),
    ("orbitServer.image.tag", "v1:2", "does not match pattern"),
    ("orbitServer.image.digest", "sha256:abc", "does not match pattern"),
    ("orbitServer.image.pullPolicy", "always", "value must be one of"),
    ("orbitServer.resources.limits.memory", "4GB", "does not match pattern"),
    ("resources.limits.memory", "4gi", "does not match pattern"),
    ("resources.requests.cpu", "0,5", "does not match pattern"),
    ("persistence.size", "0Gi", "does not match pattern"),
    ("persistence.size", "20GB", "does not match pattern"),
    ("config.logging.level", "verbose", "value must be one of"),
    ("config.transactions.maxConnections", 0, "minimum: got 0, want 1"),
    ("config.saga.maxExecutionTimeSeconds", 604801, "maximum: got 604,801, want 604,800"),
    ("config.tls.certFile", "certs/tls.crt", "does not match pattern"),
    ("config.tls.certFile", "/app/\x01", "does not match pattern"),
    ("topologySpread.zone", "Strict", "value must be one of"),
    ("podDisruptionBudget.minAvailable", 0, "minimum: got 0, want 1"),
    ("podDisruptionBudget.maxUnavailable", "1", "does not match pattern"),
    ("livenessProbe.periodSeconds", 0, "minimum: got 0, want 1"),
    ("strategy.type", "OnDelete", "value must be 'RollingUpdate'"),
    ("extraVolumes", [{"name": "host", "hostPath": {"path": "/"}}], "additional properties 'hostPath' not allowed"),
    ("extraVolumes", [{"name": "nothing"}], "minProperties: got 1, want 2"),
    ("extraVolumeMounts", [{"name": "a", "mountPath": "relative"}], "does not match pattern"),
    ("extraVolumeMounts", [{"name": "a", "mountPath": "/a", "mountPropagation": "Both"}], "value must be one of"),
    # what needs more than one value to see
    ("podDisruptionBudget.minAvailable", 3, "podDisruptionBudget.minAvailable 3 can never be satisfied"),
    ("podDisruptionBudget.minAvailable", "67%", "minAvailable 67% can never be satisfied"),
    ("podDisruptionBudget.maxUnavailable", 0, "maxUnavailable 0 can never be satisfied"),
    ("podDisruptionBudget.maxUnavailable", "0%", "maxUnavailable 0 can never be satisfied"),
    ("orbitServer.terminationGracePeriodSeconds", 3, "the server would be killed before it can finish"),
    ("orbitServer.podLabels", {"app.kubernetes.io/instance": "x"}, "Choose another label"),
    ("orbitServer.podAnnotations", {"checksum/config": "x"}, "Choose another annotation"),
    ("extraVolumes", [{"name": "data", "emptyDir": {}}], 'the name "data" belongs to the chart'),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "says"), BAD)
def test_refused(name: str, value: Any, says: str) -> None:
    message = h.refusal(h.nested(tuple(name.split(".")), value))
    assert says in message
    assert name.split(".")[0] in message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("orbitServer.resources.limits.cpu", None),  # no limit
        ("resources.requests.cpu", 2),
        ("resources.requests.cpu", 0.5),
        ("resources.requests.memory", 1073741824),
        ("persistence.size", "1.5Ti"),
        ("persistence.size", "21474836480"),
        ("podDisruptionBudget.minAvailable", "66%"),
        ("orbitServer.preStopSleepSeconds", 0),
    ],
)
def test_accepted(name: str, value: Any) -> None:
    h.render(h.nested(tuple(name.split(".")), value))
