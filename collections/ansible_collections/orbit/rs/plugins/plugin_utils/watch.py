# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Watch a rollout: look again and again, say what changes, and end with the verdict or the reason why not."""

from __future__ import annotations

import datetime
import time
import tomllib
from collections.abc import Callable, Iterable, Mapping

from ansible_collections.orbit.rs.plugins.plugin_utils import diagnosis, gate, objects, report, rollout
from ansible_collections.orbit.rs.plugins.plugin_utils.cluster import ApiError, Cluster
from ansible_collections.orbit.rs.plugins.plugin_utils.model import (
    Check,
    Diagnosis,
    HelmRelease,
    Object,
    OrbitError,
    OrdinalState,
    Release,
    Snapshot,
    Verdict,
)

LOOK_SECONDS = 0.25
HEARTBEAT_SECONDS = 10
GATE_SECONDS = 1  # between two tries of a gate
# The release was applied just before the first look, and what was said since then counts.
GRACE = datetime.timedelta(seconds=5)


class Watch:
    """The StatefulSet of a release under observation. `say` gets the progress, line by line."""

    def __init__(self, cluster: Cluster, release: Release, statefulset: Object, say: Callable[[str], None]) -> None:
        self._cluster = cluster
        self._release = release
        self._say = say
        self._namespace = f"/api/v1/namespaces/{release.namespace}"
        selector = ",".join(f"{key}={value}" for key, value in statefulset["spec"]["selector"]["matchLabels"].items())
        self._paths = [
            cluster.path(statefulset),
            f"{self._namespace}/pods?labelSelector={selector}",
            f"{self._namespace}/persistentvolumeclaims?labelSelector={selector}",
            f"{self._namespace}/events",
        ]
        self._pods: list[Object] = []
        self._since: datetime.datetime | None = None
        self.statefulset = statefulset  # as it lives, from the first look on
        self.waited = False

    def look(self, *, final: bool = False) -> Verdict:
        """One look; `final`: name also what could still heal. Raises ApiError."""
        found: list[Object] = []
        for answer in self._cluster.get_all(self._paths):
            if isinstance(answer, ApiError):
                raise answer
            found.append(answer)
        now = self._cluster.now()
        self._since = self._since or now - GRACE
        self.statefulset = found[0]
        self._pods = found[1]["items"]
        claims, events = found[2]["items"], found[3]["items"]
        return rollout.verdict(self.statefulset, self._pods, claims, events, now=now, since=self._since, final=final)

    def until_ready(self, timeout: float) -> Verdict:
        """Look until every ordinal is ready, `timeout` seconds at most. Raises OrbitError with the diagnosis."""
        start = said = time.monotonic()
        before: Mapping[int, str] = {}
        while True:
            up = time.monotonic() - start >= timeout
            try:
                verdict = self.look(final=up)
            except ApiError as error:
                # An API server that restarts is back soon; one that refuses goes on refusing.
                if up or (error.status < 500 and error.status != 429):
                    raise
                self._say(f"trying again: {error.seen}")
                time.sleep(10 * LOOK_SECONDS)
                continue
            phases = {state.ordinal: _phase(state) for state in verdict.ordinals}
            if verdict.state == "ready":
                if before:
                    self._say(f"{len(phases)} of {len(phases)} ordinals ready after {_since(start)}")
                return verdict
            if not self.waited:
                self.waited = True
                gate.warm_up()  # while the pods start
            for state in verdict.ordinals:
                if before.get(state.ordinal) != phases[state.ordinal]:
                    self._say(f"{state.pod}: {phases[state.ordinal]}")
                    said = time.monotonic()
            before = phases
            if verdict.state == "failed" or up:
                raise self.failure(verdict, _since(start))
            if time.monotonic() - said >= HEARTBEAT_SECONDS:
                said = time.monotonic()
                ready = sum(state.ready and state.updated for state in verdict.ordinals)
                self._say(f"{ready} of {len(phases)} ordinals ready after {_since(start)}, still waiting")
            time.sleep(LOOK_SECONDS)

    def gated(self, verdict: Verdict, seconds: float, *, write: bool, tls: bool) -> list[Check]:
        """The last checks of every ordinal: those that are not passed are made again, `seconds` at most.

        Raises OrbitError with the diagnosis when an ordinal is lost meanwhile.
        """
        namespace, ports = self._release.namespace, container_ports(self.statefulset)
        start = time.monotonic()
        waiting = {state.ordinal: state.pod for state in verdict.ordinals}
        passed: list[Check] = []
        told: set[tuple[int, str]] = set()
        while True:
            checks = gate.gate(self._cluster, namespace, waiting, ports, write=write, tls=tls)
            bad = [check for check in checks if not check.ok]
            left = seconds - (time.monotonic() - start)
            if not bad or left < GATE_SECONDS:
                return sorted((*passed, *checks), key=lambda check: check.ordinal)
            for check in bad:
                if (check.ordinal, check.name) not in told:
                    self._say(f"{waiting[check.ordinal]}: not good yet, {check.name}: {check.detail}")
                    told.add((check.ordinal, check.name))
            failing = {check.ordinal for check in bad}
            passed += [check for check in checks if check.ordinal not in failing]
            waiting = {ordinal: pod for ordinal, pod in waiting.items() if ordinal in failing}
            time.sleep(GATE_SECONDS)
            self.until_ready(left)

    def start_stuck(self) -> list[str]:
        """Give what was failing before the first look another chance at once: the cause may be gone, and the cluster
        holds its next attempt back, by minutes in the end. Returns the pods that were deleted for it.
        """
        verdict = self.look()
        if not self._since:
            raise AssertionError  # the look has set it
        missing = any(state.phase == rollout.MISSING for state in verdict.ordinals)
        if missing and diagnosis.time(self.statefulset["metadata"]["creationTimestamp"]) < self._since:
            # Any change makes the controller try to create the missing pods now.
            note = {"metadata": {"annotations": {"orbit.rs/asked-again": self._cluster.now().isoformat()}}}
            self._cluster.request("PATCH", self._paths[0], note, "application/merge-patch+json")
        pods = rollout.stuck(self.statefulset, self._pods, self._since)
        for pod in pods:
            self._say(f"{pod}: was failing before this run, so it is started anew")
            self._cluster.request("DELETE", f"{self._namespace}/pods/{pod}")
        return pods

    def failure(self, verdict: Verdict, spent: str) -> OrbitError:
        """Why a rollout is given up, with the diagnosis where there is one."""
        if verdict.state == "failed":
            head = f"The rollout of {self._release.name} does not succeed, seen after {spent}."
        else:
            waiting = ", ".join(f"{state.pod} ({state.phase})" for state in verdict.ordinals if not state.ready)
            head = f"The rollout of {self._release.name} is not ready after {spent}: {waiting or 'old pods remain'}."
        if verdict.diagnosis:
            head += f"\n{report.diagnosis_text(self.with_log(verdict.diagnosis))}"
        return OrbitError(head, report.next_commands(self._release, verdict.ordinals))

    def with_log(self, found: Diagnosis) -> Diagnosis:
        """The diagnosis with the log of the server's last life, else of this one."""
        pod = f"{self.statefulset['metadata']['name']}-{found.ordinal}"
        for previous in ("true", "false"):
            try:
                log = self._cluster.text(f"{self._namespace}/pods/{pod}/log?tailLines=20&previous={previous}")
            except ApiError:
                continue
            return diagnosis.with_log(found, log, self._release.namespace, pod)
        return found


