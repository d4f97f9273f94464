# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Helm leaves behind that was killed or has failed: named with the way out, or recovered when that is asked."""

import re

from molecule.helm_edges.tests.conftest import CHART

NEVER_READY = {"image": {"repository": "orbit-rs/orbit-server", "tag": "v0.2.0-unready", "pullPolicy": "Never"}}


def install(edge, **server):
    return ("install", "orbit-rs", str(CHART), "--create-namespace", "--values", edge.helm_values(**server))


def test_a_first_install_that_was_killed(edge):
    edge.kubectl(f"create namespace {edge.namespace}")
    edge.kill_helm(*install(edge, **NEVER_READY), "--wait")
    output = edge.refused()
    assert "Revision 1 of orbit-rs is pending-install" in output
    (command,) = set(re.findall(r"helm uninstall orbit-rs -n [a-z0-9-]+", output))
    edge.typed(command)
    edge.deploy()
    assert edge.status() == ["deployed"]


def test_a_first_install_that_was_killed_is_recovered(edge):
    edge.kubectl(f"create namespace {edge.namespace}")
    edge.kill_helm(*install(edge, **NEVER_READY), "--wait")
    assert "changed=" in edge.deploy(orbit_rs_recover=True)
    assert edge.status()[-1] == "deployed"
    assert "changed=0" in edge.deploy()


def test_an_upgrade_that_was_killed(edge):
    edge.deploy()
    bad = edge.helm_values(podAnnotations={"edge": "killed"}, **NEVER_READY)
    edge.kill_helm("upgrade", "orbit-rs", str(CHART), "--values", bad, "--wait")
    output = edge.refused()
    assert "Revision 2 of orbit-rs is pending-upgrade" in output
    (command,) = set(re.findall(r"helm rollback orbit-rs 1 -n [a-z0-9-]+", output))
    edge.typed(command)
    edge.deploy()
    assert edge.status()[-1] == "deployed"

    edge.kill_helm("upgrade", "orbit-rs", str(CHART), "--values", bad, "--wait")
    edge.deploy(orbit_rs_recover=True)
    assert edge.status()[-1] == "deployed"
    assert "changed=0" in edge.deploy()


def test_a_first_install_that_has_failed(edge):
    edge.kubectl(f"create namespace {edge.namespace}")
    try:
        edge.helm(*install(edge, **NEVER_READY), "--wait", "--timeout", "2s")
    except Exception as failure:
        assert "returned non-zero" in str(failure)
    assert edge.status() == ["failed"]
    output = edge.deploy()
    assert "Revision 1 of orbit-rs has failed" in output
    assert edge.status()[-1] == "deployed"
    assert "changed=0" in edge.deploy()
