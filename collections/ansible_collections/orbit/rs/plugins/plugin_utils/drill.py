# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prove a backup set: restore it in a scratch namespace with no way out, start the server there, and gate it.

What it takes comes out of the set alone, so that a set that lacks something does not pass. The namespace goes again,
whatever happens; the one that a killed drill has left goes before the next.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible_collections.orbit.rs.plugins.plugin_utils import (
    desired,
    lock,
    objects,
    rehearsal,
    restore,
    sets,
    stopped,
    watch,
)
from ansible_collections.orbit.rs.plugins.plugin_utils.cluster import ApiError, Cluster
from ansible_collections.orbit.rs.plugins.plugin_utils.lock import Held
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Object, OrbitError, Patience, Release
from ansible_collections.orbit.rs.plugins.plugin_utils.restic import Restic
from ansible_collections.orbit.rs.plugins.plugin_utils.sets import Manifest
from ansible_collections.orbit.rs.plugins.plugin_utils.stopped import Stopped

LABEL = "orbit.rs/drill"  # of the namespace; its value is the release
_KINDS = ("ServiceAccount", "ConfigMap", "Secret", "Service")
_OURS = ("helm.sh/release.v1", "kubernetes.io/service-account-token")  # types of Secrets that the server does not need


def scratch_objects(stored: Sequence[Object], namespace: str, image: str, ordinals: Sequence[int]) -> list[Object]:
    """The objects of a set as they are made in the scratch namespace, the StatefulSet last. Raises OrbitError."""
    found = [moved(obj, namespace) for obj in stored if _wanted(obj)]
    statefulset = objects.find(stored, "StatefulSet")
    if statefulset is None:
        raise OrbitError("The set holds no StatefulSet.", "Drill another set: ansible-playbook orbit.rs.sets")
    copied = moved(stopped.portable(statefulset), namespace)
    spec = copied["spec"]
    spec["replicas"] = max(ordinals, default=-1) + 1
    spec["persistentVolumeClaimRetentionPolicy"] = {"whenDeleted": "Delete", "whenScaled": "Delete"}
    spec.pop("updateStrategy", None)
    pod = spec["template"]["spec"]
    pod["containers"][0]["image"] = image
    rehearsal.beside_others(pod)
    return [*found, copied]


def _wanted(obj: Object) -> bool:
    if obj.get("kind") == "Service":
        return bool(obj["spec"].get("clusterIP") == "None")
    return obj.get("kind") in _KINDS and obj.get("type") not in _OURS


