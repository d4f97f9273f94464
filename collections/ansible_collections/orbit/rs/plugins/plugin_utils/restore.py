# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put the data of a backup set back: checks first, then a set of what is there, then write, start and gate.

When what was restored is not good, what was there before comes back. What a run needs to be finished or undone rests on
the Lease, so that the next one can do either when this one is killed.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from ansible_collections.orbit.rs.plugins.plugin_utils import (
    backup,
    helm,
    lock,
    objects,
    record,
    report,
    sets,
    stopped,
    stream,
    tools,
    verify,
    watch,
)
from ansible_collections.orbit.rs.plugins.plugin_utils.backup import Backup, Live
from ansible_collections.orbit.rs.plugins.plugin_utils.cluster import Cluster
from ansible_collections.orbit.rs.plugins.plugin_utils.helm import Helm
from ansible_collections.orbit.rs.plugins.plugin_utils.lock import Held
from ansible_collections.orbit.rs.plugins.plugin_utils.model import (
    Finding,
    Object,
    OrbitError,
    Patience,
    Release,
    listed,
)
from ansible_collections.orbit.rs.plugins.plugin_utils.restic import Restic
from ansible_collections.orbit.rs.plugins.plugin_utils.sets import Listed, Manifest, Part
from ansible_collections.orbit.rs.plugins.plugin_utils.stopped import Stopped
from ansible_collections.orbit.rs.plugins.plugin_utils.tarstream import Broken, Parser

# $0 is the volume. cat takes what follows the end of the archive, so that nobody writes into a closed pipe.
_WRITE = (
    'set -e; cd "$0"; for path in * .[!.]* ..?*; do if [ "$path" != lost+found ] && [ -e "$path" ]; then '
    'rm -rf -- "$path"; fi; done; tar -xpf -; cat > /dev/null; sync'
)
# Not every image has find.
_SUMS = (
    'cd "$0"; walk() { for path in "$1"/* "$1"/.[!.]* "$1"/..?*; do if [ "$path" = ./lost+found ]; then continue; '
    'elif [ -d "$path" ]; then walk "$path"; elif [ -e "$path" ]; then sha256sum "$path"; fi; done; }; walk .'
)


@dataclasses.dataclass(frozen=True)
class Orders:
    """What is restored, and how."""

    set: str = "verified"
    before: str = ""
    ordinals: tuple[int, ...] = ()  # empty: all
    source: str = ""  # name of another release in the repository whose set may be taken
    confirm: str = ""  # name of the release, when its data may be replaced
    overrides: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # values of a release that is made anew
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)  # of its namespace
    interrupted: str = "resume"
    patience: Patience = dataclasses.field(default_factory=Patience)


def fill(halt: Stopped, ordinal: int, restic: Restic, part: Part) -> None:
    """Replace everything in the volume of a stopped ordinal, and compare what is there then with the manifest.

    Raises OrbitError.
    """
    pod, parser = halt.helper(ordinal, write=True), Parser()
    shown = backup.Progress(halt.say)
    shown.begin(ordinal, part.bytes)

    def blocks() -> Iterator[bytes]:
        for block in verify.checked(restic, part.snapshot, parser):
            shown.add(ordinal, len(block))
            yield block

    where = halt.cluster, halt.release.namespace, pod
    command = ["/bin/sh", "-c", _WRITE, stopped.VOLUME]
    try:
        stream.execute(*where, command, stdin=blocks(), check=halt.held.check)
    except Broken as error:
        raise OrbitError(
            f"What the repository holds for {pod} is not whole: {error}.", "Restore another set."
        ) from error
    wrong = sets.difference(part.files, parser.files)
    if not wrong:
        wrong = different(part, stream.output(*where, ["/bin/sh", "-c", _SUMS, stopped.VOLUME]))
    if wrong:
        rows = "\n".join(f"  {text}" for text in wrong)
        raise OrbitError(f"The volume of {pod} does not hold what the manifest says:\n{rows}", "Restore another set.")
    shown.end(ordinal)
    halt.remove([ordinal])


def different(part: Part, sums: str) -> list[str]:
    """How the files that sha256sum has seen differ from those of the manifest."""
    found = {}
    for line in sums.splitlines():
        value, dummy, path = line.partition("  ")
        if value.startswith("\\"):  # its mark for a name with a backslash or a line break in it
            value, path = value[1:], path.replace("\\n", "\n").replace("\\\\", "\\")
        found[path.removeprefix("./")] = value
    wanted = {path: file.sha256 for path, file in part.files.items()}
    wrong = [f"{path} is missing" for path in wanted.keys() - found.keys()]
    wrong += [f"{path} is not in the set" for path in found.keys() - wanted.keys()]
    wrong += [f"{path} has other content" for path in wanted.keys() & found.keys() if wanted[path] != found[path]]
    return sorted(wrong)


