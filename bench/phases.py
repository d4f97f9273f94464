# SPDX-License-Identifier: GPL-3.0-or-later
"""Splits the time of a deploy without a difference by phase: Ansible's own start and tasks, and what our task does."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.measure import ROOT, playbook, run

NAMESPACE = "bench-phases"


def phases(file: Path) -> dict[str, float]:
    """Seconds by phase of one more run."""
    file.write_text("")
    last = time.time()
    result: dict[str, float] = {}
    playbook("playbooks/deploy.yml", NAMESPACE)
    end = time.time()
    events = [json.loads(line) for line in file.read_text().splitlines()]
    for event in (*events, {"at": end, "what": "Ansible ends"}):
        what = str(event["what"]).rpartition(".")[2]
        spent = event["at"] - last
        for phase, seconds in (event.get("seconds") or {}).items():
            result[f"{what}: {phase}"] = seconds
            spent -= seconds
        name = f"{what}: connect and report" if event.get("seconds") else what
        result[name] = result.get(name, 0.0) + spent
        last = event["at"]
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.phases", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args(arguments).rounds
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "events"
        os.environ.update(
            BENCH_PHASES=str(file),
            ANSIBLE_CALLBACK_PLUGINS=str(ROOT / "bench/callback"),
            ANSIBLE_CALLBACKS_ENABLED="phases",
        )
        try:
            phases(file)  # the first one deploys
            times = [phases(file) for _ in range(rounds)]
        finally:
            run("kubectl", "delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait")
    for name in times[-1]:
        print(f"{name:30} {statistics.median(item.get(name, 0.0) for item in times):6.2f} s")
    print(f"{'all':30} {statistics.median(sum(item.values()) for item in times):6.2f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
