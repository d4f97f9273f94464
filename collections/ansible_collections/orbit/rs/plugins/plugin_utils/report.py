# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plain text for people: findings, plans, status. No colours, no JSON; 100 columns where that can be."""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import yaml
from ansible_collections.orbit.rs.plugins.plugin_utils import objects, preflight, timeline
from ansible_collections.orbit.rs.plugins.plugin_utils.model import (
    Check,
    Diagnosis,
    Difference,
    Finding,
    Object,
    OrdinalState,
    Plan,
    Release,
    Severity,
    Snapshot,
)

if TYPE_CHECKING:  # both print their own errors with this module
    from ansible_collections.orbit.rs.plugins.plugin_utils.drift import Drift
    from ansible_collections.orbit.rs.plugins.plugin_utils.lock import Holder

WIDTH = 100
GATES = ("health", "grpc", "metrics", "data")

_ORDER: tuple[Severity, ...] = ("error", "warning", "info")
_RISKS = {
    "safe": "no pod restarts",
    "restarts_pods": "pods restart",
    "removes_data_owner": "an owner of data goes",
    "destroys_data": "data is destroyed",
}


def size(number: float) -> str:
    """Bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024 or unit == "GiB":
            return f"{number:.0f} {unit}" if unit in ("B", "KiB") or number >= 100 else f"{number:.1f} {unit}"
        number /= 1024
    raise AssertionError


def duration(seconds: float) -> str:
    """A time span: 240 ms, 3.2 s, 1 min 12 s, 2 h 5 min."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [(hours, "h"), (minutes, "min"), (rest if not hours else 0, "s")]
    return " ".join(f"{number} {unit}" for number, unit in parts if number)


