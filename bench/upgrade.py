# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures a good upgrade of three ordinals beside `kubectl rollout restart` and `rollout status` of the same pods.

Ours goes to the other version and back in turn, without a soak time, which is a wait by intent. With a rehearsal it
starts and restarts one pod more, which plain kubectl has no counterpart for: that is measured apart. So is the return
of a bad version, from its failed gate until all ordinals are on the old one, Ready and gated again, as the record says.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence

from bench.measure import ROOT, alternate, playbook, report, run

# What the ratio of ours to theirs may be, at most.
GOALS = {"good upgrade": 1.2}
RETURN_GOAL = 60  # seconds, for the one pod that a bad canary touches
NAMESPACE = "bench-upgrade"
VERSIONS = ("v0.2.0", "v0.1.0")
ORDERS = ("orbit_rs_soak=0", "orbit_rs_upgrade_without_backup=true", "orbit_rs_allow_downgrade=true")


def returned(version: str) -> float:
    """Upgrade to a version that does not pass; seconds from the failed gate until all is as it was."""
    orders = (f"orbit_rs_version={version}", "orbit_rs_rehearsal=false", "orbit_rs_gate_timeout=5", *ORDERS)
    command = ["ansible-playbook", "-i", "inventories/kind", "-e", f"orbit_rs_namespace={NAMESPACE}"]
    command += [word for order in orders for word in ("-e", order)]
    ended = subprocess.run([*command, "playbooks/upgrade.yml"], cwd=ROOT, capture_output=True, text=True, check=False)
    found = subprocess.check_output(
        ("kubectl", "get", "configmap", "orbit-rs.orbit.rs", "--namespace", NAMESPACE, "--output", "json"), text=True
    )
    data = json.loads(found)["data"]
    record = json.loads(data[max(data)])
    if record["outcome"] != "rolled_back":
        sys.exit(f"{ended.stdout}\nThis was to be rolled back.")
    moments = {what: seconds for seconds, what, _ in record["events"]}
    print(f"return of {version}: {moments['reverted'] - moments['revert']:.1f} s", flush=True)
    return float(moments["reverted"] - moments["revert"])


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
        returns = max(map(returned, ("v0.2.0-read-only", "v0.2.0-crash")))
    finally:
        run("kubectl", "delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait")
    print(report(results, GOALS, theirs="kubectl"))
    print(f"with a rehearsal {sum(rehearsed['orbit.rs']) / 2:.2f} s")
    print(f"return           {returns:.2f} s, goal <= {RETURN_GOAL}: {'met' if returns <= RETURN_GOAL else 'missed'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
