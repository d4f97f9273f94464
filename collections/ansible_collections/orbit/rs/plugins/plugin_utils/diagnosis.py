# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a rollout cannot succeed: one table of signatures, and what they are matched against.

Objects, conditions, container states and events are first reduced to sightings: where something was said, with which
reason and message, and for how long. A signature is a row of data: to know one more failure, add a row here and a
section of the same name to docs/diagnosis.md.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Literal

from ansible_collections.orbit.rs.plugins.plugin_utils.model import Diagnosis, Object

Where = Literal[
    "node",  # the node of a pod is not ready: reason and message of that condition
    "waiting",  # a container that waits: reason and message of the kubelet
    "exit",  # a container that has ended since the rollout began: reason and exit code
    "loop",  # the same, of the server, and the kubelet holds its next start back
    "init",  # the same, of an init container
    "sidecar",  # the same, of any other container
    "killed",  # the kubelet ends the server because a probe fails: which probe, and what it has said
    "unready",  # the server runs and is not ready: what its probe has said
    "scheduling",  # a pod without a node: the scheduler's message
    "create",  # an event of the StatefulSet: a pod or claim that could not be created
    "claim",  # an event of a claim that is not bound
    "event",  # a warning about a pod that is not ready
    "log",  # the last lines of the server
]

NEVER = math.inf  # patience: the state can heal, so it is only named when the time is up
PROBE = -1.0  # patience: as long as the pod's own probes allow, see _allowed
LEAST_PROBE_SECONDS = 10
KILLED_SECONDS = 120  # from the kubelet's decision to the end of the server: its grace period
EVIDENCE_CHARACTERS = 600
DOCS = "docs/diagnosis.md"

# Where the log of the server says more than the kubelet: that of its last life, or of this one.
_LOG: dict[Where, Literal["last", "now"]] = {
    "loop": "last",
    "init": "last",
    "sidecar": "last",
    "killed": "now",
    "unready": "now",
}


@dataclasses.dataclass(frozen=True)
class Signature:
    """One known failure. The first that matches, in the order of the table, is the diagnosis."""

    name: str  # of a section in docs/diagnosis.md; several rows may share one
    where: Where
    reason: str  # pattern of the whole reason
    message: str  # pattern in the message; {what} in cause and remedy is its first group that matches
    cause: str
    remedy: str  # {pod}, {namespace} and {container} are filled in
    patience: float = 0  # seconds for which it may hold before it ends the rollout

    @property
    def link(self) -> str:
        """Where the documentation explains it."""
        return f"{DOCS}#{self.name.replace(':', '').replace(' ', '-')}"


@dataclasses.dataclass(frozen=True)
class Sighting:
    """One thing that the cluster says about an ordinal (None: about the StatefulSet)."""

    where: Where
    reason: str
    message: str
    ordinal: int | None
    namespace: str
    pod: str = ""
    container: str = ""
    seconds: float = 0  # for how long
    allowed: float = 0  # for how long the pod's own probes allow it


