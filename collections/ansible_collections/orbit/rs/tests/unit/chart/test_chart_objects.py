# SPDX-License-Identifier: GPL-3.0-or-later
"""What the chart renders, object by object."""

from __future__ import annotations

import json
import pathlib
import shutil
import tempfile
import tomllib
from typing import Any

import pytest
import yaml
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
    for name, obj in h.render().items():
        peers = {"app.kubernetes.io/component": "peers"} if name == "Service/orbit-server-headless" else {}
        assert obj["metadata"]["labels"] == {
            **peers,
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
    numbers = {name: value for name, value in h.DEFAULTS[key].items() if name != "enabled" and value != {}}
    assert rendered == numbers
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


def test_budget_under_an_autoscaler_has_to_live_with_its_minimum() -> None:
    scaled: dict[str, Any] = {"autoscaling": {"enabled": True, "minReplicas": 2}, "orbitServer": {"replicaCount": 5}}
    message = h.refusal(h.merge(scaled, h.guide()["Pod Disruption Budget"]))
    assert "minAvailable 2 can never be satisfied at autoscaling.minReplicas 2" in message
    scaled["autoscaling"]["minReplicas"] = 3
    assert budget(h.merge(scaled, h.guide()["Pod Disruption Budget"]))["minAvailable"] == 2
    one = {"autoscaling": {"enabled": True, "minReplicas": 1}, "orbitServer": {"replicaCount": 1}}
    assert budget(one)["maxUnavailable"] == 1, "there can be more than one"


# Autoscaling


def autoscaler(values: dict[str, Any]) -> Any:
    return h.render({"autoscaling": {"enabled": True, **values}})["HorizontalPodAutoscaler/orbit-server"]["spec"]


def test_autoscaler() -> None:
    assert autoscaler({}) == {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "orbit-server"},
        "minReplicas": 3,
        "maxReplicas": 10,
        "metrics": [
            {
                "type": "Resource",
                "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}},
            }
        ],
        "behavior": {"scaleDown": {"selectPolicy": "Disabled"}},
    }
    metrics = autoscaler({"targetCPUUtilizationPercentage": 0, "targetMemoryUtilizationPercentage": 80})["metrics"]
    assert [metric["resource"]["name"] for metric in metrics] == ["memory"]
    slow = {"selectPolicy": "Max", "stabilizationWindowSeconds": 600}
    assert autoscaler({"behavior": {"scaleDown": slow}})["behavior"] == {"scaleDown": slow}


def test_the_count_stays_in_the_statefulset_under_an_autoscaler() -> None:
    """Left out, a running release would drop to one server."""
    for count in (1, 5, 20):
        values = {"autoscaling": {"enabled": True}, "orbitServer": {"replicaCount": count}}
        assert h.statefulset(values)["spec"]["replicas"] == count


def test_autoscaling_by_what_is_not_requested_is_refused() -> None:
    resources = {"orbitServer": {"resources": {"requests": {"cpu": None}, "limits": {"cpu": None}}}}
    assert "Set resources.requests.cpu" in h.refusal({"autoscaling": {"enabled": True}, **resources})
    resources["orbitServer"]["resources"]["limits"]["cpu"] = "1"  # a limit without a request is the request
    h.render({"autoscaling": {"enabled": True}, **resources})


# The server of the snapshot


def test_snapshot_command() -> None:
    container = h.container(h.merge(h.SNAPSHOT, {"orbitServer": {"extraArgs": ["--dev-mode"]}}))
    assert container["command"] == [
        "/app/orbit-server",
        "--config=/app/none.toml",
        "--bind=0.0.0.0",
        "--data-dir=/app/data",
        "--grpc-port=50051",
        "--metrics-port=9090",
        "--redis-port=16379",
        "--postgres-port=15432",
        "--mysql-port=3306",
        "--cql-port=9042",
        "--log-level=info",
        "--dev-mode",
    ]
    assert container["workingDir"] == "/app"
    assert container["env"] == [{"name": "TOKIO_WORKER_THREADS", "value": "4"}]


