# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of sets: an upgrade takes one, a drill proves one, and retention drops the old ones."""

import re

import pytest
import yaml

from molecule.backup.tests.after.conftest import COUNT, expire, kill
from molecule.conftest import ROOT

DRILL = "molecule-backup-drill"


def namespaces(deployed):
    return deployed.kubectl("get namespaces --output name").split()


def test_an_upgrade_takes_a_set_before_the_first_restart(backups):
    said = backups.run("upgrade", orbit_rs_version="v0.2.0", orbit_rs_soak=0, orbit_rs_rehearsal=False)
    taken = re.search(r"set (\d{8}T\d{6}Z), \S+ \S+, is what this run can fall back on", said)
    assert said.index("is what this run can fall back on") < said.index("ordinal 1 restarts")
    assert f"{taken[1]} upgrade" in backups.run("sets")


def test_an_upgrade_whose_backup_fails_restarts_nothing(backups, deployed):
    pods = [pod["metadata"]["uid"] for pod in deployed.pods()]
    more = {"orbit_rs_repository": "/proc/nowhere", "orbit_rs_soak": 0, "orbit_rs_allow_downgrade": True}
    said = backups.run("upgrade", good=False, orbit_rs_version="v0.1.0", **more)
    assert "/proc/nowhere" in said
    assert [pod["metadata"]["uid"] for pod in deployed.pods()] == pods
    assert deployed.versions() == ["v0.2.0"] * COUNT


def test_a_drill_proves_a_set_and_leaves_nothing(backups, deployed):
    taken = backups.take()
    said = backups.run("drill")
    assert f"set {taken} is proved: {COUNT} ordinals of" in said
    assert f"namespace/{DRILL}" not in namespaces(deployed)
    assert f"{taken} backup drill passed" in backups.run("sets")


@pytest.mark.soak
def test_a_drill_of_what_is_not_good_fails_and_leaves_nothing(backups, deployed):
    from molecule.backup.tests.after.test_2_restore import database

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


def test_an_ordinal_may_go_when_a_proved_set_has_its_data(backups, deployed):
    server = yaml.safe_load((ROOT / "molecule/scale/vars/scale.yml").read_text())["orbit_rs_values"]
    server["orbitServer"]["image"]["tag"] = "v0.2.0"  # as the upgrade has left it
    values = {"orbit_rs_replicas": 1, "orbit_rs_values": server}
    said = backups.run("scale", "--check", orbit_rs_removal_backup_age=1, good=False, **values)
    assert "none of them may go" in said and "nothing else has their data" in said
    said = backups.run("scale", "--check", **values)
    assert "they may go" in said and "remove orbit-server-1; the volumes stay" in said


def test_a_namespace_that_is_not_ours_is_left_alone(backups, deployed):
    said = backups.run("drill", good=False, orbit_rs_drill_namespace="default")
    assert "no drill of orbit-rs has made it" in said


def test_retention_shows_what_goes_and_drops_whole_sets(backups):
    rules = {f"orbit_rs_keep_{name}": 0 for name in ("daily", "weekly", "monthly", "safety")}
    rules |= {"orbit_rs_keep_last": 1, "orbit_rs_keep_minimum": 1}
    backups.take()
    before = backups.sets()
    said = backups.run("retention", "--check", **rules)
    assert len(before) > 2
    assert f"{len(before) - 2} of {len(before)} sets would go" in said
    assert backups.sets() == before
    backups.run("retention", orbit_rs_retention_prune=True, **rules)
    kept = backups.sets()
    assert len(kept) == 2 and kept[0] == before[0]
    tags = {tag for item in backups.restic("snapshots") for tag in item["tags"] if tag.startswith("set=")}
    assert tags == {f"set={name}" for name in kept}
    assert f"{kept[1]} backup drill passed" in backups.run("sets")
    assert "changed=0" in backups.run("retention", **rules)
    backups.run("verify", orbit_rs_set=kept[1])
