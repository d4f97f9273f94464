# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Storage per provider: which StorageClass the volumes of a release get, and which class their snapshots."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.orbit.rs.plugins.plugin_utils import objects
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Difference, Finding, Object, OrbitError, Snapshot
from ansible_collections.orbit.rs.plugins.plugin_utils.values import nearest, translate

DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
OLD_DEFAULT_CLASS = "storageclass.beta.kubernetes.io/is-default-class"
ZONE = "topology.kubernetes.io/zone"
SNAPSHOT_API = "snapshot.storage.k8s.io/v1"

# Fields of a StorageClass that the API server never lets change.
IMMUTABLE = ("parameters", "provisioner", "reclaimPolicy", "volumeBindingMode")


@dataclasses.dataclass(frozen=True)
class Profile:
    """What a provider's classes look like. Without a provisioner there is none that we could create."""

    provisioner: str = ""
    parameters: Mapping[str, str] = dataclasses.field(default_factory=dict)
    # Parameters of a VolumeSnapshotClass of the same driver; None: the driver makes no snapshots.
    snapshot_parameters: Mapping[str, str] | None = None
    zone: str = ZONE  # the node label that the driver's volumes are bound to
    topology: Mapping[str, str] = dataclasses.field(default_factory=dict)  # node labels that every volume needs
    least: str = "1Gi"  # the smallest volume
    allow_expansion: bool = True
    reclaim_policy: str = "Delete"
    # A volume must come into being where its pod can run; Immediate may choose another zone or node.
    binding_mode: str = "WaitForFirstConsumer"


_EBS = {"type": "gp3", "encrypted": "true"}
_GKE_ZONE = "topology.gke.io/zone"
_AKS_ZONE = "topology.disk.csi.azure.com/zone"
_AKS_SNAPSHOT = {"incremental": "true"}

PROFILES: Mapping[str, Profile] = {
    "aks": Profile("disk.csi.azure.com", {"skuName": "Premium_LRS"}, _AKS_SNAPSHOT, _AKS_ZONE),
    # This disk has no host cache and exists in one zone only.
    "aks-premium-v2": Profile(
        "disk.csi.azure.com", {"skuName": "PremiumV2_LRS", "cachingMode": "None"}, _AKS_SNAPSHOT, _AKS_ZONE
    ),
    # Copied to all zones, so that an ordinal can move when a zone is lost.
    "aks-zrs": Profile("disk.csi.azure.com", {"skuName": "Premium_ZRS"}, _AKS_SNAPSHOT, _AKS_ZONE),
    "digitalocean": Profile("dobs.csi.digitalocean.com", {}, {}),
    "eks": Profile("ebs.csi.aws.com", _EBS, {}),
    # The nodes of Auto Mode have a driver of their own, and only they have it.
    "eks-auto": Profile("ebs.csi.eks.amazonaws.com", _EBS, {}, topology={"eks.amazonaws.com/compute-type": "auto"}),
    "generic": Profile(),
    "gke": Profile("pd.csi.storage.gke.io", {"type": "pd-ssd"}, {}, _GKE_ZONE),
    # The newer machine series take no other disks.
    "gke-hyperdisk": Profile("pd.csi.storage.gke.io", {"type": "hyperdisk-balanced"}, {}, _GKE_ZONE, least="4Gi"),
    "kind": Profile("rancher.io/local-path", allow_expansion=False, zone=""),
}


@dataclasses.dataclass(frozen=True)
class Wish:
    """What an inventory says about storage. None, "" and empty stand for the profile's own value."""

    provider: str = "generic"
    name: str = ""  # of the StorageClass
    parameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # they win over those of the profile
    default: bool = False  # true makes it the default class; false leaves that as it is
    allow_expansion: bool | None = None
    reclaim_policy: str = ""
    binding_mode: str = ""
    zones: Sequence[str] = ()
    mount_options: Sequence[str] = ()
    snapshot_class: str = ""  # name of the VolumeSnapshotClass


