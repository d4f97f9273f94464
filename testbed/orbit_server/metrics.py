# SPDX-License-Identifier: GPL-3.0-or-later
"""The server's counters and gauges, and their Prometheus text form (version 0.0.4)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

HELP: Mapping[str, str] = {
    "orbit_transactions_total": "Transactions started: each data command, and each EXEC as one.",
    "orbit_transactions_completed_total": "Transactions committed.",
    "orbit_transactions_failed_total": "Transactions that ended in an error and changed nothing.",
    "orbit_transactions_active": "Transactions that wait for their commit.",
    "orbit_sagas_total": "Sagas started by MULTI.",
    "orbit_sagas_completed_total": "Sagas committed by EXEC.",
    "orbit_sagas_compensated_total": "Sagas undone: discarded, abandoned, failed or out of time.",
    "orbit_sagas_active": "Sagas between MULTI and their end.",
    "orbit_recovery_attempts_total": "Recoveries: after an unclean stop, or after a storage error.",
    "orbit_recovery_completed_total": "Recoveries that brought back the last commit.",
    "orbit_recovery_failed_total": "Recoveries that did not.",
    "orbit_connections_active": "Open client connections.",
    "orbit_commands_total": "Commands received from clients.",
    "process_resident_memory_bytes": "Resident memory in bytes.",
    "process_start_time_seconds": "Start of the process since the epoch in seconds.",
}


class Metrics:
    """All series start at 0, so that a rate exists from the first scrape. Writers: the network thread and the database
    thread, each its own names."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.started = time.time()
        self.values: dict[str, float] = dict.fromkeys(HELP, 0.0)

    def add(self, name: str, amount: float = 1.0) -> None:
        """Change the series `name` by `amount`."""
        self.values[name] += amount

    def render(self) -> str:
        """The page that Prometheus reads."""
        self.values["process_resident_memory_bytes"] = resident_bytes()
        self.values["process_start_time_seconds"] = self.started
        lines = [
            "# HELP orbit_build_info The version that runs.",
            "# TYPE orbit_build_info gauge",
            f'orbit_build_info{{version="{self.version}"}} 1',
        ]
        for name, text in HELP.items():
            kind = "counter" if name.endswith("_total") else "gauge"
            lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}", f"{name} {self.values[name]:.17g}"]
        return "\n".join(lines) + "\n"


def resident_bytes() -> int:
    """Resident memory of this process in bytes."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0
