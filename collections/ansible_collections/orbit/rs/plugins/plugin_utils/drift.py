# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drift: what somebody has changed in the cluster since the last deploy, who, when, and how much it matters.

The live objects are compared with what Helm has stored, not with the inventory: what is only not deployed yet is no
drift. Fields that nobody has deployed are found by who has set them.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from ansible_collections.orbit.rs.plugins.plugin_utils import lock, objects, plan, record, redact
from ansible_collections.orbit.rs.plugins.plugin_utils.model import (
    Desired,
    Difference,
    HelmRelease,
    Release,
    Snapshot,
)

Risk = Literal["unsafe", "benign"]
Fail = Literal["any", "unsafe", "none"]  # which drift makes a run fail

# Field managers that act for us or for the cluster itself.
_OURS = ("helm", "orbit.rs")
_SYSTEM = (*_OURS, "kube-controller-manager", "cloud-controller-manager", "kube-apiserver", "kubelet")


@dataclasses.dataclass(frozen=True)
class Rule:
    """How much a difference matters. In the patterns, * stands for anything; the first rule that matches counts."""

    object: str  # Kind/namespace/name
    path: str
    risk: Risk
    why: str


_ROUTES = "Providers read it: it decides who reaches the server, or which rights it has."
_FOUND = "Helm knows its objects by it: the next deploy fails without it."
_RIGHTS = "It decides what the server may do on its node."
_SEEN = "It is for people and tools, and changes nothing of the server."

RULES: tuple[Rule, ...] = (
    Rule("Release/*", "*", "unsafe", "Somebody ran Helm beside the playbooks: nothing was planned, gated or recorded."),
    Rule("*", "", "unsafe", "It was deployed and is gone."),
    Rule(
        "StatefulSet/*",
        "spec.replicas",
        "unsafe",
        "Every ordinal owns its data: a new one is empty, and what is on a removed one is out of reach.",
    ),
    Rule("StatefulSet/*", "spec.updateStrategy*", "unsafe", "It decides which ordinals get a new revision."),
    Rule("StatefulSet/*", "*.image", "unsafe", "Another server runs than the one that was gated."),
    Rule("*", "*ecurityContext*", "unsafe", _RIGHTS),
    Rule("*", "spec.template.spec.host*", "unsafe", _RIGHTS),
    Rule("StatefulSet/*", "*olume*", "unsafe", "It decides where the data is, and whether it stays."),
    Rule("*", "metadata.annotations[meta.helm.sh/*", "unsafe", _FOUND),
    Rule("*", "metadata.labels[app.kubernetes.io/managed-by]", "unsafe", _FOUND),
    Rule("Namespace/*", "metadata.labels[pod-security.*", "unsafe", "It decides what pods may do in the namespace."),
    Rule("Service/*", "metadata.annotations*", "unsafe", _ROUTES),
    Rule("ServiceAccount/*", "metadata.annotations*", "unsafe", _ROUTES),
    Rule("Ingress/*", "metadata.annotations*", "unsafe", _ROUTES),
    Rule("*", "*inject*", "unsafe", "It puts something into the pods at their next start."),
    Rule("*", "metadata.*", "benign", _SEEN),
    Rule("StatefulSet/*", "spec.template.metadata.*", "benign", "It has restarted the pods, and changes nothing else."),
    Rule("StatefulSet/*", "spec.revisionHistoryLimit", "benign", "It only decides how many old revisions are kept."),
    Rule("StatefulSet/*", "spec.minReadySeconds", "benign", "It only decides how long a rollout waits."),
    Rule("StorageClass/*", "*", "unsafe", "It decides where the next volume is."),
    Rule("PodDisruptionBudget/*", "*", "unsafe", "It decides how many ordinals a drain may take at once."),
    Rule("NetworkPolicy/*", "*", "unsafe", "It decides who reaches the server, and whom the server reaches."),
    Rule("Secret/*", "*", "unsafe", "It holds credentials or keys."),
    Rule("*", "*", "unsafe", "It decides how the server runs or is reached."),
)


@dataclasses.dataclass(frozen=True)
class Item:
    """One field that is not as it was deployed."""

    difference: Difference  # wanted: as deployed
    risk: Risk
    why: str
    ignored: bool = False


@dataclasses.dataclass(frozen=True)
class Drift:
    """All of it."""

    items: tuple[Item, ...]
    pending: tuple[Difference, ...]  # what the inventory asks for and nobody has deployed yet: no drift
    notes: tuple[str, ...]  # what makes this less certain

    def count(self, *risks: Risk) -> int:
        """How many items of these risks there are that are not ignored."""
        return sum(item.risk in risks for item in self.items if not item.ignored)

    def fails(self, which: Fail) -> bool:
        """Whether a run has to fail because of it."""
        return which != "none" and self.count("unsafe", *(("benign",) if which == "any" else ())) > 0