SIGNATURES: tuple[Signature, ...] = (
    Signature(
        "node not ready",
        "node",
        ".*",
        r"^node (\S+):",
        "The node {what} is not ready, so its pod cannot be either; the volume may be tied to it.",
        "See `kubectl describe node {what}`. Start the node or its kubelet again, or take it out of the cluster:"
        " `kubectl delete node {what}`. A local volume goes with its node.",
        patience=5,
    ),
    Signature(
        "image name",
        "waiting",
        "InvalidImageName",
        r"\"([^\"]+)\"",
        "The image name {what} is not valid.",
        "Correct orbitServer.image.repository, .tag or .digest in orbit_rs_values.",
    ),
    Signature(
        "image access",
        "waiting",
        "ErrImagePull|ImagePullBackOff",
        r"unauthorized|authentication required|no basic auth|access (?:is )?denied|403 Forbidden",
        "The registry does not let the cluster pull the image.",
        "Name a Secret with the registry's credentials in imagePullSecrets:"
        " `kubectl -n {namespace} create secret docker-registry`.",
    ),
    Signature(
        "image not found",
        "waiting",
        "ErrImagePull|ImagePullBackOff",
        r"(?:not found|manifest unknown|does not exist)",
        "The registry has no such image.",
        "Correct orbitServer.image.repository or .tag in orbit_rs_values, or push the image.",
    ),
    Signature(
        "image never pulled",
        "waiting",
        "ErrImageNeverPull",
        "",
        "The image is not on the node, and the pull policy is Never.",
        "Load the image on every node, or set orbitServer.image.pullPolicy to IfNotPresent.",
    ),
    Signature(
        "image not pulled",
        "waiting",
        "ErrImagePull|ImagePullBackOff|RegistryUnavailable|SignatureValidationFailed|ImageInspectError",
        "",
        "The image cannot be pulled.",
        "Check image name and registry. On a cluster without a registry, load the image on the nodes.",
    ),
    Signature(
        "missing config",
        "waiting",
        "CreateContainerConfigError",
        r"(?:secret|configmap) \"([^\"]+)\" not found|couldn't find key (\S+)",
        "A Secret or ConfigMap that the pod refers to, or a key in it, is missing: {what}.",
        "Create it in namespace {namespace}, or correct the reference in orbit_rs_values.",
    ),
    Signature(
        "command missing",
        "waiting",
        "RunContainerError|CreateContainerError",
        r"exec: \"?([^\":]+).*(?:no such file|not found)|exec (format error)",
        "The container's command cannot be started: {what}.",
        "The image is not an orbit-server of this chart, or is for another processor: correct orbitServer.image.",
    ),
    Signature(
        "config error",
        "waiting",
        "CreateContainerConfigError|CreateContainerError|RunContainerError|PostStartHookError",
        "",
        "The kubelet cannot create the container.",
        "Correct what the evidence names, and see `kubectl -n {namespace} describe pod {pod}`.",
    ),
    Signature(
        "out of memory",
        "exit",
        "OOMKilled",
        "",
        "The server was killed because it reached its memory limit.",
        "Raise resources.limits.memory in orbit_rs_values.",
    ),
    Signature(
        "command missing",
        "loop",
        "StartError|ContainerCannotRun",
        "",
        "The container's command cannot be started.",
        "The image is not an orbit-server of this chart, or is for another processor: correct orbitServer.image.",
    ),
    Signature(
        "command missing",
        "loop",
        ".*",
        r"exit code 127\b",
        "The command, or one that it calls, is not in the image (exit code 127).",
        "The image is not an orbit-server of this chart: correct orbitServer.image.",
    ),
    Signature(
        "probe refused",
        "killed",
        "startup",
        r"connection refused",
        "The server runs, and nothing listens on the port of its startup probe; the kubelet starts it again.",
        "Set orbitServer.compatibility to what the image is. Does it only start slowly? Raise"
        " startupProbe.failureThreshold.",
    ),
    Signature(
        "probe answered wrong",
        "killed",
        "startup",
        r"statuscode: (4\d\d)",
        "The server runs, and does not know the path of its startup probe ({what}); the kubelet starts it again.",
        "Set orbitServer.compatibility to what the image is.",
    ),
    Signature(
        "slow start",
        "killed",
        "startup",
        "",
        "The server does not come up in the time that its startup probe gives it; the kubelet starts it again.",
        "Raise startupProbe.failureThreshold in orbit_rs_values if it needs longer: `kubectl -n {namespace} logs {pod}`"
        " says what it is doing.",
    ),
    Signature(
        "killed by probe",
        "killed",
        "liveness",
        "",
        "The server stops to answer its liveness probe, and the kubelet starts it again.",
        "See `kubectl -n {namespace} logs {pod} --previous`; a server that is only busy needs more CPU, or a higher"
        " livenessProbe.failureThreshold.",
        patience=20,
    ),
    Signature(
        "wrong arguments",
        "loop",
        ".*",
        r"exit code 2\b",
        "The server does not know its command line (exit code 2).",
        "Set orbitServer.compatibility to what the image is.",
    ),
    Signature(
        "exit 0",
        "loop",
        ".*",
        r"exit code 0\b",
        "The server ends by itself, with exit code 0, again and again.",
        "See `kubectl -n {namespace} logs {pod} --previous`. The snapshot of November 2025 does this when it finds"
        " its ports taken: set orbitServer.compatibility to what the image is.",
    ),
    Signature(
        "out of memory",
        "loop",
        ".*",
        r"exit code 137\b",
        "The server is killed again and again, and not by the kubelet: most likely it reached its memory limit.",
        "Raise resources.limits.memory in orbit_rs_values; the node's kernel log tells for sure.",
    ),
    Signature(
        "killed by probe",
        "loop",
        ".*",
        r"exit code 143\b",
        "The server is told to end again and again: its startup or liveness probe fails.",
        "See `kubectl -n {namespace} describe pod {pod}`; give startupProbe.failureThreshold more for a slow start.",
    ),
    Signature(
        "crash loop",
        "loop",
        ".*",
        "",
        "The server ends with an error soon after its start, again and again.",
        "See `kubectl -n {namespace} logs {pod} --previous`.",
    ),
    Signature(
        "init container",
        "init",
        ".*",
        "",
        "The init container {container} fails again and again, so the server is not started.",
        "See `kubectl -n {namespace} logs {pod} --container {container} --previous`, and correct it where it comes"
        " from: the values, or who injects it.",
    ),
    Signature(
        "sidecar",
        "sidecar",
        ".*",
        "",
        "The container {container} beside the server fails again and again.",
        "See `kubectl -n {namespace} logs {pod} --container {container} --previous`, and correct it where it comes"
        " from: the values, or who injects it.",
    ),
    Signature(
        "pod security",
        "create",
        "FailedCreate",
        r"violates PodSecurity \"([^\"]+)\"",
        "The namespace's pod security standard {what} refuses the pod.",
        "Change what the evidence names in orbit_rs_values, or the standard in orbit_rs_namespace_labels.",
    ),
    Signature(
        "quota",
        "create",
        "FailedCreate",
        r"(?:exceeded|failed) quota: ([^\s:,]+)",
        "The quota {what} of the namespace does not allow another pod or claim.",
        "Raise it, or lower resources or orbitServer.replicaCount: `kubectl -n {namespace} describe quota`.",
    ),
    Signature(
        "limit range",
        "create",
        "FailedCreate",
        r"(m(?:aximum|inimum) \S+ usage per [^\]]+)",
        "A LimitRange of the namespace does not allow the pod or claim: {what}.",
        "Change resources or persistence.size in orbit_rs_values, or the LimitRange:"
        " `kubectl -n {namespace} describe limitrange`.",
    ),
    Signature(
        "service account",
        "create",
        "FailedCreate",
        r"serviceaccount \"([^\"]+)\" not found",
        "There is no ServiceAccount {what}.",
        "Create it: `kubectl -n {namespace} create serviceaccount {what}`, or set serviceAccount.create to true.",
    ),
    Signature(
        "priority class",
        "create",
        "FailedCreate",
        r"no PriorityClass with name (\S+) was found",
        "There is no PriorityClass {what}.",
        "Correct orbitServer.priorityClassName in orbit_rs_values: `kubectl get priorityclass`.",
    ),
    Signature(
        "admission policy",
        "create",
        "FailedCreate",
        r"[Pp]olicy '([^']+)' with binding '[^']+' denied request",
        "The admission policy {what} refuses the pod or claim.",
        "Satisfy its rule, which the evidence quotes, in orbit_rs_values:"
        " `kubectl get validatingadmissionpolicy {what} -o yaml`.",
    ),
    Signature(
        "admission webhook",
        "create",
        "FailedCreate",
        r"admission webhook \"([^\"]+)\" denied",
        "The admission webhook {what} refuses the pod.",
        "Satisfy its rule, which the evidence quotes, in orbit_rs_values.",
    ),
    Signature(
        "admission webhook",
        "create",
        "FailedCreate",
        r"failed calling webhook \"([^\"]+)\"",
        "The admission webhook {what} does not answer, so no pod can be created.",
        "Repair or remove it: `kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations`.",
        patience=5,
    ),
    Signature(
        "not created",
        "create",
        "FailedCreate",
        "",
        "The API server refuses the pod or its claim.",
        "Correct what the evidence names in orbit_rs_values.",
        patience=5,
    ),
    Signature(
        "storage class",
        "claim",
        "ProvisioningFailed",
        r"storageclass\S* \"([^\"]+)\" not found",
        "There is no StorageClass {what}.",
        "Create it (orbit_rs_storage_class), or remove the claim and correct persistence.storageClass:"
        " `kubectl get storageclass`.",
    ),
    Signature(
        "no default class",
        "claim",
        "FailedBinding",
        r"no storage class is set",
        "The claim names no StorageClass, and the cluster has no default one.",
        "Set orbit_rs_storage_class, or make a class the default: `kubectl get storageclass`.",
    ),
    Signature(
        "no provisioner",
        "claim",
        "ExternalProvisioning",
        r"external provisioner '([^']+)'",
        "The provisioner {what} of the StorageClass does not take up the claim: it is not installed, or does not run.",
        "Install or repair it, or use another class: `kubectl get storageclass`.",
        patience=30,
    ),
    Signature(
        "not provisioned",
        "claim",
        "ProvisioningFailed|FailedBinding",
        "",
        "No volume can be provisioned for the claim.",
        "See `kubectl -n {namespace} describe pvc`, and the log of the storage provisioner.",
        patience=20,
    ),
    Signature(
        "scheduling: resources",
        "scheduling",
        "Unschedulable",
        r"Insufficient (cpu|memory|ephemeral-storage|\S+/\S+)",
        "No node has room for the pod: not enough {what}.",
        "Lower resources.requests in orbit_rs_values, or add nodes: `kubectl describe nodes`.",
        patience=10,
    ),
    Signature(
        "scheduling: too many pods",
        "scheduling",
        "Unschedulable",
        r"Too many pods",
        "No node has room for the pod: each runs its maximum of pods.",
        "Add nodes: `kubectl describe nodes`.",
        patience=10,
    ),
    Signature(
        "scheduling: node not ready",
        "scheduling",
        "Unschedulable",
        r"node\.kubernetes\.io/(?:not-ready|unreachable|disk-pressure|memory-pressure|network-unavailable)",
        "Nodes that could run the pod are not ready.",
        "See `kubectl get nodes` and `kubectl describe nodes`.",
        patience=30,
    ),
    Signature(
        "scheduling: volume",
        "scheduling",
        "Unschedulable",
        r"volume node affinity conflict|unbound immediate PersistentVolumeClaims"
        r"|didn't find available persistent volumes|persistentvolumeclaim \"[^\"]+\" not found",
        "The pod's volume is not there, or lies where the pod cannot run.",
        "See `kubectl -n {namespace} describe pvc`; a volume stays in its zone, and a local one on its node.",
        patience=20,
    ),
    Signature(
        "scheduling: taints",
        "scheduling",
        "Unschedulable",
        r"untolerated taint(?:\(s\)|s)? ?\{?([^},]*)",
        "No node tolerates the pod: taints {what}.",
        "Set orbitServer.tolerations in orbit_rs_values, or remove the taint: `kubectl describe nodes`.",
        patience=10,
    ),
    Signature(
        "scheduling: affinity",
        "scheduling",
        "Unschedulable",
        r"affinity|selector|topology spread",
        "No node satisfies the pod's nodeSelector, affinity or topology spread.",
        "Relax orbitServer.nodeSelector, affinity or topologySpread: `kubectl get nodes --show-labels`.",
        patience=10,
    ),
    Signature(
        "scheduling",
        "scheduling",
        "Unschedulable",
        "",
        "No node can run the pod.",
        "See `kubectl -n {namespace} describe pod {pod}`.",
        patience=30,
    ),
    Signature(
        "missing volume source",
        "event",
        "FailedMount",
        r"(?:secret|configmap) \"([^\"]+)\" not found|references non-existent (?:secret|config) key: (\S+)",
        "A Secret or ConfigMap that the pod mounts, or a key in it, is missing: {what}.",
        "Create it in namespace {namespace}, or correct extraVolumes in orbit_rs_values.",
        patience=5,
    ),
    Signature(
        "volume not attached",
        "event",
        "FailedMount|FailedAttachVolume|FailedMapVolume",
        "",
        "The volume cannot be attached or mounted.",
        "See `kubectl -n {namespace} describe pod {pod}`; a volume of one node is free only after its old pod is gone.",
        patience=NEVER,
    ),
    Signature(
        "sandbox",
        "event",
        "FailedCreatePodSandBox|NetworkNotReady",
        "",
        "The node cannot set up the pod's network.",
        "See the CNI pods in kube-system, and `kubectl -n {namespace} describe pod {pod}`.",
        patience=NEVER,
    ),
    Signature(
        "readiness gate",
        "unready",
        "ReadinessGatesNotReady",
        "",
        "The server is ready, and a readiness gate of its pod is not.",
        "See the conditions in `kubectl -n {namespace} get pod {pod} -o yaml`: who sets them has not done so.",
        patience=NEVER,
    ),
    Signature(
        "probe refused",
        "unready",
        ".*",
        r"connection refused",
        "The server runs, and nothing listens on the port of its probe.",
        "Set orbitServer.compatibility to what the image is, and see `kubectl -n {namespace} logs {pod}`.",
        patience=PROBE,
    ),
    Signature(
        "probe answered wrong",
        "unready",
        ".*",
        r"statuscode: (4\d\d)",
        "The server runs, and does not know the path of its probe ({what}).",
        "Set orbitServer.compatibility to what the image is.",
        patience=PROBE,
    ),
    Signature(
        "never ready",
        "unready",
        "readiness",
        "",
        "The server runs, and says that it is not ready.",
        "See `kubectl -n {namespace} logs {pod}`. One that only needs longer: raise readinessProbe.failureThreshold.",
        patience=PROBE,
    ),
    Signature(
        "slow start",
        "unready",
        "startup",
        "",
        "The server runs, and has not come up yet.",
        "See `kubectl -n {namespace} logs {pod}`; give it more time with orbit_rs_rollout_timeout.",
        patience=NEVER,
    ),
    # What the server itself says, looked up in the log of one that has ended or is not ready.
    Signature(
        "port taken",
        "log",
        ".*",
        r"[Aa]ddress already in use",
        "The server finds one of its ports taken, by itself: it opens some of them twice.",
        "Set orbitServer.compatibility to snapshot-2025-11.",
    ),
    Signature(
        "exit 0",
        "log",
        ".*",
        r"gRPC server exited successfully",
        "The server ends by itself, with exit code 0, when one of its listeners ends.",
        "Set orbitServer.compatibility to snapshot-2025-11.",
    ),
    Signature(
        "config refused",
        "log",
        ".*",
        r"(?im)^(?:configuration error:|Error: Error \{|.*error.*\.toml)|TOML parse error|unknown (?:variant|field) `",
        "The server refuses its configuration file.",
        "Correct config in orbit_rs_values; the evidence names what is wrong.",
    ),
    Signature(
        "wrong arguments",
        "log",
        ".*",
        r"unexpected argument '([^']+)'|unrecognized (?:arguments:|subcommand) '?([^'\n]+)"
        r"|invalid value '[^']*' for '([^']+)'|required arguments? (?:was|were) not provided",
        "The server does not know its command line: {what}.",
        "Set orbitServer.compatibility to what the image is.",
    ),
    Signature(
        "disk full",
        "log",
        ".*",
        r"No space left on device|database or disk is full",
        "The volume is full.",
        "Grow persistence.size, or free space: `kubectl -n {namespace} exec {pod} -- df -h /app/data`.",
    ),
    Signature(
        "volume not writable",
        "log",
        ".*",
        r"Permission denied|Read-only file system|unable to open database",
        "The server may not write where it has to.",
        "The volume must be writable for user and group 1001; look at its owner and at fsGroup.",
    ),
)


