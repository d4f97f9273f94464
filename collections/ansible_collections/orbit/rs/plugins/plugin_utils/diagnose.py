# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Collect what is needed to find out what is wrong with a release, and keep it as a bundle on the control host."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import os
import re
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from ansible_collections.orbit.rs.plugins.plugin_utils import (
    bundle,
    desired,
    drift,
    plan,
    redact,
    report,
    status,
)
from ansible_collections.orbit.rs.plugins.plugin_utils.cluster import ApiError, Cluster
from ansible_collections.orbit.rs.plugins.plugin_utils.desired import Wish
from ansible_collections.orbit.rs.plugins.plugin_utils.helm import Helm
from ansible_collections.orbit.rs.plugins.plugin_utils.model import (
    Desired,
    Finding,
    Object,
    OrbitError,
    Release,
    Snapshot,
)


@dataclasses.dataclass(frozen=True)
class Limits:
    """How much is collected, so that it ends soon."""

    seconds: float  # for each of the two rounds of questions
    lines: int  # of each log, the last ones
    bytes: int  # of each log, the last ones
    rotated: int  # files of each container that the kubelet has rotated, the newest ones


ASKED = Limits(seconds=60, lines=50_000, bytes=8 << 20, rotated=5)
# While a run waits to bring back what has failed.
FAILED = Limits(seconds=10, lines=2_000, bytes=512 << 10, rotated=1)

# What is read beside the release's own objects: the kind of the items, first word of the name, and the path.
_LISTS: Mapping[str, str] = {
    "Pod": "/api/v1/namespaces/{namespace}/pods?labelSelector=app.kubernetes.io/instance={name}",
    "Pod of a rehearsal": "/api/v1/namespaces/{namespace}/pods?labelSelector=orbit.rs/rehearsal={name}",
    "PersistentVolumeClaim": "/api/v1/namespaces/{namespace}/persistentvolumeclaims",
    "ResourceQuota": "/api/v1/namespaces/{namespace}/resourcequotas",
    "LimitRange": "/api/v1/namespaces/{namespace}/limitranges",
    "ConfigMap": "/api/v1/namespaces/{namespace}/configmaps?labelSelector=app.kubernetes.io/managed-by=orbit.rs",
    "ControllerRevision": "/apis/apps/v1/namespaces/{namespace}/controllerrevisions",
    "HorizontalPodAutoscaler": "/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers",
    "Lease": "/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases",
    "EndpointSlice": "/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies",
    "Event": "/api/v1/namespaces/{namespace}/events",
    "Node": "/api/v1/nodes?resourceVersion=0",
}


def collect(
    cluster: Cluster, helm: Helm, release: Release, wish: Wish, limits: Limits, why: OrbitError | None = None
) -> bundle.Material:
    """All that can be had within the limits; what cannot is named in it. Raises nothing that the cluster says."""
    missing: list[str] = []
    paths = {what: path.format(namespace=release.namespace, name=release.name) for what, path in _LISTS.items()}
    first = _together(
        {
            "status": lambda: status.look(cluster, helm, release, lambda _: None),
            "preflight, plan and drift": lambda: desired.compare(cluster, helm, release, wish),
            "history of Helm": lambda: helm.history(release),
            **{f"list of {what}": _getter(cluster, path) for what, path in paths.items()},
        },
        limits.seconds,
        missing,
    )
    found: dict[str, list[Object]] = {}
    for what in paths:
        kind = what.partition(" ")[0]
        items = (first.get(f"list of {what}") or {}).get("items", ())
        found.setdefault(kind, []).extend({**item, "kind": kind} for item in items)
    pods = found["Pod"]
    compared: tuple[Desired, Snapshot, list[Finding]] | None = first.get("preflight, plan and drift")
    looked: status.Status | None = first.get("status")
    live = compared[1] if compared else looked.live if looked else None
    stored = live.release if live else None
    own = list(live.objects.values()) if compared and live else []
    # Old revisions, too: what they say of a secret is as secret as it was.
    everything = [*own, *_related(found)]

    second = _together(
        {
            **{f"log {name}": call for name, call in _logs(cluster, pods, limits)},
            **{f"rotated logs of {pod['metadata']['name']}": _rotated(cluster, pod, limits) for pod in pods},
            **{
                f"Secret {name}": _getter(cluster, f"/api/v1/namespaces/{release.namespace}/secrets/{name}")
                for name in sorted(_secret_names(everything))
            },
        },
        limits.seconds,
        missing,
    )
    logs = {name.removeprefix("log "): _tail(text, limits) for name, text in second.items() if name.startswith("log ")}
    for name, files in second.items():
        if name.startswith("rotated logs of "):
            logs |= {file: _tail(text, limits) for file, text in files.items()}
    secrets = [answer for name, answer in second.items() if name.startswith("Secret ")]
    named = {obj["metadata"]["name"] for obj in everything} | _secret_names(everything)
    named |= {release.name, release.namespace}
    wishes = [dict(compared[0].values), *compared[0].objects] if compared else [dict(wish.values)]
    plain = redact.named([*everything, *wishes, dict(stored.values) if stored else {}])
    return bundle.Material(
        release,
        cluster.now(),
        why=str(why) if why else "",
        status=report.status_text(release, looked.live, looked.ordinals, looked.checks) if looked else "",
        lock=looked.lock if looked else "",
        diagnosis=report.diagnosis_text(looked.diagnosis) if looked and looked.diagnosis else "",
        **_compared(compared, release),
        objects=everything,
        events=found["Event"],
        logs=logs,
        values=stored.values if stored else {},
        manifest=stored.objects if stored else (),
        revisions=first.get("history of Helm") or (),
        operations=looked.operations if looked else (),
        secrets=redact.values((*secrets, *_secrets(own), {"stringData": {text: text for text in plain}}), named),
        missing=missing,
    )


