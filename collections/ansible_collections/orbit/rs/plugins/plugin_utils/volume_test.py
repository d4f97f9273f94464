# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A test of a StorageClass with a volume of its own: written by one pod, read back by another, removed.

The pods are as restricted as those of the release, and run as the same user, so that the test also shows whether the
server may write. What they do needs /bin/sh, head, sync and sha256sum in the image, as Debian, Alpine and busybox have.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from ansible_collections.orbit.rs.plugins.plugin_utils import diagnosis, report
from ansible_collections.orbit.rs.plugins.plugin_utils.cluster import ApiError, Cluster
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Diagnosis, Object, OrbitError

NAME = "orbit-rs-storage-test"
MEGABYTES = 8
LOOK_SECONDS = 0.25
HEARTBEAT_SECONDS = 10
REMOVAL_SECONDS = 60

_LABELS = {"app.kubernetes.io/name": NAME, "app.kubernetes.io/managed-by": "orbit.rs"}
_FILE = "/volume/test"
_SELECTOR = f"app.kubernetes.io/name={NAME}"
# The kubelet hands what is in this file on as the pod's status, so that nobody has to be allowed to read logs.
_WORDS = "/dev/termination-log"
_SUM = f"sha256sum < {_FILE} > {_WORDS}"
_SCRIPTS = {
    "write": f"set -e; head -c {MEGABYTES * 2**20} /dev/urandom > {_FILE}; sync {_FILE}; {_SUM}",
    "read": f"set -e; {_SUM}",
}
# Of the pod template: what decides where a pod may run, as whom, and from which registry.
_POD_FIELDS = ("securityContext", "nodeSelector", "tolerations", "imagePullSecrets", "priorityClassName")


def claim(namespace: str, template: Object, size: str) -> Object:
    """The claim, of the class and the access mode that the release's claim template names."""
    spec = {name: value for name, value in template["spec"].items() if name not in ("selector", "volumeName")}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": NAME, "namespace": namespace, "labels": _LABELS},
        "spec": {**spec, "resources": {"requests": {"storage": size}}},
    }


def pod(namespace: str, step: str, template: Mapping[str, Any], image: str, seconds: int, avoid: str = "") -> Object:
    """A pod that does one step ("write" or "read"), made from the release's pod spec; it rather avoids a node."""
    server = template["containers"][0]
    container = {
        "name": step,
        "image": image or server["image"],
        "command": ["/bin/sh", "-c", _SCRIPTS[step]],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"cpu": "500m", "memory": "64Mi"}},
        "volumeMounts": [{"name": "volume", "mountPath": "/volume"}],
        "securityContext": server.get("securityContext") or {},
    }
    if not image and server.get("imagePullPolicy"):
        container["imagePullPolicy"] = server["imagePullPolicy"]
    spec: dict[str, Any] = {
        **{name: template[name] for name in _POD_FIELDS if template.get(name)},
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "Never",
        "activeDeadlineSeconds": seconds,  # also when nobody is left to remove it
        "terminationGracePeriodSeconds": 0,
        "containers": [container],
        "volumes": [{"name": "volume", "persistentVolumeClaim": {"claimName": NAME}}],
    }
    if avoid:
        other = {"key": "kubernetes.io/hostname", "operator": "NotIn", "values": [avoid]}
        preference = {"weight": 100, "preference": {"matchExpressions": [other]}}
        spec["affinity"] = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [preference]}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"{NAME}-{step}", "namespace": namespace, "labels": _LABELS},
        "spec": spec,
    }


