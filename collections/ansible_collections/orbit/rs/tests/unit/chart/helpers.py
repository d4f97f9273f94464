# SPDX-License-Identifier: GPL-3.0-or-later
"""Render the chart with the real helm, without a cluster."""

from __future__ import annotations

import copy
import functools
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

CHART = pathlib.Path(__file__).parents[3] / "charts" / "orbit-rs"
DATA = pathlib.Path(__file__).parent / "data"
DEFAULTS: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
NEWEST = "1.37.0"

Object = dict[str, Any]
Values = Mapping[str, Any]
Path = tuple[str, ...]


def helm(*args: str, values: Values | None = None) -> subprocess.CompletedProcess[str]:
    """Run helm with these values. It is ORBIT_RS_HELM, or else the helm on the PATH; no cluster is ever asked."""
    binary = os.environ.get("ORBIT_RS_HELM") or shutil.which("helm")
    assert binary, "helm not found: put it on the PATH, or name it in ORBIT_RS_HELM"
    return subprocess.run(
        [binary, *args, *(["--values", "-"] if values is not None else [])],
        # JSON, not YAML: PyYAML leaves strings such as 1e3 bare, and Helm reads them as numbers. Not in ASCII: Helm's
        # YAML knows no surrogate pairs.
        input=json.dumps(values, ensure_ascii=False),
        env={**os.environ, "KUBECONFIG": os.devnull},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@functools.cache
def _template(values: str, kubernetes: str, release: str) -> subprocess.CompletedProcess[str]:
    args = ("template", release, str(CHART), "--namespace", "orbit-rs", "--kube-version", kubernetes)
    return helm(*args, values=json.loads(values))


def text(values: Values | None = None, kubernetes: str = NEWEST, release: str = "orbit-rs") -> str:
    """The manifest as helm prints it."""
    done = _template(json.dumps(values or {}), kubernetes, release)
    assert done.returncode == 0, done.stderr
    return done.stdout


def render(values: Values | None = None, kubernetes: str = NEWEST, release: str = "orbit-rs") -> dict[str, Object]:
    """The objects by "Kind/name"."""
    objects = [obj for obj in yaml.safe_load_all(text(values, kubernetes, release)) if obj]
    return {f"{obj['kind']}/{obj['metadata']['name']}": obj for obj in objects}


def refusal(values: Values) -> str:
    """What helm says to values that must be refused."""
    done = _template(json.dumps(values), NEWEST, "orbit-rs")
    assert done.returncode != 0, f"accepted: {values}"
    return done.stderr


@functools.cache
def _chart_with_notes() -> tempfile.TemporaryDirectory[str]:
    """A copy of the chart that renders its notes as an object, because `helm template` leaves them out."""
    copied = tempfile.TemporaryDirectory(prefix="orbit-rs-chart-")
    shutil.copytree(CHART, copied.name, dirs_exist_ok=True)
    notes = pathlib.Path(copied.name, "templates", "NOTES.txt")
    notes.with_name("notes.yaml").write_text(
        '{{- define "notes" }}' + notes.read_text() + "{{ end -}}\n"
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: notes\n"
        'data:\n  text: {{ include "notes" . | toJson }}\n'
    )
    return copied


@functools.cache
def _outcome(values: str) -> subprocess.CompletedProcess[str]:
    args = ("template", "orbit-rs", _chart_with_notes().name, "--namespace", "orbit-rs", "--kube-version", NEWEST)
    return helm(*args, values=json.loads(values))


def accepted(values: Values) -> bool:
    """Whether helm renders these values."""
    return _outcome(json.dumps(values)).returncode == 0


def outcome(values: Values | None = None) -> tuple[str, str]:
    """All that a user gets: manifest and notes."""
    done = _outcome(json.dumps(values or {}))
    assert done.returncode == 0, done.stderr
    documents = done.stdout.split("---\n# Source: ")
    (notes,) = (document for document in documents if document.startswith("orbit-rs/templates/notes.yaml"))
    return "".join(document for document in documents if document != notes), yaml.safe_load(notes.partition("\n")[2])[
        "data"
    ]["text"]


def statefulset(values: Values | None = None, kubernetes: str = NEWEST) -> Object:
    """The StatefulSet with these values."""
    return render(values, kubernetes)["StatefulSet/orbit-server"]


def pod(values: Values | None = None, kubernetes: str = NEWEST) -> Object:
    """The spec of the pods with these values."""
    spec: Object = statefulset(values, kubernetes)["spec"]["template"]["spec"]
    return spec


def container(values: Values | None = None, kubernetes: str = NEWEST) -> Object:
    """The server's container with these values."""
    (only,) = pod(values, kubernetes)["containers"]
    return dict(only)


def config(values: Values | None = None) -> str:
    """The server's configuration file with these values."""
    return str(render(values)["ConfigMap/orbit-server-config"]["data"]["orbit-server.toml"])


def leaves(tree: Values, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value that is not a group of others, with its path."""
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


def schema_leaves(node: Mapping[str, Any] = SCHEMA, path: Path = ()) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every key that the schema knows and that is not a group of others, with its schema."""
    for key, child in node["properties"].items():
        if "properties" in child:
            yield from schema_leaves(child, (*path, key))
        else:
            yield (*path, key), child


def nested(path: Path, value: Any) -> dict[str, Any]:
    """Values that set only this path."""
    for key in reversed(path):
        value = {key: value}
    return dict(value)


def lookup(tree: Any, path: Path) -> Any:
    """The value at this path, None where there is none."""
    for key in path:
        if not isinstance(tree, dict) or key not in tree:
            return None
        tree = tree[key]
    return tree


def without(tree: Values, path: Path) -> dict[str, Any]:
    """A copy of these values that lacks this path."""
    copied = copy.deepcopy(dict(tree))
    parent = copied
    for key in path[:-1]:
        parent = parent[key]
    del parent[path[-1]]
    return copied


def merge(base: Values, over: Values) -> dict[str, Any]:
    """Both, as Helm merges them: map by map, and the second one wins."""
    merged = dict(copy.deepcopy(base))
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def _blocks(file: str) -> dict[str, dict[str, Any]]:
    """The YAML blocks of a page by their headings."""
    blocks = re.findall(r"^## (.+?)\n\n```yaml\n(.*?)```", (DATA / file).read_text(), re.M | re.S)
    return {heading: yaml.safe_load(block) for heading, block in blocks}


def guide() -> dict[str, dict[str, Any]]:
    """The guide's values blocks."""
    return _blocks("guide-values.md")


def guide_objects() -> dict[str, Object]:
    """The objects that the guide has people apply."""
    return _blocks("guide-objects.md")


# Every feature on.
EVERYTHING: dict[str, Any] = {
    **guide()["Multi-Zone Deployment"],
    **guide()["Automated Recovery"],
    **guide()["Pod Disruption Budget"],
    **guide()["Performance Tuning"],
    "imagePullSecrets": [{"name": "pull"}],
    "planDigest": "0123",
    "serviceAccount": {"annotations": {"example.org/role": "orbit"}},
    "rbac": {"create": True},
    "orbitServer": {
        "env": [
            {"name": "A", "value": "b"},
            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "orbit", "key": "password"}}},
        ],
        "envFrom": [{"secretRef": {"name": "orbit"}}, {"prefix": "P_", "configMapRef": {"name": "more"}}],
        "extraArgs": ["--verbose"],
        "image": {"digest": "sha256:" + "0" * 64},
        "podAnnotations": {"a/b": "c"},
        "podLabels": {"team": "db"},
        "podSecurityContext": {"supplementalGroups": [2000], "fsGroupChangePolicy": "Always"},
        "securityContext": {"runAsGroup": 1001},
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "db", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}],
        "priorityClassName": "high",
        "service": {"type": "NodePort", "annotations": {"a/b": "c"}},
        "externalService": {
            "enabled": True,
            "annotations": {"service.beta.kubernetes.io/aws-load-balancer-type": "nlb"},
            "ports": ["grpc", "postgres"],
            "loadBalancerClass": "service.k8s.aws/nlb",
            "loadBalancerSourceRanges": ["192.0.2.0/24"],
        },
    },
    "persistence": {"storageClass": "fast-ssd", "annotations": {"a/b": "c"}},
    "config": {"extra": {"logging": {"format": "json"}, "cluster": {"peers": ["a", "b"], "weight": 0.5}}},
    "topologySpread": {"zone": "DoNotSchedule", "host": "DoNotSchedule"},
    "extraVolumes": [
        {"name": "tls-certs", "secret": {"secretName": "orbit-rs-tls"}},
        {"name": "scratch", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}},
    ],
    "extraVolumeMounts": [{"name": "tls-certs", "mountPath": "/app/certs", "readOnly": True}],
    "extraContainers": [{"name": "logs", "image": "example.org/logs:1", "resources": {"requests": {"cpu": "10m"}}}],
    "initContainers": [{"name": "prepare", "image": "example.org/prepare:1", "command": ["true"]}],
    "extraObjects": [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "extra"}, "data": {"a": "b"}},
        'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: "{{ .Values.nameOverride }}-more"}\n',
    ],
    "autoscaling": {
        "enabled": True,
        "targetMemoryUtilizationPercentage": 80,
        "metrics": [
            {
                "type": "Pods",
                "pods": {"metric": {"name": "m"}, "target": {"type": "AverageValue", "averageValue": "10"}},
            }
        ],
        "behavior": {"scaleUp": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 600}]}},
    },
    "ingress": guide()["Configuration Values"]["ingress"],
    "gateway": {
        "parentRefs": [{"name": "public", "namespace": "gateways"}],
        "annotations": {"a/b": "c"},
        "httpRoute": {"enabled": True, "hostnames": ["orbit.example.org"]},
        "grpcRoute": {"enabled": True, "hostnames": ["orbit.example.org"]},
        "tcpRoute": {"routes": [{"port": "redis", "sectionName": "redis"}, {"port": "postgres"}]},
    },
    "networkPolicy": {
        "enabled": True,
        "ingressNamespaces": ["ingress-nginx"],
        "clientNamespaces": ["shop", "billing"],
        "ingress": [{"from": [{"ipBlock": {"cidr": "198.51.100.0/24"}}], "ports": [{"port": 5432}]}],
        "egress": [{"to": [{"ipBlock": {"cidr": "203.0.113.0/24"}}], "ports": [{"port": 443}]}],
    },
    "monitoring": {
        "serviceMonitor": {
            "enabled": True,
            "additionalLabels": {"release": "prometheus"},
            "relabelings": [{"action": "labeldrop", "regex": "endpoint"}],
            "metricRelabelings": [{"action": "drop", "sourceLabels": ["__name__"], "regex": "process_.+"}],
        },
        "podMonitor": {
            "enabled": True,
            "additionalLabels": {"release": "prometheus"},
            "relabelings": [{"action": "labeldrop", "regex": "endpoint"}],
            "metricRelabelings": [{"action": "drop", "sourceLabels": ["__name__"], "regex": "process_.+"}],
        },
        "prometheusRule": {
            "enabled": True,
            "additionalLabels": {"release": "prometheus"},
            "runbookUrl": "https://runbooks.example.org/",
            "backups": {"enabled": True},
            "rules": [{"record": "orbit:up", "expr": "sum(up)", "labels": {"team": "db"}}],
        },
        "grafanaDashboard": {"enabled": True, "annotations": {"grafana_folder": "databases"}},
    },
    "certificate": {"enabled": True, "dnsNames": ["orbit.example.org"], "issuerRef": {"name": "ca"}},
    "externalSecrets": {
        "secretStore": {"enabled": True, "provider": guide_objects()["SecretStore"]["spec"]["provider"]},
        "secrets": [
            {"name": "orbit", "data": [{"secretKey": "password", "remoteRef": {"key": "orbit", "property": "pw"}}]},
            {
                "name": "more",
                "dataFrom": [{"extract": {"key": "more"}}],
                "target": {"template": {"metadata": {"labels": {"a": "b"}}}},
            },
        ],
    },
}
SNAPSHOT: dict[str, Any] = {"orbitServer": {"compatibility": "snapshot-2025-11"}}
EVERYTHING_SNAPSHOT = merge(EVERYTHING, {**SNAPSHOT, "gateway": {"httpRoute": {"port": "aql"}}})
