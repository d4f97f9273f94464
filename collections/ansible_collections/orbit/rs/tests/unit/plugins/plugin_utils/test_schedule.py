# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import re
import shlex
import subprocess
from datetime import datetime, timedelta

import pytest
from ansible_collections.orbit.rs.plugins.plugin_utils import schedule
from ansible_collections.orbit.rs.plugins.plugin_utils.model import OrbitError
from hypothesis import given
from hypothesis import strategies as st

START = schedule.Start("/opt/my venv/bin/ansible-playbook", "/srv/50%", {"PATH": "/bin"}, ["/etc/hosts.yml"])


@pytest.mark.parametrize(
    ("expression", "calendar"),
    [
        ("30 1 * * *", "*-*-* 01:30:00"),
        ("* * * * *", "*-*-* *:*:00"),
        ("*/15 * * * *", "*-*-* *:00,15,30,45:00"),
        ("0 */8 * * *", "*-*-* 00,08,16:00:00"),
        ("0 4 * * sun", "Sun *-*-* 04:00:00"),
        ("0 4 * * 0", "Sun *-*-* 04:00:00"),
        ("0 4 * * 7", "Sun *-*-* 04:00:00"),
        ("0 4 * * 5-7", "Sun,Fri,Sat *-*-* 04:00:00"),
        ("0 4 * * MON-wed", "Mon,Tue,Wed *-*-* 04:00:00"),
        ("5,10-20/5 2 1 jan,7 *", "*-01,07-01 02:05,10,15,20:00"),
        ("0 0 */10 * *", "*-*-01,11,21,31 00:00:00"),
        ("0 0 29 2 *", "*-02-29 00:00:00"),
        ("0 0 31 2,3 *", "*-02,03-31 00:00:00"),
    ],
)
def test_calendar(expression: str, calendar: str) -> None:
    assert schedule.calendar(expression) == calendar


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("", "it needs five fields"),
        ("0 2 * *", "it needs five fields"),
        ("@daily", "it needs five fields"),
        ("60 * * * *", "'60' is no minute; it goes from 0 to 59"),
        ("0 24 * * *", "'24' is no hour; it goes from 0 to 23"),
        ("0 0 0 * *", "'0' is no day; it goes from 1 to 31"),
        ("0 0 * 13 *", "'13' is no month; it goes from 1 to 12"),
        ("0 0 * * 8", "'8' is no weekday; it goes from 0 to 7"),
        ("0 0 * * mo", "'mo' is no weekday"),
        ("*/0 * * * *", "'*/0' is no minute"),
        ("5/2 * * * *", "'5/2' is no minute"),  # each cron makes something else of it
        ("1,,2 * * * *", "'' is no minute"),
        ("-1 * * * *", "'-1' is no minute"),
        ("0 0 ? * *", "'?' is no day"),
        ("20-10 * * * *", "the range 20-10 of the minute is empty"),
        ("0 0 30 2 *", "that day never comes"),
        ("0 0 31 4,6,9,11 *", "that day never comes"),
        ("0 0 13 * fri", "leave one of them *"),
        ("0 0 1-31 * fri", "leave one of them *"),  # which is every day to cron
        ("0 0 */2 * fri", "leave one of them *"),
    ],
)
def test_what_cannot_be_said(expression: str, says: str) -> None:
    with pytest.raises(OrbitError, match=re.escape(says)):
        schedule.calendar(expression)


def field(least: int, most: int) -> st.SearchStrategy[str]:
    number = st.integers(least, most)
    span = st.tuples(number, number).map(sorted).map(lambda ends: f"{ends[0]}-{ends[1]}")
    step = st.integers(1, most + 1)
    item = st.one_of(
        st.just("*"),
        number.map(str),
        span,
        st.tuples(st.one_of(st.just("*"), span), step).map(lambda pair: f"{pair[0]}/{pair[1]}"),
    )
    return st.one_of(st.just("*"), st.lists(item, min_size=1, max_size=3).map(",".join))


def cron_has(text: str, value: int, least: int) -> bool:
    """Whether a field of cron holds a value, item by item."""
    for item in text.split(","):
        what, dummy, step = item.partition("/")
        first, dummy, last = what.partition("-")
        low, high = (least, 99) if what == "*" else (int(first), int(last or first))
        if low <= value <= high and (value - low) % int(step or 1) == 0:
            return True
    return False


def cron_runs(expression: str, when: datetime) -> bool:
    minute, hour, day, month, weekday = expression.split()
    days = {when.isoweekday() % 7, when.isoweekday()}  # Sunday is 0 and 7
    return (
        cron_has(minute, when.minute, 0)
        and cron_has(hour, when.hour, 0)
        and cron_has(day, when.day, 1)
        and cron_has(month, when.month, 1)
        and any(cron_has(weekday, number, 0) for number in days)
    )