def sightings(
    statefulset: Object,
    pods: Iterable[Object],
    claims: Iterable[Object],
    events: Iterable[Object],
    *,
    now: datetime,
    since: datetime,
) -> list[Sighting]:
    """What the cluster says about ordinals that are not ready. Events from before `since` are of another life."""
    events = list(events)
    namespace = statefulset["metadata"]["namespace"]
    recent: dict[str, list[Object]] = {}
    for event in events:
        if event_time(event) >= since:
            recent.setdefault(_about(event), []).append(event)
    found: list[Sighting] = []
    for pod in pods:
        metadata = pod["metadata"]
        about = Sighting("event", "", "", ordinal(metadata["name"]), namespace, metadata["name"])
        said = recent.get(metadata["uid"], [])
        found += _scheduling(pod, about, said, now)
        found += _containers(pod, about, since)
        found += _probes(pod, about, [event for event in events if _about(event) == metadata["uid"]], now, since)
        found += _events("event", said, about, now)
    for claim in claims:
        if (claim.get("status") or {}).get("phase") != "Bound":
            name = claim["metadata"]["name"]
            about = Sighting("claim", "", "", ordinal(name), namespace, name)
            said = recent.get(claim["metadata"]["uid"], [])
            if any(event.get("reason") == "Provisioning" for event in said):  # a provisioner is at work
                said = [event for event in said if event.get("reason") != "ExternalProvisioning"]
            found += _events("claim", said, about, now)
    for event in recent.get(statefulset["metadata"]["uid"], []):
        name = re.search(r"(?:Pod|Claim) (\S+-\d+)", event.get("message") or "")
        pod_name = name[1] if name else ""
        number = ordinal(pod_name) if name else None
        found += _events("create", [event], Sighting("create", "", "", number, namespace, pod_name), now)
    # What was wrong before has the same time to heal as what goes wrong now: its cause may just be gone.
    most = (now - since).total_seconds()
    return [dataclasses.replace(item, seconds=min(item.seconds, most)) for item in found]


