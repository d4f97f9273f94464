# SPDX-License-Identifier: GPL-3.0-or-later
"""How everything here is measured: ours beside theirs, in turn, so that a busy machine is busy for both."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CHART = ROOT / "collections/ansible_collections/orbit/rs/charts/orbit-rs"
VALUES = ROOT / "inventories/kind/group_vars/orbit_rs.yml"


def run(*command: str) -> float:
    """Run a command; return how many seconds it took. Its output is shown when it fails."""
    # As Python does by itself: where it may keep nothing, every run would compile our library again.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    started = time.monotonic()
    ended = subprocess.run(
        command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if ended.returncode:
        sys.exit(f"{ended.stdout}\n{' '.join(command)} ended with {ended.returncode}, so there is nothing to measure.")
    return time.monotonic() - started


def remove(*namespaces: str) -> None:
    """Delete namespaces, and wait until their volumes are gone, too: what cleans them up is busy on all nodes."""
    run("kubectl", "delete", "namespace", *namespaces, "--ignore-not-found", "--wait")
    owners = ("kubectl", "get", "persistentvolumes", "--output", "jsonpath={.items[*].spec.claimRef.namespace}")
    for _ in range(600):
        found = subprocess.run(owners, capture_output=True, text=True, check=True).stdout.split()
        if not set(namespaces) & set(found):
            return
        time.sleep(0.5)
    sys.exit(f"The volumes of {', '.join(namespaces)} are not gone after five minutes.")


def fresh(measure: Callable[[int], float], *namespaces: str) -> Callable[[int], float]:
    """The same measurement, each time without these namespaces."""

    def measured(number: int) -> float:
        remove(*namespaces)
        return measure(number)

    return measured


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


def report(results: dict[str, dict[str, list[float]]], goals: Mapping[str, float], theirs: str = "helm") -> str:
    """Draw the table: medians in seconds, the ratio, and whether it meets the goal."""
    lines = [f"{'':15} {'orbit.rs':>10} {theirs:>10} {'ratio':>7} {'goal':>8}"]
    for name, times in results.items():
        ours, other = (statistics.median(times[side]) for side in ("orbit.rs", theirs))
        ratio, goal = ours / other, goals[name]
        verdict = "met" if ratio <= goal else "missed"
        lines.append(f"{name:15} {ours:8.2f} s {other:8.2f} s {ratio:7.2f} {f'<= {goal}':>8} {verdict}")
    return "\n".join(lines)
