# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures a plan without a difference, alone on the cluster and among hundreds of other releases.

The others are simulated: what Helm has stored of ours under other names, each with a claim and a StatefulSet without
pods; some of them in our own namespace.
"""

from __future__ import annotations

import argparse
import copy
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from bench.measure import playbook, report, run

# What the ratio of a plan among others to one alone may be, at most.
GOALS = {"plan": 1.2}
NAMESPACE = "bench-plan"
EACH = 10  # releases in a namespace


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.plan", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--others", type=int, default=300)
    options = parser.parse_args(arguments)
    namespaces = [NAMESPACE, *(f"{NAMESPACE}-{number}" for number in range(1, options.others // EACH))]
    times: dict[str, list[float]] = {"alone": [], "orbit.rs": []}

    def measure(side: str) -> None:
        for number in range(options.rounds):
            times[side].append(playbook("playbooks/plan.yml", NAMESPACE))
            print(f"plan, {side}, round {number + 1} of {options.rounds}: {times[side][-1]:.2f} s", flush=True)

    try:
        playbook("playbooks/deploy.yml", NAMESPACE)
        measure("alone")
        ours = _get("secrets --selector=owner=helm,name=orbit-rs")["items"][-1]
        for namespace in namespaces:
            _apply(_others(namespace, ours))
        print(f"{len(namespaces) * EACH} other releases are there", flush=True)
        measure("orbit.rs")
    finally:
        run("kubectl", "delete", "namespace", *namespaces, "--ignore-not-found", "--wait=false")
    print(report({"plan": times}, GOALS, theirs="alone"))
    return 0


def _get(what: str) -> Any:
    command = ["kubectl", "get", *what.split(), f"--namespace={NAMESPACE}", "--output=json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def _apply(objects: Iterator[dict[str, Any]]) -> None:
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
    subprocess.run(
        ["kubectl", "create", "--save-config=false", "--filename=-"],
        input=text.encode(),
        check=True,
        stdout=subprocess.DEVNULL,
    )


def _others(namespace: str, ours: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Releases in a namespace, the namespace first."""
    if namespace != NAMESPACE:
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    for number in range(EACH):
        name = f"other-{number}"
        labels = {"app.kubernetes.io/name": "other", "app.kubernetes.io/instance": name}
        where = {"namespace": namespace, "labels": labels}
        secret = copy.deepcopy(ours)
        secret["metadata"] = {
            "name": f"sh.helm.release.v1.{name}.v1",
            "namespace": namespace,
            "labels": {**ours["metadata"]["labels"], "name": name},
        }
        yield secret
        claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        yield {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": f"data-{name}-0", **where},
            "spec": claim,
        }
        yield {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {"name": name, **where},
            "spec": {
                "serviceName": name,
                "replicas": 0,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"containers": [{"name": "server", "image": "orbit-rs/orbit-server:v0.1.0"}]},
                },
            },
        }


if __name__ == "__main__":
    sys.exit(main())