def table(headers: Sequence[str], rows: Iterable[Sequence[object]], *, width: int = WIDTH) -> str:
    """Columns of fixed width, two spaces between them; when it gets too wide, the last column wraps in itself."""
    texts = [list(headers), *([str(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    before = sum(widths[:-1]) + 2 * (len(widths) - 1)
    last = max(20, width - before)
    lines: list[str] = []
    for row in texts:
        head = "".join(f"{cell:<{size}}  " for cell, size in zip(row[:-1], widths[:-1], strict=True))
        wrapped = textwrap.wrap(row[-1], last, break_long_words=False, break_on_hyphens=False) or [""]
        lines.extend((head if index == 0 else " " * before) + text for index, text in enumerate(wrapped))
    return "\n".join(line.rstrip() for line in lines)


def findings_text(findings: Iterable[Finding]) -> str:
    """All findings, the worst first, with what to do about each."""
    ranked = sorted(findings, key=lambda finding: _ORDER.index(finding.severity))
    if not ranked:
        return "No findings."
    severity = max(len(finding.severity) for finding in ranked)
    indent = severity + max(len(finding.check) for finding in ranked) + 4
    lines = []
    for finding in ranked:
        head = f"{finding.severity:<{severity}}  {finding.check}".ljust(indent)
        lines.append(_hanging(head, finding.seen, indent))
        if finding.remedy:
            lines.append(_hanging(" " * indent + "-> ", finding.remedy, indent + 3))
    return "\n".join(lines)


def plan_text(plan: Plan, release: Release) -> str:
    """The plan as a person reads it before saying yes."""
    where = f"{release.name} in namespace {release.namespace}"
    parts = []
    if plan.findings:
        parts.append(findings_text(plan.findings))
    if plan.steps:
        count = f"{len(plan.steps)} step{'' if len(plan.steps) == 1 else 's'}"
        parts.append("\n".join([f"Plan for {where}: {count}", *_steps(plan)]))
    elif not plan.refused:
        parts.append(f"Plan for {where}: nothing to do.")
    if plan.refusals:
        parts.append("Refused:\n" + findings_text(plan.refusals))
    if plan.refused:
        parts.append("Nothing is changed until the errors above are gone.")
    elif plan.steps:
        parts.append(f"To allow this plan and no other:\n  -e orbit_rs_plan_hash={plan.hash}")
    return "\n\n".join(parts)


def diff(plan: Plan, wanted: Iterable[Object] = ()) -> list[dict[str, str]]:
    """The differences for Ansible's --diff, as YAML before and after: of a new object all of it, else the named fields.

    `wanted` are the objects that new ones are shown from. Values of Secrets are hidden.
    """
    whole = {objects.key(obj): objects.shown(obj) for obj in wanted}
    grouped: dict[str, list[Difference]] = {}
    for step in plan.steps:
        for difference in step.differences:
            grouped.setdefault(difference.object, []).append(difference)

    def text(name: str, items: Iterable[tuple[str, Any]]) -> str:
        present = {path or "object": value for path, value in items if value is not None}
        return _yaml(whole[name] if "object" in present and name in whole else present)

    return [
        {
            "before_header": f"{name} (found)",
            "after_header": f"{name} (wanted)",
            "before": _yaml({item.path or "object": item.found for item in items if item.found is not None}),
            "after": text(name, ((item.path, item.wanted) for item in items)),
        }
        for name, items in grouped.items()
    ]


def drift_text(found: Drift, release: Release) -> str:
    """What somebody has changed in the cluster: how much it matters, who, when, why it matters."""
    where = f"{release.name} in namespace {release.namespace}"
    ignored = sum(item.ignored for item in found.items)
    counts = f"{found.count('unsafe')} unsafe, {found.count('benign')} benign, {ignored} ignored"
    parts = [f"Drift of {where}: {counts}" if found.items else f"Drift of {where}: none, all is as it was deployed."]
    lines: list[str] = []
    for item in found.items:
        change, risk = item.difference, "ignored" if item.ignored else item.risk
        lines.append(f"  {risk:<7}  {change.object}" + ("" if change.path else ": is missing"))
        if change.path:
            # From what was deployed to what somebody made of it.
            turned = Difference(change.object, change.path, wanted=change.found, found=change.wanted)
            lines.extend(_difference(turned, " " * 11))
        if not item.ignored:
            who = f"by {change.by}" if change.by else "by whom is not known"
            lines.append(_hanging(" " * 11, f"{who}. {item.why}", 11))
    if lines:
        parts.append("\n".join(lines))
    if found.pending:
        names = ", ".join(dict.fromkeys(item.object for item in found.pending))
        text = f"Not deployed yet, so no drift: {len(found.pending)} changes of the inventory, of {names}."
        parts.append(_hanging("", text, 2))
    parts.extend(_hanging("Note: ", note, 6) for note in found.notes)
    return "\n\n".join(parts)


def drift_failure(found: Drift, release: Release) -> str:
    """Why a run fails because of drift, and what to do about it."""
    count = f"{found.count('unsafe')} unsafe and {found.count('benign')} benign changes"
    return (
        f"Somebody has changed {release.name} in namespace {release.namespace} in the cluster: {count}, listed above.\n"
        "To put it back, see first what that does: ansible-playbook orbit.rs.deploy --check --diff\n"
        "To keep it, ask for it in the inventory. To have it left out here, name it in orbit_rs_drift_ignore."
    )


def operations_text(records: Sequence[Mapping[str, Any]]) -> str:
    """The operations that have changed a release, a line for each."""
    rows = [
        (
            _moment(record["started"]),
            record["operation"],
            record["outcome"].replace("_", " "),
            duration(record["seconds"]),
            record["revision"] or "-",
            record["plan"][:12] or "-",
            record["by"],
        )
        for record in records
    ]
    return table(("started (UTC)", "operation", "outcome", "took", "revision", "plan", "by"), rows)


def history_text(release: Release, records: Sequence[Mapping[str, Any]]) -> str:
    """All operations on record, and what the newest of them did."""
    where = f"{release.name} in namespace {release.namespace}"
    if not records:
        return f"No operation on {where} is on record."
    newest = records[0]
    lines = [f"The newest, {newest['operation']}:", *(_hanging("  step  ", step, 8) for step in newest["steps"])]
    if newest["error"]:
        lines.append(_hanging("  error  ", newest["error"].splitlines()[0], 9))
    rows = [
        (
            f"  {row.ordinal}",
            *(duration(seconds) if (seconds := row.seconds(state)) else "-" for state in ("restart", "gate", "soak")),
            row.spans[-1].state,
        )
        for row in timeline.rows(newest)
        if row.ordinal is not None and row.spans
    ]
    if rows:
        lines.append("\n" + table(("  ordinal", "restart", "gate", "soak", "in the end"), rows))
    count = f"{len(records)} operation{'' if len(records) == 1 else 's'} on {where}"
    return "\n\n".join((count, operations_text(records), "\n".join(lines)))


def lock_text(holder: Holder | None, now: datetime) -> str:
    """Who is at work on a release, or what was left unfinished; empty when neither is."""
    if holder is None:
        return ""
    what = holder.operation or "an operation"
    since = f"{_moment(holder.since.isoformat())} UTC"
    if holder.identity and now < holder.expires():
        return f"At work: {holder.identity}, {what}, since {since}."
    if not holder.unfinished:
        return ""
    if playbook := holder.unfinished.get("resume"):
        return f"Unfinished: {what}, begun {since}. To go on: ansible-playbook orbit.rs.{playbook}"
    phase, base = holder.unfinished.get("phase", "begun"), holder.unfinished.get("base")
    back = "" if phase == "reshaping" else f"; -e orbit_rs_interrupted=revert goes back to revision {base}"
    return _hanging("", f"Unfinished: {what}, begun {since}, is {phase}. The next run of it goes on{back}.", 2)


def diagnosis_text(diagnosis: Diagnosis) -> str:
    """Cause, evidence and remedy of a rollout that cannot succeed."""
    who = f"Ordinal {diagnosis.ordinal}: " if diagnosis.ordinal is not None else ""
    rows = (
        ("cause", f"{who}{diagnosis.cause}"),
        ("evidence", diagnosis.evidence),
        ("remedy", diagnosis.remedy),
        ("more", diagnosis.link),
    )
    return "\n".join(_hanging(f"{name:<10}", text, 10) for name, text in rows if text)


def status_text(
    release: Release, snapshot: Snapshot, ordinals: Sequence[OrdinalState], checks: Sequence[Check] = ()
) -> str:
    """The release, a line for each ordinal, and the next commands to type. `checks` are those of the gate."""
    if snapshot.release is None:
        return f"There is no release {release.name} in namespace {release.namespace}.\n\n" + _commands(
            ("deploy it", "ansible-playbook orbit.rs.deploy")
        )
    helm = snapshot.release
    ready = sum(state.ready for state in ordinals)
    head = (
        f"{release.name} in namespace {release.namespace}: {helm.chart}, server {helm.app_version}, "
        f"revision {helm.revision} {helm.status}, {ready} of {len(ordinals)} ready"
    )
    zones = {
        node["metadata"]["name"]: (node["metadata"].get("labels") or {}).get(preflight.ZONE, "")
        for node in snapshot.nodes or ()
    }
    gates = [name for name in GATES if any(check.name == name for check in checks)]
    rows = []
    for state in ordinals:
        cells = (
            state.pod,
            state.node or "-",
            state.zone or zones.get(state.node) or "-",
            str(state.restarts),
            preflight.image(state.image)[1] or "-",
            *(_gate(checks, state.ordinal, name) for name in gates),
            _volume(snapshot, state.pod),
            state.phase if state.updated else f"{state.phase} (old revision)",
        )
        rows.append(cells)
    headers = ("pod", "node", "zone", "restarts", "image", *gates, "volume", "state")
    parts = [head, table(headers, rows)]
    if failed := [check for check in checks if not check.ok]:
        parts.append(
            "\n".join(_hanging(f"ordinal {check.ordinal} {check.name}: ", check.detail, 4) for check in failed)
        )
    parts.append(next_commands(release, ordinals))
    return "\n\n".join(parts)


def paused_text(release: Release, ordinals: Sequence[OrdinalState]) -> str:
    """What to do while a rollout is paused after its first ordinal."""
    new = ", ".join(state.pod for state in ordinals if state.updated)
    return f"Paused: {new} is on the new revision and good, the others wait.\n" + _commands(
        ("look at it", f"kubectl logs {new} -n {release.namespace} -f"),
        ("go on", "ansible-playbook orbit.rs.upgrade"),
        ("go back", "ansible-playbook orbit.rs.upgrade -e orbit_rs_interrupted=revert"),
    )


def next_commands(release: Release, ordinals: Sequence[OrdinalState]) -> str:
    """What an operator types next, the first ordinal that needs care named."""
    namespace = release.namespace
    bad = next((state for state in ordinals if not state.ready), None)
    pod = (bad or ordinals[0]).pod if ordinals else "orbit-server-0"
    if bad:
        return _commands(
            ("why", f"kubectl describe pod {pod} -n {namespace}"),
            ("its log", f"kubectl logs {pod} -n {namespace} --all-containers --prefix"),
            ("its last log", f"kubectl logs {pod} -n {namespace} --previous"),
        )
    return _commands(
        ("reach it", f"kubectl port-forward pod/{pod} -n {namespace} 6379 8080 50051"),
        ("log", f"kubectl logs {pod} -n {namespace} -f"),
        ("status", "ansible-playbook orbit.rs.status"),
        ("what would change", "ansible-playbook orbit.rs.deploy --check --diff"),
    )


def _steps(plan: Plan) -> list[str]:
    lines = []
    for number, step in enumerate(plan.steps, 1):
        head = f"  {number}  {step.kind:<9}  "
        lines.append(_hanging(head, f"{step.summary} ({_RISKS[step.risk]})", len(head)))
        name = ""
        for difference in step.differences:
            if not difference.path and step.kind != "install":
                continue  # the summary names it
            if difference.object != name:
                name = difference.object
                lines.append(f"       {name}")
            if difference.path:
                lines.extend(_difference(difference))
        if step.restarts:
            lines.append(_hanging("       restarts ", f"{', '.join(step.restarts)}, one at a time", 16))
    return lines


def _difference(difference: Difference, pad: str = " " * 9) -> list[str]:
    who = f"  (cluster: {difference.by or 'unknown'})" if difference.origin == "cluster" else ""
    wanted, found = difference.wanted, difference.found
    if isinstance(wanted, str) and isinstance(found, str) and "\n" in wanted + found:
        changed = difflib.unified_diff(found.splitlines(), wanted.splitlines(), n=0, lineterm="")
        body = [f"{pad}  {line}" for line in changed if line[:3] not in ("---", "+++") and not line.startswith("@@")]
        return [f"{pad}{difference.path}:{who}", *body]
    before, after = _value(found), _value(wanted)
    line = f"{pad}{difference.path}: {before} -> {after}{who}"
    if len(line) <= WIDTH:
        return [line]
    both = (_hanging(f"{pad}  {sign} ", text, len(pad) + 4) for sign, text in (("-", before), ("+", after)))
    return [f"{pad}{difference.path}:{who}", *both]


def _value(value: Any) -> str:
    """A value in one line, as YAML writes it."""
    if value is None:
        return "(none)"
    if value == objects.HIDDEN:
        return objects.HIDDEN
    text = yaml.safe_dump(value, default_flow_style=True, width=float("inf"), sort_keys=False)
    return str(text).removesuffix("\n").removesuffix("\n...")


def _yaml(content: dict[str, Any]) -> str:
    return str(yaml.dump(content, Dumper=_Dumper, sort_keys=True)) if content else ""


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as blocks, so that a diff shows lines."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def _moment(text: str) -> str:
    """A time as people read it, in UTC: 2026-01-01 10:00:00."""
    return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def _gate(checks: Sequence[Check], ordinal: int, name: str) -> str:
    found = next((check for check in checks if check.ordinal == ordinal and check.name == name), None)
    return "-" if found is None else "ok" if found.ok else "FAILED"


def _volume(snapshot: Snapshot, pod: str) -> str:
    for claim in snapshot.claims:
        if claim["metadata"]["name"].endswith(f"-{pod}"):
            capacity = ((claim.get("status") or {}).get("capacity") or {}).get("storage")
            return str(capacity or (claim.get("status") or {}).get("phase", "-"))
    return "-"


def _commands(*commands: tuple[str, str]) -> str:
    size = max(len(what) for what, dummy in commands)
    return "\n".join(["Next:", *(f"  {what:<{size}}  {command}" for what, command in commands)])


def _hanging(head: str, text: str, indent: int) -> str:
    """`head` and `text`, further lines indented. Long words (commands, paths) stay whole."""
    pad = " " * indent
    return "\n".join(
        textwrap.fill(
            line,
            WIDTH,
            initial_indent=pad if number else head,
            subsequent_indent=pad,
            break_long_words=False,
            break_on_hyphens=False,
        )
        for number, line in enumerate(text.splitlines())
    )
