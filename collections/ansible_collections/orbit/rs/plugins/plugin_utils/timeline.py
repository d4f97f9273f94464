# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The timeline of an operation by ordinal, made from the events of its record."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

# What an ordinal goes through; before its first event it is on the old revision, or not there yet.
STATES: Mapping[str, str] = {
    "absent": "not there yet",
    "old": "as before",
    "restart": "stops and starts",
    "gate": "is gated",
    "soak": "is watched",
    "good": "good",
    "back": "goes back",
}

# What an event makes of an ordinal in one of these states; in others the event says nothing new.
_TRANSITIONS: Mapping[str, tuple[str, frozenset[str]]] = {
    "stop": ("restart", frozenset(STATES)),
    "ready": ("gate", frozenset({"absent", "restart", "back"})),
    "passed": ("good", frozenset({"gate"})),
    "gated": ("soak", frozenset({"restart", "gate", "good"})),
    "good": ("good", frozenset({"absent", "restart", "gate", "soak", "back"})),
}
_OPEN = ("absent", "restart", "gate", "soak", "back")  # states that an operation must not end in

# Events of the release as a whole: its state from then on.
_RELEASE = {
    "apply": "Helm applies",
    "applied": "",
    "rehearse": "rehearsal",
    "rehearsed": "",
    "revert": "goes back",
    "reverted": "",
}

_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)  # between two ticks, in seconds


@dataclasses.dataclass(frozen=True)
class Span:
    """One state for a while, in seconds since the start."""

    state: str
    start: float
    end: float


@dataclasses.dataclass(frozen=True)
class Row:
    """What happened to one ordinal, or with None to the release."""

    ordinal: int | None
    spans: tuple[Span, ...]
    marks: tuple[tuple[float, str], ...] = ()  # what happened at a moment

    def seconds(self, *states: str) -> float:
        """How long it was in these states."""
        return sum(span.end - span.start for span in self.spans if span.state in states)


def rows(record: Mapping[str, Any]) -> list[Row]:
    """The release, then the ordinals that the record knows, the highest first: the order of a rollout."""
    events = [(float(at), str(what), ordinal) for at, what, ordinal in record["events"]]
    end = max((float(record["seconds"]), *(at for at, *dummy in events)))
    ordinals = {ordinal for *dummy, ordinal in events if ordinal is not None}
    ordinals |= {check[0] for check in record.get("checks") or ()}
    result = [_row(ordinal, events, end, record) for ordinal in sorted(ordinals, reverse=True)]
    whole = _whole(events, end)
    return [whole, *result] if whole.spans else result


def _whole(events: Iterable[tuple[float, str, int | None]], end: float) -> Row:
    spans: list[Span] = []
    state, since = "", 0.0
    for at, what, ordinal in (*events, (end, "applied", None)):
        if ordinal is None and what in _RELEASE:
            if state:
                spans.append(Span(state, since, at))
            state, since = _RELEASE[what], at
    return Row(None, tuple(spans))


def _row(ordinal: int, events: Iterable[tuple[float, str, int | None]], end: float, record: Mapping[str, Any]) -> Row:
    installs = any(step.startswith("install") for step in record["steps"])
    spans: list[Span] = []
    marks: list[tuple[float, str]] = []
    state, since = ("absent" if installs else "old"), 0.0

    def become(new: str, at: float) -> None:
        nonlocal state, since
        if at > since:
            spans.append(Span(state, since, at))
        state, since = new, at

    for at, what, about in events:
        if about == ordinal and what in _TRANSITIONS:
            new, before = _TRANSITIONS[what]
            if state in before:
                become(new, at)
        elif about == ordinal:
            marks.append((at, what))
        elif what == "revert" and state != "old":
            if state in _OPEN:
                marks.append((at, "failed"))
            become("back", at)
        elif what == "reverted" and state in _OPEN:
            become("good", at)
    if record["outcome"] not in ("succeeded", "paused") and state in _OPEN:
        marks.append((end, "failed"))
    become(state, end)
    return Row(ordinal, tuple(spans), tuple(marks))


def page(record: Mapping[str, Any]) -> dict[str, Any]:
    """The rows with places in percent of the width, and ticks in seconds, for a page that only has to draw them."""
    found = rows(record)
    end = max((float(record["seconds"]), *(span.end for row in found for span in row.spans))) or 1.0

    def percent(seconds: float) -> float:
        return round(100 * seconds / end, 3)

    return {
        "ticks": [{"left": percent(at), "seconds": at} for at in _ticks(end)],
        "rows": [
            {
                "name": "release" if row.ordinal is None else f"ordinal {row.ordinal}",
                "spans": [
                    {
                        "state": span.state if span.state in STATES else "release",
                        "label": STATES.get(span.state, span.state),
                        "left": percent(span.start),
                        "width": percent(span.end - span.start),
                        "start": round(span.start, 1),
                        "seconds": round(span.end - span.start, 1),
                    }
                    for span in row.spans
                ],
                "marks": [{"left": percent(at), "label": label, "at": round(at, 1)} for at, label in row.marks],
            }
            for row in found
        ],
    }


def _ticks(end: float) -> list[float]:
    """Round seconds, eight of them at most."""
    step = next((step for step in _STEPS if end / step <= 8), _STEPS[-1])
    return [round(number * step, 1) for number in range(int(end / step) + 1)]
