# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stop single ordinals while the others go on serving, and start them again.

A StatefulSet starts every pod that is deleted at once, so it is taken away for that time, and its pods are left behind
without an owner. The same object, made again, adopts them: they keep running as long as the pod template is the same.
What was taken away rests on the Lease, so that the next run can put it back when this one is killed.
"""

from __future__ import annotations

import copy
import dataclasses
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

from ansible_collections.orbit.rs.plugins.plugin_utils import report, reshape, watch
from ansible_collections.orbit.rs.plugins.plugin_utils.cluster import Cluster, parallel
from ansible_collections.orbit.rs.plugins.plugin_utils.lock import Held
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Object, OrbitError, Release, listed

LOOK_SECONDS = 0.25
HELPER = "orbit.rs/helper"  # label of helper pods; its value is the release
DEADLINE_SECONDS = 86400  # until a helper pod ends by itself
VOLUME = "/volume"  # where a helper has the data

# Of the pod template: what decides where a pod may run, as whom, and from which registry.
_POD_FIELDS = ("securityContext", "nodeSelector", "tolerations", "imagePullSecrets", "priorityClassName")


@dataclasses.dataclass
class Stopped:
    """Ordinals of a release that stop and start. `statefulset` is the live one; `say` gets the progress."""

    cluster: Cluster
    release: Release
    statefulset: Object
    held: Held
    say: Callable[[str], None]
    timeout: float
    operation: str  # the playbook that finishes what a killed run has left
    notes: dict[str, Any] = dataclasses.field(default_factory=dict)  # what it needs for that

    @property
    def _namespace(self) -> str:
        return f"/api/v1/namespaces/{self.release.namespace}"

    def pod(self, ordinal: int) -> str:
        """Name of an ordinal's pod."""
        return f"{self.statefulset['metadata']['name']}-{ordinal}"

    def note(self, **more: Any) -> None:
        """Remember on the Lease what a later run needs to go on. Raises OrbitError."""
        self.notes |= more
        self.held.remember({"resume": self.operation, "statefulset": portable(self.statefulset), **self.notes})

    def stop(self, ordinals: Sequence[int], **more: Any) -> None:
        """Stop ordinals and wait until they have ended. `more` is remembered with it. Raises OrbitError."""
        wanted = portable(self.statefulset)
        path = self.cluster.path(wanted)
        # Without the object nothing restarts pods that fail, so it must be sure that it can be made again.
        trial = copy.deepcopy(wanted)
        trial["metadata"]["name"] += "-trial"
        self.cluster.request("POST", f"{path.rpartition('/')[0]}?dryRun=All", trial)
        self.note(ordinals=list(ordinals), **more)
        if self.cluster.find(path):
            self.cluster.request("DELETE", f"{path}?propagationPolicy=Orphan")
            self._until_gone([path], f"StatefulSet {wanted['metadata']['name']}")
        pods = [f"{self._namespace}/pods/{self.pod(ordinal)}" for ordinal in ordinals]
        parallel(self.cluster.delete, pods)
        self._until_gone(pods, listed(self.pod(ordinal) for ordinal in ordinals))

    def start(self) -> None:
        """Start what is stopped. Raises OrbitError."""
        put_back(self.cluster, self.release, self.statefulset, self.timeout)

    def helper(self, ordinal: int, *, write: bool, spread: bool = False) -> str:
        """Start a pod that has the ordinal's volume at VOLUME, as the server's user; its name. Raises OrbitError.

        `spread`: among the other helpers as the server's pods among each other, for volumes that are not placed yet.
        """
        wanted = helper(self.statefulset, self.release, ordinal, write=write)
        if spread:
            wanted["spec"] |= spreading(self.statefulset, self.release)
        name = str(wanted["metadata"]["name"])
        path = f"{self._namespace}/pods/{name}"
        self.remove([ordinal])
        self.cluster.request("POST", f"{self._namespace}/pods", wanted)
        start = time.monotonic()
        while True:
            found = self.cluster.get(path)
            status = found.get("status") or {}
            containers: Sequence[Object] = status.get("containerStatuses") or ()
            if containers and all(item.get("ready") for item in containers):
                return name
            if status.get("phase") in ("Failed", "Succeeded") or time.monotonic() - start > self.timeout:
                told = [status.get("reason"), status.get("message"), *(item.get("state") for item in containers)]
                raise OrbitError(
                    f"The pod {name}, which reads and writes the volume of {self.pod(ordinal)}, does not run: it is "
                    f"{status.get('phase')} after {report.duration(time.monotonic() - start)}. "
                    + "; ".join(str(text) for text in told if text),
                    f"See why: kubectl describe pod {name} -n {self.release.namespace}",
                )
            time.sleep(LOOK_SECONDS)

    def remove(self, ordinals: Sequence[int]) -> None:
        """Remove helper pods, and wait until they are gone. Raises OrbitError."""
        paths = [f"{self._namespace}/pods/{helper_name(self.pod(ordinal))}" for ordinal in ordinals]
        if any(parallel(self.cluster.delete, paths)):
            self._until_gone(paths, "the helper pods")

    def _until_gone(self, paths: Sequence[str], what: str) -> None:
        look = f"kubectl get statefulsets,pods -n {self.release.namespace}"
        until_gone(self.cluster, paths, what, look, self.say, self.timeout)