def find(desired: Desired, snapshot: Snapshot, ignore: Iterable[Mapping[str, str]] = ()) -> Drift:
    """All drift of a release that is there. `ignore` are patterns: {"object": "Service/*", "path": "metadata.*"}."""
    release = snapshot.release
    if release is None:
        raise AssertionError
    platform = plan.platform_changes(desired, snapshot)
    foreign = [item for item in platform if not item.by.startswith(_OURS)]
    found = [
        *(dataclasses.replace(item, origin="cluster") for item in foreign),
        *_release(desired.release, release, snapshot),
        *_objects(release, snapshot),
    ]
    ignored = tuple(ignore)
    items = [_item(difference, ignored) for difference in map(_shown, found)]
    known = {(item.difference.object, item.difference.path) for item in items}
    wanted = (*plan.inventory_changes(desired, snapshot), *(item for item in platform if item not in foreign))
    pending = [item for item in map(_shown, wanted) if (item.object, item.path) not in known]
    order = sorted(items, key=lambda item: (item.ignored, item.risk != "unsafe", item.difference.object))
    return Drift(tuple(order), tuple(pending), tuple(_notes(release, snapshot)))


def _objects(release: HelmRelease, snapshot: Snapshot) -> list[Difference]:
    """What differs from the stored manifest, and what was added to its objects."""
    result: list[Difference] = []
    scaled = any(obj["kind"] == "HorizontalPodAutoscaler" for obj in release.objects)
    for obj in release.objects:
        name = objects.key(obj)
        live = snapshot.objects.get(name)
        if name in snapshot.denied:
            continue
        if live is None:
            result.append(Difference(name, "", objects.PRESENT, None, "cluster"))
            continue
        changed = [dataclasses.replace(item, origin="cluster") for item in objects.differences(obj, live)]
        if release.status == "failed":  # half applied: what Helm itself has set is our own unfinished work
            changed = [item for item in changed if not item.by.startswith(_OURS)]
        if scaled and obj["kind"] == "StatefulSet":  # the release's own autoscaler decides
            changed = [item for item in changed if item.path != "spec.replicas"]
        changed = [_dated(item, snapshot) for item in changed]
        known = {item.path for item in changed}
        added = objects.additions(obj, live, _SYSTEM)
        result.extend((*changed, *(item for item in added if item.path not in known)))
    return result


def _dated(item: Difference, snapshot: Snapshot) -> Difference:
    """A changed replica count with its time, which the API server does not keep: that of the first pod it has made."""
    if item.path != "spec.replicas" or "," in item.by:
        return item
    first = f"{item.object.rpartition('/')[2]}-{item.wanted}"
    made = [pod["metadata"]["creationTimestamp"] for pod in snapshot.pods if pod["metadata"]["name"] == first]
    when = f"about {made[0].replace('T', ' ').replace('Z', ' UTC')}" if made else "the time is not kept"
    return dataclasses.replace(item, by=f"{item.by}, {when}") if item.by else item


def _release(name: Release, release: HelmRelease, snapshot: Snapshot) -> list[Difference]:
    """A revision that no operation on record has made."""
    # A restore and a cold backup make no revision.
    made = (item for item in record.read(snapshot.records) if item["revision"] or item["outcome"] != "succeeded")
    newest = next(made, None)
    if newest is None or newest["outcome"] != "succeeded" or newest["revision"] == release.revision:
        return []
    by = f"helm, {release.updated.replace('T', ' ')[:19]}"
    what = f"Release/{name.namespace}/{name.name}"
    return [Difference(what, "revision", newest["revision"], release.revision, "cluster", by)]


def _notes(release: HelmRelease, snapshot: Snapshot) -> Iterable[str]:
    holder = lock.holder(snapshot.lease)
    if holder and holder.identity:
        yield f"{holder.identity} is at work ({holder.operation}): what it has not finished may show as drift."
    elif holder and holder.unfinished:
        yield f"A run of {holder.operation} was not finished: what it has left shows in `orbit.rs.plan`, not here."
    if release.status != "deployed":
        yield f"Revision {release.revision} is {release.status}: not all of it may have been applied."
    if snapshot.denied:
        yield f"Not looked at, because it may not be read: {', '.join(snapshot.denied)}."


def _item(difference: Difference, ignore: Sequence[Mapping[str, str]]) -> Item:
    rule = next(rule for rule in RULES if _matches(difference, rule.object, rule.path))
    ignored = any(_matches(difference, entry.get("object") or "*", entry.get("path") or "*") for entry in ignore)
    return Item(difference, rule.risk, rule.why, ignored)


def _matches(difference: Difference, name: str, path: str) -> bool:
    return bool(_pattern(name).fullmatch(difference.object) and _pattern(path).fullmatch(difference.path))


@functools.cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, text.split("*"))), re.DOTALL)


def _shown(item: Difference) -> Difference:
    """The difference without secrets: whoever reads a report need not know them."""
    name = re.search(r"\.env\[([^]]+)\]\.value$", item.path)

    def shown(value: Any) -> Any:
        if name and value is not None:
            value = redact.data({name[1]: value})[name[1]]
        return redact.data(value)

    return dataclasses.replace(item, wanted=shown(item.wanted), found=shown(item.found))
