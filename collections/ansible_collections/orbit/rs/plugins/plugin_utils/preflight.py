# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands against a rollout, or will hurt later: all findings at once, each with what to do about it.

Nothing here asks the cluster. What is looked at is what the chart renders and what the snapshot holds.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ansible_collections.orbit.rs.plugins.plugin_utils import (
    access,
    lock,
    objects,
    placement,
    podsecurity,
    quota,
    storage,
    volumes,
)
from ansible_collections.orbit.rs.plugins.plugin_utils import references as refs
from ansible_collections.orbit.rs.plugins.plugin_utils.model import (
    Desired,
    Finding,
    HelmRelease,
    Object,
    Severity,
    Snapshot,
)

ZONE = storage.ZONE
HOSTNAME = "kubernetes.io/hostname"

OLDEST_KUBERNETES = (1, 24)
OLDEST_HELM = (3, 12)
OLDEST_CONTROLLER = {"ansible-core": (2, 19), "kubernetes.core": (6, 5)}
HELM_3_END = datetime.date(2027, 2, 10)

# Last day of upstream support, as the project publishes it. What is older than this table has none.
KUBERNETES_END = {
    (1, 33): datetime.date(2026, 6, 28),
    (1, 34): datetime.date(2026, 10, 27),
    (1, 35): datetime.date(2027, 2, 28),
    (1, 36): datetime.date(2027, 6, 28),
}

# The guide's requirements.
NODES = 3
NODE_SIZE = {"cpu": "2", "memory": "4G"}

# A Helm release is named in labels and in the names of its Secrets.
RELEASE_NAME_LENGTH = 53
LABEL_LENGTH = 63
REVISION_SUFFIX = "-0123456789"  # of the label controller-revision-hash
NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
PORT_NAME = re.compile(r"(?=.*[a-z])(?!.*--)[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?")

# What the names in Snapshot.denied stand for; any other is objects.key() of one object.
_REQUESTS = {
    "namespace": "get namespaces",
    "nodes": "list nodes",
    "storage classes": "list storageclasses.storage.k8s.io",
    "pods": "list pods",
    "claims": "list persistentvolumeclaims",
    "pods of all namespaces": "list pods --all-namespaces",
    "quotas": "list resourcequotas",
    "limits": "list limitranges",
    "ingress classes": "list ingressclasses.networking.k8s.io",
    "services of all namespaces": "list services --all-namespaces",
    "volumes": "list persistentvolumes",
    (_ATTRIBUTES := "volume attributes classes"): "list volumeattributesclasses.storage.k8s.io",
}
_NAMESPACED = ("pods", "claims", "quotas", "limits")

_VOLUME = "PersistentVolume/"  # how objects.key() begins for one


@dataclasses.dataclass(frozen=True)
class _Look:
    """What every check looks at, taken apart once."""

    desired: Desired
    snapshot: Snapshot
    today: datetime.date

    @property
    def statefulset(self) -> Object:
        return objects.find(self.desired.objects, "StatefulSet") or {}

    @property
    def name(self) -> str:
        return str((self.statefulset.get("metadata") or {}).get("name", ""))

    @property
    def replicas(self) -> int:
        return int(self.statefulset.get("spec", {}).get("replicas", 1)) if self.statefulset else 0

    @property
    def template(self) -> Object:
        template: Object = self.statefulset.get("spec", {}).get("template", {})
        return template

    @property
    def pod(self) -> Mapping[str, Any]:
        spec: Mapping[str, Any] = self.template.get("spec", {})
        return spec

    @functools.cached_property
    def nodes(self) -> list[Object]:
        """Nodes that may take a pod of this release: ready, not cordoned, tolerated, selected."""
        return [
            node for node in self.snapshot.nodes or () if placement.ready(node) and placement.admits(node, self.pod)
        ]

    @property
    def labels(self) -> Mapping[str, str]:
        """Labels of the pods."""
        labels: Mapping[str, str] = (self.template.get("metadata") or {}).get("labels") or {}
        return labels

    @property
    def templates(self) -> list[Object]:
        """Templates of the claims."""
        return list(self.statefulset.get("spec", {}).get("volumeClaimTemplates") or ())

    @functools.cached_property
    def claims(self) -> Mapping[str, Object]:
        """Claims of the release by name."""
        return {claim["metadata"]["name"]: claim for claim in self.snapshot.claims}

    def without_claim(self, template: Object) -> list[int]:
        """Ordinals whose claim of this template is still to be made."""
        name = f"{template['metadata']['name']}-{self.name}"
        return [ordinal for ordinal in range(self.replicas) if f"{name}-{ordinal}" not in self.claims]

    @functools.cached_property
    def classes(self) -> dict[str, Object]:
        """StorageClasses by name, with those that this run makes."""
        return classes(self.desired, self.snapshot)

    @functools.cached_property
    def growths(self) -> list[volumes.Growth]:
        """Claims that have to grow, and can."""
        return [
            growth
            for growth in growths(self.desired, self.snapshot)
            if self.snapshot.storage_classes is None or not any(volumes.against([growth], self.classes))
        ]

    @property
    def defaults(self) -> list[str]:
        """Names of the default classes, that which counts first."""
        found = [obj for obj in self.classes.values() if storage.is_default(obj)]
        found.sort(key=lambda obj: str(obj["metadata"].get("creationTimestamp", "9")), reverse=True)
        return [obj["metadata"]["name"] for obj in found]

    def storage_class(self, template: Object) -> Object | None:
        """The class that claims of this template get, as far as it is known."""
        name = template["spec"].get("storageClassName")
        return self.classes.get(name if name is not None else next(iter(self.defaults), ""))

    @property
    def pod_with_defaults(self) -> dict[str, Any]:
        """The pod's spec as the LimitRanges of the namespace complete it."""
        return quota.with_defaults(self.pod, self.snapshot.limits)


