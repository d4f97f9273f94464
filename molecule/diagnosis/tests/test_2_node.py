# SPDX-License-Identifier: GPL-3.0-or-later
"""A node that is lost in the middle of a rollout. Last, because it takes a node of the cluster away for a minute."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

VALUES = {
    "orbitServer": {"replicaCount": 1, "preStopSleepSeconds": 0, "terminationGracePeriodSeconds": 5},
    "persistence": {"size": "10Mi"},
    "startupProbe": {"periodSeconds": 1},
}


def docker(*arguments):
    return subprocess.run(("docker", *arguments), capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def release(deployed, tmp_path_factory):
    """Deploy one ordinal with data; give the function that deploys it with other values."""
    folder = tmp_path_factory.mktemp("values")

    def deploy(**server):
        path: Path = folder / "values.yml"
        path.write_text(yaml.safe_dump({**VALUES, "orbitServer": {**VALUES["orbitServer"], **server}}))
        return deployed.try_playbook("--extra-vars", json.dumps({"orbit_rs_values_files": [str(path)]}))

    assert deploy().returncode == 0
    with deployed.redis(0) as client:
        client.set("mark", "kept")
    yield deploy
    deployed.kubectl(f"delete namespace {deployed.namespace} --wait=false")


@pytest.fixture
def lost_node(deployed, release) -> Iterator[str]:
    """Stop the kubelet of the node that the server runs on; it is started again whatever happens."""
    (pod,) = deployed.pods()
    node = pod["spec"]["nodeName"]
    if not shutil.which("docker") or docker("inspect", node).returncode:
        pytest.skip(f"node {node} is no container of this machine, so its kubelet cannot be stopped")
    try:
        assert docker("exec", node, "systemctl", "stop", "kubelet").returncode == 0
        yield node
    finally:
        docker("exec", node, "systemctl", "start", "kubelet")
        deployed.kubectl(f"wait node/{node} --for condition=Ready --timeout 60s")


def test_a_lost_node_is_named_and_the_rollout_repaired_when_it_is_back(deployed, release, lost_node):
    # The kubelet's silence is noticed by the control plane after 50 s: the run is in the middle of its rollout then.
    ended = release(podAnnotations={"new": "pod"})
    said = " ".join(ended.stdout.split())
    assert ended.returncode != 0
    assert "does not succeed, seen after" in said
    for text in (
        f"cause Ordinal 0: The node {lost_node} is not ready",
        f"evidence orbit-server-0: NodeStatusUnknown: node {lost_node}: Kubelet stopped posting node status.",
        f"kubectl describe node {lost_node}",
        "docs/diagnosis.md#node-not-ready",
    ):
        assert text in said, ended.stdout

    assert docker("exec", lost_node, "systemctl", "start", "kubelet").returncode == 0
    deployed.kubectl(f"wait node/{lost_node} --for condition=Ready --timeout 60s")
    ended = release(podAnnotations={"new": "pod"})
    assert ended.returncode == 0, ended.stdout
    with deployed.redis(0) as client:
        assert client.get("mark") == "kept"
