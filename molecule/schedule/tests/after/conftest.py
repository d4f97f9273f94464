# SPDX-License-Identifier: GPL-3.0-or-later
"""A control host with systemd: a container of the node image, with this checkout and its Python at the same places."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from molecule.conftest import KUBECONFIG, ROOT, Deployed
from testbed import cache, extras
from testbed.host import NETWORK

NAME = "orbit-rs-control-host"
PASSWORD = "password-of-the-repository"
INVENTORY = "/etc/orbit-rs/hosts.yml"
PREFIX = "orbit-rs-orders"  # of the timers


@dataclasses.dataclass(frozen=True)
class ControlHost:
    """The container."""

    namespace: str

    def run(self, *command: str, stdin: str = "", good: bool = True) -> str:
        """Run a command in it; its output."""
        path = f"{Path(sys.executable).parent}:{cache.tools()}:{extras.restic().parent}:/usr/sbin:/usr/bin"
        ended = subprocess.run(
            ("docker", "exec", "-i", "-w", str(ROOT), "-e", f"PATH={path}", "-e", "HOME=/root", NAME, *command),
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert (ended.returncode == 0) is good, ended.stdout
        return ended.stdout

    def state(self) -> str:
        """Say how far systemd is."""
        ask = ("docker", "exec", NAME, "systemctl", "is-system-running")
        return subprocess.run(ask, capture_output=True, text=True, check=False).stdout.strip()

    def write(self, path: str, content: str) -> None:
        """Write a file that is for root alone."""
        self.run("sh", "-c", 'umask 077; mkdir -p "$(dirname "$0")"; cat > "$0"', path, stdin=content)

    def schedule(self, *arguments: str, **variables: Any) -> str:
        """Run the playbook; what it says."""
        more = ("-e", json.dumps({"orbit_rs_schedule_jitter": 0, **variables}))
        return self.run("ansible-playbook", "-i", INVENTORY, "playbooks/schedule.yml", *more, *arguments)

    def timers(self) -> dict[str, Any]:
        """What systemd says of our timers, by operation."""
        found = json.loads(self.run("systemctl", "list-timers", "--all", "--output=json", f"{PREFIX}-*"))
        return {item["unit"].removeprefix(f"{PREFIX}-").removesuffix(".timer"): item for item in found}

    def units(self) -> list[str]:
        """The files of our timers: a service, a timer, and the link that enables it."""
        return sorted(self.run("find", "/etc/systemd/system", "-name", f"{PREFIX}-*").split())


def until(function: Callable[[], Any], seconds: float = 100) -> Any:
    """What a function gives, as soon as that is something."""
    end = time.monotonic() + seconds
    while not (found := function()):
        assert time.monotonic() < end, f"nothing after {seconds} s"
        time.sleep(1)
    return found


@pytest.fixture(scope="session")
def control_host() -> Iterator[ControlHost]:
    """Boot it, and remove it in the end. One whose test was killed powers itself off."""
    namespace = f"molecule-{os.environ.get('MOLECULE_SCENARIO_NAME', 'schedule')}"
    context = re.search(r"^current-context: kind-(\S+)$", Path(KUBECONFIG).read_text(), re.M)
    assert context, "the scenario runs on a cluster of the test bed"
    kind = (str(cache.tools() / "kind"), "get", "kubeconfig", "--internal", "--name", context[1])
    internal = subprocess.run(kind, check=True, capture_output=True, text=True).stdout
    node = ("docker", "inspect", "--format", "{{.Config.Image}}", f"{context[1]}-control-plane")
    image = subprocess.run(node, check=True, capture_output=True, text=True).stdout.strip()
    places = {ROOT, cache.root(), Path(sys.prefix), Path(sys.base_prefix)}
    volumes = [word for place in sorted(places) for word in ("--volume", f"{place}:{place}:ro")]
    remove = ("docker", "rm", "--force", "--volumes", NAME)
    subprocess.run(remove, check=False, capture_output=True)
    start = ("docker", "run", "--detach", "--rm", "--name", NAME, "--privileged", "--network", NETWORK)
    like = ("--tmpfs", "/run", "--tmpfs", "/tmp", "--env", "container=docker", "--entrypoint", "/sbin/init")
    without = ("systemd.mask=kubelet.service", "systemd.mask=containerd.service")
    host = ControlHost(namespace)
    try:
        subprocess.run((*start, *like, *volumes, image, *without), check=True, stdout=subprocess.DEVNULL)
        until(lambda: host.state() in ("running", "degraded"))
        host.run("systemd-run", "--on-active=20min", "systemctl", "poweroff", "--force")
        host.write("/etc/orbit-rs/kubeconfig", internal)
        host.write("/etc/orbit-rs/password", PASSWORD)
        host.run("mkdir", "/srv/metrics")
        release = {
            "orbit_rs_namespace": namespace,
            "orbit_rs_kubeconfig": "/etc/orbit-rs/kubeconfig",
            "orbit_rs_repository": "/srv/backups",
            "orbit_rs_repository_password_file": "/etc/orbit-rs/password",
            "orbit_rs_metrics_dir": "/srv/metrics",
        }
        host.write(INVENTORY, json.dumps({"orbit_rs": {"hosts": {"orders": release}}}))
        yield host
    finally:
        subprocess.run(remove, check=True, capture_output=True)


@pytest.fixture
def outcomes(deployed: Deployed) -> Callable[[str], Any]:
    """Read how an operation has last ended, as the cluster keeps it; None before it has."""

    def read(operation: str) -> Any:
        data = deployed.get("configmap orbit-rs.orbit.rs")["data"]
        return json.loads(data.get(f"last-{operation}", "null"))

    return read
