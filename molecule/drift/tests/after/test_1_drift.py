# SPDX-License-Identifier: GPL-3.0-or-later
"""Drift: who has changed what in the cluster, how much it matters, and the exit code that says so."""

import json
import os
import re
import subprocess

import pytest

STATEFULSET = "StatefulSet/{}/orbit-server"
BUDGET = "PodDisruptionBudget/{}/orbit-server"
CONFIG = "ConfigMap/{}/orbit-server-config"
TODAY = r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC"


@pytest.fixture
def drift(deployed, tmp_path):
    """Run the drift playbook; return its exit code, its output and its report."""

    def run(**variables):
        path = tmp_path / "report.json"
        path.unlink(missing_ok=True)
        given = json.dumps({"orbit_rs_drift_report": str(path), **variables})
        ended = deployed.try_playbook("--extra-vars", given, playbook="drift")
        assert "Traceback" not in ended.stdout
        return ended.returncode, ended.stdout, json.loads(path.read_text())

    return run


def edit(deployed, what, change):
    """Do what a person does with `kubectl edit`."""
    command = ("kubectl", "edit", what, "--namespace", deployed.namespace)
    subprocess.run(command, env={**os.environ, "KUBE_EDITOR": f"sed -i '{change}'"}, check=True, capture_output=True)


def test_a_release_that_was_just_deployed_has_none_and_is_not_touched(deployed, drift):
    before = deployed.at_rest()
    code, output, report = drift(orbit_rs_drift_fail="any")
    assert code == 0, output
    assert "all is as it was deployed" in output
    assert (report["drift"], report["pending"], report["notes"]) == ([], [], [])
    assert deployed.fingerprint() == before


def test_what_others_did_is_named_weighed_and_told_by_the_exit_code(deployed, drift):
    ours = [name.format(deployed.namespace) for name in (STATEFULSET, BUDGET, CONFIG)]
    deployed.kubectl("label configmap orbit-server-config team=blue")
    code, output, report = drift()
    assert code == 0, "benign drift alone is no failure"
    assert (report["unsafe"], report["benign"]) == (0, 1)
    assert drift(orbit_rs_drift_fail="any")[0] == 2

    deployed.kubectl("scale statefulset orbit-server --replicas 4")
    edit(deployed, "poddisruptionbudget/orbit-server", "s/maxUnavailable: 1/maxUnavailable: 2/")
    deployed.wait_ready()
    try:
        before = deployed.at_rest()
        code, output, report = drift()
        assert code == 2
        assert deployed.fingerprint() == before
        found = {item["object"]: item for item in report["drift"]}
        assert found.keys() == set(ours)
        assert [found[name]["risk"] for name in ours] == ["unsafe", "unsafe", "benign"]
        assert [(found[name]["wanted"], found[name]["found"]) for name in ours] == [(3, 4), (1, 2), (None, "blue")]
        for name, who in zip(ours, (r"kubectl \(scale\), about ", "kubectl-edit, ", "kubectl-label, "), strict=True):
            assert re.fullmatch(who + TODAY, found[name]["by"])
            assert re.search(who + TODAY, output)
        assert "spec.replicas: 3 -> 4" in output
        assert "2 unsafe and 1 benign changes" in output and "orbit.rs.deploy --check --diff" in output

        ignore = [{"object": "StatefulSet/*", "path": "spec.replicas"}, {"object": "PodDisruptionBudget/*"}]
        code, output, report = drift(orbit_rs_drift_ignore=ignore)
        assert code == 0, output
        assert (report["unsafe"], report["benign"], len(report["drift"])) == (0, 1, 3)
        assert "0 unsafe, 1 benign, 2 ignored" in output
    finally:
        deployed.kubectl("scale statefulset orbit-server --replicas 3")
        deployed.kubectl("wait pod/orbit-server-3 --for delete --timeout 60s")
        deployed.kubectl("delete persistentvolumeclaim data-orbit-server-3 --wait=false")
        edit(deployed, "poddisruptionbudget/orbit-server", "s/maxUnavailable: 2/maxUnavailable: 1/")
        deployed.kubectl("label configmap orbit-server-config team-")


def test_what_the_inventory_asks_for_is_no_drift(deployed, drift, tmp_path):
    values = tmp_path / "values.yml"
    values.write_text("config: {transactions: {maxConnections: 21}}")
    code, output, report = drift(orbit_rs_drift_fail="any", orbit_rs_values_files=[str(values)])
    assert code == 0, output
    assert report["drift"] == []
    assert CONFIG.format(deployed.namespace) in {item["object"] for item in report["pending"]}
    assert "Not deployed yet, so no drift" in output
