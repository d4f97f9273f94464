# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""restic as a process, called here alone. Passwords and keys go by file and environment, never by argument."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

from ansible_collections.orbit.rs.plugins.plugin_utils import redact, tools
from ansible_collections.orbit.rs.plugins.plugin_utils.model import OrbitError

MINIMUM = "v0.17.0"  # older ones have no exit codes to tell the causes apart
BLOCK = 1 << 17
STOP_SECONDS = 60  # that restic has to give up by itself: killed outright, it leaves a lock
RETRY_LOCK = "5m"  # for another restic, such as a prune
RETRY_SECONDS = 120  # that restic may try again by itself; it would for a quarter of an hour, also what cannot succeed
QUIET_SECONDS = 90  # without a new attempt, until the earlier ones do not count any more

_RETRY = re.compile(r".*?returned error, retrying after [^:]*: (?P<why>.*)")
_HOPELESS = re.compile(
    r"signature|access ?denied|InvalidAccessKeyId|expired|no space left|quota|unauthorized|forbidden|\b40[13]\b",
    re.IGNORECASE,
)

NO_REPOSITORY, LOCKED, WRONG_PASSWORD, INCOMPLETE = 10, 11, 12, 3

# Another source of the password that the environment may name would contradict ours.
_FOREIGN = ("RESTIC_PASSWORD", "RESTIC_PASSWORD_COMMAND", "RESTIC_REPOSITORY_FILE")


class ResticError(OrbitError):
    """restic failed; `code` is its exit code."""

    def __init__(self, code: int, seen: str, remedy: str = "") -> None:
        super().__init__(seen, remedy)
        self.code = code


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """A snapshot as the repository lists it. Its tags are NAME=VALUE, or a NAME alone."""

    id: str
    time: str
    host: str
    tags: Mapping[str, str]
    original: str = ""  # its id in the repository that `restic copy` has brought it from

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> Snapshot:
        """Of restic's JSON."""
        pairs = (tag.partition("=") for tag in item.get("tags") or ())
        tags = {name: value for name, dummy, value in pairs}
        return cls(item["id"], item["time"], item.get("hostname", ""), tags, item.get("original", ""))