def until_gone(
    cluster: Cluster, paths: Sequence[str], what: str, look: str, say: Callable[[str], None], timeout: float
) -> None:
    """Wait until none of these objects is there. `look` shows what holds them. Raises OrbitError."""
    start, said = time.monotonic(), False
    while [path for path in paths if cluster.find(path)]:
        if not said and time.monotonic() - start > 3:
            say(f"waiting until gone: {what}")
            said = True
        if time.monotonic() - start > timeout:
            raise OrbitError(f"Not gone after {report.duration(timeout)}: {what}.", f"See what holds it: {look}")
        time.sleep(LOOK_SECONDS)


def portable(statefulset: Object) -> Object:
    """The object without what belongs to its life in the cluster."""
    return reshape.successor(statefulset, statefulset, ())


def put_back(cluster: Cluster, release: Release, statefulset: Object, timeout: float) -> None:
    """Make a StatefulSet again that was taken away, unless it is there; wait until it has adopted its pods."""
    wanted = portable(statefulset)
    path = cluster.path(wanted)
    if cluster.find(path) is None:
        # In Helm's name, as it was: nobody else has a hand in it.
        cluster.request("POST", f"{path.rpartition('/')[0]}?fieldManager=helm", wanted)
    start = time.monotonic()
    while not (cluster.get(path).get("status") or {}).get("observedGeneration"):
        if time.monotonic() - start > timeout:
            raise OrbitError(
                f"The cluster has not taken notice of the StatefulSet for {report.duration(timeout)}.",
                "Is its controller manager running? kubectl get pods -n kube-system",
            )
        time.sleep(LOOK_SECONDS)


def heal(cluster: Cluster, release: Release, held: Held, say: Callable[[str], None], timeout: float) -> None:
    """Start again what a killed backup has stopped. Raises OrbitError."""
    left = held.unfinished
    if left.get("resume") != "backup":
        return
    say("an earlier backup was killed while an ordinal was stopped: it is started again")
    remove_helpers(cluster, release)
    put_back(cluster, release, left["statefulset"], timeout)
    held.remember({})
    watch.Watch(cluster, release, left["statefulset"], say).until_ready(timeout)


def remove_helpers(cluster: Cluster, release: Release) -> None:
    """Remove all helper pods of a release."""
    pods = f"/api/v1/namespaces/{release.namespace}/pods"
    for pod in cluster.get(f"{pods}?labelSelector={HELPER}={release.name}")["items"]:
        cluster.delete(f"{pods}/{pod['metadata']['name']}")


def helper_name(pod: str) -> str:
    """Name of the helper pod of an ordinal."""
    return f"{pod}-volume"


