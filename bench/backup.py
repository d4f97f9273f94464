# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures what a backup set and its restore stream, beside `kubectl exec tar | restic` and back, in one run.

The data is in folders of plain pods: half of it cannot be compressed, half of it can. Both sides alternate, take the
same folder with the same tar, each into a fresh repository on this machine, and write back with the same command. Ours
also hashes every file on the way, sees that nothing is missing, and holds a lock. Not counted: the start of Python (its
CPU is), helper pods, and the hashes that a restore takes of the volume in the end. CPU is that of all processes on this
side of the API server.

Three ordinals side by side are measured beside one after the other, and the memory of our process with little data
beside much.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.orbit.rs.plugins.plugin_utils import backup, lock, restore, sets, stream, verify
from ansible_collections.orbit.rs.plugins.plugin_utils.backup import Backup, Orders
from ansible_collections.orbit.rs.plugins.plugin_utils.cluster import Cluster
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Release
from ansible_collections.orbit.rs.plugins.plugin_utils.restic import Restic
from ansible_collections.orbit.rs.plugins.plugin_utils.tarstream import Parser

from bench.measure import ROOT, alternate, report, run
from testbed import extras

NAMESPACE = "bench-backup"
PODS = 3
FILE = 16  # MiB
SIDES = OURS, THEIRS = "orbit.rs", "tar|restic"

# What the ratio of ours to theirs may be, at most.
GOALS = {"backup": 1.0, "backup, CPU": 1.0, "restore": 1.0, "restore, CPU": 1.0}
PARALLEL = {"3 ordinals": 1.0}
MEMORY = 1.1  # of much data to little

# $0 is the folder, $1 how many pairs of files it gets, $2 their size in bytes.
_FILL = (
    'set -e; mkdir -p "$0"; n=0; while [ $n -lt $1 ]; do head -c $2 /dev/urandom > "$0/random-$n"; '
    'seq ${n}000000000 ${n}999999999 2> /dev/null | head -c $2 > "$0/text-$n"; n=$((n + 1)); done; sync'
)


@dataclasses.dataclass(frozen=True)
class Measured:
    """What one run took; `peak` is the memory of our own process, in MiB."""

    seconds: float
    cpu: float
    peak: float = 0.0
    snapshots: Sequence[str] = ()


@dataclasses.dataclass(frozen=True)
class Repository:
    """A repository of one run."""

    folder: Path

    @property
    def restic(self) -> Restic:
        """As the library has it."""
        cache = {"RESTIC_CACHE_DIR": str(self.folder / "cache")}
        return Restic(str(extras.restic()), str(self.folder / "repository"), str(self.folder / "password"), cache)

    def shell(self, script: str) -> Measured:
        """Run a pipeline in which `restic` is this repository's."""
        restic = self.restic
        env = {**os.environ, **restic.environment, "PATH": f"{Path(restic.command).parent}:{os.environ['PATH']}"}
        env |= {"RESTIC_REPOSITORY": restic.repository, "RESTIC_PASSWORD_FILE": restic.password_file}
        started = time.monotonic()
        with subprocess.Popen(("bash", "-o", "pipefail", "-c", script), env=env, stdout=subprocess.DEVNULL) as process:
            dummy, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"{script} ended with {process.returncode}, so there is nothing to measure.")
        return Measured(time.monotonic() - started, usage.ru_utime + usage.ru_stime)

    def work(self, what: str, **order: Any) -> Measured:
        """Let a process of its own do our side."""
        command = (
            sys.executable,
            "-m",
            "bench.backup",
            "--work",
            json.dumps({"what": what, **order}),
            str(self.folder),
        )
        ended = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
        return Measured(**json.loads(ended.stdout.splitlines()[-1]))


@contextlib.contextmanager
def repository() -> Iterator[Repository]:
    """Make a repository; it is gone after `with`."""
    with tempfile.TemporaryDirectory(prefix="bench-backup-") as name:
        made = Repository(Path(name))
        (made.folder / "password").touch(0o600)
        (made.folder / "password").write_text("of this bench")
        made.restic.create()
        yield made


