# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan: what has to be done so that the cluster holds what is wanted, and what will not be done and why.

Three states are compared, as Helm's merge does: wanted (rendered now), stored (rendered by the last revision), live.
Where stored already differs from wanted, the inventory has changed; where only live does, somebody in the cluster.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

from ansible_collections.orbit.rs.plugins.plugin_utils import lock, objects, preflight, rollout, storage, volumes
from ansible_collections.orbit.rs.plugins.plugin_utils.model import (
    Desired,
    Difference,
    Finding,
    HelmRelease,
    Object,
    Permission,
    Plan,
    Release,
    Snapshot,
    Step,
    StepKind,
    listed,
)

# Fields of other kinds that the API server never lets change.
_IMMUTABLE: Mapping[str, tuple[str, ...]] = {
    "ClusterRoleBinding": ("roleRef",),
    "RoleBinding": ("roleRef",),
    "Service": ("spec.clusterIP",),
    "StorageClass": storage.IMMUTABLE,
}

_TEMPLATE = "spec.template"
_PARTITION = "spec.updateStrategy.rollingUpdate.partition"
_CLAIMS = "spec.volumeClaimTemplates"

# How Helm knows what is its own.
_MANAGED = "app.kubernetes.io/managed-by"
_OWNER, _OWNER_NAMESPACE = "meta.helm.sh/release-name", "meta.helm.sh/release-namespace"

# What is not Helm's: what has to be there before the release, and the claims that a StatefulSet has made.
_PLATFORM = ("Namespace/", "PersistentVolumeClaim/", "StorageClass/", "VolumeSnapshotClass/")

# Steps that touch the volumes, or make the StatefulSet again.
RESHAPING = ("grow_storage", "reshape")

# What deploy does to a release; other playbooks add to it.
DEPLOY: frozenset[Permission] = frozenset({"install", "configure", "roll", "grow_storage"})


def make_plan(
    desired: Desired, snapshot: Snapshot, findings: Sequence[Finding], allowed: frozenset[Permission] = DEPLOY
) -> Plan:
    """Compare what is wanted with what is there. Touches nothing; the same input gives the same plan and hash.

    Findings pass through into the plan; those of severity error refuse it. So does a difference that only a step which
    is not `allowed` would make.
    """
    digest = objects.digest(desired.objects)
    release = _installed(snapshot)
    if release and (pending := preflight.unfinished(release, desired.release.name, desired.release.namespace)):
        # Half-written state: nothing that could be compared with it would be true.
        return _plan((), () if pending in findings else (pending,), findings, digest, release)

    orphaned, snapshot = orphans(desired, snapshot), with_orphans(desired, snapshot)
    platform = platform_changes(desired, snapshot)
    changes, unrecorded = _changes(desired, snapshot, release)
    adopted = adoptable(desired, snapshot) if "adopt" in allowed else ()
    refusals = [*_foreign(desired, snapshot, release, adopted), *_immutable(platform), *_immutable(changes)]
    if release or adopted:
        refusals.extend(_statefulset(desired, snapshot, changes, allowed))
    steps: list[Step] = []
    if acted := [change for change in platform if not _is_immutable(change)]:
        steps.append(Step("configure", "safe", _summary(acted), tuple(acted)))
    if adopted:
        steps.append(_adopt(adopted))
    if orphaned:
        summary = f"make StatefulSet {orphaned['metadata']['name']} again, around the pods that it has left running"
        again = Difference(objects.key(orphaned), "", objects.PRESENT, None)
        steps.append(Step("reshape", "safe", summary, (again,)))
    if release or adopted:
        reshaping, noted = _reshape(desired, snapshot, changes, unrecorded, refusals, allowed)
        steps.extend(reshaping)
        findings = (*findings, *noted)
    if release:
        steps.extend(_scale(desired, snapshot, changes, refusals, allowed))
    steps.extend(_steps(desired, snapshot, release, changes, unrecorded, allowed))
    return _plan(steps, refusals, findings, digest, release)


def actions(plan: Plan, desired: Desired) -> tuple[tuple[Object, ...], bool]:
    """What the plan needs: the platform objects to apply, and whether Helm has to run."""
    touched = {difference.object for step in plan.steps for difference in step.differences}
    return tuple(obj for obj in desired.platform if objects.key(obj) in touched), needs_helm(plan)


