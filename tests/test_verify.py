# SPDX-License-Identifier: GPL-3.0-or-later
"""The count that CI goes by must see every failure."""

import pytest

from scripts import verify


@pytest.fixture(autouse=True)
def junit(tmp_path, monkeypatch):
    monkeypatch.setattr(verify, "JUNIT", tmp_path)
    return tmp_path


def counted(folder):
    return verify.count(sorted(folder.glob("*.xml")))


@pytest.mark.parametrize(("command", "expected"), [("true", (1, 0)), ("false", (0, 1))])
def test_a_command_is_one_case(junit, command, expected):
    assert verify.Step("some lint", (command,)).run() is (command == "true")
    assert counted(junit) == expected


@pytest.mark.parametrize(
    ("tests", "expected"),
    [
        ("def test_a(): pass\ndef test_b(): assert False", (1, 1)),
        ("import pytest\ndef test_a(): pass\ndef test_b(): pytest.skip('no reason')", (1, 0)),
        ("import nothing_of_that_name", (0, 1)),
        ("", (0, 1)),
        ("import os\ndef test_a(): pass\ndef test_b(): os._exit(3)", (0, 1)),
    ],
    ids=["one fails", "one skipped", "cannot be collected", "no tests", "dies"],
)
def test_the_cases_of_pytest_count_one_by_one(junit, tmp_path, tests, expected):
    file = tmp_path / "test_sample.py"
    file.write_text(tests)
    verify.pytest("sample", f"--rootdir={tmp_path}", str(file)).run()
    assert counted(junit) == expected


def test_a_broken_end_counts_although_all_cases_passed(junit):
    report = junit / "sample.xml"
    report.write_text('<testsuites><testsuite><testcase name="a"/></testsuite></testsuites>')
    verify.record("sample", ok=False)
    assert counted(junit) == (1, 1)