def work(order: Mapping[str, Any], folder: Path) -> Measured:
    """Our side of one measurement, in a process of its own."""
    restic, release = Repository(folder).restic, Release("bench", NAMESPACE)
    snapshots: list[str] = []
    started = time.monotonic()
    with Cluster("kubectl") as cluster:
        if order["what"] == "backup":
            taking = Backup(
                cluster, release, restic, "bench", {}, Orders(parallel=order["parallel"]), lambda text: None
            )
            name = sets.new_id(cluster.now())
            with lock.held(cluster, release, "backup", taking.say, wait=60) as held:
                parts = taking.each(
                    range(order["ordinals"]),
                    lambda ordinal: taking.archive(ordinal, f"bench-{ordinal}", "", order["data"], 0, name, held),
                )
            snapshots = [part.snapshot for part in parts.values()]
        else:
            command = ["/bin/sh", "-c", restore._WRITE, order["data"]]
            content = verify.checked(restic, order["snapshot"], Parser())
            stream.execute(cluster, NAMESPACE, "bench-0", command, stdin=content)
        seconds = time.monotonic() - started
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        cpu = sum(item.ru_utime + item.ru_stime for item in used) + sum(map(_cpu, _children(os.getpid())))
    peak = int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) / 1024
    return Measured(seconds, cpu, peak, snapshots)


def _children(number: int) -> Iterator[int]:
    """What runs below a process: the end of the proxy is not waited for by anybody who counts."""
    for path in Path(f"/proc/{number}/task").glob("*/children"):
        for child in map(int, path.read_text().split()):
            yield child
            yield from _children(child)