def needs_helm(plan: Plan) -> bool:
    """Whether Helm has to run: some step is about more than the platform and the partition."""
    return any(
        not step.differences
        or any(not item.object.startswith(_PLATFORM) and item.path != _PARTITION for item in step.differences)
        for step in plan.steps
    )


def inventory_changes(desired: Desired, snapshot: Snapshot) -> list[Difference]:
    """Differences of the release that the inventory has made since the last deploy, also those that deploy refuses."""
    changed, unrecorded = _changes(desired, snapshot, _installed(snapshot))
    return [item for item in (*changed, *unrecorded) if item.origin == "inventory"]


def _plan(
    steps: Iterable[Step],
    refusals: Iterable[Finding],
    findings: Sequence[Finding],
    digest: str,
    release: HelmRelease | None,
) -> Plan:
    steps = tuple(steps)
    pinned = {
        "steps": [dataclasses.asdict(step) for step in steps],
        "digest": digest,
        "revision": release.revision if release else 0,
    }
    content = json.dumps(pinned, sort_keys=True, default=str)
    return Plan(steps, tuple(refusals), tuple(findings), digest, hashlib.sha256(content.encode()).hexdigest())


def _installed(snapshot: Snapshot) -> HelmRelease | None:
    """The release, unless it was uninstalled and only its history is left."""
    release = snapshot.release
    return None if release is None or release.status == "uninstalled" else release


def _unreadable(name: str, snapshot: Snapshot) -> bool:
    """True when the object may not be read: whether it is there is not known, so nothing is said about it."""
    return name in snapshot.denied


def platform_changes(desired: Desired, snapshot: Snapshot) -> list[Difference]:
    """Differences of what has to be there before the release."""
    result = []
    for obj in desired.platform:
        name = objects.key(obj)
        live = snapshot.objects.get(name)
        if live is None and obj["kind"] == "Namespace":
            live = snapshot.namespace
        if live is None and obj["kind"] == "StorageClass":
            names = {item["metadata"]["name"]: item for item in snapshot.storage_classes or ()}
            live = names.get(obj["metadata"]["name"])
        if live is not None:
            result.extend((storage if obj["kind"] == "StorageClass" else objects).differences(obj, live))
        elif not _unreadable(name, snapshot):
            result.append(Difference(name, "", objects.PRESENT, None))
    return result


def _changes(
    desired: Desired, snapshot: Snapshot, release: HelmRelease | None
) -> tuple[list[Difference], list[Difference]]:
    """Differences of what belongs to the release: those that change the cluster, and those only the release has."""
    wanted = {objects.key(obj): obj for obj in desired.objects}
    stored = {objects.key(obj): obj for obj in release.objects} if release else {}
    # A failed revision is half applied: what differs in the cluster is our own unfinished work.
    drift = release is not None and release.status != "failed"
    changes: list[Difference] = []
    unrecorded: list[Difference] = []
    for name in sorted({*wanted, *stored}):
        if _unreadable(name, snapshot):
            continue
        want, was, live = wanted.get(name), stored.get(name), snapshot.objects.get(name)
        if want is None:
            (changes if live else unrecorded).append(Difference(name, "", None, objects.PRESENT))
        elif live is None:
            origin: Literal["inventory", "cluster"] = "cluster" if was and drift else "inventory"
            changes.append(Difference(name, "", objects.PRESENT, None, origin))
            changes.extend(objects.differences(want, was, was) if was else ())
        else:
            ours = objects.differences(want, was, was) if was else []
            theirs = objects.differences(want, live, was)
            changes.extend(_attributed(item, ours, drift=drift and was is not None) for item in theirs)
            if was:
                unrecorded.extend(item for item in ours if not any(_related(item, other) for other in theirs))
            elif not theirs:
                unrecorded.append(Difference(name, "", objects.PRESENT, objects.PRESENT))
    return changes, unrecorded


def _attributed(item: Difference, ours: Sequence[Difference], *, drift: bool) -> Difference:
    """The difference with its origin: ours when the inventory changed there, else somebody in the cluster."""
    if drift and not any(_related(item, other) for other in ours):
        return dataclasses.replace(item, origin="cluster")
    return dataclasses.replace(item, by="")


