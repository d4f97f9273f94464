# SPDX-License-Identifier: GPL-3.0-or-later
"""values.yaml, its schema and the guide: they agree, every key has an effect, what is wrong is refused."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

import pytest
from ansible_collections.orbit.rs.plugins.plugin_utils import values
from ansible_collections.orbit.rs.tests.unit.chart import helpers as h

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
    "orbitServer.image.registry": "registry.example.org:5000",
    "orbitServer.envFrom": [{"secretRef": {"name": "other"}}],
    "orbitServer.extraArgs": ["--quiet"],
    "orbitServer.podSecurityContext.runAsUser": 2000,
    "orbitServer.podSecurityContext.runAsGroup": 2000,
    "orbitServer.podSecurityContext.fsGroup": 2000,
    "orbitServer.podSecurityContext.fsGroupChangePolicy": "Always",
    "orbitServer.podSecurityContext.supplementalGroups": [3000],
    "orbitServer.podSecurityContext.seccompProfile.type": "Localhost",
    "orbitServer.podSecurityContext.seccompProfile.localhostProfile": "orbit.json",
    "orbitServer.securityContext.readOnlyRootFilesystem": False,
    "orbitServer.securityContext.runAsUser": 2000,
    "orbitServer.securityContext.runAsGroup": 2000,
    "orbitServer.securityContext.capabilities.drop": ["ALL", "NET_RAW"],
    "orbitServer.securityContext.capabilities.add": ["NET_BIND_SERVICE"],
    "orbitServer.securityContext.seccompProfile.type": "Localhost",
    "orbitServer.securityContext.seccompProfile.localhostProfile": "orbit.json",
    "orbitServer.externalService.annotations": {"example.org/lb": "external"},
    "orbitServer.externalService.ports": ["redis"],
    "orbitServer.externalService.loadBalancerClass": "example.org/other",
    "orbitServer.externalService.loadBalancerSourceRanges": ["198.51.100.0/24"],
    "orbitServer.env": [{"name": "RUST_BACKTRACE", "value": "1"}],
    "orbitServer.podAnnotations": {"example.org/owner": "me"},
    "orbitServer.podLabels": {"team": "db"},
    "orbitServer.nodeSelector": {"disk": "ssd"},
    "orbitServer.tolerations": [{"key": "db", "operator": "Exists", "effect": "NoSchedule"}],
    "orbitServer.priorityClassName": "high",
    "orbitServer.service.annotations": {"example.org/lb": "internal"},
    "persistence.size": "20Gi",
    "persistence.storageClass": "fast-ssd",
    "persistence.volumeAttributesClass": "gold",
    "persistence.annotations": {"example.org/owner": "me"},
    "config.extra": {"logging": {"format": "text"}},
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
    "extraContainers": [{"name": "other", "image": "example.org/other:1"}],
    "initContainers": [{"name": "other", "image": "example.org/other:1"}],
    "extraObjects": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other"}}],
    "autoscaling.metrics": [{"type": "ContainerResource", "containerResource": {"name": "cpu"}}],
    "autoscaling.behavior.scaleUp": {"selectPolicy": "Min"},
    "autoscaling.behavior.scaleDown.stabilizationWindowSeconds": 60,
    "autoscaling.behavior.scaleDown.policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}],
    "autoscaling.behavior.scaleDown.tolerance": "0.2",
    "ingress.className": "traefik",
    "ingress.annotations": {"example.org/owner": "me"},
    "ingress.hosts": [{"paths": [{"path": "/other"}]}],
    "ingress.tls": [{"secretName": "other"}],
    "gateway.parentRefs": [{"name": "other"}],
    "gateway.annotations": {"example.org/owner": "me"},
    "gateway.httpRoute.hostnames": ["other.example.org"],
    "gateway.grpcRoute.hostnames": ["other.example.org"],
    "gateway.tcpRoute.routes": [{"port": "mysql"}],
    "networkPolicy.policyTypes": ["Ingress"],
    "networkPolicy.ingressNamespaces": ["traefik"],
    "networkPolicy.clientNamespaces": ["other"],
    "networkPolicy.monitoringNamespaces": ["other"],
    "networkPolicy.ingress": [{"ports": [{"port": 6379}]}],
    "networkPolicy.egress": [{"ports": [{"port": 6379}]}],
    **{
        f"monitoring.{monitor}.{name}": value
        for monitor in ("serviceMonitor", "podMonitor")
        for name, value in {
            "interval": "15s",
            "scrapeTimeout": "5s",
            "additionalLabels": {"release": "other"},
            "relabelings": [{"action": "labeldrop", "regex": "other"}],
            "metricRelabelings": [{"action": "labeldrop", "regex": "other"}],
        }.items()
    },
    "monitoring.prometheusRule.additionalLabels": {"release": "other"},
    "monitoring.prometheusRule.runbookUrl": "https://other.example.org/",
    "monitoring.prometheusRule.disabled": ["OrbitRecoveryFailure"],
    "monitoring.prometheusRule.rules": [{"alert": "OrbitServerDown", "expr": "up == 0"}],
    "monitoring.grafanaDashboard.label": "other",
    "monitoring.grafanaDashboard.labelValue": "other",
    "monitoring.grafanaDashboard.annotations": {"grafana_folder": "other"},
    "certificate.secretName": "other",
    "certificate.dnsNames": ["other.example.org"],
    "certificate.duration": "24h",
    "certificate.renewBefore": "8h",
    "certificate.issuerRef.name": "other",
    "certificate.issuerRef.kind": "Issuer",
    "certificate.issuerRef.group": "other.example.org",
    "certificate.privateKey.size": 384,
    "externalSecrets.secretStore.name": "other",
    "externalSecrets.secretStore.provider": {"vault": {"path": "other"}},
    "externalSecrets.storeRef.name": "other",
    "externalSecrets.refreshInterval": "10m",
    "externalSecrets.secrets": [{"name": "other", "data": [{"secretKey": "a", "remoteRef": {"key": "b"}}]}],
    **{
        f"{probe}Probe.{way}": value
        for probe in ("liveness", "readiness", "startup")
        for way, value in {
            "httpGet.path": "/other",
            "httpGet.port": 8081,
            "httpGet.scheme": "HTTPS",
            "tcpSocket.port": "redis",
            "grpc.port": 50051,
            "grpc.service": "orbit",
            "exec.command": ["true"],
        }.items()
    },
}


def another(path: h.Path, schema: Mapping[str, Any], current: Any) -> Any:
    """A valid value that is not the current one."""
    name = ".".join(path)
    if name in ANOTHER:
        return ANOTHER[name]
    if "enum" in schema:
        return next(value for value in schema["enum"] if value != current)
    if schema["type"] == "boolean":
        return not current
    if schema["type"] == "integer":
        return current + 1
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
    """With every feature on, or with the defaults: some features leave others without anything to do."""
    for base in (h.EVERYTHING, {}):
        current = h.lookup(h.merge(h.DEFAULTS, base), path)
        value = h.merge(base, h.nested(path, another(path, schema, current)))
        if h.accepted(value) and h.outcome(value) != h.outcome(base):
            return
    raise AssertionError(f"{'.'.join(path)} changes nothing")


@pytest.mark.parametrize("path", ["transactions.maxConnections", "saga.maxExecutionTimeSeconds", "extra"])
def test_what_the_snapshot_does_not_read_is_named(path: str) -> None:
    name = f"config.{path}"
    value = {"a": {"b": 1}} if path == "extra" else 21
    notes = h.outcome(h.merge(h.SNAPSHOT, h.nested(tuple(name.split(".")), value)))[1]
    assert f"WARNING: {name} has no effect: the server of orbitServer.compatibility snapshot-2025-11" in notes
    assert "WARNING" not in h.outcome(h.SNAPSHOT)[1]


def test_keys_with_one_value() -> None:
    """These cannot be changed, so they cannot have an effect: the list must stay as short as it is."""
    single = {".".join(path) for path, schema in h.schema_leaves() if len(schema.get("enum", [])) == 1}
    assert single == {
        "livenessProbe.successThreshold",  # the API server takes no other
        "startupProbe.successThreshold",
        "orbitServer.podSecurityContext.runAsNonRoot",  # nor does the restricted standard
        "orbitServer.securityContext.allowPrivilegeEscalation",
        "orbitServer.securityContext.runAsNonRoot",
        "strategy.type",
    }


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
    block = h.guide()[heading]
    whole = h.outcome(block)
    for path, value in h.leaves(block):
        if value != h.lookup(h.DEFAULTS, path) and path not in SAYS_THE_DEFAULT:
            less = h.without(block, path)
            assert not h.accepted(less) or h.outcome(less) != whole, ".".join(path)


def scalars(tree: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of every single value, also of those in lists."""
    if isinstance(tree, dict):
        yield from chain.from_iterable(scalars(value, (*path, key)) for key, value in tree.items())
    elif isinstance(tree, list):
        yield from chain.from_iterable(scalars(value, (*path, index)) for index, value in enumerate(tree))
    else:
        yield path


