# SPDX-License-Identifier: GPL-3.0-or-later
"""The one cache of all clones: tools, artifacts keyed by what they are made from, and the state of the clusters."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from testbed.steps import Problem, say, step

GIB = 1 << 30


def root() -> Path:
    """The folder that holds everything."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "orbit-rs"


def tools() -> Path:
    """The folder of the programs for people and playbooks: kind, helm, kubectl."""
    return root() / "tools" / "bin"


def key(recipe: object) -> str:
    """A short name for the content of `recipe` (anything JSON can hold)."""
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:12]


def sources(*files: str | Path) -> str:
    """The key of program text: what a recipe in code was made from."""
    return key([Path(file).read_text() for file in files])


def artifact(name: str, recipe: object, build: Callable[[Path], None]) -> Path:
    """The folder `name-<key of recipe>`, made by `build` when it is not there. It appears whole or not at all."""
    folder = root() / "artifacts" / f"{name}-{key(recipe)}"
    if folder.exists():
        return folder
    with lock(folder.name):
        if not folder.exists():  # nobody else made it while this process waited
            part = folder.with_name(folder.name + ".part")
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            with step(f"make {name}"):
                build(part)
            part.replace(folder)
    return folder


def link_tool(binary: Path) -> None:
    """Offer `binary` in the folder of tools under its own name."""
    tools().mkdir(parents=True, exist_ok=True)
    link = tools() / binary.name
    part = link.with_name(f".{link.name}.{os.getpid()}")
    part.symlink_to(os.path.relpath(binary, tools()))
    part.replace(link)


def require_space(folder: Path, gib: float, purpose: str) -> None:
    """Raise Problem when the disk of `folder` has less than `gib` GiB free."""
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free / GIB
    if free < gib:
        raise Problem(
            f"{free:.1f} GiB free in {folder}",
            f"{purpose} needs {gib:.0f} GiB while it runs",
            "free some space (`df -h`), or move the cache: XDG_CACHE_HOME=/other/disk",
        )


@contextmanager
def lock(name: str, *, shared: bool = False) -> Iterator[None]:
    """Let one process in at a time, or several when all of them share. The lock of a killed process is free again."""
    mode = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    with _lock_file(name) as file:
        try:
            fcntl.flock(file, mode | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another run of the test bed to be done with {name}")
            fcntl.flock(file, mode)
        yield


def unless_used(name: str, action: Callable[[], None]) -> None:
    """Run `action` under the lock `name`, or not at all when somebody holds it."""
    with _lock_file(name) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        action()


def _lock_file(name: str) -> IO[str]:
    path = root() / "locks" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("a")
