# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Live state, read in one batch."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ansible_collections.orbit.rs.plugins.plugin_utils import access, lock, objects, record
from ansible_collections.orbit.rs.plugins.plugin_utils.cluster import ApiError, Cluster, parallel
from ansible_collections.orbit.rs.plugins.plugin_utils.helm import Helm, newest, stored_in_secrets
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Desired, Object, Release, Request, Snapshot

# Nothing is known yet; read_objects() adds to it.
EMPTY = Snapshot(
    kubernetes="",
    helm="",
    release=None,
    namespace=None,
    nodes=None,
    storage_classes=None,
    pods=(),
    claims=(),
    objects={},
)

_AUTHORIZATION = "/apis/authorization.k8s.io/v1"
# Pods that hold resources of a node.
_RUNNING = "/api/v1/pods?fieldSelector=spec.nodeName!=,status.phase!=Succeeded,status.phase!=Failed&resourceVersion=0"


def read(cluster: Cluster, helm: Helm, release: Release, *, planning: bool = True) -> Snapshot:
    """Everything but the live objects of the release: release, namespace, nodes, classes, pods, claims.

    The claims are all of the namespace, as long as there is no release: with_claims_of() then sorts out whose they are.
    Without `planning`, what only preflight looks at is left out: versions, classes, the load of the nodes, quotas, what
    the account may do.

    Raises OrbitError when the cluster or Helm does not answer, or the release itself may not be read.
    """
    namespace = f"/api/v1/namespaces/{release.namespace}"
    paths = {
        "nodes": "/api/v1/nodes?resourceVersion=0",
        "pods": f"{namespace}/pods?labelSelector=app.kubernetes.io/instance={release.name}",
        "claims": f"{namespace}/persistentvolumeclaims",
        "lease": lock.path(release),
        "records": record.path(release),
    }
    if planning:
        paths |= {
            "version": "/version",
            "namespace": namespace,
            "storage classes": "/apis/storage.k8s.io/v1/storageclasses",
            "pods of all namespaces": _RUNNING,
            "quotas": f"{namespace}/resourcequotas",
            "limits": f"{namespace}/limitranges",
        }
    if stored_in_secrets():
        paths["secrets"] = f"{namespace}/secrets?labelSelector=owner=helm,name={release.name}"
    with ThreadPoolExecutor(2) as pool:
        version = pool.submit(helm.version) if planning else None
        rules = pool.submit(_rules, cluster, release.namespace) if planning else None
        found, denied = _sorted(dict(zip(paths, cluster.get_all(list(paths.values())), strict=True)))

    def items(name: str) -> tuple[Object, ...] | None:
        return tuple(found[name]["items"]) if name in found else None

    # Where Secrets are not Helm's store, or may not be read, Helm answers itself.
    secrets = items("secrets")
    found_release = helm.status(release) if secrets is None else newest(secrets)
    snapshot = Snapshot(
        kubernetes=found["version"]["gitVersion"] if "version" in found else "",
        helm=version.result() if version else "",
        release=found_release,
        namespace=found.get("namespace"),
        lease=found.get("lease"),
        records=found.get("records"),
        nodes=items("nodes"),
        storage_classes=items("storage classes"),
        pods=items("pods") or (),
        claims=items("claims") or (),
        objects={},
        denied=tuple(name for name in denied if name not in ("secrets", "lease", "records")),
        requested=requested(items("pods of all namespaces") or ()),
        quotas=items("quotas") or (),
        limits=items("limits") or (),
        rules=rules.result() if rules else (),
        controller=_controller() if planning else {},
    )
    if found_release is None or found_release.status == "uninstalled":
        return snapshot
    return with_claims_of(snapshot, found_release.objects)


def read_objects(
    cluster: Cluster, snapshot: Snapshot, wanted: Iterable[Object], lists: Mapping[str, str] | None = None
) -> Snapshot:
    """The snapshot with the live state of these objects, and of lists (or APIs) by name and path.

    What does not exist, or may not be read, stays absent; what is there already is not read again.
    """
    lists = lists or {}
    named = {name: obj for obj in wanted if (name := objects.key(obj)) not in snapshot.objects}
    unserved: dict[str, tuple[str, ...]] = {}

    def live(what: Object | str) -> Object | ApiError:
        if isinstance(what, str):
            return cluster.get_all([what])[0]
        try:
            path = cluster.path(what)
        except ApiError as error:
            if error.status == 404:
                unserved[f"{what['apiVersion']} {what['kind']}"] = _versions(cluster, what["apiVersion"])
            return error
        return cluster.get_all([path])[0]

    asked: list[Object | str] = [*named.values(), *lists.values()]
    answers = dict(zip([*named, *lists], parallel(live, asked), strict=True))
    for name in lists:
        # An API whose server is down is not there, either.
        if isinstance(error := answers[name], ApiError) and error.status == 503:
            del answers[name]
    found, denied = _sorted(answers)
    return dataclasses.replace(
        snapshot,
        objects={**snapshot.objects, **{name: found[name] for name in named if name in found}},
        lists={
            **snapshot.lists,
            **{name: tuple(found[name].get("items") or ()) for name in lists if name in found},
        },
        unserved={**snapshot.unserved, **unserved},
        denied=(*snapshot.denied, *(name for name in denied if name not in snapshot.denied)),
    )