def changed(name: str, value: Any) -> Any:
    """Another value of the same kind for a leaf of the guide."""
    special = {"level": "trace", "pathType": "Exact", "minAvailable": 1, "operator": "NotIn", "interval": "45s"}
    if name in special:
        return special[name]
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    return f"1{value}" if value[0].isdigit() else f"{value}x"


@pytest.mark.parametrize("heading", h.guide())
def test_each_leaf_of_the_guide_can_be_changed(heading: str) -> None:
    block = h.guide()[heading]
    whole = h.outcome(block)
    for path in scalars(block):
        if path[0] == "strategy":  # the warning names its keys, not their values
            continue
        copied = copy.deepcopy(block)
        parent: Any = copied
        for part in path[:-1]:
            parent = parent[part]
        parent[path[-1]] = changed(str(path[-1]), parent[path[-1]])
        if path[-2:] == ("persistence", "enabled"):  # takes the other leaves of persistence along
            continue
        assert h.outcome(copied) != whole, path


def test_guide_is_whole() -> None:
    assert len(h.guide()) == 10
    assert {key for block in h.guide().values() for key in block} <= set(h.DEFAULTS)


def test_guide_all_blocks_at_once() -> None:
    """One below the other in a single file, later ones over earlier ones."""
    merged: dict[str, Any] = {}
    for block in h.guide().values():
        merged = h.merge(merged, block)
    manifest, notes = h.outcome(merged)
    assert notes.count("WARNING") == 3
    assert "worker_threads = 8" in manifest


