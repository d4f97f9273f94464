# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands against a rollout, or will hurt later: all findings at once, each with what to do about it.

Nothing here asks the cluster. What is looked at is what the chart renders and what the snapshot holds.
"""

from __future__ import annotations

import dataclasses
import datetime
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ansible_collections.orbit.rs.plugins.plugin_utils import objects
from ansible_collections.orbit.rs.plugins.plugin_utils.model import (
    Desired,
    Finding,
    HelmRelease,
    Object,
    Severity,
    Snapshot,
)
from ansible_collections.orbit.rs.plugins.plugin_utils.storage import DEFAULT_CLASS

ZONE = "topology.kubernetes.io/zone"
HOSTNAME = "kubernetes.io/hostname"

OLDEST_KUBERNETES = (1, 24)
OLDEST_HELM = (3, 12)
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


# What the names in Snapshot.denied stand for; any other is objects.key() of one object.
_REQUESTS = {
    "namespace": "get namespaces",
    "nodes": "list nodes",
    "storage classes": "list storageclasses.storage.k8s.io",
    "pods": "list pods",
    "claims": "list persistentvolumeclaims",
    "pods of all namespaces": "list pods --all-namespaces",
}


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

    @property
    def nodes(self) -> list[Object]:
        """Nodes that may take a pod of this release: ready, not cordoned, tolerated, selected."""
        return [node for node in self.snapshot.nodes or () if _ready(node) and _admits(node, self.pod)]


def findings(desired: Desired, snapshot: Snapshot, today: datetime.date | None = None) -> list[Finding]:
    """Everything that preflight has to say, in the order of CHECKS. `today` decides what is out of support."""
    look = _Look(desired, snapshot, today or datetime.datetime.now(datetime.UTC).date())
    return [finding for check in CHECKS for finding in check(look)]


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
    for denied in look.snapshot.denied:
        request = _REQUESTS.get(denied)
        if request is None:
            kind, *namespace, name = denied.split("/")
            request = f"get {kind.lower()}/{name}{f' -n {namespace[0]}' if namespace else ''}"
        elif denied in ("pods", "claims"):
            request += f" -n {look.desired.release.namespace}"
        yield Finding(
            "warning",
            "permission",
            f"This account may not {request}; what depends on it is not checked.",
            f"Ask for that permission; test it with: kubectl auth can-i {request}",
        )


def _nodes(look: _Look) -> Iterator[Finding]:
    if look.snapshot.nodes is None:
        return
    for node in look.snapshot.nodes:
        if not _ready(node):
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
    needs = objects.requests(look.pod)
    wanted = ", ".join(f"{name} {_amount(name, value)}" for name, value in needs.items()) or "nothing"
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
    own: dict[tuple[str, str], float] = {}
    for pod in look.snapshot.pods:
        node_name = (pod.get("spec") or {}).get("nodeName", "")
        for resource, value in objects.requests(pod.get("spec") or {}).items():
            own[node_name, resource] = own.get((node_name, resource), 0.0) + value
    room = empty = 0
    for node in nodes:
        name = node["metadata"]["name"]
        fits, alone = [], []
        for resource, need in needs.items():
            total = float(objects.quantity((node["status"].get("allocatable") or {}).get(resource, 0)))
            used = max(0.0, look.snapshot.requested.get(name, {}).get(resource, 0.0) - own.get((name, resource), 0.0))
            if need:
                fits.append(math.floor((total - used) / need + 1e-9))
                alone.append(math.floor(total / need + 1e-9))
        room += max(0, min(fits, default=look.replicas))
        empty += max(0, min(alone, default=look.replicas))
    if room >= look.replicas:
        return
    remedy = "Add nodes, or lower orbitServer.resources.requests"
    if not room:
        cause = "even an empty one is too small" if not empty else "the pods that run there leave too little"
        yield Finding(
            "error",
            "capacity",
            f"No node has room for one ordinal, which requests {wanted}: {cause}. All pods would stay Pending.",
            f"{remedy}. What is taken: kubectl describe nodes",
        )
    else:
        yield Finding(
            "warning",
            "capacity",
            f"The nodes have room for {room} of {look.replicas} ordinals of {wanted}: "
            f"{_count(look.replicas - room, 'pod')} would stay Pending.",
            f"{remedy} or orbitServer.replicaCount.",
        )


def _zones(look: _Look) -> Iterator[Finding]:
    nodes = look.nodes
    if not nodes or look.replicas < 2:
        return
    zones = _domains(nodes, ZONE)
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
    anti_affinity = (look.pod.get("affinity") or {}).get("podAntiAffinity") or {}
    for term in anti_affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or ():
        if not _selects(term.get("labelSelector") or {}, look.template["metadata"].get("labels") or {}):
            continue
        topology = str(term.get("topologyKey", ""))
        domains = _domains(nodes, topology)
        if not domains:
            yield Finding(
                "warning",
                "zones",
                f"Required anti-affinity over {topology} spreads nothing: no node carries that label.",
                f"Use {ZONE} or {HOSTNAME} as topologyKey in affinity.podAntiAffinity.",
            )
        elif len(domains) < look.replicas:
            yield Finding(
                "warning",
                "zones",
                f"Required anti-affinity over {topology} allows one ordinal for each of {_names(domains)}: "
                f"{_count(look.replicas - len(domains), 'pod')} of {look.replicas} would stay Pending.",
                "Use preferredDuringSchedulingIgnoredDuringExecution in affinity.podAntiAffinity, or leave affinity "
                "out: the chart spreads over zones by itself.",
            )
    for constraint in look.pod.get("topologySpreadConstraints") or ():
        topology = constraint.get("topologyKey", "")
        if constraint.get("whenUnsatisfiable") == "DoNotSchedule" and not _domains(nodes, topology):
            yield Finding(
                "error",
                "zones",
                f"Pods must spread over {topology}, and no node carries that label: all of them would stay Pending.",
                f"kubectl label node NODE {topology}=VALUE, or set topologySpread to ScheduleAnyway.",
            )


def _storage(look: _Look) -> Iterator[Finding]:
    if look.snapshot.storage_classes is None:
        return
    own = [obj for obj in look.desired.platform if obj["kind"] == "StorageClass"]
    classes = {obj["metadata"]["name"]: obj for obj in (*look.snapshot.storage_classes, *own)}
    defaults = [name for name, obj in classes.items() if _is_default(obj)]
    existing = {claim["metadata"]["name"] for claim in look.snapshot.claims}
    for template in look.statefulset.get("spec", {}).get("volumeClaimTemplates") or ():
        claims = {f"{template['metadata']['name']}-{look.name}-{ordinal}" for ordinal in range(look.replicas)}
        severity: Severity = "warning" if claims <= existing else "error"  # existing volumes need no class
        wanted = template["spec"].get("storageClassName")
        if wanted == "":
            continue  # volumes that somebody makes by hand
        if wanted is None and not defaults:
            yield Finding(
                severity,
                "storage class",
                f"No StorageClass is named and none is the default; there are: {_names(classes)}.",
                "Set persistence.storageClass to one of them, or orbit_rs_storage_class to have one created.",
            )
        elif wanted is None and len(defaults) > 1:
            yield Finding(
                "warning",
                "storage class",
                f"Several StorageClasses are the default: {_names(defaults)}; the newest is taken.",
                "Set persistence.storageClass, or take the annotation from the others: "
                f"kubectl annotate storageclass NAME {DEFAULT_CLASS}-",
            )
        elif wanted is not None and wanted not in classes:
            yield Finding(
                severity,
                "storage class",
                f"StorageClass {wanted} does not exist; there are: {_names(classes)}.",
                "Set persistence.storageClass to one of them, or orbit_rs_storage_class to have it created.",
            )
        used = classes.get(wanted if wanted is not None else defaults[0] if defaults else "")
        zones = _domains(look.nodes, ZONE)
        # Immediate is the API server's default.
        if used and used.get("volumeBindingMode", "Immediate") == "Immediate" and len(zones) > 1:
            yield Finding(
                "warning",
                "storage class",
                f"StorageClass {used['metadata']['name']} binds at once: a volume may come to be in a zone where its "
                "pod cannot run.",
                "Use a class with volumeBindingMode: WaitForFirstConsumer.",
            )


def _claims(look: _Look) -> Iterator[Finding]:
    release = look.snapshot.release
    if look.snapshot.claims and (release is None or release.status == "uninstalled"):
        names = _names(claim["metadata"]["name"] for claim in look.snapshot.claims)
        yield Finding(
            "warning",
            "volumes",
            f"Volumes of an earlier life are there and will be used with the data on them: {names}.",
            f"To start empty, delete them first: kubectl get pvc -n {look.desired.release.namespace}",
        )


def _budget(look: _Look) -> Iterator[Finding]:
    labels = (look.template.get("metadata") or {}).get("labels") or {}
    for obj in look.desired.objects:
        if obj["kind"] != "PodDisruptionBudget" or not look.replicas:
            continue
        spec = obj.get("spec") or {}
        if not _selects(spec.get("selector") or {}, labels):
            continue
        least, most = spec.get("minAvailable"), spec.get("maxUnavailable")
        if least is not None and _share(least, look.replicas) >= look.replicas:
            seen = f"minAvailable {least} of {_count(look.replicas, 'ordinal')} lets no pod be evicted"
        elif most is not None and _share(most, look.replicas) <= 0:
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


CHECKS: tuple[Callable[[_Look], Iterator[Finding]], ...] = (
    _kubernetes,
    _helm,
    _release,
    _namespace,
    _denied,
    _nodes,
    _capacity,
    _zones,
    _storage,
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


def _ready(node: Object) -> bool:
    conditions = (node.get("status") or {}).get("conditions") or ()
    return any(item.get("type") == "Ready" and item.get("status") == "True" for item in conditions)


def _admits(node: Object, pod: Mapping[str, Any]) -> bool:
    """True when the scheduler may put the pod on the node, resources aside."""
    labels = node["metadata"].get("labels") or {}
    if any(labels.get(name) != value for name, value in (pod.get("nodeSelector") or {}).items()):
        return False
    affinity = ((pod.get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    ) or {}
    terms = affinity.get("nodeSelectorTerms") or ()
    if terms and not any(_selects(term, labels) for term in terms):
        return False
    spec = node.get("spec") or {}
    taints = [taint for taint in spec.get("taints") or () if taint.get("effect") in ("NoSchedule", "NoExecute")]
    if spec.get("unschedulable"):
        taints.append({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"})
    return all(any(_tolerates(item, taint) for item in pod.get("tolerations") or ()) for taint in taints)


def _tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in (None, "", taint["key"])
    return toleration.get("key") == taint["key"] and (toleration.get("value") or "") == (taint.get("value") or "")


def _selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """A label selector or a node selector term; an empty one selects everything."""
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


def _domains(nodes: Iterable[Object], topology: str) -> list[str]:
    return sorted({value for node in nodes if (value := (node["metadata"].get("labels") or {}).get(topology))})


def _is_default(storage_class: Object) -> bool:
    annotations = storage_class["metadata"].get("annotations") or {}
    return "true" in (
        annotations.get(DEFAULT_CLASS),
        annotations.get("storageclass.beta.kubernetes.io/is-default-class"),
    )


def _share(value: int | str, replicas: int) -> int:
    """A number of pods or a percentage of them; Kubernetes rounds up."""
    text = str(value)
    return math.ceil(int(text[:-1]) * replicas / 100) if text.endswith("%") else int(text)


def _amount(resource: str, value: float) -> str:
    if resource == "memory" or resource.endswith("storage"):
        unit = next(((name, size) for name, size in (("Gi", 2**30), ("Mi", 2**20)) if value >= size), ("", 1))
        return f"{value / unit[1]:.3g}{unit[0]}"
    return f"{value:g}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _names(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
