# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Grow the volumes of a release, and make its StatefulSet again around the pods, which do not notice.

What the API server does not let change in a StatefulSet is changed by another one of the same name. It is a copy of the
one that is there, with all that others have put into its pod template: pods that match it are taken over, any other
would restart.
"""

from __future__ import annotations

import copy
import dataclasses
import time
from collections.abc import Callable, Iterable, Sequence

from ansible_collections.orbit.rs.plugins.plugin_utils import (
    diagnosis,
    objects,
    report,
    rollout,
    volumes,
    watch,
)
from ansible_collections.orbit.rs.plugins.plugin_utils.cluster import ApiError, Cluster
from ansible_collections.orbit.rs.plugins.plugin_utils.lock import Held
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Object, OrbitError, Release
from ansible_collections.orbit.rs.plugins.plugin_utils.volumes import Growth

LOOK_SECONDS = 0.5
HEARTBEAT_SECONDS = 10
# For which a StatefulSet and its pods must have been there before it is taken away from them. The garbage collector
# leaves the pods that it knows to be its; one that was made or taken over a moment ago it deletes.
SETTLE_SECONDS = 10
_MERGE = "application/merge-patch+json"

# What the API server writes itself.
_ITS_OWN = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
)
# Its waits for what a deletion leaves behind.
_DELETION = ("foregroundDeletion", "orphan")


@dataclasses.dataclass
class Reshape:
    """Volumes and StatefulSet of a release on their way. `say` gets the progress, line by line."""

    cluster: Cluster
    release: Release
    held: Held
    patience: float
    say: Callable[[str], None]
    event: Callable[[str, int | None], None]
    remember: Callable[[Object | None], None]  # keep the StatefulSet that is about to be made again, or forget it

    def run(self, growing: Sequence[Growth], live: Object | None, wanted: Object, fields: Iterable[str]) -> None:
        """Grow these claims, lowest ordinal first, then give the StatefulSet these fields of its spec as wanted.

        Nothing is changed unless the API server would accept all of it. Raises OrbitError; what is done by then stays,
        and another run goes on from there.
        """
        fields = list(fields)
        new = successor(live, wanted, fields) if live and fields else None
        self._try(growing, live, new)
        for growth in growing:
            self._grow(growth)
        if live and new:
            self._try((), live, new)  # growing may have taken long
            self._replace(live, new)

    def _try(self, growing: Iterable[Growth], live: Object | None, new: Object | None) -> None:
        """Have the API server check everything, and do nothing."""
        try:
            for growth in growing:
                if change := growth.change():
                    self.cluster.request("PATCH", f"{self._claim(growth)}?dryRun=All", change, _MERGE)
            if live and new:
                name = f"{new['metadata']['name'][:40]}-dry-run"
                trial = {**new, "metadata": {**new["metadata"], "name": name}}
                made = self.cluster.request("POST", f"{self._path(trial).rpartition('/')[0]}?dryRun=All", trial)
                if other := objects.differences(_template(live), _template(made), _template(live)):
                    raise OrbitError(
                        f"The API server would give the new StatefulSet another pod template ({other[0].path}), so all "
                        "pods would restart. Something in the cluster changes it.",
                        "See what does: kubectl get mutatingwebhookconfigurations,mutatingadmissionpolicies",
                    )
        except ApiError as error:
            raise OrbitError(
                f"The cluster refuses what is to be done to the volumes, so that is not begun: {error.message}",
                error.remedy or "Correct what it names, then run again: ansible-playbook orbit.rs.deploy",
            ) from error

    def _grow(self, growth: Growth) -> None:
        """Ask for the size, and wait until the volume and its file system have it."""
        self.held.check()
        aims = [growth.size] if growth.size != growth.found else []
        aims += [f"attributes {growth.attributes}"] if growth.attributes else []
        self.say(f"{growth.name}: {growth.found}, to be {' with '.join(aims)}")
        self.event("grow", growth.ordinal)
        if change := growth.change():
            self.cluster.request("PATCH", f"{self._claim(growth)}?fieldManager=orbit.rs", change, _MERGE)
        start = said = time.monotonic()
        told = ""
        while True:
            claim = self._look(self._claim(growth))
            if claim is None:
                raise OrbitError(f"{growth.name} is gone.", "See who deletes it, then run again.")
            if volumes.done(claim, growth):
                break
            if volumes.pending(claim) and not self._runs(growth):
                self.say(f"{growth.name}: its file system grows when its pod is there again")
                return
            progress = volumes.progress(claim)
            if volumes.failed(claim) or time.monotonic() - start >= self.patience:
                raise self._failure(growth, claim, progress)
            if progress != told or time.monotonic() - said >= HEARTBEAT_SECONDS:
                self.say(f"{growth.name}: {progress}, after {report.duration(time.monotonic() - start)}")
                told, said = progress, time.monotonic()
            time.sleep(LOOK_SECONDS)
        self.event("grown", growth.ordinal)
        self.say(f"{growth.name}: done after {report.duration(time.monotonic() - start)}")

    def _failure(self, growth: Growth, claim: Object, progress: str) -> OrbitError:
        """Why a volume does not grow, with what the cluster says of it."""
        path = f"/api/v1/namespaces/{self.release.namespace}/events?fieldSelector=involvedObject.name={growth.name}"
        answer = self.cluster.get_all([path])[0]
        events = [] if isinstance(answer, ApiError) else answer["items"]
        warnings = [event for event in events if event.get("type") == "Warning"]
        last = max(warnings, key=diagnosis.event_time, default=None)
        said = f"\nThe cluster says: {last['reason']}: {last['message']}" if last else ""
        again = "Then run again, which goes on from here: ansible-playbook orbit.rs.deploy"
        if volumes.failed(claim):
            remedy = f"Ask for less: a size above {growth.found} in persistence.size. {again}"
        elif volumes.pending(claim):
            remedy = (
                "This driver grows a file system only when it is mounted. Restart that pod alone: kubectl delete pod "
                f"{growth.pod} -n {self.release.namespace}. {again}"
            )
        else:
            remedy = f"Is the resizer of the driver running? kubectl describe pvc {growth.name} -n "
            remedy += f"{self.release.namespace}. {again}"
        return OrbitError(f"{growth.name} does not get {growth.size}: {progress}.{said}", remedy)

    def _replace(self, live: Object, new: Object) -> None:
        """Delete the StatefulSet alone, make the new one, and see that it takes over all pods as they are."""
        self._settle(live)
        self.held.check()
        name, path = new["metadata"]["name"], self._path(new)
        before = {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in self._pods(new)}
        self.remember(new)
        self.say(f"StatefulSet {name} is made again; its pods go on")
        self.event("reshape", None)
        self.cluster.request(
            "DELETE",
            path,
            {
                "apiVersion": "v1",
                "kind": "DeleteOptions",
                "propagationPolicy": "Orphan",
                "preconditions": {"uid": live["metadata"]["uid"]},
            },
        )
        start = time.monotonic()
        while self._look(path) is not None:
            if time.monotonic() - start > self.patience:
                raise OrbitError(
                    f"StatefulSet {name} does not go. Its pods go on without it.",
                    "Is the controller manager running? kubectl get pods -n kube-system. Then run again.",
                )
            time.sleep(LOOK_SECONDS / 5)
        self.make(new)
        after = {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in self._pods(new)}
        if lost := [pod for pod, uid in before.items() if after.get(pod) != uid]:
            self.say(f"meanwhile something else has restarted {', '.join(lost)}")

    def _settle(self, live: Object) -> None:
        """Wait until nothing of it is new any more."""
        made = max(diagnosis.time(obj["metadata"].get("creationTimestamp")) for obj in (live, *self._pods(live)))
        left = SETTLE_SECONDS - (self.cluster.now() - made).total_seconds()
        if left > 0:
            self.say(f"StatefulSet {live['metadata']['name']} has to be older than that: {report.duration(left)}")
            time.sleep(left)

    def make(self, new: Object) -> None:
        """Make the StatefulSet, and wait until it has taken over the pods that match it. Raises OrbitError."""
        self.held.check()
        try:
            # As Helm would have made it: what is its own it must find under its name.
            self.cluster.request("POST", f"{self._path(new).rpartition('/')[0]}?fieldManager=helm", new)
        except ApiError as error:
            if error.status != 409:
                raise OrbitError(
                    f"There is no StatefulSet now, its pods go on without it: it cannot be made again: {error.message}",
                    "Correct what that names. Then run again, which makes it: ansible-playbook orbit.rs.deploy",
                ) from error
        start = time.monotonic()
        while True:
            made = self._look(self._path(new)) or {"metadata": {}}
            status = made.get("status") or {}
            seen = status.get("observedGeneration", 0) >= made["metadata"].get("generation", 1)
            if seen and all(_taken(pod, made) for pod in self._pods(new)):
                break
            if time.monotonic() - start > self.patience:
                raise OrbitError(
                    f"StatefulSet {new['metadata']['name']} is there again and does not take over its pods.",
                    f"See what it says: kubectl describe statefulset {new['metadata']['name']} -n "
                    f"{self.release.namespace}. Then run again.",
                )
            time.sleep(LOOK_SECONDS)
        self.remember(None)
        self.event("reshaped", None)

    def _pods(self, statefulset: Object) -> list[Object]:
        """The pods that are the StatefulSet's by labels and name, and that stay."""
        path = f"/api/v1/namespaces/{self.release.namespace}/pods?labelSelector={watch.selector(statefulset)}"
        found = self.cluster.get(path)["items"]
        names = {f"{statefulset['metadata']['name']}-{ordinal}" for ordinal in rollout.ordinals(statefulset)}
        return [
            pod for pod in found if pod["metadata"]["name"] in names and not pod["metadata"].get("deletionTimestamp")
        ]

    def _look(self, path: str) -> Object | None:
        """Read an object; an API server that restarts is waited for."""
        start = time.monotonic()
        while True:
            try:
                return self.cluster.find(path)
            except ApiError as error:
                if time.monotonic() - start > self.patience or (error.status < 500 and error.status != 429):
                    raise
                self.say(f"trying again: {error.seen}")
                time.sleep(5 * LOOK_SECONDS)

    def _runs(self, growth: Growth) -> bool:
        """Whether the pod that uses a claim is there."""
        found = self._look(f"/api/v1/namespaces/{self.release.namespace}/pods/{growth.pod}")
        return bool(found and (found.get("status") or {}).get("phase") == "Running")

    def _claim(self, growth: Growth) -> str:
        return f"/api/v1/namespaces/{self.release.namespace}/persistentvolumeclaims/{growth.name}"

    def _path(self, statefulset: Object) -> str:
        return self.cluster.path(statefulset)