def cause(found: Object, claimed: Object, events: list[Object], now: datetime, *, final: bool) -> Diagnosis | None:
    """Why a pod does not come to its end, by the pod, its claim and their events; None: it still may.

    `final`: the time is up, so that something is named in any case.
    """
    metadata, status = found["metadata"], found.get("status") or {}
    for container in status.get("containerStatuses") or ():
        ended = (container.get("state") or {}).get("terminated") or {}
        if ended.get("reason") in ("StartError", "ContainerCannotRun"):
            return Diagnosis(
                "shell",
                f"The image {container.get('image', '')} cannot run /bin/sh.",
                str(ended.get("message", "")),
                "Set orbit_rs_storage_test_image to one that has a shell, such as busybox from your registry.",
            )
    if status.get("phase") == "Failed":
        ended = next((item["state"].get("terminated") or {} for item in status.get("containerStatuses") or ()), {})
        return Diagnosis(
            "pod failed",
            "The volume is there, and the pod could not work on it.",
            f"{status.get('message') or ended.get('reason', '')}, exit code {ended.get('exitCode', 'unknown')}",
            "It must be writable for the pod's user: look at fsGroup, the driver's fsGroupPolicy and mount options.",
        )
    owner = {"metadata": {"namespace": metadata["namespace"], "uid": ""}}
    since = diagnosis.time(metadata["creationTimestamp"])
    sightings = diagnosis.sightings(owner, [found], [claimed], events, now=now, since=since)
    if known := diagnosis.match(sightings, final=final):
        return known[0]
    if not final:
        return None
    about = {metadata["uid"]: "pod", claimed["metadata"]["uid"]: "claim"}
    said = [item for item in events if item["involvedObject"].get("uid") in about]
    last = {about[item["involvedObject"]["uid"]]: item for item in sorted(said, key=diagnosis.event_time)}
    evidence = "; ".join(f"{who}: {item.get('reason')}: {item.get('message')}" for who, item in sorted(last.items()))
    name = (claimed.get("spec") or {}).get("storageClassName") or "the default"
    if (claimed.get("status") or {}).get("phase") != "Bound":
        return Diagnosis(
            "not provisioned",
            f"StorageClass {name} makes no volume.",
            evidence,
            f"Is its driver running? kubectl describe storageclass {name}; kubectl get csidrivers; kubectl get pods -A",
        )
    return Diagnosis(
        "not started",
        "The volume was made, and the pod does not come to its end with it.",
        evidence or f"the pod is {status.get('phase', 'unknown')}",
        "Is the driver running on that node? kubectl get pods -A -o wide. If so: raise orbit_rs_storage_test_timeout.",
    )


