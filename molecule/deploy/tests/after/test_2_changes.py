# SPDX-License-Identifier: GPL-3.0-or-later
"""What deploy does to a running release: it makes its own differences, and puts back what others changed."""

import json

import pytest
import yaml


@pytest.fixture
def values(tmp_path):
    """Write a values file; return the arguments that pass it."""

    def write(values):
        path = tmp_path / "values.yml"
        path.write_text(yaml.safe_dump(values))
        return "--extra-vars", json.dumps({"orbit_rs_values_files": [str(path)]})

    return write


def uids(deployed):
    return [pod["metadata"]["uid"] for pod in deployed.pods()]


def test_a_changed_config_value_rolls_the_pods_and_keeps_the_data(deployed, values):
    deployed.write_marks("config")
    before = uids(deployed)
    more = values({"config": {"transactions": {"maxConnections": 21}}})

    planned = deployed.playbook(*more, "--check", "--diff")
    assert "roll" in planned and "21" in planned
    assert uids(deployed) == before

    assert "changed=1" in deployed.playbook(*more)
    assert not set(uids(deployed)) & set(before), "every pod is a new one"
    assert deployed.read_marks("config") == [f"config of ordinal {ordinal}" for ordinal in range(3)]
    assert "max_connections = 21" in deployed.kubectl("exec orbit-server-0 -- cat /tmp/orbit-server.toml")
    assert "changed=0" in deployed.playbook(*more)


def test_a_value_that_no_pod_sees_restarts_none(deployed, values):
    deployed.playbook()  # from the changed config back to the inventory
    before = uids(deployed)
    assert "changed=1" in deployed.playbook(*values({"podDisruptionBudget": {"enabled": False}}))
    assert uids(deployed) == before
    deployed.playbook()


def test_a_deleted_object_comes_back(deployed):
    before = uids(deployed)
    deployed.kubectl("delete poddisruptionbudget orbit-server")
    assert "changed=1" in deployed.playbook()
    assert deployed.get("poddisruptionbudget orbit-server")["spec"]["maxUnavailable"] == 1
    assert uids(deployed) == before


def test_a_field_that_somebody_changed_is_named_and_put_back(deployed):
    deployed.kubectl("label configmap orbit-server-config app.kubernetes.io/name=foreign --overwrite")
    output = deployed.playbook("--diff")
    assert "ConfigMap" in output and "changed=1" in output
    labels = deployed.get("configmap orbit-server-config")["metadata"]["labels"]
    assert labels["app.kubernetes.io/name"] == "orbit-rs"
    assert "changed=0" in deployed.playbook()


def test_namespace_labels_are_put_back(deployed):
    deployed.kubectl(f"label namespace {deployed.namespace} pod-security.kubernetes.io/enforce=privileged --overwrite")
    assert "changed=1" in deployed.playbook()
    labels = deployed.get(f"namespace {deployed.namespace}")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