def write(material: bundle.Material, folder: str, keep: int) -> Path:
    """Keep the bundle in the folder, which is made for this user alone, and drop older ones. Raises OrbitError."""
    where = Path(folder) if folder else default_folder()
    name = bundle.name(material.release, material.at)
    content = bundle.archive(bundle.files(material), bundle.root(name), material.at)
    path = where / name
    try:
        where.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
        part.rename(path)
        for old in bundle.surplus((item.name for item in where.iterdir()), material.release, keep):
            where.joinpath(old).unlink(missing_ok=True)
    except OSError as error:
        raise OrbitError(
            f"The bundle cannot be written to {where}: {error.strerror}.", "Correct orbit_rs_diagnose_dir."
        ) from error
    return path


def default_folder() -> Path:
    """Where bundles are when nobody has said otherwise."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state, "orbit-rs", "diagnose")


@dataclasses.dataclass
class OnFailure:
    """Writes the bundle of a run that fails, once, whatever else happens."""

    cluster: Cluster
    helm: Helm
    release: Release
    wish: Wish
    folder: str
    keep: int
    say: Callable[[str], None]
    path: Path | None = None
    tried: bool = False

    def __call__(self, error: OrbitError) -> None:
        """Collect and write, as long as what has failed is still there."""
        if self.tried:
            return
        self.tried = True
        started = time.monotonic()
        try:
            material = collect(self.cluster, self.helm, self.release, self.wish, FAILED, error)
            self.path = write(material, self.folder, self.keep)
        except Exception as reason:  # whatever it is, it must not hide why the run has failed
            self.say(f"what was seen could not be kept: {reason}")
        else:
            self.say(f"what was seen is kept, it took {report.duration(time.monotonic() - started)}")

    def named(self, error: OrbitError) -> OrbitError:
        """The error with the path of the bundle as its last line."""
        return OrbitError(error.seen, f"{error.remedy}\nWhat was seen: {self.path}".strip()) if self.path else error


def _together(calls: Mapping[str, Callable[[], Any]], seconds: float, missing: list[str]) -> dict[str, Any]:
    """What these calls return by name, side by side; one that fails or takes too long is only named in `missing`."""
    found: dict[str, Any] = {}
    failed: dict[str, str] = {}
    waiting = list(calls.items())
    guard = threading.Lock()

    def work() -> None:
        while True:
            with guard:
                if not waiting:
                    return
                name, call = waiting.pop(0)
            try:
                answer = call()
            except Exception as error:  # one question less is better than no bundle
                absent = isinstance(error, ApiError) and error.status == 404
                failed[name] = "" if absent else (str(error) or repr(error)).splitlines()[0]
            else:
                found[name] = answer

    # Daemons, so that one that hangs holds nobody up.
    threads = [threading.Thread(target=work, daemon=True) for dummy in range(min(len(calls), 12))]
    end = time.monotonic() + seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    with guard:
        waiting.clear()
        done = dict(found)
    reasons = {name: failed.get(name, f"no answer within {seconds:.0f} s") for name in calls if name not in done}
    missing.extend(
        f"{name}: {reason}" for name, reason in reasons.items() if reason
    )  # what is not there is not missing
    return done


def _getter(cluster: Cluster, path: str) -> Callable[[], Object]:
    return lambda: cluster.get(path)


def _compared(compared: tuple[Desired, Snapshot, list[Finding]] | None, release: Release) -> dict[str, str]:
    if compared is None:
        return {}
    wanted, live, findings = compared
    made = plan.make_plan(wanted, live, findings)
    # A permission is no matter here, so the plan is shown without its refusals.
    steps = dataclasses.replace(made, findings=(), refusals=())
    return {
        "preflight": report.findings_text(findings),
        "plan": report.plan_text(steps, release),
        "drift": report.drift_text(drift.find(wanted, live), release) if live.release else "",
    }


def _related(found: Mapping[str, Sequence[Object]]) -> list[Object]:
    """Everything but the events; of the nodes those that matter, without the list of their images."""
    used = {pod["spec"].get("nodeName") for pod in found["Pod"]}
    nodes = [node for node in found["Node"] if None in used or node["metadata"]["name"] in used][:50]
    shorter = [{**node, "status": {**(node.get("status") or {}), "images": None}} for node in nodes]
    rest = [obj for kind, items in found.items() if kind not in ("Event", "Node") for obj in items]
    return [*rest, *shorter]


def _containers(pod: Object) -> Iterator[tuple[str, int]]:
    """Each container with its number of restarts."""
    state = pod.get("status") or {}
    for statuses in ("initContainerStatuses", "containerStatuses"):
        for container in state.get(statuses) or ():
            yield container["name"], int(container.get("restartCount", 0))


def _logs(cluster: Cluster, pods: Iterable[Object], limits: Limits) -> Iterator[tuple[str, Callable[[], str]]]:
    """The logs that the API serves: of this life of each container, and of the one before."""
    for pod in pods:
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        for container, restarts in _containers(pod):
            path = f"/api/v1/namespaces/{namespace}/pods/{name}/log?container={container}&tailLines={limits.lines}"
            path += f"&limitBytes={64 << 20}&timestamps=true"
            yield f"{name}/{container}.log", _reader(cluster, path)
            if restarts:
                yield f"{name}/{container}.previous.log", _reader(cluster, f"{path}&previous=true")


def _reader(cluster: Cluster, path: str) -> Callable[[], str]:
    def read() -> str:
        try:
            return cluster.text(path)
        except ApiError as error:
            if error.status == 400:  # a container that waits has no log
                return ""
            raise

    return read


def _rotated(cluster: Cluster, pod: Object, limits: Limits) -> Callable[[], dict[str, str]]:
    """What the kubelet has put aside. Only the node has it, and gives it to those who may use its proxy."""
    metadata = pod["metadata"]

    def read() -> dict[str, str]:
        result = {}
        for container, restarts in _containers(pod):
            folder = (
                f"/api/v1/nodes/{pod['spec']['nodeName']}/proxy/logs/pods/"
                f"{metadata['namespace']}_{metadata['name']}_{metadata['uid']}/{container}/"
            )
            with contextlib.suppress(_NotFound):
                names = [unquote(name) for name in re.findall(r'href="([^"/]+)"', _there(cluster, folder).decode())]
                served = {f"{restarts}.log", f"{restarts - 1}.log"}
                older = sorted((name for name in names if name not in served), key=_age)[-limits.rotated :]
                for name in older:
                    content = _there(cluster, folder + quote(name))
                    file = f"{metadata['name']}/{container}.rotated.{name.removesuffix('.gz')}"
                    result[file] = _unpacked(content).decode(errors="replace")
        return result

    return read


class _NotFound(Exception):
    """The node has no such file."""


def _there(cluster: Cluster, path: str) -> bytes:
    try:
        return cluster.content(path)
    except ApiError as error:
        if error.status == 404:
            raise _NotFound from error
        raise


def _age(name: str) -> tuple[int, str]:
    """The order in which the kubelet has made its files: 0.log, 1.log.20260101-100000.gz, 1.log."""
    number, dummy, rest = name.partition(".log")
    return int(number) if number.isdigit() else 0, rest or "~"


def _unpacked(content: bytes) -> bytes:
    if not content.startswith(b"\x1f\x8b"):
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error):
        return b"(this file cannot be unpacked)\n"


def _tail(text: str, limits: Limits) -> str:
    """The end of a log, from a line's beginning on."""
    if len(text) <= limits.bytes:
        return text
    dummy, dummy, end = text[-limits.bytes :].partition("\n")
    return f"(what came before is left out)\n{end}"


def _secret_names(things: Iterable[Object]) -> set[str]:
    """Names of the Secrets that pods read or have read, and that their images are pulled with."""
    found: set[str] = set()

    def walk(value: Any, name: str) -> None:
        if isinstance(value, list):
            for item in value:
                walk(item, name)
        elif isinstance(value, dict):
            if name in ("secretKeyRef", "secretRef", "secret", "imagePullSecrets"):
                found.update(str(value[key]) for key in ("name", "secretName") if value.get(key))
            for key, child in value.items():
                walk(child, key)

    for thing in things:
        walk(thing, "")
    return found


def _secrets(own: Iterable[Object]) -> list[Object]:
    return [obj for obj in own if obj["kind"] == "Secret"]
