# SPDX-License-Identifier: GPL-3.0-or-later
"""A small desired state, a cluster that holds it, and what Helm would make of one."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterable
from typing import Any

from ansible_collections.orbit.rs.plugins.plugin_utils import objects
from ansible_collections.orbit.rs.plugins.plugin_utils.model import (
    Desired,
    Finding,
    HelmRelease,
    Object,
    Release,
    Snapshot,
)

RELEASE = Release("orbit-rs", "orbit-rs")
STATEFULSET = "StatefulSet/orbit-rs/orbit-server"
LABELS = {"app.kubernetes.io/name": "orbit-rs", "app.kubernetes.io/instance": "orbit-rs"}

MANIFEST = """
apiVersion: v1
kind: ConfigMap
metadata: {name: orbit-server-config}
data:
  orbit-server.toml: |
    [logging]
    level = "info"
---
apiVersion: v1
kind: Service
metadata: {name: orbit-server-headless}
spec:
  clusterIP: None
  publishNotReadyAddresses: true
  selector: {app.kubernetes.io/name: orbit-rs, app.kubernetes.io/instance: orbit-rs}
  ports:
    - {name: grpc, port: 50051, targetPort: grpc}
    - {name: http, port: 8080, targetPort: http}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: orbit-server}
spec:
  maxUnavailable: 1
  selector: {matchLabels: {app.kubernetes.io/name: orbit-rs, app.kubernetes.io/instance: orbit-rs}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: orbit-server}
