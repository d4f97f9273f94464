# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the steps of `make check` and `make test`, shows each as it goes, and counts what passed and failed.

A step is one command. One that runs pytest leaves JUnit files in build/junit, and every case in them counts; any other
step counts as one case. All steps run, whatever failed before, so that one run names everything that is wrong.
The last line of the output, also kept in build/summary, is "N passed, N failed".
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import fcntl
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
JUNIT = BUILD / "junit"
COLLECTION = "collections/ansible_collections/orbit/rs"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "orbit-rs"
# Of the stand-in server: good ones, and v0.2.0 with each of the faults that a scenario upgrades to.
FAULTS = ("crash", "exit", "unready", "wrong-data", "read-only", "lose-write", "slow-start", "ignore-term")
VERSIONS = ("v0.1.0", "v0.2.0", "v0.3.0", *(f"v0.2.0-{fault}" for fault in FAULTS))
RESTIC = "tests/test_restic.py"  # takes as long as everything else in tests/
LEFTOVERS = "orbit-rs-test-"  # how the clusters of test runs are called


@dataclasses.dataclass(frozen=True)
class Step:
    """One command, and how it is called in the output and the count."""

    name: str
    command: Sequence[str]
    env: Mapping[str, str] = dataclasses.field(default_factory=dict)
    folder: str = "."

    def run(self) -> bool:
        """Run it with its output on ours; say how it ended and how long it took; count it."""
        print(f"\n== {self.name}", flush=True)
        started = time.monotonic()
        env = {**os.environ, "ORBIT_RS_JUNIT": str(JUNIT), **self.env}
        ok = subprocess.run(self.command, cwd=ROOT / self.folder, env=env, check=False).returncode == 0
        seconds = time.monotonic() - started
        print(f"== {self.name}: {'passed' if ok else 'FAILED'} in {seconds:.0f} s", flush=True)
        record(self.name, ok, seconds)
        return ok


def record(name: str, ok: bool, seconds: float = 0.0) -> None:
    """Write one case as a JUnit file, unless the step's own pytest has written what happened."""
    path = JUNIT / f"{name.replace(' ', '-')}.xml"
    if path.exists():
        passed, failed = count([path])
        if failed or (ok and passed):
            return
        path = path.with_suffix(".exit.xml")  # pytest itself broke, or ran nothing
        ok = False
    suite = ElementTree.Element("testsuite", name=name)
    case = ElementTree.SubElement(suite, "testcase", classname="verify", name=name, time=f"{seconds:.3f}")
    if not ok:
        ElementTree.SubElement(case, "failure", message="the output above says why")
    ElementTree.ElementTree(suite).write(path)


def count(reports: Sequence[Path]) -> tuple[int, int]:
    """Count the cases of JUnit files: (passed, failed). Skipped ones are neither."""
    passed = failed = 0
    for report in reports:
        for case in ElementTree.parse(report).iter("testcase"):
            if case.find("failure") is not None or case.find("error") is not None:
                failed += 1
            elif case.find("skipped") is None:
                passed += 1
    return passed, failed


def pytest(name: str, *arguments: str, **env: str) -> Step:
    """Make a step that runs pytest, with a JUnit file under the step's name."""
    report = JUNIT / f"{name.replace(' ', '-')}.xml"
    return Step(name, ("pytest", "--quiet", f"--junitxml={report}", *arguments), env)


def check_steps() -> list[Step]:
    """List what needs no cluster, cheap first."""
    typed = ("ansible_collections.orbit.rs.plugins.plugin_utils", "testbed", "scripts", "bench")
    return [
        Step("ruff check", ("ruff", "check", "--quiet")),
        Step("ruff format", ("ruff", "format", "--quiet", "--check")),
        Step("yamllint", ("yamllint", "--strict", ".")),
        Step("changelog", ("antsibull-changelog", "lint"), folder=COLLECTION),
        Step("types", ("mypy", *(word for package in typed for word in ("--package", package)))),
        pytest("repository", "--numprocesses=2", "--dist=loadfile", f"--ignore={RESTIC}", "tests"),
        pytest("unit and chart", "--numprocesses=2", f"{COLLECTION}/tests/unit"),
        pytest("test bed", "--numprocesses=2", "-m", "not cluster", "testbed"),
        Step("ansible-lint", ("ansible-lint", "--offline"), {"ANSIBLE_INVENTORY": "inventories/kind"}),
    ]


