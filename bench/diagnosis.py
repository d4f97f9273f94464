# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures how long after the kubelet has reported a broken image a deploy ends: ours, and `helm --wait`.

Counted from the kubelet's first event about the image, which has whole seconds, to the end of the command. Both sides
alternate, so that a busy machine is busy for both. Medians count.
"""

from __future__ import annotations

import argparse
import datetime
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence

import yaml

from bench.measure import CHART, ROOT, VALUES, run

GOAL = 10.0  # seconds
HELM_TIMEOUT = 60  # seconds; Helm's own default is 300
IMAGE = "orbit-rs/no-such-server"
REASONS = ("Failed", "ErrImageNeverPull")


def seconds_since_report(namespace: str, ended: datetime.datetime) -> float:
    """How long ago, at `ended`, the kubelet first reported the image. The nodes share this machine's clock."""
    command = ("kubectl", "get", "events", "--namespace", namespace, "--output", "json")
    answer = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    times = [
        datetime.datetime.fromisoformat(event["firstTimestamp"] or event["eventTime"])
        for event in json.loads(answer.stdout)["items"]
        if event["reason"] in REASONS and IMAGE in event["message"]
    ]
    if not times:
        sys.exit(f"The kubelet has said nothing about {IMAGE} in {namespace}, so there is nothing to measure.")
    return (ended - min(times)).total_seconds()


def fail(namespace: str, *command: str) -> float:
    """Run a command that must fail in an empty namespace; seconds from the kubelet's report to its end."""
    run("kubectl", "delete", "namespace", namespace, "--ignore-not-found", "--wait")
    ended = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    now = datetime.datetime.now(datetime.UTC)
    if not ended.returncode:
        sys.exit(f"{ended.stdout}\n{' '.join(command)} has not failed, so there is nothing to measure.")
    return seconds_since_report(namespace, now)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.diagnosis", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args(arguments).rounds
    namespaces = {side: f"bench-diagnosis-{side.partition('.')[0]}" for side in ("orbit.rs", "helm")}
    values = yaml.safe_load(VALUES.read_text())["orbit_rs_values"]
    values["orbitServer"]["image"]["repository"] = IMAGE
    times: dict[str, list[float]] = {side: [] for side in namespaces}
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        yaml.safe_dump(values, file)
        file.flush()
        ours = json.dumps({"orbit_rs_namespace": namespaces["orbit.rs"], "orbit_rs_values": values})
        commands = {
            "orbit.rs": ("ansible-playbook", "-i", "inventories/kind", "-e", ours, "playbooks/deploy.yml"),
            "helm": (
                *("helm", "upgrade", "--install", "orbit-rs", str(CHART), "--values", file.name, "--wait"),
                *("--namespace", namespaces["helm"], "--create-namespace", "--timeout", f"{HELM_TIMEOUT}s"),
            ),
        }
        try:
            for number in range(rounds):
                for side, command in commands.items():
                    times[side].append(fail(namespaces[side], *command))
                    print(f"broken image, round {number + 1} of {rounds}: {side} {times[side][-1]:.1f} s", flush=True)
        finally:
            run("kubectl", "delete", "namespace", *namespaces.values(), "--ignore-not-found", "--wait")
    ours_median, theirs = (statistics.median(times[side]) for side in ("orbit.rs", "helm"))
    print(f"{'':27} {'orbit.rs':>10} {f'helm --wait --timeout {HELM_TIMEOUT}s':>28} {'goal':>9}")
    verdict = "met" if ours_median <= GOAL else "missed"
    print(f"{'report of the kubelet to end':27} {ours_median:8.1f} s {theirs:26.1f} s {f'<= {GOAL:g} s':>9} {verdict}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
