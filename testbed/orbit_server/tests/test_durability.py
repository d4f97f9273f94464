# SPDX-License-Identifier: GPL-3.0-or-later
"""What was acknowledged is stored, whatever happens to the process; a backup is one sound moment of the database."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.orbit_server.load import Load, lost, read_record
from testbed.orbit_server.tests.process import REDIS_PORT, Server, command, environment


def write(server: Server, record: Path) -> Load:
    return Load(server.host, REDIS_PORT, record)


def wait_for_writes(load: Load, count: int) -> None:
    end = time.monotonic() + 20
    while load.acknowledged < count:
        assert time.monotonic() < end, f"too slow: {load}"
        time.sleep(0.01)


def test_sigterm_while_writing_loses_nothing(server: Server, record: Path) -> None:
    server.start()
    with write(server, record) as load:
        wait_for_writes(load, 300)
        assert server.stop() == 0
    assert not list(server.data_dir.glob("*-wal")), "the log was not written back"
    with server.start().redis() as client:
        assert client.dbsize() == load.acknowledged, "a write was stored, and its client was not told"
    assert lost(server.host, REDIS_PORT, record) == []
    assert server.metrics()["orbit_recovery_attempts_total"] == 0


def test_kill_while_writing_loses_nothing(server: Server, record: Path) -> None:
    for _ in range(3):
        server.start()
        with write(server, record) as load:
            wait_for_writes(load, 200)
            assert server.stop(signal.SIGKILL) == -signal.SIGKILL
    server.start()
    assert lost(server.host, REDIS_PORT, record) == []
    assert server.metrics()["orbit_recovery_completed_total"] == 1


def test_a_lost_write_is_found(server: Server, record: Path) -> None:
    """The control of the two tests above."""
    server.start()
    with write(server, record) as load:
        wait_for_writes(load, 20)
    key, _ = list(read_record(record))[7]
    with server.redis() as client:
        client.set(key, "another value")
        assert lost(server.host, REDIS_PORT, record) == [key]
        client.delete(key)
    assert lost(server.host, REDIS_PORT, record) == [key]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_very_last_write_is_kept(server: Server, number: signal.Signals) -> None:
    with server.start().redis() as client:
        client.set("a", "1")
    server.stop(number)
    with server.start().redis() as client:
        assert client.get("a") == "1"


def test_backup_under_load(server: Server, record: Path, tmp_path: Path) -> None:
    server.start()
    copies = [tmp_path / f"backup-{number}.db" for number in range(3)]
    before: list[dict[str, str]] = []
    with write(server, record) as load:
        for number, copy in enumerate(copies, 1):
            wait_for_writes(load, 150 * number)
            before.append(dict(read_record(record)))
            result = server.run("--backup", copy)
            assert result.returncode == 0, result.stderr
    acknowledged = dict(read_record(record))

    for copy, earlier in zip(copies, before, strict=True):
        assert copy.stat().st_mode & 0o777 == 0o600
        with contextlib.closing(sqlite3.connect(f"file:{copy}?mode=ro", uri=True)) as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            rows = {key.decode(): value.decode() for key, value in db.execute("SELECT key, value FROM kv")}
        assert rows == {key: acknowledged[key] for key in rows}, "a row has a value that was never written"
        assert rows.items() >= earlier.items(), "a write that was acknowledged before the backup is not in it"
        for writer in range(4):
            numbers = sorted(int(key.split(":")[3]) for key in rows if key.split(":")[2] == str(writer))
            assert numbers == list(range(len(numbers))), "the copy is not one moment"
    assert sorted(path.name for path in tmp_path.glob("backup*")) == [copy.name for copy in copies]


def test_a_backup_starts_a_server(make_server: Callable[[], Server]) -> None:
    server, restored = make_server().start(), make_server()
    with server.redis() as client:
        client.set("a", "1")
        restored.data_dir.mkdir()
        assert server.run("--backup", restored.data_dir / "orbit.db").returncode == 0
        client.set("a", "2")
    with restored.start().redis() as client:
        assert client.get("a") == "1"


def test_a_failed_backup_leaves_the_old_one(server: Server, tmp_path: Path) -> None:
    server.start()
    target = tmp_path / "backup.db"
    target.write_text("the old one")
    with server.redis() as client:
        client.set("big", "x" * 200_000)
    result = subprocess.run(
        command("--config", server.config, "--backup", target),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )
    assert result.returncode == 1
    assert f"to {target}" in result.stderr
    assert target.read_text() == "the old one"
    assert [path.name for path in tmp_path.iterdir()] == ["backup.db"]


def test_backup_says_why_it_cannot(server: Server, tmp_path: Path) -> None:
    result = server.run("--backup", tmp_path / "backup.db")
    assert (result.returncode, "no database to back up" in result.stderr) == (1, True)
    server.start()
    result = server.run("--backup", tmp_path / "nowhere" / "backup.db")
    assert (result.returncode, "No such file or directory" in result.stderr) == (1, True)


def test_a_damaged_database_is_refused(server: Server) -> None:
    server.data_dir.mkdir()
    (server.data_dir / "orbit.db").write_text("not a database" * 100)
    result = server.run()
    assert result.returncode == 1
    reason = f"{server.data_dir}/orbit.db: cannot be opened by user {os.getuid()}: file is not a database"
    assert result.stderr == f"error: {reason}\n"


def test_two_servers_cannot_share_an_address(server: Server) -> None:
    server.start()
    second = server.run()
    assert second.returncode == 1
    assert "address already in use" in second.stderr
    assert "Traceback" not in second.stderr
