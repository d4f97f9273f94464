# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.orbit.rs.plugins.plugin_utils import timeline

Event = tuple[float, str, int | None]


def record(*events: Event, seconds: float = 100, outcome: str = "succeeded", step: str = "roll: x") -> dict[str, Any]:
    return {"events": events, "seconds": seconds, "outcome": outcome, "steps": [step]}


def spans(row: timeline.Row) -> list[tuple[str, float, float]]:
    return [(span.state, span.start, span.end) for span in row.spans]


ROLLED: tuple[Event, ...] = (
    (1, "ready", 0),  # the gate before anything is touched
    (1, "ready", 1),
    (2, "apply", None),
    (4, "applied", None),
    (5, "stop", 1),
    (12, "ready", 1),
    (13, "passed", 1),
    (13, "gated", 1),
    (43, "ready", 1),
    (44, "good", 1),
)


def test_a_rollout_goes_through_its_states() -> None:
    release, one, zero = timeline.rows(record(*ROLLED, (45, "stop", 0), (60, "ready", 0), (61, "good", 0)))
    assert spans(release) == [("Helm applies", 2, 4)]
    assert (one.ordinal, zero.ordinal) == (1, 0)
    assert spans(one) == [("old", 0, 5), ("restart", 5, 12), ("gate", 12, 13), ("soak", 13, 44), ("good", 44, 100)]
    assert spans(zero) == [("old", 0, 45), ("restart", 45, 60), ("gate", 60, 61), ("good", 61, 100)]
    assert one.seconds("restart", "gate") == 8
    assert one.marks == zero.marks == ()


def test_a_rollout_that_is_undone() -> None:
    events: tuple[Event, ...] = (
        *ROLLED,
        (45, "stop", 0),
        (50, "revert", None),
        (60, "ready", 0),
        (61, "passed", 0),
        (70, "reverted", None),
    )
    release, one, zero = timeline.rows(record(*events, outcome="rolled_back"))
    assert spans(release)[-1] == ("goes back", 50, 70)
    assert spans(zero)[1:] == [("restart", 45, 50), ("back", 50, 60), ("gate", 60, 61), ("good", 61, 100)]
    assert zero.marks == ((50, "failed"),)
    assert spans(one)[-2:] == [("back", 50, 70), ("good", 70, 100)]
    assert one.marks == ()


@pytest.mark.parametrize(("outcome", "marks"), [("failed", ((100, "failed"),)), ("paused", ()), ("succeeded", ())])
def test_what_is_not_good_at_the_end_of_a_failed_run_has_failed(outcome: str, marks: object) -> None:
    (row,) = timeline.rows(record((5, "stop", 2), outcome=outcome))
    assert row.marks == marks


def test_an_install_begins_with_nothing() -> None:
    (row,) = timeline.rows(record((5, "ready", 0), (6, "good", 0), step="install: x"))
    assert spans(row) == [("absent", 0, 5), ("gate", 5, 6), ("good", 6, 100)]


def test_any_other_event_is_a_mark() -> None:
    (row,) = timeline.rows(record((5, "client error", 0)))
    assert (spans(row), row.marks) == ([("old", 0, 100)], ((5, "client error"),))


@pytest.mark.parametrize("old", [{"events": [], "seconds": 0, "outcome": "succeeded", "steps": []}])
def test_a_record_without_events_has_no_rows(old: dict[str, Any]) -> None:
    assert timeline.page(old)["rows"] == []


@pytest.mark.parametrize("seconds", [0.3, 1, 7, 24.1, 96, 600, 7200])
def test_the_page_has_everything_in_percent(seconds: float) -> None:
    page = timeline.page(record((seconds / 4, "stop", 0), (seconds / 2, "good", 0), seconds=seconds))
    (row,) = page["rows"]
    assert sum(span["width"] for span in row["spans"]) == pytest.approx(100, abs=0.01)
    assert [span["state"] for span in row["spans"]] == ["old", "restart", "good"]
    assert 2 <= len(page["ticks"]) <= 10
    assert all(0 <= tick["left"] <= 100 for tick in page["ticks"])
