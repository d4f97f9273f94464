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
# A rehearsal crashes, too; the other two are seen as these are.
SELDOM = {"crashes at start", "ends with 0", "starts too slowly"}


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


@pytest.mark.parametrize("case", [pytest.param(case, marks=pytest.mark.soak if case in SELDOM else ()) for case in BAD])
def test_a_bad_version_is_brought_back(deployed, clients, case):
    version, seconds, says = BAD[case]
    patience = ("-e", f"orbit_rs_rollout_timeout={seconds}", "-e", "orbit_rs_gate_timeout=5")
    ended = upgrade(deployed, version, *patience, "-e", "orbit_rs_rehearsal=false")
    assert ended.returncode != 0, ended.stdout
    assert says in " ".join(ended.stdout.split()), ended.stdout
    assert "Rolled back: all 3 ordinals are on revision" in " ".join(ended.stdout.split())
    is_back(deployed, clients)


@pytest.mark.parametrize(
    ("version", "says"),
    [("v0.2.0-lose-write", "acknowledged before the restart, is gone"), ("v0.2.0-crash", "exit code 1")],
)
def test_a_rehearsal_finds_a_bad_version_before_any_ordinal_restarts(deployed, clients, version, says):
    before = [pod["metadata"]["uid"] for pod in deployed.pods()]
    ended = upgrade(deployed, version, "-e", "orbit_rs_gate_timeout=5")
    assert ended.returncode != 0, ended.stdout
    assert "The rehearsal of the new version failed; no ordinal was restarted." in " ".join(ended.stdout.split())
    assert says in " ".join(ended.stdout.split()), ended.stdout
    is_back(deployed, clients)
    assert [pod["metadata"]["uid"] for pod in deployed.pods()] == before
    left = deployed.get("statefulsets,pods,persistentvolumeclaims --selector orbit.rs/rehearsal")["items"]
    assert all("deletionTimestamp" in item["metadata"] for item in left)


@pytest.mark.soak
@pytest.mark.parametrize("ordinal", [1, 0], ids=["the middle one", "the last one"])
def test_a_failure_at_a_later_ordinal_brings_the_earlier_ones_back(deployed, clients, ordinal):
    """A policy of the cluster, for one ordinal: it refuses the pod of the new version."""
    name = f"{deployed.namespace}-refuses"
    expression = (
        f"object.metadata.name != 'orbit-server-{ordinal}' || !object.spec.containers[0].image.endsWith('v0.2.0')"
    )
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "matchConstraints": {
                "resourceRules": [
                    {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
                ]
            },
            "validations": [{"expression": expression, "message": "this ordinal stays where it is"}],
        },
    }
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {
            "policyName": name,
            "validationActions": ["Deny"],
            "matchResources": {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": deployed.namespace}}
            },
        },
    }
    deployed.apply(policy, binding)
    try:
        ended = upgrade(deployed, "v0.2.0", "-e", "orbit_rs_rollout_timeout=30")
    finally:
        deployed.kubectl(f"delete validatingadmissionpolicybinding,validatingadmissionpolicy {name}")
    assert ended.returncode != 0, ended.stdout
    assert f"ordinal {ordinal} restarts, {3 - ordinal} of 3" in ended.stdout
    assert "this ordinal stays where it is" in " ".join(ended.stdout.split()), ended.stdout
    assert "Rolled back: all 3 ordinals" in " ".join(ended.stdout.split())
    is_back(deployed, clients)