def classes(desired: Desired, snapshot: Snapshot) -> dict[str, Object]:
    """StorageClasses by name, as they are when those of the inventory are applied."""
    own = [obj for obj in desired.platform if obj["kind"] == "StorageClass"]
    live = {obj["metadata"]["name"]: obj for obj in snapshot.storage_classes or ()}
    # Applied on the server, a class keeps what is not stated, such as the annotation of the default.
    kept = {obj["metadata"]["name"]: _applied(live.get(obj["metadata"]["name"]), obj) for obj in own}
    return live | kept


def growths(desired: Desired, snapshot: Snapshot) -> list[volumes.Growth]:
    """Claims of a release that is there and that are not as they are wanted."""
    wanted = objects.find(desired.objects, "StatefulSet")
    live = snapshot.objects.get(objects.key(wanted)) if wanted else None
    return volumes.growths(wanted, live, snapshot.claims, snapshot.pods) if wanted and live else []


def findings(desired: Desired, snapshot: Snapshot, today: datetime.date | None = None) -> list[Finding]:
    """Everything that preflight has to say, in the order of CHECKS. `today` decides what is out of support."""
    look = _Look(desired, snapshot, today or datetime.datetime.now(datetime.UTC).date())
    return [finding for check in CHECKS for finding in check(look)]


def references(desired: Desired, snapshot: Snapshot) -> list[refs.Reference]:
    """Objects that must be there for the rendered ones to work, so that they can be read."""
    look = _Look(desired, snapshot, datetime.date.min)
    result = refs.references(desired.objects)
    for template in look.templates:
        storage_class = look.storage_class(template) or {}
        driver = str(storage_class.get("provisioner", ""))
        # A driver for the container storage interface registers itself under its name.
        if "csi" in driver.split(".") and look.without_claim(template):
            name = storage_class["metadata"]["name"]
            result.append(
                refs.Reference("storage.k8s.io/v1", "CSIDriver", driver, "", f"StorageClass {name}", "warning")
            )
    return list(dict.fromkeys(result))


def lists(desired: Desired) -> dict[str, str]:
    """Lists and APIs that only some releases need, so that they can be read: path by name."""
    result = {version: f"/apis/{version}" for version in refs.metrics(desired.objects)}
    if any(obj["kind"] == "Ingress" and not _ingress_class(obj) for obj in desired.objects):
        result["ingress classes"] = "/apis/networking.k8s.io/v1/ingressclasses"
    if any(port.get("nodePort") for dummy, port in _service_ports(desired.objects)):
        result["services of all namespaces"] = "/api/v1/services"
    statefulset = objects.find(desired.objects, "StatefulSet") or {}
    templates = statefulset.get("spec", {}).get("volumeClaimTemplates") or ()
    if any(template["spec"].get("storageClassName") == "" for template in templates):
        result["volumes"] = "/api/v1/persistentvolumes"
    if any(template["spec"].get("volumeAttributesClassName") for template in templates):
        result[_ATTRIBUTES] = "/apis/storage.k8s.io/v1/volumeattributesclasses"
    return result


def unfinished(release: HelmRelease, name: str, namespace: str) -> Finding | None:
    """The error that a release in the state pending-* or uninstalling is, with the command that recovers it."""
    if not release.status.startswith("pending-") and release.status != "uninstalling":
        return None
    if release.status in ("pending-install", "uninstalling"):
        command = f"helm uninstall {name} -n {namespace}  (the volumes stay)"
    elif release.deployed:
        command = f"helm rollback {name} {release.deployed} -n {namespace}"
    else:
        command = (
            f"helm history {name} -n {namespace}, then helm rollback {name} REVISION -n {namespace} with the newest "
            "revision that is deployed there"
        )
    if release.status != "uninstalling":
        command = f"run again with -e orbit_rs_recover=true, which undoes that revision; or {command}"
    return Finding(
        "error",
        "release status",
        f"Revision {release.revision} of {name} is {release.status}: a Helm is at work on it, or was killed.",
        f"Make sure that no other Helm or playbook is running, then: {command}",
    )


def _kubernetes(look: _Look) -> Iterator[Finding]:
    version = _version(look.snapshot.kubernetes)
    if version is None:
        return
    seen = f"The cluster runs Kubernetes {look.snapshot.kubernetes}"
    if version < OLDEST_KUBERNETES:
        least = ".".join(map(str, OLDEST_KUBERNETES))
        yield Finding("error", "kubernetes version", f"{seen}; at least {least} is needed.", "Upgrade the cluster.")
        return
    end = KUBERNETES_END.get(version)
    if version < min(KUBERNETES_END):
        yield Finding(
            "warning", "kubernetes version", f"{seen}, long out of upstream support.", "Plan an upgrade of the cluster."
        )
    elif end and look.today > end:
        yield Finding(
            "warning",
            "kubernetes version",
            f"{seen}, out of upstream support since {end}.",
            f"Upgrade the cluster to {_supported(look.today)} or newer, unless your provider supports it longer.",
        )