def on_lost_nodes(pods: Iterable[Object], nodes: Iterable[Object], namespace: str, now: datetime) -> list[Sighting]:
    """Pods whose node is not ready; `nodes` need not be all there are."""
    lost = {}
    for node in nodes:
        for condition in (node.get("status") or {}).get("conditions") or ():
            if condition["type"] == "Ready" and condition["status"] != "True":
                lost[node["metadata"]["name"]] = condition
    return [
        Sighting(
            "node",
            condition.get("reason") or "",
            f"node {pod['spec']['nodeName']}: {condition.get('message') or 'not ready'}",
            ordinal(pod["metadata"]["name"]),
            namespace,
            pod["metadata"]["name"],
            seconds=(now - time(condition.get("lastTransitionTime"))).total_seconds(),
        )
        for pod in pods
        if (condition := lost.get(pod["spec"].get("nodeName") or ""))
    ]


def match(found: Iterable[Sighting], *, final: bool = False) -> list[Diagnosis]:
    """One diagnosis per ordinal, of the sightings whose signature is out of patience; `final`: the time is up.

    They come in the order of the table, so the first says most.
    """
    ranked = []
    for sighting in found:
        for rank, signature in enumerate(SIGNATURES):
            if diagnosis := _apply(signature, sighting):
                patience = sighting.allowed if signature.patience == PROBE else signature.patience
                if final or sighting.seconds >= patience:
                    ranked.append((rank, diagnosis))
                break
    result: dict[int | None, Diagnosis] = {}
    for dummy, diagnosis in sorted(ranked, key=lambda item: item[0]):
        result.setdefault(diagnosis.ordinal, diagnosis)
    return list(result.values())


