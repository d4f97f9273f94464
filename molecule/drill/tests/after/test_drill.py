# SPDX-License-Identifier: GPL-3.0-or-later
"""A drill proves a set while clients write, and leaves nothing, whatever becomes of it."""

import re

import pytest
import yaml

from molecule.conftest import COUNT, ROOT, database, expire, kill

DRILL = "molecule-drill-drill"


def namespaces(deployed):
    return deployed.kubectl("get namespaces --output name").split()


def test_it_proves_a_set_and_leaves_nothing(backups, deployed, writers):
    taken = backups.take()
    said = backups.run("drill")
    assert f"set {taken} is proved: {COUNT} ordinals of" in said
    assert f"namespace/{DRILL}" not in namespaces(deployed)
    assert f"{taken} backup drill passed" in backups.run("sets")
    writers.nothing_is_lost()


@pytest.mark.soak
def test_what_is_not_good_fails_and_leaves_nothing(backups, deployed):
    forged = backups.forge(database(b"this is no database" * 1000))
    said = backups.run("drill", good=False, orbit_rs_set=forged, orbit_rs_rollout_timeout=60)
    assert f"The drill of set {forged} failed." in said
    assert f"namespace/{DRILL}" not in namespaces(deployed)
    assert f"{forged} backup drill failed" in backups.run("sets")


@pytest.mark.soak
def test_what_a_killed_drill_has_left_goes_before_the_next(backups, deployed):
    with deployed.start_playbook(*backups.arguments(), playbook="drill") as process:
        print(kill(process, "drill of set", 2))
    assert f"namespace/{DRILL}" in namespaces(deployed)
    assert "Another drill is at work" in backups.run("drill", good=False)
    expire(deployed, DRILL)
    good = re.search(r"(\d{8}T\d{6}Z) backup drill passed", backups.run("sets"))[1]
    said = backups.run("drill", orbit_rs_set=good)
    assert "which an interrupted drill has left" in said
    assert f"namespace/{DRILL}" not in namespaces(deployed)


def test_an_ordinal_may_go_when_a_proved_set_has_its_data(backups):
    server = yaml.safe_load((ROOT / "molecule/scale/vars/scale.yml").read_text())["orbit_rs_values"]
    values = {"orbit_rs_replicas": 1, "orbit_rs_values": server}
    said = backups.run("scale", "--check", orbit_rs_removal_backup_age=1, good=False, **values)
    assert "none of them may go" in said and "nothing else has their data" in said
    said = backups.run("scale", "--check", **values)
    assert "they may go" in said and "remove orbit-server-1; the volumes stay" in said


def test_a_namespace_that_is_not_ours_is_left_alone(backups):
    said = backups.run("drill", good=False, orbit_rs_drill_namespace="default")
    assert "no drill of orbit-rs has made it" in said
