# SPDX-License-Identifier: GPL-3.0-or-later
"""One run at a time on a release. Where the other one need not do anything, its lock is made by hand."""

import datetime
import json
import re
import time

import pytest
import yaml

from molecule.conftest import ROOT

VARIABLES = "@molecule/upgrade/vars/upgrade.yml"
VALUES = yaml.safe_load((ROOT / "molecule/upgrade/vars/upgrade.yml").read_text())["orbit_rs_values"]
LEASE = "orbit-rs.orbit.rs"


def change(value):
    """Arguments that make a difference, and restart nothing."""
    return "-e", json.dumps({"orbit_rs_values": {**VALUES, "serviceAccount": {"annotations": {"test": value}}}})


def other_holder(deployed, *, seconds_ago=0):
    """Put the lock into the hands of somebody else, who gave a sign of life then."""
    moment = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=seconds_ago)
    time_ = f"{moment:%Y-%m-%dT%H:%M:%S.%fZ}"
    patch(deployed, {"holderIdentity": "somebody@elsewhere:1 x", "acquireTime": time_, "renewTime": time_})


def patch(deployed, spec):
    deployed.kubectl(f"patch lease {LEASE} --type merge --patch '{json.dumps({'spec': spec})}'")


def holder(deployed):
    return deployed.get(f"lease {LEASE}")["spec"].get("holderIdentity")


def test_a_second_run_says_who_is_at_work_and_since_when(deployed):
    other_holder(deployed)
    before = deployed.get("serviceaccount orbit-server")["metadata"]["resourceVersion"]
    ended = deployed.try_playbook(*change("refused"))
    assert ended.returncode != 0
    said = " ".join(ended.stdout.split())
    where = f"Another run is at work on orbit-rs in namespace {deployed.namespace}"
    assert re.search(rf"{where}: somebody@elsewhere:1, deploy, since \d\d:\d\d:\d\d UTC", said), said
    assert "orbit_rs_lock_timeout=600 waits by itself" in said
    assert deployed.get("serviceaccount orbit-server")["metadata"]["resourceVersion"] == before


def waits(deployed, value, then):
    """Run while somebody else has the lock; call `then` as soon as the run waits. Its output after that."""
    other_holder(deployed)
    with deployed.start_playbook(*change(value), "-e", "orbit_rs_lock_timeout=100") as process:
        assert process.stdout is not None
        before = []
        for line in process.stdout:
            before.append(line)
            if "the lock is with somebody@elsewhere:1, deploy, since" in line and "waiting for it" in line:
                break
        else:
            pytest.fail("".join(before))
        then()
        after = process.stdout.read()
    assert process.returncode == 0, after
    assert deployed.get("serviceaccount orbit-server")["metadata"]["annotations"]["test"] == value
    assert holder(deployed) == ""
    return after


def test_or_waits_for_it_when_that_is_asked_for(deployed):
    output = waits(deployed, "waited", lambda: patch(deployed, {"holderIdentity": ""}))
    assert "taking over" not in output


def test_the_lock_of_a_dead_run_is_taken_over_when_it_has_expired(deployed):
    died = time.monotonic()
    output = waits(deployed, "taken over", lambda: other_holder(deployed, seconds_ago=20))
    assert "taking over the lock of somebody@elsewhere:1" in output
    assert time.monotonic() - died > 10, "taken over before it had expired"


def test_a_run_that_loses_its_lock_stops_and_the_next_one_finishes(deployed, clients):
    version = ("-e", VARIABLES, "-e", "orbit_rs_version=v0.2.0", "-e", "orbit_rs_rehearsal=false")
    with deployed.start_playbook(*version, playbook="upgrade") as first:
        assert first.stdout is not None
        said = []
        for line in first.stdout:
            said.append(line)
            if "restarts, 1 of 3" in line:
                other_holder(deployed)
        first.wait()
    assert first.returncode != 0
    assert "The lock of this release was lost" in " ".join("".join(said).split())
    assert "restarts, 3 of 3" not in "".join(said)
    assert "v0.1.0" in deployed.versions()
    assert holder(deployed).startswith("somebody@elsewhere")

    output = deployed.playbook(*version, "-e", "orbit_rs_lock_timeout=60", playbook="upgrade")
    assert "A run of upgrade" in output and "was not finished" in output
    assert deployed.versions() == ["v0.2.0"] * 3
    clients.nothing_is_lost()


@pytest.mark.soak
def test_of_two_runs_one_works_and_the_other_names_it(deployed):
    version = ("-e", VARIABLES, "-e", "orbit_rs_version=v0.1.0", "-e", "orbit_rs_allow_downgrade=true")
    with deployed.start_playbook(*version, playbook="upgrade") as first:
        assert first.stdout is not None
        said = []
        for line in first.stdout:
            said.append(line)
            if "restarts, 1 of 3" in line:
                break
        second = deployed.try_playbook(*version, playbook="upgrade")
        said.append(first.stdout.read())
        first.wait()
    assert first.returncode == 0, "".join(said)
    assert second.returncode != 0
    assert re.search(r"Another run is at work on orbit-rs in namespace \S+: \S+@\S+, upgrade, since", second.stdout)
    assert holder(deployed) == ""
