# SPDX-License-Identifier: GPL-3.0-or-later
"""An autoscaler that is turned on and off, bounded, and under load. One test goes on from the other."""

import json
import time

import yaml

from molecule.conftest import ROOT

VALUES = yaml.safe_load((ROOT / "molecule/upgrade/vars/upgrade.yml").read_text())["orbit_rs_values"]
BOUNDS = {"enabled": True, "minReplicas": 2, "maxReplicas": 3, "targetCPUUtilizationPercentage": 50}


def values(replicas=3, **autoscaling):
    """The scenario's values with a number of ordinals and an autoscaler, as an argument."""
    server = {**VALUES["orbitServer"], "replicaCount": replicas}
    return "-e", json.dumps({"orbit_rs_values": {**VALUES, "orbitServer": server, "autoscaling": autoscaling}})


def count(deployed):
    return deployed.get("statefulset orbit-server")["spec"]["replicas"]


def test_turning_it_on_keeps_the_number(deployed):
    before = [pod["metadata"]["uid"] for pod in deployed.pods()]
    deployed.playbook(*values(**BOUNDS))
    assert deployed.get("horizontalpodautoscaler orbit-server")["spec"]["maxReplicas"] == 3
    assert count(deployed) == 3
    assert "changed=0" in deployed.playbook(*values(**BOUNDS))
    assert [pod["metadata"]["uid"] for pod in deployed.pods()] == before


def test_its_number_is_not_set_beside_it(deployed):
    ended = deployed.try_playbook(*values(**BOUNDS), "-e", "orbit_rs_replicas=4", playbook="scale")
    assert ended.returncode != 0
    assert "An autoscaler owns the number of ordinals" in " ".join(ended.stdout.split())


def test_bounds_that_would_remove_an_ordinal_are_refused(deployed):
    ended = deployed.try_playbook(*values(**BOUNDS), "-e", "orbit_rs_max_replicas=2", playbook="scale")
    assert ended.returncode != 0
    assert "orbit-server-2 would go" in " ".join(ended.stdout.split())
    assert count(deployed) == 3


def test_under_load_it_adds_an_ordinal_within_new_bounds(deployed):
    deployed.playbook(*values(**BOUNDS), "-e", "orbit_rs_max_replicas=4", playbook="scale")
    assert count(deployed) == 3
    burn = "import time; end = time.time() + 120\nwhile time.time() < end: pass"
    deployed.kubectl(f"exec orbit-server-0 -- sh -c 'python3 -c \"{burn}\" >/dev/null 2>&1 &'")
    end = time.monotonic() + 150
    while count(deployed) < 4 and time.monotonic() < end:
        time.sleep(2)
    assert count(deployed) == 4
    deployed.wait_ready()


def test_turning_it_off_keeps_the_number_too(deployed):
    """The inventory has to say the number that the autoscaler has come to: else it is refused, not scaled."""
    ended = deployed.try_playbook(*values(enabled=False))
    assert ended.returncode != 0
    assert "orbitServer.replicaCount: 4" in " ".join(ended.stdout.split())
    assert count(deployed) == 4
    deployed.playbook(*values(4, enabled=False))
    assert count(deployed) == 4
    assert deployed.get("horizontalpodautoscalers")["items"] == []
