# SPDX-License-Identifier: GPL-3.0-or-later
"""promtool, which runs alert rules against made-up series. Out of a Debian package: it takes minutes to build."""

from __future__ import annotations

import hashlib
import urllib.request
from pathlib import Path

from testbed import cache, debian
from testbed.archive import architecture
from testbed.steps import Problem
from testbed.versions import PROMTOOL, PROMTOOL_SHA256


def binary() -> Path:
    """The program, in the cache."""
    return cache.artifact(f"promtool-{PROMTOOL}", PROMTOOL_SHA256, _build) / "promtool"


def _build(folder: Path) -> None:
    url = f"{debian.mirror()}/pool/main/p/prometheus/promtool_{PROMTOOL}_{architecture()}.deb"
    with urllib.request.urlopen(url, timeout=120) as answer:
        content = answer.read()
    if (found := hashlib.sha256(content).hexdigest()) != PROMTOOL_SHA256.get(architecture()):
        raise Problem(f"{url} has the SHA-256 {found}", "it is not the pinned package", "try another Debian mirror")
    package = folder / "promtool.deb"
    package.write_bytes(content)
    debian.unpack([package], folder / "tree")
    (folder / "tree/usr/bin/promtool").replace(folder / "promtool")
