# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Command line tools: the ones that are there when they are good enough, else pinned downloads."""

from __future__ import annotations

import bz2
import contextlib
import dataclasses
import fcntl
import gzip
import hashlib
import http.client
import json
import os
import platform
import re
import shutil
import subprocess
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, cast
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
    """A tool that is needed. In url and member, {version}, {number} (without the v), {os} and {arch} are filled in."""

    name: str
    version: str  # that is downloaded: "v4.3.0"
    minimum: str = ""  # that is kept when it is there; empty: version
    url: str = ""
    checksums: Mapping[str, str] = dataclasses.field(default_factory=dict)  # SHA-256 of the download by os-arch
    member: str = ""  # path of the command in the archive; empty: the download is the command, packed or not


@dataclasses.dataclass(frozen=True)
class Found:
    """A tool that is there."""

    path: str
    version: str


def numbers(version: str) -> tuple[int, ...]:
    """A version as numbers that compare: "v1.37.2-rc.1" is (1, 37, 2)."""
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", version)
    return tuple(int(part or 0) for part in found.groups()) if found else ()


def select(known: Sequence[Tool], names: Iterable[str]) -> list[Tool]:
    """The tools of these names. Raises OrbitError for one that is not known."""
    tools = {tool.name: tool for tool in known}
    for name in names:
        if name not in tools:
            raise OrbitError(
                f"The tool {name} is wanted, and orbit_rs_tools does not describe it.",
                f"Add it to orbit_rs_tools; described are: {', '.join(tools) or 'none'}.",
            )
    return [tools[name] for name in dict.fromkeys(names)]


def find(tool: Tool, bin_dir: Path) -> Found | None:
    """The tool in `bin_dir`, else on the PATH, if it runs and is new enough."""
    minimum = numbers(tool.minimum or tool.version)
    candidates = [str(bin_dir / tool.name), shutil.which(tool.name)]
    for path in candidates:
        if path and os.access(path, os.X_OK):
            version = _known_version(tool.name, Path(path))
            if version and numbers(version) >= minimum:
                return Found(path, version)
    return None


def download(tool: Tool, bin_dir: Path, mirror: str, progress: Callable[[str], None]) -> Found:
    """Download the tool into `bin_dir`, whole or not at all. Raises OrbitError, also for a wrong checksum.

    `mirror` stands in for scheme and host of every URL.
    """
    wanted = _checksum(tool)
    url = _url(tool, mirror)
    try:
        bin_dir.mkdir(parents=True, exist_ok=True)
        # Beside its final place, so that it can be renamed.
        with tempfile.TemporaryDirectory(prefix=f".{tool.name}-", dir=bin_dir) as scratch:
            archive, command = Path(scratch) / "download", Path(scratch) / tool.name
            found = _fetch(url, archive, lambda text: progress(f"{tool.name} {tool.version}: {text}"))
            if found != wanted:
                raise OrbitError(
                    f"The download of {tool.name} {tool.version} has another SHA-256 than it should: {found}, not "
                    f"{wanted}. It came from {_shown(url)} and was not kept.",
                    f"Correct checksums.{_platform()} or url in orbit_rs_tools, or ask who runs the mirror.",
                )
            _unpack(archive, _fill(tool, tool.member), command)
            command.chmod(0o755)
            version = _version(tool.name, str(command))
            if not version:
                raise OrbitError(
                    f"The downloaded {tool.name} does not run on this machine ({_platform()}).",
                    "Correct url or member in orbit_rs_tools.",
                )
            command.rename(bin_dir / tool.name)
    except OSError as error:
        raise OrbitError(
            f"{tool.name} cannot be put into {bin_dir}: {error.strerror or error}.",
            "Choose another folder as orbit_rs_bin_dir.",
        ) from error
    return Found(str(bin_dir / tool.name), version)


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Let one process of this user in at a time: what one has fetched, the next one finds."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # without the folder nobody waits; each download is whole all the same
            file = cache_file().with_name("lock")
            file.parent.mkdir(parents=True, exist_ok=True)
            fcntl.flock(stack.enter_context(file.open("a")), fcntl.LOCK_EX)
        yield


