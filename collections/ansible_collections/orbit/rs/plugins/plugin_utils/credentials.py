# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the password of a backup repository and the keys of its storage come from."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import re
import shlex
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from ansible_collections.orbit.rs.plugins.plugin_utils.cluster import ApiError, Cluster
from ansible_collections.orbit.rs.plugins.plugin_utils.model import OrbitError

COMMAND_SECONDS = 60
PASSWORD = "password"  # the key of a Secret that holds it

_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")


@dataclasses.dataclass(frozen=True)
class Source:
    """The variables that say where a password comes from: one of them is set. Nothing of it is ever shown."""

    password: str = dataclasses.field(default="", repr=False)
    file: str = ""
    secret: str = ""  # of Kubernetes, in the release's namespace; its keys in capitals are environment variables
    command: str = ""
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)
    what: str = "password"  # what it is the source of: the password, or the new password

    @property
    def variable(self) -> str:
        """The variable that holds the password itself; the others begin with its name."""
        return f"orbit_rs_repository_{self.what.replace(' ', '_')}"


@contextlib.contextmanager
def opened(source: Source, cluster: Cluster, namespace: str) -> Iterator[tuple[str, dict[str, str]]]:
    """A file with the password, for this user alone, and the environment. Raises OrbitError."""
    named = [name for name in ("password", "file", "secret", "command") if getattr(source, name)]
    if len(named) != 1:
        said = "None of them is set" if not named else f"{len(named)} of them are set"
        raise OrbitError(
            f"The {source.what} of the backup repository has one source. {said}.",
            f"Set one of {source.variable}_file, {source.variable}_secret, {source.variable}_command and "
            f"{source.variable}.",
        )
    environment = dict(source.environment)
    if source.file:
        yield _private(source), environment
    else:
        password = source.password
        if source.secret:
            password, more = _secret(cluster, namespace, source.secret)
            environment = more | environment
        elif source.command:
            password = _output(source)
        with tempfile.TemporaryDirectory(prefix="orbit-rs-") as folder:  # mode 0700
            path = Path(folder, PASSWORD)
            path.touch(0o600)
            path.write_text(password, encoding="utf-8")
            yield str(path), environment


def _private(source: Source) -> str:
    name, remedy = source.file, f"Correct {source.variable}_file."
    path = Path(name).expanduser()
    try:
        mode = path.stat().st_mode
        empty = not path.read_bytes().strip()
    except OSError as error:
        raise OrbitError(
            f"The password file {name} cannot be read: {error.strerror}.",
            remedy,
        ) from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise OrbitError(f"Others may read the password file {name}.", f"Keep it for yourself: chmod 600 {name}")
    if empty:
        raise OrbitError(f"The password file {name} is empty.", remedy)
    return str(path)


def _secret(cluster: Cluster, namespace: str, name: str) -> tuple[str, dict[str, str]]:
    remedy = f"It needs a key {PASSWORD}: kubectl describe secret {name} -n {namespace}"
    try:
        found = cluster.get(f"/api/v1/namespaces/{namespace}/secrets/{name}")
    except ApiError as error:
        raise OrbitError(f"The Secret {name} of the backup repository cannot be read: {error.seen}", remedy) from error
    data = {key: base64.b64decode(value).decode() for key, value in (found.get("data") or {}).items()}
    if not data.get(PASSWORD, "").strip():
        raise OrbitError(f"The Secret {name} of the backup repository has no key {PASSWORD}.", remedy)
    return data[PASSWORD].strip("\n"), {key: value for key, value in data.items() if _VARIABLE.fullmatch(key)}


def _output(source: Source) -> str:
    """The first line that a command prints. What it prints is never shown, not even when it fails."""
    remedy = f"Try it by hand, and correct {source.variable}_command."
    words = shlex.split(source.command)
    what = f"The command {Path(words[0]).name} gives no {source.what} of the backup repository"
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        why = f"exit code {error.returncode}" if isinstance(error, subprocess.CalledProcessError) else "it does not run"
        if isinstance(error, subprocess.TimeoutExpired):
            why = f"no answer for {COMMAND_SECONDS} seconds"
        raise OrbitError(f"{what}: {why}.", remedy) from None
    password = done.stdout.partition("\n")[0]
    if not password:
        raise OrbitError(f"{what}.", remedy)
    return password
