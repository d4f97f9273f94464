# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take a backup set: every ordinal's data as a stream into the repository, the release's objects, and last the marker.

Nothing of it rests on the control host, and nothing is visible before it is whole.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import Any

from ansible_collections.orbit.rs.plugins.plugin_utils import (
    helm,
    lock,
    record,
    references,
    report,
    rollout,
    sets,
    stopped,
    stream,
    watch,
)
from ansible_collections.orbit.rs.plugins.plugin_utils.cluster import ApiError, Cluster
from ansible_collections.orbit.rs.plugins.plugin_utils.helm import Helm
from ansible_collections.orbit.rs.plugins.plugin_utils.lock import Held
from ansible_collections.orbit.rs.plugins.plugin_utils.model import (
    HelmRelease,
    Object,
    OrbitError,
    Patience,
    Release,
    listed,
)
from ansible_collections.orbit.rs.plugins.plugin_utils.report import size
from ansible_collections.orbit.rs.plugins.plugin_utils.restic import NO_REPOSITORY, Restic, ResticError
from ansible_collections.orbit.rs.plugins.plugin_utils.sets import Manifest, Part
from ansible_collections.orbit.rs.plugins.plugin_utils.stopped import Stopped
from ansible_collections.orbit.rs.plugins.plugin_utils.tarstream import Broken, Parser

PROGRESS_SECONDS = 5
SCRATCH = "orbit-rs-backup"  # folder on a pod for what the server's own --backup writes

# $0 is the scratch folder, $1 the data folder, $2 the database in it. Prints: needed and free, both in KiB.
_PREPARE = (
    'set -e; umask 077; rm -rf "$0"; mkdir -p "$0"; test -f "$1/$2" || { echo "there is no $1/$2" >&2; exit 1; }; '
    'set -- $(du -sk "$1"); echo "$1"; df -Pk "$0" | tail -n 1 | (read -r a b c free d; echo "$free")'
)
# Everything in the folder $0 but what a volume may hold besides the data; without the folder itself, which can be of
# another user, so that its mode and time cannot be set again. An archive of nothing is its end alone.
_ARCHIVE = (
    'cd "$0"; for path in * .[!.]* ..?*; do case $path in lost+found | SCRATCH) continue ;; esac; '
    'if [ -e "$path" ]; then set -- "$@" "./$path"; fi; done; '
    '[ $# -gt 0 ] || exec head -c 1024 /dev/zero; exec tar --numeric-owner -cf - -- "$@"'
).replace("SCRATCH", SCRATCH)


@dataclasses.dataclass(frozen=True)
class Orders:
    """How a set is taken."""

    method: str = "application"
    parallel: int = 2
    scratch: str = "/tmp"  # folder on the pods; its own folder in it goes again
    database: str = "orbit.db"  # the file in the data folder that the server's --backup writes a copy of
    patience: Patience = dataclasses.field(default_factory=Patience)


@dataclasses.dataclass(frozen=True)
class Live:
    """The release as it is."""

    stored: HelmRelease
    statefulset: Object

    @property
    def image(self) -> str:
        """Image of the server."""
        return str(self.statefulset["spec"]["template"]["spec"]["containers"][0]["image"])

    @property
    def version(self) -> str:
        """Version of the server: the tag of its image, else what the chart says."""
        tag = self.image.partition("@")[0].rpartition(":")
        return tag[2] if tag[0] and "/" not in tag[2] else self.stored.app_version

    @property
    def replicas(self) -> int:
        """How many ordinals there are."""
        return int(self.statefulset["spec"].get("replicas", 1))


def look(cluster: Cluster, helm_command: Helm, release: Release) -> Live:
    """Read the release. Raises OrbitError when there is none, or a rollout of it is under way."""
    stored = helm.stored(cluster, helm_command, release)
    if stored is None or (found := cluster.find(cluster.path(watch.stored_statefulset(release, stored)))) is None:
        raise OrbitError(
            f"There is no running release {release.name} in namespace {release.namespace}.",
            "Deploy it: ansible-playbook orbit.rs.deploy",
        )
    if rollout.partition(found):
        raise OrbitError("A rollout of the release is not finished.", "Finish it: ansible-playbook orbit.rs.deploy")
    return Live(stored, found)


def known_sets(restic: Restic, name: str, *, create: bool = False) -> tuple[list[sets.Listed], list[str], bool]:
    """The sets of a release, what killed runs have left, and whether the repository was made just now."""
    try:
        snapshots = restic.snapshots(f"{sets.CLUSTER}={name}")
    except ResticError as error:
        if error.code != NO_REPOSITORY or not create:
            raise
        restic.create()
        return [], [], True
    return *sets.listed(snapshots), False


