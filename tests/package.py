# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection as a tarball, for the tests that look into it or install it."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COLLECTION = ROOT / "collections" / "ansible_collections" / "orbit" / "rs"


def build(folder: Path) -> Path:
    """Build the collection into a folder; return the tarball."""
    subprocess.run(
        ("ansible-galaxy", "collection", "build", "--output-path", folder, COLLECTION), check=True, capture_output=True
    )
    (tarball,) = folder.glob("orbit-rs-*.tar.gz")
    return tarball
