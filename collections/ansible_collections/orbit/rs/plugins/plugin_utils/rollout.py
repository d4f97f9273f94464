# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one look at a rollout says: still progressing, ready, or failed and why. Touches nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from ansible_collections.orbit.rs.plugins.plugin_utils import diagnosis
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Object, OrdinalState, Verdict

ZONE = "topology.kubernetes.io/zone"

MISSING = "not created yet"  # phase of an ordinal without a pod

NODE_SECONDS = 5  # for which a pod is not ready before its node is looked at
# What the kubelet tries again later and later, up to minutes; a new pod is tried at once.
_HELD_BACK = ("waiting", "loop", "init", "sidecar", "event")
_RETRY = timedelta(minutes=3)
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def ordinals(statefulset: Object) -> range:
    """The ordinals that should exist."""
    spec = statefulset["spec"]
    start = (spec.get("ordinals") or {}).get("start", 0)
    return range(start, start + spec.get("replicas", 1))


def verdict(
    statefulset: Object,
    pods: Sequence[Object],
    claims: Iterable[Object],
    events: Sequence[Object],
    *,
    now: datetime | None = None,
    since: datetime = _LONG_AGO,
    final: bool = False,
    nodes: Iterable[Object] = (),
) -> Verdict:
    """Judge a rollout by the live StatefulSet and the pods, claims and events of its namespace.

    `nodes` are those of pods that are not ready, as far as they are known.

    `now` and `since`, the beginning of the rollout, are times of the cluster's clock. Events from before `since` do not
    count. `final`: the time is up, so what could still have healed is named as the cause, too.
    """
    now = now or datetime.now(UTC)
    status = statefulset.get("status") or {}
    observed = status.get("observedGeneration", 0) >= statefulset["metadata"].get("generation", 0)
    revision = status.get("updateRevision", "") if observed else ""
    mine = {pod["metadata"]["name"]: pod for pod in pods if _owned(pod, statefulset)}
    name = statefulset["metadata"]["name"]
    held = partition(statefulset)  # ordinals below it stay on the old revision, as long as it is set
    wanted = {f"{name}-{number}": number for number in ordinals(statefulset)}
    states = tuple(_state(number, pod, mine.get(pod), revision, events) for pod, number in wanted.items())

    settled = all(state.ready and (state.updated or state.ordinal < held) for state in states)
    if observed and settled and mine.keys() <= wanted.keys():
        return Verdict("ready", states)
    if not observed:
        return Verdict("progressing", states)
    # Pods that leave, and those of another revision, are about to be replaced: what is wrong with them does not matter.
    troubled = [
        pod
        for state in states
        if (pod := mine.get(state.pod))
        and (state.updated or state.ordinal < held)
        and not state.ready
        and not _leaving(pod)
    ]
    unready = {state.ordinal for state in states if not state.ready}
    found = diagnosis.sightings(
        statefulset,
        troubled,
        [claim for claim in claims if diagnosis.ordinal(claim["metadata"]["name"]) in unready],
        events,
        now=now,
        since=since,
    )
    # A pod that cannot leave its lost node holds up the ordinal, whatever its revision.
    staying = [pod for pod in mine.values() if _leaving(pod) or not _ready(pod)]
    found += diagnosis.on_lost_nodes(staying, nodes, statefulset["metadata"]["namespace"], now)
    missing = {state.ordinal for state in states if state.pod not in mine}
    found = [item for item in found if item.where != "create" or item.ordinal in missing]
    diagnoses = diagnosis.match(found, final=final)
    if diagnoses:
        return Verdict("failed", states, diagnoses[0])
    return Verdict("progressing", states)


def partition(statefulset: Object) -> int:
    """The lowest ordinal that a change of the pod template reaches."""
    strategy = statefulset["spec"].get("updateStrategy") or {}
    return int((strategy.get("rollingUpdate") or {}).get("partition") or 0)