def cluster_steps(name: str) -> list[Step]:
    """List what runs on a cluster, that of this name; last what is hard on its nodes."""
    return [
        Step("molecule", ("molecule", "test", "--all", "--report", "--no-command-borders")),
        pytest("test bed on its cluster", "-m", "cluster", "testbed", ORBIT_RS_TEST_CLUSTER=name),
    ]


def soak_steps() -> list[Step]:
    """List the scenarios that have more cases than `make test` has time for; changes also with Helm 3."""

    def scenarios(name: str, *chosen: str, **env: str) -> Step:
        words = (word for scenario in chosen for word in ("--scenario-name", scenario))
        return Step(name, ("molecule", "test", *words, "--report", "--no-command-borders"), env)

    return [
        scenarios("molecule", "upgrade", "rollback", "lock", "backup", "restore", "drill", "disaster"),
        scenarios("molecule with Helm 3", "upgrade", "rollback", "scale", ORBIT_RS_HELM="3", ORBIT_RS_SOAK=""),
    ]


@contextlib.contextmanager
def cluster() -> Iterator[tuple[str, bool]]:
    """Bring up a cluster of this run's own, name it in the environment, and remove it whatever happens.

    Yields its name, and whether it came up. The lock file is held as long as this process lives: a run that was killed
    outright leaves its cluster, and the next run sees by the free lock that it may remove it.
    """
    locks = CACHE / "test-runs"
    locks.mkdir(parents=True, exist_ok=True)
    for path in locks.glob(f"{LEFTOVERS}*"):
        with path.open("w") as lock, contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            print(f"== removing the cluster {path.name} of a run that was killed", flush=True)
            testbed("down", "--name", path.name)
            path.unlink(missing_ok=True)

    name = f"{LEFTOVERS}{os.getpid()}"
    path = locks / name
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        kubeconfig = str(CACHE / "clusters" / name / "kubeconfig")
        os.environ.update(KUBECONFIG=kubeconfig, ORBIT_RS_KUBECONFIG=kubeconfig)
        try:
            images = ("load", "--name", name, "--versions", ",".join(VERSIONS))
            yield name, testbed("up", "--name", name) and testbed(*images)
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)  # impatience must not leave a cluster behind
            testbed("down", "--name", name)
            path.unlink(missing_ok=True)


def testbed(verb: str, *arguments: str) -> bool:
    """Call the test bed."""
    return Step(f"test bed {verb}", (sys.executable, "-m", "testbed", verb, *arguments)).run()


def main() -> int:
    """Run what was asked for; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m scripts.verify", description=__doc__)
    parser.add_argument("what", choices=["check", "test", "soak"])
    what = parser.parse_args().what

    def interrupt(number: int, _frame: object) -> None:
        raise KeyboardInterrupt(f"signal {number}")

    signal.signal(signal.SIGTERM, interrupt)
    shutil.rmtree(JUNIT, ignore_errors=True)
    JUNIT.mkdir(parents=True)
    started = time.monotonic()
    os.environ["PATH"] = f"{CACHE / 'tools' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    try:
        if not shutil.which("helm"):  # the chart tests render with it
            testbed("tools")
        if what == "soak":
            os.environ["ORBIT_RS_SOAK"] = "1"
            os.environ.setdefault("ORBIT_RS_SEED", str(random.randrange(10_000)))
            print(f"the same again: ORBIT_RS_SEED={os.environ['ORBIT_RS_SEED']} make soak", flush=True)
        else:
            for step in check_steps():
                step.run()
        if what == "test":
            Step("ansible-test sanity", (str(ROOT / "scripts" / "sanity"),)).run()
            pytest("real restic", "--numprocesses=2", RESTIC).run()
        if what != "check":
            with cluster() as (name, ready):
                for step in cluster_steps(name) if what == "test" else soak_steps():
                    if ready:
                        step.run()
                    else:
                        record(step.name, ok=False)
    except KeyboardInterrupt:
        record("interrupted", ok=False)
    passed, failed = count(sorted(JUNIT.glob("*.xml")))
    summary = f"{passed} passed, {failed} failed"
    (BUILD / "summary").write_text(summary + "\n")
    print(f"\nmake {what} took {(time.monotonic() - started) / 60:.1f} minutes\n{summary}", flush=True)
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