def classes(wish: Wish) -> tuple[tuple[Object, ...], list[Finding]]:
    """The StorageClass and the VolumeSnapshotClass to create, as far as they are named, and what is outdated.

    Nothing is created without a name (the cluster's default class is used) and for the generic provider (the class must
    exist).

    Raises OrbitError for an unknown provider, and for settings that would have no effect.
    """
    profile = PROFILES.get(wish.provider)
    if profile is None:
        guess = nearest(wish.provider, PROFILES)
        raise OrbitError(
            f"Storage provider {wish.provider!r} is not known; known are: {', '.join(PROFILES)}.",
            f"Set orbit_rs_storage_provider: {guess or 'generic'}",
        )
    _refuse_idle(wish, profile)
    translated, findings = translate(wish.parameters)
    result = []
    if wish.name and profile.provisioner:
        result.append(_storage_class(wish, profile, translated))
    if wish.snapshot_class:
        result.append(_snapshot_class(wish, profile))
    return tuple(result), findings


def compare(wanted: Sequence[Object], live: Snapshot) -> tuple[tuple[Object, ...], list[Difference], list[Finding]]:
    """What of the wanted objects can be made, what differs, and what is to be said about it, by what is there.

    `live.lists` holds the StorageClasses as "classes", when they may be read.
    """
    findings: list[Finding] = []
    changes: list[Difference] = []
    made = []
    for obj in wanted:
        name = objects.key(obj)
        if f"{obj['apiVersion']} {obj['kind']}" in live.unserved:
            findings.append(unserved(obj))
            continue
        made.append(obj)
        found = live.objects.get(name)
        mine = [Difference(name, "", objects.PRESENT, None)] if found is None else differences(obj, found)
        changes.extend(mine)
        if obj["kind"] == "StorageClass" and (refused := refusal(obj["metadata"]["name"], mine)):
            findings.append(refused)
    if conflict := other_defaults(made, live.lists.get("classes", ())):
        findings.append(conflict)
    return tuple(made), changes, findings


def differences(wanted: Object, live: Object) -> list[Difference]:
    """What an object has to change. Parameters count whole: one that is not wanted any more cannot just stay."""
    stated = {"kind": wanted["kind"], "metadata": {}, "parameters": live.get("parameters") or {}}
    return objects.differences(wanted, live, stated)


def refusal(name: str, changes: Iterable[Difference]) -> Finding | None:
    """Why changes of the StorageClass `name` are not made, and the ways out; None when the API server takes them."""
    seen = [
        f"{item.path} is {_said(item.found)}, not {_said(item.wanted)}"
        for item in changes
        if item.path.partition(".")[0].partition("[")[0] in IMMUTABLE
    ]
    if not seen:
        return None
    return Finding(
        "error",
        "immutable field",
        f"StorageClass/{name}: {'; '.join(seen)}. This cannot be changed.",
        f"Make it anew: kubectl delete storageclass {name}, then run again; volumes that exist keep what they have. Or "
        "choose another name in orbit_rs_storage_class and persistence.storageClass, for a release without volumes.",
    )


def is_default(storage_class: Object) -> bool:
    """Whether claims without a class get this one."""
    annotations = storage_class["metadata"].get("annotations") or {}
    return "true" in (annotations.get(DEFAULT_CLASS), annotations.get(OLD_DEFAULT_CLASS))


def other_defaults(wanted: Iterable[Object], live: Iterable[Object]) -> Finding | None:
    """The warning that a class which shall be the default is not the only one."""
    mine = [obj["metadata"]["name"] for obj in wanted if obj["kind"] == "StorageClass" and is_default(obj)]
    others = [obj["metadata"]["name"] for obj in live if is_default(obj) and obj["metadata"]["name"] not in mine]
    if not mine or not others:
        return None
    return Finding(
        "warning",
        "default class",
        f"StorageClass {mine[0]} shall be the default, and {', '.join(others)} is it, too; the newest is taken.",
        f"Take it from the others: kubectl annotate storageclass {' '.join(others)} {DEFAULT_CLASS}-",
    )