def moved(obj: Object, namespace: str) -> Object:
    """The object without what belongs to its life elsewhere."""
    found = copy.deepcopy({key: value for key, value in obj.items() if key not in ("status", "secrets")})
    metadata = obj["metadata"]
    labels = {"labels": metadata["labels"]} if metadata.get("labels") else {}
    found["metadata"] = {"name": metadata["name"], "namespace": namespace, **labels}
    if obj.get("kind") == "Service":
        for field in ("clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            found["spec"].pop(field, None)
    return found


def claims(statefulset: Object, namespace: str, ordinals: Sequence[int]) -> Iterator[Object]:
    """The claims, which are made before the StatefulSet, so that they are written before its pods start."""
    template = statefulset["spec"]["volumeClaimTemplates"][0]
    for ordinal in ordinals:
        yield {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {
                "name": stopped.claim(statefulset, ordinal),
                "namespace": namespace,
                "labels": template["metadata"].get("labels") or {},
            },
            "spec": {key: value for key, value in template["spec"].items() if key not in ("volumeName", "selector")},
        }


def wall(namespace: str) -> Object:
    """A policy that lets nothing in or out."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "drill", "namespace": namespace},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
    }


@dataclasses.dataclass
class Drill:
    """One drill. `say` gets the progress."""

    cluster: Cluster
    release: Release
    namespace: str
    labels: Mapping[str, str]
    restic: Restic
    name: str  # of the release in the repository
    parallel: int
    patience: Patience
    say: Callable[[str], None]
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)  # by phase

    @property
    def _path(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}"

    @property
    def _scratch(self) -> Release:
        return Release(self.release.name, self.namespace)

    def run(self, found: Manifest) -> dict[str, float]:
        """Prove a set, and note on it how that has ended; the seconds by phase. Raises OrbitError."""
        self.sweep()
        started = time.monotonic()
        self.cluster.request("POST", "/api/v1/namespaces", self._namespace())
        try:
            self.cluster.request(
                "POST", self.cluster.path(wall(self.namespace)).rpartition("/")[0], wall(self.namespace)
            )
            with lock.held(self.cluster, self._scratch, "drill", self.say) as held:
                try:
                    self._prove(found, held)
                except OrbitError as error:
                    self._note(found, "failed", {"why": error.seen})
                    raise OrbitError(f"The drill of set {found.set} failed.\n{error.seen}", error.remedy) from error
            self.seconds["all"] = round(time.monotonic() - started, 1)
            self._note(found, "passed", self.seconds)
        finally:
            self._remove()
        return self.seconds

    def sweep(self) -> None:
        """Remove what a killed drill has left. Raises OrbitError when it is at work, or not ours."""
        there = self.cluster.find(self._path)
        if there is None:
            return
        if (there["metadata"].get("labels") or {}).get(LABEL) != self.release.name:
            raise OrbitError(
                f"There is a namespace {self.namespace}, and no drill of {self.release.name} has made it.",
                "Choose another name: -e orbit_rs_drill_namespace=...",
            )
        holder = lock.holder(self.cluster.find(lock.path(self._scratch)))
        if holder and holder.identity and self.cluster.now() < holder.expires():
            raise OrbitError(
                f"Another drill is at work in namespace {self.namespace}: {holder.identity}.",
                "Wait until it has ended; one that was killed is told from it after half a minute. Then run again.",
            )
        self.say(f"removing namespace {self.namespace}, which an interrupted drill has left")
        self._remove()

    def _namespace(self) -> Object:
        made = desired.namespace_object(self.namespace, self.labels)
        made["metadata"]["labels"] = {**(made["metadata"].get("labels") or {}), LABEL: self.release.name}
        return made

    def _prove(self, found: Manifest, held: Held) -> None:
        content = json.loads(self.restic.read(found.objects, sets.OBJECTS))
        ordinals = sorted(found.parts)
        *others, statefulset = scratch_objects(content["objects"], self.namespace, found.versions["image"], ordinals)
        self.say(f"drill of set {found.set} in namespace {self.namespace}: {len(ordinals)} ordinals")
        for obj in (*others, *claims(statefulset, self.namespace, ordinals)):
            self.cluster.apply(obj)
        halt = Stopped(self.cluster, self._scratch, statefulset, held, self.say, self.patience.rollout, "drill")

        with self._phase("restore"), ThreadPoolExecutor(max(1, self.parallel)) as pool:
            list(pool.map(lambda ordinal: restore.fill(halt, ordinal, self.restic, found.parts[ordinal]), ordinals))
        with self._phase("start and gate"):
            self.cluster.request("POST", self.cluster.path(statefulset).rpartition("/")[0], statefulset)
            tls = watch.uses_tls(content["objects"])
            watch.Watch(self.cluster, self._scratch, statefulset, self.say, tls=tls).until_good(self.patience)

    @contextlib.contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - started, 1)

    def _note(self, found: Manifest, outcome: str, details: Mapping[str, Any]) -> None:
        noted = {"ended": self.cluster.now().isoformat(), **details}
        sets.record(self.restic, self.name, found.set, "drill", outcome, noted)

    def _remove(self) -> None:
        """Delete the namespace with everything in it, also volumes whose class would retain them."""
        listed = self.cluster.get_all([f"{self._path}/persistentvolumeclaims"])[0]
        for item in () if isinstance(listed, ApiError) else listed["items"]:
            if volume := item["spec"].get("volumeName"):
                change = {"spec": {"persistentVolumeReclaimPolicy": "Delete"}}
                path = f"/api/v1/persistentvolumes/{volume}"
                try:
                    self.cluster.request("PATCH", path, change, "application/merge-patch+json")
                except ApiError as error:
                    self.say(f"volume {volume} may be left behind: {error.seen}")
        self.cluster.delete(self._path)
        look = f"kubectl get namespace {self.namespace} -o yaml"
        what = f"namespace {self.namespace}"
        stopped.until_gone(self.cluster, [self._path], what, look, self.say, self.patience.rollout)
