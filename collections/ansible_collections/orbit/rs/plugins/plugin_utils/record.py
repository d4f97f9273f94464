# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of every operation that changed a release: who, when, what, how it ended. Kept in a ConfigMap, bounded."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from ansible_collections.orbit.rs.plugins.plugin_utils.cluster import Cluster
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Object, Release

KEPT = 30  # operations; a ConfigMap holds 1 MiB

Outcome = Literal["succeeded", "failed", "rolled_back", "paused"]


@dataclasses.dataclass
class Record:
    """One operation as it goes on. Events are seconds since the start, what happened, and to which ordinal."""

    operation: str
    by: str
    plan: str = ""
    steps: Sequence[str] = ()
    revision: int = 0
    started: str = ""
    seconds: float = 0
    outcome: Outcome = "failed"
    error: str = ""
    events: list[tuple[float, str, int | None]] = dataclasses.field(default_factory=list)
    _start: float = dataclasses.field(default_factory=time.monotonic)

    def event(self, what: str, ordinal: int | None = None) -> None:
        """Note that something has happened now."""
        self.events.append((round(time.monotonic() - self._start, 1), what, ordinal))

    def end(self, outcome: Outcome, error: str = "") -> None:
        """Note how it ended."""
        self.outcome, self.error = outcome, error[:2000]
        self.seconds = round(time.monotonic() - self._start, 1)

    def data(self) -> dict[str, Any]:
        """The record as it is kept."""
        fields = (field.name for field in dataclasses.fields(self) if not field.name.startswith("_"))
        return {name: getattr(self, name) for name in fields}


def path(release: Release) -> str:
    """API path of the ConfigMap that holds the records of a release."""
    return f"/api/v1/namespaces/{release.namespace}/configmaps/{_name(release)}"


def write(cluster: Cluster, release: Release, record: Record) -> None:
    """Add a record, and drop the oldest beyond KEPT. Raises ApiError."""
    record.started = record.started or datetime.now(UTC).isoformat(timespec="seconds")
    key = f"{record.started.replace(':', '.').partition('+')[0]}-{record.operation}"
    text = json.dumps(record.data(), separators=(",", ":"))
    found = cluster.find(path(release))
    if found is None:
        cluster.request("POST", path(release).rpartition("/")[0], _config_map(release, {key: text}))
        return
    surplus = dict.fromkeys(sorted(found.get("data") or {})[: max(0, len(found.get("data") or {}) - KEPT + 1)])
    cluster.request("PATCH", path(release), {"data": {**surplus, key: text}}, "application/merge-patch+json")


def read(config_map: Object | None) -> list[dict[str, Any]]:
    """The records that a ConfigMap holds, the newest first."""
    data: Mapping[str, str] = (config_map or {}).get("data") or {}
    return [json.loads(data[key]) for key in sorted(data, reverse=True)]


def _name(release: Release) -> str:
    return f"{release.name}.orbit.rs"


def _config_map(release: Release, data: Mapping[str, str]) -> Object:
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
