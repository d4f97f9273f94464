# SPDX-License-Identifier: GPL-3.0-or-later
"""What is restored is what was acknowledged then, key by key; what is not good does not stay."""

import re
import time

import pytest

from molecule.conftest import COUNT, SCALE, database, expire, kill, present

CONFIRM = {"orbit_rs_restore_confirm": "orbit-rs"}


@pytest.fixture(scope="module")
def taken(backups, writers):
    """Give a set, what was acknowledged before it, and what was acknowledged by its end."""
    before = [writers.acknowledged(ordinal) for ordinal in range(COUNT)]
    name = backups.take()
    after = [writers.acknowledged(ordinal) for ordinal in range(COUNT)]
    return name, before, after


def holds(deployed, taken, ordinal, acknowledged):
    """See that an ordinal has what it had then: all from before the set, none from after it, and no gap in between."""
    _, before, after = taken
    there = present(deployed, ordinal, acknowledged)
    assert there[: len(before[ordinal])] == before[ordinal]
    assert there == acknowledged[: len(there)], "there is a gap"
    assert len(there) <= len(after[ordinal]) + 1, "a write from after the set is there"


def unchanged(deployed):
    return [pod["metadata"]["uid"] for pod in deployed.pods()]


def test_without_a_verified_set_it_names_the_newest(backups, taken):
    said = backups.run("restore", good=False)
    assert f"None of the 1 sets has passed a verification or a drill. The newest is {taken[0]}." in said


def test_without_a_confirmation_nothing_is_touched(backups, deployed, taken):
    backups.run("verify")
    pods = unchanged(deployed)
    said = backups.run("restore", good=False)
    assert f"Restore set {taken[0]} into orbit-rs" in said and "verify passed" in said
    assert "nobody has confirmed that. Nothing was touched. To confirm it: -e orbit_rs_restore_confirm=orbit-rs" in said
    assert "changed=1" in backups.run("restore", "--check")
    assert unchanged(deployed) == pods


def test_the_whole_release(backups, deployed, writers, taken):
    time.sleep(1)  # for some writes that must be gone
    acknowledged = [writers.acknowledged(ordinal) for ordinal in range(COUNT)]
    said = backups.run("restore", **CONFIRM)
    assert f"set {taken[0]} is restored, and every ordinal is good" in said
    for ordinal in range(COUNT):
        assert len(acknowledged[ordinal]) > len(taken[2][ordinal]) + 1
        holds(deployed, taken, ordinal, acknowledged[ordinal])
    safety = re.search(r"safety set (\d{8}T\d{6}Z) of what is there", said)[1]
    assert f"{safety} safety" in backups.run("sets")
    assert not deployed.get("pods --selector orbit.rs/helper")["items"]
    assert "orbit.rs/unfinished" not in deployed.get("lease orbit-rs.orbit.rs")["metadata"]["annotations"]
    assert "changed=0" in deployed.playbook(*SCALE)

    # The safety set is a set like any other: back to what was there before.
    backups.run("restore", orbit_rs_set=safety, **CONFIRM)
    for ordinal in range(COUNT):
        assert present(deployed, ordinal, acknowledged[ordinal]) == acknowledged[ordinal]


def test_one_ordinal_and_the_other_goes_on_serving(backups, deployed, writers, taken):
    acknowledged = [writers.acknowledged(ordinal) for ordinal in range(COUNT)]
    other = present(deployed, 0, acknowledged[0])
    pods = unchanged(deployed)
    backups.run(
        "restore",
        orbit_rs_set="newest",
        orbit_rs_restore_before=f"{taken[0][:4]}-{taken[0][4:6]}-{taken[0][6:11]}:{taken[0][11:13]}:{taken[0][13:15]}",
        orbit_rs_restore_ordinals=[1],
        **CONFIRM,
    )
    assert unchanged(deployed)[0] == pods[0] and unchanged(deployed)[1] != pods[1]
    holds(deployed, taken, 1, acknowledged[1])
    assert present(deployed, 0, acknowledged[0]) == other