def timer_runs(calendar: str, when: datetime) -> bool:
    *days, date, clock = calendar.split()
    dummy, month, day = date.split("-")
    hour, minute, second = clock.split(":")
    assert dummy == "*" and second == "00"
    parts = ((month, when.month), (day, when.day), (hour, when.hour), (minute, when.minute))
    return (not days or when.strftime("%a") in days[0].split(",")) and all(
        text == "*" or f"{value:02}" in text.split(",") for text, value in parts
    )


@given(
    st.tuples(field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 7)),
    st.booleans(),
    st.integers(0, 4 * 366 * 1440),
)
def test_the_timer_runs_when_cron_does(parts: tuple[str, ...], by_day: bool, minutes: int) -> None:
    expression = " ".join((*parts[:2], parts[2] if by_day else "*", parts[3], "*" if by_day else parts[4]))
    try:
        calendar = schedule.calendar(expression)
    except OrbitError as error:
        assert "never comes" in error.seen
        return
    when = datetime(2024, 1, 1) + timedelta(minutes=minutes)
    assert timer_runs(calendar, when) == cron_runs(expression, when)
    # Most moments are no run: look at one that is.
    found = schedule.values(expression)
    runs = when.replace(minute=found["minute"][0], hour=found["hour"][-1])
    assert timer_runs(calendar, runs) == cron_runs(expression, runs)


def test_a_command_waits_for_the_lock_and_has_the_last_word_of_the_user() -> None:
    start = schedule.Start("ap", "/", {}, ["a", "b"], ["--vault-password-file", "/etc/v"])
    where = ["-i", "a", "-i", "b", "--limit", "orders", "-e", "orbit_rs_lock_timeout=3600"]
    assert start.words("orders", "drill") == ["ap", *where, "orbit.rs.drill", "--vault-password-file", "/etc/v"]


def test_units() -> None:
    timer = schedule.timers({"backup": "0 2 * * *"}, "orders", START)[0]
    assert timer["name"] == "orbit-rs-orders-backup" and timer["calendar"] == "*-*-* 02:00:00"
    assert timer["command"].startswith('"/opt/my venv/bin/ansible-playbook" "-i" "/etc/hosts.yml"')
    assert (timer["environment"], timer["folder"]) == ('"PATH=/bin"', "/srv/50%%")
    assert "job" not in timer


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("a b", '"a b"'),
        ('say "x"', '"say \\"x\\""'),
        ("back\\slash", '"back\\\\slash"'),
        ("50%", '"50%%"'),
        ("two\nlines", '"two\\nlines"'),
    ],
)
def test_words_of_a_unit(word: str, written: str) -> None:
    assert schedule.unit_words([word]) == written


def test_variables_are_not_expanded_in_the_arguments() -> None:
    assert schedule.unit_command("/a$b", "$HOME") == '"/a$b" "$$HOME"'


@pytest.mark.parametrize("word", ["a b", "it's", "$HOME `x` \\", "50%", '"', "*"])
def test_a_line_of_cron_is_what_the_shell_takes(word: str) -> None:
    line = schedule.cron_command("/tmp", {"WORD": word}, ["printf", "%s.", word])
    assert not re.search(r"(?<!\\)%", line)
    said = subprocess.run(("sh", "-c", line.replace("\\%", "%")), capture_output=True, text=True, check=True).stdout
    assert said == f"{word}."


def test_cron() -> None:
    first, *others = schedule.timers({"backup": "*/5 2 * * 1"}, "orders", START, cron=True, jitter=900)
    assert [first[name] for name in ("minute", "hour", "day", "month", "weekday")] == ["*/5", "2", "*", "*", "1"]
    wait, dummy, rest = first["job"].partition(" && ")
    assert 0 < int(wait.removeprefix("sleep ")) <= 900
    assert shlex.split(rest)[:5] == ["cd", "/srv/50%", "&&", "env", "PATH=/bin"]
    assert not any(timer["present"] for timer in others) and len(others) == 3
    late = {
        schedule.timers({"backup": "0 2 * * *"}, f"h{n}", START, cron=True, jitter=900)[0]["job"][:9] for n in range(20)
    }
    assert len(late) > 10, "a fleet begins at once"
    assert "sleep" not in schedule.timers({"backup": "0 2 * * *"}, "orders", START, cron=True)[0]["job"]


def test_a_line_that_cron_would_cut_is_refused() -> None:
    with pytest.raises(OrbitError, match="a line of cron has room for 998"):
        schedule.cron_command("/", {"PATH": "/bin:" * 250}, ["true"])


@pytest.mark.parametrize("expressions", [{}, {"backup": ""}, {"backup": None, "drill": ""}])
def test_what_has_no_expression_goes(expressions: dict[str, str]) -> None:
    timers = schedule.timers(expressions, "a b/c", START)
    assert [timer["operation"] for timer in timers] == list(schedule.OPERATIONS)
    assert not any(timer["present"] for timer in timers)
    assert timers[0]["name"] == "orbit-rs-a-b-c-backup"


def test_what_cannot_be_scheduled() -> None:
    with pytest.raises(OrbitError, match="The operation restore cannot be scheduled"):
        schedule.timers({"restore": "0 2 * * *"}, "orders", START)