def successor(live: Object, wanted: Object, fields: Iterable[str]) -> Object:
    """A StatefulSet like the live one, with these fields of its spec as wanted."""
    metadata = {name: value for name, value in copy.deepcopy(live["metadata"]).items() if name not in _ITS_OWN}
    annotations = metadata.setdefault("annotations", {})
    annotations.setdefault(volumes.SINCE, live["metadata"].get("creationTimestamp", ""))
    if finalizers := [item for item in metadata.pop("finalizers", []) if item not in _DELETION]:
        metadata["finalizers"] = finalizers
    spec = copy.deepcopy(live["spec"])
    for field in fields:
        if field in wanted["spec"]:
            spec[field] = copy.deepcopy(wanted["spec"][field])
        else:
            spec.pop(field, None)
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata, "spec": spec}


def _template(statefulset: Object) -> Object:
    """The pod template as an object of its own, to be compared."""
    return {"kind": "StatefulSet", "metadata": {}, "spec": {"template": statefulset["spec"]["template"]}}


def _taken(pod: Object, statefulset: Object) -> bool:
    """Whether a pod belongs to the StatefulSet, on the revision that it wants."""
    owners = pod["metadata"].get("ownerReferences") or ()
    revision = (pod["metadata"].get("labels") or {}).get("controller-revision-hash")
    wanted = (statefulset.get("status") or {}).get("updateRevision")
    return any(owner["uid"] == statefulset["metadata"].get("uid") for owner in owners) and revision == wanted
