# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Random histories: what must never go stays, whatever the rules are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ansible_collections.orbit.rs.plugins.plugin_utils.retention import Keep, kept
from ansible_collections.orbit.rs.plugins.plugin_utils.sets import SAFETY, Listed
from hypothesis import given, settings
from hypothesis import strategies as st

START = datetime(2024, 12, 28, tzinfo=UTC)


def a_set(hours: float, kind: str = "backup", record: str = "") -> Listed:
    name = (START + timedelta(hours=hours)).strftime("%Y%m%dT%H%M%SZ")
    return Listed(name, kind, "m", ("m",), {"verify": record} if record else {})


HISTORIES = st.lists(
    st.builds(
        a_set,
        st.integers(0, 24 * 900),
        st.sampled_from(["backup", "backup", "backup", "upgrade", SAFETY]),
        st.sampled_from(["", "", "passed", "failed"]),
    ),
    max_size=60,
    unique_by=lambda item: item.id,
)
FEW = st.integers(0, 5)
RULES = st.builds(Keep, FEW, FEW, FEW, FEW, FEW, FEW, FEW, st.integers(1, 6))


@settings(max_examples=500, deadline=None)
@given(HISTORIES, RULES)
def test_what_must_never_go(history: list[Listed], keep: Keep) -> None:
    stays = kept(history, keep)
    usual = sorted((item for item in history if item.kind != SAFETY), key=lambda item: item.id, reverse=True)
    assert stays.keys() <= {item.id for item in history}
    assert {item.id for item in usual[: keep.last]} <= stays.keys()
    if usual:
        assert usual[0].id in stays
    if good := [item.id for item in usual if item.verified]:
        assert good[0] in stays
    assert sum(item.id in stays for item in usual) >= min(keep.minimum, len(usual))
    assert sum(item.kind == SAFETY and item.id in stays for item in history) <= keep.safety
    for name, length in (("daily", 8), ("monthly", 6), ("yearly", 4)):
        periods = sorted({item.id[:length] for item in usual}, reverse=True)[: getattr(keep, name)]
        for period in periods:
            newest = next(item.id for item in usual if item.id.startswith(period))
            assert name in stays[newest]


@settings(max_examples=200, deadline=None)
@given(HISTORIES, RULES)
def test_a_second_run_drops_nothing_more(history: list[Listed], keep: Keep) -> None:
    stays = kept(history, keep)
    assert kept([item for item in history if item.id in stays], keep).keys() == stays.keys()


@settings(max_examples=200, deadline=None)
@given(HISTORIES, RULES, st.sampled_from(["last", "hourly", "daily", "weekly", "monthly", "yearly", "safety"]))
def test_a_more_generous_rule_keeps_no_less(history: list[Listed], keep: Keep, name: str) -> None:
    more = Keep(**{**vars(keep), name: getattr(keep, name) + 1, "minimum": 1})
    assert kept(history, Keep(**{**vars(keep), "minimum": 1})).keys() <= kept(history, more).keys()


def test_a_year_of_days() -> None:
    history = [a_set(24 * day + 2) for day in range(365)]
    stays = kept(history, Keep(last=1, daily=7, weekly=4, monthly=6, minimum=3))
    assert len(stays) == 7 + 2 + 5
    assert stays[history[-1].id] == ["last", "daily", "weekly", "monthly"]
