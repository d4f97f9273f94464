# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables of an inventory: what a misspelt one was meant to be, and what is wrong with a value.

Types are checked by Ansible, from the argument specs of the roles.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.orbit.rs.plugins.plugin_utils import schedule
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Finding, OrbitError

PREFIX = "orbit_rs_"
_ROLES = Path(__file__).parents[2] / "roles"

# So much alike that it can only be a slip; what is less alike can be a variable of the user's own.
_SLIP = 0.85
_ALIKE = 0.6

_LABEL = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_LABEL_KEY = re.compile(r"(?:[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")

# What is wrong with a value, in words; "" when nothing is.
Rule = Callable[[Any], str]


def known() -> set[str]:
    """The variables that the argument specs of all roles document."""
    # Much faster than reading them as YAML; a test sees that it is the same.
    specs = _ROLES.glob("*/meta/argument_specs.yml")
    return {
        name for spec in specs for name in re.findall(r"^ {6}(orbit_rs_\w+):", spec.read_text("utf-8"), re.MULTILINE)
    }


def unknown(names: Iterable[str], known: Collection[str]) -> list[Finding]:
    """A finding for each variable that looks like one of ours and is none: an error when it can only be a slip."""
    words = {name.removeprefix(PREFIX): name for name in known}
    findings = []
    for name in sorted(name for name in names if name.startswith(PREFIX) and name not in known):
        word = name.removeprefix(PREFIX)
        close = difflib.get_close_matches(word, words, n=1, cutoff=_ALIKE)
        slip = bool(close) and difflib.SequenceMatcher(None, close[0], word).ratio() >= _SLIP
        remedy = f"Did you mean {words[close[0]]}?" if close else "The README of each role lists its variables."
        if not slip:
            remedy += " A variable of your own needs another prefix, to be told from a slip."
        findings.append(Finding("error" if slip else "warning", "variables", f"{name} is not known.", remedy))
    return findings


def wrong(values: Mapping[str, Any]) -> list[Finding]:
    """What is wrong with the values of variables (RULES), all at once."""
    return [
        Finding("error", "variables", f"{name} is {_shown(name, values[name])}: {said}.", f"Correct {name}.")
        for name, rule in RULES.items()
        if name in values and (said := rule(values[name]))
    ]


def _shown(name: str, value: Any) -> str:
    """The value, short; not a password, nor what is in a map, which can be secret, too."""
    if name.endswith("_password"):
        return "hidden"
    if isinstance(value, Mapping):
        return "a map"
    if isinstance(value, (list, tuple)):
        return "a list"
    text = str(value)
    return repr(text if len(text) <= 80 else f"{text[:77]}...") if isinstance(value, str) else text


def _text(pattern: str, says: str, most: int = 10_000, *, empty: bool = True) -> Rule:
    """A rule for text of this form."""
    form = re.compile(pattern)

    def rule(value: Any) -> str:
        if not isinstance(value, str):
            return "it must be text"
        if not value:
            return "" if empty else "it must not be empty"
        return says if not form.fullmatch(value) else f"it may have {most} characters" if len(value) > most else ""

    return rule


def _count(least: int, of: str = " of seconds") -> Rule:
    """A rule for a whole number."""

    def rule(value: Any) -> str:
        fits = re.fullmatch(r"\d+", str(value)) and int(value) >= least
        return "" if fits else f"it must be a whole number{of}, {least} or more"

    return rule


def _labels(value: Any) -> str:
    if not isinstance(value, Mapping):
        return "it must be a map"
    for name, label in value.items():
        if not _LABEL_KEY.fullmatch(str(name)):
            return f"{name} is not the name of a label"
        if not isinstance(label, str) or not _LABEL.fullmatch(label):
            return f"the label {name} needs text of letters, digits, '-', '_' and '.', up to 63 (true and 1 in quotes)"
    return ""


def _scalars(value: Any) -> str:
    if not isinstance(value, Mapping):
        return "it must be a map"
    nested = [name for name, item in value.items() if isinstance(item, (Mapping, list, tuple)) or item is None]
    return f"{nested[0]} must be text, a number, true or false" if nested else ""


def _folder(value: Any) -> str:
    if not isinstance(value, str):
        return "it must be text"
    return "it is a file, and must be a folder" if Path(value).expanduser().is_file() else ""


def _file(value: Any) -> str:
    """A rule for a file that a run writes."""
    if not isinstance(value, str):
        return "it must be text"
    path = Path(value).expanduser()
    if value and path.is_dir():
        return "it is a folder, and must be a file"
    return "" if path.parent.is_dir() else f"there is no folder {path.parent}"


def _readable(value: Any) -> str:
    """A rule for a file that a run reads."""
    if not isinstance(value, str):
        return "it must be text"
    return "" if not value or Path(value).expanduser().is_file() else "there is no such file"


def _schedule(value: Any) -> str:
    if not isinstance(value, Mapping):
        return "it must be a map"
    try:
        schedule.timers(value, "", schedule.Start("", "", {}, []))
    except OrbitError as error:
        return error.seen.rstrip(".")
    return ""


_DNS = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_NAME = "a name has lower case letters, digits and '-', and begins and ends with a letter or digit"


