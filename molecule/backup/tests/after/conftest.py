# SPDX-License-Identifier: GPL-3.0-or-later
"""Repositories on this machine, a release with clients at work, and what a set must hold of their writes."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import secrets
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.orbit.rs.plugins.plugin_utils import sets
from ansible_collections.orbit.rs.plugins.plugin_utils.restic import Restic
from ansible_collections.orbit.rs.plugins.plugin_utils.tarstream import Parser

from molecule.conftest import Clients, Deployed
from testbed import extras

COUNT = 2  # ordinals
PASSWORD = f"password-{secrets.token_hex(8)}"
KEY = f"key-{secrets.token_hex(8)}"
VARIABLES = ("-e", "@molecule/scale/vars/scale.yml")


@dataclasses.dataclass
class Backups:
    """A repository, and the playbooks on it."""

    deployed: Deployed
    folder: Path
    variables: dict[str, Any]

    def run(self, playbook: str, *more: str, good: bool = True, **variables: Any) -> str:
        """Run a playbook; its output with single blanks. `good`: whether it has to succeed."""
        ended = self.deployed.try_playbook(*self.arguments(*more, **variables), playbook=playbook)
        assert (ended.returncode == 0) is good, ended.stdout
        assert PASSWORD not in ended.stdout and KEY not in ended.stdout
        return " ".join(ended.stdout.split())

    def arguments(self, *more: str, **variables: Any) -> Sequence[str]:
        """The arguments of a playbook. What is secret goes by a file."""
        file = self.folder / "variables.json"
        file.touch(0o600)
        file.write_text(json.dumps({**self.variables, **variables}))
        return (*VARIABLES, "-e", f"@{file}", *more)

    def take(self, **variables: Any) -> str:
        """Take a set; its id."""
        found = re.search(r"Set (\d{8}T\d{6}Z): ", self.run("backup", **variables))
        assert found
        return found[1]

    def sets(self) -> list[str]:
        """The ids of all sets, the newest first."""
        return re.findall(r"\b\d{8}T\d{6}Z\b", self.run("sets"))

    def restic(self, *arguments: str) -> Any:
        """What restic itself says, as JSON."""
        env = {**os.environ, "RESTIC_PASSWORD": PASSWORD, "RESTIC_REPOSITORY": str(self.folder / "repository")}
        command = (str(extras.restic()), *arguments, "--json", "--no-lock")
        return json.loads(subprocess.run(command, env=env, check=True, capture_output=True).stdout)

    def forge(self, data: bytes | None = None, text: str = "", **changes: Any) -> str:
        """Write a set like the oldest one, with other data, other facts, or what is no manifest; its id."""
        restic = Restic(str(extras.restic()), str(self.folder / "repository"), str(self.folder / "password"))
        name = "molecule-backup.orbit-rs"
        known, _ = sets.listed(restic.snapshots(f"cl={name}"))
        model = sets.manifest(restic, [item for item in known if item.kind == "backup"][-1], name)
        forged = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(max(time.time(), known[0].time.timestamp() + 1)))
        parts = {}
        for ordinal, part in model.parts.items():
            content = data or restic.read(part.snapshot, sets.DATA)
            parser = Parser()
            parser.feed(content)
            tags = sets.tags(name, forged, part="data", ordinal=ordinal)
            snapshot = restic.store(sets.DATA, content, name, tags)
            parts[ordinal] = dataclasses.replace(part, snapshot=snapshot, bytes=parser.bytes, files=parser.files)
        made = dataclasses.replace(model, **{"set": forged, "parts": parts, **changes})
        restic.store(
            sets.MANIFEST, (text or made.text()).encode(), name, sets.tags(name, forged, kind="backup", complete="")
        )
        return forged

    def locks(self) -> list[str]:
        """Locks that are left in the repository."""
        return [path.name for path in (self.folder / "repository" / "locks").iterdir()]


@pytest.fixture(scope="session", autouse=True)
def tools() -> None:
    """Have the restic of the test bed on the PATH."""
    os.environ["PATH"] = f"{extras.restic().parent}{os.pathsep}{os.environ['PATH']}"


@pytest.fixture(scope="module")
def backups(deployed: Deployed, tmp_path_factory: pytest.TempPathFactory) -> Backups:
    """A repository in a folder, with its password in a file."""
    folder = tmp_path_factory.mktemp("backups")
    (folder / "password").touch(0o600)
    (folder / "password").write_text(PASSWORD)
    where = {
        "orbit_rs_repository": str(folder / "repository"),
        "orbit_rs_repository_password_file": str(folder / "password"),
    }
    return Backups(deployed, folder, where)


@pytest.fixture(scope="module")
def clients(deployed: Deployed) -> Iterator[Clients]:
    """Have clients at work for all tests of a file, on ordinals that have none of their keys."""
    for ordinal in range(COUNT):
        with deployed.redis(ordinal) as redis:
            redis.flushall()
    with deployed.clients(COUNT) as clients:
        files = " ".join(f"/tmp/acknowledged-{ordinal}" for ordinal in range(COUNT))
        deployed.kubectl(f"exec clients -- sh -c 'until cat {files} > /dev/null 2>&1; do sleep 0.2; done; sleep 2'")
        yield clients


@contextlib.contextmanager
def watched_arguments() -> Iterator[set[str]]:
    """Collect the command lines of this machine, as everybody on it can."""
    seen: set[str] = set()
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.02):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    seen.add(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


@contextlib.contextmanager
def server(*command: str | Path, port: int, **env: str) -> Iterator[None]:
    """Run a server of this machine until the end of `with`."""
    with subprocess.Popen(tuple(map(str, command)), env={**os.environ, **env}, stdout=subprocess.DEVNULL) as process:
        try:
            for _ in range(100):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.1)
            yield
        finally:
            process.terminate()


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def present(deployed: Deployed, ordinal: int, numbers: Sequence[int]) -> list[int]:
    """Which writes of the clients an ordinal has, with their values."""
    with deployed.redis(ordinal) as redis, redis.pipeline(transaction=False) as asked:
        for number in numbers:
            asked.get(f"clients:{ordinal}:{number}")
        answers = asked.execute()
    return [number for number, value in zip(numbers, answers, strict=True) if value == f"value {number}"]


def expire(deployed: Deployed, namespace: str = "") -> None:
    """Have the lock of a killed run expire now, instead of in half a minute."""
    past = {"spec": {"renewTime": "2020-01-01T00:00:00.000000Z"}}
    where = f"--namespace {namespace}" if namespace else ""
    deployed.kubectl(f"patch lease {deployed.release}.orbit.rs {where} --type merge --patch '{json.dumps(past)}'")


def kill(process: subprocess.Popen[str], until: str, seconds: float = 0) -> str:
    """Kill a playbook, with all its children, some seconds after it has said something; what it said."""
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if until in line:
            break
    time.sleep(seconds)
    return "".join((*said, Deployed.kill(process)))
