# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs built from Go modules, in the cache: nothing of the user's own Go folders is read or written.

A program is built as a dependency of a module of our own. `go install module@version` refuses a module with replace
lines (Kubernetes, etcd); as a dependency those lines do not count, and what they map has to be mapped here.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from testbed import cache
from testbed.steps import Problem, have, run, step

LOCK = "go"  # shared by those who build, so that nobody drops the modules meanwhile
COLD_BUILD_GIB = 12.0  # modules and build cache of one Kubernetes version


@dataclass(frozen=True)
class Program:
    """Binaries of one module: name of each binary and its package, relative to the module."""

    name: str
    module: str
    version: str
    binaries: Mapping[str, str]
    ldflags: str = ""


def build(program: Program) -> Path:
    """The folder with the binaries of `program`."""

    def make(out: Path) -> None:
        cache.require_space(cache.root(), COLD_BUILD_GIB, "a Go build")
        work = out / "module"
        work.mkdir()
        (work / "go.mod").write_text(wrapper(program, _go_mod(program.module, program.version)))
        packages = {name: f"{program.module}/{package}".rstrip("/") for name, package in program.binaries.items()}
        if all(package.endswith("/" + name) for name, package in packages.items()):
            _compile(work, f"{out}/", program.ldflags, *packages.values())  # one call: linking overlaps compiling
        else:
            for name, package in packages.items():
                _compile(work, str(out / name), program.ldflags, package)
        shutil.rmtree(work)

    return cache.artifact(f"{program.name}-{program.version}", asdict(program), make)


def build_folder(name: str, source: Path) -> Path:
    """The folder with the binary `name` made from one Go file that needs the standard library only."""

    def make(out: Path) -> None:
        work = out / "module"
        work.mkdir()
        (work / "go.mod").write_text("module orbit.rs/build\n")
        shutil.copy(source, work)
        _compile(work, str(out / name), "", ".")
        shutil.rmtree(work)

    return cache.artifact(name, cache.sources(source), make)


def source(module: str, version: str) -> Path:
    """The unpacked source of a module."""
    return Path(_download(module, version)["Dir"])


def drop() -> None:
    """Remove modules and build cache, unless somebody builds: what was wanted has been built."""

    def remove() -> None:
        with step("remove what the Go builds have downloaded and compiled"):
            shutil.rmtree(_folder(), ignore_errors=True)

    if _folder().exists():
        cache.unless_used(LOCK, remove)


def wrapper(program: Program, go_mod: Mapping[str, Any]) -> str:
    """Text of a go.mod that builds `program`, given the parsed go.mod of its module."""
    lines = ["module orbit.rs/build", f"go {go_mod['Go']}"]
    lines += [f"godebug {entry['Key']}={entry['Value']}" for entry in go_mod.get("Godebug") or ()]
    lines += [f"require {program.module} {program.version}"]
    # Kubernetes requires its own libraries at v0.0.0; v1.X.Y of it goes with v0.X.Y of them.
    staging = re.sub(r"^v1", "v0", program.version)
    for path in sorted({entry["Path"] for entry in go_mod.get("Require") or () if entry["Version"] == "v0.0.0"}):
        lines.append(f"replace {path} => {path} {staging}")
    return "\n".join(lines) + "\n"


def kubernetes_ldflags(version: str) -> str:
    """Version facts of a Kubernetes binary; without them kubeadm refuses to work."""
    facts = {
        "gitVersion": version,
        "gitMajor": "1",
        "gitMinor": version.split(".")[1],
        "gitCommit": "gomod",
        "gitTreeState": "archive",
        "buildDate": "1970-01-01T00:00:01Z",
    }
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return " ".join(f"-X {package}.{name}={value}" for package in packages for name, value in facts.items())


def _folder() -> Path:
    return cache.root() / "go"


def _go(*arguments: str | Path, cwd: Path | None = None) -> str:
    if not have("go"):
        raise Problem("go: command not found", "Go is not on the PATH", "install Go 1.26 or later")
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True)
    env = {
        "GOPATH": str(folder),
        "GOMODCACHE": str(folder / "pkg" / "mod"),
        "GOCACHE": str(folder / "cache"),
        "GOFLAGS": "-mod=mod -modcacherw -buildvcs=false",
        "GOWORK": "off",
        "CGO_ENABLED": "0",
    }
    return run("go", *arguments, env=env, cwd=cwd or folder)


def _compile(work: Path, out: str, ldflags: str, *packages: str) -> None:
    _go("build", "-v", "-trimpath", "-ldflags", f"-s -w {ldflags}".strip(), "-o", out, *packages, cwd=work)


def _download(module: str, version: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_go("mod", "download", "-json", f"{module}@{version}"))
    return found


def _go_mod(module: str, version: str) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(_go("mod", "edit", "-json", _download(module, version)["GoMod"]))
    return parsed