def test_values_of_the_products_own_chart() -> None:
    """Its keys, with other values than its own: the playbooks move them, or name them as without effect."""
    given = {
        "global": {"imageRegistry": "example.org", "imagePullSecrets": [{"name": "pull"}], "storageClass": "fast"},
        "orbitServer": {
            "podSecurityContext": {"runAsNonRoot": True, "runAsUser": 2000, "runAsGroup": 2000, "fsGroup": 2000},
            "securityContext": {"runAsUser": 2000, "capabilities": {"drop": ["ALL"]}},
            "service": {"grpcPort": 50052, "healthPort": 8081, "metricsPort": 9091},
            "ingress": {
                "enabled": True,
                "className": "nginx",
                "annotations": {"nginx.ingress.kubernetes.io/grpc-backend": "true"},
                "hosts": [{"host": "orbit-rs.local", "paths": [{"path": "/", "pathType": "Prefix"}]}],
                "tls": [],
            },
            **{
                f"{probe}Probe": {"httpGet": {"path": f"/other/{probe}", "port": "health"}, "successThreshold": 1}
                for probe in ("liveness", "readiness", "startup")
            },
            "envFrom": [],
            "extraVolumes": [{"name": "a", "emptyDir": {}}],
            "extraVolumeMounts": [{"name": "a", "mountPath": "/a"}],
        },
        "persistence": {"storageClass": "", "accessMode": "ReadWriteOncePod", "annotations": {"a/b": "c"}},
        "config": {
            "server": {"bindAddress": "0.0.0.0:50051"},
            "transactions": {"databasePath": "/app/data/a.db", "enableWal": True},
            "performance": {"threadStackSize": 2097152},
        },
        "monitoring": {"prometheus": {"enabled": True}, "grafana": {"enabled": True}},
        "dependencies": {"etcd": {"enabled": True, "endpoints": ["a"]}},
        "tests": {"enabled": True},
    }
    effective, findings = values.translate(given)
    assert values.check(effective, h.SCHEMA) == []
    named = " ".join(finding.seen for finding in findings)
    for gone in (
        "config.server",
        "monitoring.prometheus",
        "monitoring.grafana",
        "dependencies",
        "tests",
        "grpc-backend",
    ):
        assert f"{gone} " in named and "has no effect" in named
    manifest = h.outcome(effective)[0]
    for effect in (
        'image: "example.org/orbit-rs/orbit-server',
        "name: pull",
        'storageClassName: "fast"',
        "runAsUser: 2000",
        "port: 50052",
        "port: 8081",
        "port: 9091",
        "kind: Ingress",
        "path: /other/liveness",
        "mountPath: /a",
        "accessModes: [ReadWriteOncePod]",
        'database_path = "/app/data/a.db"',
        "enable_wal = true",
        "thread_stack_size = 2097152",
    ):
        assert effect in manifest
    assert "grpc-backend" not in manifest and "port: health" not in manifest


