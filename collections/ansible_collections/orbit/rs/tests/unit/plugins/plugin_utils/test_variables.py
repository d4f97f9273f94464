# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible_collections.orbit.rs.plugins.plugin_utils import variables

KNOWN = variables.known()


def test_known_are_those_of_the_argument_specs() -> None:
    found = set()
    for path in variables._ROLES.glob("*/meta/argument_specs.yml"):
        for spec in yaml.safe_load(path.read_text())["argument_specs"].values():
            found |= set(spec.get("options") or {})
    assert found == KNOWN
    assert set(variables.RULES) <= KNOWN


@pytest.mark.parametrize(
    ("name", "severity", "meant"),
    [
        ("orbit_rs_namspace", "error", "orbit_rs_namespace"),
        ("orbit_rs_value", "error", "orbit_rs_values"),
        ("orbit_rs_values_file", "error", "orbit_rs_values_files"),
        ("orbit_rs_storageclass", "error", "orbit_rs_storage_class"),
        ("orbit_rs_kube_config", "error", "orbit_rs_kubeconfig"),
        ("orbit_rs_plan-hash", "error", "orbit_rs_plan_hash"),
        ("orbit_rs_my_own_namespace", "warning", ""),
        ("orbit_rs_region", "warning", ""),
        ("orbit_rs_xyzzy", "warning", ""),
    ],
)
def test_unknown(name: str, severity: str, meant: str) -> None:
    (finding,) = variables.unknown([name, "other_orbit_rs_values", "__orbit_rs_mine", *KNOWN], KNOWN)
    assert finding.severity == severity and name in finding.seen
    assert not meant or f"Did you mean {meant}?" in finding.remedy


GOOD: list[tuple[str, Any]] = [
    ("orbit_rs_repository", "s3:https://s3.example.com/backups"),
    ("orbit_rs_repository", "/srv/backups"),
    ("orbit_rs_repository_password_command", "pass show orbit/backup"),
    ("orbit_rs_repository_new_password_command", "pass show orbit/backup-2027"),
    ("orbit_rs_set", "20261130T023000Z"),
    ("orbit_rs_metrics_dir", "/var/lib/not/there/yet"),
    ("orbit_rs_schedule", {"backup": "0 */4 * * *", "drill": ""}),
    ("orbit_rs_schedule_jitter", 0),
    ("orbit_rs_schedule_folder", ""),
    ("orbit_rs_verify_subset", "2.5%"),
    ("orbit_rs_release", "orders-2"),
    ("orbit_rs_namespace_labels", {"a.b/c": "", "team": "x_y.z-1"}),
    ("orbit_rs_storage_class", ""),
    ("orbit_rs_storage_class", "gp3.fast"),
    ("orbit_rs_storage_parameters", {"type": "gp3", "iops": 3000, "encrypted": True}),
    ("orbit_rs_chart", "oci://registry.example.com/charts/orbit-rs"),
    ("orbit_rs_chart_version", "^0.1"),
    ("orbit_rs_chart_version", "v0.1.0"),
    ("orbit_rs_plan_hash", "0" * 64),
    ("orbit_rs_mirror", "https://user:secret@mirror.example.com/tools"),
    ("orbit_rs_rollout_timeout", "600"),
    ("orbit_rs_gate_timeout", 1),
    ("orbit_rs_bin_dir", "~/not/there/yet"),
    ("orbit_rs_python_target", ""),
    ("orbit_rs_soak", 0),
    ("orbit_rs_version", ""),
    ("orbit_rs_version", "v0.2.0-rc.1"),
]

