# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Live state, read in one batch."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from ansible_collections.orbit.rs.plugins.plugin_utils import lock, objects
from ansible_collections.orbit.rs.plugins.plugin_utils.cluster import ApiError, Cluster, parallel
from ansible_collections.orbit.rs.plugins.plugin_utils.helm import Helm, newest, stored_in_secrets
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Object, Release, Snapshot

# Pods that hold resources of a node.
_RUNNING = "/api/v1/pods?fieldSelector=spec.nodeName!=,status.phase!=Succeeded,status.phase!=Failed&resourceVersion=0"


def read(
    cluster: Cluster, helm: Helm, release: Release, statefulset: str = "orbit-server", *, planning: bool = True
) -> Snapshot:
    """Everything but the live objects of the release: release, namespace, nodes, classes, pods, claims.

    Without `planning`, what only preflight looks at is left out: versions, classes, the load of the nodes.

    Raises OrbitError when the cluster or Helm does not answer, or the release itself may not be read.
    """
    namespace = f"/api/v1/namespaces/{release.namespace}"
    paths = {
        "nodes": "/api/v1/nodes?resourceVersion=0",
        "pods": f"{namespace}/pods?labelSelector=app.kubernetes.io/instance={release.name}",
        "claims": f"{namespace}/persistentvolumeclaims",
        "lease": lock.path(release),
    }
    if planning:
        paths |= {
            "version": "/version",
            "namespace": namespace,
            "storage classes": "/apis/storage.k8s.io/v1/storageclasses",
            "pods of all namespaces": _RUNNING,
        }
    if stored_in_secrets():
        paths["secrets"] = f"{namespace}/secrets?labelSelector=owner=helm,name={release.name}"
    with ThreadPoolExecutor(1) as pool:
        version = pool.submit(helm.version) if planning else None
        found, denied = _sorted(dict(zip(paths, cluster.get_all(list(paths.values())), strict=True)))

    def items(name: str) -> tuple[Object, ...] | None:
        return tuple(found[name]["items"]) if name in found else None

    # Where Secrets are not Helm's store, or may not be read, Helm answers itself.
    secrets = items("secrets")
    return Snapshot(
        kubernetes=found["version"]["gitVersion"] if "version" in found else "",
        helm=version.result() if version else "",
        release=helm.status(release) if secrets is None else newest(secrets),
        namespace=found.get("namespace"),
        lease=found.get("lease"),
        nodes=items("nodes"),
        storage_classes=items("storage classes"),
        pods=items("pods") or (),
        # By name, not by label: a claim of an earlier life may carry other labels.
        claims=tuple(
            claim
            for claim in items("claims") or ()
            if claim["metadata"]["name"].rpartition("-")[0].endswith(f"-{statefulset}")
        ),
        objects={},
        denied=tuple(name for name in denied if name not in ("secrets", "lease")),
        requested=requested(items("pods of all namespaces") or ()),
    )


def read_objects(cluster: Cluster, snapshot: Snapshot, wanted: Iterable[Object]) -> Snapshot:
    """The snapshot with the live state of these objects; what does not exist, or may not be read, stays absent."""
    named = {objects.key(obj): obj for obj in wanted}

    def live(obj: Object) -> Object | ApiError:
        try:
            return cluster.get(cluster.path(obj))
        except ApiError as error:
            return error

    found, denied = _sorted(dict(zip(named, parallel(live, list(named.values())), strict=True)))
    return dataclasses.replace(
        snapshot,
        objects={**snapshot.objects, **found},
        denied=(*snapshot.denied, *(name for name in denied if name not in snapshot.denied)),
    )


def _sorted(answers: Mapping[str, Object | ApiError]) -> tuple[dict[str, Object], list[str]]:
    """What was found, and the names of what may not be read. Raises every error but forbidden and not found."""
    found: dict[str, Object] = {}
    denied = []
    for name, answer in answers.items():
        if not isinstance(answer, ApiError):
            found[name] = answer
        elif answer.status == 403:
            denied.append(name)
        elif answer.status != 404:
            raise answer
    return found, denied


def requested(pods: Iterable[Object]) -> Mapping[str, Mapping[str, float]]:
    """Requests of pods in base units (cores, bytes), by node and resource."""
    total: dict[str, dict[str, float]] = {}
    for pod in pods:
        node = total.setdefault(pod["spec"]["nodeName"], {})
        for resource, amount in objects.requests(pod["spec"]).items():
            node[resource] = node.get(resource, 0) + amount
    return total