def test_snapshot_has_no_file() -> None:
    assert not [name for name in h.render(h.SNAPSHOT) if name.startswith("ConfigMap/")]
    assert {volume["name"] for volume in h.pod(h.SNAPSHOT)["volumes"]} == {"tmp"}
    assert {mount["name"] for mount in h.container(h.SNAPSHOT)["volumeMounts"]} == {"data", "tmp"}
    assert "annotations" not in h.statefulset(h.SNAPSHOT)["spec"]["template"]["metadata"]


def test_snapshot_stops_at_sigterm() -> None:
    """Not as PID 1: there it ignores SIGTERM."""
    assert h.pod(h.SNAPSHOT)["shareProcessNamespace"] is True
    assert "shareProcessNamespace" not in h.pod()


def test_snapshot_ports() -> None:
    pods = {port["name"]: port["containerPort"] for port in h.container(h.SNAPSHOT)["ports"]}
    assert pods == {name: port for name, port in PORTS.items() if name != "http"} | {"redis": 16379, "postgres": 15432}
    services = h.render(h.SNAPSHOT)
    mapped = {port["name"]: port["port"] for port in services["Service/orbit-server"]["spec"]["ports"]}
    assert mapped == {name: port for name, port in PORTS.items() if name != "http"}
    # A headless Service maps nothing: it has to say what the pods have.
    assert {port["name"]: port["port"] for port in services["Service/orbit-server-headless"]["spec"]["ports"]} == pods


def test_snapshot_probes() -> None:
    container = h.container(h.SNAPSHOT)
    assert container["startupProbe"]["tcpSocket"] == container["readinessProbe"]["tcpSocket"] == {"port": "grpc"}
    assert container["livenessProbe"]["httpGet"] == {"path": "/metrics", "port": "metrics"}
    future = h.merge(h.SNAPSHOT, {"readinessProbe": {"httpGet": {"path": "/health", "port": 8080}}})
    assert h.container(future)["readinessProbe"]["httpGet"] == {"path": "/health", "port": 8080}


