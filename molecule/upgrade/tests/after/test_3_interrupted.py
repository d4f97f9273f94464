# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs that are killed, at a moment that a seed decides, and two at once."""

import json
import os
import random
import re
import signal
import time

import pytest

pytestmark = pytest.mark.soak
VARIABLES = "@molecule/upgrade/vars/upgrade.yml"


def killed(deployed, seconds, *more):
    """Start an upgrade, and kill it, with all its children, some seconds after it has taken the lock."""
    with deployed.start_playbook("-e", VARIABLES, *more, playbook="upgrade", process_group=0) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "To allow this plan" in line:
                break
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGKILL)
        process.stdout.read()


@pytest.mark.parametrize("interrupted", ["resume", "revert"])
def test_a_run_that_was_killed_is_finished_by_the_next(deployed, clients, interrupted):
    now = deployed.versions()[0]
    then = "v0.1.0" if now == "v0.2.0" else "v0.2.0"
    seed = random.randrange(1000)
    print(f"seed {seed}")
    version = ("-e", f"orbit_rs_version={then}", "-e", "orbit_rs_allow_downgrade=true")
    killed(deployed, random.Random(seed).uniform(0.5, 20), *version)
    ended = deployed.try_playbook(
        "-e", VARIABLES, *version, "-e", f"orbit_rs_interrupted={interrupted}", playbook="upgrade"
    )
    if interrupted == "resume" or "Rolled back" not in ended.stdout:
        assert ended.returncode == 0, ended.stdout
        assert deployed.versions() == [then] * 3
    else:
        assert deployed.versions() == [now] * 3
    statefulset = deployed.get("statefulset orbit-server")
    assert not statefulset["spec"]["updateStrategy"]["rollingUpdate"].get("partition")
    assert "orbit.rs/unfinished" not in deployed.get("lease orbit-rs.orbit.rs")["metadata"]["annotations"]
    clients.nothing_is_lost()


def test_of_two_runs_one_works_and_the_other_names_it(deployed):
    now = deployed.versions()[0]
    version = (
        "-e",
        f"orbit_rs_version={'v0.1.0' if now == 'v0.2.0' else 'v0.2.0'}",
        "-e",
        "orbit_rs_allow_downgrade=true",
    )
    with deployed.start_playbook("-e", VARIABLES, *version, playbook="upgrade") as first:
        assert first.stdout is not None
        for line in first.stdout:
            if "restarts, 1 of 3" in line:
                break
        second = deployed.try_playbook("-e", VARIABLES, *version, playbook="upgrade")
        rest = first.stdout.read()
        first.wait()
    assert first.returncode == 0, rest
    assert second.returncode != 0
    assert re.search(r"Another run is at work on orbit-rs in namespace \S+: \S+@\S+, upgrade, since", second.stdout)
    holder = deployed.get("lease orbit-rs.orbit.rs")["spec"].get("holderIdentity")
    assert not holder, json.dumps(holder)
