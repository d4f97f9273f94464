# SPDX-License-Identifier: GPL-3.0-or-later
"""A version that is bad in one way or another: the release is back by itself, and no acknowledged write is lost."""

import json

import pytest

VARIABLES = "@molecule/upgrade/vars/upgrade.yml"

# The version, how long its ordinals may take, and what the play says of it.
BAD = {
    "an image that does not exist": ("v0.2.0-nowhere", 60, "The image is not on the node"),
    "crashes at start": ("v0.2.0-crash", 60, "exit code 1"),
    "ends with 0": ("v0.2.0-exit", 60, "exit code 0"),
    "never ready": ("v0.2.0-unready", 12, "says that it is not ready"),
    "starts too slowly": ("v0.2.0-slow-start", 12, "Startup probe failed"),
    "serves wrong data": ("v0.2.0-wrong-data", 60, "data: GET answers"),
    "takes no writes": ("v0.2.0-read-only", 60, "data: SET answers"),
}


@pytest.fixture(scope="module")
def clients(deployed):
    with deployed.clients() as clients:
        yield clients


def upgrade(deployed, version, *more):
    return deployed.try_playbook("-e", VARIABLES, "-e", f"orbit_rs_version={version}", *more, playbook="upgrade")


def is_back(deployed, clients):
    """Every ordinal is on the old version, nothing holds one back, no write is lost, and the record says so."""
    assert {pod["spec"]["containers"][0]["image"] for pod in deployed.pods()} == {"orbit-rs/orbit-server:v0.1.0"}
    statefulset = deployed.get("statefulset orbit-server")
    assert statefulset["status"]["readyReplicas"] == 3
    assert not statefulset["spec"]["updateStrategy"]["rollingUpdate"].get("partition")
    assert statefulset["status"]["currentRevision"] == statefulset["status"]["updateRevision"]
    clients.nothing_is_lost()
    assert last_record(deployed)["outcome"] == "rolled_back"


def last_record(deployed):
    records = deployed.get("configmap orbit-rs.orbit.rs")["data"]
    return json.loads(records[max(records)])


@pytest.mark.parametrize("case", BAD)
def test_a_bad_version_is_brought_back(deployed, clients, case):
    version, seconds, says = BAD[case]
    ended = upgrade(deployed, version, "-e", f"orbit_rs_rollout_timeout={seconds}", "-e", "orbit_rs_gate_timeout=5")
    assert ended.returncode != 0, ended.stdout
    assert says in ended.stdout
    assert "Rolled back: all 3 ordinals are on revision" in ended.stdout
    is_back(deployed, clients)
