# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of every operation that changed a release: who, when, what, how it ended. Kept in a ConfigMap, bounded."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from ansible_collections.orbit.rs.plugins.plugin_utils import lock, redact
from ansible_collections.orbit.rs.plugins.plugin_utils.cluster import Cluster
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Check, Object, OrbitError, Release

KEPT = 30  # operations
BYTES = 900_000  # of all records together; a ConfigMap holds 1 MiB
LAST = "last-"  # begins the keys that outcomes.py keeps; those of records begin with a year

Outcome = Literal["succeeded", "failed", "rolled_back", "paused"]


@dataclasses.dataclass
class Record:
    """One operation as it goes on. Events are seconds since the start, what happened, and to which ordinal.

    The events that a timeline knows are in timeline.py; any other is a mark on it.
    """

    operation: str
    by: str
    plan: str = ""
    steps: Sequence[str] = ()
    revision: int = 0
    started: str = dataclasses.field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    seconds: float = 0
    outcome: Outcome = "failed"
    error: str = ""
    events: list[tuple[float, str, int | None]] = dataclasses.field(default_factory=list)
    checks: Sequence[tuple[int, str, bool, str]] = ()  # of the last gate: ordinal, name, passed, detail
    _start: float = dataclasses.field(default_factory=time.monotonic)

    def event(self, what: str, ordinal: int | None = None) -> None:
        """Note that something has happened now."""
        self.events.append((round(time.monotonic() - self._start, 1), what, ordinal))

    def passed(self, checks: Iterable[Check]) -> None:
        """Note what the last gate has said. An ordinal that passed is good."""
        self.checks = [(check.ordinal, check.name, check.ok, check.detail) for check in checks]
        for ordinal in sorted({number for number, *dummy in self.checks}):
            if all(ok for number, dummy, ok, dummy in self.checks if number == ordinal):
                self.event("good", ordinal)

    def end(self, outcome: Outcome, error: str = "") -> None:
        """Note how it ended."""
        self.outcome, self.error = outcome, redact.text(error)[:2000]  # it quotes logs
        self.seconds = round(time.monotonic() - self._start, 1)

    def data(self) -> dict[str, Any]:
        """The record as it is kept."""
        fields = (field.name for field in dataclasses.fields(self) if not field.name.startswith("_"))
        return {name: getattr(self, name) for name in fields}


def path(release: Release) -> str:
    """API path of the ConfigMap that holds the records of a release."""
    return f"/api/v1/namespaces/{release.namespace}/configmaps/{_name(release)}"


@contextlib.contextmanager
def kept(
    cluster: Cluster, release: Release, operation: str, held: lock.Held, undone: type[OrbitError] | None = None
) -> Iterator[Record]:
    """The record of an operation under the lock, written however that ends; `undone` says that it was rolled back."""
    record = Record(operation, lock.identity())
    try:
        yield record
        record.end("succeeded")
    except OrbitError as error:
        record.end("rolled_back" if undone and isinstance(error, undone) else "failed", error.seen)
        raise
    finally:
        if not held.lost.is_set():
            write(cluster, release, record)


def write(cluster: Cluster, release: Release, record: Record) -> None:
    """Add a record, and drop the oldest beyond KEPT and BYTES. Raises ApiError."""
    key = f"{record.started.replace(':', '.').partition('+')[0]}-{record.operation}"
    text = json.dumps(record.data(), separators=(",", ":"))
    found = cluster.find(path(release))
    surplus = dict.fromkeys(_surplus(_records(found), BYTES - len(text)))
    put(cluster, release, found, {**surplus, key: text})


def put(cluster: Cluster, release: Release, found: Object | None, data: Mapping[str, str | None]) -> None:
    """Write keys of the ConfigMap, which is `found`; those that are None go. Raises ApiError."""
    if found is None:
        cluster.request("POST", path(release).rpartition("/")[0], _config_map(release, data))
    else:
        cluster.request("PATCH", path(release), {"data": dict(data)}, "application/merge-patch+json")


def _surplus(data: Mapping[str, str], room: int) -> list[str]:
    """The keys of the oldest records that have to go, so that there is room for one more."""
    newest = sorted(data, reverse=True)
    kept = 0
    for key in newest[: KEPT - 1]:
        room -= len(data[key])
        if room < 0:
            break
        kept += 1
    return newest[kept:]


def read(config_map: Object | None) -> list[dict[str, Any]]:
    """The records that a ConfigMap holds, the newest first."""
    data = _records(config_map)
    return [json.loads(data[key]) for key in sorted(data, reverse=True)]


def _records(config_map: Object | None) -> dict[str, str]:
    data: Mapping[str, str] = (config_map or {}).get("data") or {}
    return {key: text for key, text in data.items() if not key.startswith(LAST)}


def _name(release: Release) -> str:
    return f"{release.name}.orbit.rs"


def _config_map(release: Release, data: Mapping[str, str | None]) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": _name(release),
            "namespace": release.namespace,
            "labels": {"app.kubernetes.io/managed-by": "orbit.rs"},
        },
        "data": dict(data),
    }
