# SPDX-License-Identifier: GPL-3.0-or-later
"""What the clusters share and change on the host: their docker network, the cut towards outside, kernel settings."""

from __future__ import annotations

from pathlib import Path

from testbed import cache
from testbed.steps import Problem, run, say, succeeds

NETWORK = "orbit-rs"  # a docker network of our own: the cut must not touch other containers of this machine
BRIDGE = "br-orbit-rs"
LOCK = "host"
# The kubelet sets these for the whole host.
TOUCHED = ("kernel.panic", "kernel.panic_on_oops", "vm.overcommit_memory")
# Every node needs about 15; the usual 128 end with the third cluster: "inotify_init: too many open files".
RAISED = {"fs.inotify.max_user_instances": 1024}

_RULE = f"DOCKER-USER -i {BRIDGE} ! -o {BRIDGE} -j REJECT"
# The host's rules live in one of two tables; the one that docker uses has its chain.
_FIND_IPTABLES = """
set -eu
for iptables in iptables-nft iptables-legacy ''; do
  [ -n "$iptables" ] || { echo "docker's chain DOCKER-USER was not found in iptables" >&2; exit 1; }
  $iptables -S DOCKER-USER >/dev/null 2>&1 && break
done
"""
CUT = f"{_FIND_IPTABLES} $iptables -C {_RULE} 2>/dev/null || $iptables -I {_RULE}"
UNCUT = f"{_FIND_IPTABLES} while $iptables -D {_RULE} 2>/dev/null; do :; done"
COUNT = f"{_FIND_IPTABLES} $iptables -nvxL DOCKER-USER"


def prepare(image: str) -> None:
    """Cut the clusters off from outside and raise kernel limits. Remembers what `restore` needs."""
    if not succeeds("docker", "network", "inspect", NETWORK):
        run("docker", "network", "create", "--opt", f"com.docker.network.bridge.name={BRIDGE}", NETWORK)
    names = " ".join((*TOUCHED, *RAISED))
    read = f"for name in {names}; do echo $name=$(cat /proc/sys/$(echo $name | tr . /)); done"
    found = _settings(_on_host(image, f"{CUT}\n{read}"))
    if not _saved().exists():
        part = _saved().with_suffix(".part")
        part.write_text("\n".join(f"{name}={value}" for name, value in found.items()))
        part.replace(_saved())
    low = {name: str(value) for name, value in RAISED.items() if int(found[name]) < value}
    if low:
        _on_host(image, assignments(low))
        say(f"  set {' '.join(f'{name}={value}' for name, value in low.items())} until the last cluster is removed")


def restore(image: str) -> None:
    """Take back what `prepare` and the kubelets changed. For the time after the last cluster."""
    saved = _settings(_saved().read_text()) if _saved().exists() else {}
    _on_host(image, f"{UNCUT}\n{assignments(saved)}")
    _saved().unlink(missing_ok=True)
    if succeeds("docker", "network", "inspect", NETWORK):
        run("docker", "network", "rm", NETWORK)


def is_cut(image: str) -> bool:
    """Whether the rule stands."""
    return BRIDGE in _on_host(image, COUNT)


def rejected(image: str) -> int:
    """The number of packets that the cut has refused so far. Raises Problem when the rule does not stand."""
    for line in _on_host(image, COUNT).splitlines():
        if BRIDGE in line:
            return int(line.split()[0])
    raise Problem(
        "no rule in DOCKER-USER", "the cluster is not cut off from outside", "`python -m testbed up` cuts it off"
    )


def assignments(settings: dict[str, str]) -> str:
    """The script that sets kernel settings."""
    return "\n".join(f"echo {value} > /proc/sys/{name.replace('.', '/')}" for name, value in settings.items())


def _settings(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def _saved() -> Path:
    return cache.root() / "sysctls"


def _on_host(image: str, script: str) -> str:
    """Run a script with the host's network and kernel settings: in a container, so that root is not needed."""
    host = ("docker", "run", "--rm", "--interactive", "--privileged", "--network", "host", "--pull", "never")
    return run(*host, "--entrypoint", "sh", image, stdin=script)
