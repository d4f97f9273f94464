# SPDX-License-Identifier: GPL-3.0-or-later
"""Upgrades that end well, are refused, or are paused and go on."""

import re

import pytest

VARIABLES = "@molecule/upgrade/vars/upgrade.yml"


def play(deployed, playbook, *more):
    return deployed.playbook("-e", VARIABLES, *more, playbook=playbook)


def test_check_mode_shows_the_upgrade_and_touches_nothing(deployed):
    before = deployed.at_rest()
    output = play(deployed, "upgrade", "-e", "orbit_rs_version=v0.2.0", "--check", "--diff")
    assert re.search(r"1  upgrade +change orbit-rs/orbit-server:v0.1.0 to orbit-rs/orbit-server:v0.2.0", output)
    assert "changed=1" in output
    assert deployed.fingerprint() == before


REFUSED = {
    "a downgrade": (("orbit_rs_version=v0.0.9",), "is a downgrade"),
    "a skipped minor version": (("orbit_rs_version=v0.3.0",), "skips a minor version"),
    "no backup": (
        ("orbit_rs_version=v0.2.0", "orbit_rs_upgrade_without_backup=false"),
        "no backup set to fall back on",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_a_sentence_and_untouched(deployed, case):
    variables, says = REFUSED[case]
    before = deployed.at_rest()
    more = [word for variable in variables for word in ("-e", variable)]
    ended = deployed.try_playbook("-e", VARIABLES, *more, playbook="upgrade")
    assert ended.returncode != 0, ended.stdout
    assert says in ended.stdout
    assert deployed.fingerprint() == before


def test_a_good_upgrade_loses_nothing_and_no_client_of_the_service_notices(deployed, clients):
    before = clients.verify()["service"]["bad"]
    output = play(deployed, "upgrade", "-e", "orbit_rs_version=v0.2.0")
    assert "changed=1" in output
    assert deployed.versions() == ["v0.2.0"] * 3
    found = clients.nothing_is_lost()
    assert found["service"]["bad"] == before
    assert found["service"]["good"] > 50
    assert "changed=0" in play(deployed, "upgrade", "-e", "orbit_rs_version=v0.2.0")


def test_deploy_refuses_to_take_the_version_back(deployed):
    ended = deployed.try_playbook("-e", VARIABLES)
    assert ended.returncode != 0
    assert "Deploy does not change the version" in ended.stdout


@pytest.mark.soak
def test_a_pause_after_the_first_ordinal_goes_back_or_on(deployed, clients):
    play(deployed, "rollback")
    version = ("-e", "orbit_rs_version=v0.2.0")
    assert "Paused: orbit-server-2" in play(deployed, "upgrade", *version, "-e", "orbit_rs_pause=true")
    assert deployed.versions() == ["v0.1.0", "v0.1.0", "v0.2.0"]

    ended = deployed.try_playbook("-e", VARIABLES, *version, "-e", "orbit_rs_interrupted=revert", playbook="upgrade")
    assert ended.returncode != 0
    assert "Rolled back: all 3 ordinals" in ended.stdout
    assert deployed.versions() == ["v0.1.0"] * 3

    play(deployed, "upgrade", *version, "-e", "orbit_rs_pause=true")
    assert deployed.versions() == ["v0.1.0", "v0.1.0", "v0.2.0"]
    play(deployed, "upgrade", *version)
    assert deployed.versions() == ["v0.2.0"] * 3
    clients.nothing_is_lost()
