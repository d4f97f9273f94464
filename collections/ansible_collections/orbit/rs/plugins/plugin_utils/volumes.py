# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes that have to grow, what stands against it, and how far they are. Touches nothing.

A claim says three sizes: what is asked for, what it has, and, by its conditions, what is being done about that.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.orbit.rs.plugins.plugin_utils import objects, rollout
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Difference, Finding, Object, listed

SIZE = "spec.resources.requests.storage"
ATTRIBUTES = "spec.volumeAttributesClassName"

# Fields of a StatefulSet's spec that the API server lets change.
MUTABLE_SPEC = frozenset(
    {
        "minReadySeconds",
        "ordinals",
        "persistentVolumeClaimRetentionPolicy",
        "replicas",
        "revisionHistoryLimit",
        "template",
        "updateStrategy",
    }
)

# Annotation of a StatefulSet that was made again: since when there was one. The age of volumes is told by it.
SINCE = "orbit.rs/since"

# They make volumes out of folders of a node, which have no size, and leave a larger claim as it is for ever.
NEVER_RESIZE = (
    "docker.io/hostpath",
    "k8s.io/minikube-hostpath",
    "kubernetes.io/no-provisioner",
    "microk8s.io/hostpath",
    "rancher.io/local-path",
)

# What the conditions of a claim say, for people; later ones are further on.
_DOING = {
    "Resizing": "the driver makes the volume larger",
    "ModifyingVolume": "the driver changes the volume",
    "FileSystemResizePending": "the volume is larger, its file system is not yet",
}
_FAILED = {
    "ControllerResizeError": "the driver could not make the volume larger",
    "NodeResizeError": "the node could not make the file system larger",
    "ModifyVolumeError": "the driver could not change the volume",
}


@dataclasses.dataclass(frozen=True)
class Growth:
    """A claim that is smaller than wanted, or whose volume has other attributes."""

    claim: Object
    ordinal: int
    pod: str
    size: str
    attributes: str = ""  # the VolumeAttributesClass; empty: none is wanted

    @property
    def name(self) -> str:
        """Name of the claim."""
        return str(self.claim["metadata"]["name"])

    @property
    def found(self) -> str:
        """The size that the claim has."""
        return _capacity(self.claim) or _asked(self.claim)

    @property
    def missing(self) -> float:
        """Bytes that the claim has to ask for on top of what it asks for."""
        return max(0.0, float(objects.quantity(self.size) - objects.quantity(_asked(self.claim) or self.found)))

    def change(self) -> Object:
        """The change of the claim, {} when it asks for all of that already."""
        spec: dict[str, Any] = {}
        if _smaller(self.found, self.size) and (
            _smaller(_asked(self.claim), self.size)
            # A growth that has failed for good may be asked for in a smaller size.
            or (failed(self.claim) and _smaller(self.size, _asked(self.claim)))
        ):
            spec["resources"] = {"requests": {"storage": self.size}}
        if self.attributes and self.claim.get("spec", {}).get("volumeAttributesClassName") != self.attributes:
            spec["volumeAttributesClassName"] = self.attributes
        return {"spec": spec} if spec else {}

    def differences(self) -> list[Difference]:
        """What the claim has to change."""
        where = "/".join(("PersistentVolumeClaim", self.claim["metadata"].get("namespace", ""), self.name))
        result = []
        if _smaller(self.found, self.size):
            result.append(Difference(where, SIZE, self.size, self.found))
        if self.attributes and _attributes(self.claim) != self.attributes:
            result.append(Difference(where, ATTRIBUTES, self.attributes, _attributes(self.claim) or None))
        return result


def field(change: Difference) -> str:
    """The field of a StatefulSet's spec that a difference is in."""
    return change.path.removeprefix("spec.").replace("[", ".").partition(".")[0]


def remade(wanted: Object, live: Object) -> bool:
    """Whether a StatefulSet has to be made again to be as wanted."""
    changes = (change for change in objects.differences(wanted, live) if change.path.startswith("spec."))
    return any(field(change) not in MUTABLE_SPEC for change in changes)


