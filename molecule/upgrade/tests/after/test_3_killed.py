# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs that are killed, at a moment that a seed decides."""

import os
import random
import time

import pytest

SEED = int(os.environ.get("ORBIT_RS_SEED", "1"))
VARIABLES = "@molecule/upgrade/vars/upgrade.yml"


def killed(deployed, seconds, *more):
    """Start an upgrade, and kill it, with all its children, some seconds after it has taken the lock."""
    with deployed.start_playbook("-e", VARIABLES, *more, playbook="upgrade") as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "To allow this plan" in line:
                break
        time.sleep(seconds)
        return deployed.kill(process)


@pytest.mark.parametrize(
    "number", [pytest.param(number, marks=pytest.mark.soak if number else ()) for number in range(10)]
)
def test_a_run_that_was_killed_is_finished_by_the_next(deployed, clients, number):
    """At a moment of its own, and with every other one the next run goes back instead of on."""
    now = deployed.versions()[0]
    then = "v0.1.0" if now == "v0.2.0" else "v0.2.0"
    seconds = random.Random(SEED + number).uniform(0.5, 40)
    interrupted = "revert" if number % 2 else "resume"
    version = ("-e", f"orbit_rs_version={then}", "-e", "orbit_rs_allow_downgrade=true")
    print(f"killed {seconds:.1f} s after the plan:\n{killed(deployed, seconds, *version)}")
    # The lock of the dead run expires after half a minute.
    then_on = ("-e", f"orbit_rs_interrupted={interrupted}", "-e", "orbit_rs_lock_timeout=60")
    ended = deployed.try_playbook("-e", VARIABLES, *version, *then_on, playbook="upgrade")
    if interrupted == "resume" or "Rolled back" not in ended.stdout:
        assert ended.returncode == 0, ended.stdout
        assert deployed.versions() == [then] * 3
    else:
        assert deployed.versions() == [now] * 3
    statefulset = deployed.get("statefulset orbit-server")
    assert not statefulset["spec"]["updateStrategy"]["rollingUpdate"].get("partition")
    assert "orbit.rs/unfinished" not in deployed.get("lease orbit-rs.orbit.rs")["metadata"]["annotations"]
    clients.nothing_is_lost()