def _related(one: Difference, other: Difference) -> bool:
    return _within(one.path, other.path) or _within(other.path, one.path)


def _within(path: str, parent: str) -> bool:
    return path == parent or not parent or path.startswith((f"{parent}.", f"{parent}["))


def _steps(
    desired: Desired,
    snapshot: Snapshot,
    release: HelmRelease | None,
    changes: Sequence[Difference],
    unrecorded: Sequence[Difference],
    allowed: frozenset[Permission],
) -> list[Step]:
    statefulset = objects.find(desired.objects, "StatefulSet") or {}
    name = objects.key(statefulset)
    live = snapshot.objects.get(name)
    what = f"{desired.chart} ({desired.app_version}) as {desired.release.name} in {desired.release.namespace}"
    if release is None or (release.status == "failed" and live is None):
        again = ", again: the last attempt failed" if release else ""
        return [Step("install", "safe", f"install {what}{again}", (*changes, *unrecorded))]

    steps = []
    acted = [change for change in changes if not _refused(change)]
    roll = [item for item in acted if item.object == name and (not item.path or _within(item.path, _TEMPLATE))]
    if configure := [*(change for change in acted if change not in roll), *unrecorded]:
        steps.append(Step("configure", "safe", _summary(configure), tuple(configure)))
    if roll:
        spec = (live or statefulset)["spec"]
        pods = [f"{statefulset['metadata']['name']}-{ordinal}" for ordinal in range(int(spec.get("replicas", 1)))]
        summary = "change the pod template" if live else "create the StatefulSet again; the volumes keep their data"
        kind: StepKind = "roll"
        if (image := _image_change(desired, roll)) and _other_version(str(image.wanted), str(image.found)):
            summary = f"change {image.found} to {image.wanted}"
            if _none_ready(snapshot):
                summary += "; no ordinal is Ready, so this repairs a failed rollout"
            else:
                kind = "upgrade"
        steps.append(Step(kind, "restarts_pods", summary, tuple(roll), tuple(reversed(pods))))
    elif live and (held := rollout.partition(live)):
        steps.append(_unfinished(live, held, snapshot))
    if not changes and not unrecorded and release.status != "deployed":
        steps.append(Step("configure", "safe", f"store a good revision of {what}: the last one is {release.status}"))
    return steps


def _unfinished(live: Object, held: int, snapshot: Snapshot) -> Step:
    """The rest of a rollout that ended half-way: its partition still holds ordinals back."""
    holder = lock.holder(snapshot.lease)
    revision = (live.get("status") or {}).get("updateRevision")
    old = [
        pod["metadata"]["name"]
        for pod in snapshot.pods
        if (pod["metadata"].get("labels") or {}).get("controller-revision-hash") != revision
    ]
    difference = Difference(objects.key(live), _PARTITION, 0, held)
    if holder is None or not holder.unfinished:
        difference = dataclasses.replace(difference, origin="cluster", by=objects.owner(live, _PARTITION))
    summary = "finish a rollout that ended half-way"
    return Step("roll", "restarts_pods", summary, (difference,), tuple(sorted(old, reverse=True)))


def _refused(change: Difference) -> bool:
    """True for a difference that is refused, or has a step of its own."""
    kind = change.object.partition("/")[0]
    gone = kind == "StatefulSet" and not change.path and change.wanted is None
    return gone or _is_immutable(change) or _is_count(change)


def _is_immutable(change: Difference) -> bool:
    kind = change.object.partition("/")[0]
    if kind == "StatefulSet" and _within(change.path, "spec") and change.path:
        return volumes.field(change) not in volumes.MUTABLE_SPEC
    return bool(change.path) and any(_within(change.path, field) for field in _IMMUTABLE.get(kind, ()))