def with_partition(ordinal: int) -> Object:
    """The change of a StatefulSet that sets its partition."""
    return {"spec": {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": ordinal}}}}


def unready_elsewhere(statefulset: Object, pods: Iterable[Object]) -> list[str]:
    """Pods that a change of the pod template should reach, on another revision and not Ready; the highest first."""
    revision, held = (statefulset.get("status") or {}).get("updateRevision", ""), partition(statefulset)
    found = {}
    for pod in pods:
        number = diagnosis.ordinal(pod["metadata"]["name"])
        old = pod["metadata"]["labels"].get("controller-revision-hash") != revision
        if number is not None and number >= held and old and _owned(pod, statefulset) and not _ready(pod):
            found[number] = pod["metadata"]["name"]
    return [found[number] for number in sorted(found, reverse=True)]


def nodes_to_look_at(pods: Iterable[Object], now: datetime) -> list[str]:
    """Nodes that may be the reason why a pod is not ready, or does not leave, for a while."""
    names = set()
    for pod in pods:
        metadata = pod["metadata"]
        conditions = (pod.get("status") or {}).get("conditions") or ()
        changed = [diagnosis.time(item.get("lastTransitionTime")) for item in conditions if item["type"] == "Ready"]
        if _leaving(pod):
            grace = timedelta(seconds=metadata.get("deletionGracePeriodSeconds", 0))
            changed = [diagnosis.time(metadata["deletionTimestamp"]) - grace]  # when it was asked to leave
        elif _ready(pod):
            continue
        if (now - max(changed, default=diagnosis.time(metadata["creationTimestamp"]))).total_seconds() >= NODE_SECONDS:
            names.add(pod["spec"].get("nodeName") or "")
    return sorted(names - {""})


def stuck(statefulset: Object, pods: Sequence[Object], events: Iterable[Object], since: datetime) -> list[str]:
    """Pods on the wanted revision that were failing before `since`: the kubelet holds their next attempt back."""
    revision = (statefulset.get("status") or {}).get("updateRevision", "")
    said = [event for event in events if diagnosis.event_time(event) >= since - _RETRY]
    result = []
    for pod in pods:
        metadata = pod["metadata"]
        if not _owned(pod, statefulset) or metadata["labels"].get("controller-revision-hash") != revision:
            continue
        if _ready(pod) or _leaving(pod) or diagnosis.time(metadata["creationTimestamp"]) >= since:
            continue
        found = diagnosis.sightings(statefulset, [pod], [], said, now=since, since=since - _RETRY)
        if _between(pod) or diagnosis.match(item for item in found if item.where in _HELD_BACK):
            result.append(metadata["name"])
    return result


def _between(pod: Object) -> bool:
    """Whether a container has just failed, or an init container is at it again: no server runs in either case."""
    status = pod.get("status") or {}
    init = status.get("initContainerStatuses") or ()
    ended = [
        (item.get("state") or {}).get("terminated") or {} for item in (*init, *status.get("containerStatuses", ()))
    ]
    return any(item.get("exitCode") for item in ended) or any(
        item["restartCount"] and not item["ready"] for item in init
    )


def with_zones(states: Iterable[OrdinalState], nodes: Iterable[Object]) -> tuple[OrdinalState, ...]:
    """The same states, with the zone of each pod's node."""
    zones = {node["metadata"]["name"]: (node["metadata"].get("labels") or {}).get(ZONE, "") for node in nodes}
    return tuple(dataclasses.replace(state, zone=zones.get(state.node, "")) for state in states)


def _owned(pod: Object, statefulset: Object) -> bool:
    owners = pod["metadata"].get("ownerReferences") or ()
    return any(owner["uid"] == statefulset["metadata"]["uid"] for owner in owners)


def _leaving(pod: Object) -> bool:
    return bool(pod["metadata"].get("deletionTimestamp"))


def _ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def _state(number: int, name: str, pod: Object | None, revision: str, events: Iterable[Object]) -> OrdinalState:
    if pod is None:
        return OrdinalState(number, name, MISSING, ready=False, updated=False)
    status = pod.get("status") or {}
    leaving = _leaving(pod)
    containers = status.get("containerStatuses") or ()
    return OrdinalState(
        ordinal=number,
        pod=name,
        phase=_phase(pod, leaving, events),
        ready=_ready(pod) and not leaving,
        updated=(pod["metadata"].get("labels") or {}).get("controller-revision-hash") == revision,
        restarts=sum(container["restartCount"] for container in containers),
        node=pod["spec"].get("nodeName") or "",
        image=pod["spec"]["containers"][0]["image"],
    )


def _phase(pod: Object, leaving: bool, events: Iterable[Object]) -> str:
    """Where a pod is on its way, for people."""
    status = pod.get("status") or {}
    if leaving:
        return "Terminating"
    if _ready(pod):
        return "Ready"
    if not pod["spec"].get("nodeName"):
        return "Pending: no node yet"
    for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        reason = ((container.get("state") or {}).get("waiting") or {}).get("reason", "")
        if reason and reason not in ("ContainerCreating", "PodInitializing"):
            return f"{status.get('phase', 'Pending')}: {reason}"
        ended = (container.get("state") or {}).get("terminated") or {}
        if ended.get("exitCode"):
            return f"ended with exit code {ended['exitCode']}"
    if status.get("phase") == "Running":
        return "Running, not ready"
    said = [event for event in events if event["involvedObject"].get("uid") == pod["metadata"]["uid"]]
    last = max(said, key=diagnosis.event_time, default={}).get("reason", "")
    return f"Pending: {_DOING.get(last, 'starting')}"


_DOING = {
    "Scheduled": "waiting for its volume",
    "FailedScheduling": "waiting for its volume",
    "SuccessfulAttachVolume": "mounting its volume",
    "FailedMount": "mounting its volume",
    "FailedAttachVolume": "mounting its volume",
    "Pulling": "pulling the image",
}