def _helm(look: _Look) -> Iterator[Finding]:
    version = _version(look.snapshot.helm)
    if version is None:
        return
    remedy = "Install Helm 4; the role orbit.rs.prerequisites does it, into the folder orbit_rs_bin_dir."
    if version < OLDEST_HELM:
        least = ".".join(map(str, OLDEST_HELM))
        yield Finding("error", "helm version", f"Helm is {look.snapshot.helm}; at least {least} is needed.", remedy)
    elif version < (4, 0):
        verb = "ended" if look.today > HELM_3_END else "ends"
        seen = f"Helm is {look.snapshot.helm}; support of Helm 3 {verb} on {HELM_3_END}."
        yield Finding("warning", "helm version", seen, remedy)


def _controller(look: _Look) -> Iterator[Finding]:
    versions = look.snapshot.controller
    for name, oldest in OLDEST_CONTROLLER.items():
        least = ".".join(map(str, oldest))
        how = f"pip install 'ansible-core>={least}'"
        if name == "kubernetes.core":
            how = f"ansible-galaxy collection install 'kubernetes.core:>={least}.0'"
        found = _version(versions.get(name, ""))
        if found is not None and found < oldest:
            seen = f"{name} is {versions[name]}; at least {least} is needed."
            yield Finding("error", f"{name} version", seen, how)
        elif versions and name not in versions:
            yield Finding("error", f"{name} version", f"{name} is not installed.", how)


def _release(look: _Look) -> Iterator[Finding]:
    release, name, namespace = look.snapshot.release, look.desired.release.name, look.desired.release.namespace
    if release is None:
        return
    if (pending := unfinished(release, name, namespace)) is not None:
        yield pending
    elif release.status == "failed":
        yield Finding(
            "warning",
            "release status",
            f"Revision {release.revision} of {name} has failed; it may be applied in part.",
            f"This run applies what is wanted again. What was tried: helm history {name} -n {namespace}",
        )
    if release.chart and _chart(release.chart) != _chart(look.desired.chart):
        yield Finding(
            "error",
            "release chart",
            f"Release {name} was made from another chart, {release.chart}.",
            "Choose another name: set orbit_rs_release, or another namespace: set orbit_rs_namespace.",
        )


def _namespace(look: _Look) -> Iterator[Finding]:
    name, namespace = look.desired.release.namespace, look.snapshot.namespace
    if namespace is None:
        denied = "namespace" in look.snapshot.denied
        if not denied and objects.find(look.desired.platform, "Namespace") is None:
            seen = f"Namespace {name} does not exist."
            yield Finding("error", "namespace", seen, f"kubectl create namespace {name}")
        return
    status = namespace.get("status") or {}
    if not namespace["metadata"].get("deletionTimestamp") and status.get("phase") != "Terminating":
        return
    why = "; ".join(
        condition["message"]
        for condition in status.get("conditions") or ()
        if condition.get("status") == "True" and condition.get("message")
    )
    yield Finding(
        "error",
        "namespace",
        f"Namespace {name} is being deleted{f': {why}' if why else '.'}",
        f"Wait until it is gone: kubectl wait --for=delete namespace/{name} --timeout=5m; "
        f"if that does not end: kubectl get namespace {name} -o yaml names what holds it.",
    )


def _denied(look: _Look) -> Iterator[Finding]:
    requests = []
    for denied in look.snapshot.denied:
        request = _REQUESTS.get(denied)
        if request is None:
            kind, *namespace, name = denied.split("/")
            request = f"get {kind.lower()}/{name}{f' -n {namespace[0]}' if namespace else ''}"
        elif denied in _NAMESPACED:
            request += f" -n {look.desired.release.namespace}"
        requests.append(request)
    if requests:
        yield Finding(
            "warning",
            "permission",
            f"This account may not {'; '.join(requests)}; what depends on it is not checked.",
            f"Ask for that permission; test it with: kubectl auth can-i {requests[0]}",
        )


def _access(look: _Look) -> Iterator[Finding]:
    yield from access.findings(look.snapshot.forbidden)


def _nodes(look: _Look) -> Iterator[Finding]:
    if look.snapshot.nodes is None:
        return
    for node in look.snapshot.nodes:
        if not placement.ready(node):
            name = node["metadata"]["name"]
            yield Finding("warning", "nodes", f"Node {name} is not Ready.", f"kubectl describe node {name}")
    nodes = look.nodes
    if nodes and len(nodes) < NODES:
        yield Finding(
            "warning" if look.replicas > 1 else "info",
            "nodes",
            f"{_count(len(nodes), 'node')} can take pods of this release; the guide asks for {NODES}.",
            "Add nodes, or accept that the loss of one node stops several ordinals.",
        )
    small = [
        node["metadata"]["name"]
        for node in nodes
        if any(
            objects.quantity((node["status"].get("capacity") or {}).get(resource, least)) < objects.quantity(least)
            for resource, least in NODE_SIZE.items()
        )
    ]
    if small:
        least = f"{NODE_SIZE['cpu']} CPU and {NODE_SIZE['memory']} memory"
        seen = f"Smaller than the {least} of the guide: {_names(small)}."
        yield Finding("info", "nodes", seen, "Use bigger nodes for production.")