def _immutable(changes: Iterable[Difference]) -> list[Finding]:
    """Refusals for fields of anything but the StatefulSet that would need the object to be made anew."""
    fields: dict[str, list[Difference]] = {}
    for change in changes:
        if _is_immutable(change) and not change.object.startswith("StatefulSet/"):
            fields.setdefault(change.object, []).append(change)
    result = []
    for name, mine in fields.items():
        if finding := storage.refusal(name.partition("/")[2], mine) if name.startswith("StorageClass/") else None:
            result.append(finding)
            continue
        seen = "; ".join(f"{change.path} is {change.found}, not {change.wanted}" for change in mine)
        remedy = f"Make it anew: kubectl delete {_resource(name)}, then run again."
        result.append(Finding("error", "immutable field", f"{name}: {seen}. This cannot be changed.", remedy))
    return result


def _statefulset(
    desired: Desired, snapshot: Snapshot, changes: Sequence[Difference], allowed: frozenset[Permission]
) -> list[Finding]:
    """Refusals for what is not allowed to happen to a running StatefulSet."""
    result: list[Finding] = []
    mine = [change for change in changes if change.object.startswith("StatefulSet/")]
    for change in mine:
        if not change.path and change.wanted is None:
            seen = f"{change.object} is not wanted any more: another name means new, empty volumes."
            name = change.object.rpartition("/")[2]
            result.append(Finding("error", "name", seen, f"Set nameOverride: {name}. To move, back up and restore."))
        elif change.path == "spec.replicas":
            result.extend([] if _scaling(change) in allowed else [_replicas(change, desired)])
    image = _image_change(desired, mine)
    other = image is not None and _other_version(str(image.wanted), str(image.found))
    if image and other and not _none_ready(snapshot):
        result.extend(_jump(image, allowed) if "upgrade" in allowed else [_version(image)])
    return result


def orphans(desired: Desired, snapshot: Snapshot) -> Object | None:
    """The StatefulSet that a run was about to make again when it was killed; its pods go on without it."""
    holder = lock.holder(snapshot.lease)
    left: Object | None = holder.unfinished.get("statefulset") if holder else None
    wanted = objects.find(desired.objects, "StatefulSet")
    if left is None or wanted is None or objects.key(left) != objects.key(wanted):
        return None
    return None if _unreadable(objects.key(left), snapshot) or objects.key(left) in snapshot.objects else left


def with_orphans(desired: Desired, snapshot: Snapshot) -> Snapshot:
    """The snapshot as it is when that StatefulSet is there again."""
    left = orphans(desired, snapshot)
    return dataclasses.replace(snapshot, objects={**snapshot.objects, objects.key(left): left}) if left else snapshot


def reshaped(plan: Plan) -> list[str]:
    """Fields of a StatefulSet's spec for which the plan makes it again."""
    changed = (item for step in plan.steps if step.kind in RESHAPING for item in step.differences)
    return sorted({volumes.field(item) for item in changed if item.object.startswith("StatefulSet/") and item.path})


def growths(plan: Plan, desired: Desired, snapshot: Snapshot) -> list[volumes.Growth]:
    """The claims that the plan makes larger."""
    named = {
        item.object.rpartition("/")[2] for step in plan.steps if step.kind in RESHAPING for item in step.differences
    }
    return [growth for growth in preflight.growths(desired, snapshot) if growth.name in named]


