# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a release is doing: looked at once, nothing written, nothing waited for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.orbit.rs.plugins.plugin_utils import (
    gate,
    lock,
    outcomes,
    record,
    report,
    rollout,
    snapshot,
    watch,
)
from ansible_collections.orbit.rs.plugins.plugin_utils.cluster import ApiError, Cluster
from ansible_collections.orbit.rs.plugins.plugin_utils.helm import Helm
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Check, Diagnosis, OrdinalState, Release, Snapshot

OPERATIONS = 3  # that are shown


@dataclasses.dataclass(frozen=True)
class Status:
    """What one look says."""

    live: Snapshot
    ordinals: Sequence[OrdinalState] = ()
    checks: Sequence[Check] = ()
    diagnosis: Diagnosis | None = None
    ready: bool = False
    lock: str = ""  # who is at work, or what is unfinished, as a sentence
    operations: Sequence[Mapping[str, Any]] = ()  # the newest first
    backups: outcomes.Outcomes = dataclasses.field(default_factory=dict)
    backups_text: str = ""
    away: str = ""  # that there is no StatefulSet, as a sentence


def look(cluster: Cluster, helm: Helm, release: Release, say: Callable[[str], None]) -> Status:
    """Look once, and let every ordinal that is ready answer. Raises OrbitError."""
    live = snapshot.read(cluster, helm, release, planning=False)
    at_work = report.lock_text(lock.holder(live.lease), cluster.now())
    operations = record.read(live.records)
    backups = outcomes.read(live.records)
    backups_text = outcomes.text(backups, cluster.now())
    known = Status(live, lock=at_work, operations=operations, backups=backups, backups_text=backups_text)
    if live.release is None:
        return known
    watching = watch.Watch(cluster, release, watch.stored_statefulset(release, live.release), say)
    try:
        verdict = watching.look(final=True)
    except ApiError as error:
        if error.status != 404:
            raise
        return dataclasses.replace(known, away=_away(release, watching.statefulset["metadata"]["name"], at_work))
    ready = {state.ordinal: state.pod for state in verdict.ordinals if state.ready}
    ports = watch.container_ports(watching.statefulset)
    tls = watch.uses_tls(live.release.objects)
    checks = gate.gate(cluster, release.namespace, ready, ports, write=False, tls=tls) if ready else []
    return dataclasses.replace(
        known,
        ordinals=rollout.with_zones(verdict.ordinals, live.nodes or ()),
        checks=checks,
        diagnosis=watching.with_log(verdict.diagnosis) if verdict.diagnosis else None,
        ready=verdict.state == "ready" and all(check.ok for check in checks),
    )


def _away(release: Release, name: str, at_work: str) -> str:
    """What it means that there is no StatefulSet: a backup or a restore has taken it away, or somebody else."""
    text = f"{release.name} in namespace {release.namespace} has no StatefulSet {name}: nothing restarts its pods"
    return f"{text} until this is finished." if at_work else f"{text}.\nMake it again: ansible-playbook orbit.rs.deploy"


def text(release: Release, status: Status) -> str:
    """The status as people read it."""
    parts = [status.away or report.status_text(release, status.live, status.ordinals, status.checks)]
    if status.diagnosis:
        parts.append(report.diagnosis_text(status.diagnosis))
    if status.operations:
        parts.append(f"Last operations:\n\n{report.operations_text(status.operations[:OPERATIONS])}")
    if status.backups_text:
        parts.append(status.backups_text)
    if status.lock:
        parts.append(status.lock)
    return "\n\n".join(parts)
