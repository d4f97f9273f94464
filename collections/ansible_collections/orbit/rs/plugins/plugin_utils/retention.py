# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which backup sets are kept. Sets are kept or dropped whole; the newest one that is proved is never dropped."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from ansible_collections.orbit.rs.plugins.plugin_utils.sets import SAFETY, Listed


@dataclasses.dataclass(frozen=True)
class Keep:
    """How many sets are kept: the last ones, and the newest of each of so many hours, days, weeks, months, years."""

    last: int = 0
    hourly: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0
    safety: int = 0  # of those that a restore has taken of what was there
    minimum: int = 1


def _week(moment: datetime) -> str:
    year, week, dummy = moment.isocalendar()
    return f"{year}-{week}"


_PERIODS: Mapping[str, Callable[[datetime], str]] = {
    "hourly": lambda moment: f"{moment:%Y-%m-%d %H}",
    "daily": lambda moment: f"{moment:%Y-%m-%d}",
    "weekly": _week,
    "monthly": lambda moment: f"{moment:%Y-%m}",
    "yearly": lambda moment: f"{moment:%Y}",
}


def kept(found: Sequence[Listed], keep: Keep) -> dict[str, list[str]]:
    """The sets that are kept, by id, and why. Every other one may go."""
    newest = sorted(found, key=lambda item: item.id, reverse=True)
    usual = [item for item in newest if item.kind != SAFETY]
    why: dict[str, list[str]] = {}

    def reason(item: Listed, text: str) -> None:
        why.setdefault(item.id, []).append(text)

    for item in [item for item in newest if item.kind == SAFETY][: keep.safety]:
        reason(item, "safety")
    for item in usual[: max(keep.last, 1)]:
        reason(item, "last")
    for name, period in _PERIODS.items():
        seen: set[str] = set()
        for item in usual:
            if len(seen) == getattr(keep, name):
                break
            if (now := period(item.time)) not in seen:
                seen.add(now)
                reason(item, name)
    for item in [item for item in usual if item.verified][:1]:
        reason(item, "newest verified")
    for item in usual:
        if sum(other.id in why for other in usual) >= keep.minimum:
            break
        if item.id not in why:
            reason(item, "minimum")
    return why
