# SPDX-License-Identifier: GPL-3.0-or-later
"""The docker engine: used where it answers, else installed and started as root on Debian or Ubuntu."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

from testbed import cache, debian
from testbed.steps import Problem, explain, have, run, say, step, wait_for
from testbed.versions import DEBIAN

# Older engines cannot run a privileged container where CAP_SYS_RESOURCE is missing.
OLDEST_ENGINE = 23
START_TIMEOUT = 60.0  # seconds
# What a killed daemon or machine leaves behind and a new daemon stumbles over.
STALE_PIDS = ("docker.pid", "docker/containerd/containerd.pid")
STALE_SOCKETS = ("docker.sock", "containerd/containerd.sock", "docker/containerd/containerd.sock")


def answers() -> bool:
    """Whether an engine answers to this user."""
    return not _failure()


def ensure() -> None:
    """Make docker answer. Raises Problem when that takes more than this user may do."""
    failure = _failure()
    if not failure:
        return
    if "permission denied" in failure.lower():
        raise Problem(failure, "this user may not talk to docker", "add the user to the group docker, or run as root")
    if os.environ.get("DOCKER_HOST"):
        raise Problem(failure, "DOCKER_HOST names an engine that does not answer", "start it, or unset DOCKER_HOST")
    debian.require_root("docker does not answer; installing and starting it")
    with cache.lock("docker"):
        if not _engine():
            _install()
        if not answers():
            with step("start the docker daemon"):
                start()


def stop() -> None:
    """Stop the daemon that `ensure` started. Raises Problem when somebody's containers run on it."""
    if not _pid_file().exists():
        return
    pid = int(_pid_file().read_text())
    if _is_dockerd(pid):
        if running := run("docker", "ps", "--format", "{{.Names}}").split():
            remedy = f"stop them: docker stop {' '.join(running)}"
            raise Problem(f"containers run: {', '.join(running)}", "they use the daemon that would be stopped", remedy)
        os.kill(pid, 15)
        wait_for(lambda: f"dockerd {pid} still runs" if _is_dockerd(pid) else "", START_TIMEOUT, f"kill process {pid}")
    _pid_file().unlink()


def start() -> None:
    """Start the installed daemon, from whatever state the last one left."""
    if Path("/run/systemd/system").exists() and have("dockerd"):
        run("systemctl", "start", "docker")
    else:
        remove_stale(Path("/var/run"))
        log = cache.root() / "dockerd.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        path = f"{_unpacked()}/usr/sbin:{_unpacked()}/usr/bin:{os.environ['PATH']}:/usr/sbin:/sbin"
        with log.open("wb") as output:
            daemon = subprocess.Popen(
                [_engine()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PATH": path},
                cwd="/",
                start_new_session=True,
            )
        _pid_file().write_text(str(daemon.pid))

        def missing() -> str:
            if daemon.poll() is not None:
                text = "".join(log.read_text().splitlines(keepends=True)[-8:])
                raise Problem(f"dockerd ended with {daemon.returncode}:\n{text}", *explain(text))
            return _failure()

        wait_for(missing, START_TIMEOUT, f"read {log}")


def remove_stale(run_folder: Path) -> None:
    """Remove pid files of processes that are gone and sockets on which nobody listens."""
    for name in STALE_PIDS:
        file = run_folder / name
        if file.exists() and not _runs(file.read_text()):
            file.unlink()
    for name in STALE_SOCKETS:
        file = run_folder / name
        if file.exists() and not _listens(file):
            file.unlink()


def _failure() -> str:
    """Why docker does not answer; empty when it does."""
    if not have("docker"):
        return "docker: command not found"
    try:
        run("docker", "version", "--format", "{{.Server.Version}}", timeout=20)
    except Problem as problem:
        return problem.seen
    return ""


def _unpacked() -> Path:
    return cache.root() / "docker-engine"


def _engine() -> str:
    """The daemon to start; empty when none is installed."""
    return shutil.which("dockerd") or shutil.which("dockerd", path=f"{_unpacked()}/usr/sbin") or ""


def _install() -> None:
    say("docker is not installed: installing it from the Debian packages of this machine's mirror")
    apt = ("apt-get", "-q", "-y", "--no-install-recommends")
    with step("install the docker engine"):
        run("apt-get", "-q", "update")
        offered = run("apt-cache", "policy", "docker.io")
        candidate = re.search(r"Candidate: (\d+)", offered)
        client = [] if have("docker") else ["docker-cli"]
        if candidate and int(candidate[1]) >= OLDEST_ENGINE:
            known = [name for name in client if "Candidate: (none)" not in run("apt-cache", "policy", name)]
            run(*apt, "install", "docker.io", "iptables", *known, env={"DEBIAN_FRONTEND": "noninteractive"})
            return
        run(*apt, "install", "containerd", "runc", "iptables", env={"DEBIAN_FRONTEND": "noninteractive"})
        # This release's own engine is too old: the next one's runs on its containerd and runc. It is unpacked beside
        # the system, since dpkg would be left with dependencies that this release does not have.
        part = _unpacked().with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        debian.unpack(debian.download(part, dict.fromkeys(["docker.io", *client], DEBIAN)), part)
        part.replace(_unpacked())
        if client:
            cache.link_tool(_unpacked() / "usr/bin/docker")


def _pid_file() -> Path:
    """Where the daemon is noted that the test bed started."""
    return cache.root() / "dockerd.pid"


def _runs(pid: str) -> bool:
    return pid.strip().isdigit() and _is_dockerd(int(pid))


def _is_dockerd(pid: int) -> bool:
    """Whether the process is a docker or containerd daemon: a number in an old file may belong to anybody by now."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip() in ("dockerd", "containerd")
    except OSError:
        return False


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True
