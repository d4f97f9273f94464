# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Earlier revisions of a release: which one to go back to, and what it takes to go there.

Helm stores the whole chart with each revision. It is deployed again as it was, but with the volumes and the replica
count that are there now: `helm rollback` would bring the old ones back, and remove an ordinal or fail on the volumes.
"""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.orbit.rs.plugins.plugin_utils import helm, objects, record
from ansible_collections.orbit.rs.plugins.plugin_utils.cluster import Cluster
from ansible_collections.orbit.rs.plugins.plugin_utils.desired import Wish
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Object, OrbitError, Release

# Annotations of a chart. A server that does not read the format of the data that is there must not be started on it.
DATA_FORMAT = "orbit.rs/data-format"
READS = "orbit.rs/reads-data-formats"  # separated by commas


def read(cluster: Cluster, release: Release) -> list[Object]:
    """Helm's Secrets of a release, the newest first. Raises OrbitError."""
    selector = f"owner=helm,name={release.name}"
    found = cluster.get(f"/api/v1/namespaces/{release.namespace}/secrets?labelSelector={selector}")["items"]
    if not found:
        raise OrbitError(
            f"Helm keeps no release {release.name} in Secrets of namespace {release.namespace}.",
            "Deploy it: ansible-playbook orbit.rs.deploy",
        )
    return sorted(found, key=helm.revision, reverse=True)


def last_good(secrets: Sequence[Object], records: Iterable[Mapping[str, Any]]) -> int:
    """The newest revision before the current one that was gated and good and says something else. Raises OrbitError."""
    good = {entry["revision"] for entry in records if entry["outcome"] in ("succeeded", "rolled_back")}
    current = helm.content(secrets[0])
    for secret in secrets[1:]:
        number = helm.revision(secret)
        superseded = secret["metadata"]["labels"]["status"] == "superseded"
        if superseded and number in good and _said(helm.content(secret)) != _said(current):
            return number
    raise OrbitError(
        "No earlier revision is known that was good and differs from this one.",
        "Choose one of `helm history`: -e orbit_rs_revision=NUMBER",
    )


def wish(secrets: Sequence[Object], number: int, live: Object | None, folder: Path, inventory: Wish) -> Wish:
    """What it takes to be as revision `number` was; its chart is written to `folder`. Raises OrbitError."""
    secret = next((item for item in secrets if helm.revision(item) == number), None)
    if secret is None:
        kept = ", ".join(str(helm.revision(item)) for item in secrets)
        raise OrbitError(
            f"Helm keeps no revision {number}; it keeps {kept}.", "Choose one: -e orbit_rs_revision=NUMBER"
        )
    target, current = helm.content(secret), helm.content(secrets[0])
    if unreadable := _unreadable(current, target):
        raise OrbitError(
            f"Revision {number} cannot be brought back: {unreadable}",
            "Restore a backup set from before the upgrade into that version instead.",
        )
    persistence = (current.get("config") or {}).get("persistence") or {}
    replicas = live["spec"].get("replicas", 1) if live else None
    return as_it_was(target, folder, inventory, replicas, persistence=persistence)


def as_it_was(
    content: Mapping[str, Any], folder: Path, inventory: Wish, replicas: int | None, **other: Mapping[str, Any]
) -> Wish:
    """What it takes to be as Helm's note says, with so many ordinals; its chart is written to `folder`.

    The platform stays as the inventory has it. Raises OrbitError.
    """
    _unpack(content["chart"], folder)
    values = {**(content.get("config") or {}), **other}
    values.pop("planDigest", None)
    if replicas is not None:
        values["orbitServer"] = {**(values.get("orbitServer") or {}), "replicaCount": replicas}
    return dataclasses.replace(
        inventory,
        chart=str(folder),
        chart_version="",
        chart_repository="",
        values=values,
        values_files=(),
        overrides={},
    )


def one_way(current: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """Why the server of `current` could not be brought back once that of `wanted` has run; empty when it could.

    Both are a chart's metadata.
    """
    ours = (current.get("annotations") or {}).get(READS) or (current.get("annotations") or {}).get(DATA_FORMAT)
    theirs = (wanted.get("annotations") or {}).get(DATA_FORMAT)
    if not ours or not theirs or theirs in [item.strip() for item in ours.split(",")]:
        return ""
    return f"its data format is {theirs}, and the version before reads {ours}."


def records(cluster: Cluster, release: Release) -> list[dict[str, Any]]:
    """The records of a release, the newest first; none when there are none. Raises ApiError."""
    return record.read(cluster.find(record.path(release)))


def _unreadable(current: Mapping[str, Any], target: Mapping[str, Any]) -> str:
    why = one_way(target["chart"]["metadata"], current["chart"]["metadata"])
    return f"the data is there in another format: {why}" if why else ""


def _said(content: Mapping[str, Any]) -> str:
    return objects.digest(objects.parse(content.get("manifest") or "", content["namespace"]))


def _unpack(chart: Mapping[str, Any], folder: Path) -> None:
    """Write a chart as Helm has stored it."""
    files = {
        "Chart.yaml": json.dumps(chart["metadata"]).encode(),
        "values.yaml": json.dumps(chart.get("values") or {}).encode(),
    }
    if chart.get("schema"):
        files["values.schema.json"] = base64.b64decode(chart["schema"])
    for item in (*(chart.get("templates") or ()), *(chart.get("files") or ())):
        files[item["name"]] = base64.b64decode(item["data"])
    for name, content in files.items():
        path = (folder / name).resolve()
        if not path.is_relative_to(folder.resolve()):
            raise OrbitError(f"The stored chart holds a file outside of itself: {name}.", "Do not deploy it.")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
