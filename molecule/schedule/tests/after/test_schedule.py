# SPDX-License-Identifier: GPL-3.0-or-later
"""Timers on a control host, by a real systemd and a real cron: they run, make up for what was missed, and go again."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from ansible_collections.orbit.rs.plugins.plugin_utils import schedule
from ansible_collections.orbit.rs.tests.unit.plugins.plugin_utils.test_schedule import cron_runs
from prometheus_client.parser import text_string_to_metric_families

from molecule.schedule.tests.after.conftest import PASSWORD, PREFIX, until

ALL = {"backup": "30 1 * * *", "verify": "*/20 3 * * *", "drill": "30 4 * * sun", "retention": "30 6 1 jan *"}


def test_check_mode_shows_the_units_and_touches_nothing(control_host):
    said = control_host.schedule("--check", "--diff", orbit_rs_schedule=ALL)
    assert "OnCalendar=Sun *-*-* 04:30:00" in said and "changed=1" in said
    assert control_host.units() == [] and control_host.timers() == {}


def test_timers_are_installed_once(control_host):
    control_host.schedule(orbit_rs_schedule=ALL)
    assert "changed=0" in control_host.schedule(orbit_rs_schedule=ALL)
    assert "changed=0" in control_host.schedule("--check", orbit_rs_schedule=ALL)
    timers = control_host.timers()
    assert set(timers) == set(ALL)
    assert all(timer["next"] for timer in timers.values())
    assert control_host.run("systemd-analyze", "verify", *control_host.units()) == ""
    text = control_host.run("cat", *control_host.units())
    assert PASSWORD not in text and "--limit" in text


@pytest.mark.parametrize("expression", [*ALL.values(), "*/7 5-6 29 2 *", "0 0 * * 5-7", "59 23 31 */2 *"])
def test_systemd_means_what_cron_means(control_host, expression):
    calendar = schedule.calendar(expression)
    said = control_host.run(
        *("env", "LC_ALL=C", "TZ=UTC", "systemd-analyze", "calendar", "--iterations=4"),
        *("--base-time=2026-11-30 12:00:00 UTC", calendar),
    )
    expression = expression.replace("sun", "0").replace("jan", "1")
    found = re.findall(r"(?:Next elapse|Iteration #\d+): \w+ (\S+ \S+) UTC", said)
    begin = datetime(2026, 11, 30, 12, tzinfo=UTC)
    expected = []
    for day in range(4 * 366):  # a leap day is among them
        midnight = begin.replace(hour=0) + timedelta(days=day)
        if cron_runs(" ".join(("*", "*", *expression.split()[2:])), midnight):
            moments = (midnight + timedelta(minutes=minute) for minute in range(1440))
            expected += [f"{m:%Y-%m-%d %H:%M:%S}" for m in moments if m > begin and cron_runs(expression, m)]
        if len(expected) >= 4:
            break
    assert found == expected[:4], said


def test_what_is_not_asked_for_any_more_goes_and_what_has_changed_counts(control_host):
    less = {"backup": "0 5 * * *", "verify": "", "drill": ALL["drill"]}
    control_host.schedule(orbit_rs_schedule=less)
    timers = control_host.timers()
    assert set(timers) == {"backup", "drill"} and len(control_host.units()) == 3 * 2
    assert datetime.fromtimestamp(timers["backup"]["next"] / 1e6, UTC).strftime("%H:%M") == "05:00"


@pytest.fixture(scope="module")
def both(control_host):
    """Have systemd take a backup each minute, and cron do the retention, so that one minute is enough for both."""
    control_host.run(
        "sh",
        "-c",
        "ln -sf busybox /usr/bin/crontab; mkdir -p /var/spool/cron/crontabs; busybox crond -c /var/spool/cron/crontabs",
    )
    control_host.schedule(orbit_rs_schedule={"backup": "* * * * *"})
    by_cron = {"orbit_rs_schedule_with": "cron", "orbit_rs_schedule": {"retention": "* * * * *"}}
    control_host.schedule(**by_cron)
    assert "changed=0" in control_host.schedule(**by_cron)
    return by_cron


def test_systemd_takes_a_backup(control_host, both, outcomes):
    kept = until(lambda: outcomes("backup"))
    assert kept["run"]["error"] == "" and kept["success"] == kept["run"]
    said = control_host.run("ansible-playbook", "-i", "/etc/orbit-rs/hosts.yml", "playbooks/sets.yml")
    assert kept["run"]["set"] in said
    assert PASSWORD not in control_host.run("journalctl", "--unit", f"{PREFIX}-backup.service")
    control_host.schedule(orbit_rs_schedule={"backup": "0 0 1 1 *"})


def test_cron_does_the_retention(control_host, both, outcomes):
    assert until(lambda: outcomes("retention"))["run"]["error"] == ""
    assert PREFIX in control_host.run("crontab", "-l")
    control_host.schedule(**both | {"orbit_rs_schedule_state": "absent"})
    assert PREFIX not in control_host.run("crontab", "-l")


def test_a_run_that_was_missed_is_made_up_for(control_host, both, outcomes):
    control_host.schedule(orbit_rs_schedule={"verify": "0 0 1 1 *"})
    timer = f"{PREFIX}-verify.timer"
    assert outcomes("verify") is None
    control_host.run("systemctl", "stop", timer)
    control_host.run("touch", "--date=2 years ago", f"/var/lib/systemd/timers/stamp-{timer}")
    control_host.run("systemctl", "start", timer)
    assert until(lambda: outcomes("verify"))["run"]["error"] == ""


def test_prometheus_and_status_know(control_host, outcomes, deployed):
    (path,) = control_host.run("find", "/srv/metrics", "-type", "f", "-perm", "644").split()
    assert path.endswith(f"/orbit-rs-{deployed.namespace}-orbit-rs.prom")
    families = text_string_to_metric_families(control_host.run("cat", path))
    samples = {(sample.name, sample.labels.get("operation")): sample.value for f in families for sample in f.samples}
    taken = outcomes("backup")["success"]
    assert samples["orbit_rs_operation_last_run_success", "backup"] == 1
    ended = datetime.fromisoformat(taken["ended"]).timestamp()
    assert samples["orbit_rs_operation_last_success_timestamp_seconds", "backup"] == ended
    proved = outcomes("verify")["success"]["set"]
    begun = datetime.strptime(proved, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    assert samples["orbit_rs_last_verified_set_timestamp_seconds", None] == begun
    said = " ".join(deployed.playbook(playbook="status").split())
    assert f"Backups: set {proved}, begun" in said and "is proved" in said
    assert "backup" not in deployed.playbook(playbook="history"), "a backup has changed nothing"


def test_a_run_that_fails_is_on_record(control_host, outcomes):
    more = ("-e", json.dumps({"orbit_rs_repository": "/proc/nowhere"}))
    control_host.run("ansible-playbook", "-i", "/etc/orbit-rs/hosts.yml", "playbooks/backup.yml", *more, good=False)
    kept = outcomes("backup")
    assert "/proc/nowhere" in kept["run"]["error"] and kept["success"]["error"] == ""
    assert 'operation="backup"} 0' in control_host.run("sh", "-c", "cat /srv/metrics/*.prom")


def test_absent_removes_all(control_host):
    control_host.schedule(orbit_rs_schedule=ALL)
    control_host.schedule(orbit_rs_schedule_state="absent")
    assert control_host.units() == [] and control_host.timers() == {}
    assert "changed=0" in control_host.schedule(orbit_rs_schedule_state="absent")
