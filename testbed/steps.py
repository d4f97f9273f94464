# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps, commands and problems: how the test bed says what it does, how long it took and what is wrong."""

from __future__ import annotations

import ctypes
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

HEARTBEAT = 10.0  # seconds of silence before a step says that it is still there
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class Problem(Exception):
    """A failure that a person can act on: what was seen, the likely cause, what to do."""

    def __init__(self, seen: str, cause: str, remedy: str) -> None:
        super().__init__(seen)
        self.seen = seen
        self.cause = cause
        self.remedy = remedy


# What commands print when they fail, the cause, and the way out. The first match counts.
SIGNATURES: Sequence[tuple[tuple[str, ...], str, str]] = (
    (
        ("no space left on device", "disk quota exceeded", "enough free space"),
        "the disk is full",
        "free some space (`df -h`), or move the cache: XDG_CACHE_HOME=/other/disk; then run the same command again",
    ),
    (
        ("module version is not available", "unknown revision", "410 gone", "invalid version", "checksum mismatch"),
        "the Go module proxy does not serve this version of the module, and that is final",
        "take another version in testbed/versions.py, or set GOPROXY to a proxy that has it",
    ),
    (
        ("running go 1.", "invalid go version", "unknown directive: godebug"),
        "this Go is older than the module asks for",
        "install a newer Go (go.mod of the module names it) and put it first on the PATH",
    ),
    (
        ("port is already allocated", "address already in use"),
        "another process holds a port that the cluster uses",
        "find it with `ss -ltnp` and stop it, or make the cluster anew: `python -m testbed down`, then `up`",
    ),
    (
        ("no such host", "temporary failure resolving", "could not resolve", "network is unreachable", "i/o timeout"),
        "a package registry cannot be reached from here",
        "check the network, GOPROXY and the apt sources of this machine, then run the same command again",
    ),
    (
        ("too many open files",),
        "a kernel limit is too low for so many clusters",
        "remove a cluster, or raise fs.inotify.max_user_instances with sysctl",
    ),
    (
        ("permission denied", "operation not permitted", "are you root"),
        "this user may not do that",
        "run the same command as root",
    ),
    (
        ("could not get lock", "unable to acquire the dpkg"),
        "another package manager is running",
        "wait until it is done, then run the same command again",
    ),
    (
        ("cannot connect to the docker daemon", "is the docker daemon running"),
        "the docker daemon is gone",
        "run `python -m testbed up` again: it starts the daemon",
    ),
)


def explain(output: str) -> tuple[str, str]:
    """The likely cause of a command's failure and what to do about it."""
    text = output.lower()
    for marks, cause, remedy in SIGNATURES:
        if any(mark in text for mark in marks):
            return cause, remedy
    return "see the last lines above", "run the same command again; finished steps are kept and not repeated"


class _Progress:
    """What the running step is doing right now; read by its heartbeat."""

    last_line = ""


def say(text: str) -> None:
    """Print at once, also through a pipe."""
    print(text, flush=True)


@contextmanager
def step(title: str) -> Iterator[None]:
    """Announce a step, report every ten seconds that it lives, and say how long it took."""
    say(f"{title} ...")
    started = time.monotonic()
    done = threading.Event()
    _Progress.last_line = ""

    def heartbeat() -> None:
        while not done.wait(HEARTBEAT):
            say(f"  {time.monotonic() - started:4.0f} s  {_Progress.last_line[:100]}".rstrip())

    beat = threading.Thread(target=heartbeat, daemon=True)
    beat.start()
    try:
        yield
    except Problem as problem:
        problem.add_note(f"{title}: failed after {time.monotonic() - started:.1f} s")
        raise
    finally:
        done.set()
        beat.join()
    say(f"  done in {time.monotonic() - started:.1f} s")


def have(command: str) -> bool:
    """Whether a command is on the PATH."""
    return shutil.which(command) is not None


def _die_with_parent() -> None:
    """Runs in the child: a killed test bed must not leave a command behind that goes on changing things."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def run(
    *argv: str | Path,
    stdin: str | Path | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float | None = None,
) -> str:
    """Run a command and return what it printed on stdout.

    `stdin` is a text or a file. `timeout` is in seconds; after it the command is killed. Raises Problem when the
    command fails or is missing.
    """
    command = [str(word) for word in argv]
    output: list[str] = []
    tail: deque[str] = deque(maxlen=15)
    with tempfile.TemporaryFile() as feed:
        if isinstance(stdin, str):
            feed.write(stdin.encode())
            feed.seek(0)
        source = stdin.open("rb") if isinstance(stdin, Path) else feed
        try:
            process = subprocess.Popen(
                command,
                stdin=source,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, **(env or {})},
                cwd=cwd,
                text=True,
                errors="replace",
                preexec_fn=_die_with_parent,
            )
        except FileNotFoundError:
            missing = f"{command[0]}: command not found"
            raise Problem(missing, "it is not installed", f"install {command[0]} and put it on the PATH") from None
        finally:
            if source is not feed:
                source.close()

    def follow(stream: IO[str] | None, keep: Callable[[str], object]) -> None:
        for line in stream or ():
            keep(line)
            if not line.startswith("{") and any(letter.isalpha() for letter in line):
                _Progress.last_line = line.strip()

    follower = threading.Thread(target=follow, args=(process.stderr, tail.append), daemon=True)
    follower.start()
    killer = threading.Timer(timeout, process.kill) if timeout else None
    if killer:
        killer.start()
    try:
        follow(process.stdout, output.append)
        code = process.wait()
        follower.join()
    finally:
        if killer:
            killer.cancel()
        if process.poll() is None:
            process.kill()
            process.wait()
    if code:
        shown = "".join(tail or output[-15:]).rstrip()
        cause, remedy = explain(shown)
        raise Problem(f"`{shlex.join(command)[:300]}` ended with {code}:\n{shown}", cause, remedy)
    return "".join(output)


def succeeds(*argv: str | Path, timeout: float | None = None) -> bool:
    """Whether a command ends with 0."""
    try:
        run(*argv, timeout=timeout)
    except Problem:
        return False
    return True


def wait_for(missing: Callable[[], str], timeout: float, remedy: str) -> None:
    """Wait until `missing` names nothing any more, at most `timeout` seconds."""
    end = time.monotonic() + timeout
    while what := missing():
        if time.monotonic() > end:
            raise Problem(f"after {timeout:.0f} s: {what}", "the machine is too slow, or a component fails", remedy)
        _Progress.last_line = what
        time.sleep(0.5)
