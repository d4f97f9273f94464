# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from testbed import steps
from testbed.steps import Problem, explain, run, step, succeeds, wait_for


@pytest.mark.parametrize(
    ("output", "cause"),
    [
        ("write /x: no space left on device", "the disk is full"),
        ("E: You don't have enough free space in /var/cache/apt/archives/.", "the disk is full"),
        ("m@v9: reading proxy/m/@v/v9.info: 404: This module version is not available", "does not serve"),
        ("module k8s.io/x@v9 found: unknown revision v9", "does not serve"),
        ("verifying module: checksum mismatch", "does not serve"),
        ("go.mod requires go >= 1.27 (running go 1.26.8; GOTOOLCHAIN=local)", "older than the module asks for"),
        ("Bind for 127.0.0.1:6443 failed: port is already allocated", "holds a port"),
        ("listen tcp4 127.0.0.1:6443: bind: address already in use", "holds a port"),
        ("dial tcp: lookup proxy: no such host", "cannot be reached"),
        ("Temporary failure resolving 'mirror'", "cannot be reached"),
        ("open /etc/x: permission denied", "may not do that"),
        ("E: Could not get lock /var/lib/dpkg/lock-frontend", "package manager"),
        ("Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?", "daemon is gone"),
        ("something else", "last lines above"),
    ],
)
def test_known_output_gets_a_cause_and_a_remedy(output: str, cause: str) -> None:
    found, remedy = explain(output)
    assert cause in found
    assert remedy


def test_a_command_that_fails_shows_its_last_lines_and_the_cause() -> None:
    with pytest.raises(Problem) as caught:
        run("sh", "-c", "echo early >&2; echo 'no space left on device' >&2; exit 3")
    assert "ended with 3" in caught.value.seen
    assert caught.value.seen.endswith("no space left on device")
    assert caught.value.cause == "the disk is full"


def test_a_command_that_fails_silently_shows_what_it_printed() -> None:
    with pytest.raises(Problem, match="printed"):
        run("sh", "-c", "echo printed; exit 1")


def test_a_missing_command_is_named() -> None:
    with pytest.raises(Problem) as caught:
        run("no-such-command-here")
    assert "no-such-command-here: command not found" in caught.value.seen


def test_a_command_reads_text_or_a_file_and_gets_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "input"
    file.write_text("from file")
    assert run("cat", stdin="from text") == "from text"
    assert run("cat", stdin=file) == "from file"
    assert run("sh", "-c", "echo $X", env={"X": "1"}) == "1\n"
    assert run("cat") == ""


def test_a_lot_of_output_on_both_streams_does_not_block() -> None:
    assert len(run("sh", "-c", "seq 100000; seq 100000 >&2")) > 500000


def test_a_command_ends_at_its_timeout() -> None:
    started = time.monotonic()
    assert not succeeds("sleep", "30", timeout=0.2)
    assert time.monotonic() - started < 5


def test_a_command_dies_with_a_killed_test_bed(tmp_path: Path) -> None:
    child_script = "echo $$ > part; mv part pid; exec sleep 60"
    text = f"from testbed.steps import run; run('sh', '-c', 'cd {tmp_path}; {child_script}')"
    parent = subprocess.Popen([sys.executable, "-c", text])
    pid = tmp_path / "pid"
    wait_for(lambda: "" if pid.exists() else "no child", 10, "")
    parent.kill()
    parent.wait()

    def child() -> str:
        stat = Path(f"/proc/{pid.read_text().strip()}/stat")
        return "still there" if stat.exists() and ") Z " not in stat.read_text() else ""

    wait_for(child, 5, "")


def test_a_step_says_what_it_does_that_it_lives_and_how_long_it_took(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "HEARTBEAT", 0.1)
    with step("do it"):
        run("sh", "-c", "echo first half >&2; sleep 0.4")
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "do it ..."
    assert any(line.endswith("first half") for line in printed[1:-1])
    assert printed[-1].startswith("  done in 0.")


def test_a_problem_carries_the_step_in_which_it_happened() -> None:
    with pytest.raises(Problem) as caught, step("outer"), step("inner"):
        raise Problem("seen", "cause", "remedy")
    assert [note.split(":")[0] for note in caught.value.__notes__] == ["inner", "outer"]


def test_waiting_ends_with_what_is_missing() -> None:
    with pytest.raises(Problem, match="two of three") as caught:
        wait_for(lambda: "two of three", 0, "look")
    assert caught.value.remedy == "look"
