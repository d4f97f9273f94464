# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What rendered objects need from the cluster beside themselves: objects they refer to, kinds, and APIs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.orbit.rs.plugins.plugin_utils import objects
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Finding, Object, Severity

# What serves the kinds of a group, and so has to be installed.
INSTALL: Mapping[str, str] = {
    "autoscaling.k8s.io": "the Vertical Pod Autoscaler",
    "cert-manager.io": "cert-manager",
    "external-secrets.io": "External Secrets Operator",
    "gateway.networking.k8s.io": "the CRDs of the Gateway API and a controller for them",
    "grafana.integreatly.org": "Grafana Operator",
    "keda.sh": "KEDA",
    "monitoring.coreos.com": "Prometheus Operator (kube-prometheus-stack)",
    "snapshot.storage.k8s.io": "external-snapshotter",
}

# The API that an HPA's metric comes from, by the type of the metric, and what serves it.
METRICS: Mapping[str, tuple[str, str]] = {
    "Resource": ("metrics.k8s.io/v1beta1", "metrics-server"),
    "ContainerResource": ("metrics.k8s.io/v1beta1", "metrics-server"),
    "Pods": ("custom.metrics.k8s.io/v1beta2", "an adapter such as prometheus-adapter"),
    "Object": ("custom.metrics.k8s.io/v1beta2", "an adapter such as prometheus-adapter"),
    "External": ("external.metrics.k8s.io/v1beta1", "an adapter such as KEDA"),
}

# Kinds that make a Secret, and where they name it.
_SECRET_MAKERS: Mapping[str, tuple[str, ...]] = {
    "Certificate": ("spec", "secretName"),
    "ExternalSecret": ("spec", "target", "name"),
    "SealedSecret": ("spec", "template", "metadata", "name"),
    "VaultStaticSecret": ("spec", "destination", "name"),
}

_GATEWAY = "gateway.networking.k8s.io/v1"


@dataclasses.dataclass(frozen=True)
class Reference:
    """One object that must be there, and who says so."""

    api_version: str
    kind: str
    name: str
    namespace: str  # empty: of the cluster
    by: str  # "StatefulSet orbit-server"
    severity: Severity  # error: the pods would not start
    key: str = ""  # that a Secret or ConfigMap must have
    type: str = "generic"  # of a Secret, as kubectl calls it

    @property
    def object(self) -> Object:
        """As an object without content, to be read."""
        metadata = {"name": self.name, **({"namespace": self.namespace} if self.namespace else {})}
        return {"apiVersion": self.api_version, "kind": self.kind, "metadata": metadata}


def references(rendered: Sequence[Object]) -> list[Reference]:
    """What the objects refer to and do not bring along themselves, each once."""
    brought = {objects.key(obj) for obj in rendered} | {f"Secret/{name}" for name in _made_secrets(rendered)}
    found = [reference for obj in rendered for reference in _of(obj)]
    return [item for item in dict.fromkeys(found) if item.name and objects.key(item.object) not in brought]


def findings(
    wanted: Iterable[Reference], live: Mapping[str, Object], skip: Iterable[str], unserved: Iterable[str]
) -> Iterator[Finding]:
    """What is referred to and not there. `skip`: objects.key() of what may not be read."""
    skip, unserved = set(skip), set(unserved)
    missing: dict[tuple[str, str, Severity], list[str]] = {}
    for item in wanted:
        name = objects.key(item.object)
        if name in skip or f"{item.api_version} {item.kind}" in unserved:
            continue
        found = live.get(name)
        if found is None:
            seen, remedy = f"{item.kind} {item.name}", _remedy(item)
        elif item.key and item.key not in {**(found.get("data") or {}), **(found.get("binaryData") or {})}:
            seen = f"Key {item.key} of {item.kind} {item.name}"
            remedy = f"Add it, or correct the reference in orbit_rs_values: kubectl describe {_resource(item)}"
        else:
            continue
        where = f" in namespace {item.namespace}" if item.namespace else ""
        missing.setdefault((f"{seen} does not exist{where}", remedy, item.severity), []).append(item.by)
    for (seen, remedy, severity), by in missing.items():
        names = ", ".join(dict.fromkeys(by))
        verb = "refers" if len(set(by)) == 1 else "refer"
        yield Finding(severity, "references", f"{seen}; {names} {verb} to it.", remedy)