def _reshape(
    desired: Desired,
    snapshot: Snapshot,
    changes: Sequence[Difference],
    unrecorded: Sequence[Difference],
    refusals: list[Finding],
    allowed: frozenset[Permission],
) -> tuple[list[Step], list[Finding]]:
    """The steps for what the API server does not let change in a StatefulSet: it is made again around its pods.

    What stands against them goes to the refusals; what is only worth knowing is returned, too.
    """
    wanted = objects.find(desired.objects, "StatefulSet")
    live = snapshot.objects.get(objects.key(wanted)) if wanted else None
    if wanted is None:
        return [], []
    mine = [change for change in changes if change.object == objects.key(wanted)]
    if live is None:
        refusals.extend(_gone(change) for change in mine if _is_immutable(change) and snapshot.claims)
        return [], []
    sizes = [change for change in mine if _is_claim(change, volumes.SIZE)]
    kept = [change for change in mine if _is_immutable(change) and change not in sizes]
    attributes = [change for change in kept if _is_claim(change, volumes.ATTRIBUTES) and change.wanted]
    kept = [change for change in kept if change not in attributes]

    refused = [_shrinks(change) for change in sizes if not _grows(change)]
    sizes = [change for change in sizes if _grows(change)]
    refused += [finding for change in kept if (finding := _never(change))]
    if kept and not refused and "reshape" not in allowed:
        refused.append(_unasked(kept))
    growing = preflight.growths(desired, snapshot)
    classes = None if snapshot.storage_classes is None else preflight.classes(desired, snapshot)
    noted = list(volumes.against(growing, classes))
    if sizes or attributes:
        refused += noted
        noted = []
    else:
        # Nobody has asked for it just now, and nothing else should have to wait for it.
        noted = [dataclasses.replace(item, severity="warning") for item in noted]
        growing = [growth for growth in growing if not any(volumes.against([growth], classes))]
    stored = [item for item in unrecorded if item.object == objects.key(wanted) and _is_immutable(item)]
    if sizes or attributes or kept or stored:
        refused += _at_once(mine, live)
    refusals.extend(refused)

    steps = []
    if sizes or attributes or growing:
        larger = volumes.larger(wanted, live, snapshot.claims)
        origin = sizes[0].origin if sizes else "inventory" if attributes else "cluster"
        details = [dataclasses.replace(item, origin=origin) for growth in growing for item in growth.differences()]
        steps.append(Step("grow_storage", "safe", _growth(growing, larger), (*sizes, *attributes, *details)))
    if kept:
        fields = listed(sorted({change.path.removeprefix("spec.") for change in kept}))
        summary = f"make StatefulSet {wanted['metadata']['name']} again, around its pods, with another {fields}"
        steps.append(Step("reshape", "safe", summary, tuple(kept)))
    return steps, noted


def _is_claim(change: Difference, path: str) -> bool:
    return _within(change.path, _CLAIMS) and change.path.endswith(f"].{path}")


def _grows(change: Difference) -> bool:
    try:
        return objects.quantity(change.wanted) > objects.quantity(change.found)
    except ValueError:
        return True


def _growth(growing: Sequence[volumes.Growth], larger: Sequence[Object]) -> str:
    """What becomes of the volumes, in a line."""
    parts = [f"grow {listed(growth.name for growth in growing)}"] if growing else []
    if larger:
        parts.append(f"{listed(claim['metadata']['name'] for claim in larger)} are larger, and stay so")
    return "; ".join(parts) or "volumes of new ordinals"


def _shrinks(change: Difference) -> Finding:
    return Finding(
        "error",
        "volumes",
        f"persistence.size is {change.wanted}, and the volumes have {change.found}. A volume never shrinks.",
        f"To deploy everything else now: set persistence.size: {change.found}. To have smaller volumes: back up, and "
        "restore into a release that has them.",
    )


def _gone(change: Difference) -> Finding:
    return Finding(
        "error",
        "immutable field",
        f"The StatefulSet is not there, and {change.path} would be {_short(change.wanted)} instead of "
        f"{_short(change.found)}: what goes wrong would have two causes.",
        "Set the old value, and have it made again: ansible-playbook orbit.rs.deploy. Then change the value.",
    )


def _never(change: Difference) -> Finding | None:
    """Refusal of what not even a new StatefulSet can change around pods that run."""
    field = volumes.field(change)
    whole = re.fullmatch(rf"{re.escape(_CLAIMS)}(\[[^\]]+\])?", change.path)
    if field == "selector":
        why = "the pods that run carry the old labels, and a StatefulSet that selects others would not take them"
    elif whole and (change.wanted is None or change.found is None):
        why = f"the pods that run {'would leave their volume' if change.wanted is None else 'have no such volume'}"
    else:
        return None
    return Finding(
        "error",
        "immutable field",
        f"StatefulSet: {change.path} is {_short(change.found)}, not {_short(change.wanted)}. This cannot be changed: "
        f"{why}.",
        "To deploy everything else now: set the old value. To change it: back up, uninstall, deploy, and restore.",
    )


def _unasked(kept: Sequence[Difference]) -> Finding:
    seen = "; ".join(f"{item.path} is {_short(item.found)}, not {_short(item.wanted)}" for item in kept)
    only = " Volumes that exist keep what they have." if any(_within(item.path, _CLAIMS) for item in kept) else ""
    return Finding(
        "error",
        "immutable field",
        f"StatefulSet: {seen}. The API server does not let this change; the StatefulSet has to be made again, around "
        f"pods that go on.{only}",
        "To deploy everything else now: set the old value. To have it made again: -e orbit_rs_reshape=true",
    )