def stored_statefulset(release: Release, stored: HelmRelease | None) -> Object:
    """The StatefulSet that the newest revision holds. Raises OrbitError when there is none to watch."""
    if stored is None:
        raise OrbitError(
            f"There is no release {release.name} in namespace {release.namespace}.",
            "Deploy it: ansible-playbook orbit.rs.deploy",
        )
    statefulset = objects.find(stored.objects, "StatefulSet")
    if statefulset is None:
        raise OrbitError(
            f"The release {release.name} holds no StatefulSet.",
            f"See what it holds: helm get manifest {release.name} -n {release.namespace}",
        )
    return statefulset


def container_ports(statefulset: Object) -> dict[str, int]:
    """Port numbers of the server's container by name."""
    container = statefulset["spec"]["template"]["spec"]["containers"][0]
    return {port["name"]: port["containerPort"] for port in container.get("ports") or () if port.get("name")}


def uses_tls(stored: Iterable[Object]) -> bool:
    """Whether the server's configuration turns TLS on."""
    for obj in stored:
        if obj["kind"] == "ConfigMap":
            for name, text in (obj.get("data") or {}).items():
                if name.endswith(".toml"):
                    return bool(tomllib.loads(text).get("tls", {}).get("enabled"))
    return False


def prove(live: Snapshot) -> None:
    """Every object that Helm has stored must be there and match. Raises OrbitError that names what is not."""
    wrong = []
    for wanted in live.release.objects if live.release else ():
        name = objects.key(wanted)
        found = live.objects.get(name)
        if found is None:
            wrong.append(f"  {name} {'may not be read' if name in live.denied else 'is missing'}")
        else:
            for item in objects.differences(wanted, found):
                wrong.append(f"  {name} {item.path}: {item.found!r} instead of {item.wanted!r} {item.by}".rstrip())
    if wrong:
        raise OrbitError(
            "\n".join(["The cluster does not hold what was deployed:", *wrong]),
            "Deploy again, with --check --diff first to see what that would change.",
        )


def _phase(state: OrdinalState) -> str:
    return state.phase if state.updated or not state.node else f"{state.phase}, old revision"


def _since(start: float) -> str:
    return report.duration(time.monotonic() - start)
