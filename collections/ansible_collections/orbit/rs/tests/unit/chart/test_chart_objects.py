# SPDX-License-Identifier: GPL-3.0-or-later
"""What the chart renders, object by object."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from ansible_collections.orbit.rs.tests.unit.chart import helpers as h

SELECTOR = {"app.kubernetes.io/name": "orbit-rs", "app.kubernetes.io/instance": "orbit-rs"}
PORTS = {
    "grpc": 50051,
    "http": 8080,
    "metrics": 9090,
    "redis": 6379,
    "postgres": 5432,
    "mysql": 3306,
    "cql": 9042,
    "cypher": 7687,
    "aql": 8529,
}
CONFIG = {
    "server": {"bind": "0.0.0.0", "data_dir": "/app/data", "grpc_port": 50051, "http_port": 8080, "metrics_port": 9090},
    "protocols": {f"{name}_port": port for name, port in PORTS.items() if name not in ("grpc", "http", "metrics")},
    "logging": {"level": "info"},
    "transactions": {"max_connections": 20},
    "saga": {"max_execution_time_seconds": 3600},
    "performance": {"worker_threads": 4, "max_blocking_threads": 512},
    "tls": {"enabled": False, "cert_file": "/app/certs/tls.crt", "key_file": "/app/certs/tls.key"},
}


def test_objects_and_their_names() -> None:
    assert set(h.render()) == {
        "ConfigMap/orbit-server-config",
        "PodDisruptionBudget/orbit-server",
        "Service/orbit-server",
        "Service/orbit-server-headless",
        "ServiceAccount/orbit-server",
        "StatefulSet/orbit-server",
    }


def test_names_do_not_follow_the_release() -> None:
    assert set(h.render(release="another")) == set(h.render())


def test_another_name_reaches_everything() -> None:
    objects = h.render({"nameOverride": "db"})
    assert set(objects) == {key.replace("orbit-server", "db") for key in h.render()}
    spec = objects["StatefulSet/db"]["spec"]
    assert spec["serviceName"] == "db-headless"
    assert spec["template"]["spec"]["serviceAccountName"] == "db"
    assert spec["template"]["spec"]["volumes"][0]["configMap"]["name"] == "db-config"


@pytest.mark.parametrize("release", ["123", "1e3", "true", "0x1f"])
def test_release_name_that_looks_like_another_type(release: str) -> None:
    for obj in h.render(release=release).values():
        assert obj["metadata"]["labels"]["app.kubernetes.io/instance"] == release


def test_labels() -> None:
    for obj in h.render().values():
        assert obj["metadata"]["labels"] == {
            **SELECTOR,
            "app.kubernetes.io/version": "v0.1.0",
            "app.kubernetes.io/managed-by": "Helm",
            "helm.sh/chart": "orbit-rs-0.1.0",
        }


def test_nothing_of_a_version_where_it_restarts_or_is_immutable() -> None:
    """A version label in a claim template makes every upgrade fail; on a pod it restarts all of them."""
    spec = h.statefulset()["spec"]
    assert spec["selector"] == {"matchLabels": SELECTOR}
    assert spec["template"]["metadata"]["labels"] == SELECTOR
    assert [claim["metadata"] for claim in spec["volumeClaimTemplates"]] == [{"name": "data", "labels": SELECTOR}]
    assert "0.1.0" not in str(spec).replace("orbit-server:v0.1.0", "")


# Services


def test_services_have_every_port() -> None:
    declared = {port["name"]: port["containerPort"] for port in h.container()["ports"]}
    assert declared == PORTS
    for name in ("Service/orbit-server", "Service/orbit-server-headless"):
        spec = h.render()[name]["spec"]
        assert spec["selector"] == SELECTOR
        assert {port["name"]: port["port"] for port in spec["ports"]} == PORTS
        assert all(port["targetPort"] == port["name"] for port in spec["ports"])


def test_headless_service_names_peers_before_they_are_ready() -> None:
    spec = h.render()["Service/orbit-server-headless"]["spec"]
    assert spec["clusterIP"] == "None"
    assert spec["publishNotReadyAddresses"] is True
    assert h.statefulset()["spec"]["serviceName"] == "orbit-server-headless"


def test_client_service() -> None:
    values = {"orbitServer": {"service": {"type": "LoadBalancer", "annotations": {"a/b": "1"}}}}
    service = h.render(values)["Service/orbit-server"]
    assert service["spec"]["type"] == "LoadBalancer"
    assert service["metadata"]["annotations"] == {"a/b": "1"}
    spec = h.render()["Service/orbit-server"]["spec"]
    assert spec["type"] == "ClusterIP"
    assert "publishNotReadyAddresses" not in spec


def test_plan_digest_touches_only_the_headless_service() -> None:
    plain, digested = h.render(), h.render({"planDigest": "1e10"})
    service = digested["Service/orbit-server-headless"]
    assert service["metadata"].pop("annotations") == {"orbit.rs/plan-digest": "1e10"}
    assert digested == plain


# Configuration


def test_configuration_file() -> None:
    assert tomllib.loads(h.config()) == CONFIG


def test_every_key_of_the_configuration() -> None:
    values = {
        "logging": {"level": "trace"},
        "transactions": {"maxConnections": 51},
        "saga": {"maxExecutionTimeSeconds": 7201},
        "performance": {"workerThreads": 9, "maxBlockingThreads": 1025},
        "tls": {"enabled": True, "certFile": "/c", "keyFile": "/k"},
    }
    assert tomllib.loads(h.config({"config": values})) == {
        "server": CONFIG["server"],
        "protocols": CONFIG["protocols"],
        "logging": {"level": "trace"},
        "transactions": {"max_connections": 51},
        "saga": {"max_execution_time_seconds": 7201},
        "performance": {"worker_threads": 9, "max_blocking_threads": 1025},
        "tls": {"enabled": True, "cert_file": "/c", "key_file": "/k"},
    }


def test_huge_numbers_stay_whole() -> None:
    huge = 2147483647
    values = {
        "orbitServer": {
            "replicaCount": huge,
            "terminationGracePeriodSeconds": huge,
            "preStopSleepSeconds": 2097152,
            "tolerations": [{"key": "a", "operator": "Exists", "tolerationSeconds": huge}],
        },
        "config": {"performance": {"maxBlockingThreads": 1000000}},
        "podDisruptionBudget": {"maxUnavailable": 2097152},
        "startupProbe": {"failureThreshold": huge, "periodSeconds": 2097152},
        "resources": {"limits": {"memory": 8589934592}},
    }
    assert "e+" not in h.text(values)
    assert tomllib.loads(h.config(values))["performance"]["max_blocking_threads"] == 1000000
    assert h.statefulset(values)["spec"]["replicas"] == huge
    assert h.pod(values)["tolerations"][0]["tolerationSeconds"] == huge
    assert h.container(values)["resources"]["limits"]["memory"] == 8589934592
    assert h.render(values)["PodDisruptionBudget/orbit-server"]["spec"]["maxUnavailable"] == 2097152


@pytest.mark.parametrize(
    "path",
    [
        '/a "quoted" b',
        "/back\\slash\\n",
        "/it's",
        "/#hash",
        "/<a>&b",
        "/{{ .Values }}",
        "/é漢🙂",
        "/a = [1]",
        "/ '''",
        "/\u2028",
    ],
)
def test_awkward_strings(path: str) -> None:
    values = {"config": {"tls": {"certFile": path}}}
    assert tomllib.loads(h.config(values))["tls"]["cert_file"] == path


@pytest.mark.parametrize("text", ["true", "1e3", "012", "null", "a: b", "- a", "#", "", '"', "1:30", "é"])
def test_strings_of_kubernetes_stay_strings(text: str) -> None:
    values = {"orbitServer": {"podAnnotations": {"a": text}, "env": [{"name": "A", "value": text}]}}
    assert h.statefulset(values)["spec"]["template"]["metadata"]["annotations"]["a"] == text
    assert h.container(values)["env"] == [{"name": "A", "value": text}]


def checksum(values: dict[str, Any] | None = None) -> str:
    return str(h.statefulset(values)["spec"]["template"]["metadata"]["annotations"]["checksum/config"])


def test_configuration_restarts_pods_and_nothing_else_does() -> None:
    assert checksum({"config": {"logging": {"level": "debug"}}}) != checksum()
    assert checksum({"persistence": {"size": "20Gi"}, "planDigest": "a"}) == checksum()


# StatefulSet


def test_update_strategy_is_the_type_alone() -> None:
    """Anything below it would reset the partition that an upgrade sets on the live object."""
    guide = h.guide()["Automated Recovery"]["strategy"]
    for values in ({}, {"strategy": guide}):
        assert h.statefulset(values)["spec"]["updateStrategy"] == {"type": "RollingUpdate"}


def test_ineffective_values_are_named() -> None:
    notes = h.outcome({"strategy": h.guide()["Automated Recovery"]["strategy"]})[1]
    assert "strategy.rollingUpdate.maxSurge has no effect: a StatefulSet has no such field" in notes
    assert "strategy.rollingUpdate.maxUnavailable has no effect: pods are replaced one at a time" in notes
    assert "WARNING" not in h.outcome()[1]


def test_pods_are_managed_in_parallel() -> None:
    spec = h.statefulset()["spec"]
    assert spec["podManagementPolicy"] == "Parallel"
    assert spec["replicas"] == 3


def test_stop() -> None:
    assert h.pod()["terminationGracePeriodSeconds"] == 60
    assert h.container()["lifecycle"] == {"preStop": {"sleep": {"seconds": 3}}}
    assert h.container(kubernetes="1.30.0")["lifecycle"] == {"preStop": {"sleep": {"seconds": 3}}}
    assert h.container(kubernetes="1.29.9")["lifecycle"] == {"preStop": {"exec": {"command": ["sleep", "3"]}}}
    assert "lifecycle" not in h.container({"orbitServer": {"preStopSleepSeconds": 0}})


def test_command() -> None:
    container = h.container()
    assert container["name"] == "orbit-server"
    assert container["command"] == ["/app/orbit-server", "--config", "/tmp/orbit-server.toml"]
    assert "env" not in container


def test_image() -> None:
    digest = "sha256:" + "0" * 64
    assert h.container()["image"] == "orbit-rs/orbit-server:v0.1.0"
    assert h.container()["imagePullPolicy"] == "IfNotPresent"
    image: dict[str, Any] = {"repository": "registry.example.org:5000/a/b", "tag": "v0.2.0", "pullPolicy": "Always"}
    assert h.container({"orbitServer": {"image": image}})["image"] == "registry.example.org:5000/a/b:v0.2.0"
    assert h.container({"orbitServer": {"image": image}})["imagePullPolicy"] == "Always"
    image["digest"] = digest
    assert h.container({"orbitServer": {"image": image}})["image"] == f"registry.example.org:5000/a/b:v0.2.0@{digest}"


@pytest.mark.parametrize(("probe", "path"), [("startup", "startup"), ("liveness", "live"), ("readiness", "ready")])
def test_probes(probe: str, path: str) -> None:
    key = f"{probe}Probe"
    rendered = h.container()[key]
    assert rendered.pop("httpGet") == {"path": f"/health/{path}", "port": "http"}
    assert rendered == {name: value for name, value in h.DEFAULTS[key].items() if name != "enabled"}
    assert key not in h.container({key: {"enabled": False}})
    numbers = {"initialDelaySeconds": 11, "periodSeconds": 12, "timeoutSeconds": 13, "failureThreshold": 14}
    assert h.container({key: numbers})[key].items() >= numbers.items()


def test_a_fast_server_serves_at_once_and_a_slow_one_may_take_five_minutes() -> None:
    container = h.container()
    assert container["startupProbe"]["periodSeconds"] == 2
    assert container["startupProbe"]["periodSeconds"] * container["startupProbe"]["failureThreshold"] == 300
    assert container["readinessProbe"]["initialDelaySeconds"] == 0


def test_resources_top_level_wins_field_by_field() -> None:
    values = {
        "orbitServer": {"resources": {"limits": {"cpu": "3", "memory": "3Gi"}}},
        "resources": {"limits": {"memory": "8Gi"}, "requests": {"ephemeral-storage": "1Gi"}},
    }
    assert h.container(values)["resources"] == {
        "requests": {"cpu": "250m", "memory": "512Mi", "ephemeral-storage": "1Gi"},
        "limits": {"cpu": "3", "memory": "8Gi"},
    }


def test_a_limit_can_be_taken_away() -> None:
    values = {"orbitServer": {"resources": {"limits": {"cpu": None}}}}
    assert h.container(values)["resources"]["limits"] == {"memory": "2Gi"}


def test_spread() -> None:
    def constraints(values: dict[str, Any] | None = None) -> dict[str, str]:
        found = {}
        for item in h.pod(values)["topologySpreadConstraints"]:
            assert item["maxSkew"] == 1
            assert item["labelSelector"] == {"matchLabels": SELECTOR}
            found[item["topologyKey"]] = item["whenUnsatisfiable"]
        return found

    zone, host = "topology.kubernetes.io/zone", "kubernetes.io/hostname"
    assert constraints() == {zone: "ScheduleAnyway", host: "ScheduleAnyway"}
    assert constraints({"topologySpread": {"zone": "DoNotSchedule"}}) == {zone: "DoNotSchedule", host: "ScheduleAnyway"}
    assert constraints({"topologySpread": {"host": "DoNotSchedule"}}) == {zone: "ScheduleAnyway", host: "DoNotSchedule"}


def test_zone_label_of_the_guide_is_translated_and_named() -> None:
    values = {"affinity": h.guide()["Multi-Zone Deployment"]["affinity"]}
    (term,) = h.pod(values)["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert term["topologyKey"] == "topology.kubernetes.io/zone"
    manifest, notes = h.outcome(values)
    assert "failure-domain" not in manifest
    assert "WARNING: affinity: no node carries failure-domain.beta.kubernetes.io/" in notes


def test_scheduling() -> None:
    tolerations = [{"key": "db", "operator": "Equal", "value": "orbit", "effect": "NoSchedule"}]
    pod = h.pod(
        {
            "imagePullSecrets": [{"name": "pull"}],
            "orbitServer": {
                "nodeSelector": {"disk": "ssd"},
                "tolerations": tolerations,
                "priorityClassName": "high",
            },
        }
    )
    assert pod["nodeSelector"] == {"disk": "ssd"}
    assert pod["tolerations"] == tolerations
    assert pod["priorityClassName"] == "high"
    assert pod["imagePullSecrets"] == [{"name": "pull"}]
    assert not {"nodeSelector", "tolerations", "priorityClassName", "imagePullSecrets", "affinity"} & set(h.pod())


def test_pod_metadata() -> None:
    values = {"orbitServer": {"podLabels": {"team": "db"}, "podAnnotations": {"a/b": "c"}}}
    metadata = h.statefulset(values)["spec"]["template"]["metadata"]
    assert metadata["labels"] == {**SELECTOR, "team": "db"}
    assert metadata["annotations"] == {"checksum/config": checksum(), "a/b": "c"}


# Volumes


def test_volumes() -> None:
    assert {mount["mountPath"]: mount["name"] for mount in h.container()["volumeMounts"]} == {
        "/app/data": "data",
        "/tmp": "tmp",
        "/tmp/orbit-server.toml": "config",
    }
    assert h.container()["volumeMounts"][2]["subPath"] == "orbit-server.toml"
    assert h.pod()["volumes"] == [
        {"name": "config", "configMap": {"name": "orbit-server-config"}},
        {"name": "tmp", "emptyDir": {}},
    ]


def test_claims() -> None:
    def claim(values: dict[str, Any] | None = None) -> Any:
        return h.statefulset(values)["spec"]["volumeClaimTemplates"][0]["spec"]

    assert claim() == {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Gi"}}}
    changed = claim({"persistence": {"size": "20Gi", "storageClass": "fast-ssd"}})
    assert changed["storageClassName"] == "fast-ssd"
    assert changed["resources"] == {"requests": {"storage": "20Gi"}}


def test_claims_are_kept() -> None:
    keep = {"whenDeleted": "Retain", "whenScaled": "Retain"}
    assert h.statefulset()["spec"]["persistentVolumeClaimRetentionPolicy"] == keep
    assert h.statefulset(kubernetes="1.27.0")["spec"]["persistentVolumeClaimRetentionPolicy"] == keep
    assert "persistentVolumeClaimRetentionPolicy" not in h.statefulset(kubernetes="1.26.9")["spec"]


def test_without_persistence() -> None:
    values = {"persistence": {"enabled": False}}
    spec = h.statefulset(values)["spec"]
    assert not {"volumeClaimTemplates", "persistentVolumeClaimRetentionPolicy"} & set(spec)
    assert {"name": "data", "emptyDir": {}} in spec["template"]["spec"]["volumes"]
    assert "the data of an ordinal is lost with its pod" in h.outcome(values)[1]


def test_tls_of_the_guide() -> None:
    values = h.guide()["TLS Configuration"]
    assert {"name": "tls-certs", "secret": {"secretName": "orbit-rs-tls"}} in h.pod(values)["volumes"]
    mount = {"name": "tls-certs", "mountPath": "/app/certs", "readOnly": True}
    assert mount in h.container(values)["volumeMounts"]
    assert tomllib.loads(h.config(values))["tls"]["enabled"] is True


# ServiceAccount and PodDisruptionBudget


def test_no_token() -> None:
    assert h.render()["ServiceAccount/orbit-server"]["automountServiceAccountToken"] is False
    assert h.pod()["automountServiceAccountToken"] is False


@pytest.mark.parametrize(
    ("values", "created", "used"),
    [
        ({}, "orbit-server", "orbit-server"),
        ({"name": "mine"}, "mine", "mine"),
        ({"create": False, "name": "mine"}, None, "mine"),
        ({"create": False}, None, "default"),
    ],
)
def test_service_account(values: dict[str, Any], created: str | None, used: str) -> None:
    rendered = [key for key in h.render({"serviceAccount": values}) if key.startswith("ServiceAccount/")]
    assert rendered == ([f"ServiceAccount/{created}"] if created else [])
    assert h.pod({"serviceAccount": values})["serviceAccountName"] == used


def budget(values: dict[str, Any], kubernetes: str = h.NEWEST) -> Any:
    return h.render(values, kubernetes).get("PodDisruptionBudget/orbit-server", {}).get("spec")


def test_budget() -> None:
    selector = {"matchLabels": SELECTOR}
    always = {"selector": selector, "unhealthyPodEvictionPolicy": "AlwaysAllow"}
    assert budget({}) == {**always, "maxUnavailable": 1}
    assert budget({}, "1.27.0") == {**always, "maxUnavailable": 1}
    assert budget({}, "1.26.9") == {"selector": selector, "maxUnavailable": 1}
    assert budget(h.guide()["Pod Disruption Budget"]) == {**always, "minAvailable": 2}
    assert budget({"podDisruptionBudget": {"minAvailable": "50%"}}) == {**always, "minAvailable": "50%"}
    assert budget({"podDisruptionBudget": {"maxUnavailable": "34%"}}) == {**always, "maxUnavailable": "34%"}


def test_no_budget_where_it_would_block_every_drain() -> None:
    assert budget({"orbitServer": {"replicaCount": 1}}) is None
    assert budget({"podDisruptionBudget": {"enabled": False}}) is None


@pytest.mark.parametrize(
    ("replicas", "minimum"), [(1, 1), (1, 2), (2, 2), (3, 3), (3, 4), (2, "51%"), (3, "67%"), (4, "100%"), (3, 2097152)]
)
def test_budget_that_can_never_be_satisfied_is_refused(replicas: int, minimum: int | str) -> None:
    pdb: dict[str, Any] = {"minAvailable": minimum}
    values = {"orbitServer": {"replicaCount": replicas}, "podDisruptionBudget": pdb}
    message = h.refusal(values)
    assert f"minAvailable {minimum} can never be satisfied at orbitServer.replicaCount {replicas}" in message
    assert "maxUnavailable 1 is the default" in message
    pdb["enabled"] = False
    assert budget(values) is None


@pytest.mark.parametrize(("replicas", "minimum"), [(2, 1), (2, "50%"), (3, 2), (3, "66%"), (10, "90%")])
def test_budget_that_leaves_one_pod_is_accepted(replicas: int, minimum: int | str) -> None:
    values = {"orbitServer": {"replicaCount": replicas}, "podDisruptionBudget": {"minAvailable": minimum}}
    assert budget(values)["minAvailable"] == minimum
    assert "maxUnavailable" not in budget(values)
