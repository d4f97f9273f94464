# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a release out of a backup set where there is none: what it refers to, and its volumes with their data.

Chart and values are those of the set, rendered anew, so that the release may have another name, namespace, or class of
storage. The volumes are whole before the first pod of the server starts; then it is deployed like any other.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ansible_collections.orbit.rs.plugins.plugin_utils import (
    backup,
    desired,
    drill,
    helm,
    lock,
    objects,
    record,
    references,
    restore,
    revisions,
    sets,
    stopped,
)
from ansible_collections.orbit.rs.plugins.plugin_utils.cluster import Cluster, parallel
from ansible_collections.orbit.rs.plugins.plugin_utils.desired import Wish
from ansible_collections.orbit.rs.plugins.plugin_utils.helm import Helm
from ansible_collections.orbit.rs.plugins.plugin_utils.lock import REBUILT, Held
from ansible_collections.orbit.rs.plugins.plugin_utils.model import (
    Object,
    OrbitError,
    Patience,
    Release,
    listed,
)
from ansible_collections.orbit.rs.plugins.plugin_utils.restic import Restic
from ansible_collections.orbit.rs.plugins.plugin_utils.sets import Listed, Manifest
from ansible_collections.orbit.rs.plugins.plugin_utils.stopped import Stopped

REBUILDING = "rebuilding"  # phase of a restore that makes volumes; then it is REBUILT


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What the set makes of the release, before anything is touched."""

    statefulset: Object
    others: Sequence[Object]  # that the release refers to and does not bring along


def content(restic: Restic, found: Manifest) -> dict[str, Any]:
    """The objects of a set. Raises ResticError."""
    kept: dict[str, Any] = json.loads(restic.read(found.objects, sets.OBJECTS))
    return kept


def wish(content: Mapping[str, Any], folder: Path, inventory: Wish, replicas: int) -> Wish:
    """What it takes to be as the set says; its chart is written to `folder`. Raises OrbitError."""
    note = next((obj for obj in content["objects"] if obj.get("type") == "helm.sh/release.v1"), None)
    if note is None:
        raise OrbitError(
            "The set does not hold the chart: Helm kept the release elsewhere than in a Secret.",
            "Deploy the release from its inventory first, then restore: ansible-playbook orbit.rs.deploy",
        )
    return revisions.as_it_was(helm.content(note), folder, inventory, replicas)


def referred(rendered: Sequence[Object], kept: Sequence[Object], namespace: str) -> list[Object]:
    """What the release refers to and the set holds, as it is made in the namespace."""
    of_then = {(obj["kind"], obj["metadata"]["name"]): obj for obj in kept if obj["kind"] in ("Secret", "ConfigMap")}
    needed = [of_then.get((item.kind, item.name)) for item in references.references(rendered)]
    return [drill.moved(obj, namespace) for obj in needed if obj]


def resumed(left: Mapping[str, Any], set_id: str) -> Sequence[int] | None:
    """The ordinals that a killed run has written whole; None when it was none of these: volumes are not its own."""
    if left.get("phase") not in (REBUILDING, REBUILT):
        return None
    return [int(ordinal) for ordinal in left["whole"]] if left["set"] == set_id else []


@dataclasses.dataclass
class Rebuild:
    """One run. `say` gets the progress."""

    cluster: Cluster
    tool: Helm
    release: Release
    restic: Restic
    found: Manifest
    chosen: Listed
    overrides: Mapping[str, Any]  # values that are not to be as they were
    labels: Mapping[str, str]  # of the namespace, when it is made
    parallel: int
    patience: Patience
    say: Callable[[str], None]

    @property
    def _path(self) -> str:
        return f"/api/v1/namespaces/{self.release.namespace}"

    def run(self, confirm: str, lease: Object | None, *, check: bool) -> None:
        """Make volumes and what else is needed; in check mode say what. `lease`: as it was when there was no release.

        Raises OrbitError.
        """
        holder = lock.holder(lease)
        written = resumed(holder.unfinished if holder else {}, self.found.set)
        wanted = self._wanted()
        claims = list(drill.claims(wanted.statefulset, self.release.namespace, sorted(self.found.parts)))
        names = [claim["metadata"]["name"] for claim in claims]
        there = [name for name in names if self.cluster.find(self._claim(name))]
        self.say(self._text(wanted, claims))
        if there and written is None:
            raise OrbitError(
                f"There are volumes of an earlier life of {self.release.name}: {listed(there)}. Nothing was touched.",
                "To serve what they hold, and restore into that: ansible-playbook orbit.rs.deploy\n"
                f"To delete them: ansible-playbook orbit.rs.uninstall -e orbit_rs_destroy_data={self.release.name}",
            )
        if check:
            return
        if confirm != self.release.name:
            raise OrbitError(
                f"Nobody has confirmed that {self.release.name} is to be made. Nothing was touched.",
                f"To confirm it: -e orbit_rs_restore_confirm={self.release.name}",
            )
        if self.cluster.find(self._path) is None:
            self.cluster.apply(desired.namespace_object(self.release.namespace, self.labels))
        with (
            lock.held(self.cluster, self.release, "restore", self.say, wait=self.patience.lock) as held,
            record.kept(self.cluster, self.release, "restore", held) as done,
        ):
            done.steps = [f"volumes of set {self.found.set}"]
            if not held.next_after(lease):
                raise OrbitError(
                    f"Somebody else was at work on {self.release.name} meanwhile. Nothing was touched.",
                    "See what is there now: ansible-playbook orbit.rs.status",
                )
            whole = {number for number in written or () if stopped.claim(wanted.statefulset, number) in there}
            self._make(wanted, [claim for claim in claims if claim["metadata"]["name"] not in there], whole, held)

    def _wanted(self) -> Wanted:
        kept = content(self.restic, self.found)
        with tempfile.TemporaryDirectory(prefix="orbit-rs-") as folder:
            wanted = wish(kept, Path(folder), Wish(chart=""), self.found.replicas)
            rendered = desired.render(self.tool, self.release, dataclasses.replace(wanted, overrides=self.overrides))
        statefulset = objects.find(rendered, "StatefulSet")
        if statefulset is None:
            raise OrbitError(
                "The chart of the set makes no StatefulSet.", "Choose another: ansible-playbook orbit.rs.sets"
            )
        return Wanted(statefulset, referred(rendered, kept["objects"], self.release.namespace))

    def _text(self, wanted: Wanted, claims: Sequence[Object]) -> str:
        lines = [
            f"There is no release {self.release.name} in namespace {self.release.namespace}. "
            f"Make it out of set {self.found.set} of {self.found.name}:",
            restore.taken_text(self.found, self.chosen, self.cluster.now()),
        ]
        lines += [f"  make    {objects.key(obj)}, as it was" for obj in wanted.others]
        for (ordinal, part), claim in zip(sorted(self.found.parts.items()), claims, strict=True):
            where = f"{claim['metadata']['name']} of {claim['spec'].get('storageClassName', 'the default class')}"
            lines.append(f"  write   ordinal {ordinal}: {backup.content(part)} to {where}")
        return "\n".join([*lines, "  deploy  chart and values as they were, and gate"])

    def _make(self, wanted: Wanted, missing: Sequence[Object], whole: set[int], held: Held) -> None:
        """Make what is missing. What fails takes its volumes away again; a run that is killed is gone on with."""
        self._remember(held, whole)
        ordinals = sorted(self.found.parts)
        try:
            for obj in wanted.others:
                if self.cluster.find(self.cluster.path(obj)) is None:
                    self.cluster.apply(obj)
            for claim in missing:
                self.cluster.apply(claim)
            self._fill(wanted, whole, held)
        except OrbitError as error:
            if not held.lost.is_set():
                stopped.remove_helpers(self.cluster, self.release)
                names = [stopped.claim(wanted.statefulset, ordinal) for ordinal in ordinals]
                parallel(self.cluster.delete, list(map(self._claim, names)))
                held.remember({})
            raise OrbitError(f"{error.seen}\nThe volumes that it has made are removed.", error.remedy) from error

    def _fill(self, wanted: Wanted, whole: set[int], held: Held) -> None:
        timeout = self.patience.rollout
        halt = Stopped(self.cluster, self.release, wanted.statefulset, held, self.say, timeout, "restore")
        ordinals = [ordinal for ordinal in sorted(self.found.parts) if ordinal not in whole]
        if ordinals:
            self.say(f"writing set {self.found.set} to new volumes of ordinal {listed(map(str, ordinals))}")
        # All at once, as the server's own pods: it is the first pod of a volume that decides on its zone or node.
        parallel(lambda ordinal: halt.helper(ordinal, write=True, spread=True), ordinals)
        noting = threading.Lock()

        def one(ordinal: int) -> None:
            restore.fill(halt, ordinal, self.restic, self.found.parts[ordinal])
            with noting:
                whole.add(ordinal)
                self._remember(held, whole)

        with ThreadPoolExecutor(max(1, self.parallel)) as pool:
            list(pool.map(one, ordinals))

    def _remember(self, held: Held, whole: set[int]) -> None:
        left = {"set": self.found.set, "source": self.found.name, "whole": sorted(whole)}
        phase = REBUILT if len(whole) == len(self.found.parts) else REBUILDING
        held.remember({"resume": "restore", "phase": phase, **left})

    def _claim(self, name: str) -> str:
        return f"{self._path}/persistentvolumeclaims/{name}"
