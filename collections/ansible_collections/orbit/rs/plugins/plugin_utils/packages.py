# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Python packages on the control host: which are missing, and the pinned set of them that pip installs."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from ansible_collections.orbit.rs.plugins.plugin_utils.model import OrbitError
from ansible_collections.orbit.rs.plugins.plugin_utils.tools import numbers

# What an execution environment gets as well: one name and its oldest good version a line.
REQUIREMENTS = Path(__file__).parents[2] / "meta" / "ee-requirements.txt"
LOCK = REQUIREMENTS.with_suffix(".lock")  # made by `make lock`

# What pip says when it fails, as a pattern, and the way out. The first match counts.
_REMEDIES = (
    (
        r"externally-managed-environment",
        "This Python belongs to the system. Run ansible-playbook from a virtual environment, or name a folder of yours "
        "in orbit_rs_python_target.",
    ),
    (r"No module named pip", "This Python has no pip: {python} -m ensurepip, or install the package python3-pip."),
    (
        r"DO NOT MATCH THE HASHES",
        "The index serves something else than what is pinned, and it was not installed. Ask who runs the index.",
    ),
    (r"Permission denied", "Name a folder of yours in orbit_rs_python_target."),
    (
        r"No matching distribution|onnection|resolve",
        "Does the index of Python packages answer? PIP_INDEX_URL names another one, such as a mirror.",
    ),
)


def use(folder: str) -> None:
    """Let this process import what was installed into `folder`; what its Python has itself comes first."""
    if folder and folder not in sys.path:
        sys.path.append(folder)
        importlib.invalidate_caches()


def missing(requirements: Iterable[str], version_of: Callable[[str], str]) -> list[str]:
    """What is not there or too old, in words: "grpcio 1.75 or newer (1.60.0 is there)".

    Requirements look like "grpcio>=1.75"; `version_of` gives the version of a package, "" when it is not there.
    """
    result = []
    for requirement in requirements:
        name, dummy, minimum = requirement.partition(">=")
        version = version_of(name)
        if numbers(version) < numbers(minimum):
            result.append(f"{name} {minimum} or newer" + (f" ({version} is there)" if version else ""))
    return result


def lacking() -> list[str]:
    """What this Python lacks, in words."""
    return missing(REQUIREMENTS.read_text(encoding="utf-8").split(), _version)


def command(folder: str) -> list[str]:
    """The pip command that installs exactly what is pinned, into `folder` or else the environment of this Python."""
    target = ["--target", folder, "--upgrade"] if folder else []
    return [sys.executable, "-m", "pip", "install", "--require-hashes", *target, "--requirement", str(LOCK)]


def advice(folder: str) -> str:
    """The ways to get what is lacking."""
    return (
        f"Install exactly what is pinned: {shlex.join(command(folder))}\n"
        "or let the playbook do it: -e orbit_rs_python_install=true"
    )


def install(folder: str, progress: Callable[[str], None]) -> None:
    """Install the pinned packages. Raises OrbitError."""
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
    progress(f"installing Python packages into {folder or sys.prefix}")
    with subprocess.Popen(
        [*command(folder), "--only-binary=:all:", "--progress-bar=off"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    ) as pip:
        said = []
        for line in pip.stdout or ():
            said.append(line.rstrip())
            if line.startswith(("Downloading", "Installing")):
                progress(line.strip())
    text = "\n".join(said)
    if pip.returncode:
        remedy = next((remedy for pattern, remedy in _REMEDIES if re.search(pattern, text)), advice(folder))
        errors = [line for line in said if re.match(r"\s*(ERROR|error)", line)] or said[-1:]
        raise OrbitError(f"pip ended with {pip.returncode}: {errors[0]}", remedy.format(python=sys.executable))
    use(folder)
    importlib.invalidate_caches()
    if left := lacking():
        raise OrbitError(
            f"pip has installed what is pinned, and {sys.executable} still lacks {', '.join(left)}.", advice(folder)
        )


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""