def _capacity(look: _Look) -> Iterator[Finding]:
    if look.snapshot.nodes is None or not look.replicas:
        return
    needs = objects.requests(look.pod_with_defaults)
    wanted = ", ".join(f"{name} {quota.amount(name, value)}" for name, value in needs.items()) or "nothing"
    nodes = look.nodes
    if not nodes:
        yield Finding(
            "error",
            "capacity",
            f"None of {_count(len(look.snapshot.nodes), 'node')} can take a pod of this release: not Ready, cordoned, "
            "tainted or not selected.",
            "kubectl get nodes; set orbitServer.nodeSelector and orbitServer.tolerations to match them.",
        )
        return
    slots = _slots(look, needs)
    room = sum(slots.values())
    remedy = "Add nodes, or lower orbitServer.resources.requests"
    if not room:
        empty = sum(placement.room(node, needs, {}) for node in nodes)
        cause = "even an empty one is too small" if not empty else "the pods that run there leave too little"
        yield Finding(
            "error",
            "capacity",
            f"No node has room for one ordinal, which requests {wanted}: {cause}. All pods would stay Pending.",
            f"{remedy}. What is taken: kubectl describe nodes",
        )
    elif room < look.replicas:
        yield Finding(
            "warning",
            "capacity",
            f"The nodes have room for {room} of {look.replicas} ordinals of {wanted}: "
            f"{_count(look.replicas - room, 'pod')} would stay Pending.",
            f"{remedy} or orbitServer.replicaCount.",
        )
    else:
        yield from _places(look, slots)


def _slots(look: _Look, needs: Mapping[str, float]) -> dict[str, int]:
    """How many ordinals each node has room for, when those that run now have left."""
    own: dict[str, dict[str, float]] = {}
    for pod in look.snapshot.pods:
        spec = pod.get("spec") or {}
        node = own.setdefault(spec.get("nodeName", ""), {})
        for resource, value in {**objects.requests(spec), "pods": 1.0}.items():
            node[resource] = node.get(resource, 0.0) + value
    slots = {}
    for obj in look.nodes:
        name = obj["metadata"]["name"]
        mine = own.get(name, {})
        taken = look.snapshot.requested.get(name, {})
        slots[name] = placement.room(
            obj, needs, {resource: max(0.0, value - mine.get(resource, 0.0)) for resource, value in taken.items()}
        )
    return slots


def _places(look: _Look, slots: Mapping[str, int]) -> Iterator[Finding]:
    """Why ordinals would find no place although there is room for all of them."""
    nodes = look.nodes
    labels = {node["metadata"]["name"]: node["metadata"].get("labels") or {} for node in nodes}
    candidates = placement.homes(
        look.statefulset,
        range(look.replicas),
        nodes,
        look.claims,
        {name.partition("/")[2]: obj for name, obj in look.snapshot.objects.items() if name.startswith(_VOLUME)},
        look.classes,
        next(iter(look.defaults), ""),
    )
    limits = placement.limits(look.pod, look.labels, look.snapshot.nodes or (), look.replicas)
    # A label that no node carries is named by _zones.
    limits = [limit for limit in limits if limit.domains]
    search = placement.Search(labels, slots, candidates, tuple(limits))
    if (placed := len(search.placed())) == look.replicas:
        return
    pending = _count(look.replicas - placed, "pod")
    lost = [ordinal for ordinal in candidates if not candidates[ordinal]]
    for ordinal in lost:
        yield _lost(look, ordinal)
    anywhere = dataclasses.replace(search, candidates={ordinal: frozenset(labels) for ordinal in candidates})
    told = bool(lost)
    for limit in limits:
        alone = dataclasses.replace(anywhere, slots=dict.fromkeys(labels, look.replicas), limits=(limit,))
        if len(alone.placed()) == look.replicas:
            continue
        told = True
        if limit.reason == "anti-affinity":
            yield Finding(
                "warning",
                "zones",
                f"Required anti-affinity over {limit.topology} allows one ordinal for each of {_names(limit.domains)}: "
                f"{_count(look.replicas - len(limit.domains), 'pod')} of {look.replicas} would stay Pending.",
                "Use preferredDuringSchedulingIgnoredDuringExecution in affinity.podAntiAffinity, or leave affinity "
                "out: the chart spreads over zones by itself.",
            )
        else:
            yield Finding(
                "warning",
                "zones",
                f"Spread over {limit.topology} (DoNotSchedule) allows {limit.most} for each of "
                f"{_names(limit.domains)}, because there are places that the pods do not tolerate or too few of them: "
                f"{pending} of {look.replicas} would stay Pending.",
                "Set topologySpread to ScheduleAnyway, or add nodes there.",
            )
    if not told:
        tied = [name for ordinal in range(look.replicas) if (name := _tied(look, ordinal))]
        because = f"; volumes are tied to {_names(dict.fromkeys(tied))}" if tied else ""
        limited = "".join(f"; {limit.reason} over {limit.topology} allows {limit.most} each" for limit in limits)
        yield Finding(
            "warning",
            "capacity",
            f"The nodes have room for all {look.replicas} ordinals, but not where they may run{because}{limited}: "
            f"{pending} would stay Pending.",
            "Make room there: kubectl describe nodes",
        )


