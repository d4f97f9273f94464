# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from testbed import docker
from testbed.steps import Problem


def test_files_of_a_dead_daemon_are_removed(tmp_path: Path) -> None:
    for name in (*docker.STALE_PIDS, *docker.STALE_SOCKETS):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    for name in docker.STALE_PIDS:
        (tmp_path / name).write_text("999999999\n")
    for name in docker.STALE_SOCKETS:
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(tmp_path / name))
    docker.remove_stale(tmp_path)
    assert not [path for path in tmp_path.rglob("*") if not path.is_dir()]


def test_the_pid_of_another_program_counts_as_stale(tmp_path: Path) -> None:
    (tmp_path / "docker.pid").write_text(str(os.getpid()))
    docker.remove_stale(tmp_path)
    assert not (tmp_path / "docker.pid").exists()


def test_a_socket_on_which_somebody_listens_stays(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as alive:
        alive.bind(str(path))
        alive.listen()
        docker.remove_stale(tmp_path)
        assert path.exists()


def test_an_engine_that_somebody_else_chose_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(Problem) as caught:
        docker.ensure()
    assert "DOCKER_HOST" in caught.value.cause
