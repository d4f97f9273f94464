# SPDX-License-Identifier: GPL-3.0-or-later
"""Python packages: the table, and a real pip in an environment of its own with an index on loopback or none."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from ansible_collections.orbit.rs.plugins.plugin_utils import packages
from ansible_collections.orbit.rs.plugins.plugin_utils.model import OrbitError


@pytest.mark.parametrize(
    ("installed", "missing"),
    [
        ({"a": "1.75.0", "b": "3.0"}, []),
        ({"a": "1.100", "b": "3"}, []),
        ({"a": "1.74.9", "b": "3.0"}, ["a 1.75 or newer (1.74.9 is there)"]),
        ({}, ["a 1.75 or newer", "b 3.0.1 or newer"]),
    ],
)
def test_missing(installed: dict[str, str], missing: list[str]) -> None:
    wanted = ["a>=1.75", "b>=3.0.1" if not installed else "b>=2.9"]
    installed = {name: version if "." in version else f"{version}.0" for name, version in installed.items()}
    assert packages.missing(wanted, lambda name: installed.get(name, "")) == missing


def test_this_environment_lacks_nothing() -> None:
    assert packages.lacking() == []


def test_what_is_required_is_pinned_with_a_hash_and_good_enough() -> None:
    lock = packages.LOCK.read_text()
    pins = dict(re.findall(r"^([a-z0-9-]+)==(\S+) \\$", lock, re.MULTILINE))
    assert packages.missing(packages.REQUIREMENTS.read_text().split(), lambda name: pins.get(name, "")) == []
    assert all("--hash=sha256:" in entry for entry in re.split(r"^(?=[a-z])", lock, flags=re.MULTILINE)[1:])


@pytest.fixture
def other_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment without pip takes the place of this one."""
    venv.create(tmp_path / "venv")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "venv" / "bin" / "python"))
    return tmp_path / "venv"


def test_no_pip(other_python: Path) -> None:
    with pytest.raises(OrbitError, match="No module named pip") as error:
        packages.install("", lambda text: None)
    assert "-m ensurepip" in error.value.remedy


def pip_works() -> bool:
    return importlib.util.find_spec("pip") is not None


@pytest.mark.skipif(not pip_works(), reason="this Python has no pip")
@pytest.mark.parametrize(
    ("lock", "says", "remedy"),
    [
        ("nowhere==1.0 --hash=sha256:" + "0" * 64, "satisfies the requirement nowhere==1.0", "PIP_INDEX_URL"),
        ("thing==1.0 --hash=sha256:" + "0" * 64, "DO NOT MATCH THE HASHES", "Ask who runs the index"),
    ],
)
def test_what_pip_refuses_is_a_sentence(
    lock: str, says: str, remedy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lock").write_text(lock)
    (tmp_path / "thing-1.0-py3-none-any.whl").write_bytes(b"another one")
    monkeypatch.setattr(packages, "LOCK", tmp_path / "lock")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(OrbitError, match=says) as error:
        packages.install(str(tmp_path / "target"), lambda text: None)
    assert remedy in error.value.remedy
    assert not (tmp_path / "target").exists()


def test_the_command_can_be_typed_as_it_stands(tmp_path: Path) -> None:
    words = packages.command(str(tmp_path))
    shown = packages.advice(str(tmp_path))
    assert " ".join(words) in shown and "--require-hashes" in words
    assert subprocess.run([*words[:4], "--help"], capture_output=True, check=False).returncode == 0


def test_a_folder_is_used_after_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    packages.use("")
    assert "" not in sys.path[1:]
    packages.use(str(tmp_path))
    packages.use(str(tmp_path))
    assert sys.path.count(str(tmp_path)) == 1 and sys.path[-1] == str(tmp_path)