def _cpu(number: int) -> float:
    fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def fill(pod: int, folder: str, size: int) -> None:
    """Have so many MiB of data in a folder of a pod."""
    script = ("/bin/sh", "-c", _FILL, folder, str(max(1, size // FILE // 2)), str(FILE * 2**20))
    run("kubectl", "exec", f"--namespace={NAMESPACE}", f"bench-{pod}", "--", *script)


def empty(pod: int, folder: str) -> None:
    """Take a folder of a pod away."""
    run("kubectl", "exec", f"--namespace={NAMESPACE}", f"bench-{pod}", "--", "rm", "-rf", folder)


def take(data: str, ordinals: int = 1, parallel: int = 1) -> Measured:
    """Our backup of a folder, into a fresh repository."""
    with repository() as made:
        return made.work("backup", data=data, ordinals=ordinals, parallel=parallel)


def plain_take(data: str) -> Measured:
    """The same without us."""
    tar = f"kubectl exec --namespace={NAMESPACE} bench-0 -- /bin/sh -c {shlex.quote(backup._ARCHIVE)} {data}"
    with repository() as made:
        return made.shell(f"{tar} | restic backup --quiet --stdin --stdin-filename {sets.DATA}")


def plain_put(made: Repository, snapshot: str, data: str) -> Measured:
    """A restore without us."""
    tar = f"kubectl exec --stdin --namespace={NAMESPACE} bench-0 -- /bin/sh -c {shlex.quote(restore._WRITE)} {data}"
    return made.shell(f"restic dump --no-lock {snapshot} {sets.DATA} | {tar}")


def paired(name: str, rounds: int, sides: Mapping[str, Callable[[], Measured]]) -> dict[str, dict[str, list[float]]]:
    """Measure both sides in turn: their seconds, and those of their CPU."""
    cpu: dict[str, list[float]] = {side: [] for side in sides}

    def timed(side: str) -> Callable[[int], float]:
        def one(_: int) -> float:
            found = sides[side]()
            cpu[side].append(found.cpu)
            return found.seconds

        return one

    times = alternate(name, rounds, {side: timed(side) for side in sides})
    return {name: times, f"{name}, CPU": cpu}


def streams(rounds: int, parts: Sequence[str]) -> str:
    """The table of backups and restores of one ordinal."""
    results: dict[str, dict[str, list[float]]] = {}
    if "backup" in parts:
        sides = {OURS: lambda: take("/volume/data"), THEIRS: lambda: plain_take("/volume/data")}
        results |= paired("backup", rounds, sides)
    if "restore" in parts:
        run("kubectl", "exec", f"--namespace={NAMESPACE}", "bench-0", "--", "mkdir", "-p", "/volume/back")
        with repository() as made:
            (snapshot,) = made.work("backup", data="/volume/data", ordinals=1, parallel=1).snapshots
            put = {
                OURS: lambda: made.work("restore", data="/volume/back", snapshot=snapshot),
                THEIRS: lambda: plain_put(made, snapshot, "/volume/back"),
            }
            results |= paired("restore", rounds, put)
        empty(0, "/volume/back")
    return report(results, GOALS, theirs=THEIRS)


def side_by_side(rounds: int) -> str:
    """The table of three ordinals."""
    sides = {
        OURS: lambda _: take("/volume/data", PODS, PODS).seconds,
        "in a row": lambda _: take("/volume/data", PODS, 1).seconds,
    }
    return report({"3 ordinals": alternate("3 ordinals", rounds, sides)}, PARALLEL, theirs="in a row")


def memory(sizes: Sequence[int]) -> str:
    """The table of the memory that our process takes."""
    lines, peaks = [f"{'':15} {'backup':>10} {'restore':>10}"], []
    run("kubectl", "exec", f"--namespace={NAMESPACE}", "bench-0", "--", "mkdir", "-p", "/volume/back")
    for size in sizes:
        fill(0, "/volume/more", size)
        with repository() as made:
            taken = made.work("backup", data="/volume/more", ordinals=1, parallel=1)
            put = made.work("restore", data="/volume/back", snapshot=taken.snapshots[0])
        peaks.append(max(taken.peak, put.peak))
        lines.append(f"{f'{size} MiB':15} {taken.peak:6.0f} MiB {put.peak:6.0f} MiB")
        print(f"memory, {lines[-1]}", flush=True)
        empty(0, "/volume/more")
    empty(0, "/volume/back")
    ratio = peaks[-1] / peaks[0]
    return "\n".join(
        [*lines, f"{'ratio':15} {ratio:10.2f}, goal <= {MEMORY}: {'met' if ratio <= MEMORY else 'missed'}"]
    )


def pods() -> None:
    """Start the pods that have the data."""
    container = {
        "name": "data",
        "image": "orbit-rs/orbit-server:v0.1.0",
        "imagePullPolicy": "Never",
        "command": ["sleep", "86400"],
        "volumeMounts": [{"name": "volume", "mountPath": "/volume"}],
    }
    spec = {
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
        "containers": [container],
        "volumes": [{"name": "volume", "emptyDir": {}}],
    }
    items: list[Any] = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}]
    for number in range(PODS):
        metadata = {"name": f"bench-{number}", "namespace": NAMESPACE}
        items.append({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({"apiVersion": "v1", "kind": "List", "items": items}, file)
        file.flush()
        run("kubectl", "create", f"--filename={file.name}")
    run("kubectl", "wait", "pods", "--all", f"--namespace={NAMESPACE}", "--for=condition=Ready", "--timeout=120s")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.backup", description=__doc__)
    parser.add_argument("--size", type=int, default=256, help="MiB of data in each ordinal")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", type=int, nargs="*", default=[256, 1024], help="MiB, for the memory of our process")
    parser.add_argument("--parts", nargs="*", default=["backup", "restore", "parallel", "memory"])
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.work:
        print(json.dumps(dataclasses.asdict(work(json.loads(options.work[0]), Path(options.work[1])))))
        return 0
    remove = ("kubectl", "delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait")
    run(*remove)
    tables = []
    try:
        pods()
        for number in range(PODS if "parallel" in options.parts else 1):
            fill(number, "/volume/data", options.size)
        if {"backup", "restore"} & set(options.parts):
            tables.append(streams(options.rounds, options.parts))
        if "parallel" in options.parts:
            tables.append(side_by_side(options.rounds))
        empty(0, "/volume/data")
        if "memory" in options.parts and options.memory:
            tables.append(memory(options.memory))
    finally:
        run(*remove)
    print("\n\n".join(tables))
    return 0


if __name__ == "__main__":
    sys.exit(main())