def _at_once(mine: Iterable[Difference], live: Object) -> list[Finding]:
    """Refusal of a new StatefulSet while pods are to restart: no partition would hold those back that die meanwhile."""
    if any(_within(change.path, _TEMPLATE) for change in mine):
        seen = "Pod template and volumes would change at once: a failed rollout could not come back."
        remedy = "Deploy or upgrade first, with persistence and all else that is named above as it was; then this."
    elif rollout.partition(live):
        seen = "A rollout has ended half-way, and some ordinals are still on the revision from before."
        remedy = "Finish it first, with persistence and all else that is named above as it was; then this."
    else:
        return []
    return [Finding("error", "volumes", seen, remedy)]


def _scaling(change: Difference) -> StepKind:
    return "scale_out" if change.wanted > change.found else "scale_in"


def _replicas(change: Difference, desired: Desired) -> Finding:
    if (desired.values.get("autoscaling") or {}).get("enabled"):
        seen = f"{change.found} ordinals are there, and the bounds of the autoscaler ask for {change.wanted}."
        remedy = "To deploy everything else now: set bounds that it is within."
    elif change.origin == "cluster":
        seen = f"Somebody scaled the StatefulSet to {change.found} ({change.by or 'who is not known'}); " + (
            f"the release says {change.wanted}."
        )
        remedy = f"To keep it: set orbitServer.replicaCount: {change.found}."
    else:
        seen = f"orbitServer.replicaCount is {change.wanted}, and {change.found} ordinals are there."
        remedy = f"To deploy everything else now: set orbitServer.replicaCount: {change.found}."
    return Finding(
        "error",
        "replicas",
        f"{seen} Deploy does not scale: every ordinal owns data.",
        f"{remedy} To change it: ansible-playbook orbit.rs.scale",
    )


def _scale(
    desired: Desired,
    snapshot: Snapshot,
    changes: Sequence[Difference],
    refusals: list[Finding],
    allowed: frozenset[Permission],
) -> Iterator[Step]:
    """The steps that add or remove ordinals; what stands against them goes to the refusals."""
    change = next((item for item in changes if _is_count(item)), None)
    if change is None or _scaling(change) not in allowed:
        return
    server = change.object.rpartition("/")[2]
    touched = range(*sorted((int(change.found), int(change.wanted))))
    pods = listed(f"{server}-{ordinal}" for ordinal in touched)
    if any(item.object == change.object and _within(item.path, _TEMPLATE) for item in changes):
        refusals.append(
            Finding(
                "error",
                "replicas",
                "Pod template and number of ordinals would change at once: what goes wrong would have two causes.",
                "Deploy or upgrade first, with the number that is there; then scale.",
            )
        )
    if change.wanted > change.found:
        stale = _stale(desired, snapshot, touched)
        if stale and "wipe_volumes" in allowed:
            gone = tuple(Difference(objects.key(claim), "", None, objects.PRESENT) for claim in stale)
            names = listed(claim["metadata"]["name"] for claim in stale)
            yield Step("wipe_volumes", "destroys_data", f"delete {names}, with the data of an earlier life", gone)
        elif stale and "adopt_volumes" not in allowed:
            refusals.append(_stale_volumes(stale, snapshot, server, desired.release))
        yield Step("scale_out", "safe", f"add {pods}", (change,))
        return
    if "remove_data_owner" not in allowed:
        refusals.append(
            Finding(
                "error",
                "replicas",
                f"{pods} would go, and nothing else has their data; their volumes stay, and serve nobody.",
                "Move or back up their data first. Then: -e orbit_rs_remove_data_owner=true",
            )
        )
    yield Step("scale_in", "removes_data_owner", f"remove {pods}; the volumes stay", (change,))


def _is_count(change: Difference) -> bool:
    return change.object.startswith("StatefulSet/") and change.path == "spec.replicas"


