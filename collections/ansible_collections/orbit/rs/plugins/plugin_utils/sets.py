# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backup sets: what is in one, and which of them exist.

A set has one snapshot per ordinal, one of the release's objects, and last the marker, which holds the manifest. It
exists only when exactly one marker names a snapshot for each ordinal and each of them is there: whatever broke off
before, nobody can take it for a set.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ansible_collections.orbit.rs.plugins.plugin_utils.model import OrbitError
from ansible_collections.orbit.rs.plugins.plugin_utils.restic import Restic, ResticError, Snapshot
from ansible_collections.orbit.rs.plugins.plugin_utils.tarstream import File

FORMAT = 1
DATA, OBJECTS, MANIFEST, NOTE = "/data.tar", "/objects.json", "/manifest.json", "/note.json"
# Tags of snapshots: whose, of which set, and what they are.
CLUSTER, SET, PART, ORDINAL, COMPLETE, RECORD, KIND, SECONDS = (
    "cl",
    "set",
    "part",
    "ordinal",
    "complete",
    "record",
    "kind",
    "seconds",
)
SAFETY = "safety"  # kind of a set that a restore has taken of what was there

_ID = re.compile(r"\d{8}T\d{6}Z")


@dataclasses.dataclass(frozen=True)
class Part:
    """What a set has of one ordinal."""

    snapshot: str
    bytes: int
    files: Mapping[str, File]
    seconds: float = 0.0


@dataclasses.dataclass(frozen=True)
class Manifest:
    """All that a set is, as its marker holds it."""

    set: str
    name: str  # whose it is: the release, under the name that it has in the repository
    release: str
    namespace: str
    method: str  # application, cold
    kind: str  # backup, upgrade, safety
    replicas: int
    ended: str
    versions: Mapping[str, str]
    parts: Mapping[int, Part]
    objects: str = ""  # snapshot of the release's objects
    seconds: float = 0.0
    format: int = FORMAT

    @property
    def total(self) -> int:
        """Bytes of all ordinals."""
        return sum(part.bytes for part in self.parts.values())

    def text(self) -> str:
        """As JSON."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    def moved(self, ids: Mapping[str, str]) -> Manifest:
        """The same set with other ids for its snapshots, where they have others."""
        parts = {
            ordinal: dataclasses.replace(part, snapshot=ids.get(part.snapshot, part.snapshot))
            for ordinal, part in self.parts.items()
        }
        return dataclasses.replace(self, parts=parts, objects=ids.get(self.objects, self.objects))

    @classmethod
    def of(cls, text: bytes | str) -> Manifest:
        """Of JSON. Raises ValueError, TypeError or KeyError for what is no manifest."""
        data = json.loads(text)
        if data["format"] != FORMAT:
            raise ValueError(f"its format is {data['format']}, known is {FORMAT}")
        parts = {
            int(ordinal): Part(**{**part, "files": {path: File(**file) for path, file in part["files"].items()}})
            for ordinal, part in data["parts"].items()
        }
        return cls(**{**data, "parts": parts})


@dataclasses.dataclass(frozen=True)
class Listed:
    """A set as the tags of its snapshots show it, without reading its manifest."""

    id: str
    kind: str
    marker: str  # snapshot of the manifest
    snapshots: tuple[str, ...]  # all of it, the marker and the records included
    records: Mapping[str, str] = dataclasses.field(
        default_factory=dict
    )  # drill or verify: passed or failed, the newest
    # Of snapshots that `restic copy` has brought here: the id here by the one that the manifest names.
    copies: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def time(self) -> datetime:
        """When it was begun."""
        return time_of(self.id)

    @property
    def noted(self) -> str:
        """Its records in words."""
        return ", ".join(f"{what} {how}" for what, how in sorted(self.records.items()))

    @property
    def verified(self) -> bool:
        """Whether a drill or a whole verification has passed, and none has failed since."""
        return "passed" in self.records.values() and "failed" not in self.records.values()


def new_id(now: datetime, taken: Iterable[str] = ()) -> str:
    """An id that sorts by time."""
    found = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    if found in set(taken):
        raise OrbitError(f"There is a set {found} already.", "Run again.")
    return found


def time_of(name: str) -> datetime:
    """When the set of an id was begun."""
    return datetime.strptime(name, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def listed(snapshots: Sequence[Snapshot]) -> tuple[list[Listed], list[str]]:
    """The sets that have exactly one marker, the newest first; and the snapshots that a run has left without one."""
    groups: dict[str, list[Snapshot]] = {}
    for snapshot in snapshots:
        groups.setdefault(snapshot.tags.get(SET, ""), []).append(snapshot)
    found, rest = [], []
    for name, group in groups.items():
        markers = [item for item in group if COMPLETE in item.tags]
        if len(markers) != 1 or not _ID.fullmatch(name):
            rest += [item.id for item in group if not markers]
            continue
        notes = sorted((item for item in group if RECORD in item.tags), key=lambda item: item.time)
        records = dict(item.tags[RECORD].partition(":")[::2] for item in notes)
        # The marker goes first when a set is dropped: from then on it does not exist.
        ids = (markers[0].id, *(item.id for item in group if item is not markers[0]))
        copies = {item.original: item.id for item in group if item.original}
        found.append(Listed(name, markers[0].tags.get(KIND, ""), markers[0].id, ids, records, copies))
    return sorted(found, key=lambda item: item.id, reverse=True), rest


def manifest(restic: Restic, chosen: Listed, name: str) -> Manifest:
    """The manifest of a set. Raises OrbitError for one that is damaged or somebody else's."""
    try:
        found = Manifest.of(restic.read(chosen.marker, MANIFEST))
    except ResticError as error:
        raise OrbitError(f"The manifest of set {chosen.id} cannot be read: {error.seen}", error.remedy) from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise OrbitError(f"The manifest of set {chosen.id} is broken: {error}.", _OTHER) from error
    if found.set != chosen.id or found.name != name:
        raise OrbitError(
            f"The marker of set {chosen.id} of {name} holds the manifest of set {found.set} of {found.name}.", _OTHER
        )
    return found.moved(chosen.copies)


