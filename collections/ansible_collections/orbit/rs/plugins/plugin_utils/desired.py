# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Desired state: chart, values and platform, checked and rendered."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.orbit.rs.plugins.plugin_utils import (
    objects,
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

VAULT = "$ANSIBLE_VAULT;"  # how an encrypted file begins


def _no_vault(path: str) -> str:
    raise OrbitError(f"The values file {path} is encrypted, and there is no vault here.", "Decrypt it first.")


@dataclasses.dataclass(frozen=True)
class Wish:
    """What an inventory says about a release."""

    chart: str
    chart_version: str = ""
    chart_repository: str = ""
    values: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    values_files: Sequence[str] = ()
    storage_provider: str = "generic"
    storage_class: str = ""
    storage_parameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    storage_default: bool = False
    storage_allow_expansion: bool | None = None
    storage_reclaim_policy: str = ""
    storage_binding_mode: str = ""
    storage_zones: Sequence[str] = ()
    storage_mount_options: Sequence[str] = ()
    storage_snapshot_class: str = ""
    namespace_labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    overrides: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # values of this run alone
    decrypted: Callable[[str], str] = _no_vault  # text of an encrypted file


def compare(
    cluster: Cluster, helm: Helm, release: Release, wish: Wish, *, acting: bool = True
) -> tuple[Desired, Snapshot, list[Finding]]:
    """Desired state, live state, and all findings about the two. Raises OrbitError, also for bad values.

    Unless `acting`, what the account may not do is only a warning: somebody else may.
    """
    with ThreadPoolExecutor(2) as pool:
        reading = pool.submit(snapshot.read, cluster, helm, release)
        effective, findings = _values(wish)
        if _autoscales(effective) and "replicaCount" in (wish.overrides.get("orbitServer") or {}):
            raise OrbitError(
                "An autoscaler owns the number of ordinals, so nothing else can set it.",
                "Set its bounds: -e orbit_rs_min_replicas=... -e orbit_rs_max_replicas=...",
            )
        platform, outdated = _platform(release, wish)
        chart = _chart(helm, wish)
        name, app_version = helm.chart(chart)
        # Helm renders while the cluster is read, unless an autoscaler owns the count: that has to be read first.
        rendering = None
        if not _autoscales(effective):
            rendering = pool.submit(_render, helm, release, chart, effective, cluster.version())
        live = reading.result()
        stored = live.release.objects if live.release else ()
        known = (*stored, *platform, *snapshot.volumes(live))
        reading = pool.submit(snapshot.read_objects, cluster, live, known)
        if rendering is None:
            effective = _with_live_count(cluster, effective, live)
            rendering = pool.submit(_render, helm, release, chart, effective, live.kubernetes)
        rendered = rendering.result()
        if count := _bounded(rendered):
            effective = _with_count(effective, count)
            rendered = _render(helm, release, chart, effective, live.kubernetes)
        live = snapshot.with_claims_of(reading.result(), rendered)
    missing = [obj for obj in platform if f"{obj['apiVersion']} {obj['kind']}" in live.unserved]
    platform = tuple(obj for obj in platform if obj not in missing)
    findings += [*outdated, *map(storage.unserved, missing)]
    desired = Desired(release, name, app_version, effective, rendered, platform, chart)
    wanted = (*rendered, *(item.object for item in preflight.references(desired, live)))
    live = snapshot.read_objects(cluster, live, wanted, preflight.lists(desired))
    live = snapshot.read_access(cluster, live, desired)
    findings += preflight.findings(desired, live)
    return desired, live, findings if acting else [_not_acting(finding) for finding in findings]


def render(helm: Helm, release: Release, wish: Wish) -> tuple[Object, ...]:
    """What the chart renders, without a look at the cluster. Raises OrbitError, also for bad values."""
    return _render(helm, release, _chart(helm, wish), _values(wish)[0], "")