@dataclasses.dataclass(frozen=True)
class Restic:
    """A repository. `environment` has the keys of its storage; `password_file` is readable for this user alone."""

    command: str
    repository: str
    password_file: str
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)

    @property
    def shown(self) -> str:
        """Where it is, without user and password."""
        return redact.text(self.repository)

    def check_version(self, version: str) -> None:
        """Raise OrbitError for a restic that is too old."""
        if tools.numbers(version) < tools.numbers(MINIMUM):
            raise OrbitError(
                f"restic {version or 'of an unknown version'} is too old, it takes {MINIMUM} or newer.",
                "Let the role prerequisites find or fetch it, or put a newer one on the PATH.",
            )

    def _start(self, *arguments: str, **pipes: Any) -> subprocess.Popen[bytes]:
        env = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
        env |= self.environment
        env |= {"RESTIC_REPOSITORY": self.repository, "RESTIC_PASSWORD_FILE": self.password_file}
        env.setdefault("RESTIC_PROGRESS_FPS", "0.2")
        try:
            return subprocess.Popen([self.command, *arguments], env=env, **{"stdin": subprocess.DEVNULL, **pipes})
        except OSError as error:
            raise OrbitError(
                f"restic cannot be run: {error.strerror or error}.", "Let the role prerequisites find or fetch it."
            ) from error

    def _run(self, *arguments: str) -> str:
        with self._start(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            complaints = _Complaints(process)
            if not process.stdout:
                raise AssertionError
            said = process.stdout.read()
            code = process.wait()
            complaint = complaints.end()
        if code:
            raise self.error(code, complaint)
        return said.decode(errors="replace")

    def error(self, code: int, complaint: bytes) -> ResticError:
        """What an exit code means, and what to do about it."""
        where = self.shown
        known = {
            NO_REPOSITORY: (
                f"There is no backup repository at {where}.",
                "Correct orbit_rs_repository. The first backup makes a new one: ansible-playbook orbit.rs.backup",
            ),
            LOCKED: (
                f"The backup repository {where} is locked, and was not free after {RETRY_LOCK}.",
                "Somebody is at work on it. When nobody is, restic has left the lock: restic unlock, then run again.",
            ),
            WRONG_PASSWORD: (
                f"The password does not open the backup repository {where}.",
                "Correct what orbit_rs_repository_password_file, _secret or _command names.",
            ),
            INCOMPLETE: (f"restic could not read all of its input for {where}.", "Run again; nothing of it counts."),
        }
        if code in known:
            return ResticError(code, *known[code])
        said = _said(complaint) or ("it was stopped" if code < 0 else f"exit code {code}")
        return ResticError(
            code,
            f"The backup repository {where}: {said}",
            "Is its storage there, not full, and are its keys valid? Then run again.",
        )

    def create(self) -> None:
        """Make the repository. Raises ResticError."""
        self._run("init", "--json")

    def snapshots(self, *tags: str) -> list[Snapshot]:
        """The snapshots that have all these tags. Raises ResticError."""
        where = ["--tag", ",".join(tags)] if tags else []
        return [Snapshot.of(item) for item in json.loads(self._run("snapshots", "--json", "--no-lock", *where) or "[]")]

    def backup(self, path: str, host: str, tags: Mapping[str, str]) -> Writer:
        """Begin a snapshot of one file, whose content is then written. Raises OrbitError."""
        words = [word for name, value in tags.items() for word in ("--tag", f"{name}={value}" if value else name)]
        process = self._start(
            *("backup", "--json", "--retry-lock", RETRY_LOCK, "--stdin", "--stdin-filename", path, "--host", host),
            *words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        return Writer(self, process)

    def store(self, path: str, content: bytes, host: str, tags: Mapping[str, str]) -> str:
        """Store a small file; id of its snapshot. Raises OrbitError."""
        writer = self.backup(path, host, tags)
        try:
            writer.write(content)
            return writer.commit()
        finally:
            writer.abort()

    def dump(self, snapshot: str, path: str) -> Iterator[bytes]:
        """The content of a file, in blocks. Raises ResticError, also after the last block."""
        process = self._start("dump", "--no-lock", snapshot, path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        complaints = _Complaints(process)
        if not process.stdout:
            raise AssertionError
        try:
            while block := process.stdout.read(BLOCK):
                yield block
            code = process.wait()
        finally:
            process.stdout.close()
            _stop(process)
            said = complaints.end()
        if code:
            raise self.error(code, said)

    def read(self, snapshot: str, path: str) -> bytes:
        """The content of a small file. Raises ResticError."""
        return b"".join(self.dump(snapshot, path))

    def forget(self, snapshots: Sequence[str]) -> None:
        """Forget snapshots by their ids; what they hold goes with the next prune. Raises ResticError."""
        if snapshots:
            self._run("forget", "--json", "--retry-lock", RETRY_LOCK, *snapshots)

    def prune(self) -> None:
        """Remove what no snapshot holds any more. Raises ResticError."""
        self._run("prune", "--retry-lock", RETRY_LOCK)

    def unlock(self) -> None:
        """Remove locks whose restic is dead. Raises ResticError."""
        self._run("unlock")

    def key(self) -> str:
        """Id of the key that the password opens, "" when it opens none. Raises ResticError."""
        try:
            found = json.loads(self._run("key", "list", "--json", "--no-lock"))
        except ResticError as error:
            if error.code != WRONG_PASSWORD:
                raise
            return ""
        return next(str(item["id"]) for item in found if item["current"])

    def add_key(self, password_file: str) -> None:
        """Have one more password open the repository. Raises ResticError."""
        self._run("key", "add", "--retry-lock", RETRY_LOCK, "--new-password-file", password_file)

    def remove_key(self, key: str) -> None:
        """Remove a key, other than the own one, when nobody writes to the repository. Raises ResticError."""
        self._run("key", "remove", "--retry-lock", RETRY_LOCK, key)

    def check(self, subset: str = "") -> None:
        """Check the structure, and read a part of the data, such as "5%". Raises ResticError."""
        more = [f"--read-data-subset={subset}"] if subset else []
        self._run("check", "--json", "--retry-lock", RETRY_LOCK, *more)


class Writer:
    """A snapshot that is being written. It exists from commit() on; abort() leaves nothing, and is harmless after it.

    The end of the input is what makes restic save a snapshot, so that it must be stopped before its input is closed.
    """

    def __init__(self, restic: Restic, process: subprocess.Popen[bytes]) -> None:
        self._restic = restic
        self._process = process
        self._said: dict[str, Any] = {}
        self._complaints = _Complaints(process)
        if not process.stdin or not process.stdout:
            raise AssertionError
        self._input = process.stdin
        self._listener = threading.Thread(target=self._listen, args=(process.stdout,), daemon=True)
        self._listener.start()

    def _listen(self, output: IO[bytes]) -> None:
        with output:
            for line in output:
                with contextlib.suppress(ValueError):
                    found = json.loads(line)
                    if found.get("message_type") == "summary":
                        self._said = found

    def write(self, data: bytes) -> None:
        """Take more content. Raises ResticError when restic has ended."""
        try:
            self._input.write(data)
        except OSError as error:
            raise self._failure() from error

    def commit(self) -> str:
        """The content is complete: save it; id of the snapshot. Raises ResticError."""
        try:
            self._input.close()
        except OSError as error:
            raise self._failure() from error
        complaint = self._wait()
        if self._process.returncode or not self._said.get("snapshot_id"):
            raise self._restic.error(self._process.returncode, complaint)
        return str(self._said["snapshot_id"])

    def abort(self) -> None:
        """The content is not complete: leave nothing."""
        _stop(self._process)
        with contextlib.suppress(OSError):
            self._input.close()
        self._wait()

    def _failure(self) -> ResticError:
        complaint = self._wait()
        return self._restic.error(self._process.returncode or 1, complaint)

    def _wait(self) -> bytes:
        self._process.wait()
        self._listener.join()
        return self._complaints.end()


class _Complaints(threading.Thread):
    """What a restic complains about. One that tries again and again what cannot succeed is ended."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        super().__init__(daemon=True)
        self._process = process
        self._kept: list[bytes] = []
        if not process.stderr:
            raise AssertionError
        self._errors = process.stderr
        self.start()

    def run(self) -> None:
        """Read to the end."""
        first = last = 0.0
        with self._errors:
            for line in self._errors:
                self._kept = [*self._kept[-20:], line[:2000]]
                found = _RETRY.match(line.decode(errors="replace"))
                if not found:
                    continue
                now = time.monotonic()
                first = now if now - last > QUIET_SECONDS else first
                last = now
                if now - first > RETRY_SECONDS or _HOPELESS.search(found["why"]):
                    self._kept = [line[:2000]]
                    self._process.terminate()
                    break
            for dummy in self._errors:  # that it can end
                pass

    def end(self) -> bytes:
        """All that is worth to be told, when restic has ended."""
        self.join()
        return b"".join(self._kept)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End restic, gently: it then removes its lock and saves nothing."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _said(complaint: bytes) -> str:
    """The last thing that restic complains about, in a sentence without secrets."""
    lines = [line.strip() for line in complaint.decode(errors="replace").splitlines() if line.strip()]
    texts = []
    for line in lines:
        with contextlib.suppress(ValueError, AttributeError):
            found = json.loads(line)
            line = str(found.get("message") or (found.get("error") or {}).get("message") or line)
        if tried := _RETRY.match(line):
            line = tried["why"]
        texts.append(line.removeprefix("Fatal: "))
    return redact.text("; ".join(texts[-3:]))[:1000]