def _tied(look: _Look, ordinal: int) -> str:
    """What the volumes of an ordinal are tied to, "" when to nothing that is known."""
    words = []
    for template in look.templates:
        claim = look.claims.get(f"{template['metadata']['name']}-{look.name}-{ordinal}") or {}
        volume = look.snapshot.objects.get(f"{_VOLUME}{(claim.get('spec') or {}).get('volumeName')}")
        if volume:
            words.append(placement.where(volume))
    return ", ".join(filter(None, words))


def _lost(look: _Look, ordinal: int) -> Finding:
    """The finding that no node can take an ordinal because of its volumes."""
    if tied := _tied(look, ordinal):
        return Finding(
            "warning",
            "volumes",
            f"The volume of {look.name}-{ordinal} is tied to {tied}, where no node can take the pod: it would stay "
            "Pending.",
            "Bring that node back or add one there. What is lost for good is restored from a backup into a new volume.",
        )
    names = [obj["metadata"]["name"] for template in look.templates if (obj := look.storage_class(template))]
    return Finding(
        "error",
        "storage class",
        f"StorageClass {_names(names)} makes volumes in places only (allowedTopologies) where no node can take "
        f"{look.name}-{ordinal}: it would stay Pending.",
        "Correct orbit_rs_storage_zones or the class, or add nodes there: kubectl get nodes --show-labels",
    )


def _zones(look: _Look) -> Iterator[Finding]:
    nodes = look.nodes
    if not nodes or look.replicas < 2:
        return
    zones = placement.domains(nodes, ZONE)
    if len(zones) == 1:
        yield Finding(
            "warning",
            "zones",
            f"All nodes for this release are in one zone, {zones[0]}: its loss stops all {look.replicas} ordinals.",
            "Add nodes in other zones, or accept it.",
        )
    elif not zones:
        yield Finding(
            "info", "zones", f"No node names its zone (label {ZONE}).", f"kubectl label node NODE {ZONE}=ZONE"
        )
    for limit in placement.limits(look.pod, look.labels, look.snapshot.nodes or (), look.replicas):
        if limit.domains:
            continue
        if limit.reason == "anti-affinity":
            yield Finding(
                "warning",
                "zones",
                f"Required anti-affinity over {limit.topology} spreads nothing: no node carries that label.",
                f"Use {ZONE} or {HOSTNAME} as topologyKey in affinity.podAntiAffinity.",
            )
        else:
            yield Finding(
                "error",
                "zones",
                f"Pods must spread over {limit.topology}, and no node carries that label: all of them would stay "
                "Pending.",
                f"kubectl label node NODE {limit.topology}=VALUE, or set topologySpread to ScheduleAnyway.",
            )
    for template in look.templates:
        storage_class = look.storage_class(template)
        if not storage_class or len(look.without_claim(template)) < look.replicas or len(zones) < 2:
            continue
        reached = placement.domains(
            [node for node in nodes if storage.allowed(storage_class, node["metadata"].get("labels") or {})], ZONE
        )
        if len(reached) == 1:
            yield Finding(
                "warning",
                "zones",
                f"StorageClass {storage_class['metadata']['name']} makes volumes in zone {reached[0]} only: its loss "
                f"stops all {look.replicas} ordinals.",
                "Name more zones in orbit_rs_storage_zones, or accept it.",
            )


def _storage(look: _Look) -> Iterator[Finding]:
    if look.snapshot.storage_classes is None:
        return
    if conflict := storage.other_defaults(look.desired.platform, look.snapshot.storage_classes):
        yield conflict
    classes, defaults = look.classes, look.defaults
    for template in look.templates:
        # Existing volumes need no class.
        severity: Severity = "error" if look.without_claim(template) else "warning"
        wanted = template["spec"].get("storageClassName")
        if wanted == "":
            yield from _handmade(look, template)
            continue
        if wanted is None and not defaults:
            yield Finding(
                severity,
                "storage class",
                f"No StorageClass is named and none is the default; there are: {_names(classes)}.",
                "Set persistence.storageClass to one of them, or orbit_rs_storage_class to have one created.",
            )
        elif wanted is None and len(defaults) > 1 and not conflict:
            yield Finding(
                "warning",
                "default class",
                f"Several StorageClasses are the default: {_names(sorted(defaults))}; the newest is taken.",
                "Set persistence.storageClass, or take the annotation from the others: "
                f"kubectl annotate storageclass NAME {storage.DEFAULT_CLASS}-",
            )
        elif wanted is not None and wanted not in classes:
            yield Finding(
                severity,
                "storage class",
                f"StorageClass {wanted} does not exist; there are: {_names(classes)}.",
                "Set persistence.storageClass to one of them, or orbit_rs_storage_class to have it created.",
            )
        used = look.storage_class(template)
        zones = placement.domains(look.nodes, ZONE)
        # Immediate is the API server's default.
        if used and used.get("volumeBindingMode", "Immediate") == "Immediate" and len(zones) > 1:
            yield Finding(
                "warning",
                "storage class",
                f"StorageClass {used['metadata']['name']} binds at once: a volume may come to be in a zone where its "
                "pod cannot run.",
                "Use a class with volumeBindingMode: WaitForFirstConsumer.",
            )
        if used:
            yield from _small(template, used)


