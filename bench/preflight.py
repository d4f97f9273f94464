# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures the preflight playbook on the cluster at hand, for a release that is not there yet.

The whole process counts, as a person waits for it; a playbook without a task shows what of that is Ansible's own start.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Sequence

from bench.measure import alternate, playbook

GOAL = 2.0  # seconds, at most

_EMPTY = """\
- hosts: orbit_rs
  connection: local
  gather_facts: false
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.preflight", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args(arguments).rounds
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as empty:
        empty.write(_EMPTY)
        empty.flush()
        times = alternate(
            "preflight",
            rounds,
            {
                "preflight": lambda _: playbook("playbooks/preflight.yml", "bench-preflight"),
                "no task": lambda _: playbook(empty.name, "bench-preflight"),
            },
        )
    ours, start = (statistics.median(times[side]) for side in ("preflight", "no task"))
    print(f"preflight {ours:.2f} s, goal <= {GOAL} s: {'met' if ours <= GOAL else 'missed'}; no task {start:.2f} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