BAD: list[tuple[str, Any, str]] = [
    # a wrong key, at each depth
    ("orbitserver.replicaCount", 3, "additional properties 'orbitserver' not allowed"),
    ("orbitServer.replicas", 3, "additional properties 'replicas' not allowed"),
    ("orbitServer.image.name", "x", "additional properties 'name' not allowed"),
    ("orbitServer.resources.limit", {}, "additional properties 'limit' not allowed"),
    ("resources.requests.mem", "1Gi", "additional properties 'mem' not allowed"),
    ("config.performance.threads", 4, "additional properties 'threads' not allowed"),
    ("livenessProbe.httpget", {}, "additional properties 'httpget' not allowed"),
    ("autoscaling.minReplica", 3, "additional properties 'minReplica' not allowed"),
    ("autoscaling.behavior.scaleDown.select", "Max", "additional properties 'select' not allowed"),
    ("ingress.hosts", [{"hosts": "a", "paths": [{"path": "/"}]}], "additional properties 'hosts' not allowed"),
    ("monitoring.serviceMonitor.intervall", "30s", "additional properties 'intervall' not allowed"),
    ("extraContainers", [{"name": "a", "image": "b", "comand": []}], "additional properties 'comand' not allowed"),
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
    ("orbitServer.compatibility", "snapshot", "value must be one of 'documented', 'snapshot-2025-11'"),
    ("orbitServer.podSecurityContext.runAsUser", 0, "minimum: got 0, want 1"),
    ("orbitServer.podSecurityContext.runAsNonRoot", False, "value must be true"),
    ("orbitServer.securityContext.capabilities.add", ["SYS_ADMIN"], "value must be 'NET_BIND_SERVICE'"),
    ("orbitServer.securityContext.capabilities.drop", ["NET_RAW"], "no items match contains schema"),
    ("orbitServer.externalService.ports", ["ssh"], "value must be one of"),
    ("ingress.hosts", [{"paths": [{"path": "/", "port": "redis"}]}], "value must be one of"),
    ("networkPolicy.policyTypes", ["Both"], "value must be one of"),
    ("monitoring.serviceMonitor.interval", "30", "does not match pattern"),
    ("config.extra", {"logging": {"a": {"b": 1}}}, "got object, want boolean"),
    ("extraObjects", [{"kind": "ConfigMap"}], "missing properties"),
    ("extraObjects", [{"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "a"}}], "'not' failed"),
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
    ("persistence.volumeAttributesClass", "Gold!", "does not match pattern"),
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
    ("autoscaling", {"enabled": True, "minReplicas": 11}, "minReplicas 11 is more than autoscaling.maxReplicas 10"),
    ("autoscaling", {"enabled": True, "targetCPUUtilizationPercentage": 0}, "autoscaling has no metric to go by"),
    ("livenessProbe", {"httpGet": {"path": "/"}, "tcpSocket": {"port": 1}}, "has httpGet and tcpSocket"),
    ("orbitServer.service.redisPort", 5432, "redis have the same port 5432"),
    ("ingress.enabled", True, "ingress.hosts is empty"),
    ("gateway.grpcRoute.enabled", True, "gateway.parentRefs is empty"),
    ("certificate.enabled", True, "certificate.issuerRef.name is empty"),
    ("externalSecrets.secretStore.enabled", True, "externalSecrets.secretStore.provider is empty"),
    ("externalSecrets.secrets", [{"name": "a"}], "has neither data nor dataFrom"),
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
