# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the ordinals of a release can run: what the scheduler will find when all of them want a node at once.

An ordinal's volume ties it to a zone or a node, anti-affinity and spread limit how many go to one place, and what runs
there already leaves so much room. One search over all of it; the same search without one of these names the cause.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.orbit.rs.plugins.plugin_utils import objects, storage
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Object

# Steps until a search is given up, with the best that was found: milliseconds, and enough for what people build.
STEPS = 3000

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


@dataclasses.dataclass(frozen=True)
class Limit:
    """How many ordinals one topology domain takes at most."""

    reason: str  # "anti-affinity" or "spread"
    topology: str
    most: int
    domains: tuple[str, ...]  # those that nodes for these pods are in


@dataclasses.dataclass(frozen=True)
class Search:
    """Everything that decides where the ordinals go."""

    nodes: Mapping[str, Mapping[str, str]]  # labels of the nodes that may take the pods, by name
    slots: Mapping[str, int]  # pods that each of them has room for
    candidates: Mapping[int, frozenset[str]]  # nodes that an ordinal's volumes allow
    limits: tuple[Limit, ...] = ()

    def placed(self) -> dict[int, str]:
        """The node of each ordinal, of as many as can be placed."""
        # The most tied ordinal first, and each to the domain that has the fewest: the first try nearly always fits.
        order = sorted(self.candidates, key=lambda ordinal: (len(self.candidates[ordinal]), ordinal))
        used: dict[tuple[str, str], int] = {}
        homes: dict[int, str] = {}
        best: dict[int, str] = {}
        steps = 0

        def places(node: str) -> list[tuple[str, str, int]]:
            limits = [
                (limit.topology, self.nodes[node][limit.topology], limit.most)
                for limit in self.limits
                if limit.topology in self.nodes[node]
            ]
            return [("", node, self.slots.get(node, 0)), *limits]

        def search(index: int, skipped: int) -> bool:
            nonlocal best, steps
            steps += 1
            if len(homes) > len(best):
                best = dict(homes)
            if index == len(order):
                return skipped == 0
            if len(order) - skipped <= len(best) or steps > STEPS:
                return False
            ordinal = order[index]
            free = []
            for node in self.candidates[ordinal]:
                at = places(node)
                if all(used.get(place[:2], 0) < place[2] for place in at):
                    free.append((sum(used.get(place[:2], 0) for place in at), -at[0][2], node, at))
            tried: set[tuple[Any, ...]] = set()
            for count, room, node, at in sorted(free):
                # Nodes that nothing tells apart lead to the same end.
                same = (count, room, *at[1:], tuple(node in nodes for nodes in self.candidates.values()))
                if same in tried:
                    continue
                tried.add(same)
                for place in at:
                    used[place[:2]] = used.get(place[:2], 0) + 1
                homes[ordinal] = node
                if search(index + 1, skipped):
                    return True
                del homes[ordinal]
                for place in at:
                    used[place[:2]] -= 1
            return search(index + 1, skipped + 1)

        search(0, 0)
        return best


def ready(node: Object) -> bool:
    """Whether the kubelet of the node reports in."""
    conditions = (node.get("status") or {}).get("conditions") or ()
    return any(item.get("type") == "Ready" and item.get("status") == "True" for item in conditions)


