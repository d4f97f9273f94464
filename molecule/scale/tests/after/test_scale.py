# SPDX-License-Identifier: GPL-3.0-or-later
"""Ordinals come and go, and nobody's data goes with them unasked. One test goes on from the other."""

import pytest

VARIABLES = "@molecule/scale/vars/scale.yml"


def scale(deployed, *orders):
    words = [word for order in orders for word in ("-e", order)]
    return deployed.try_playbook("-e", VARIABLES, *words, playbook="scale")


def done(deployed, *orders):
    ended = scale(deployed, *orders)
    assert ended.returncode == 0, ended.stdout
    return ended.stdout


def uids(deployed):
    return [pod["metadata"]["uid"] for pod in deployed.pods()]


def test_check_mode_names_the_new_ordinal_and_touches_nothing(deployed):
    before = deployed.at_rest()
    ended = deployed.playbook("-e", VARIABLES, "-e", "orbit_rs_replicas=3", "--check", "--diff", playbook="scale")
    assert "scale_out add orbit-server-2 (no pod restarts)" in " ".join(ended.split())
    assert "changed=1" in ended
    assert deployed.fingerprint() == before


def test_a_new_ordinal_is_gated_and_the_others_stay(deployed):
    before = uids(deployed)
    assert "changed=1" in done(deployed, "orbit_rs_replicas=3")
    assert uids(deployed)[:2] == before
    assert len(uids(deployed)) == 3
    deployed.write_marks("mark")
    assert "changed=0" in done(deployed, "orbit_rs_replicas=3")


def test_the_release_remembers_the_number(deployed):
    """Through its values, not beside them; deploy with an inventory that says otherwise refuses."""
    assert "replicaCount: 3" in deployed.host.check_output(
        f"helm get values orbit-rs --all --namespace {deployed.namespace}"
    )
    ended = deployed.try_playbook("-e", VARIABLES)
    assert ended.returncode != 0
    said = " ".join(ended.stdout.split())
    assert "Deploy does not scale" in said and "orbit.rs.scale" in said


@pytest.mark.parametrize(
    ("orders", "says"),
    [
        (("orbit_rs_replicas=2",), "orbit-server-2 would go, and nothing else has their data"),
        (("orbit_rs_replicas=-1",), "it must be a whole number, 0 or more"),
    ],
)
def test_refused_with_a_sentence_and_untouched(deployed, orders, says):
    before = deployed.at_rest()
    ended = scale(deployed, *orders)
    assert ended.returncode != 0
    assert says in " ".join(ended.stdout.split())
    assert deployed.fingerprint() == before


def test_an_ordinal_goes_when_that_is_confirmed_and_its_volume_stays(deployed):
    before = uids(deployed)
    done(deployed, "orbit_rs_replicas=2", "orbit_rs_remove_data_owner=true")
    assert uids(deployed) == before[:2]
    assert len(deployed.get("persistentvolumeclaims")["items"]) == 3


def test_its_old_volume_is_refused_then_adopted_with_its_data(deployed):
    ended = scale(deployed, "orbit_rs_replicas=3")
    assert ended.returncode != 0
    assert "is of this release, before it was scaled in" in " ".join(ended.stdout.split())
    done(deployed, "orbit_rs_replicas=3", "orbit_rs_stale_volumes=adopt")
    assert deployed.read_marks("mark") == [f"mark of ordinal {ordinal}" for ordinal in range(3)]


def test_or_deleted_when_that_is_asked_for(deployed):
    done(deployed, "orbit_rs_replicas=2", "orbit_rs_remove_data_owner=true")
    output = done(deployed, "orbit_rs_replicas=3", "orbit_rs_stale_volumes=wipe")
    assert "(data is destroyed)" in output
    assert deployed.read_marks("mark") == ["mark of ordinal 0", "mark of ordinal 1", None]