def with_log(diagnosis: Diagnosis, log: str, namespace: str, pod: str) -> Diagnosis:
    """The diagnosis with the last lines of the container's log as evidence, and with the cause that they give away."""
    lines = [line for line in log.splitlines() if line.strip()][-10:]
    if not lines:
        return diagnosis
    sighting = Sighting("log", "", "\n".join(lines), diagnosis.ordinal, namespace, pod)
    # Only the server's own log is known; another container is named, and its log quoted.
    better = () if diagnosis.signature in ("init container", "sidecar") else match([sighting])
    if better:
        diagnosis = dataclasses.replace(
            better[0], evidence=diagnosis.evidence, container=diagnosis.container, log=diagnosis.log
        )
    quoted = "\n".join(f"  {line[:200]}" for line in lines)
    return dataclasses.replace(diagnosis, evidence=f"{diagnosis.evidence}\nlast lines of its log:\n{quoted}")


def _apply(signature: Signature, sighting: Sighting) -> Diagnosis | None:
    if signature.where != sighting.where or not re.fullmatch(signature.reason, sighting.reason):
        return None
    found = re.search(signature.message, sighting.message)
    if not found:
        return None
    words = {
        "what": next((group for group in found.groups() if group), ""),
        "pod": sighting.pod,
        "namespace": sighting.namespace,
        "container": sighting.container,
    }
    reason = "" if sighting.where in ("killed", "unready") else sighting.reason  # the message begins with it
    said = (sighting.pod, reason, " ".join(sighting.message.split()))
    return Diagnosis(
        signature=signature.name,
        cause=" ".join(signature.cause.format(**words).split()).replace(" .", "."),
        evidence=": ".join(filter(None, said))[:EVIDENCE_CHARACTERS],
        remedy=signature.remedy.format(**words),
        ordinal=sighting.ordinal,
        link=signature.link,
        container=sighting.container,
        log=_LOG.get(sighting.where, ""),
    )


