# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures ten releases in one inventory beside `xargs -P10 helm upgrade --install --wait`, and writes a table.

First install: each side on an empty cluster. No difference: the same once more. Both sides alternate, so that a busy
machine is busy for both; medians count. Run it as `python -m bench.fleet`, with KUBECONFIG and the tools of `make env`.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import yaml

from bench.measure import CHART, VALUES, alternate, fresh, remove, report, run

RELEASES = 10

# What the ratio of ours to theirs may be, at most.
GOALS = {"first install": 1.3, "no difference": 2.0}


def inventory(folder: Path, namespaces: list[str]) -> Path:
    """Write an inventory with one host for each namespace, all with the values of inventories/kind; give its path."""
    group = yaml.safe_load(VALUES.read_text())
    variables = {name: group[name] for name in ("orbit_rs_storage_provider", "orbit_rs_values")}
    one = {**variables["orbit_rs_values"], "orbitServer": {**variables["orbit_rs_values"]["orbitServer"]}}
    one["orbitServer"] |= {"replicaCount": 1, "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}}}
    hosts = {name: {"orbit_rs_namespace": name} for name in namespaces}
    content = {"orbit_rs": {"hosts": hosts, "vars": {**variables, "orbit_rs_values": one}}}
    (folder / "hosts.yml").write_text(yaml.safe_dump(content))
    (folder / "values.yml").write_text(yaml.safe_dump(one))
    return folder / "hosts.yml"


def main() -> int:
    """Measure and print; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.fleet", description=__doc__)
    parser.add_argument("--prefix", default="bench-fleet", help="what the namespaces begin with")
    parser.add_argument("--installs", type=int, default=2, help="rounds of first installs")
    parser.add_argument("--repeats", type=int, default=5, help="rounds of runs without a difference")
    options = parser.parse_args()
    ours = [f"{options.prefix}-ours-{number}" for number in range(RELEASES)]
    theirs = [f"{options.prefix}-helm-{number}" for number in range(RELEASES)]

    with tempfile.TemporaryDirectory() as scratch:
        hosts = inventory(Path(scratch), ours)
        helm = shlex.join(
            (
                *("helm", "upgrade", "--install", "orbit-rs", str(CHART), "--values", f"{scratch}/values.yml"),
                *("--create-namespace", "--wait", "--timeout", "10m", "--namespace"),
            )
        )
        fleet = f"printf '%s\\n' {' '.join(theirs)} | xargs -P{RELEASES} -I@ {helm} @"

        def playbook(_: int) -> float:
            return run("ansible-playbook", "-i", str(hosts), "--forks", str(RELEASES), "playbooks/deploy.yml")

        def plain(_: int) -> float:
            return run("/bin/sh", "-c", fleet)

        sides: dict[str, Callable[[int], float]] = {"orbit.rs": playbook, "helm": plain}
        try:
            first = {side: fresh(install, *ours, *theirs) for side, install in sides.items()}
            installs = alternate("first install", options.installs, first)
            for install in sides.values():
                install(0)
            again = alternate("no difference", options.repeats, sides)
            results = {"first install": installs, "no difference": again}
        finally:
            remove(*ours, *theirs)
    print(report(results, GOALS))
    return 0


if __name__ == "__main__":
    sys.exit(main())