def kind_findings(rendered: Iterable[Object], unserved: Mapping[str, tuple[str, ...]]) -> Iterator[Finding]:
    """The kinds that the cluster does not know, with what brings them."""
    own = {
        (obj["spec"]["group"], obj["spec"]["names"]["kind"])
        for obj in rendered
        if obj["kind"] == "CustomResourceDefinition"
    }
    kinds: dict[str, list[str]] = {}
    for obj in rendered:
        kind = f"{obj['apiVersion']} {obj['kind']}"
        if kind in unserved and (obj["apiVersion"].rpartition("/")[0], obj["kind"]) not in own:
            kinds.setdefault(obj["apiVersion"], []).append(obj["kind"])
    for version, names in kinds.items():
        group = version.rpartition("/")[0]
        what = INSTALL.get(group, f"what serves {group or version}")
        served = sorted({item for name in names for item in unserved[f"{version} {name}"]})
        yield Finding(
            "error",
            "kinds",
            f"The cluster does not know {', '.join(dict.fromkeys(names))} of {version}"
            + (f"; of this group it serves {', '.join(served)}." if served else "."),
            f"{'Upgrade' if served else 'Install'} {what}, or turn off in orbit_rs_values what asks for it.",
        )


def metrics(rendered: Iterable[Object]) -> dict[str, str]:
    """APIs that the HPAs among the objects read, as group/version, each with what serves it."""
    result = {}
    for obj in rendered:
        if obj["kind"] == "HorizontalPodAutoscaler":
            for metric in (obj.get("spec") or {}).get("metrics") or ({"type": "Resource"},):
                if metric.get("type") in METRICS:
                    version, what = METRICS[metric["type"]]
                    result[version] = what
    return result


def templates(rendered: Iterable[Object]) -> Iterator[tuple[Object, Mapping[str, Any]]]:
    """Objects that make pods, each with its pod template."""
    for obj in rendered:
        spec = obj.get("spec") or {}
        if obj["kind"] == "CronJob":
            spec = (spec.get("jobTemplate") or {}).get("spec") or {}
        template = obj if obj["kind"] == "Pod" else spec.get("template")
        if (
            isinstance(template, Mapping)
            and isinstance(template.get("spec"), Mapping)
            and "containers" in template["spec"]
        ):
            yield obj, template


def _of(obj: Object) -> Iterator[Reference]:
    kind, spec = obj["kind"], obj.get("spec") or {}
    namespace = obj["metadata"].get("namespace", "")
    by = f"{kind} {obj['metadata']['name']}"

    def one(version: str, what: str, name: Any, where: str = namespace) -> Reference:
        return Reference(version, what, str(name or ""), where, by, "warning", type="tls")

    for dummy, template in templates([obj]):
        yield from _of_pod(template["spec"], namespace, by)
    if kind == "StatefulSet":
        for template in spec.get("volumeClaimTemplates") or ():
            name = template["spec"].get("volumeAttributesClassName") or ""
            yield Reference("storage.k8s.io/v1", "VolumeAttributesClass", name, "", by, "error")
    elif kind == "Ingress":
        yield one("networking.k8s.io/v1", "IngressClass", spec.get("ingressClassName"), "")
        annotations = obj["metadata"].get("annotations") or {}
        if not any(name.startswith("cert-manager.io/") for name in annotations):
            for tls in spec.get("tls") or ():
                yield one("v1", "Secret", tls.get("secretName"))
    elif kind == "Gateway" and obj["apiVersion"].startswith("gateway.networking.k8s.io/"):
        yield one(obj["apiVersion"], "GatewayClass", spec.get("gatewayClassName"), "")
        for listener in spec.get("listeners") or ():
            for certificate in (listener.get("tls") or {}).get("certificateRefs") or ():
                if certificate.get("kind", "Secret") == "Secret":
                    yield one("v1", "Secret", certificate["name"], certificate.get("namespace", namespace))
    elif obj["apiVersion"].startswith("gateway.networking.k8s.io/"):
        for parent in spec.get("parentRefs") or ():
            if parent.get("kind", "Gateway") == "Gateway":
                yield one(_GATEWAY, "Gateway", parent.get("name"), parent.get("namespace", namespace))
    elif kind == "Certificate" and obj["apiVersion"].startswith("cert-manager.io/"):
        issuer = spec.get("issuerRef") or {}
        if issuer.get("group", "cert-manager.io") == "cert-manager.io":
            what = issuer.get("kind", "Issuer")
            yield one("cert-manager.io/v1", what, issuer.get("name"), "" if what.startswith("Cluster") else namespace)
    elif kind == "ExternalSecret":
        store = spec.get("secretStoreRef") or {}
        what = store.get("kind", "SecretStore")
        yield one(obj["apiVersion"], what, store.get("name"), "" if what.startswith("Cluster") else namespace)