def _scheduling(pod: Object, about: Sighting, said: Sequence[Object], now: datetime) -> Iterator[Sighting]:
    for condition in (pod.get("status") or {}).get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            # An autoscaler that brings a node for this pod says so in an event.
            coming = any(event.get("reason") in ("TriggeredScaleUp", "Nominated") for event in said)
            yield dataclasses.replace(
                about,
                where="scheduling",
                reason="NodeIsComing" if coming else condition.get("reason") or "",
                message=condition.get("message") or "",
                seconds=(now - time(condition.get("lastTransitionTime"))).total_seconds(),
            )


def _containers(pod: Object, about: Sighting, since: datetime) -> Iterator[Sighting]:
    status = pod.get("status") or {}
    server = pod["spec"]["containers"][0]["name"]
    init = {item["name"]: item.get("restartPolicy") != "Always" for item in pod["spec"].get("initContainers") or ()}
    for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        name = container["name"]
        about = dataclasses.replace(about, container=name)
        where: Where = "loop" if name == server else "init" if init.get(name) else "sidecar"
        aside = f"container {name}, " if name != server else ""
        state = container.get("state") or {}
        waiting = state.get("waiting") or {}
        if waiting:
            yield dataclasses.replace(
                about,
                where="waiting",
                reason=waiting.get("reason") or "",
                message=aside + (waiting.get("message") or ""),
            )
        ended = state.get("terminated") or (container.get("lastState") or {}).get("terminated")
        loop = waiting.get("reason") == "CrashLoopBackOff"
        if not ended or (init.get(name) and not ended["exitCode"]):  # an init container is meant to end
            continue
        said = ", ".join(
            filter(None, (f"exit code {ended['exitCode']}", ended.get("message"), _restarts(container["restartCount"])))
        )
        sighting = dataclasses.replace(about, reason=ended.get("reason") or "", message=aside + said)
        if loop or time(ended.get("finishedAt")) >= since:
            yield dataclasses.replace(sighting, where="exit")
        if loop:
            yield dataclasses.replace(sighting, where=where)


