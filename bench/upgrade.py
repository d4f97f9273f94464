# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures a good upgrade of three ordinals beside `kubectl rollout restart` and `rollout status` of the same pods.

Ours goes to the other version and back in turn, without a soak time, which is a wait by intent. With a rehearsal it
starts and restarts one pod more, which plain kubectl has no counterpart for: that is measured apart.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from bench.measure import alternate, playbook, report, run

# What the ratio of ours to theirs may be, at most.
GOALS = {"good upgrade": 1.2}
NAMESPACE = "bench-upgrade"
VERSIONS = ("v0.2.0", "v0.1.0")
ORDERS = ("orbit_rs_soak=0", "orbit_rs_upgrade_without_backup=true", "orbit_rs_allow_downgrade=true")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.upgrade", description=__doc__)
    parser.add_argument("--rounds", type=int, default=4)
    rounds = parser.parse_args(arguments).rounds

    def upgrade(number: int, rehearsal: str) -> float:
        orders = (f"orbit_rs_version={VERSIONS[number % 2]}", f"orbit_rs_rehearsal={rehearsal}", *ORDERS)
        return playbook("playbooks/upgrade.yml", NAMESPACE, *(word for order in orders for word in ("-e", order)))

    def restart(_: int) -> float:
        target = ("statefulset/orbit-server", "--namespace", NAMESPACE)
        return run("kubectl", "rollout", "restart", *target) + run("kubectl", "rollout", "status", *target)

    try:
        playbook("playbooks/deploy.yml", NAMESPACE)
        plain = {"orbit.rs": lambda number: upgrade(number, "false"), "kubectl": restart}
        results = {"good upgrade": alternate("good upgrade", rounds, plain)}
        rehearsed = alternate("with a rehearsal", 2, {"orbit.rs": lambda number: upgrade(number, "true")})
    finally:
        run("kubectl", "delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait")
    print(report(results, GOALS, theirs="kubectl"))
    print(f"with a rehearsal {sum(rehearsed['orbit.rs']) / 2:.2f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
