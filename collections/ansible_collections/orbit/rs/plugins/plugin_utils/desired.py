# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Desired state: chart, values and platform, checked and rendered."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.orbit.rs.plugins.plugin_utils import (
    diagnosis,
    preflight,
    report,
    snapshot,
    storage,
    values,
)
from ansible_collections.orbit.rs.plugins.plugin_utils.cluster import Cluster
from ansible_collections.orbit.rs.plugins.plugin_utils.helm import Helm
from ansible_collections.orbit.rs.plugins.plugin_utils.model import (
    Desired,
    Finding,
    Object,
    OrbitError,
    Release,
    Snapshot,
)


@dataclasses.dataclass(frozen=True)
class Wish:
    """What an inventory says about a release."""

    chart: str
    chart_version: str = ""
    values: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    values_files: Sequence[str] = ()
    storage_provider: str = "generic"
    storage_class: str = ""
    storage_parameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    storage_default: bool = False
    namespace_labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    overrides: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # values of this run alone


def compare(cluster: Cluster, helm: Helm, release: Release, wish: Wish) -> tuple[Desired, Snapshot, list[Finding]]:
    """Desired state, live state, and all findings about the two. Raises OrbitError, also for bad values."""
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(snapshot.read, cluster, helm, release)
        effective, findings = _values(wish)
        platform = _platform(release, wish)
        name, app_version = helm.chart(wish.chart, wish.chart_version)
        live = reading.result()
    effective = _with_live_count(effective, live)
    rendered = _render(helm, release, wish, effective, live.kubernetes)
    desired = Desired(release, name, app_version, effective, rendered, platform)
    stored = live.release.objects if live.release else ()
    live = snapshot.read_objects(cluster, live, (*rendered, *stored, *platform))
    return desired, live, [*findings, *preflight.findings(desired, live)]


def _values(wish: Wish) -> tuple[dict[str, Any], list[Finding]]:
    """The layers of values, merged and translated, with the warnings about them."""
    own = {"persistence": {"storageClass": wish.storage_class}} if wish.storage_class else {}
    return values.translate(
        values.merge(own, *(_file(path) for path in wish.values_files), wish.values, wish.overrides)
    )


def _with_live_count(effective: dict[str, Any], live: Snapshot) -> dict[str, Any]:
    """The values with the replica count that is there, as long as an autoscaler owns it."""
    if not (effective.get("autoscaling") or {}).get("enabled") or not live.pods:
        return effective
    count = 1 + max(diagnosis.ordinal(pod["metadata"]["name"]) or 0 for pod in live.pods)
    return values.merge(effective, {"orbitServer": {"replicaCount": count}})


def _render(helm: Helm, release: Release, wish: Wish, effective: dict[str, Any], kubernetes: str) -> tuple[Object, ...]:
    """What the chart makes of the values. Raises OrbitError with all that is wrong with them."""
    try:
        return helm.template(release, wish.chart, effective, version=wish.chart_version, kubernetes=kubernetes)
    except OrbitError as error:
        # Helm checks the same schema, in its own words. Ours name the place and the nearest known key.
        wrong = values.check(effective, helm.schema(wish.chart))
        if not wrong:
            raise
        raise OrbitError(
            f"The values are refused.\n{report.findings_text(wrong)}",
            "Correct orbit_rs_values or orbit_rs_values_files. Nothing was changed.",
        ) from error


def _file(path: str) -> dict[str, Any]:
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise OrbitError(
            f"The values file {path} cannot be read: {error.strerror}.", "Correct orbit_rs_values_files."
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise OrbitError(f"The values file {path} is not YAML: {error}", "Correct it; nothing was changed.") from error
    if content is not None and not isinstance(content, dict):
        raise OrbitError(f"The values file {path} holds no map of keys and values.", "Correct orbit_rs_values_files.")
    return content or {}


def _platform(release: Release, wish: Wish) -> tuple[Object, ...]:
    """What must be there before the release."""
    namespace: Object = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": release.namespace, "labels": dict(wish.namespace_labels)},
    }
    storage_class = storage.storage_class(
        wish.storage_provider,
        wish.storage_class,
        parameters=wish.storage_parameters,
        default=wish.storage_default,
    )
    return (namespace, storage_class) if storage_class else (namespace,)
