# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take a release away. Its data stays, unless somebody names the release whose data is to go."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence

from ansible_collections.orbit.rs.plugins.plugin_utils import lock, objects, record, report, snapshot, watch
from ansible_collections.orbit.rs.plugins.plugin_utils.cluster import ApiError, Cluster
from ansible_collections.orbit.rs.plugins.plugin_utils.helm import Helm
from ansible_collections.orbit.rs.plugins.plugin_utils.model import HelmRelease, Object, OrbitError, Release, listed

LOOK_SECONDS = 0.5
CLAIM = "orbit.rs/claim"  # on a volume: whose it was, should its namespace be deleted later


@dataclasses.dataclass(frozen=True)
class Volume:
    """A claim of the release, and the volume behind it; {} when that is not bound or may not be read."""

    claim: Object
    volume: Object

    @property
    def name(self) -> str:
        """Name of the claim."""
        return str(self.claim["metadata"]["name"])

    @property
    def policy(self) -> str:
        """What becomes of the volume when the claim goes: Retain or Delete; "" when that is not known."""
        return str((self.volume.get("spec") or {}).get("persistentVolumeReclaimPolicy", ""))


@dataclasses.dataclass(frozen=True)
class Remains:
    """What is there of a release."""

    release: HelmRelease | None
    volumes: tuple[Volume, ...]
    own: tuple[str, ...]  # paths of what the playbooks keep in the namespace: lock and records


def look(cluster: Cluster, helm: Helm, release: Release, statefulset: str) -> Remains:
    """Read what is there. `statefulset` names it when Helm knows the release no more. Raises OrbitError."""
    found = helm.status(release)
    stored = objects.find(found.objects, "StatefulSet") if found else None
    name = stored["metadata"]["name"] if stored else statefulset
    namespace = f"/api/v1/namespaces/{release.namespace}"
    claims = snapshot.claims_of(cluster.get(f"{namespace}/persistentvolumeclaims")["items"], name)
    paths = [f"/api/v1/persistentvolumes/{claim['spec'].get('volumeName', '-')}" for claim in claims]
    answers = cluster.get_all(paths)
    volumes = (
        Volume(claim, {} if isinstance(answer, ApiError) else answer)
        for claim, answer in zip(claims, answers, strict=True)
    )
    own = (lock.path(release), record.path(release))
    there = tuple(path for path in own if cluster.find(path))
    gone = found is None or found.status == "uninstalled"
    return Remains(None if gone else found, tuple(volumes), there)


def plan_text(remains: Remains, release: Release, *, destroy: bool) -> str:
    """What would be done, as a person reads it."""
    where = f"{release.name} in namespace {release.namespace}"
    if not remains.release and not (destroy and (remains.volumes or remains.own)):
        left = f" Its volumes are there: {listed(item.name for item in remains.volumes)}." if remains.volumes else ""
        return f"There is no release {where}.{left}"
    lines = [f"Uninstall {where}:"]
    if remains.release:
        lines.extend(f"  remove  {objects.key(obj)}" for obj in remains.release.objects)
    for volume in remains.volumes:
        behind = volume.volume["metadata"]["name"] if volume.volume else "no volume"
        if destroy:
            lines.append(f"  delete  {volume.name} ({behind}), with its data")
        else:
            deleted = volume.policy not in ("Retain", "")
            change = f"; its reclaim policy becomes Retain, it is {volume.policy}" if deleted else ""
            lines.append(f"  keep    {volume.name} ({behind}){change}")
    return "\n".join(lines)


def adopt_text(remains: Remains, release: Release) -> str:
    """How to come back to the data."""
    names = [volume.volume["metadata"]["name"] for volume in remains.volumes if volume.volume]
    if not names:
        return ""
    patch = '[{"op":"remove","path":"/spec/claimRef/uid"},{"op":"remove","path":"/spec/claimRef/resourceVersion"}]'
    return "\n".join(
        [
            "The data is kept. To serve it again, deploy with the same names: ansible-playbook orbit.rs.deploy",
            f"Should the namespace {release.namespace} be deleted meanwhile, let the volumes be claimed anew first:",
            *(f"  kubectl patch persistentvolume {name} --type=json -p '{patch}'" for name in names),
        ]
    )


@dataclasses.dataclass
class Uninstall:
    """The run. `remove` lets Helm take its objects away; `say` gets the progress, line by line."""

    cluster: Cluster
    release: Release
    remains: Remains
    destroy: bool
    say: Callable[[str], None]
    remove: Callable[[lock.Held], None]
    timeout: float

    def run(self, wait: float) -> None:
        """Do what plan_text() says. Raises OrbitError."""
        with (
            lock.held(self.cluster, self.release, "uninstall", self.say, wait=wait) as held,
            record.kept(self.cluster, self.release, "uninstall", held),
        ):
            self._run(held)
        if self.destroy:
            for path in (lock.path(self.release), record.path(self.release)):
                self.cluster.delete(path)

    def _run(self, held: lock.Held) -> None:
        if not self.destroy:
            self._retain()
        if self.remains.release:
            held.check()
            self.remove(held)
            self._until_gone()
        if self.destroy:
            held.check()
            for volume in self.remains.volumes:
                self.say(f"delete {volume.name}")
                self.cluster.delete(f"/api/v1/namespaces/{self.release.namespace}/persistentvolumeclaims/{volume.name}")

    def _retain(self) -> None:
        """Keep the volumes also when their claims, or the whole namespace, are deleted later."""
        for volume in self.remains.volumes:
            if not volume.volume:
                continue
            name = volume.volume["metadata"]["name"]
            change: Mapping[str, object] = {
                "metadata": {"annotations": {CLAIM: f"{self.release.namespace}/{volume.name}"}},
                "spec": {"persistentVolumeReclaimPolicy": "Retain"},
            }
            self.cluster.request("PATCH", f"/api/v1/persistentvolumes/{name}", change, "application/merge-patch+json")

    def _until_gone(self) -> None:
        """Wait until the pods have ended: until then their volumes are written to. Raises OrbitError."""
        statefulset = watch.stored_statefulset(self.release, self.remains.release)
        path = f"/api/v1/namespaces/{self.release.namespace}/pods?labelSelector={watch.selector(statefulset)}"
        start, said = time.monotonic(), ""
        while pods := [pod["metadata"]["name"] for pod in self.cluster.get(path)["items"]]:
            text = f"waiting until {listed(sorted(pods))} have ended"
            if text != said:
                self.say(text)
                said = text
            if time.monotonic() - start > self.timeout:
                raise OrbitError(
                    f"{listed(sorted(pods))} are still there after {report.duration(self.timeout)}.",
                    f"See what holds them: kubectl describe pods -n {self.release.namespace}; then run again.",
                )
            time.sleep(LOOK_SECONDS)


def confirmed(name: str, release: Release, volumes: Sequence[Volume]) -> bool:
    """Whether the data is to be destroyed: its release has to be named. Raises OrbitError for another name."""
    if name and name != release.name:
        raise OrbitError(
            f"The data of {name} is to be destroyed, and this is the release {release.name} with "
            f"{len(volumes)} volumes. Nothing was touched.",
            f"To destroy its data: -e orbit_rs_destroy_data={release.name}",
        )
    return bool(name)