class Progress:
    """How far each ordinal is, said now and then."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._lock = threading.Lock()
        self._state: dict[int, list[float]] = {}  # bytes, of how many, begun, said

    def begin(self, ordinal: int, total: int) -> None:
        """An ordinal begins, with about so many bytes."""
        now = time.monotonic()
        self._state[ordinal] = [0, total, now, now]

    def add(self, ordinal: int, size: int) -> None:
        """So many bytes more have passed."""
        state = self._state[ordinal]
        state[0] += size
        now = time.monotonic()
        if now - state[3] >= PROGRESS_SECONDS:
            state[3] = now
            with self._lock:
                self._say(f"ordinal {ordinal}: {progress(state[0], state[1], now - state[2])}")

    def end(self, ordinal: int) -> float:
        """An ordinal is done; the seconds that it took."""
        done, dummy, begun, dummy = self._state[ordinal]
        spent = time.monotonic() - begun
        with self._lock:
            self._say(f"ordinal {ordinal}: {size(done)} in {report.duration(spent)}")
        return round(spent, 3)


def progress(done: float, total: float, spent: float) -> str:
    """Bytes, rate and time left in words."""
    rate = done / spent if spent else 0
    text = f"{size(done)} of {size(total)}, {size(rate)}/s" if total > done else f"{size(done)}, {size(rate)}/s"
    return f"{text}, {report.duration((total - done) / rate)} left" if total > done and rate else text


@dataclasses.dataclass
class Backup:
    """One run that takes a set. `name` is the release's name in the repository; `say` gets the progress."""

    cluster: Cluster
    release: Release
    restic: Restic
    name: str
    versions: Mapping[str, str]
    orders: Orders
    say: Callable[[str], None]
    _failed: threading.Event = dataclasses.field(default_factory=threading.Event)

    def run(self, tool: Helm, *, wait: float, kind: str = "backup") -> Manifest:
        """Take a set of every ordinal, under the lock. Raises OrbitError."""
        with lock.held(self.cluster, self.release, "backup", self.say, wait=wait) as held:
            # Of those that only read, none pushes what has changed the release off the record.
            changes = self.orders.method == "cold" or bool(held.unfinished)
            on_record = record.kept(self.cluster, self.release, "backup", held)
            with on_record if changes else contextlib.nullcontext() as done:
                stopped.heal(self.cluster, self.release, held, self.say, self.orders.patience.rollout)
                refuse_unfinished(held)
                taken = self.take(look(self.cluster, tool, self.release), held, kind)
                if done:
                    done.steps = [f"set {taken.set}, {size(taken.total)}"]
        return taken

    def begin(self) -> str:
        """Make sure that there is a repository, remove what killed runs have left in it; the id of the new set."""
        known, rest, made = known_sets(self.restic, self.name, create=True)
        if made:
            self.say(f"there was no repository at {self.restic.shown}, so it is made")
        else:
            self.restic.unlock()
        if rest:
            self.say(f"removing {len(rest)} snapshots that interrupted backups have left")
            self.restic.forget(rest)
        return sets.new_id(self.cluster.now(), (item.id for item in known))

    def take(self, live: Live, held: Held, kind: str) -> Manifest:
        """Take a set of every ordinal. Raises OrbitError."""
        started = time.monotonic()
        verdict = watch.Watch(self.cluster, self.release, live.statefulset, self.say).look()
        if waiting := [state.pod for state in verdict.ordinals if not state.ready]:
            raise OrbitError(
                f"{listed(waiting)} cannot be backed up: not ready.",
                "See why: ansible-playbook orbit.rs.diagnose",
            )
        if self.orders.method == "application":
            self._has_backup(live)
        set_id = self.begin()
        self.say(f"set {set_id}: {live.replicas} ordinals, method {self.orders.method}, to {self.restic.shown}")
        if self.orders.method == "cold":
            parts = self._cold(live, held, set_id)
        else:
            parts = self.each(range(live.replicas), lambda ordinal: self._application(live, held, set_id, ordinal))
        return self.finish(live, held, set_id, kind, parts, time.monotonic() - started)

    def _has_backup(self, live: Live) -> None:
        container = live.statefulset["spec"]["template"]["spec"]["containers"][0]
        if "--config" not in (container.get("command") or ()):
            raise OrbitError(
                "This server has no --backup of its own, so that the method application is not for it.",
                "Stop one ordinal at a time instead: -e orbit_rs_backup_method=cold",
            )

    def finish(
        self, live: Live, held: Held, set_id: str, kind: str, parts: Mapping[int, Part], seconds: float
    ) -> Manifest:
        """Store the objects, then the marker: from then on the set exists. Raises OrbitError."""
        content = json.dumps(self._objects(live)).encode()
        noted = sets.tags(self.name, set_id, part="objects")
        taken = Manifest(
            set=set_id,
            name=self.name,
            release=self.release.name,
            namespace=self.release.namespace,
            method="cold" if kind == sets.SAFETY else self.orders.method,
            kind=kind,
            replicas=live.replicas,
            ended=self.cluster.now().isoformat(),
            versions={
                "server": live.version,
                "image": live.image,
                "chart": live.stored.chart,
                **self.versions,
            },
            parts=parts,
            objects=self.restic.store(sets.OBJECTS, content, self.name, noted),
            seconds=round(seconds, 1),
        )
        held.check()
        self.restic.store(
            sets.MANIFEST, taken.text().encode(), self.name, sets.tags(self.name, set_id, kind=kind, complete="")
        )
        return taken

    def each(self, ordinals: Sequence[int], function: Callable[[int], Part]) -> dict[int, Part]:
        """Do something for ordinals side by side. When one fails the others end, too. Raises OrbitError."""
        self._failed.clear()

        def guarded(ordinal: int) -> Part:
            try:
                return function(ordinal)
            except BaseException:
                self._failed.set()
                raise

        with ThreadPoolExecutor(max(1, self.orders.parallel)) as pool:
            running = {ordinal: pool.submit(guarded, ordinal) for ordinal in ordinals}
            try:
                wait(running.values(), return_when=FIRST_EXCEPTION)
            finally:
                for future in running.values():
                    future.cancel()
        errors = [error for future in running.values() if not future.cancelled() and (error := future.exception())]
        if errors:
            raise next((error for error in errors if not isinstance(error, _Stopped)), errors[0])
        return {ordinal: future.result() for ordinal, future in running.items()}

    def _application(self, live: Live, held: Held, set_id: str, ordinal: int) -> Part:
        """Let the server write a consistent copy beside its data, and stream that."""
        pod = f"{live.statefulset['metadata']['name']}-{ordinal}"
        container = live.statefulset["spec"]["template"]["spec"]["containers"][0]
        scratch = f"{self.orders.scratch.rstrip('/')}/{SCRATCH}"
        where = self.cluster, self.release.namespace, pod
        database = self.orders.database

        def check() -> None:
            self._check(held)

        try:
            words = ["/bin/sh", "-c", _PREPARE, scratch, stopped.mount(live.statefulset), database]
            needed, free = map(int, stream.output(*where, words, container=container["name"]).split())
            if free < needed:
                raise OrbitError(
                    f"{pod} has {size(free * 1024)} free in {self.orders.scratch}, a copy takes {size(needed * 1024)}.",
                    "Choose a folder with more room as orbit_rs_backup_scratch, or the method cold.",
                )
            copy = [*container["command"], "--backup", f"{scratch}/{database}"]
            stream.execute(*where, copy, container=container["name"], stdout=lambda block: None, check=check)
            count = ["/bin/sh", "-c", 'wc -c < "$0"', f"{scratch}/{database}"]
            total = int(stream.output(*where, count, container=container["name"]))
            return self.archive(ordinal, pod, container["name"], scratch, total, set_id, held)
        finally:
            self._clean(pod, container["name"], scratch)

    def _clean(self, pod: str, container: str, scratch: str) -> None:
        try:
            stream.output(self.cluster, self.release.namespace, pod, ["rm", "-rf", scratch], container=container)
        except OrbitError as error:
            self.say(f"{pod}: {scratch} is left behind: {error.seen} The next backup removes it.")

    def _cold(self, live: Live, held: Held, set_id: str) -> dict[int, Part]:
        """Stop one ordinal after the other, stream its volume, and start it again, also after a failure."""
        parts = {}
        for ordinal in range(live.replicas):
            halt = Stopped(
                self.cluster, self.release, live.statefulset, held, self.say, self.orders.patience.rollout, "backup"
            )
            self.say(f"ordinal {ordinal} stops, {ordinal + 1} of {live.replicas}")
            try:
                halt.stop([ordinal])
                parts[ordinal] = self.volume(halt, ordinal, set_id, held)
            finally:
                if not held.lost.is_set():
                    halt.remove([ordinal])
                    halt.start()
                    held.remember({})
            stored = live.stored.objects
            watching = watch.Watch(self.cluster, self.release, live.statefulset, self.say, tls=watch.uses_tls(stored))
            watching.until_good(self.orders.patience, only=[ordinal])
        return parts

    def volume(self, halt: Stopped, ordinal: int, set_id: str, held: Held) -> Part:
        """Stream the whole volume of a stopped ordinal. Raises OrbitError."""
        pod = halt.helper(ordinal, write=False)
        where = self.cluster, self.release.namespace, pod
        total = int(stream.output(*where, ["du", "-sk", stopped.VOLUME]).split()[0]) * 1024
        part = self.archive(ordinal, pod, "", stopped.VOLUME, total, set_id, held)
        halt.remove([ordinal])
        return part

    def archive(self, ordinal: int, pod: str, container: str, folder: str, total: int, set_id: str, held: Held) -> Part:
        """Stream a folder of a pod into a snapshot, which exists only when all of it has come. Raises OrbitError."""
        parser = Parser()
        writer = self.restic.backup(
            sets.DATA, f"{self.name}-{ordinal}", sets.tags(self.name, set_id, part="data", ordinal=ordinal)
        )
        shown = Progress(self.say)
        shown.begin(ordinal, total)

        def take(block: bytes) -> None:
            parser.feed(block)
            writer.write(block)
            shown.add(ordinal, len(block))

        try:
            stream.execute(
                self.cluster,
                self.release.namespace,
                pod,
                ["/bin/sh", "-c", _ARCHIVE, folder],
                container=container,
                stdout=take,
                check=lambda: self._check(held),
            )
            parser.close()
            self._check(held)
            snapshot = writer.commit()
        except Broken as error:
            raise OrbitError(f"{pod}: {error}.", "Run again; nothing of it was kept.") from error
        finally:
            writer.abort()
        return Part(snapshot, parser.bytes, dict(parser.files), shown.end(ordinal))

    def _check(self, held: Held) -> None:
        held.check()
        if self._failed.is_set():
            raise _Stopped("Another ordinal has failed.")

    def _objects(self, live: Live) -> dict[str, Any]:
        """What it takes to make the release again: Helm's own note with chart and values, and the objects as they are.

        Also the Secrets and ConfigMaps that they refer to, and the claims.
        """
        paths = []
        for obj in live.stored.objects:
            paths.append(self.cluster.path(obj))
        for item in references.references(live.stored.objects):
            if item.kind in ("Secret", "ConfigMap") and item.namespace:
                paths.append(self.cluster.path(item.object))
        root = f"/api/v1/namespaces/{self.release.namespace}"
        paths.append(f"{root}/secrets/sh.helm.release.v1.{self.release.name}.v{live.stored.revision}")
        for ordinal in range(live.replicas):
            paths.append(f"{root}/persistentvolumeclaims/{stopped.claim(live.statefulset, ordinal)}")
        found = [answer for answer in self.cluster.get_all(paths) if not isinstance(answer, ApiError)]
        return {
            "release": self.release.name,
            "namespace": self.release.namespace,
            "chart": live.stored.chart,
            "values": live.stored.values,
            "objects": found,
        }


class _Stopped(OrbitError):
    """Stopped because another ordinal has failed."""


def refuse_unfinished(held: Held) -> None:
    """Raise OrbitError when another operation has left something unfinished."""
    if held.unfinished:
        what = held.unfinished.get("resume") or held.unfinished.get("operation", "deploy")
        raise OrbitError(
            f"A run of {what} was not finished, and what it has left cannot be backed up.",
            f"Finish it: ansible-playbook orbit.rs.{what}",
        )


def content(part: Part) -> str:
    """What a set has of an ordinal, in words."""
    count = len(part.files)
    return f"{count} file{'' if count == 1 else 's'} of {size(part.bytes)}"


def parts_text(parts: Mapping[int, Part]) -> str:
    """A table of the ordinals of a set."""
    rows = []
    for ordinal, part in sorted(parts.items()):
        rate = f"{size(part.bytes / part.seconds)}/s" if part.seconds else ""
        rows.append(
            (ordinal, len(part.files), size(part.bytes), report.duration(part.seconds), rate, part.snapshot[:8])
        )
    return report.table(("ORDINAL", "FILES", "SIZE", "TIME", "RATE", "SNAPSHOT"), rows)