_OTHER = "Choose another set; all of them: ansible-playbook orbit.rs.sets"


def faults(found: Manifest, snapshots: Sequence[Snapshot]) -> list[str]:
    """What is wrong between a manifest and the snapshots that are there."""
    there = {snapshot.id: snapshot for snapshot in snapshots}
    wrong = []
    for ordinal in range(found.replicas):
        if ordinal not in found.parts and found.kind != SAFETY:
            wrong.append(f"ordinal {ordinal} is not in the manifest")
    for ordinal, part in sorted(found.parts.items()):
        snapshot = there.get(part.snapshot)
        if snapshot is None:
            wrong.append(f"ordinal {ordinal}: its snapshot {part.snapshot[:8]} is not in the repository")
        elif (snapshot.tags.get(SET), snapshot.tags.get(ORDINAL)) != (found.set, str(ordinal)):
            tags = snapshot.tags
            wrong.append(
                f"ordinal {ordinal}: snapshot {part.snapshot[:8]} is of ordinal {tags.get(ORDINAL, 'none')} of set "
                f"{tags.get(SET, 'none')}"
            )
    if found.objects and found.objects not in there:
        wrong.append(f"the objects: their snapshot {found.objects[:8]} is not in the repository")
    return wrong


def choose(found: Sequence[Listed], wanted: str, before: str = "") -> Listed:
    """The set that is meant: an id, "newest", or "verified"; `before` leaves out what is later. Raises OrbitError."""
    everything = "All sets: ansible-playbook orbit.rs.sets"
    if wanted not in ("newest", "verified"):
        for item in found:
            if item.id == wanted:
                return item
        raise OrbitError(f"There is no complete set {wanted}.", everything)
    usable = [item for item in found if item.kind != SAFETY and (not before or item.time <= moment(before))]
    if not usable:
        raise OrbitError("There is no complete backup set" + (f" from before {before}." if before else "."), everything)
    if wanted == "newest":
        return usable[0]
    good = [item for item in usable if item.verified]
    if not good:
        raise OrbitError(
            f"None of the {len(usable)} sets has passed a verification or a drill. The newest is {usable[0].id}.",
            f"Verify it: ansible-playbook orbit.rs.verify -e orbit_rs_set={usable[0].id}\n"
            f"Or take it as it is: -e orbit_rs_set={usable[0].id}",
        )
    return good[0]


def moment(text: str) -> datetime:
    """A time as a person writes it, UTC unless it says otherwise. Raises OrbitError."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise OrbitError(f"{text!r} is not a time.", "Write it like 2026-11-30T14:50, which is UTC.") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def difference(wanted: Mapping[str, File], found: Mapping[str, File]) -> list[str]:
    """How the files that were found differ from those of the manifest."""
    wrong = [f"{path} is missing" for path in wanted.keys() - found.keys()]
    wrong += [f"{path} is not in the manifest" for path in found.keys() - wanted.keys()]
    for path in wanted.keys() & found.keys():
        if wanted[path] != found[path]:
            wrong.append(f"{path} is not as it was: {found[path]}, not {wanted[path]}")
    return sorted(wrong)


def tags(name: str, set_id: str, **more: Any) -> dict[str, str]:
    """Tags of one snapshot of a set."""
    return {CLUSTER: name, SET: set_id, **{key: str(value) for key, value in more.items()}}


def record(restic: Restic, name: str, set_id: str, what: str, outcome: str, details: Mapping[str, Any]) -> None:
    """Note on a set how a verification or a drill has ended. Nothing of the set itself is touched."""
    noted = tags(name, set_id, record=f"{what}:{outcome}")
    restic.store(NOTE, json.dumps(dict(details)).encode(), name, noted)
