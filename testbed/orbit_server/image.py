# SPDX-License-Identifier: GPL-3.0-or-later
"""The image of the stand-in server, made from Debian packages and a wheel: no registry, no engine, no root."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from testbed import archive, cache, debian
from testbed.archive import Image
from testbed.orbit_server import faults
from testbed.steps import Problem, run
from testbed.versions import DEBIAN

REPOSITORY = "orbit-rs/orbit-server"
USER = 1001

# The server's own needs, what the commands of the deployment guide call in a pod, and what a Debian image has anyway.
_PACKAGES = ("python3", "libstdc++6", "bash", "dash", "coreutils", "curl", "tar")
# Nobody in the image reads, configures or installs anything.
_UNWANTED = (
    *(
        "usr/share/doc",
        "usr/share/man",
        "usr/share/info",
        "usr/share/locale",
        "usr/share/lintian",
        "usr/share/zoneinfo",
    ),
    *(
        "usr/share/bash-completion",
        "usr/share/perl5",
        "usr/share/debconf",
        "usr/lib/*/gconv",
        "usr/lib/dpkg",
        "var/lib/dpkg",
    ),
    *(
        "usr/lib/python3*/idlelib",
        "usr/lib/python3*/tkinter",
        "usr/lib/python3*/ensurepip",
        "usr/lib/python3*/pydoc_data",
    ),
)
# The server's modules; the rest of this folder makes, loads and tests it.
_MODULES = (
    *("__init__.py", "__main__.py", "server.py", "config.py", "faults.py", "store.py"),
    *("commands.py", "resp.py", "health.py", "web.py", "metrics.py"),
)
_LAUNCHER = """\
#!/usr/bin/python3
import sys

from orbit_server.__main__ import main

sys.exit(main())
"""


def build(versions: Sequence[str]) -> Path:
    """An archive with one image per version, such as v0.2.0, or v0.2.0-crash for that version with that fault."""
    grpcio = importlib.metadata.version("grpcio")
    base_recipe = [cache.sources(__file__, debian.__file__, archive.__file__), DEBIAN, _PACKAGES, grpcio]
    base = cache.artifact("orbit-server-base", base_recipe, lambda out: _make_base(out, grpcio))
    code = [Path(__file__).with_name(name) for name in _MODULES]

    def make(out: Path) -> None:
        layers = (base / "base.tar", base / "data.tar", _make_code(out, code, base / "tree"))
        archive.write_archive(out / "images.tar", [_image(version, layers) for version in versions])
        layers[-1].unlink()

    recipe = [base_recipe, cache.sources(*code), list(versions)]
    return cache.artifact("orbit-server-images", recipe, make) / "images.tar"


def _image(version: str, layers: tuple[Path, ...]) -> Image:
    number, _, fault = version.partition("-")
    try:
        faults.parse({faults.VARIABLE: fault})
    except ValueError as error:
        raise Problem(f"no image {version}", str(error), "name a version like v0.2.0 or v0.2.0-crash") from None
    return Image(
        tags=(f"{REPOSITORY}:{version}",),
        layers=layers,
        entrypoint=("/app/orbit-server",),
        env={"ORBIT_VERSION": number} | ({faults.VARIABLE: fault} if fault else {}),
        user=str(USER),
        workdir="/app",
    )


def _make_base(out: Path, grpcio: str) -> None:
    """Debian's Python with gRPC as base.tar, the data folder as data.tar; the tree stays to compile the code with."""
    tree = out / "tree"
    packages = debian.download(out, dict.fromkeys(_PACKAGES, DEBIAN), follow=True)
    # base-files brings the links of the merged /usr that all others rely on.
    debian.unpack(sorted(packages, key=lambda package: not package.name.startswith("base-files_")), tree)
    python = next(tree.glob("usr/bin/python3.*")).name.removeprefix("python")
    target = tree / "usr/lib/python3/dist-packages"
    run(
        *(
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-compile",
            "--disable-pip-version-check",
            "--target",
            target,
        ),
        *("--only-binary=:all:", "--python-version", python, "--platform", f"manylinux_2_17_{platform.machine()}"),
        *("--platform", f"manylinux2014_{platform.machine()}", f"grpcio=={grpcio}"),
    )
    for pattern in _UNWANTED:
        for path in tree.glob(pattern):
            shutil.rmtree(path)
    (tree / "etc/passwd").write_text(f"root:x:0:0:root:/root:/bin/bash\norbit:x:{USER}:{USER}:orbit:/app:/bin/bash\n")
    (tree / "etc/group").write_text(f"root:x:0:\norbit:x:{USER}:\n")
    (tree / "etc/nsswitch.conf").write_text("hosts: files dns\n")
    _compile(tree, tree / "usr/lib", tree)
    archive.write_layer(tree, out / "base.tar")

    data = out / "data"
    (data / "app/data").mkdir(parents=True)
    archive.write_layer(data, out / "data.tar", owner=(USER, USER))
    shutil.rmtree(data)


def _make_code(out: Path, modules: Sequence[Path], base: Path) -> Path:
    tree = out / "tree"
    package = tree / "app/orbit_server"
    package.mkdir(parents=True)
    for module in modules:
        shutil.copyfile(module, package / module.name)
    launcher = tree / "app/orbit-server"
    launcher.write_text(_LAUNCHER)
    launcher.chmod(0o755)
    _compile(base, tree / "app", tree)
    layer = archive.write_layer(tree, out / "code.tar")
    shutil.rmtree(tree)
    return layer


def _compile(base: Path, folder: Path, root: Path) -> None:
    """Compile the Python files in `folder` with the interpreter of the image, wherever its tree `base` lies.

    A read-only root cannot keep what is compiled at start, and layers have no file times to check against.
    """
    loader = next(path for pattern in ("usr/lib64/ld-*.so.*", "usr/lib/ld-*.so.*") for path in base.glob(pattern))
    run(
        *(loader, "--library-path", next(base.glob("usr/lib/*-linux-gnu")), base / "usr/bin/python3"),
        *("-I", "-m", "compileall", "-q", "-s", root, "-p", "/", "--invalidation-mode", "unchecked-hash", folder),
        env={"PYTHONHOME": str(base / "usr")},
    )