def findings(
    found: Manifest,
    live: Live,
    release: Release,
    ordinals: Sequence[int],
    source: str,
    pods: Sequence[Object],
    claims: Mapping[str, Object],
) -> list[Finding]:
    """What stands against a restore."""
    wrong: list[tuple[str, str, str]] = []
    if (found.release, found.namespace) != (release.name, release.namespace) and source != found.name:
        wrong.append(
            (
                "release",
                f"Set {found.set} is of {found.release} in namespace {found.namespace}, not of this release.",
                f"To take it all the same: -e orbit_rs_restore_from={found.name}",
            )
        )
    here, there = live.replicas, found.replicas
    scale = (
        f"Scale first: ansible-playbook orbit.rs.scale -e orbit_rs_replicas={there}\n"
        "Or choose ordinals: -e '{\"orbit_rs_restore_ordinals\": [0]}'"
    )
    if missing := [ordinal for ordinal in ordinals if ordinal not in found.parts]:
        what = f"The release has {here} ordinals, and set {found.set} has nothing of {listed(map(str, missing))}."
        wrong.append(("ordinals", what, scale))
    elif there > here == len(ordinals):
        what = f"Set {found.set} has {there} ordinals, the release has {here}: some data would be left out."
        wrong.append(("ordinals", what, scale))
    if outside := [ordinal for ordinal in ordinals if ordinal >= live.replicas]:
        wrong.append(
            (
                "ordinals",
                f"The release has no ordinal {listed(map(str, outside))}.",
                "Choose from those that it has, or scale first: ansible-playbook orbit.rs.scale",
            )
        )
    taken, running = tools.numbers(found.versions.get("server", "")), tools.numbers(live.version)
    if taken and running and taken > running:
        wrong.append(
            (
                "version",
                f"Set {found.set} was written by server {found.versions['server']}, newer than {live.version} here.",
                "An older server may not read its data. Upgrade first: ansible-playbook orbit.rs.upgrade -e "
                f"orbit_rs_version={found.versions['server']}",
            )
        )
    for text in stopped.strangers(pods, live.statefulset, ordinals):
        wrong.append(
            ("volume", f"Another pod is at the data: {text}.", f"End it: kubectl delete pod -n {release.namespace} ...")
        )
    wrong += _room(found, live, ordinals, claims)
    return [Finding("error", check, seen, remedy) for check, seen, remedy in wrong]


def _room(
    found: Manifest, live: Live, ordinals: Sequence[int], claims: Mapping[str, Object]
) -> list[tuple[str, str, str]]:
    wrong = []
    for ordinal in ordinals:
        name = stopped.claim(live.statefulset, ordinal)
        status = (claims.get(name) or {}).get("status") or {}
        if status.get("phase") != "Bound":
            wrong.append(("volume", f"{name} is not there.", "Deploy first: ansible-playbook orbit.rs.deploy"))
        elif ordinal in found.parts:
            room = objects.quantity((status.get("capacity") or {}).get("storage", "0"))
            needed = sum(file.size for file in found.parts[ordinal].files.values())
            if needed > room:
                what = f"{name} holds {report.size(float(room))}, and set {found.set} takes {report.size(needed)}."
                wrong.append(("volume", what, "Make it larger first: persistence.size"))
    return wrong


def taken_text(found: Manifest, chosen: Listed, now: datetime) -> str:
    """What a set is, as a line of a plan."""
    age = report.duration((now - chosen.time).total_seconds())
    server = found.versions.get("server", "")
    return f"  taken {age} ago, method {found.method}, server {server}, {chosen.noted or 'not verified'}"


def plan_text(found: Manifest, chosen: Listed, release: Release, ordinals: Sequence[int], now: datetime) -> str:
    """What would be done, as a person reads it."""
    lines = [
        f"Restore set {found.set} into {release.name} in namespace {release.namespace}:",
        taken_text(found, chosen, now),
        f"  stop    ordinal {listed(map(str, ordinals))}",
        "  keep    what is there, in a safety set",
    ]
    for ordinal in ordinals:
        lines.append(f"  write   ordinal {ordinal}: {backup.content(found.parts[ordinal])}")
    lines.append("  start   and gate; when that fails, the safety set comes back")
    return "\n".join(lines)


