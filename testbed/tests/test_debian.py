# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest

from testbed import debian
from testbed.steps import Problem

DEB822 = """\
# comment: URIs: http://wrong.example
Types: deb deb-src
URIs: http://mirror.example/debian/
Suites: bookworm bookworm-updates
Components: main

Types: deb
URIs: http://security.example/debian-security
Suites: bookworm-security
Components: main
"""
ONE_LINE = """\
# deb http://wrong.example/debian bookworm main
deb-src http://source.example/debian bookworm main
deb http://other.example stable main
deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian bookworm main contrib
"""


@pytest.fixture(autouse=True)
def _no_override(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(debian.MIRROR_VARIABLE, raising=False)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("sources.list.d/debian.sources", DEB822),
        ("sources.list", ONE_LINE),
        ("sources.list.d/debian.list", ONE_LINE),
    ],
)
def test_the_mirror_is_the_one_of_the_machine(tmp_path: Path, file: str, text: str) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / file).write_text(text)
    assert debian.mirror(tmp_path, "bookworm") == "http://mirror.example/debian"


def test_the_environment_overrules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(debian.MIRROR_VARIABLE, "http://own.example/debian/")
    assert debian.mirror(tmp_path, "bookworm") == "http://own.example/debian"


def test_no_mirror_for_the_release_is_an_error_that_names_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text(ONE_LINE)
    with pytest.raises(Problem) as caught:
        debian.mirror(tmp_path, "trixie")
    assert debian.MIRROR_VARIABLE in caught.value.remedy


def test_the_distribution_is_read_with_and_without_quotes(tmp_path: Path) -> None:
    file = tmp_path / "os-release"
    file.write_text('PRETTY_NAME="Some Linux 1 (x)"\nID=ubuntu\nVERSION_CODENAME="noble"\n')
    assert debian.distribution(file) == ("ubuntu", "noble")
    assert debian.distribution(tmp_path / "none") == ("", "")
