# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When backup, verify, drill and retention were last done, and when they last succeeded.

Kept in the ConfigMap of the records, apart from them: however often sets are taken, what changed the release stays on
record. The same facts go to Prometheus, as a file for node_exporter's textfile collector.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from ansible_collections.orbit.rs.plugins.plugin_utils import record, redact, report, schedule, sets
from ansible_collections.orbit.rs.plugins.plugin_utils.cluster import Cluster
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Object, OrbitError, Release

# By operation: its last run, and the last one that succeeded, None before there was one.
Outcomes = Mapping[str, Mapping[str, Any]]


@dataclasses.dataclass
class Outcome:
    """How a run has ended; it has succeeded when there is no error."""

    operation: str
    set: str = ""
    bytes: int = 0
    ended: str = ""
    seconds: float = 0
    error: str = "It was interrupted."


@contextlib.contextmanager
def kept(
    cluster: Cluster, release: Release, operation: str, folder: str, say: Callable[[str], None], *, write: bool = True
) -> Iterator[Outcome]:
    """The outcome of a run, written however that ends, also as metrics in `folder`. No run fails because of it."""
    outcome = Outcome(operation)
    started = time.monotonic()
    try:
        yield outcome
        outcome.error = ""
    except OrbitError as error:
        outcome.error = redact.text(error.seen)[:2000]
        raise
    finally:
        outcome.seconds = round(time.monotonic() - started, 1)
        if write:
            _write(cluster, release, outcome, folder, say)


def _write(cluster: Cluster, release: Release, outcome: Outcome, folder: str, say: Callable[[str], None]) -> None:
    try:
        outcome.ended = cluster.now().isoformat(timespec="seconds")
        config_map = cluster.find(record.path(release))
        known = {**read(config_map), outcome.operation: after(read(config_map).get(outcome.operation), outcome)}
        key = f"{record.LAST}{outcome.operation}"
        record.put(cluster, release, config_map, {key: json.dumps(known[outcome.operation])})
        if folder:
            write_metrics(folder, release, metrics(release, known))
    except OrbitError as error:
        say(f"this {outcome.operation} is not on record: {error.seen}")
    except OSError as error:
        say(f"the metrics of this {outcome.operation} are not written: {error}")


def after(before: Mapping[str, Any] | None, outcome: Outcome) -> dict[str, Any]:
    """What is kept of an operation when a run of it has ended."""
    run = dataclasses.asdict(outcome)
    return {"run": run, "success": (before or {}).get("success") if outcome.error else run}


def read(config_map: Object | None) -> dict[str, Mapping[str, Any]]:
    """The outcomes that a ConfigMap holds, by operation."""
    data: Mapping[str, str] = (config_map or {}).get("data") or {}
    keys = {operation: f"{record.LAST}{operation}" for operation in schedule.OPERATIONS}
    return {operation: json.loads(data[key]) for operation, key in keys.items() if key in data}


def verified(known: Outcomes) -> str:
    """The newest set that a verification or a drill has passed, and the last one has not found bad; "" for none."""
    last = [known[operation] for operation in ("verify", "drill") if operation in known]
    bad = {item["run"]["set"] for item in last if item["run"]["error"]}
    return max(
        (item["success"]["set"] for item in last if item["success"] and item["success"]["set"] not in bad), default=""
    )


def text(known: Outcomes, now: datetime) -> str:
    """The outcomes as people read them; empty when there are none."""
    if not known:
        return ""

    def ago(moment: datetime) -> str:
        return f"{report.duration(max(0.0, (now - moment).total_seconds()))} ago"

    rows, errors = [], []
    for operation, last in known.items():
        run, success = last["run"], last["success"]
        rows.append(
            (
                operation,
                ago(datetime.fromisoformat(run["ended"])),
                "failed" if run["error"] else "succeeded",
                report.duration(run["seconds"]),
                run["set"] or "-",
                report.size(run["bytes"]) if run["bytes"] else "-",
                ago(datetime.fromisoformat(success["ended"])) if success else "never",
            )
        )
        if run["error"]:
            errors.append(f"{operation}: {run['error'].splitlines()[0]}")
    proved = verified(known)
    head = (
        f"Backups: set {proved}, begun {ago(sets.time_of(proved))}, is proved."
        if proved
        else "Backups: no set is proved."
    )
    table = report.table(("operation", "last run", "outcome", "took", "set", "size", "last success"), rows)
    return "\n\n".join((head, table, *errors))


def _unix(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


# Name, what it says, and its value for an operation; None when it has none.
_METRICS: tuple[tuple[str, str, Callable[[Mapping[str, Any], Mapping[str, Any] | None], float | None]], ...] = (
    ("last_run_timestamp_seconds", "When the last run ended.", lambda run, success: _unix(run["ended"])),
    ("last_run_success", "Whether the last run succeeded.", lambda run, success: not run["error"]),
    ("last_run_duration_seconds", "How long the last run took.", lambda run, success: run["seconds"]),
    (
        "last_success_timestamp_seconds",
        "When the last run that succeeded ended.",
        lambda run, success: _unix(success["ended"]) if success else None,
    ),
    (
        "last_success_bytes",
        "Size of the set of the last run that succeeded.",
        lambda run, success: success["bytes"] if success and success["set"] else None,
    ),
)


def metrics(release: Release, known: Outcomes) -> str:
    """The outcomes in Prometheus' text format."""
    labels = f'namespace="{release.namespace}",release="{release.name}"'
    lines: list[str] = []

    def metric(name: str, says: str, values: Mapping[str, float | None]) -> None:
        samples = [f"{name}{{{where}}} {float(value):.15g}" for where, value in values.items() if value is not None]
        if samples:
            lines.extend((f"# HELP {name} {says}", f"# TYPE {name} gauge", *samples))

    for name, says, value in _METRICS:
        values = {
            f'{labels},operation="{operation}"': value(last["run"], last["success"])
            for operation, last in known.items()
        }
        metric(f"orbit_rs_operation_{name}", says, values)
    proved = verified(known)
    says = "When the newest set was begun that a verification or a drill has passed."
    metric(
        "orbit_rs_last_verified_set_timestamp_seconds",
        says,
        {labels: sets.time_of(proved).timestamp() if proved else None},
    )
    return "".join(f"{line}\n" for line in lines)


def write_metrics(folder: str, release: Release, content: str) -> None:
    """Write the file of a release at once, for everybody to read. Raises OSError."""
    path = Path(folder, f"orbit-rs-{release.namespace}-{release.name}.prom")
    # The collector reads what ends with .prom.
    with tempfile.NamedTemporaryFile("w", dir=folder, prefix=f".{path.name}.", encoding="utf-8", delete=False) as part:
        try:
            part.write(content)
            part.close()
            Path(part.name).chmod(0o644)
            Path(part.name).replace(path)
        except OSError:
            Path(part.name).unlink(missing_ok=True)
            raise