def read_access(cluster: Cluster, snapshot: Snapshot, desired: Desired) -> Snapshot:
    """The snapshot with what a rollout needs and the account may not do."""
    kinds = {f"{obj['apiVersion']} {obj['kind']}": obj for obj in (*desired.platform, *desired.objects)}
    stored = snapshot.release.objects if snapshot.release else ()
    kinds |= {f"{obj['apiVersion']} {obj['kind']}": obj for obj in stored}
    resources = {kind: cluster.path(obj).split("/")[-2] for kind, obj in kinds.items() if kind not in snapshot.unserved}
    needed = access.needed(desired, snapshot, resources)
    return dataclasses.replace(snapshot, forbidden=refused(cluster, snapshot, needed, desired.release.namespace))


def refused(cluster: Cluster, snapshot: Snapshot, needed: Iterable[Request], namespace: str) -> tuple[Request, ...]:
    """What the account may not do.

    Asked is only about what the rules of the namespace do not allow for sure: for an administrator, nothing.
    """
    asked = [request for request in needed if not access.covered(request, snapshot.rules, namespace)]

    def ask(request: Request) -> bool:
        path = f"{_AUTHORIZATION}/selfsubjectaccessreviews"
        try:
            return not cluster.request("POST", path, access.review(request))["status"]["allowed"]
        except ApiError:
            return False  # not known

    refusals = parallel(ask, asked)
    return tuple(request for request, no in zip(asked, refusals, strict=True) if no)


def with_claims_of(snapshot: Snapshot, found: Iterable[Object]) -> Snapshot:
    """The snapshot with the claims of the StatefulSet among these objects alone; with all when there is none."""
    statefulset = objects.find(found, "StatefulSet")
    if statefulset is None:
        return snapshot
    return dataclasses.replace(snapshot, claims=claims_of(snapshot.claims, statefulset["metadata"]["name"]))


def claims_of(claims: Iterable[Object], statefulset: str) -> tuple[Object, ...]:
    """The claims of a StatefulSet. By name, not by label: one of an earlier life may carry other labels."""
    return tuple(claim for claim in claims if claim["metadata"]["name"].rpartition("-")[0].endswith(f"-{statefulset}"))


def volumes(snapshot: Snapshot) -> list[Object]:
    """The PersistentVolumes of the release's claims, as objects without content."""
    names = [(claim.get("spec") or {}).get("volumeName") for claim in snapshot.claims]
    return [{"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}} for name in names if name]


def _rules(cluster: Cluster, namespace: str) -> tuple[Object, ...]:
    """What the account may do in a namespace, as far as the API server can tell."""
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    try:
        answer = cluster.request("POST", f"{_AUTHORIZATION}/selfsubjectrulesreviews", review)
    except ApiError:
        return ()  # then every request is asked about by itself
    return tuple(answer["status"].get("resourceRules") or ())


def _versions(cluster: Cluster, version: str) -> tuple[str, ...]:
    """The versions that are served of a group of which this version is not."""
    answer = cluster.get_all([f"/apis/{version.rpartition('/')[0]}"])[0]
    return () if isinstance(answer, ApiError) else tuple(item["groupVersion"] for item in answer.get("versions") or ())


def _controller() -> dict[str, str]:
    """Versions of what runs the playbook; what is not there is absent."""
    result = {}
    try:
        from ansible.release import __version__

        result["ansible-core"] = __version__
        found = importlib.util.find_spec("ansible_collections.kubernetes.core")
    except ImportError:
        return result
    for folder in (found.submodule_search_locations if found else None) or ():
        manifest = Path(folder, "MANIFEST.json")
        if manifest.is_file():
            result["kubernetes.core"] = json.loads(manifest.read_text(encoding="utf-8"))["collection_info"]["version"]
    return result


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
        for resource, amount in {**objects.requests(pod["spec"]), "pods": 1.0}.items():
            node[resource] = node.get(resource, 0) + amount
    return total