def growths(wanted: Object, live: Object, claims: Iterable[Object], pods: Iterable[Object]) -> list[Growth]:
    """The claims of the ordinals that are there and that are not as the StatefulSet `wanted` has them, lowest first.

    One that is not there is made in the wanted size, and one that is larger stays so.
    """
    there = {claim["metadata"]["name"]: claim for claim in claims}
    running = {pod["metadata"]["name"] for pod in pods}
    server = wanted["metadata"]["name"]
    result = []
    for ordinal in rollout.ordinals(live):
        for template in wanted["spec"].get("volumeClaimTemplates") or ():
            claim = there.get(f"{template['metadata']['name']}-{server}-{ordinal}")
            size = _asked(template)
            if claim is None or not size:
                continue
            pod, attributes = f"{server}-{ordinal}", str(template["spec"].get("volumeAttributesClassName") or "")
            growth = Growth(claim, ordinal, pod, size, attributes)
            waits = not growth.change() and pending(claim) and pod not in running
            if growth.differences() and not waits:  # the file system grows when the pod is there again
                result.append(growth)
    return result


def larger(wanted: Object, live: Object, claims: Iterable[Object]) -> list[Object]:
    """Claims that have more than is wanted."""
    sizes = {
        f"{template['metadata']['name']}-{wanted['metadata']['name']}-{ordinal}": _asked(template)
        for template in wanted["spec"].get("volumeClaimTemplates") or ()
        for ordinal in rollout.ordinals(live)
    }
    return [
        claim
        for claim in claims
        if (size := sizes.get(claim["metadata"]["name"])) and _smaller(size, _capacity(claim) or _asked(claim))
    ]


