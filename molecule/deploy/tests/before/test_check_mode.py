# SPDX-License-Identifier: GPL-3.0-or-later
"""Check mode where nothing is deployed yet: it says what it would do, and does none of it."""


def test_nothing_is_deployed_before_the_first_run(deployed):
    assert deployed.namespace not in deployed.kubectl("get namespaces --output name")


def test_check_mode_plans_the_install_and_touches_nothing(deployed):
    before = deployed.fingerprint()
    output = deployed.playbook("--check", "--diff")
    assert "install" in output
    assert "changed=1" in output
    assert "+kind: StatefulSet" in output, "--diff shows the objects that would be made"
    assert deployed.fingerprint() == before
    assert deployed.namespace not in deployed.kubectl("get namespaces --output name")


def test_the_plan_playbook_shows_the_same_plan_and_touches_nothing(deployed):
    before = deployed.fingerprint()
    output = deployed.playbook(playbook="plan")
    assert "install" in output
    assert "changed=0" in output
    assert deployed.fingerprint() == before


def test_status_of_a_release_that_does_not_exist_says_so(deployed):
    assert f"There is no release orbit-rs in namespace {deployed.namespace}" in deployed.playbook(playbook="status")