def cache_folder() -> Path:
    """The folder for what only saves time."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "orbit-rs-collection"


def cache_file() -> Path:
    """Where it is remembered which version a tool has said it has."""
    return cache_folder() / "tools.json"


def _known_version(name: str, path: Path) -> str:
    """Version of a tool: as remembered when the file is still the same one, else as the tool itself says.

    A script, and a file of another name (a shim of a version manager), can stand for another version tomorrow: those
    are asked each time.
    """
    try:
        file = path.resolve()
        stat = file.stat()
        with file.open("rb") as opened:
            stable = file.name.startswith(name) and opened.read(2) != b"#!"
    except OSError:
        stable = False
    if not stable:
        return _version(name, str(path))
    state = [stat.st_size, stat.st_mtime_ns]
    key = f"{name} {file}"
    known = _remembered().get(key)
    if isinstance(known, dict) and known.get("state") == state and isinstance(known.get("version"), str):
        return str(known["version"])
    version = _version(name, str(path))
    if version:
        _remember(key, {"state": state, "version": version})
    return version


def _remembered() -> dict[str, Any]:
    try:
        content = json.loads(cache_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _remember(key: str, value: object) -> None:
    """Two runs at once: one of them is forgotten, and asks again the next time."""
    file = cache_file()
    with contextlib.suppress(OSError):  # it only saves time
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=file.parent, prefix=f".{file.name}-", delete=False) as part:
            json.dump({**_remembered(), key: value}, part)
        Path(part.name).replace(file)


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


def _platform() -> str:
    machine = platform.machine().lower()
    return f"{platform.system().lower()}-{_MACHINES.get(machine, machine)}"


def _fill(tool: Tool, text: str) -> str:
    system, dummy, machine = _platform().partition("-")
    return text.format(version=tool.version, number=tool.version.removeprefix("v"), os=system, arch=machine)


def _url(tool: Tool, mirror: str) -> str:
    url = _fill(tool, tool.url)
    if not mirror:
        return url
    parts = urlsplit(url)
    return mirror.rstrip("/") + parts.path + (f"?{parts.query}" if parts.query else "")


def _shown(url: str) -> str:
    """The URL without user name and password."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _checksum(tool: Tool) -> str:
    text = tool.checksums.get(_platform(), "")
    if not tool.url or not text:
        raise OrbitError(
            f"{tool.name} {tool.minimum or tool.version} or newer is neither in orbit_rs_bin_dir nor on the PATH, and"
            f" orbit_rs_tools does not say where to get it for {_platform()} and which checksum it has.",
            f"Install {tool.name}, or set url and checksums.{_platform()}.",
        )
    found = re.fullmatch(r"(?:sha256:)?([0-9a-fA-F]{64})", text.strip())
    if not found:
        raise OrbitError(
            f"The checksum of {tool.name} for {_platform()} is not a SHA-256: {text[:80]!r}.",
            "It has 64 hexadecimal digits; correct checksums in orbit_rs_tools.",
        )
    return found[1].lower()


@contextlib.contextmanager
def _reaching(url: str) -> Iterator[None]:
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        raise OrbitError(
            f"{_shown(url)} cannot be downloaded: {getattr(error, 'reason', '') or error}.",
            "Install the tool yourself, or name a mirror that this machine reaches in orbit_rs_mirror.",
        ) from error


def _fetch(url: str, target: Path, progress: Callable[[str], None]) -> str:
    """Download to a file; SHA-256 of what came."""
    from ansible.module_utils.urls import open_url

    if urlsplit(url).scheme not in ("http", "https"):
        raise OrbitError(f"{_shown(url)} is not an http or https URL.", "Correct orbit_rs_mirror or orbit_rs_tools.")
    digest = hashlib.sha256()
    progress(f"downloading {_shown(url)}")
    said = time.monotonic()
    with _reaching(url):
        answer = open_url(url, timeout=DOWNLOAD_SECONDS)
    with answer, target.open("wb") as file:
        while True:
            with _reaching(url):
                block = answer.read(BLOCK)
            if not block:
                return digest.hexdigest()
            digest.update(block)
            file.write(block)
            if time.monotonic() - said >= 3:
                said = time.monotonic()
                progress(f"{file.tell() >> 20} MiB")


def _unpack(download: Path, member: str, target: Path) -> None:
    """Copy the command out of what was downloaded; nothing else of it touches the disk."""
    with _member(download, member) if member else _unpacked(download) as content, target.open("wb") as file:
        shutil.copyfileobj(content, file)


def _unpacked(file: Path) -> IO[bytes]:
    with file.open("rb") as opened:
        magic = opened.read(3)
    if magic == b"BZh":
        return bz2.open(file)
    if magic.startswith(b"\x1f\x8b"):
        return cast(IO[bytes], gzip.open(file))
    return file.open("rb")


@contextlib.contextmanager
def _member(archive: Path, member: str) -> Iterator[IO[bytes]]:
    """One file of a tar or zip archive."""
    try:
        with contextlib.ExitStack() as stack:
            content: IO[bytes] | None
            if zipfile.is_zipfile(archive):
                content = stack.enter_context(stack.enter_context(zipfile.ZipFile(archive)).open(member))
            else:
                content = stack.enter_context(tarfile.open(archive)).extractfile(member)
            if content is None:
                raise KeyError(member)
            yield content
    except (KeyError, tarfile.TarError) as error:
        raise OrbitError(
            f"The archive holds no file {member}: {error}.", "Correct member in orbit_rs_tools."
        ) from error