spec:
  serviceName: orbit-server-headless
  replicas: 3
  podManagementPolicy: Parallel
  updateStrategy: {type: RollingUpdate}
  selector: {matchLabels: {app.kubernetes.io/name: orbit-rs, app.kubernetes.io/instance: orbit-rs}}
  template:
    metadata:
      labels: {app.kubernetes.io/name: orbit-rs, app.kubernetes.io/instance: orbit-rs}
      annotations: {checksum/config: abc}
    spec:
      automountServiceAccountToken: false
      securityContext: {runAsNonRoot: true, runAsUser: 1001, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: orbit-server
          image: orbit-rs/orbit-server:v0.1.0
          securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
          env: [{name: A, value: "1"}, {name: B, value: "2"}]
          ports:
            - {name: grpc, containerPort: 50051}
            - {name: http, containerPort: 8080}
          readinessProbe: {httpGet: {path: /health/ready, port: http}, initialDelaySeconds: 0, periodSeconds: 5}
          resources:
            requests: {cpu: 250m, memory: 512Mi}
            limits: {cpu: 1000m, memory: 2Gi}
          volumeMounts: [{name: data, mountPath: /app/data}, {name: tmp, mountPath: /tmp}]
      volumes: [{name: tmp, emptyDir: {}}]
  volumeClaimTemplates:
    - metadata: {name: data}
      spec:
        accessModes: [ReadWriteOnce]
        resources: {requests: {storage: 10Gi}}
"""

NAMESPACE: Object = {
    "apiVersion": "v1",
    "kind": "Namespace",
    "metadata": {"name": "orbit-rs", "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
}


def rendered() -> tuple[Object, ...]:
    return objects.parse(MANIFEST, "orbit-rs")


def change(objs: Iterable[Object], name: str, path: str, value: Any) -> tuple[Object, ...]:
    """A copy in which one field of one object has another value; None removes it. Positions in lists are numbers."""
    result = copy.deepcopy(tuple(objs))
    node: Any = next(obj for obj in result if objects.key(obj) == name)
    *parents, last = [int(part) if part.isdigit() else part for part in path.split("|")]
    for part in parents:
        node = node.setdefault(part, {}) if isinstance(node, dict) else node[part]
    if value is None:
        del node[last]
    else:
        node[last] = value
    return result


def wanted(objs: Iterable[Object] | None = None, platform: tuple[Object, ...] = (NAMESPACE,)) -> Desired:
    objs = rendered() if objs is None else tuple(objs)
    return Desired(RELEASE, "orbit-rs-0.1.0", "v0.1.0", {}, objs, platform)


def served(obj: Object) -> Object:
    """The object as the API server gives it back: defaults filled in, quantities rewritten, zero values left out."""
    live = copy.deepcopy(obj)
    live["metadata"].update(uid="0", resourceVersion="1", creationTimestamp="2026-11-24T12:00:00Z", generation=1)
    live["metadata"].setdefault("labels", {})["app.kubernetes.io/managed-by"] = "Helm"
    live["metadata"].setdefault("annotations", {}).update(
        {"meta.helm.sh/release-name": "orbit-rs", "meta.helm.sh/release-namespace": "orbit-rs"}
    )
    if live["kind"] == "Service":
        live["spec"].update(type="ClusterIP", sessionAffinity="None", internalTrafficPolicy="Cluster")
        for port in live["spec"]["ports"]:
            port.setdefault("protocol", "TCP")
    if live["kind"] == "StatefulSet":
        spec = live["spec"]
        spec["updateStrategy"]["rollingUpdate"] = {"partition": 0}
        spec.update(revisionHistoryLimit=10)
        pod = spec["template"]["spec"]
        pod.update(restartPolicy="Always", dnsPolicy="ClusterFirst", schedulerName="default-scheduler")
        for container in pod["containers"]:
            container.update(terminationMessagePath="/dev/termination-log")
            (container.get("readinessProbe") or {}).pop("initialDelaySeconds", None)
            for port in container.get("ports") or ():
                port.setdefault("protocol", "TCP")
            if (container.get("resources") or {}).get("limits", {}).get("cpu") == "1000m":
                container["resources"]["limits"]["cpu"] = "1"
        for claim in spec.get("volumeClaimTemplates") or ():
            claim.update(kind="PersistentVolumeClaim", apiVersion="v1", status={"phase": "Pending"})
            claim["spec"]["volumeMode"] = "Filesystem"
        live["status"] = {"replicas": 3, "readyReplicas": 3}
    return live


def node(name: str, zone: str = "", cpu: str = "4", memory: str = "8Gi", **spec: Any) -> Object:
    labels = {"kubernetes.io/hostname": name} | ({"topology.kubernetes.io/zone": zone} if zone else {})
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": spec,
        "status": {
            "capacity": {"cpu": cpu, "memory": memory},
            "allocatable": {"cpu": cpu, "memory": memory},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def storage_class(name: str, default: bool = False, binding: str = "WaitForFirstConsumer") -> Object:
    annotations = {"storageclass.kubernetes.io/is-default-class": "true"} if default else {}
    return {
        "metadata": {"name": name, "annotations": annotations},
        "provisioner": "x",
        "allowVolumeExpansion": True,
        "volumeBindingMode": binding,
    }


def pod(ordinal: int, ready: bool = True, **spec: Any) -> Object:
    return {
        "metadata": {"name": f"orbit-server-{ordinal}", "labels": LABELS},
        "spec": spec,
        "status": {"conditions": [{"type": "Ready", "status": str(ready)}]},
    }


def claim(ordinal: int, size: str = "10Gi", **status: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": f"data-orbit-server-{ordinal}", "namespace": "orbit-rs"},
        "spec": {"storageClassName": "standard", "resources": {"requests": {"storage": size}}},
        "status": {"phase": "Bound", "capacity": {"storage": size}, **status},
    }


def stored(objs: Iterable[Object], status: str = "deployed", revision: int = 1, deployed: int = 0) -> HelmRelease:
    return HelmRelease(revision, status, "orbit-rs-0.1.0", "v0.1.0", {}, tuple(objs), deployed=deployed)


EMPTY = Snapshot(
    kubernetes="v1.37.2",
    helm="v4.3.1",
    release=None,
    namespace=None,
    nodes=(node("a", "z1"), node("b", "z2"), node("c", "z3")),
    storage_classes=(storage_class("standard", default=True),),
    pods=(),
    claims=(),
    objects={},
)


def deployed(
    objs: Iterable[Object] | None = None, live: Iterable[Object] | None = None, status: str = "deployed"
) -> Snapshot:
    """A cluster in which Helm has stored `objs` and the API server holds `live`."""
    objs = rendered() if objs is None else tuple(objs)
    live = [served(obj) for obj in (objs if live is None else live)]
    templates = (objects.find(live, "StatefulSet") or {"spec": {}})["spec"].get("volumeClaimTemplates")
    size = templates[0]["spec"]["resources"]["requests"]["storage"] if templates else "10Gi"
    return dataclasses.replace(
        EMPTY,
        release=stored(objs, status),
        namespace=NAMESPACE,
        pods=tuple(pod(ordinal) for ordinal in range(3)),
        claims=tuple(claim(ordinal, size) for ordinal in range(3)),
        objects={objects.key(obj): obj for obj in (*live, NAMESPACE)},
    )


def checks(found: Iterable[Finding]) -> list[tuple[str, str]]:
    return [(finding.severity, finding.check) for finding in found]