def test_what_is_not_good_does_not_stay(backups, deployed, writers):
    """A set whose files are all as its manifest says, with a database that no server can open."""
    forged = backups.forge(database(b"this is no database" * 1000))
    acknowledged = [writers.acknowledged(ordinal) for ordinal in range(COUNT)]
    there = [present(deployed, ordinal, acknowledged[ordinal]) for ordinal in range(COUNT)]
    said = backups.run("restore", good=False, orbit_rs_set=forged, orbit_rs_rollout_timeout=60, **CONFIRM)
    assert "What was there before is back, from safety set" in said
    for ordinal in range(COUNT):
        assert present(deployed, ordinal, acknowledged[ordinal]) == there[ordinal]
    assert "restore" in deployed.playbook(playbook="history") and "rolled back" in deployed.playbook(playbook="history")


@pytest.mark.parametrize(
    ("interrupted", "until", "seconds"),
    [
        ("resume", "writing set", 0.5),
        pytest.param("revert", "writing set", 0.5, marks=pytest.mark.soak),
        pytest.param("resume", "stopping ordinal", 1, marks=pytest.mark.soak),
        pytest.param("revert", "stopping ordinal", 1, marks=pytest.mark.soak),
        pytest.param("resume", "safety set", 3, marks=pytest.mark.soak),
    ],
)
def test_a_restore_that_was_killed_is_finished_by_the_next(
    backups, deployed, writers, taken, interrupted, until, seconds
):
    acknowledged = [writers.acknowledged(ordinal) for ordinal in range(COUNT)]
    there = [present(deployed, ordinal, acknowledged[ordinal]) for ordinal in range(COUNT)]
    with deployed.start_playbook(*backups.arguments(orbit_rs_set=taken[0], **CONFIRM), playbook="restore") as process:
        print(kill(process, until, seconds))
    expire(deployed)
    refused = deployed.try_playbook(*SCALE)
    assert "A run of restore was not finished" in " ".join(refused.stdout.split())
    ended = deployed.try_playbook(*backups.arguments(orbit_rs_interrupted=interrupted), playbook="restore")
    assert "was not finished; it was" in " ".join(ended.stdout.split()), ended.stdout
    for ordinal in range(COUNT):
        if interrupted == "resume":
            assert ended.returncode == 0, ended.stdout
            holds(deployed, taken, ordinal, acknowledged[ordinal])
        else:
            assert present(deployed, ordinal, acknowledged[ordinal]) == there[ordinal]
    assert "changed=0" in deployed.playbook(*SCALE)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        pytest.param({"replicas": 3}, "ordinal 2 is not in the manifest", marks=pytest.mark.soak),
        ({"versions": {"server": "v9.0.0"}}, "was written by server v9.0.0, newer than v0.1.0 here"),
        ({"release": "orders"}, "is of orders in namespace molecule-restore, not of this release"),
        ({"text": "nonsense"}, "The manifest of set"),
        pytest.param({"name": "orders.orders"}, "holds the manifest of set", marks=pytest.mark.soak),
    ],
)
def test_refusals(backups, deployed, changes, says):
    forged = backups.forge(**changes)
    pods = unchanged(deployed)
    assert says in backups.run("restore", good=False, orbit_rs_set=forged, **CONFIRM)
    assert unchanged(deployed) == pods


def test_a_volume_that_somebody_else_uses_is_refused(backups, deployed, taken):
    spec = deployed.pods()[0]["spec"]
    container = {
        "name": "guest",
        "image": spec["containers"][0]["image"],
        "command": ["sleep", "600"],
        "securityContext": spec["containers"][0]["securityContext"],
    }
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": "data-orbit-server-0"}}
    guest = {
        "securityContext": spec["securityContext"],
        "terminationGracePeriodSeconds": 0,
        "nodeName": spec["nodeName"],
        "containers": [container],
        "volumes": [volume],
    }
    deployed.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "guest"}, "spec": guest})
    try:
        said = backups.run("restore", good=False, orbit_rs_set=taken[0], **CONFIRM)
        assert "Another pod is at the data: guest uses data-orbit-server-0" in said
    finally:
        deployed.kubectl("delete pod guest --wait")