def _small(template: Object, used: Object) -> Iterator[Finding]:
    """A volume below what the provider makes."""
    size = ((template["spec"].get("resources") or {}).get("requests") or {}).get("storage", "0")
    for profile in storage.PROFILES.values():
        parameters = used.get("parameters") or {}
        same = profile.provisioner == used.get("provisioner") and all(
            parameters.get(name) == value for name, value in profile.parameters.items()
        )
        if profile.provisioner and same and objects.quantity(size) < objects.quantity(profile.least):
            yield Finding(
                "warning",
                "storage class",
                f"persistence.size is {size}; StorageClass {used['metadata']['name']} makes volumes of {profile.least} "
                "and more.",
                f"Set persistence.size: {profile.least}",
            )
            return


def _handmade(look: _Look, template: Object) -> Iterator[Finding]:
    """Too few volumes for claims that no class serves."""
    missing = look.without_claim(template)
    if "volumes" not in look.snapshot.lists:
        return
    size = objects.quantity(((template["spec"].get("resources") or {}).get("requests") or {}).get("storage", 0))
    free = [
        volume
        for volume in look.snapshot.lists["volumes"]
        if (volume.get("status") or {}).get("phase") == "Available"
        and not (volume.get("spec") or {}).get("storageClassName")
        and objects.quantity(((volume.get("spec") or {}).get("capacity") or {}).get("storage", 0)) >= size
    ]
    if len(free) < len(missing):
        yield Finding(
            "error",
            "volumes",
            f"{_count(len(missing), 'claim')} of {template['metadata']['name']} need volumes made by hand, because "
            f"they name no class; {len(free)} are Available that are big enough.",
            "Make them, or set persistence.storageClass: kubectl get persistentvolumes",
        )


def _attributes(look: _Look) -> Iterator[Finding]:
    """VolumeAttributesClasses that are not there, or that the driver of a volume does not know."""
    if _ATTRIBUTES in look.snapshot.denied:
        return
    drivers: dict[str, set[str]] = {}
    for template in look.templates:
        name = template["metadata"]["name"]
        of_template = drivers.setdefault(name, set())
        if look.without_claim(template) and (used := look.storage_class(template)):
            of_template.add(str(used.get("provisioner", "")))
        for ordinal in range(look.replicas):
            claim = look.claims.get(f"{name}-{look.name}-{ordinal}") or {}
            volume = look.snapshot.objects.get(f"{_VOLUME}{(claim.get('spec') or {}).get('volumeName')}")
            if volume:
                of_template.add(str((volume["spec"].get("csi") or {}).get("driver", "")))
    yield from volumes.attribute_findings(look.templates, look.snapshot.lists.get(_ATTRIBUTES), drivers)


def _claims(look: _Look) -> Iterator[Finding]:
    release, holder = look.snapshot.release, lock.holder(look.snapshot.lease)
    if holder and holder.unfinished.get("phase") == lock.REBUILT:
        return  # a restore has just written them
    if look.snapshot.claims and (release is None or release.status == "uninstalled"):
        names = _names(claim["metadata"]["name"] for claim in look.snapshot.claims)
        yield Finding(
            "warning",
            "volumes",
            f"Volumes of an earlier life are there and will be used with the data on them: {names}.",
            f"To start empty, delete them first: kubectl get pvc -n {look.desired.release.namespace}",
        )


def _budget(look: _Look) -> Iterator[Finding]:
    scalers = [obj["spec"] for obj in look.desired.objects if obj["kind"] == "HorizontalPodAutoscaler"]
    fewest = min([look.replicas, *(int(spec.get("minReplicas") or 1) for spec in scalers)])
    for obj in look.desired.objects:
        if obj["kind"] != "PodDisruptionBudget" or not look.replicas:
            continue
        spec = obj.get("spec") or {}
        if not placement.selects(spec.get("selector") or {}, look.labels):
            continue
        least, most = spec.get("minAvailable"), spec.get("maxUnavailable")
        if least is not None and _share(least, fewest) >= fewest:
            seen = f"minAvailable {least} of {_count(fewest, 'ordinal')} lets no pod be evicted"
        elif most is not None and _share(most, fewest) <= 0:
            seen = f"maxUnavailable {most} lets no pod be evicted"
        else:
            continue
        yield Finding(
            "error",
            "disruption budget",
            f"{seen}: every drain of a node would hang.",
            "Set podDisruptionBudget.maxUnavailable: 1 and leave podDisruptionBudget.minAvailable out.",
        )


def _independence(look: _Look) -> Iterator[Finding]:
    if look.replicas > 1:
        yield Finding(
            "warning" if look.snapshot.release is None else "info",
            "replicas",
            f"{look.replicas} ordinals are {look.replicas} independent databases: nothing is replicated between them, "
            "and what a client finds depends on the pod that answers.",
            "Set orbitServer.replicaCount: 1 unless your clients choose the ordinal themselves; back up every ordinal.",
        )


def _image(look: _Look) -> Iterator[Finding]:
    for container in (look.pod.get("containers") or ())[:1]:
        dummy, tag, digest = image(str(container.get("image", "")))
        if digest:
            continue
        what = f"is the moving tag {tag or 'latest'}" if tag in ("", "latest") else "has no digest, and a tag can move"
        yield Finding(
            "info",
            "image",
            f"Image {container.get('image')} {what}: pods that start later may run something else.",
            "Set orbitServer.image.digest: sha256:...",
        )


