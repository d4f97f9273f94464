# SPDX-License-Identifier: GPL-3.0-or-later
"""What breaks a stream in its middle leaves no set, no lock and no stopped ordinal, and says what has happened."""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from molecule.conftest import COUNT, family

MEGABYTES = 150  # enough to be in the middle of it
pytestmark = pytest.mark.soak


@pytest.fixture(scope="module", autouse=True)
def loaded(deployed):
    """Have so much data that a stream takes seconds."""
    with deployed.redis(0) as redis:
        for number in range(MEGABYTES):
            redis.set(f"load:{number}", os.urandom(500_000).hex())
    yield
    with deployed.redis(0) as redis:
        for number in range(MEGABYTES):
            redis.delete(f"load:{number}")


def size(folder):
    return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())


def interrupted(backups, deployed, fault, **variables):
    """Take a set, do something when some of it is in the repository, and give what was said."""
    before = size(backups.folder / "repository") if (backups.folder / "repository").exists() else 0
    with deployed.start_playbook(*backups.arguments(**variables), playbook="backup") as process:
        while process.poll() is None:
            with contextlib.suppress(OSError):
                if size(backups.folder / "repository") > before + 20_000_000:
                    fault(process)
                    break
            time.sleep(0.02)
        output, _ = process.communicate()
    assert process.returncode, output
    return " ".join(output.split())


def clean(backups, deployed, before):
    """Nothing is visible, nothing is locked, every ordinal serves; and the next run takes a whole set."""
    assert backups.sets() == before
    assert backups.locks() == []
    deployed.wait_ready()
    lease = deployed.get("lease orbit-rs.orbit.rs")
    assert not lease["spec"].get("holderIdentity") and "orbit.rs/unfinished" not in lease["metadata"]["annotations"]
    taken = backups.take()
    backups.run("verify", orbit_rs_set=taken)


@pytest.mark.parametrize("method", ["application", "cold"])
def test_a_pod_that_is_gone(backups, deployed, method):
    taken = backups.take()
    # So that it is not only deduplicated.
    with deployed.redis(0) as redis:
        for number in range(MEGABYTES):
            redis.set(f"load:{number}", os.urandom(500_000).hex())
    before = backups.sets()
    assert before[0] == taken
    pod = "orbit-server-0" if method == "application" else "orbit-server-0-volume"
    said = interrupted(
        backups,
        deployed,
        lambda _: deployed.kubectl(f"delete pod {pod} --grace-period=0 --force"),
        orbit_rs_backup_method=method,
    )
    assert pod in said
    clean(backups, deployed, before)


def test_an_api_connection_that_is_lost(backups, deployed):
    backups.take()
    with deployed.redis(0) as redis:
        for number in range(MEGABYTES):
            redis.set(f"load:{number}", os.urandom(500_000).hex())
    before = backups.sets()

    def cut(process):
        for number in family(process.pid):
            line = Path(f"/proc/{number}/cmdline").read_bytes()
            if b"proxy" in line and b"kubectl" in line.split(b"\0")[0]:
                os.kill(number, signal.SIGKILL)

    said = interrupted(backups, deployed, cut)
    assert "the connection broke" in said or "No answer from the API server" in said
    # Its lock could not be given back, and expires.
    backups.run("backup")
    assert len(backups.sets()) == len(before) + 1


@pytest.mark.skipif(os.geteuid() != 0, reason="a file system can be mounted by root alone")
def test_a_repository_that_is_full(backups, deployed, tmp_path):
    full = tmp_path / "full"
    full.mkdir()
    subprocess.run(("mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", full), check=True)
    try:
        started = time.monotonic()
        said = backups.run("backup", good=False, orbit_rs_repository=str(full / "repository"))
        assert "no space left on device" in said
        assert time.monotonic() - started < 120
        assert len(deployed.pods()) == COUNT
    finally:
        subprocess.run(("umount", full), check=True)