@dataclasses.dataclass
class Restore:
    """One run. `taking` takes the safety set, and has the repository; `say` gets the progress."""

    cluster: Cluster
    tool: Helm
    release: Release
    taking: Backup
    orders: Orders
    say: Callable[[str], None]
    rebuilt: bool = False  # there was no release; its volumes are there, and it is to be deployed

    @property
    def _restic(self) -> Restic:
        return self.taking.restic

    @property
    def _source(self) -> str:
        return self.orders.source or self.taking.name

    def run(self, *, check: bool) -> str:
        """Restore, or finish what a killed run has left; in check mode say how. Id of the set. Raises OrbitError."""
        lease = self.cluster.find(lock.path(self.release))
        if helm.stored(self.cluster, self.tool, self.release) is None:
            return self._rebuild(lease, check=check)
        holder = lock.holder(lease)
        left = holder.unfinished if holder else {}
        if left.get("resume") == "restore":
            self.say(
                f"A restore of set {left['set']} was not finished; it was {left['phase']}. "
                + (
                    "What was there before comes back."
                    if "revert" in (self.orders.interrupted, left["phase"][:6])
                    else "This run goes on with it; -e orbit_rs_interrupted=revert brings back what was there before."
                )
            )
            if not check:
                self._under_lock(None, (), None)
            return str(left["set"])
        live = backup.look(self.cluster, self.tool, self.release)
        found, chosen, ordinals = self._chosen(live)
        self.say(plan_text(found, chosen, self.release, ordinals, self.cluster.now()))
        if check:
            return found.set
        if self.orders.confirm != self.release.name:
            what = f"ordinal {listed(map(str, ordinals))} of {self.release.name}"
            raise OrbitError(
                f"The data of {what} would be replaced, and nobody has confirmed that. Nothing was touched.",
                f"To confirm it: -e orbit_rs_restore_confirm={self.release.name}",
            )
        self._under_lock(found, ordinals, live)
        return found.set

    def _rebuild(self, lease: Object | None, *, check: bool) -> str:
        # Much code that is seldom needed.
        from ansible_collections.orbit.rs.plugins.plugin_utils.rebuild import Rebuild

        found, chosen = self._set()
        if found.kind == sets.SAFETY or self.orders.ordinals:
            raise OrbitError(
                f"There is no release {self.release.name} in namespace {self.release.namespace}, and a release is only "
                "made out of all ordinals of a set that is whole.",
                "Choose another set, and no ordinals: ansible-playbook orbit.rs.sets",
            )
        overrides, labels, patience = self.orders.overrides, self.orders.labels, self.orders.patience
        parallel = self.taking.orders.parallel
        where = self.cluster, self.tool, self.release, self._restic
        work = Rebuild(*where, found, chosen, overrides, labels, parallel, patience, self.say)
        work.run(self.orders.confirm, lease, check=check)
        self.rebuilt = True
        return found.set

    def _set(self) -> tuple[Manifest, Listed]:
        """The set that is meant, which is whole. Raises OrbitError."""
        snapshots = self._restic.snapshots(f"{sets.CLUSTER}={self._source}")
        chosen = sets.choose(sets.listed(snapshots)[0], self.orders.set, self.orders.before)
        found = sets.manifest(self._restic, chosen, self._source)
        if wrong := sets.faults(found, snapshots):
            raise verify.failure(found, wrong)
        return found, chosen

    def _chosen(self, live: Live) -> tuple[Manifest, Listed, list[int]]:
        """The set and the ordinals that are meant. Raises OrbitError with all that stands against it."""
        found, chosen = self._set()
        ordinals = sorted(set(self.orders.ordinals)) or list(range(live.replicas))
        root = f"/api/v1/namespaces/{self.release.namespace}"
        pods = self.cluster.get(f"{root}/pods")["items"]
        claims = {
            item["metadata"]["name"]: item for item in self.cluster.get(f"{root}/persistentvolumeclaims")["items"]
        }
        if wrong_here := findings(found, live, self.release, ordinals, self.orders.source, pods, claims):
            raise OrbitError(
                f"Set {found.set} cannot be restored here. Nothing was touched.\n{report.findings_text(wrong_here)}"
            )
        return found, chosen, ordinals

    def _under_lock(self, found: Manifest | None, ordinals: Sequence[int], live: Live | None) -> None:
        wait = self.orders.patience.lock
        with (
            lock.held(self.cluster, self.release, "restore", self.say, wait=wait) as held,
            record.kept(self.cluster, self.release, "restore", held, undone=PutBack) as done,
        ):
            if held.unfinished.get("resume") == "restore":
                done.steps = [f"set {held.unfinished['set']}, after a run that was interrupted"]
                self._resume(held)
            elif found and live:
                stopped.heal(self.cluster, self.release, held, self.say, self.orders.patience.rollout)
                backup.refuse_unfinished(held)
                done.steps = [f"set {found.set}, ordinal {listed(map(str, ordinals))}"]
                self._begin(held, found, ordinals, live)

    def _begin(self, held: Held, found: Manifest, ordinals: Sequence[int], live: Live) -> None:
        halt = self._halt(live.statefulset, held)
        self.say(f"stopping ordinal {listed(map(str, ordinals))}")
        try:
            halt.stop(ordinals, set=found.set, source=found.name, safety="", phase="saving")
            safety = self._save(halt, held, live, ordinals)
            halt.note(safety=safety, phase="writing")
        except OrbitError as error:
            if not held.lost.is_set():
                self._start(halt, held)
            raise OrbitError(
                f"{error.seen}\nNothing was replaced, and what was stopped is started again.", error.remedy
            ) from error
        self._replace(halt, held, found, ordinals)

    def _save(self, halt: Stopped, held: Held, live: Live, ordinals: Sequence[int]) -> str:
        """Take a set of what is there; its id. Raises OrbitError."""
        started = time.monotonic()
        name = self.taking.begin()
        self.say(f"safety set {name} of what is there")
        parts = self.taking.each(ordinals, lambda ordinal: self.taking.volume(halt, ordinal, name, held))
        self.taking.finish(live, held, name, sets.SAFETY, parts, time.monotonic() - started)
        return name

    def _resume(self, held: Held) -> None:
        left = held.unfinished
        halt = self._halt(left["statefulset"], held)
        halt.notes = {key: left[key] for key in ("ordinals", "set", "source", "safety", "phase")}
        ordinals = [int(ordinal) for ordinal in left["ordinals"]]
        stopped.remove_helpers(self.cluster, self.release)
        if left["phase"] == "reverting" or (self.orders.interrupted == "revert" and left["safety"]):
            self._revert(halt, held, ordinals, None)
        if self.orders.interrupted == "revert":
            self._start(halt, held)
            return
        found = self._manifest(left["set"], left["source"])
        if left["phase"] == "saving":
            stored = helm.stored(self.cluster, self.tool, self.release)
            if stored is None:
                raise AssertionError
            self._begin(held, found, ordinals, Live(stored, left["statefulset"]))
            return
        halt.stop(ordinals)
        self._replace(halt, held, found, ordinals)

    def _replace(self, halt: Stopped, held: Held, found: Manifest, ordinals: Sequence[int]) -> None:
        """Write, start and gate; bring back what was there when that fails. Raises OrbitError."""
        try:
            self._write(halt, found, ordinals)
            halt.note(phase="checking")
            self._start(halt, held)
        except OrbitError as error:
            held.check()
            self._revert(halt, held, ordinals, error)

    def _write(self, halt: Stopped, found: Manifest, ordinals: Collection[int]) -> None:
        def one(ordinal: int) -> Part:
            fill(halt, ordinal, self._restic, found.parts[ordinal])
            return found.parts[ordinal]

        self.say(f"writing set {found.set}")
        self.taking.each(sorted(ordinals), one)

    def _start(self, halt: Stopped, held: Held) -> None:
        """Start everything, and gate it. Raises OrbitError."""
        stopped.remove_helpers(self.cluster, self.release)
        halt.start()
        stored = helm.stored(self.cluster, self.tool, self.release)
        tls = watch.uses_tls(stored.objects if stored else ())
        watch.Watch(self.cluster, self.release, halt.statefulset, self.say, tls=tls).until_good(self.orders.patience)
        held.remember({})

    def _revert(self, halt: Stopped, held: Held, ordinals: Sequence[int], why: OrbitError | None) -> None:
        """Bring back what was there. Always raises: PutBack when it is there, else OrbitError."""
        safety = str(halt.notes["safety"])
        head = f": {why.seen.splitlines()[0]}" if why else ""
        self.say(f"bringing back what was there, safety set {safety}{head}")
        try:
            halt.note(phase="reverting")
            stopped.remove_helpers(self.cluster, self.release)
            halt.stop(ordinals)
            self._write(halt, self._manifest(safety, self.taking.name), ordinals)
            self._start(halt, held)
        except OrbitError as error:
            raise OrbitError(
                "The restore failed, and what was there before is not back yet.\n"
                + (f"Why it failed: {why.seen}\n" if why else "")
                + f"Why it is not back: {error.seen}",
                f"{error.remedy}\nIt is in safety set {safety}. To go on bringing it back: "
                "ansible-playbook orbit.rs.restore -e orbit_rs_interrupted=revert",
            ) from error
        back = f"What was there before is back, from safety set {safety}, and every ordinal is good."
        if why is None:
            raise PutBack(back, "See how it is doing: ansible-playbook orbit.rs.status")
        raise PutBack(f"The restore failed: {why.seen}\n\n{back}", why.remedy) from why

    def _manifest(self, set_id: str, name: str) -> Manifest:
        known, *dummy = backup.known_sets(self._restic, name)
        return sets.manifest(self._restic, sets.choose(known, set_id), name)

    def _halt(self, statefulset: Object, held: Held) -> Stopped:
        return Stopped(self.cluster, self.release, statefulset, held, self.say, self.orders.patience.rollout, "restore")


class PutBack(OrbitError):
    """A restore that failed and was undone: what was there before is there again."""