def _probes(
    pod: Object, about: Sighting, events: Sequence[Object], now: datetime, since: datetime
) -> Iterator[Sighting]:
    """What the probes of a running server say. Events of all times: the kubelet soon stops to repeat them."""
    spec, status = pod["spec"]["containers"][0], pod.get("status") or {}
    name = spec["name"]
    server: Object = next((item for item in status.get("containerStatuses") or () if item["name"] == name), {})
    unhealthy = [event for event in events if event.get("reason") == "Unhealthy"]
    for event in events:
        message = event.get("message") or ""
        found = re.search(r"failed (startup|liveness) probe, will be restarted", message)
        if event.get("reason") == "Killing" and found and (event_time(event) >= since or _ended_by(event, server)):
            probe = f"{found[1].capitalize()} probe"
            # The next life fails otherwise at first: nothing listens yet.
            failures = [item for item in unhealthy if probe in item["message"]]
            before = [item for item in failures if event_time(item) <= event_time(event)]
            last = max(before or failures, key=event_time, default={})
            yield dataclasses.replace(
                about,
                where="killed",
                reason=found[1],
                message=f"{message}: {last.get('message', '')}",
                container=name,
                seconds=(now - time(event.get("firstTimestamp"))).total_seconds(),
            )
    ready: Object = next((item for item in status.get("conditions") or () if item["type"] == "Ready"), {})
    started = ((server.get("state") or {}).get("running") or {}).get("startedAt")
    if ready.get("status") != "False" or not started:
        return
    if server["ready"]:
        if ready.get("reason") == "ReadinessGatesNotReady":
            yield dataclasses.replace(
                about, where="unready", reason=ready["reason"], message=ready.get("message") or "", container=name
            )
        return
    probe = "readiness" if server.get("started", True) else "startup"
    said = [item for item in unhealthy if f"{probe.capitalize()} probe" in item["message"]]
    last = max(said, key=event_time, default={})
    begin = max(time(started), time(ready.get("lastTransitionTime")))
    allowed = _allowed(spec.get("readinessProbe") or {}, 3)
    if not said or probe == "startup":
        # The startup probe has taken, or may still take, its time before.
        allowed += _allowed(spec.get("startupProbe") or {}, 1)
    else:
        begin = max(begin, min(time(item.get("firstTimestamp")) for item in said))
    yield dataclasses.replace(
        about,
        where="unready",
        reason=probe,
        message=last.get("message") or "",
        container=name,
        seconds=(now - begin).total_seconds(),
        allowed=allowed,
    )