def _lengths(look: _Look) -> Iterator[Finding]:
    release, namespace = look.desired.release.name, look.desired.release.namespace
    for option, name, most in (
        ("orbit_rs_release", release, RELEASE_NAME_LENGTH),
        ("orbit_rs_namespace", namespace, LABEL_LENGTH),
    ):
        if len(name) > most:
            seen = f"{option} {name} has {len(name)} characters; the most is {most}."
            yield Finding("error", "names", seen, f"Set a shorter {option}.")
        elif not NAME.fullmatch(name):
            seen = f"{option} {name!r} is no name for Kubernetes."
            yield Finding("error", "names", seen, f"Set {option} to lower case letters, digits and '-'.")
    longest = max(len(f"-{max(look.replicas - 1, 0)}"), len(REVISION_SUFFIX))
    if len(look.name) + longest > LABEL_LENGTH:
        yield Finding(
            "error",
            "names",
            f"StatefulSet {look.name} has {len(look.name)} characters; the labels of its pods allow "
            f"{LABEL_LENGTH - longest}.",
            "Set a shorter nameOverride.",
        )
    for obj in look.desired.objects:
        if obj["kind"] == "Service" and len(obj["metadata"]["name"]) > LABEL_LENGTH:
            seen = f"Service {obj['metadata']['name']} has more than {LABEL_LENGTH} characters."
            yield Finding("error", "names", seen, "Set a shorter nameOverride.")


def _ports(look: _Look) -> Iterator[Finding]:
    containers = [port for container in look.pod.get("containers") or () for port in container.get("ports") or ()]
    owners = [("The pod", "containerPort", containers)]
    for obj in look.desired.objects:
        if obj["kind"] == "Service":
            owners.append((f"Service {obj['metadata']['name']}", "port", (obj.get("spec") or {}).get("ports") or []))
    for owner, field, ports in owners:
        users: dict[tuple[Any, str], list[str]] = {}
        for port in ports:
            users.setdefault((port.get(field), port.get("protocol", "TCP")), []).append(str(port.get("name", "?")))
        for (number, protocol), names in users.items():
            if len(names) > 1:
                seen = f"{owner} has {protocol} port {number} more than once: {_names(names)}."
                yield Finding("error", "ports", seen, "Give each of them a port of its own.")
        named = [str(port["name"]) for port in ports if port.get("name")]
        for name in sorted({name for name in named if named.count(name) > 1}):
            seen = f"{owner} has more than one port named {name}."
            yield Finding("error", "ports", seen, "Give each of them a name of its own.")
        for name in dict.fromkeys(named):
            if not PORT_NAME.fullmatch(name) and (field == "containerPort" or not NAME.fullmatch(name)):
                seen = f"{owner} has a port named {name!r}, which Kubernetes does not take."
                yield Finding("error", "ports", seen, "Use at most 15 lower case letters, digits and '-'.")
        if field == "port" and len(ports) > len(named) and len(ports) > 1:
            seen = f"{owner} has several ports, and not all have a name."
            yield Finding("error", "ports", seen, "Name each of them.")
    yield from _targets(look, containers)
    yield from _node_ports(look)


def _targets(look: _Look, containers: Iterable[Mapping[str, Any]]) -> Iterator[Finding]:
    """Services in front of the pods that name a port which the pods do not have."""
    known = {port.get("name") for port in containers}
    for service, port in _service_ports(look.desired.objects):
        selector = (service.get("spec") or {}).get("selector") or {}
        target = port.get("targetPort")
        if not selector or not isinstance(target, str) or target in known:
            continue
        if placement.selects({"matchLabels": selector}, look.labels):
            seen = f"Service {service['metadata']['name']} forwards to the port {target}, which the pods do not have."
            yield Finding("error", "ports", seen, f"Name one of: {_names(sorted(filter(None, known)))}.")


def _node_ports(look: _Look) -> Iterator[Finding]:
    """Node ports that another Service has already."""
    taken = {
        (port["nodePort"], port.get("protocol", "TCP")): (
            service["metadata"].get("namespace", ""),
            service["metadata"]["name"],
        )
        for service, port in _service_ports(look.snapshot.lists.get("services of all namespaces", ()))
        if port.get("nodePort")
    }
    mine: dict[tuple[Any, str], tuple[str, str]] = {}
    for service, port in _service_ports(look.desired.objects):
        if not port.get("nodePort"):
            continue
        key = (port["nodePort"], port.get("protocol", "TCP"))
        me = (service["metadata"].get("namespace", ""), service["metadata"]["name"])
        owner = mine.get(key) or taken.get(key, me)
        if owner != me or key in mine:
            yield Finding(
                "error",
                "ports",
                f"Service {me[1]} wants the node port {key[0]}, which Service {owner[1]} in namespace {owner[0]} has.",
                "Choose another nodePort, or leave it out: the cluster then picks a free one.",
            )
        mine[key] = me