def against(growing: Iterable[Growth], classes: Mapping[str, Object] | None) -> Iterator[Finding]:
    """What stands against it, a finding for each reason. `classes` are the StorageClasses, None when not known."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for growth in growing:
        if _smaller(growth.found, growth.size) and (reason := _against(growth.claim, classes)):
            reasons.setdefault(reason, []).append(growth.name)
    for (why, remedy), names in reasons.items():
        yield Finding("error", "volumes", f"{listed(names)} cannot grow: {why}.", remedy)


def _against(claim: Object, classes: Mapping[str, Object] | None) -> tuple[str, str] | None:
    name, namespace = claim["metadata"]["name"], claim["metadata"].get("namespace", "")
    elsewhere = "Back up, and restore into a release whose volumes have the wanted size."
    phase = (claim.get("status") or {}).get("phase", "")
    if claim["metadata"].get("deletionTimestamp"):
        return "it is being deleted", f"See what still uses it: kubectl describe pvc {name} -n {namespace}"
    if phase != "Bound":
        return (
            f"it is {phase}, and has no volume yet",
            f"It holds no data; its pod gets another one: kubectl delete pvc {name} -n {namespace}",
        )
    chosen = (claim.get("spec") or {}).get("storageClassName") or ""
    if not chosen:
        return "its volume was made by hand", elsewhere
    if classes is None:
        return None
    found = classes.get(chosen)
    if found is None:
        return f"its StorageClass {chosen} does not exist any more", f"Make that again. {elsewhere}"
    driver = found.get("provisioner", "")
    if driver in NEVER_RESIZE:
        return f"the provisioner {driver} of its StorageClass {chosen} does not resize volumes", elsewhere
    if not found.get("allowVolumeExpansion"):
        patch = "-p '{\"allowVolumeExpansion\": true}'"
        return (
            f"its StorageClass {chosen} does not allow it (allowVolumeExpansion)",
            f"If the driver {driver} can: kubectl patch storageclass {chosen} {patch} or, for a class of this "
            f"inventory, orbit_rs_storage_allow_expansion: true. Else: {elsewhere}",
        )
    return None


def attribute_findings(
    templates: Iterable[Object],
    classes: Sequence[Object] | None,
    drivers: Mapping[str, Iterable[str]],
) -> Iterator[Finding]:
    """What stands against the VolumeAttributesClasses that claim templates name.

    `classes` are those of the cluster, None when its API has none; `drivers` are the drivers of the volumes that exist
    and of those to be made, by name of the template, as far as they are known. "" is a volume without a driver.
    """
    known = {obj["metadata"]["name"]: obj for obj in classes or ()}
    for template in templates:
        name = template["spec"].get("volumeAttributesClassName")
        if not name:
            continue
        if classes is None:
            yield Finding(
                "error",
                "volume attributes",
                "This Kubernetes does not serve VolumeAttributesClass (storage.k8s.io/v1, from 1.34).",
                "Leave persistence.volumeAttributesClass empty.",
            )
        elif name not in known:
            yield Finding(
                "error",
                "volume attributes",
                f"VolumeAttributesClass {name} does not exist; there are: {', '.join(sorted(known)) or 'none'}.",
                "Make it, or set persistence.volumeAttributesClass to one of them: kubectl get volumeattributesclass",
            )
        else:
            driver = known[name].get("driverName", "")
            if others := sorted({found for found in drivers.get(template["metadata"]["name"], ()) if found != driver}):
                yield Finding(
                    "error",
                    "volume attributes",
                    f"VolumeAttributesClass {name} is of the driver {driver}; the volumes are of "
                    f"{listed(found or 'no driver' for found in others)}, which cannot apply it.",
                    "Leave persistence.volumeAttributesClass empty, or name a class of that driver.",
                )


def done(claim: Object, growth: Growth) -> bool:
    """Whether a claim has what is wanted."""
    return not dataclasses.replace(growth, claim=claim).differences()


def pending(claim: Object) -> bool:
    """Whether the volume has grown, and only its file system has not: the node does that while a pod uses it."""
    return "FileSystemResizePending" in _conditions(claim)


def failed(claim: Object) -> bool:
    """Whether the driver has said of what the claim asks for that it will never do it."""
    status, spec = claim.get("status") or {}, claim.get("spec") or {}
    modified = status.get("modifyVolumeStatus") or {}
    # What it says stands until it has looked at another wish.
    said = (status.get("allocatedResourceStatuses") or {}).get("storage", "")
    size = (status.get("allocatedResources") or {}).get("storage", "")
    if said.endswith("Infeasible"):
        return not size or not (_smaller(size, _asked(claim)) or _smaller(_asked(claim), size))
    attributes = modified.get("targetVolumeAttributesClassName", "")
    return modified.get("status") == "Infeasible" and attributes in ("", spec.get("volumeAttributesClassName"))


def progress(claim: Object) -> str:
    """How far it is, for people."""
    conditions = _conditions(claim)
    for texts in (_FAILED, _DOING):
        for name, text in reversed(texts.items()):
            if name in conditions:
                said = conditions[name].get("message", "")
                return f"{text}: {said}" if said and texts is _FAILED else text
    return "the driver has not begun"


def _conditions(claim: Object) -> dict[str, Mapping[str, Any]]:
    conditions = (claim.get("status") or {}).get("conditions") or ()
    return {item["type"]: item for item in conditions if item.get("status") == "True"}


def _asked(claim: Object) -> str:
    """The size that a claim, or a template of one, asks for."""
    return str((((claim.get("spec") or {}).get("resources") or {}).get("requests") or {}).get("storage", ""))


def _capacity(claim: Object) -> str:
    return str(((claim.get("status") or {}).get("capacity") or {}).get("storage", ""))


def _attributes(claim: Object) -> str:
    return str((claim.get("status") or {}).get("currentVolumeAttributesClassName") or "")


def _smaller(one: str, other: str) -> bool:
    try:
        return bool(one and other) and objects.quantity(one) < objects.quantity(other)
    except ValueError:  # the API server refuses it
        return False