def _sources(password: str) -> dict[str, Rule]:
    """The rules for the four variables that say where a password comes from."""
    return {
        password: _text(r".+", "it must be one line"),
        f"{password}_file": _readable,
        f"{password}_secret": _text(rf"{_DNS}(?:\.{_DNS})*", f"{_NAME}, with dots in between", 253),
        f"{password}_command": _text(r"[^\s\"'].*", "it must begin with the name of a command"),
    }


RULES: Mapping[str, Rule] = {
    "orbit_rs_release": _text(_DNS, _NAME, 53, empty=False),
    "orbit_rs_namespace": _text(_DNS, _NAME, 63, empty=False),
    "orbit_rs_destroy_data": _text(_DNS, _NAME, 53),
    "orbit_rs_namespace_labels": _labels,
    "orbit_rs_storage_class": _text(rf"{_DNS}(?:\.{_DNS})*", f"{_NAME}, with dots in between", 253),
    "orbit_rs_storage_snapshot_class": _text(rf"{_DNS}(?:\.{_DNS})*", f"{_NAME}, with dots in between", 253),
    "orbit_rs_storage_test_image": _text(r"[a-z0-9]\S*", "an image looks like registry.example.com/name:tag"),
    "orbit_rs_storage_parameters": _scalars,
    "orbit_rs_chart": _text(r"\S.*", "it must name a chart", empty=False),
    "orbit_rs_chart_version": _text(r"[v\d*xX^~<>=].*", "a version looks like 0.1.0, or is a range like ^0.1"),
    "orbit_rs_chart_repository": _text(
        r"https?://[^\s/]\S*", "the URL of a chart repository begins with http:// or https://"
    ),
    "orbit_rs_plan_hash": _text(r"[0-9a-f]{64}", "a hash has 64 hexadecimal digits; the plan prints it"),
    "orbit_rs_mirror": _text(r"https?://[^\s/]\S*", "a base URL begins with http:// or https://"),
    "orbit_rs_bin_dir": _folder,
    "orbit_rs_python_target": _folder,
    "orbit_rs_diagnose_dir": _folder,
    "orbit_rs_metrics_dir": _folder,
    "orbit_rs_repository": _text(
        r"(?:/|[a-z0-9]+:)\S.*", "it is an absolute folder, or begins with its kind, such as s3: or rest:"
    ),
    "orbit_rs_repository_name": _text(
        r"[A-Za-z0-9][-A-Za-z0-9_.]*", "a name has letters, digits, '_', '.' and '-'", 63
    ),
    **_sources("orbit_rs_repository_password"),
    **_sources("orbit_rs_repository_new_password"),
    "orbit_rs_repository_environment": _scalars,
    "orbit_rs_backup_parallel": _count(1, ""),
    "orbit_rs_backup_scratch": _text(r"/[^\s]*", "it must be an absolute folder of the pods", empty=False),
    "orbit_rs_backup_database": _text(r"[^/\s][^/]*", "it must be the name of a file, without a folder", empty=False),
    "orbit_rs_set": _text(r"newest|verified|\d{8}T\d{6}Z", "it is newest, verified or an id such as 20261130T023000Z"),
    "orbit_rs_drill_namespace": _text(_DNS, _NAME, 63),
    "orbit_rs_removal_backup_age": _count(0),
    "orbit_rs_keep_last": _count(0, ""),
    "orbit_rs_keep_hourly": _count(0, ""),
    "orbit_rs_keep_daily": _count(0, ""),
    "orbit_rs_keep_weekly": _count(0, ""),
    "orbit_rs_keep_monthly": _count(0, ""),
    "orbit_rs_keep_yearly": _count(0, ""),
    "orbit_rs_keep_safety": _count(0, ""),
    "orbit_rs_keep_minimum": _count(1, ""),
    "orbit_rs_restore_before": _text(r"\d{4}-\d\d-\d\d.*", "a time looks like 2026-11-30T14:50"),
    "orbit_rs_restore_from": _text(r"[A-Za-z0-9][-A-Za-z0-9_.]*", "a name has letters, digits, '_', '.' and '-'", 127),
    "orbit_rs_restore_confirm": _text(_DNS, _NAME, 53),
    "orbit_rs_verify_subset": _text(r"\d+(?:\.\d+)?%|\d+/\d+|\d+[KMGT]?", "a part looks like 5%, 1/10 or 500M"),
    "orbit_rs_schedule": _schedule,
    "orbit_rs_schedule_jitter": _count(0),
    "orbit_rs_schedule_folder": _text(r"/.*", "it must be an absolute folder"),
    "orbit_rs_drift_report": _file,
    "orbit_rs_history_html": _file,
    "orbit_rs_rollout_timeout": _count(1),
    "orbit_rs_gate_timeout": _count(1),
    "orbit_rs_addons_timeout": _count(1),
    "orbit_rs_lock_timeout": _count(0),
    "orbit_rs_soak": _count(0),
    "orbit_rs_revision": _count(0, ""),
    "orbit_rs_replicas": _count(0, ""),
    "orbit_rs_min_replicas": _count(0, ""),
    "orbit_rs_max_replicas": _count(0, ""),
    "orbit_rs_version": _text(r"[A-Za-z0-9_][-A-Za-z0-9_.]{0,127}", "a tag has letters, digits, '_', '.' and '-'"),
}