def storage_wish(options: Mapping[str, Any]) -> storage.Wish:
    """What is said about storage in options whose names begin with storage_; that of the class is storage_class."""
    names = {field.name: f"storage_{field.name}" for field in dataclasses.fields(storage.Wish)}
    return storage.Wish(**{name: options[option] for name, option in (names | {"name": "storage_class"}).items()})


def namespace_object(name: str, labels: Mapping[str, str]) -> Object:
    """The namespace of a release."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": dict(labels)}}


def _not_acting(finding: Finding) -> Finding:
    return dataclasses.replace(finding, severity="warning") if finding.check == "permission" else finding


def _values(wish: Wish) -> tuple[dict[str, Any], list[Finding]]:
    """The layers of values, merged and translated, with the warnings about them."""
    own = {"persistence": {"storageClass": wish.storage_class}} if wish.storage_class else {}
    return values.translate(
        values.merge(own, *(_file(path, wish.decrypted) for path in wish.values_files), wish.values, wish.overrides)
    )


def _with_live_count(cluster: Cluster, effective: dict[str, Any], live: Snapshot) -> dict[str, Any]:
    """The values with the replica count that is there, as long as an autoscaler owns it."""
    stored = objects.find(live.release.objects, "StatefulSet") if live.release else None
    if not _autoscales(effective) or not stored:
        return effective
    found = cluster.find(cluster.path(stored))
    return _with_count(effective, found["spec"]["replicas"]) if found else effective


def _autoscales(effective: Mapping[str, Any]) -> bool:
    return bool((effective.get("autoscaling") or {}).get("enabled"))


def _with_count(effective: dict[str, Any], count: int) -> dict[str, Any]:
    return values.merge(effective, {"orbitServer": {"replicaCount": count}})


def _bounded(rendered: Sequence[Object]) -> int | None:
    """The count that an autoscaler would enforce at once, because that which is rendered is out of its bounds."""
    statefulset = objects.find(rendered, "StatefulSet")
    scaler = objects.find(rendered, "HorizontalPodAutoscaler")
    if not statefulset or not scaler:
        return None
    count = statefulset["spec"]["replicas"]
    bounded: int = min(max(count, scaler["spec"].get("minReplicas", 1)), scaler["spec"]["maxReplicas"])
    return bounded if bounded != count else None


def _chart(helm: Helm, wish: Wish) -> str:
    return helm.local(wish.chart, wish.chart_version, wish.chart_repository)


def _render(helm: Helm, release: Release, chart: str, effective: dict[str, Any], kubernetes: str) -> tuple[Object, ...]:
    """What the chart makes of the values. Raises OrbitError with all that is wrong with them."""
    try:
        return helm.template(release, chart, effective, kubernetes=kubernetes)
    except OrbitError as error:
        # Helm checks the same schema, in its own words. Ours name the place and the nearest known key.
        wrong = values.check(effective, helm.schema(chart))
        if not wrong:
            raise
        raise OrbitError(
            f"The values are refused.\n{report.findings_text(wrong)}",
            "Correct orbit_rs_values or orbit_rs_values_files. Nothing was changed.",
        ) from error


def _file(path: str, decrypted: Callable[[str], str]) -> dict[str, Any]:
    try:
        text = Path(path).read_text(encoding="utf-8")
        content = yaml.safe_load(decrypted(path) if text.startswith(VAULT) else text)
    except OSError as error:
        raise OrbitError(
            f"The values file {path} cannot be read: {error.strerror}.", "Correct orbit_rs_values_files."
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise OrbitError(f"The values file {path} is not YAML: {error}", "Correct it; nothing was changed.") from error
    if content is not None and not isinstance(content, dict):
        raise OrbitError(f"The values file {path} holds no map of keys and values.", "Correct orbit_rs_values_files.")
    return content or {}


def _platform(release: Release, wish: Wish) -> tuple[tuple[Object, ...], list[Finding]]:
    """What must be there before the release, and what is outdated in it."""
    classes, findings = storage.classes(storage_wish(vars(wish)))
    return (namespace_object(release.namespace, wish.namespace_labels), *classes), findings
