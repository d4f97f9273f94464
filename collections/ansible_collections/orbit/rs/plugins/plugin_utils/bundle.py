# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a diagnosis bundle consists of: files made of what was collected, without secrets, as one archive."""

from __future__ import annotations

import dataclasses
import io
import json
import re
import tarfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import yaml
from ansible_collections.orbit.rs.plugins.plugin_utils import diagnosis, redact, report
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Object, Release

SUMMARY = "SUMMARY.md"
WARNINGS = 15  # the last ones, in the summary

_NAME = "{release.namespace}_{release.name}_"  # neither has an underscore
_TIME = "%Y%m%dT%H%M%SZ"
_SUFFIX = ".tar.gz"


@dataclasses.dataclass(frozen=True)
class Material:
    """What was collected about a release. A text that is empty could not be had, or says nothing."""

    release: Release
    at: datetime
    why: str = ""  # the error of the run that failed
    status: str = ""
    lock: str = ""
    diagnosis: str = ""
    preflight: str = ""
    plan: str = ""
    drift: str = ""
    objects: Sequence[Object] = ()
    events: Sequence[Object] = ()
    logs: Mapping[str, str] = dataclasses.field(default_factory=dict)  # pod/container.log and the like
    values: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    manifest: Sequence[Object] = ()
    revisions: Sequence[Mapping[str, Any]] = ()
    operations: Sequence[Mapping[str, Any]] = ()
    secrets: Collection[str] = ()  # values that must not be in it
    missing: Sequence[str] = ()  # what could not be had, and why


def files(material: Material) -> dict[str, str]:
    """The files of the bundle by name, the summary first, all without secrets."""
    texts = {
        "status.txt": "\n\n".join(filter(None, (material.status, material.diagnosis, material.lock))),
        "preflight.txt": material.preflight,
        "plan.txt": material.plan,
        "drift.txt": material.drift,
        "events.txt": _events(material.events),
        "helm/history.txt": _revisions(material.revisions),
        "operations.txt": report.operations_text(material.operations) if material.operations else "",
        **{f"logs/{name}": text for name, text in material.logs.items()},
    }
    found = {name: f"{redact.text(text, material.secrets).rstrip()}\n" for name, text in texts.items() if text}
    data: dict[str, Any] = {
        f"objects/{obj['kind'].lower()}-{obj['metadata']['name']}.yaml": redact.obj(obj, material.secrets)
        for obj in material.objects
    }
    if material.values:
        data["helm/values.yaml"] = redact.data(dict(material.values), material.secrets)
    if material.manifest:
        data["helm/manifest.yaml"] = [redact.obj(obj, material.secrets) for obj in material.manifest]
    if material.operations:
        data["operations.yaml"] = redact.data(list(material.operations), material.secrets)
    found |= {name: _yaml(content) for name, content in data.items()}
    summary = redact.text(_summary(material, found), material.secrets)
    return {SUMMARY: summary, **dict(sorted(found.items()))}


def archive(content: Mapping[str, str], root: str, at: datetime) -> bytes:
    """The files as a .tar.gz, in a folder of this name, in their order."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=6) as tar:
        for name, text in content.items():
            data = text.encode()
            member = tarfile.TarInfo(f"{root}/{name}")
            member.size, member.mode, member.mtime = len(data), 0o600, int(at.timestamp())
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def name(release: Release, at: datetime) -> str:
    """Name of the archive; without its suffix, that of the folder in it."""
    return f"{_NAME.format(release=release)}{at.astimezone(UTC):{_TIME}}{_SUFFIX}"


def surplus(names: Iterable[str], release: Release, keep: int) -> list[str]:
    """Of these files, the bundles of this release that are too many: the oldest ones."""
    ours = re.compile(rf"{re.escape(_NAME.format(release=release))}\d{{8}}T\d{{6}}Z{re.escape(_SUFFIX)}")
    return sorted(name for name in names if ours.fullmatch(name))[: -keep or None]


def root(file: str) -> str:
    """Name of the folder in the archive of this name."""
    return file.removesuffix(_SUFFIX)


def _summary(material: Material, found: Mapping[str, str]) -> str:
    where = f"{material.release.name} in namespace {material.release.namespace}"
    sizes = (f"{name}  {len(text.encode())} bytes" for name, text in sorted(found.items()))
    sections = [
        ("Why the run failed", material.why),
        ("What is wrong", "" if material.why else material.diagnosis),
        ("How it is", "\n\n".join(filter(None, (material.status, material.lock)))),
        ("Findings of preflight", material.preflight),
        ("Drift", material.drift),
        (f"The last {WARNINGS} warnings", _events(_warnings(material.events))),
        ("The last operations", report.operations_text(material.operations[:5]) if material.operations else ""),
        ("What could not be had", "\n".join(f"- {line}" for line in material.missing)),
        ("What is in this folder", "\n".join(sizes)),
    ]
    head = (
        f"# {where}, seen {material.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC\n\n"
        "Values of Secrets are not in here, and what looks like a password, key or token is hidden. Read it all the "
        "same\nbefore you pass it on: no pattern knows every secret.\n"
    )
    blocks = (f"## {title}\n\n```\n{text.strip()}\n```\n" for title, text in sections if text.strip())
    return "\n".join((head, *blocks))


def _events(events: Iterable[Object]) -> str:
    rows = [
        (
            f"{diagnosis.event_time(event):%Y-%m-%d %H:%M:%S}",
            event.get("type") or "",
            event.get("count") or (event.get("series") or {}).get("count") or 1,
            event.get("reason") or "",
            f"{event['involvedObject'].get('kind')}/{event['involvedObject'].get('name')}",
            " ".join((event.get("message") or "").split()),
        )
        for event in sorted(events, key=diagnosis.event_time)
    ]
    return report.table(("time (UTC)", "type", "count", "reason", "object", "message"), rows, width=180) if rows else ""


def _warnings(events: Iterable[Object]) -> list[Object]:
    return sorted((event for event in events if event.get("type") == "Warning"), key=diagnosis.event_time)[-WARNINGS:]


def _revisions(revisions: Iterable[Mapping[str, Any]]) -> str:
    columns = ("revision", "updated", "status", "chart", "app_version", "description")
    rows = [[item.get(column, "") for column in columns] for item in revisions]
    return report.table(columns, rows, width=140) if rows else ""


def _yaml(content: Any) -> str:
    # By way of JSON: YAML would write anchors for what occurs twice.
    return str(yaml.safe_dump(json.loads(json.dumps(content, default=str)), sort_keys=False, width=160))