def _ended_by(killing: Object, server: Object) -> bool:
    """Whether the kubelet holds the next start back because of an end that followed this event."""
    waiting = (server.get("state") or {}).get("waiting") or {}
    ended = ((server.get("lastState") or {}).get("terminated") or {}).get("finishedAt")
    between = (time(ended) - event_time(killing)).total_seconds()
    return waiting.get("reason") == "CrashLoopBackOff" and -1 <= between <= KILLED_SECONDS


def _allowed(probe: Object, times: int) -> float:
    """Seconds until the kubelet counts a probe as failed, so many times."""
    period, failures = probe.get("periodSeconds", 10), probe.get("failureThreshold", 3)
    return max(float(probe.get("initialDelaySeconds", 0) + times * period * failures), LEAST_PROBE_SECONDS)


def _restarts(count: int) -> str:
    return f"{count} restart{'s' if count > 1 else ''}" if count else ""


def _events(where: Where, said: Iterable[Object], about: Sighting, now: datetime) -> Iterator[Sighting]:
    for event in said:
        if event.get("type") != "Normal" or where == "claim":
            first = time(event.get("firstTimestamp") or event.get("eventTime"))
            yield dataclasses.replace(
                about,
                where=where,
                reason=event.get("reason") or "",
                message=event.get("message") or "",
                seconds=(now - first).total_seconds(),
            )


def _about(event: Object) -> str:
    uid: str = event["involvedObject"].get("uid", "")
    return uid


def ordinal(name: str) -> int | None:
    """Ordinal at the end of the name of a pod or claim."""
    number = name.rpartition("-")[2]
    return int(number) if number.isdecimal() else None


def time(text: str | None) -> datetime:
    """A time as the API writes it; long ago when there is none."""
    return datetime.fromisoformat(text) if text else datetime.min.replace(tzinfo=UTC)


def event_time(event: Object) -> datetime:
    """When an event was last seen."""
    series = (event.get("series") or {}).get("lastObservedTime")
    return time(
        series or event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp")
    )
