# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures our playbook beside plain Helm, in one run, on the same cluster, chart and values.

First deploy: three ordinals into a fresh namespace, with us and with `helm upgrade --install --wait`.
No difference: our playbook on what it has deployed, and a playbook that only calls kubernetes.core.helm, wait: true.
Without a difference that module does not look at the pods, which ours does and gates; so once more against a playbook
that also sees whether they are ready.
Both sides alternate, so that a busy machine is busy for both. Medians count; other times are noise.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
CHART = ROOT / "collections/ansible_collections/orbit/rs/charts/orbit-rs"
VALUES = ROOT / "inventories/kind/group_vars/orbit_rs.yml"

# What the ratio of ours to theirs may be, at most.
GOALS = {"first deploy": 1.15, "no difference": 1.0, "... and ready": 1.0}


def run(*command: str) -> float:
    """Run a command; return how many seconds it took. Its output is shown when it fails."""
    started = time.monotonic()
    ended = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if ended.returncode:
        sys.exit(f"{ended.stdout}\n{' '.join(command)} ended with {ended.returncode}, so there is nothing to measure.")
    return time.monotonic() - started


def playbook(path: str, namespace: str, *more: str) -> float:
    """Run a playbook for the kind inventory's release in a namespace."""
    return run("ansible-playbook", "-i", "inventories/kind", "-e", f"orbit_rs_namespace={namespace}", path, *more)


def alternate(name: str, rounds: int, sides: dict[str, Callable[[int], float]]) -> dict[str, list[float]]:
    """Measure both sides in turn, and say each time."""
    times: dict[str, list[float]] = {side: [] for side in sides}
    for number in range(rounds):
        for side, measure in sides.items():
            times[side].append(measure(number))
            print(f"{name}, round {number + 1} of {rounds}: {side} {times[side][-1]:.2f} s", flush=True)
    return times


def report(results: dict[str, dict[str, list[float]]], goals: Mapping[str, float] = GOALS) -> str:
    """Draw the table: medians in seconds, the ratio, and whether it meets the goal."""
    lines = [f"{'':15} {'orbit.rs':>10} {'helm':>10} {'ratio':>7} {'goal':>8}"]
    for name, times in results.items():
        ours, theirs = (statistics.median(times[side]) for side in ("orbit.rs", "helm"))
        ratio, goal = ours / theirs, goals[name]
        verdict = "met" if ratio <= goal else "missed"
        lines.append(f"{name:15} {ours:8.2f} s {theirs:8.2f} s {ratio:7.2f} {f'<= {goal}':>8} {verdict}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit code."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--deploys", type=int, default=3, help="rounds of first deploys")
    parser.add_argument("--repeats", type=int, default=7, help="rounds of runs without a difference")
    options = parser.parse_args(arguments)

    namespaces = {side: f"bench-{side.partition('.')[0]}" for side in ("orbit.rs", "helm")}

    def remove() -> None:
        run("kubectl", "delete", "namespace", *namespaces.values(), "--ignore-not-found", "--wait")

    with tempfile.NamedTemporaryFile("w", suffix=".yml") as values:
        yaml.safe_dump(yaml.safe_load(VALUES.read_text())["orbit_rs_values"], values)
        values.flush()
        install = (
            *("helm", "upgrade", "--install", "orbit-rs", str(CHART), "--values", values.name, "--wait"),
            *("--namespace", namespaces["helm"], "--create-namespace", "--timeout", "10m"),
        )

        def deploy(_: int) -> float:
            remove()
            return playbook("playbooks/deploy.yml", namespaces["orbit.rs"])

        def again(_: int) -> float:
            return playbook("playbooks/deploy.yml", namespaces["orbit.rs"])

        def module(*more: str) -> Callable[[int], float]:
            return lambda _: playbook("bench/helm.yml", namespaces["helm"], *more)

        try:
            results = {
                "first deploy": alternate(
                    "first deploy", options.deploys, {"orbit.rs": deploy, "helm": lambda _: run(*install)}
                ),
                "no difference": alternate(
                    "no difference", options.repeats, {"orbit.rs": again, "helm": module("--skip-tags", "look")}
                ),
                "... and ready": alternate("... and ready", options.repeats, {"orbit.rs": again, "helm": module()}),
            }
        finally:
            remove()
    print(report(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
