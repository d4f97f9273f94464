# SPDX-License-Identifier: GPL-3.0-or-later
"""The root file system of a node: Debian with systemd and containerd, and kind's own files; no Kubernetes yet."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from testbed import archive, cache, debian, golang
from testbed.steps import run
from testbed.versions import DEBIAN, DEBIAN_CONTAINERD, KIND

PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "util-linux", "mount", "kmod", "procps", "bash", "ca-certificates", "curl"),
    *("conntrack", "iptables", "nftables", "iproute2", "ethtool", "socat", "containernetworking-plugins"),
    *("libseccomp2", "pigz", "e2fsprogs", "jq", "busybox-static"),
)
PROXY_PROGRAMS = ("usr/sbin/xtables-nft-multi", "usr/sbin/nft", "usr/sbin/conntrack", "usr/bin/ip")
CNI_PLUGINS = ("host-local", "loopback", "ptp", "portmap")

# Units that make no sense in a container, or that wait for hardware.
UNWANTED_UNITS = (
    "sysinit.target.wants/systemd-tmpfiles-setup.service",
    "multi-user.target.wants/*",
    "local-fs.target.wants/*",
    "sockets.target.wants/*udev*",
    "sockets.target.wants/*initctl*",
    "basic.target.wants/*",
    "containerd.service",
)


def ensure() -> Path:
    """A folder with the layers root.tar and proxy.tar (what kube-proxy calls), busybox, and the file sandbox-image.

    The latter names the image that containerd starts every pod with.
    """
    return cache.artifact("node-root", recipe(), _make)


def recipe() -> object:
    """What the root file system is made from."""
    return [cache.sources(__file__, debian.__file__), DEBIAN, DEBIAN_CONTAINERD, KIND]


def _make(out: Path) -> None:
    tree = out / "tree"
    debian.bootstrap(tree, DEBIAN, PACKAGES, out)
    debian.unpack(debian.download(out, dict.fromkeys(["containerd", "runc"], DEBIAN_CONTAINERD)), tree)
    _add_kind(tree, golang.source("sigs.k8s.io/kind", KIND) / "images/base/files")
    sandbox = re.search(r'sandbox_image = "(.+)"', (tree / "etc/containerd/config.toml").read_text())
    assert sandbox, "kind's containerd configuration names no sandbox image"
    (out / "sandbox-image").write_text(sandbox[1])
    archive.write_layer(tree, out / "root.tar", owner=None)
    proxy = out / "proxy"
    _copy_with_libraries(tree, proxy, PROXY_PROGRAMS)
    archive.write_layer(proxy, out / "proxy.tar")
    shutil.copy2(tree / "usr/bin/busybox", out / "busybox")
    for name in ("tree", "proxy", "debootstrap"):
        shutil.rmtree(out / name)


def _add_kind(tree: Path, files: Path) -> None:
    """Put kind's own files into the tree, as its Dockerfile does, with the modes that a module archive drops."""
    for name in sorted(path.relative_to(files) for path in files.rglob("*") if path.is_file()):
        target = tree / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(files / name, target)
        target.chmod(0o755 if name.parts[0] == "usr" or "bin" in name.parts else 0o644)
    config = tree / "etc/containerd/config.toml"
    config.write_text(config.read_text().replace("restrict_oom_score_adj = false", "restrict_oom_score_adj = true"))
    for pattern in UNWANTED_UNITS:
        for unit in (tree / "usr/lib/systemd/system").glob(pattern):
            unit.unlink()
    with (tree / "etc/systemd/journald.conf").open("a") as journal:
        journal.write("ReadKMsg=no\n")
    for binary in ("containerd", "ctr", "containerd-shim-runc-v2"):  # where kind's units look for them
        (tree / "usr/local/bin" / binary).symlink_to(f"/usr/bin/{binary}")
    plugins = tree / "opt/cni/bin"
    plugins.mkdir(parents=True)
    for plugin in CNI_PLUGINS:
        (plugins / plugin).symlink_to(f"/usr/lib/cni/{plugin}")
    run("chroot", tree, "systemctl", "enable", "kubelet.service", "containerd.service", "undo-mount-hacks.service")
    run("chroot", tree, "systemctl", "mask", "systemd-binfmt.service")
    (tree / "etc/kubernetes/manifests").mkdir(parents=True)
    spec = json.loads(run("chroot", tree, "ctr", "oci", "spec"))
    spec["process"].pop("rlimits", None)
    hooks = spec.setdefault("hooks", {}).setdefault("createContainer", [])
    hooks.append({"path": "/kind/bin/mount-product-files.sh"})
    (tree / "etc/containerd/cri-base.json").write_text(json.dumps(spec))


def _copy_with_libraries(tree: Path, out: Path, programs: Sequence[str]) -> None:
    """Copy programs of `tree` with what they load: libraries, and the extensions of iptables with theirs."""
    extensions = [str(path.relative_to(tree)) for path in tree.glob("usr/lib/*/xtables/*.so")]
    wanted = [*programs, *extensions]
    listing = run("chroot", tree, "ldd", *(f"/{name}" for name in wanted))
    libraries = {match.lstrip("/") for match in re.findall(r"(/\S+\.so\S*) \(0x", listing)}
    for name in [*wanted, *sorted(libraries)]:
        target = out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(_inside(tree, name), target)
    for family in ("iptables", "ip6tables"):
        for kind in ("", "-save", "-restore"):
            for variant in ("", "-nft"):
                (out / f"usr/sbin/{family}{variant}{kind}").symlink_to("xtables-nft-multi")
    for folder in ("run", "tmp", "etc", "var/lib"):
        (out / folder).mkdir(parents=True)


def _inside(tree: Path, name: str) -> Path:
    """The file that `name` leads to when `tree` is the root."""
    return tree / run("chroot", tree, "readlink", "-f", f"/{name}").strip().lstrip("/")