BAD: list[tuple[str, Any, str]] = [
    ("orbit_rs_repository", "backups", "begins with its kind"),
    ("orbit_rs_repository_name", "a,b", "a name has letters"),
    ("orbit_rs_repository_password", "two\nlines", "orbit_rs_repository_password is hidden"),
    ("orbit_rs_repository_password_file", "/nowhere/password", "there is no such file"),
    ("orbit_rs_repository_password_secret", "Backup", "with dots in between"),
    ("orbit_rs_repository_password_command", "'pass show'", "the name of a command"),
    ("orbit_rs_repository_new_password", "two\nlines", "orbit_rs_repository_new_password is hidden"),
    ("orbit_rs_repository_new_password_file", "/nowhere/password", "there is no such file"),
    ("orbit_rs_repository_new_password_secret", "Backup", "with dots in between"),
    ("orbit_rs_repository_new_password_command", "'pass show'", "the name of a command"),
    ("orbit_rs_repository_environment", {"AWS_REGION": None}, "AWS_REGION must be text"),
    ("orbit_rs_backup_parallel", 0, "a whole number, 1 or more"),
    ("orbit_rs_backup_scratch", "tmp", "an absolute folder"),
    ("orbit_rs_backup_database", "a/b", "without a folder"),
    ("orbit_rs_set", "latest", "newest, verified or an id"),
    ("orbit_rs_metrics_dir", __file__, "it is a file"),
    ("orbit_rs_schedule", "0 2 * * *", "it must be a map"),
    ("orbit_rs_schedule", {"backup": "0 2 * *"}, "it needs five fields"),
    ("orbit_rs_schedule_jitter", -1, "a whole number of seconds, 0 or more"),
    ("orbit_rs_schedule_folder", "here", "an absolute folder"),
    ("orbit_rs_restore_before", "yesterday", "a time looks like"),
    ("orbit_rs_restore_from", "a,b", "a name has letters"),
    ("orbit_rs_restore_confirm", "Orders", "lower case letters"),
    ("orbit_rs_drill_namespace", "Drill", "lower case letters"),
    ("orbit_rs_removal_backup_age", -1, "a whole number of seconds"),
    ("orbit_rs_keep_last", -1, "a whole number"),
    ("orbit_rs_keep_hourly", -1, "a whole number"),
    ("orbit_rs_keep_daily", -1, "a whole number"),
    ("orbit_rs_keep_weekly", -1, "a whole number"),
    ("orbit_rs_keep_monthly", -1, "a whole number"),
    ("orbit_rs_keep_yearly", -1, "a whole number"),
    ("orbit_rs_keep_safety", -1, "a whole number"),
    ("orbit_rs_keep_minimum", -1, "a whole number"),
    ("orbit_rs_verify_subset", "some", "a part looks like"),
    ("orbit_rs_release", "Orders", "'Orders': a name has lower case letters"),
    ("orbit_rs_release", "a" * 54, "it may have 53 characters"),
    ("orbit_rs_release", "", "it must not be empty"),
    ("orbit_rs_namespace", {"a": 1}, "a map: it must be text"),
    ("orbit_rs_namespace", "a.b", "lower case letters"),
    ("orbit_rs_destroy_data", "Orders", "lower case letters"),
    ("orbit_rs_namespace_labels", {"team": True}, "the label team needs text"),
    ("orbit_rs_namespace_labels", {"a/b/c": "x"}, "a/b/c is not the name of a label"),
    ("orbit_rs_namespace_labels", {"team": "a b"}, "the label team needs text"),
    ("orbit_rs_storage_class", "Fast", "with dots in between"),
    ("orbit_rs_storage_snapshot_class", "Fast", "with dots in between"),
    ("orbit_rs_storage_test_image", "an image", "an image looks like"),
    ("orbit_rs_storage_parameters", {"type": {"a": 1}}, "type must be text, a number, true or false"),
    ("orbit_rs_chart", "", "it must not be empty"),
    ("orbit_rs_chart_version", "newest", "a version looks like 0.1.0"),
    ("orbit_rs_chart_repository", "oci://registry.example.com", "begins with http"),
    ("orbit_rs_plan_hash", "yes", "64 hexadecimal digits"),
    ("orbit_rs_mirror", "mirror.example.com", "begins with http"),
    ("orbit_rs_rollout_timeout", 0, "1 or more"),
    ("orbit_rs_rollout_timeout", -5, "1 or more"),
    ("orbit_rs_gate_timeout", "0", "1 or more"),
    ("orbit_rs_addons_timeout", 0, "1 or more"),
    ("orbit_rs_lock_timeout", -1, "0 or more"),
    ("orbit_rs_soak", "long", "0 or more"),
    ("orbit_rs_revision", -1, "a whole number, 0 or more"),
    ("orbit_rs_replicas", -1, "a whole number, 0 or more"),
    ("orbit_rs_min_replicas", -1, "a whole number, 0 or more"),
    ("orbit_rs_max_replicas", -1, "a whole number, 0 or more"),
    ("orbit_rs_version", "a b", "a tag has letters"),
    ("orbit_rs_bin_dir", __file__, "it is a file"),
    ("orbit_rs_python_target", __file__, "it is a file"),
    ("orbit_rs_diagnose_dir", __file__, "it is a file"),
    ("orbit_rs_drift_report", "/", "it is a folder"),
    ("orbit_rs_history_html", "/nowhere/history.html", "there is no folder /nowhere"),
]


@pytest.mark.parametrize(("name", "value"), GOOD)
def test_good(name: str, value: Any) -> None:
    assert variables.wrong({name: value}) == []


@pytest.mark.parametrize(("name", "value", "says"), BAD)
def test_bad(name: str, value: Any, says: str) -> None:
    (finding,) = variables.wrong({name: value})
    assert finding.severity == "error" and finding.seen.startswith(name) and says in finding.seen


def test_every_rule_has_a_bad_value() -> None:
    assert {name for name, *dummy in BAD} == set(variables.RULES)
