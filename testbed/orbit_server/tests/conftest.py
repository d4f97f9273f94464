# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from testbed.orbit_server.tests.process import Server


@pytest.fixture(scope="module")
def make_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Server]]:
    made: list[Server] = []

    def make() -> Server:
        made.append(Server(tmp_path_factory.mktemp("server")))
        return made[-1]

    yield make
    for server in made:
        if server.process:
            server.process.kill()
            server.process.wait()


@pytest.fixture
def server(make_server: Callable[[], Server]) -> Server:
    """A server of its own for this test, not started."""
    return make_server()


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """Where a load notes its acknowledged writes."""
    return tmp_path / "record"
