# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The vocabulary of the collection: what is wanted, what is there, what will be done, what was seen.

Everything here is plain, immutable data. The functions that decide (plan, preflight, rollout, diagnosis) take and
return these types and touch nothing; only cluster, helm, tools and gate talk to the outside.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, Literal

# A Kubernetes object as the API serves it or a chart renders it.
Object = dict[str, Any]

Severity = Literal["error", "warning", "info"]

# What a step does, in the order in which a plan runs them.
StepKind = Literal[
    "adopt",
    "install",
    "configure",
    "grow_storage",
    "reshape",
    "roll",
    "upgrade",
    "wipe_volumes",
    "scale_out",
    "scale_in",
]

# What a playbook lets a run do: kinds of steps, and changes of the version that are refused otherwise.
Permission = StepKind | Literal["downgrade", "version_skip", "adopt_volumes", "remove_data_owner"]

# What a step can cost, from nothing to everything.
Risk = Literal["safe", "restarts_pods", "removes_data_owner", "destroys_data"]


@dataclasses.dataclass(frozen=True)
class Release:
    """Which release is meant: a Helm release in a namespace."""

    name: str
    namespace: str


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing preflight or the plan noticed: what was looked at, what was seen, what to do about it."""

    severity: Severity
    check: str  # short, stable name: "kubernetes version", "storage class"
    seen: str
    remedy: str = ""


@dataclasses.dataclass(frozen=True)
class Request:
    """One kind of request to the API server, which an account may make or not."""

    verb: str
    resource: str  # plural, with its subresource: "statefulsets", "pods/portforward"
    group: str = ""
    namespace: str = ""  # empty: of the cluster


@dataclasses.dataclass(frozen=True)
class HelmRelease:
    """The newest revision that Helm has stored of a release."""

    revision: int
    status: str  # Helm's own words: deployed, failed, pending-install, pending-upgrade, ...
    chart: str  # name-version, as Helm prints it
    app_version: str
    values: Mapping[str, Any]  # the user's values of that revision
    objects: tuple[Object, ...]  # the stored manifest, parsed
    updated: str = ""
    deployed: int = 0  # newest revision in the history that is deployed; 0: none, or not looked up


@dataclasses.dataclass(frozen=True)
class Desired:
    """Desired state: inventory and values, rendered. What the cluster should hold when all is done."""

    release: Release
    chart: str  # name-version of the chart that renders it
    app_version: str
    values: Mapping[str, Any]  # what the user set, merged and translated; the chart adds its own defaults
    objects: tuple[Object, ...]  # what the chart renders with these values (planDigest empty)
    platform: tuple[Object, ...] = ()  # what must be there before: Namespace, StorageClass
    source: str = ""  # the chart as a folder or archive on this machine


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """Live state: everything that preflight, plan and status look at, read in one batch.

    Objects that do not exist are absent; lists that may not be read are None and named in `denied`.
    """

    kubernetes: str  # "v1.37.2"
    helm: str  # "v4.3.1"
    release: HelmRelease | None
    namespace: Object | None
    nodes: tuple[Object, ...] | None
    storage_classes: tuple[Object, ...] | None
    pods: tuple[Object, ...]  # of this release
    claims: tuple[Object, ...]  # PersistentVolumeClaims of this release
    # Live objects by objects.key(): those that are rendered or stored, those they refer to, and the claims' volumes.
    objects: Mapping[str, Object]
    denied: tuple[str, ...] = ()
    lease: Object | None = None  # the lock of the release, see lock.py
    records: Object | None = None  # what has been done to the release, see record.py
    # Requests of all running pods, in base units, by node: {"worker": {"cpu": 0.35, "memory": 1.2e9, "pods": 9}}
    requested: Mapping[str, Mapping[str, float]] = dataclasses.field(default_factory=dict)
    quotas: tuple[Object, ...] = ()  # ResourceQuotas of the namespace
    limits: tuple[Object, ...] = ()  # LimitRanges of the namespace
    # Lists that only some releases need, by name: "ingress classes". A list that is empty because its API is not
    # served is absent.
    lists: Mapping[str, tuple[Object, ...]] = dataclasses.field(default_factory=dict)
    # Kinds that the API does not serve ("example.com/v1 Kind"), each with the versions of its group that are served.
    unserved: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    rules: tuple[Object, ...] = ()  # what the account may do in the namespace, as far as the API server can tell
    forbidden: tuple[Request, ...] = ()  # what a rollout needs and the account may not do
    controller: Mapping[str, str] = dataclasses.field(default_factory=dict)  # versions of what runs the playbook


@dataclasses.dataclass(frozen=True)
class Difference:
    """One field of one object that is not as wanted.

    Paths look like spec.template.spec.containers[orbit-server].image; an empty path means the object itself.
    """

    object: str  # objects.key(): "StatefulSet/orbit-rs/orbit-server"
    path: str
    wanted: Any
    found: Any
    origin: Literal["inventory", "cluster"] = "inventory"  # who changed it: our input, or somebody in the cluster
    by: str = ""  # origin "cluster": field manager and time, as far as the object tells


@dataclasses.dataclass(frozen=True)
class Step:
    """One typed step of a plan."""

    kind: StepKind
    risk: Risk
    summary: str  # one line that a person reads before saying yes
    differences: tuple[Difference, ...] = ()
    restarts: tuple[str, ...] = ()  # pods that restart because of this step


@dataclasses.dataclass(frozen=True)
class Plan:
    """What will be done, in order; nothing else will. An empty list of steps means there is nothing to do."""

    steps: tuple[Step, ...]
    refusals: tuple[Finding, ...]  # differences that this playbook does not make: what, why, which one does
    findings: tuple[Finding, ...]  # preflight and value warnings
    digest: str  # of what the chart renders: sha256 hex
    hash: str  # of steps, digest and the live revision: what an approval pins

    @property
    def refused(self) -> bool:
        """True when something stands against acting on this plan."""
        return bool(self.refusals) or any(finding.severity == "error" for finding in self.findings)


@dataclasses.dataclass(frozen=True)
class Patience:
    """How long is waited for what, in seconds."""

    rollout: float = 600  # for an ordinal that makes no end of starting
    gate: float = 60  # for an ordinal to pass its gate after it is Ready
    soak: float = 0  # for which an ordinal must stay good before the next one
    lock: float = 0  # for another run that is alive


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """Why a rollout cannot succeed: cause, evidence (quoted from the cluster) and remedy."""

    signature: str  # key in the table of diagnosis.py
    cause: str
    evidence: str
    remedy: str
    ordinal: int | None = None
    link: str = ""  # where the documentation explains it
    container: str = ""  # the one that it is about
    log: Literal["", "last", "now"] = ""  # the log that tells more: of the container's last life, or of this one


@dataclasses.dataclass(frozen=True)
class OrdinalState:
    """One ordinal of the StatefulSet as a rollout sees it."""

    ordinal: int
    pod: str
    phase: str  # a short word or sentence for people: "Pending: pulling image", "Running, not ready", "Ready"
    ready: bool
    updated: bool  # on the wanted revision
    restarts: int = 0
    node: str = ""
    zone: str = ""
    image: str = ""


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What one look at a rollout says."""

    state: Literal["progressing", "ready", "failed"]
    ordinals: tuple[OrdinalState, ...]
    diagnosis: Diagnosis | None = None


@dataclasses.dataclass(frozen=True)
class Check:
    """One gate check of one ordinal."""

    ordinal: int
    name: Literal["health", "grpc", "metrics", "data", "kept"]  # kept: what was written before a restart
    ok: bool
    detail: str  # "200", "SERVING", "42 series", "write, read, delete in 4 ms", or what went wrong
    milliseconds: float = 0.0


class OrbitError(Exception):
    """An error meant for a person: what was seen, the likely cause, and the next command to type."""

    def __init__(self, seen: str, remedy: str = "") -> None:
        super().__init__(f"{seen}\n{remedy}" if remedy else seen)
        self.seen = seen
        self.remedy = remedy


def listed(names: Iterable[str]) -> str:
    """Names in a sentence: a, b and c."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