def _of_pod(pod: Mapping[str, Any], namespace: str, by: str) -> Iterator[Reference]:
    def one(version: str, kind: str, name: Any, where: str = namespace, key: str = "") -> Reference:
        return Reference(version, kind, str(name or ""), where, by, "error", key)

    account = pod.get("serviceAccountName") or ""
    yield one("v1", "ServiceAccount", "" if account == "default" else account)
    for secret in pod.get("imagePullSecrets") or ():
        # The kubelet tries without it: a public image, or one that is on the node, starts all the same.
        pull = one("v1", "Secret", secret.get("name"))
        yield dataclasses.replace(pull, severity="warning", type="docker-registry")
    yield one("scheduling.k8s.io/v1", "PriorityClass", pod.get("priorityClassName"), "")
    yield one("node.k8s.io/v1", "RuntimeClass", pod.get("runtimeClassName"), "")
    for container in (*(pod.get("initContainers") or ()), *(pod.get("containers") or ())):
        for variable in container.get("env") or ():
            source = variable.get("valueFrom") or {}
            for field, kind in (("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")):
                if (item := source.get(field)) and not item.get("optional"):
                    yield one("v1", kind, item.get("name"), key=item.get("key", ""))
        for source in container.get("envFrom") or ():
            for field, kind in (("secretRef", "Secret"), ("configMapRef", "ConfigMap")):
                if (item := source.get(field)) and not item.get("optional"):
                    yield one("v1", kind, item.get("name"))
    for volume in pod.get("volumes") or ():
        sources = [volume, *((volume.get("projected") or {}).get("sources") or ())]
        for source in sources:
            for field, kind, naming in (("secret", "Secret", "secretName"), ("configMap", "ConfigMap", "name")):
                item = source.get(field)
                if item and not item.get("optional"):
                    name = item.get(naming) or item.get("name")
                    yield one("v1", kind, name)
                    for entry in item.get("items") or ():
                        yield one("v1", kind, name, key=entry.get("key", ""))
        if claim := volume.get("persistentVolumeClaim"):
            yield one("v1", "PersistentVolumeClaim", claim.get("claimName"))
        if driver := (volume.get("csi") or {}).get("driver"):
            yield one("storage.k8s.io/v1", "CSIDriver", driver, "")


def _made_secrets(rendered: Iterable[Object]) -> Iterator[str]:
    """namespace/name of the Secrets that controllers make for these objects."""
    for obj in rendered:
        if obj["kind"] in _SECRET_MAKERS:
            value: Any = obj
            for part in _SECRET_MAKERS[obj["kind"]]:
                value = value.get(part) if isinstance(value, Mapping) else None
            yield f"{obj['metadata'].get('namespace', '')}/{value or obj['metadata']['name']}"


def _resource(item: Reference) -> str:
    return f"{item.kind.lower()} {item.name}{f' -n {item.namespace}' if item.namespace else ''}"


def _remedy(item: Reference) -> str:
    where = f" -n {item.namespace}" if item.namespace else ""
    if item.kind == "CSIDriver":
        return "Install the storage driver, or choose another class. What there is: kubectl get csidrivers"
    content = {"tls": "--cert=FILE --key=FILE", "docker-registry": "--from-file=.dockerconfigjson=FILE"}
    files = content.get(item.type, "--from-file=KEY=FILE")
    how = {
        "Secret": f"kubectl create secret {item.type} {item.name}{where} {files}",
        "ConfigMap": f"kubectl create configmap {item.name}{where} --from-file=KEY=FILE",
    }
    command = how.get(item.kind)
    if command:
        return f"Create it first, or correct the name in orbit_rs_values: {command}"
    return f"Create it first, or name one of: kubectl get {item.kind.lower()}{where}"