def _stale(desired: Desired, snapshot: Snapshot, ordinals: Iterable[int]) -> list[Object]:
    """Claims that are there before their ordinals are."""
    statefulset = objects.find(desired.objects, "StatefulSet") or {"spec": {}}
    wanted = {
        f"{template['metadata']['name']}-{statefulset['metadata']['name']}-{ordinal}"
        for template in statefulset["spec"].get("volumeClaimTemplates") or ()
        for ordinal in ordinals
    }
    return [
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", **claim}
        for claim in snapshot.claims
        if claim["metadata"]["name"] in wanted
    ]


def _stale_volumes(stale: Sequence[Object], snapshot: Snapshot, server: str, release: Release) -> Finding:
    """Refusal of volumes whose data would come back, and from when it is: by their age against the StatefulSet's."""
    live = snapshot.objects.get(f"StatefulSet/{release.namespace}/{server}") or {"metadata": {}}
    first = (live["metadata"].get("annotations") or {}).get(volumes.SINCE)
    since = first or live["metadata"].get("creationTimestamp", "")
    lines = []
    for claim in stale:
        made = claim["metadata"].get("creationTimestamp", "")
        life = "an earlier release" if made < since else "this release, before it was scaled in"
        lines.append(f"{claim['metadata']['name']}, made {made}, is of {life}")
    return Finding(
        "error",
        "volumes",
        f"New ordinals would start with old data: {'; '.join(lines)}.",
        "To serve that data again: -e orbit_rs_stale_volumes=adopt. To delete it: -e orbit_rs_stale_volumes=wipe",
    )


def wiped(plan: Plan) -> list[str]:
    """Names of the claims that the plan deletes."""
    steps = (step for step in plan.steps if step.kind == "wipe_volumes")
    return [item.object.rpartition("/")[2] for step in steps for item in step.differences]


def _none_ready(snapshot: Snapshot) -> bool:
    """Whether no ordinal is Ready: then another version repairs a rollout that never came up."""
    return bool(snapshot.pods) and not any(_is_ready(pod) for pod in snapshot.pods)


def _version(image: Difference) -> Finding:
    """Refusal of another server version."""
    who = f", set in the cluster by {image.by or 'somebody'}" if image.origin == "cluster" else ""
    dummy, tag, digest = preflight.image(str(image.found))
    keep = f"orbitServer.image.tag: {tag}" + (f" and orbitServer.image.digest: {digest}" if digest else "")
    return Finding(
        "error",
        "version",
        f"The image is {image.found}{who}; wanted is {image.wanted}. Deploy does not change the version.",
        f"To deploy everything else now: set {keep}. To change the version: ansible-playbook orbit.rs.upgrade",
    )


def _jump(image: Difference, allowed: frozenset[Permission]) -> list[Finding]:
    """Refusal of a step back, or over a minor version, that nobody has asked for."""
    before, after = (_numbers(preflight.image(str(text))[1]) for text in (image.found, image.wanted))
    if not before or not after:
        return []
    step = f"from {preflight.image(str(image.found))[1]} to {preflight.image(str(image.wanted))[1]}"
    if after < before and "downgrade" not in allowed:
        return [
            Finding(
                "error",
                "version",
                f"{step} is a downgrade: the older server may not read the data of the newer one.",
                "To go back to a revision that was good: ansible-playbook orbit.rs.rollback. To do it all the same: "
                "-e orbit_rs_allow_downgrade=true",
            )
        ]
    if after[0] == before[0] and after[1] > before[1] + 1 and "version_skip" not in allowed:
        return [
            Finding(
                "error",
                "version",
                f"{step} skips a minor version.",
                f"Upgrade to {before[0]}.{before[1] + 1} first. To skip it: -e orbit_rs_allow_version_skip=true",
            )
        ]
    return []


def _numbers(tag: str) -> tuple[int, ...]:
    """The version that a tag begins with, () when it is none."""
    found = re.match(r"v?(\d+)\.(\d+)(?:\.(\d+))?", tag)
    return tuple(int(part or 0) for part in found.groups()) if found else ()


def _image_change(desired: Desired, changes: Iterable[Difference]) -> Difference | None:
    """The change of the server's own image; sidecars may change with a roll."""
    statefulset = objects.find(desired.objects, "StatefulSet")
    if statefulset is None:
        return None
    path = f"{_TEMPLATE}.spec.containers[{statefulset['spec']['template']['spec']['containers'][0]['name']}].image"
    return next((item for item in changes if item.path == path), None)


