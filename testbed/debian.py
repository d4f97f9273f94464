# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian packages from the mirror that this machine uses, without touching its own package state."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from testbed.steps import Problem, run

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
APT = Path("/etc/apt")
MIRROR_VARIABLE = "ORBIT_RS_DEBIAN_MIRROR"


def distribution(os_release: Path = Path("/etc/os-release")) -> tuple[str, str]:
    """Name and code name of this system, such as ("debian", "bookworm")."""
    if not os_release.exists():
        return "", ""
    fields = dict(line.split("=", 1) for line in os_release.read_text().splitlines() if "=" in line)
    words = {name: " ".join(shlex.split(value)) for name, value in fields.items()}
    return words.get("ID", ""), words.get("VERSION_CODENAME", "")


def mirror(apt: Path = APT, codename: str = "") -> str:
    """The Debian mirror that serves `codename` (default: of this system) to this machine.

    Read from both formats of apt sources; the environment variable of MIRROR_VARIABLE overrules them.
    """
    if named := os.environ.get(MIRROR_VARIABLE):
        return named.rstrip("/")
    codename = codename or distribution()[1]
    files = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]
    for file in files:
        if file.is_file() and file.suffix in (".list", ".sources"):
            text = "\n".join(line for line in file.read_text().splitlines() if not line.lstrip().startswith("#"))
            for uris, suites in _entries(text):
                if codename and codename in suites:
                    return uris[0].rstrip("/")
    raise Problem(
        f"no source of suite {codename or '?'} in {apt}",
        "the apt sources of this machine name no Debian mirror",
        f"export {MIRROR_VARIABLE}=URL of a Debian mirror",
    )


def _entries(text: str) -> list[tuple[list[str], list[str]]]:
    found = []
    for match in re.finditer(r"^deb\s+(?:\[.*?\]\s+)?(\S+)\s+(\S+)", text, re.MULTILINE):
        found.append(([match[1]], [match[2]]))
    for stanza in re.split(r"\n\s*\n", text):
        fields = dict(re.findall(r"^([\w-]+):\s*(.+)$", stanza, re.MULTILINE))
        if "URIs" in fields and "deb" in fields.get("Types", "").split():
            found.append((fields["URIs"].split(), fields.get("Suites", "").split()))
    return found


def require_root(purpose: str) -> None:
    """Raise Problem when this is not root on a system that has apt."""
    if not shutil.which("apt-get"):
        raise Problem("apt-get: command not found", f"{purpose} needs Debian or Ubuntu", "use one of them")
    if os.geteuid() != 0:
        raise Problem(f"user id {os.geteuid()}", f"{purpose} needs root", "run the same command as root")


def download(folder: Path, packages: Mapping[str, str], *, follow: bool = False) -> list[Path]:
    """Fetch packages (name: suite) into `folder`, verified by apt; with `follow` also all that they depend on."""
    state = folder / "apt"
    for name in ("lists/partial", "archives/partial"):
        (state / name).mkdir(parents=True, exist_ok=True)
    (state / "status").touch()
    sources = state / "sources.list"
    suites = sorted(set(packages.values()))
    sources.write_text("".join(f"deb [signed-by={KEYRING}] {mirror()} {suite} main\n" for suite in suites))
    options = [
        f"Dir::Etc::SourceList={sources}",
        "Dir::Etc::SourceParts=-",
        f"Dir::State::Lists={state}/lists",
        f"Dir::State::Status={state}/status",
        f"Dir::Cache={state}",
        "APT::Sandbox::User=root",
        "Acquire::Languages=none",
        "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
        "Acquire::Retries=3",
    ]
    apt = ["apt-get", "-q", *(word for option in options for word in ("-o", option))]
    run(*apt, "update", "--error-on=any")
    names = [f"{name}/{suite}" for name, suite in packages.items()]
    if follow:
        run(*apt, "install", "--yes", "--download-only", "--no-install-recommends", *names)
        for archive in (state / "archives").glob("*.deb"):
            archive.replace(folder / archive.name)
    else:
        run(*apt, "download", *names, cwd=folder)
    shutil.rmtree(state)
    return sorted(folder.glob("*.deb"))


def unpack(archives: Sequence[Path], tree: Path) -> None:
    """Unpack package files into `tree` and remove them. Their scripts do not run."""
    for archive in archives:
        run("dpkg-deb", "-x", archive, tree)
        archive.unlink()


def bootstrap(tree: Path, suite: str, packages: Sequence[str], work: Path) -> None:
    """Make a minimal Debian of `suite` with `packages` in `tree`. Needs root; `work` is a scratch folder."""
    require_root("a Debian root file system")
    if not shutil.which("wget"):
        run("apt-get", "install", "-y", "-q", "--no-install-recommends", "wget")
    tool = work / "debootstrap"
    unpack(download(work, {"debootstrap": suite}), tool)
    # In a mount namespace of its own: what it mounts in the tree goes away with it, also when it is killed.
    run(
        *("unshare", "--mount", tool / "usr/sbin/debootstrap", "--variant=minbase", f"--keyring={KEYRING}"),
        *(f"--include={','.join(packages)}", suite, tree, mirror()),
        env={"DEBOOTSTRAP_DIR": str(tool / "usr/share/debootstrap"), "DEBIAN_FRONTEND": "noninteractive"},
    )
    for name in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale", "var/log"):
        for path in (tree / name).glob("*"):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
