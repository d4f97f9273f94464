# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Command line tools: the ones that are there when they are good enough, else pinned downloads."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import platform
import re
import shutil
import subprocess
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from ansible_collections.orbit.rs.plugins.plugin_utils.model import OrbitError

VERSION_SECONDS = 20
DOWNLOAD_SECONDS = 60  # without a byte
BLOCK = 1 << 18

# How a tool is asked for its version, if not by --version.
_ASK = {
    "kubectl": ("version", "--client"),
    "helm": ("version", "--short"),
    "restic": ("version",),
    "kind": ("version",),
}

_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


@dataclasses.dataclass(frozen=True)
class Tool:
    """A tool that is needed. In url, checksum and member, {version}, {os} and {arch} are filled in."""

    name: str
    version: str  # that is downloaded: "v4.3.1"
    minimum: str = ""  # that is kept when it is there; empty: version
    url: str = ""
    checksum: str = ""  # SHA-256 in hex, or the URL of a file that begins with it
    member: str = ""  # path of the command in the archive; empty: the download is the command


@dataclasses.dataclass(frozen=True)
class Found:
    """A tool that is there."""

    path: str
    version: str


def numbers(version: str) -> tuple[int, ...]:
    """A version as numbers that compare: "v1.37.2-rc.1" is (1, 37, 2)."""
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", version)
    return tuple(int(part or 0) for part in found.groups()) if found else ()


def find(tool: Tool, bin_dir: Path) -> Found | None:
    """The tool in `bin_dir`, else on the PATH, if it runs and is new enough."""
    minimum = numbers(tool.minimum or tool.version)
    candidates = [str(bin_dir / tool.name), shutil.which(tool.name)]
    for path in candidates:
        if path and os.access(path, os.X_OK):
            version = _version(tool.name, path)
            if version and numbers(version) >= minimum:
                return Found(path, version)
    return None


def download(tool: Tool, bin_dir: Path, mirror: str, progress: Callable[[str], None]) -> Found:
    """Download the tool into `bin_dir`, whole or not at all. Raises OrbitError, also for a wrong checksum.

    `mirror` stands in for scheme and host of every URL.
    """
    wanted = _checksum(tool, mirror)
    bin_dir.mkdir(parents=True, exist_ok=True)
    # Beside its final place, so that it can be renamed.
    with tempfile.TemporaryDirectory(prefix=f".{tool.name}-", dir=bin_dir) as scratch:
        archive = Path(scratch) / "download"
        url = _url(tool, tool.url, mirror)
        found = _fetch(url, archive, lambda text: progress(f"{tool.name} {tool.version}: {text}"))
        if found != wanted:
            raise OrbitError(
                f"The download of {tool.name} {tool.version} has another SHA-256 than it should: {found}, not {wanted}."
                f" It came from {url} and was not kept.",
                "Correct checksum or url in orbit_rs_tools, or ask who runs the mirror.",
            )
        command = Path(scratch) / tool.name
        if tool.member:
            _extract(archive, _fill(tool, tool.member), command)
        else:
            archive.rename(command)
        command.chmod(0o755)
        version = _version(tool.name, str(command))
        if not version:
            raise OrbitError(
                f"The downloaded {tool.name} does not run on this machine ({_fill(tool, '{os}-{arch}')}).",
                "Correct url or member in orbit_rs_tools.",
            )
        command.rename(bin_dir / tool.name)
    return Found(str(bin_dir / tool.name), version)


def _version(name: str, path: str) -> str:
    """Version that a tool says it has; empty when it does not run."""
    try:
        done = subprocess.run(
            [path, *_ASK.get(name, ("--version",))],
            capture_output=True,
            text=True,
            timeout=VERSION_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    found = re.search(r"v?(\d+\.\d+(?:\.\d+)?[0-9A-Za-z.-]*)", done.stdout)
    return f"v{found[1]}" if found else ""


def _fill(tool: Tool, text: str) -> str:
    machine = platform.machine().lower()
    return text.format(version=tool.version, os=platform.system().lower(), arch=_MACHINES.get(machine, machine))


def _url(tool: Tool, url: str, mirror: str) -> str:
    url = _fill(tool, url)
    if not mirror:
        return url
    parts = urlsplit(url)
    return mirror.rstrip("/") + parts.path + (f"?{parts.query}" if parts.query else "")


def _checksum(tool: Tool, mirror: str) -> str:
    if not tool.url or not tool.checksum:
        raise OrbitError(
            f"{tool.name} {tool.minimum or tool.version} or newer is not on the PATH, and orbit_rs_tools does not say"
            " where to get it and which checksum it has.",
            f"Install {tool.name}, or set url and checksum.",
        )
    text = tool.checksum
    if "://" in text:
        with _open(_url(tool, text, mirror)) as answer:
            text = answer.read(1000).decode(errors="replace")
    found = re.match(r"\s*(?:sha256:)?([0-9a-fA-F]{64})\b", text)
    if not found:
        raise OrbitError(
            f"The checksum of {tool.name} is not a SHA-256: {text[:80]!r}.", "Correct checksum in orbit_rs_tools."
        )
    return found[1].lower()


@contextlib.contextmanager
def _open(url: str) -> Iterator[IO[bytes]]:
    from ansible.module_utils.urls import open_url

    if urlsplit(url).scheme not in ("http", "https"):
        raise OrbitError(f"{url} is not an http or https URL.", "Correct orbit_rs_mirror or orbit_rs_tools.")
    try:
        with open_url(url, timeout=DOWNLOAD_SECONDS) as answer:
            yield answer
    except OSError as error:
        raise OrbitError(
            f"{url} cannot be downloaded: {getattr(error, 'reason', '') or error}.",
            "Install the tool yourself, or name a mirror that this machine reaches in orbit_rs_mirror.",
        ) from error


def _fetch(url: str, target: Path, progress: Callable[[str], None]) -> str:
    """Download to a file; SHA-256 of what came."""
    digest = hashlib.sha256()
    progress(f"downloading {url}")
    said = time.monotonic()
    with _open(url) as answer, target.open("wb") as file:
        while block := answer.read(BLOCK):
            digest.update(block)
            file.write(block)
            if time.monotonic() - said >= 3:
                said = time.monotonic()
                progress(f"{file.tell() >> 20} MiB")
    return digest.hexdigest()


def _extract(archive: Path, member: str, target: Path) -> None:
    """Copy one file out of a tar or zip archive; nothing else of it touches the disk."""
    try:
        with contextlib.ExitStack() as stack:
            content: IO[bytes] | None
            if zipfile.is_zipfile(archive):
                content = stack.enter_context(stack.enter_context(zipfile.ZipFile(archive)).open(member))
            else:
                content = stack.enter_context(tarfile.open(archive)).extractfile(member)
            if content is None:
                raise KeyError(member)
            with target.open("wb") as file:
                shutil.copyfileobj(content, file)
    except (KeyError, tarfile.TarError) as error:
        raise OrbitError(
            f"The archive holds no file {member}: {error}.", "Correct member in orbit_rs_tools."
        ) from error