def admits(node: Object, pod: Mapping[str, Any]) -> bool:
    """Whether the scheduler may put the pod on the node, resources aside."""
    spec = node.get("spec") or {}
    taints = [taint for taint in spec.get("taints") or () if taint.get("effect") in ("NoSchedule", "NoExecute")]
    if spec.get("unschedulable"):
        taints.append({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"})
    return _chosen(node, pod) and all(
        any(_tolerates(item, taint) for item in pod.get("tolerations") or ()) for taint in taints
    )


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a label selector or a node selector term matches; an empty one matches everything."""
    if any(labels.get(name) != value for name, value in (selector.get("matchLabels") or {}).items()):
        return False
    for term in selector.get("matchExpressions") or ():
        name, operator, values = term["key"], term["operator"], term.get("values") or ()
        matches = {
            "In": labels.get(name) in values,
            "NotIn": labels.get(name) not in values,
            "Exists": name in labels,
            "DoesNotExist": name not in labels,
        }
        if not matches.get(operator, True):  # Gt and Lt: in doubt for the node
            return False
    return True


def domains(nodes: Iterable[Object], topology: str) -> list[str]:
    """Values of a label of the nodes, such as their zones."""
    return sorted({value for node in nodes if (value := _labels(node).get(topology))})


def room(node: Object, needs: Mapping[str, float], used: Mapping[str, float]) -> int:
    """Pods with these requests that the node takes besides what is used, all in base units."""
    allocatable = (node.get("status") or {}).get("allocatable") or {}
    fits = [
        math.floor((float(objects.quantity(allocatable.get(resource, 0))) - used.get(resource, 0.0)) / need + 1e-9)
        for resource, need in needs.items()
        if need
    ]
    # Nodes that do not say how many pods they run, take any number.
    if "pods" in allocatable:
        fits.append(int(objects.quantity(allocatable["pods"])) - int(used.get("pods", 0)))
    return max(0, min(fits, default=10**6))


def limits(pod: Mapping[str, Any], labels: Mapping[str, str], nodes: Sequence[Object], replicas: int) -> list[Limit]:
    """What required anti-affinity and DoNotSchedule spread of the pods allow, for those that select the pods."""
    able = [node for node in nodes if ready(node) and admits(node, pod)]
    result = []
    for term in ((pod.get("affinity") or {}).get("podAntiAffinity") or {}).get(_REQUIRED) or ():
        topology = str(term.get("topologyKey", ""))
        if selects(term.get("labelSelector") or {}, labels):
            result.append(Limit("anti-affinity", topology, 1, tuple(domains(able, topology))))
    for constraint in pod.get("topologySpreadConstraints") or ():
        topology = str(constraint.get("topologyKey", ""))
        if constraint.get("whenUnsatisfiable", "DoNotSchedule") != "DoNotSchedule":
            continue
        if not selects(constraint.get("labelSelector") or {}, labels):
            continue
        # Unless told otherwise the scheduler counts places that the pods do not tolerate: they stay empty for ever.
        counted = [node for node in nodes if _chosen(node, pod)]
        if constraint.get("nodeTaintsPolicy") == "Honor":
            counted = able
        places = domains(counted, topology)
        usable = domains(able, topology)
        fewest = replicas // len(places) if places and places == usable else 0
        if len(places) < int(constraint.get("minDomains") or 1):
            fewest = 0
        result.append(Limit("spread", topology, fewest + int(constraint.get("maxSkew", 1)), tuple(usable)))
    return result


def homes(
    statefulset: Object,
    ordinals: Iterable[int],
    nodes: Sequence[Object],
    claims: Mapping[str, Object],
    volumes: Mapping[str, Object],
    classes: Mapping[str, Object],
    default: str,
) -> dict[int, frozenset[str]]:
    """Nodes that the volumes of each ordinal allow, by ordinal.

    `claims` by name, `volumes` (PersistentVolumes) by name, `classes` (StorageClasses) by name; `default` names the
    class of claims that name none. What is not known does not restrict.
    """
    templates = (statefulset.get("spec") or {}).get("volumeClaimTemplates") or ()
    result = {}
    for ordinal in ordinals:
        allowed = nodes
        for template in templates:
            claim = claims.get(f"{template['metadata']['name']}-{statefulset['metadata']['name']}-{ordinal}") or {}
            spec = claim.get("spec") or template.get("spec") or {}
            volume = volumes.get(spec.get("volumeName") or "")
            selected = ((claim.get("metadata") or {}).get("annotations") or {}).get(
                "volume.kubernetes.io/selected-node"
            )
            name = spec.get("storageClassName")
            storage_class = classes.get(default if name is None else name)
            if volume is not None:
                allowed = [node for node in allowed if _reaches(node, volume)]
            elif spec.get("volumeName"):
                continue
            elif selected:
                allowed = [node for node in allowed if node["metadata"]["name"] == selected]
            elif storage_class:
                allowed = [node for node in allowed if storage.allowed(storage_class, _labels(node))]
        result[ordinal] = frozenset(node["metadata"]["name"] for node in allowed)
    return result


def where(volume: Object) -> str:
    """What a PersistentVolume is tied to, for people: "zone z1", "node worker", or its label; "" when to nothing."""
    words = []
    for term in _volume_terms(volume):
        for item in (*(term.get("matchExpressions") or ()), *(term.get("matchFields") or ())):
            name = {"kubernetes.io/hostname": "node", "metadata.name": "node"}.get(item["key"], item["key"])
            name = "zone" if name.endswith("/zone") else name
            words.append(f"{name} {' or '.join(item.get('values') or ())}")
    return ", ".join(dict.fromkeys(words))


def _labels(node: Object) -> Mapping[str, str]:
    return node["metadata"].get("labels") or {}


def _chosen(node: Object, pod: Mapping[str, Any]) -> bool:
    """Whether nodeSelector and node affinity of the pod match the node."""
    labels = _labels(node)
    if any(labels.get(name) != value for name, value in (pod.get("nodeSelector") or {}).items()):
        return False
    affinity = ((pod.get("affinity") or {}).get("nodeAffinity") or {}).get(_REQUIRED) or {}
    terms = affinity.get("nodeSelectorTerms") or ()
    return not terms or any(_matches(term, node) for term in terms)


def _tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in (None, "", taint["key"])
    return toleration.get("key") == taint["key"] and (toleration.get("value") or "") == (taint.get("value") or "")


def _reaches(node: Object, volume: Object) -> bool:
    terms = _volume_terms(volume)
    return not terms or any(_matches(term, node) for term in terms)


def _volume_terms(volume: Object) -> Sequence[Mapping[str, Any]]:
    affinity = ((volume.get("spec") or {}).get("nodeAffinity") or {}).get("required") or {}
    terms: Sequence[Mapping[str, Any]] = affinity.get("nodeSelectorTerms") or ()
    return terms


def _matches(term: Mapping[str, Any], node: Object) -> bool:
    """A node selector term: labels, and the one field that there is."""
    fields = {"matchExpressions": term.get("matchFields") or ()}
    return selects(term, _labels(node)) and selects(fields, {"metadata.name": node["metadata"]["name"]})
