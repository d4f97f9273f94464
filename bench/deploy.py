# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures our playbook beside plain Helm, in one run, on the same cluster, chart and values.

First deploy: three ordinals on an empty cluster, with us and with `helm upgrade --install --wait`; and with the least
that a playbook around Helm can do, which starts Ansible and its module, too.
No difference: our playbook on what it has deployed, and a playbook that only calls kubernetes.core.helm, wait: true.
Without a difference that module does not look at the pods, which ours does and gates; so once more against a playbook
that also sees whether they are ready.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence

import yaml

from bench.measure import CHART, VALUES, alternate, fresh, playbook, remove, report, run

# What the ratio of ours to theirs may be, at most.
GOALS = {"first deploy": 1.15, "... by playbook": 1.15, "no difference": 1.0, "... and ready": 1.0}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.deploy", description=__doc__)
    parser.add_argument("--deploys", type=int, default=3, help="rounds of first deploys")
    parser.add_argument("--repeats", type=int, default=7, help="rounds of runs without a difference")
    options = parser.parse_args(arguments)

    namespaces = {side: f"bench-{side.partition('.')[0]}" for side in ("orbit.rs", "helm")}

    with tempfile.NamedTemporaryFile("w", suffix=".yml") as values:
        yaml.safe_dump(yaml.safe_load(VALUES.read_text())["orbit_rs_values"], values)
        values.flush()
        install = (
            *("helm", "upgrade", "--install", "orbit-rs", str(CHART), "--values", values.name, "--wait"),
            *("--namespace", namespaces["helm"], "--create-namespace", "--timeout", "10m"),
        )

        def deploy(_: int) -> float:
            return playbook("playbooks/deploy.yml", namespaces["orbit.rs"])

        def helm(_: int) -> float:
            return run(*install)

        def module(*more: str) -> Callable[[int], float]:
            return lambda _: playbook("bench/helm.yml", namespaces["helm"], *more)

        try:
            sides = {"orbit.rs": deploy, "helm": helm, "playbook": module()}
            alone = {side: fresh(measure, *namespaces.values()) for side, measure in sides.items()}
            first = alternate("first deploy", options.deploys, alone)
            deploy(0)  # each side has begun without the other
            results = {
                "first deploy": first,
                "... by playbook": {"orbit.rs": first["orbit.rs"], "helm": first["playbook"]},
                "no difference": alternate(
                    "no difference", options.repeats, {"orbit.rs": deploy, "helm": module("--skip-tags", "look")}
                ),
                "... and ready": alternate("... and ready", options.repeats, {"orbit.rs": deploy, "helm": module()}),
            }
        finally:
            remove(*namespaces.values())
    print(report(results, GOALS))
    return 0


if __name__ == "__main__":
    sys.exit(main())