class VolumeTest:
    """One test in one namespace. `say` gets the progress, line by line."""

    def __init__(self, cluster: Cluster, namespace: str, seconds: int, say: Callable[[str], None]) -> None:
        self._cluster = cluster
        self._seconds = seconds
        self._say = say
        root = f"/api/v1/namespaces/{namespace}"
        self._claims, self._pods = f"{root}/persistentvolumeclaims", f"{root}/pods"
        self._events = f"{root}/events"
        self._namespace = namespace

    def run(self, statefulset: Object, image: str, size: str) -> str:
        """Test with the pod and the claim template of a release; one line about what was shown.

        Removes everything, whatever happens. Raises OrbitError with the diagnosis.
        """
        spec = statefulset["spec"]
        templates = spec.get("volumeClaimTemplates") or ()
        if not templates:
            raise OrbitError(
                "The release has no volume that could be tested: persistence.enabled is false.",
                "Set orbit_rs_storage_test: false, or persistence.enabled: true.",
            )
        template = spec["template"]["spec"]
        if self._remove():
            self._say("volume test: what an earlier test had left is removed")
        started = time.monotonic()
        try:
            wanted = claim(self._namespace, templates[0], size)
            name = wanted["spec"].get("storageClassName") or "the default class"
            self._say(f"volume test: a claim of {size}, {name}")
            self._cluster.request("POST", self._claims, wanted)
            written, first = self._step(pod(self._namespace, "write", template, image, self._seconds))
            self._say(f"volume test: {MEGABYTES} MiB written on node {first} after {_since(started)}")
            self._cluster.delete(f"{self._pods}/{NAME}-write")
            self._await_gone()
            found, second = self._step(pod(self._namespace, "read", template, image, self._seconds, avoid=first))
            if not written or found != written:
                raise OrbitError(
                    f"The volume gives back other data than was written: {found or 'nothing'}, not {written}.",
                    "Do not use this class. See what the driver's log says about it.",
                )
        finally:
            self._say_left(self._remove())
        where = f"node {second}" if first == second else f"node {second}, another than it was written on"
        return f"volume test passed in {_since(started)}: a second pod has read the same data on {where}"

    def _step(self, wanted: Object) -> tuple[str, str]:
        """Run a pod to its end: its last words, and its node. Raises OrbitError."""
        self._cluster.request("POST", self._pods, wanted)
        name = wanted["metadata"]["name"]
        started = said = time.monotonic()
        while True:
            up = time.monotonic() - started >= self._seconds
            answers = self._cluster.get_all([f"{self._pods}/{name}", f"{self._claims}/{NAME}", self._events])
            looks: list[Object] = []
            for answer in answers:
                if isinstance(answer, ApiError):
                    raise answer
                looks.append(answer)
            found, claimed, events = looks
            status = found.get("status") or {}
            if status.get("phase") == "Succeeded":
                (container,) = status["containerStatuses"]
                words = str(container["state"]["terminated"].get("message") or "").split()
                return (words or [""])[0], str(found["spec"].get("nodeName", ""))
            if why := cause(found, claimed, events["items"], self._cluster.now(), final=up):
                raise OrbitError(f"The volume test failed after {_since(started)}.\n{report.diagnosis_text(why)}")
            if time.monotonic() - said >= HEARTBEAT_SECONDS:
                said = time.monotonic()
                phase = (claimed.get("status") or {}).get("phase", "unknown")
                self._say(f"volume test: the pod is {status.get('phase')}, its claim {phase}, after {_since(started)}")
            time.sleep(LOOK_SECONDS)

    def _remove(self) -> bool:
        """Delete what a test makes, and wait until it is gone; whether there was something, and it is gone now."""
        volume = ""
        answer = self._cluster.get_all([f"{self._claims}/{NAME}"])[0]
        if not isinstance(answer, ApiError):
            volume = (answer.get("spec") or {}).get("volumeName") or ""
        if volume:
            self._let_go(volume)
        there = [self._cluster.delete(f"{self._pods}/{NAME}-{step}") for step in _SCRIPTS]
        there.append(self._cluster.delete(f"{self._claims}/{NAME}"))
        if any(there):
            self._await_gone(volume)
        return any(there)

    def _let_go(self, volume: str) -> None:
        """Have a volume deleted with its claim, also where the class retains volumes: this one holds nothing."""
        path = f"/api/v1/persistentvolumes/{volume}"
        patch = {"spec": {"persistentVolumeReclaimPolicy": "Delete"}}
        found = self._cluster.get_all([path])[0]
        if isinstance(found, ApiError) or found["spec"].get("persistentVolumeReclaimPolicy") == "Delete":
            return
        self._cluster.request("PATCH", path, patch, "application/merge-patch+json")

    def _await_gone(self, volume: str | None = None) -> None:
        """Wait until the pods are gone; with `volume`, also the claim, and that volume."""
        paths = [f"{self._pods}/{NAME}-{step}" for step in _SCRIPTS]
        if volume is not None:
            paths.append(f"{self._claims}/{NAME}")
        if volume:
            paths.append(f"/api/v1/persistentvolumes/{volume}")
        end = time.monotonic() + REMOVAL_SECONDS
        while True:
            answers = dict(zip(paths, self._cluster.get_all(paths), strict=True))
            # Forbidden: nobody can tell, so it does not hold the test up.
            left = [
                path
                for path, answer in answers.items()
                if not isinstance(answer, ApiError) or answer.status not in (403, 404)
            ]
            if not left:
                return
            if time.monotonic() >= end:
                names = ", ".join("/".join(path.rsplit("/", 2)[1:]) for path in left)
                raise OrbitError(
                    f"The volume test cannot remove {names}: it is still there after {REMOVAL_SECONDS} s.",
                    f"See what holds it: kubectl describe pvc,pod -n {self._namespace} -l {_SELECTOR}",
                )
            time.sleep(LOOK_SECONDS)

    def _say_left(self, removed: bool) -> None:
        if removed:
            self._say("volume test: claim, volume and pods are removed")


def _since(started: float) -> str:
    return report.duration(time.monotonic() - started)