def test_snapshot_monitoring() -> None:
    on = {"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}, "prometheusRule": {"enabled": True}}
    values = {"monitoring": {**on, "grafanaDashboard": {"enabled": True}}}
    objects = h.render(h.merge(h.SNAPSHOT, values))
    for monitor in ("ServiceMonitor", "PodMonitor"):
        assert objects[f"{monitor}/orbit-server"]["spec"]["fallbackScrapeProtocol"] == "PrometheusText0.0.4"
        assert "fallbackScrapeProtocol" not in h.render(values)[f"{monitor}/orbit-server"]["spec"]
    rules = objects["PrometheusRule/orbit-server"]["spec"]["groups"][0]["rules"]
    assert "orbit_" not in str([rule["expr"] for rule in rules]), "it exports no metric of its own"
    assert len(objects["ConfigMap/orbit-server-dashboard"]["data"]) == 1


def test_snapshot_refuses_tls() -> None:
    message = h.refusal(h.merge(h.SNAPSHOT, {"config": {"tls": {"enabled": True}}}))
    assert "has no TLS. End TLS in front of it" in message


# Access


def test_no_rights_by_default_and_those_of_the_guide_on_request() -> None:
    assert not [name for name in h.render() if "Role" in name]
    objects = h.render({"rbac": {"create": True}})

    def rules(name: str) -> dict[str, set[str]]:
        return {resource: set(rule["verbs"]) for rule in objects[name]["rules"] for resource in rule["resources"]}

    read, write = {"get", "list", "watch"}, {"create", "update", "patch"}
    assert rules("Role/orbit-server") == {
        "pods": read,
        "services": read,
        "endpoints": read,
        "endpointslices": read,
        "events": write,
        "leases": read | write | {"delete"},
    }
    assert rules("ClusterRole/orbit-rs-orbit-server") == {"nodes": read}
    for binding in ("RoleBinding/orbit-server", "ClusterRoleBinding/orbit-rs-orbit-server"):
        account = {"kind": "ServiceAccount", "name": "orbit-server", "namespace": "orbit-rs"}
        assert objects[binding]["subjects"] == [account]
    assert h.pod({"rbac": {"create": True}})["automountServiceAccountToken"] is True
    assert "ClusterRole/orbit-rs-orbit-server" not in h.render({"rbac": {"create": True, "clusterRole": False}})


def test_external_service() -> None:
    external = {"enabled": True, "ports": ["postgres", "grpc"], "annotations": {"a/b": "c"}}
    values = {"orbitServer": {"externalService": external, "service": {"postgresPort": 15433}}}
    service = h.render(values)["Service/orbit-server-external"]
    assert service["metadata"]["annotations"] == {"a/b": "c"}
    assert service["spec"] == {
        "type": "LoadBalancer",
        "selector": SELECTOR,
        "externalTrafficPolicy": "Cluster",
        "sessionAffinity": "None",
        "ports": [
            {"name": "postgres", "port": 15433, "targetPort": "postgres"},
            {"name": "grpc", "port": 50051, "targetPort": "grpc"},
        ],
    }


@pytest.mark.parametrize(
    ("name", "annotation"),
    [
        ("nginx", {"nginx.ingress.kubernetes.io/backend-protocol": "GRPC"}),
        ("alb", {"alb.ingress.kubernetes.io/backend-protocol-version": "GRPC"}),
        ("haproxy", {"haproxy.org/server-proto": "h2"}),
        ("traefik", {}),
        ("", {}),
    ],
)
def test_ingress_says_grpc_in_the_words_of_its_class(name: str, annotation: dict[str, str]) -> None:
    def rendered(port: str = "grpc", annotations: dict[str, str] | None = None) -> h.Object:
        hosts = [{"host": "a.example.org", "paths": [{"path": "/", "port": port}]}]
        values = {"enabled": True, "className": name, "hosts": hosts, "annotations": annotations or {}}
        return h.render({"ingress": values})["Ingress/orbit-server"]

    ingress = rendered()
    assert ingress["metadata"].get("annotations", {}) == annotation
    assert ingress["spec"].get("ingressClassName", "") == name
    backend = {"service": {"name": "orbit-server", "port": {"number": 50051}}}
    path = {"path": "/", "pathType": "Prefix", "backend": backend}
    assert ingress["spec"]["rules"] == [{"host": "a.example.org", "http": {"paths": [path]}}]
    http = rendered("http")
    assert "annotations" not in http["metadata"]
    assert http["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["port"] == {"number": 8080}
    for key in annotation:
        assert rendered(annotations={key: "MINE"})["metadata"]["annotations"] == {key: "MINE"}


def test_routes() -> None:
    objects = h.render({"gateway": h.EVERYTHING["gateway"]})
    parent = {"name": "public", "namespace": "gateways"}
    for kind, port in (("HTTPRoute", 8080), ("GRPCRoute", 50051)):
        spec = objects[f"{kind}/orbit-server"]["spec"]
        backend = {"backendRefs": [{"name": "orbit-server", "port": port}]}
        assert spec == {"parentRefs": [parent], "hostnames": ["orbit.example.org"], "rules": [backend]}
    redis = objects["TCPRoute/orbit-server-redis"]["spec"]
    assert redis["parentRefs"] == [{**parent, "sectionName": "redis"}]
    assert redis["rules"] == [{"backendRefs": [{"name": "orbit-server", "port": 6379}]}]
    assert objects["TCPRoute/orbit-server-postgres"]["spec"]["parentRefs"] == [parent]


def test_what_stands_in_front_is_led_to_the_ports_of_the_service() -> None:
    values = h.merge(
        h.SNAPSHOT, {"gateway": {"parentRefs": [{"name": "a"}], "tcpRoute": {"routes": [{"port": "redis"}]}}}
    )
    route = h.render(values)["TCPRoute/orbit-server-redis"]["spec"]
    assert route["rules"][0]["backendRefs"][0]["port"] == 6379, "not 16379, which only the pods have"


# Network policy: a connection matrix over the rendered object, as an enforcing network would judge

OWN, CLIENT, GATEWAY, MONITORING, OTHER = "orbit-rs", "shop", "ingress-nginx", "monitoring", "somewhere"


def allows(
    policy: h.Object, direction: str, namespace: str, labels: dict[str, str], port: int, protocol: str = "TCP"
) -> bool:
    """Whether the policy lets a pod with these labels in this namespace through."""
    if direction.title() not in policy["spec"]["policyTypes"]:
        return True

    def peer(item: h.Object) -> bool:
        if "ipBlock" in item:
            return False
        if "namespaceSelector" in item:
            for term in item["namespaceSelector"].get("matchExpressions", []):
                assert (term["key"], term["operator"]) == ("kubernetes.io/metadata.name", "In")
                if namespace not in term["values"]:
                    return False
        elif namespace != OWN:
            return False
        wanted = item.get("podSelector", {}).get("matchLabels", {})
        return all(labels.get(key) == value for key, value in wanted.items())

    for rule in policy["spec"][direction]:
        peers, ports = rule.get("from" if direction == "ingress" else "to"), rule.get("ports")
        if (not peers or any(map(peer, peers))) and (
            not ports or any((item["port"], item.get("protocol", "TCP")) == (port, protocol) for item in ports)
        ):
            return True
    return False


MATRIX: list[tuple[str, str, dict[str, str], set[str]]] = [
    # direction, namespace, labels, ports that are open
    ("ingress", OWN, SELECTOR, {"grpc"}),
    ("ingress", OWN, {}, set()),
    ("ingress", OTHER, SELECTOR, set()),
    ("ingress", CLIENT, {}, set(PORTS) - {"metrics"}),
    ("ingress", GATEWAY, {}, {"grpc"}),
    ("ingress", MONITORING, {}, {"metrics"}),
    ("egress", OWN, SELECTOR, {"grpc"}),
    ("egress", OWN, {}, set()),
    ("egress", OTHER, SELECTOR, set()),
]


def policy(**values: Any) -> h.Object:
    named = {"enabled": True, "ingressNamespaces": [GATEWAY], "clientNamespaces": [CLIENT]}
    return h.render({"networkPolicy": {**named, **values}})["NetworkPolicy/orbit-server"]


@pytest.mark.parametrize(("direction", "namespace", "labels", "opened"), MATRIX)
def test_network_policy(direction: str, namespace: str, labels: dict[str, str], opened: set[str]) -> None:
    rendered = policy()
    assert rendered["spec"]["podSelector"] == {"matchLabels": SELECTOR}
    found = {name for name, port in PORTS.items() if allows(rendered, direction, namespace, labels, port)}
    assert found == opened
    assert not allows(rendered, direction, namespace, labels, 22)


def test_network_policy_lets_names_be_resolved() -> None:
    for protocol in ("TCP", "UDP"):
        assert allows(policy(), "egress", "kube-system", {}, 53, protocol)
    assert not allows(policy(), "egress", "kube-system", {}, 443)


def test_network_policy_of_the_guide_is_an_option() -> None:
    rendered = policy(openToAll=True)
    assert allows(rendered, "ingress", OTHER, {}, 8080) and allows(rendered, "ingress", OTHER, {}, 9090)
    assert not allows(rendered, "ingress", OTHER, {}, 6379)
    assert allows(rendered, "egress", OTHER, {}, 443)


def test_network_policy_opens_what_is_led_in_from_outside() -> None:
    def ports(values: dict[str, Any], namespace: str = GATEWAY) -> set[str]:
        on = {"networkPolicy": {"enabled": True, "ingressNamespaces": [GATEWAY]}}
        rendered = h.render(h.merge(on, values))["NetworkPolicy/orbit-server"]
        return {name for name, port in PORTS.items() if allows(rendered, "ingress", namespace, {}, port)}

    hosts = [{"paths": [{"path": "/", "port": "aql"}]}]
    assert ports({"ingress": {"enabled": True, "hosts": hosts}}) == {"grpc", "aql"}
    assert ports({"gateway": h.EVERYTHING["gateway"]}) == {"grpc", "http", "redis", "postgres"}
    external: dict[str, Any] = {"enabled": True, "ports": ["mysql"]}
    assert ports({"orbitServer": {"externalService": external}}, OTHER) == {"mysql"}
    external["loadBalancerSourceRanges"] = ["192.0.2.0/24"]
    assert ports({"orbitServer": {"externalService": external}}, OTHER) == set()


def test_network_policy_names_the_ports_of_the_pods() -> None:
    values = {"networkPolicy": {"enabled": True, "clientNamespaces": [CLIENT]}}
    rendered = h.render(h.merge(h.SNAPSHOT, values))["NetworkPolicy/orbit-server"]
    assert allows(rendered, "ingress", CLIENT, {}, 16379)
    assert not allows(rendered, "ingress", CLIENT, {}, 6379), "the Service has mapped it by then"


def test_a_direction_can_be_left_open() -> None:
    rendered = policy(policyTypes=["Ingress"])
    assert "egress" not in rendered["spec"]
    assert allows(rendered, "egress", OTHER, {}, 443)


# Monitoring


def test_monitors_scrape_every_ordinal_once() -> None:
    on = {"enabled": True, "additionalLabels": {"release": "prometheus"}}
    objects = h.render({"monitoring": {"serviceMonitor": on, "podMonitor": on}})
    monitor = objects["ServiceMonitor/orbit-server"]
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    selected = monitor["spec"]["selector"]["matchLabels"].items()
    services = [name for name in objects if name.startswith("Service/")]
    assert [name for name in services if selected <= objects[name]["metadata"]["labels"].items()] == [
        "Service/orbit-server-headless"
    ], "not also by the Service for clients"
    endpoint = {"port": "metrics", "path": "/metrics", "interval": "30s", "scrapeTimeout": "10s", "honorLabels": True}
    assert monitor["spec"]["endpoints"] == [endpoint]
    assert objects["PodMonitor/orbit-server"]["spec"]["podMetricsEndpoints"] == [endpoint]
    assert objects["PodMonitor/orbit-server"]["spec"]["selector"]["matchLabels"] == SELECTOR


def rules(**values: Any) -> list[h.Object]:
    monitoring = {"serviceMonitor": {"enabled": True}, "prometheusRule": {"enabled": True, **values}}
    (group,) = h.render({"monitoring": monitoring})["PrometheusRule/orbit-server"]["spec"]["groups"]
    return list(group["rules"])


ALERTS = {
    "OrbitServerDown": "critical",
    "OrbitServerHighMemoryUsage": "warning",
    "OrbitServerHighCPUUsage": "warning",
    "OrbitTransactionFailureRate": "warning",
    "OrbitSagaCompensationRate": "warning",
    "OrbitRecoveryFailure": "critical",
}


def test_alerts_of_the_guide() -> None:
    assert {rule["alert"]: rule["labels"]["severity"] for rule in rules()} == ALERTS
    for rule in rules(runbookUrl="https://example.org/"):
        assert rule["annotations"]["runbook_url"] == f"https://example.org/{rule['alert']}"
        assert {"summary", "description"} < set(rule["annotations"])
    assert {rule["alert"] for rule in rules(disabled=["OrbitServerDown"])} == set(ALERTS) - {"OrbitServerDown"}
    own = {"alert": "OrbitServerDown", "expr": "up == 0"}
    assert [rule for rule in rules(rules=[own]) if rule["alert"] == "OrbitServerDown"] == [own]


def test_dashboards_are_plain_models() -> None:
    values = {"monitoring": {"grafanaDashboard": {"enabled": True, "annotations": {"grafana_folder": "a"}}}}
    found = h.render(values)["ConfigMap/orbit-server-dashboard"]
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert found["metadata"]["annotations"] == {"grafana_folder": "a"}
    ids = set()
    for name, content in found["data"].items():
        assert name.startswith("orbit-rs-orbit-server-") and name.endswith(".json")
        model = json.loads(content)
        assert "dashboard" not in model, "that is the envelope of the HTTP API, which the sidecar does not read"
        assert model["schemaVersion"] >= 39
        ids.add(model["uid"])
        assert len(model["uid"]) <= 40
        assert len({panel["id"] for panel in model["panels"]}) == len(model["panels"])
        for panel in model["panels"]:
            assert panel["type"] == "timeseries"
            for target in panel["targets"]:
                assert "orbit-server" in target["expr"] and "$NAME" not in target["expr"]
    assert len(ids) == 2
    other = h.render({**values, "nameOverride": "db"})["ConfigMap/db-dashboard"]["data"].values()
    assert not ids & {json.loads(content)["uid"] for content in other}, "two releases have dashboards of their own"


# Secrets and certificates


def test_certificate() -> None:
    values = {"certificate": {"enabled": True, "issuerRef": {"name": "ca"}, "dnsNames": ["orbit.example.org"]}}
    spec = h.render(values)["Certificate/orbit-server"]["spec"]
    assert spec["secretName"] == "orbit-rs-tls", "what the guide's TLS block mounts"
    assert {
        "orbit-server",
        "orbit-server.orbit-rs.svc",
        "orbit-server-headless.orbit-rs",
        "*.orbit-server-headless",
        "*.orbit-server-headless.orbit-rs.svc",
        "orbit.example.org",
    } < set(spec["dnsNames"])
    assert spec["issuerRef"] == {"name": "ca", "kind": "ClusterIssuer", "group": "cert-manager.io"}
    edwards = h.merge(values, {"certificate": {"privateKey": {"algorithm": "Ed25519"}}})
    assert "size" not in h.render(edwards)["Certificate/orbit-server"]["spec"]["privateKey"]


def test_external_secrets() -> None:
    objects = h.render({"externalSecrets": h.EVERYTHING["externalSecrets"]})
    assert objects["SecretStore/vault-backend"]["spec"] == h.guide_objects()["SecretStore"]["spec"]
    secret = objects["ExternalSecret/orbit"]["spec"]
    assert secret["secretStoreRef"] == {"kind": "SecretStore", "name": "vault-backend"}
    assert secret["target"] == {"name": "orbit"}
    assert objects["ExternalSecret/more"]["spec"]["target"]["template"]["metadata"]["labels"] == {"a": "b"}
    shared = {"storeRef": {"kind": "ClusterSecretStore", "name": "shared"}}
    elsewhere = h.render({"externalSecrets": {**shared, "secrets": h.EVERYTHING["externalSecrets"]["secrets"]}})
    assert elsewhere["ExternalSecret/orbit"]["spec"]["secretStoreRef"] == shared["storeRef"]


# More of everything


def test_more_containers_are_restricted_like_the_servers() -> None:
    own = {"name": "logs", "image": "example.org/logs:1", "securityContext": {"runAsUser": 2000}}
    pod = h.pod({"extraContainers": [own], "initContainers": [{"name": "prepare", "image": "example.org/a:1"}]})
    server, logs = pod["containers"]
    assert server["name"] == "orbit-server", "the first one is the server"
    assert logs["securityContext"] == {**server["securityContext"], "runAsUser": 2000}
    assert pod["initContainers"][0]["securityContext"] == server["securityContext"]


def test_extra_objects_as_maps_and_as_templates() -> None:
    objects = h.render({"extraObjects": h.EVERYTHING["extraObjects"]})
    assert objects["ConfigMap/extra"]["data"] == {"a": "b"}
    assert "ConfigMap/orbit-server-more" in objects


def test_more_of_the_configuration_file() -> None:
    extra = {
        "logging": {"level": "warn", "format": "json"},
        "a.b": {"big": 2097152, "half": 0.5, "list": ["x", 1, True]},
    }
    found = tomllib.loads(h.config({"config": {"extra": extra}}))
    assert found["logging"] == {"level": "warn", "format": "json"}
    assert found["a"]["b"] == {"big": 2097152, "half": 0.5, "list": ["x", 1, True]}


def test_a_chart_version_restarts_nothing() -> None:
    """The pod template and the claims of two chart versions are the same."""
    with tempfile.TemporaryDirectory() as folder:
        copied = pathlib.Path(shutil.copytree(h.CHART, folder, dirs_exist_ok=True))
        chart = copied / "Chart.yaml"
        chart.write_text(chart.read_text().replace("version: 0.1.0", "version: 0.2.0"))
        image = {"orbitServer": {"image": {"tag": "v0.1.0"}}}
        done = h.helm(
            "template", "orbit-rs", str(copied), "--namespace", "orbit-rs", "--kube-version", h.NEWEST, values=image
        )
    (bumped,) = [obj for obj in yaml.safe_load_all(done.stdout) if obj and obj["kind"] == "StatefulSet"]
    assert bumped["metadata"]["labels"]["helm.sh/chart"] == "orbit-rs-0.2.0"
    assert bumped["spec"] == h.statefulset(image)["spec"]


NO_POD_SEES = (
    "autoscaling",
    "certificate",
    "externalSecrets",
    "extraObjects",
    "gateway",
    "ingress",
    "monitoring",
    "networkPolicy",
    "podDisruptionBudget",
    "strategy",
)


@pytest.mark.parametrize("key", NO_POD_SEES)
def test_a_value_that_no_pod_sees_restarts_none(key: str) -> None:
    values = {key: h.EVERYTHING[key]}
    assert h.statefulset(values)["spec"] == h.statefulset()["spec"]
