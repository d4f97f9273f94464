# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs that are killed, and two at once. By hand on a converged scenario: they take long, and a seed decides when.

MOLECULE_SCENARIO_NAME=upgrade pytest molecule/upgrade/soak
"""

import json
import os
import random
import re
import signal
import subprocess
import time

import pytest

VARIABLES = "@molecule/upgrade/vars/upgrade.yml"


@pytest.fixture(scope="module")
def clients(deployed):
    with deployed.clients() as clients:
        yield clients


def images(deployed):
    return [pod["spec"]["containers"][0]["image"].rpartition(":")[2] for pod in deployed.pods()]


def start(deployed, *more):
    """Start an upgrade as the leader of a process group of its own."""
    command = ("ansible-playbook", "-i", "inventories/kind", "playbooks/upgrade.yml", "-e", VARIABLES)
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "MOLECULE_"))}
    return subprocess.Popen(
        (*command, "-e", f"orbit_rs_namespace={deployed.namespace}", *more),
        env=ours,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    )


def killed(deployed, seconds, *more):
    """Start an upgrade, and kill it, with all its children, some seconds after it has taken the lock."""
    with start(deployed, *more) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "To allow this plan" in line:
                break
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGKILL)
        process.stdout.read()


@pytest.mark.parametrize("interrupted", ["resume", "revert"])
def test_a_run_that_was_killed_is_finished_by_the_next(deployed, clients, interrupted):
    now = images(deployed)[0]
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
        assert images(deployed) == [then] * 3
    else:
        assert images(deployed) == [now] * 3
    statefulset = deployed.get("statefulset orbit-server")
    assert not statefulset["spec"]["updateStrategy"]["rollingUpdate"].get("partition")
    assert "orbit.rs/unfinished" not in deployed.get("lease orbit-rs.orbit.rs")["metadata"]["annotations"]
    clients.nothing_is_lost()


def test_of_two_runs_one_works_and_the_other_names_it(deployed):
    now = images(deployed)[0]
    version = (
        "-e",
        f"orbit_rs_version={'v0.1.0' if now == 'v0.2.0' else 'v0.2.0'}",
        "-e",
        "orbit_rs_allow_downgrade=true",
    )
    with start(deployed, *version) as first:
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
