# SPDX-License-Identifier: GPL-3.0-or-later
"""promtool, which runs alert rules against made-up series."""

from __future__ import annotations

from pathlib import Path

from testbed import cache, golang
from testbed.versions import PROMETHEUS

PROGRAM = golang.Program("promtool", "github.com/prometheus/prometheus", PROMETHEUS, {"promtool": "cmd/promtool"})


def binary() -> Path:
    """The program, in the cache."""
    with cache.lock(golang.LOCK, shared=True):  # nobody drops the modules meanwhile
        return golang.build(PROGRAM) / "promtool"