def claim(statefulset: Object, ordinal: int) -> str:
    """Name of the claim that holds an ordinal's data. Raises OrbitError when there is none."""
    templates = statefulset["spec"].get("volumeClaimTemplates") or ()
    if not templates:
        raise OrbitError(
            "The release has no volumes: persistence.enabled is false, and each restart forgets its data.",
            "Set persistence.enabled: true.",
        )
    return f"{templates[0]['metadata']['name']}-{statefulset['metadata']['name']}-{ordinal}"


def mount(statefulset: Object) -> str:
    """Where the server has its data."""
    container = statefulset["spec"]["template"]["spec"]["containers"][0]
    volume = claim(statefulset, 0).partition("-" + statefulset["metadata"]["name"])[0]
    return next(str(item["mountPath"]) for item in container["volumeMounts"] if item["name"] == volume)


def helper(statefulset: Object, release: Release, ordinal: int, *, write: bool) -> Object:
    """A pod that waits with an ordinal's volume, as restricted as the server's, and selected by no Service."""
    template = statefulset["spec"]["template"]["spec"]
    server = template["containers"][0]
    container = {
        "name": "volume",
        "image": server["image"],
        "command": ["/bin/sh", "-c", f"sleep {DEADLINE_SECONDS}"],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}},
        "volumeMounts": [{"name": "volume", "mountPath": VOLUME, "readOnly": not write}],
        "securityContext": server.get("securityContext") or {},
    }
    if server.get("imagePullPolicy"):
        container["imagePullPolicy"] = server["imagePullPolicy"]
    name = claim(statefulset, ordinal)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": helper_name(f"{statefulset['metadata']['name']}-{ordinal}"),
            "namespace": release.namespace,
            "labels": {HELPER: release.name, "app.kubernetes.io/managed-by": "orbit.rs"},
        },
        "spec": {
            **{field: template[field] for field in _POD_FIELDS if template.get(field)},
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "restartPolicy": "Never",
            "activeDeadlineSeconds": DEADLINE_SECONDS,
            "terminationGracePeriodSeconds": 0,
            "containers": [container],
            "volumes": [{"name": "volume", "persistentVolumeClaim": {"claimName": name}}],
        },
    }


def spreading(statefulset: Object, release: Release) -> Object:
    """What keeps helpers apart as the pods of the StatefulSet are kept apart, as fields of a pod."""
    pod = copy.deepcopy(statefulset["spec"]["template"]["spec"])
    selector = {"matchLabels": {HELPER: release.name}}
    affinity = pod.get("affinity") or {}
    apart = affinity.get("podAntiAffinity") or {}
    wished = [item["podAffinityTerm"] for item in apart.get("preferredDuringSchedulingIgnoredDuringExecution") or ()]
    terms = [*(apart.get("requiredDuringSchedulingIgnoredDuringExecution") or ()), *wished]
    for term in (*terms, *(pod.get("topologySpreadConstraints") or ())):
        term["labelSelector"] = selector
        term.pop("matchLabelKeys", None)
    affinity.pop("podAffinity", None)
    found = {"affinity": affinity, "topologySpreadConstraints": pod.get("topologySpreadConstraints")}
    return {name: value for name, value in found.items() if value}


def strangers(pods: Sequence[Object], statefulset: Object, ordinals: Collection[int]) -> list[str]:
    """Pods that use the volume of one of these ordinals and are neither its server nor a helper of ours."""
    own = {claim(statefulset, ordinal): f"{statefulset['metadata']['name']}-{ordinal}" for ordinal in ordinals}
    found = []
    for pod in pods:
        if HELPER in (pod["metadata"].get("labels") or {}):
            continue
        for volume in pod["spec"].get("volumes") or ():
            name = (volume.get("persistentVolumeClaim") or {}).get("claimName", "")
            if name in own and pod["metadata"]["name"] != own[name]:
                found.append(f"{pod['metadata']['name']} uses {name}")
    return found
