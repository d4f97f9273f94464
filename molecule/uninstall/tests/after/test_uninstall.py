# SPDX-License-Identifier: GPL-3.0-or-later
"""A release goes, and its data comes back with the next one; unless somebody destroys it by name."""

import re
import shlex
import subprocess

from molecule.conftest import KUBECONFIG

VARIABLES = "@molecule/scale/vars/scale.yml"


def uninstall(deployed, *more):
    return deployed.playbook("-e", VARIABLES, *more, playbook="uninstall")


def volumes(deployed):
    return [claim["spec"]["volumeName"] for claim in deployed.get("persistentvolumeclaims")["items"]]


def marks(deployed):
    values = []
    for ordinal in range(2):
        with deployed.redis(ordinal) as client:
            values.append(client.get("mark"))
    return values


def test_check_mode_says_what_goes_and_what_stays_and_touches_nothing(deployed):
    for ordinal in range(2):
        with deployed.redis(ordinal) as client:
            client.set("mark", f"mark of ordinal {ordinal}")
    before = deployed.at_rest()
    output = uninstall(deployed, "--check")
    assert f"remove  StatefulSet/{deployed.namespace}/orbit-server" in output
    assert (
        len(re.findall(r"keep    data-orbit-server-\d .*; its reclaim policy becomes Retain, it is Delete", output))
        == 2
    )
    assert "changed=1" in output
    assert deployed.fingerprint() == before


def test_the_data_of_another_release_is_not_destroyed(deployed):
    ended = deployed.try_playbook("-e", VARIABLES, "-e", "orbit_rs_destroy_data=orders", playbook="uninstall")
    assert ended.returncode != 0
    assert "Nothing was touched." in " ".join(ended.stdout.split())
    assert len(deployed.pods()) == 2


def test_what_was_kept_is_served_again(deployed):
    before = volumes(deployed)
    assert "changed=1" in uninstall(deployed)
    assert deployed.pods() == []
    assert volumes(deployed) == before
    assert "changed=0" in uninstall(deployed)
    deployed.playbook("-e", VARIABLES)
    assert marks(deployed) == ["mark of ordinal 0", "mark of ordinal 1"]


def test_also_when_the_namespace_was_deleted_meanwhile(deployed):
    """With the commands that the run has named."""
    output = uninstall(deployed)
    before = volumes(deployed)
    deployed.kubectl(f"delete namespace {deployed.namespace} --wait")
    commands = re.findall(r"kubectl (patch persistentvolume .*)", output)
    assert len(commands) == 2
    for command in commands:
        subprocess.run(("kubectl", "--kubeconfig", KUBECONFIG, *shlex.split(command)), check=True)
    deployed.playbook("-e", VARIABLES)
    assert sorted(volumes(deployed)) == sorted(before)
    assert marks(deployed) == ["mark of ordinal 0", "mark of ordinal 1"]


def test_destroyed_by_name(deployed):
    names = volumes(deployed)
    output = uninstall(deployed, "-e", f"orbit_rs_destroy_data={deployed.release}")
    assert len(re.findall(r"delete  data-orbit-server-\d .* with its data", output)) == 2
    assert deployed.get("persistentvolumeclaims")["items"] == []
    assert deployed.get("configmaps,leases --selector app.kubernetes.io/managed-by=orbit.rs")["items"] == []
    for name in names:  # Retain, from the runs before
        deployed.kubectl(f"delete persistentvolume {name} --wait=false")