def _other_version(one: str, other: str) -> bool:
    """Another registry or a digest added to the same tag is the same version."""
    dummy, tag, digest = preflight.image(one)
    dummy, other_tag, other_digest = preflight.image(other)
    return tag != other_tag or bool(digest and other_digest and digest != other_digest)


def _is_ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(item.get("type") == "Ready" and item.get("status") == "True" for item in conditions)


def adoptable(desired: Desired, snapshot: Snapshot) -> tuple[Object, ...]:
    """Live objects that the release wants to own and that belong to nobody: made by hand, or left by another tool."""
    release = _installed(snapshot)
    stored = {objects.key(obj) for obj in release.objects} if release else set()
    live = (snapshot.objects.get(objects.key(obj)) for obj in desired.objects)
    return tuple(obj for obj in live if obj and objects.key(obj) not in stored and _owner(obj) is None)


def ownership(release: Release) -> Object:
    """What makes Helm take an object for one of the release's, as a change of it."""
    return {
        "metadata": {
            "labels": {_MANAGED: "Helm"},
            "annotations": {_OWNER: release.name, _OWNER_NAMESPACE: release.namespace},
        }
    }


def _adopt(adopted: Sequence[Object]) -> Step:
    differences = tuple(
        Difference(
            objects.key(obj),
            f"metadata.labels[{_MANAGED}]",
            "Helm",
            (obj["metadata"].get("labels") or {}).get(_MANAGED),
        )
        for obj in adopted
    )
    names = ", ".join(f"{obj['kind']} {obj['metadata']['name']}" for obj in adopted)
    return Step("adopt", "safe", f"take over {names}", differences)


def _foreign(
    desired: Desired, snapshot: Snapshot, release: HelmRelease | None, adopted: Sequence[Object]
) -> list[Finding]:
    """Refusal of objects that are there and belong to nobody or to another release: Helm would fail on them."""
    stored = {objects.key(obj) for obj in release.objects} if release else set()
    result = []
    for obj in desired.objects:
        name = objects.key(obj)
        live = snapshot.objects.get(name)
        if live is None or name in stored or live in adopted or (owner := _owner(live)) == desired.release:
            continue
        if owner:
            seen = f"{name} belongs to the release {owner.name} in namespace {owner.namespace}."
            remedy = "Choose other names: set nameOverride, or orbit_rs_namespace."
        else:
            seen = f"{name} is there and was not made by Helm."
            remedy = (
                "To take it over, without a restart where nothing else differs: -e orbit_rs_adopt=true. Or delete it: "
                f"kubectl delete {_resource(name)}"
            )
        result.append(Finding("error", "owner", seen, remedy))
    return result


def _owner(live: Object) -> Release | None:
    metadata = live.get("metadata") or {}
    annotations = metadata.get("annotations") or {}
    name, namespace = annotations.get(_OWNER), annotations.get(_OWNER_NAMESPACE)
    managed = (metadata.get("labels") or {}).get(_MANAGED) == "Helm"
    return Release(name, namespace) if managed and name and namespace else None


def _resource(name: str) -> str:
    kind, *namespace, own = name.split("/")
    return f"{kind.lower()} {own}{f' -n {namespace[0]}' if namespace else ''}"


def _summary(changes: Sequence[Difference]) -> str:
    """create A, B; change C; remove D (undoes what was done in the cluster)."""
    verbs: dict[str, list[str]] = {"create": [], "change": [], "remove": [], "take over": []}
    for change in changes:
        verb = "change"
        if not change.path:
            verb = "remove" if change.wanted is None else "create" if change.found is None else "take over"
        kind, *dummy, name = change.object.split("/")
        known = [item for items in verbs.values() for item in items]
        if f"{kind} {name}" not in known:
            verbs[verb].append(f"{kind} {name}")
    text = "; ".join(f"{verb} {', '.join(names)}" for verb, names in verbs.items() if names)
    drift = all(change.origin == "cluster" for change in changes)
    return f"{text} (undoes what was done in the cluster)" if drift else text


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