def unserved(obj: Object) -> Finding:
    """The warning that a VolumeSnapshotClass cannot be made here."""
    return Finding(
        "warning",
        "snapshot class",
        f"VolumeSnapshotClass {obj['metadata']['name']} is left out: the cluster does not serve {SNAPSHOT_API}.",
        "Install the CRDs and the controller of external-snapshotter (managed clusters offer them as an add-on), or "
        'set orbit_rs_storage_snapshot_class: "".',
    )


def allowed(storage_class: Object, labels: Mapping[str, str]) -> bool:
    """Whether a volume of this class can come into being for a node with these labels."""
    terms = storage_class.get("allowedTopologies") or ()
    return not terms or any(
        all(labels.get(item["key"]) in item["values"] for item in term.get("matchLabelExpressions") or ())
        for term in terms
    )


def _refuse_idle(wish: Wish, profile: Profile) -> None:
    """Raise OrbitError for settings that nothing would come of."""
    if wish.snapshot_class and profile.snapshot_parameters is None:
        raise OrbitError(
            f"orbit_rs_storage_snapshot_class has no effect: provider {wish.provider!r} makes no snapshots.",
            "Leave it empty. Providers with snapshots: "
            f"{', '.join(name for name, row in PROFILES.items() if row.snapshot_parameters is not None)}.",
        )
    if wish.zones and profile.provisioner and not profile.zone:
        raise OrbitError(
            f"orbit_rs_storage_zones has no effect: the volumes of provider {wish.provider!r} are in no zone.",
            "Leave it empty.",
        )
    if wish.name and profile.provisioner:
        return
    for field in dataclasses.fields(Wish):
        if field.name in ("provider", "name", "snapshot_class"):
            continue
        if getattr(wish, field.name):
            creating = ", ".join(known for known, row in PROFILES.items() if row.provisioner)
            raise OrbitError(
                f"orbit_rs_storage_{field.name} has no effect: provider {wish.provider!r} with class name "
                f"{wish.name!r} creates no StorageClass.",
                f"Name the class to create in orbit_rs_storage_class; providers that create one: {creating}.",
            )


def _storage_class(wish: Wish, profile: Profile, parameters: Mapping[str, Any]) -> Object:
    result: Object = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": wish.name, **({"annotations": {DEFAULT_CLASS: "true"}} if wish.default else {})},
        "provisioner": profile.provisioner,
        "reclaimPolicy": wish.reclaim_policy or profile.reclaim_policy,
        "volumeBindingMode": wish.binding_mode or profile.binding_mode,
        "allowVolumeExpansion": profile.allow_expansion if wish.allow_expansion is None else wish.allow_expansion,
    }
    if merged := {**profile.parameters, **parameters}:
        # The API takes text only; YAML turns "true" without quotes into a boolean.
        result["parameters"] = {
            option: str(value).lower() if isinstance(value, bool) else str(value) for option, value in merged.items()
        }
    topology = {key: [value] for key, value in profile.topology.items()}
    if wish.zones:
        topology[profile.zone] = list(wish.zones)
    if topology:
        terms = [{"key": key, "values": values} for key, values in topology.items()]
        result["allowedTopologies"] = [{"matchLabelExpressions": terms}]
    if wish.mount_options:
        result["mountOptions"] = list(wish.mount_options)
    return result


def _snapshot_class(wish: Wish, profile: Profile) -> Object:
    result: Object = {
        "apiVersion": SNAPSHOT_API,
        "kind": "VolumeSnapshotClass",
        "metadata": {"name": wish.snapshot_class},
        "driver": profile.provisioner,
        "deletionPolicy": "Delete",  # retention deletes snapshots, and means it
    }
    if profile.snapshot_parameters:
        result["parameters"] = dict(profile.snapshot_parameters)
    return result


def _said(value: object) -> str:
    return "nothing" if value is None else str(value)
