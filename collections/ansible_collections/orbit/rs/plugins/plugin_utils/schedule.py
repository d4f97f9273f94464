# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When the operations on backups run by themselves: expressions of cron, also as systemd has them, and commands."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.orbit.rs.plugins.plugin_utils.model import OrbitError

OPERATIONS = ("backup", "verify", "drill", "retention")
LOCK_SECONDS = 3600  # that a run waits for another
CRON_LINE = 998  # characters of a command that every cron takes

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
# Name, as ansible.builtin.cron calls it, first and last value, and the names of values.
_FIELDS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("weekday", 0, 7, _DAYS),
)
_UNUSUAL = re.compile(r"[^A-Za-z0-9_.-]")
_LONGEST = {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}  # months without a day 31
_ITEM = re.compile(r"(?P<all>\*)|(?P<first>\w+)(?:-(?P<last>\w+))?")


def fields(expression: str) -> dict[str, str]:
    """The five fields of a cron expression by name. Raises OrbitError."""
    words = expression.split()
    if len(words) != len(_FIELDS):
        raise _refused(expression, "it needs five fields: minute, hour, day of the month, month, day of the week")
    return dict(zip((name for name, *dummy in _FIELDS), words, strict=True))


def values(expression: str) -> dict[str, list[int]]:
    """What each field of a cron expression stands for; Sunday is 0. Raises OrbitError."""
    found = {}
    for (name, least, most, names), text in zip(_FIELDS, fields(expression).values(), strict=True):
        chosen: set[int] = set()
        for item in text.lower().split(","):
            chosen |= _item(expression, item, name, least, most, names)
        found[name] = sorted({value % 7 for value in chosen} if name == "weekday" else chosen)
    return found


def _item(expression: str, item: str, name: str, least: int, most: int, names: Sequence[str]) -> set[int]:
    what, slash, step = item.partition("/")
    match = _ITEM.fullmatch(what)
    if not match or (slash and not re.fullmatch(r"[1-9]\d*", step)) or (slash and match["first"] and not match["last"]):
        raise _refused(
            expression, f"{item!r} is no {name}; it is *, a number, a range like 1-5, or one with a step: */2"
        )

    def number(word: str) -> int:
        value = names.index(word) + least if word in names else int(word) if word.isdecimal() else -1
        if not least <= value <= most:
            raise _refused(expression, f"{word!r} is no {name}; it goes from {least} to {most}")
        return value

    # `*` of the days of the week is each of them once.
    first, last = (least, min(most, 6) if name == "weekday" else most) if match["all"] else (number(match["first"]), -1)
    if last < 0:
        last = number(match["last"]) if match["last"] else first
    if last < first:
        raise _refused(expression, f"the range {what} of the {name} is empty")
    return set(range(first, last + 1, int(step or 1)))


def calendar(expression: str) -> str:
    """A cron expression as systemd's OnCalendar. Raises OrbitError for what systemd cannot say, or never comes."""
    found = values(expression)
    text = fields(expression)
    if text["day"] != "*" and text["weekday"] != "*":
        raise _refused(
            expression,
            "it has days of the month and of the week: cron runs when either comes, systemd when both do; leave one "
            "of them *",
        )
    if not any(day <= _LONGEST.get(month, 31) for month in found["month"] for day in found["day"]):
        raise _refused(expression, "that day never comes")

    def listed(name: str) -> str:
        return "*" if text[name] == "*" else ",".join(f"{value:02}" for value in found[name])

    days = "" if text["weekday"] == "*" else ",".join(_DAYS[day].capitalize() for day in found["weekday"]) + " "
    return f"{days}*-{listed('month')}-{listed('day')} {listed('hour')}:{listed('minute')}:00"


def _refused(expression: str, why: str) -> OrbitError:
    return OrbitError(f"The schedule {expression!r} cannot be used: {why}.", "Correct orbit_rs_schedule.")


def unit_words(words: Iterable[str]) -> str:
    """Words as a unit of systemd takes them, none of them expanded."""
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "%": "%%"}
    return " ".join(f'"{"".join(escapes.get(letter, letter) for letter in word)}"' for word in words)


def unit_command(program: str, *arguments: str) -> str:
    """A command as ExecStart= takes it, which expands variables in its arguments."""
    return unit_words((program, *(word.replace("$", "$$") for word in arguments)))


def cron_command(folder: str, environment: Mapping[str, str], words: Sequence[str], seconds: int = 0) -> str:
    """A command as a line of cron takes it, which begins some seconds later. Raises OrbitError."""
    wait = f"sleep {seconds} && " if seconds else ""
    known = [f"{name}={value}" for name, value in environment.items()]
    line = f"{wait}cd {shlex.quote(folder)} && {shlex.join(['env', *known, *words])}".replace("%", r"\%")
    if len(line) > CRON_LINE or "\n" in line:
        raise OrbitError(
            f"The command has {len(line)} characters, and a line of cron has room for {CRON_LINE}.",
            "Run the playbook with a shorter PATH.",
        )
    return line


@dataclasses.dataclass(frozen=True)
class Start:
    """How this run of ansible-playbook was started, so that others are started like it."""

    program: str
    folder: str
    environment: Mapping[str, str]
    inventories: Sequence[str]
    arguments: Sequence[str] = ()  # more of them; they win

    def words(self, host: str, operation: str) -> list[str]:
        """The command of an operation, which waits for others that are at work on the release."""
        inventories = [word for path in self.inventories for word in ("-i", path)]
        where = [*inventories, "--limit", host, "-e", f"orbit_rs_lock_timeout={LOCK_SECONDS}"]
        return [self.program, *where, f"orbit.rs.{operation}", *self.arguments]


def timers(
    expressions: Mapping[str, Any], host: str, start: Start, *, cron: bool = False, jitter: int = 0
) -> list[dict[str, Any]]:
    """A timer for each operation that can be scheduled, as systemd or cron takes it.

    One without an expression is to go. Raises OrbitError.
    """
    if unknown := expressions.keys() - set(OPERATIONS):
        raise OrbitError(
            f"The operation {min(map(str, unknown))} cannot be scheduled.", f"Choose among {', '.join(OPERATIONS)}."
        )
    found = []
    for operation in OPERATIONS:
        expression = str(expressions.get(operation) or "")
        name = f"orbit-rs-{_UNUSUAL.sub('-', host)}-{operation}"
        timer: dict[str, Any] = {"operation": operation, "name": name, "present": bool(expression)}
        if expression:
            words = start.words(host, operation)
            timer |= {"calendar": calendar(expression)}
            if cron:
                # The same for a timer at each run, another for each timer.
                seconds = int(hashlib.sha256(name.encode()).hexdigest(), 16) % (jitter + 1)
                timer |= fields(expression)
                timer |= {"job": cron_command(start.folder, start.environment, words, seconds)}
            else:
                timer |= {
                    "command": unit_command(*words),
                    "environment": unit_words(f"{key}={value}" for key, value in start.environment.items()),
                    "folder": start.folder.replace("%", "%%"),
                }
        found.append(timer)
    return found