def _kinds(look: _Look) -> Iterator[Finding]:
    yield from refs.kind_findings(look.desired.objects, look.snapshot.unserved)
    for version, what in refs.metrics(look.desired.objects).items():
        if version not in look.snapshot.lists and version not in look.snapshot.denied:
            yield Finding(
                "error",
                "metrics",
                f"A HorizontalPodAutoscaler reads {version}, which the cluster does not serve: it would never scale.",
                f"Install {what}, or turn autoscaling off. See: kubectl get apiservices",
            )


def _references(look: _Look) -> Iterator[Finding]:
    snapshot = look.snapshot
    yield from refs.findings(references(look.desired, snapshot), snapshot.objects, snapshot.denied, snapshot.unserved)
    classes = snapshot.lists.get("ingress classes")
    if classes is None:
        return
    for obj in look.desired.objects:
        if obj["kind"] == "Ingress" and not _ingress_class(obj) and not any(map(_default_ingress, classes)):
            yield Finding(
                "warning",
                "references",
                f"Ingress {obj['metadata']['name']} names no class, and no IngressClass is the default: nobody "
                "serves it.",
                f"Name one: {_names(item['metadata']['name'] for item in classes)}.",
            )


def _pod_security(look: _Look) -> Iterator[Finding]:
    wanted = objects.find(look.desired.platform, "Namespace") or {}
    labels: dict[str, str] = {}
    for namespace in (look.snapshot.namespace or {}, wanted):
        labels |= (namespace.get("metadata") or {}).get("labels") or {}
    level = labels.get(podsecurity.ENFORCE, "")
    for obj, template in refs.templates(look.desired.objects):
        if found := podsecurity.violations(template["spec"], level):
            yield Finding(
                "error",
                "pod security",
                f"Namespace {look.desired.release.namespace} enforces the level {level}, and would refuse the pods of "
                f"{obj['kind']} {obj['metadata']['name']}: {'; '.join(found)}.",
                "Change that in orbit_rs_values, or the level in orbit_rs_namespace_labels.",
            )


def _quota(look: _Look) -> Iterator[Finding]:
    if not look.snapshot.quotas and not look.snapshot.limits:
        return
    pod = look.pod_with_defaults
    yield from quota.limit_findings(pod, look.templates, look.snapshot.limits)
    claims = [(template, len(look.without_claim(template))) for template in look.templates]
    missing = [obj for obj in look.desired.objects if objects.key(obj) not in look.snapshot.objects]
    running = [item.get("spec") or {} for item in look.snapshot.pods][: look.replicas]
    growing = [
        ((growth.claim.get("spec") or {}).get("storageClassName") or "", growth.missing) for growth in look.growths
    ]
    default = next(iter(look.defaults), "")
    yield from quota.quota_findings(
        missing, pod, look.replicas, running, claims, look.snapshot.quotas, default, growing
    )


CHECKS: tuple[Callable[[_Look], Iterator[Finding]], ...] = (
    _kubernetes,
    _helm,
    _controller,
    _release,
    _namespace,
    _access,
    _denied,
    _kinds,
    _references,
    _pod_security,
    _quota,
    _nodes,
    _capacity,
    _zones,
    _storage,
    _attributes,
    _claims,
    _budget,
    _independence,
    _image,
    _lengths,
    _ports,
)


def image(reference: str) -> tuple[str, str, str]:
    """Take an image reference apart: repository, tag, digest; what is not there is empty."""
    name, dummy, digest = reference.partition("@")
    repository, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:  # the colon belongs to the registry's port
        repository, tag = name, ""
    return repository, tag, digest


def _chart(text: str) -> str:
    """Name of a chart out of name-version."""
    return re.sub(r"-v?[0-9]+\.[0-9]+\.[0-9].*", "", text)


def _version(text: str) -> tuple[int, int] | None:
    match = re.match(r"v?(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else None


def _supported(today: datetime.date) -> str:
    """Oldest Kubernetes that still has upstream support."""
    alive = [version for version, end in KUBERNETES_END.items() if end >= today]
    return ".".join(map(str, min(alive))) if alive else "the newest"


def _applied(live: Object | None, wanted: Object) -> Object:
    """A class after it was applied."""
    if live is None:
        return wanted
    annotations = {
        **(live["metadata"].get("annotations") or {}),
        **(wanted["metadata"].get("annotations") or {}),
    }
    return {**live, **wanted, "metadata": {**live["metadata"], "annotations": annotations}}


def _service_ports(found: Iterable[Object]) -> Iterator[tuple[Object, Mapping[str, Any]]]:
    for obj in found:
        if obj.get("kind", "Service") == "Service":  # the items of a list do not say their kind
            for port in (obj.get("spec") or {}).get("ports") or ():
                yield obj, port


def _ingress_class(ingress: Object) -> str:
    annotations = ingress["metadata"].get("annotations") or {}
    return str(
        (ingress.get("spec") or {}).get("ingressClassName") or annotations.get("kubernetes.io/ingress.class", "")
    )


def _default_ingress(ingress_class: Object) -> bool:
    annotations = ingress_class["metadata"].get("annotations") or {}
    return annotations.get("ingressclass.kubernetes.io/is-default-class") == "true"


def _share(value: int | str, replicas: int) -> int:
    """A number of pods or a percentage of them; Kubernetes rounds up."""
    text = str(value)
    return math.ceil(int(text[:-1]) * replicas / 100) if text.endswith("%") else int(text)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _names(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
