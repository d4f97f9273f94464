# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Watch a rollout: look again and again, say what changes, and end with the verdict or the reason why not."""

from __future__ import annotations

import datetime
import time
import tomllib
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

from ansible_collections.orbit.rs.plugins.plugin_utils import diagnosis, gate, objects, report, rollout
from ansible_collections.orbit.rs.plugins.plugin_utils.cluster import PARALLEL, ApiError, Cluster
from ansible_collections.orbit.rs.plugins.plugin_utils.model import (
    Check,
    Diagnosis,
    HelmRelease,
    Object,
    OrbitError,
    OrdinalState,
    Patience,
    Release,
    Snapshot,
    Verdict,
)

READY = "Ready"  # phase of an ordinal
LOOK_SECONDS = 0.25
HEARTBEAT_SECONDS = 10
NODES_SECONDS = 2  # between two looks at the nodes of pods in trouble
GATE_SECONDS = 1  # between two tries of a gate
# The release was applied just before the first look, and what was said since then counts.
GRACE = datetime.timedelta(seconds=5)


class Watch:
    """The StatefulSet of a release under observation. `say` gets the progress, line by line."""

    def __init__(
        self, cluster: Cluster, release: Release, statefulset: Object, say: Callable[[str], None], *, tls: bool = False
    ) -> None:
        self._cluster = cluster
        self._release = release
        self.tls = tls
        self._marks: dict[int, gate.Mark] = {}
        self._forgotten: list[gate.Mark] = []
        self.say = say
        self.event: Callable[[str, int], None] = lambda what, ordinal: None  # for the record of an operation
        self._namespace = f"/api/v1/namespaces/{release.namespace}"
        labels = selector(statefulset)
        self._paths = [
            cluster.path(statefulset),
            f"{self._namespace}/pods?labelSelector={labels}",
            f"{self._namespace}/persistentvolumeclaims?labelSelector={labels}",
            f"{self._namespace}/events",
        ]
        self._pods: list[Object] = []
        self._phases: Mapping[int, str] = {}  # what was said last of each ordinal
        self._events: list[Object] = []
        self._nodes: list[Object] = []
        self._nodes_seen = 0.0
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
        self._events = found[3]["items"]
        self._look_at_nodes(now)
        return rollout.verdict(
            self.statefulset,
            self._pods,
            found[2]["items"],
            self._events,
            now=now,
            since=self._since,
            final=final,
            nodes=self._nodes,
        )

    def _look_at_nodes(self, now: datetime.datetime) -> None:
        """Read the nodes of pods that are in trouble, seldom: they are big and tell little. Who may not, goes on."""
        if time.monotonic() - self._nodes_seen >= NODES_SECONDS:
            names = rollout.nodes_to_look_at(self._pods, now)
            found = self._cluster.get_all([f"/api/v1/nodes/{name}" for name in names])
            self._nodes = [node for node in found if not isinstance(node, ApiError)]
            self._nodes_seen = time.monotonic()

    def until_ready(self, timeout: float, found: Callable[[OrdinalState], None] = lambda _: None) -> Verdict:
        """Look until every ordinal is ready, `timeout` seconds at most; `found` gets each as soon as it is.

        Ordinals below the partition are ready on the old revision. Raises OrbitError with the diagnosis.
        """
        start = said = time.monotonic()
        quiet = True
        while True:
            up = time.monotonic() - start >= timeout
            try:
                verdict = self.look(final=up)
            except ApiError as error:
                # An API server that restarts is back soon; one that refuses goes on refusing.
                if up or (error.status < 500 and error.status != 429):
                    raise
                self.say(f"trying again: {error.seen}")
                time.sleep(10 * LOOK_SECONDS)
                continue
            held = rollout.partition(self.statefulset)
            for state in verdict.ordinals:
                if state.ready and (state.updated or state.ordinal < held):
                    found(state)
            phases = {state.ordinal: _phase(state, held) for state in verdict.ordinals}
            if verdict.state == "ready":
                if not quiet:
                    self.say(f"{len(phases)} of {len(phases)} ordinals ready after {_since(start)}")
                return verdict
            self.waited = True
            quiet = False
            for state in verdict.ordinals:
                if self._phases.get(state.ordinal) != phases[state.ordinal]:
                    self.say(f"{state.pod}: {phases[state.ordinal]}")
                    said = time.monotonic()
            self._phases = phases
            if verdict.state == "failed" or up:
                raise self.failure(verdict, _since(start))
            if time.monotonic() - said >= HEARTBEAT_SECONDS:
                said = time.monotonic()
                ready = sum(phase == READY for phase in phases.values())
                self.say(f"{ready} of {len(phases)} ordinals ready after {_since(start)}, still waiting")
            time.sleep(LOOK_SECONDS)

    def until_good(
        self, patience: Patience, *, only: Collection[int] | None = None, write: bool = True
    ) -> tuple[Verdict, list[Check]]:
        """Look until every ordinal is ready, and gate each (of `only`) as soon as it is: the last checks of each.

        An ordinal that does not pass is checked again, as long as the patience for the gate lasts. Raises OrbitError,
        with the diagnosis when an ordinal is lost, else with the checks that were not passed.
        """
        gating: dict[int, Future[list[Check]]] = {}
        with ThreadPoolExecutor(PARALLEL) as pool:

            def gated(state: OrdinalState) -> list[Check]:
                found = self._gate({state.ordinal: state.pod}, write)
                if all(check.ok for check in found):
                    self.event("passed", state.ordinal)
                return found

            def begin(state: OrdinalState) -> None:
                if state.ordinal not in gating and (only is None or state.ordinal in only):
                    self.event("ready", state.ordinal)
                    gating[state.ordinal] = pool.submit(gated, state)

            verdict = self.until_ready(patience.rollout, begin)
        checks = {ordinal: done.result() for ordinal, done in gating.items()}
        start, told = time.monotonic(), set[tuple[int, str]]()
        while failing := {number for number, found in checks.items() if not all(check.ok for check in found)}:
            left = patience.gate - (time.monotonic() - start)
            if left < GATE_SECONDS:
                break
            pods = {state.ordinal: state.pod for state in verdict.ordinals if state.ordinal in failing}
            for check in (check for ordinal in sorted(failing) for check in checks[ordinal] if not check.ok):
                if (check.ordinal, check.name) not in told:
                    self.say(f"{pods[check.ordinal]}: not good yet, {check.name}: {check.detail}")
                    told.add((check.ordinal, check.name))
            time.sleep(GATE_SECONDS)
            verdict = self.until_ready(left)
            for check in self._gate(pods, write):
                checks[check.ordinal] = [item for item in checks[check.ordinal] if item.name != check.name] + [check]
        final = [check for ordinal in sorted(checks) for check in checks[ordinal]]
        self._expect_good(final)
        return verdict, final

    def _gate(self, pods: Mapping[int, str], write: bool) -> list[Check]:
        ports = container_ports(self.statefulset)
        return gate.gate(
            self._cluster, self._release.namespace, pods, ports, write=write, tls=self.tls, marks=self._marks
        )

    def _expect_good(self, checks: Iterable[Check]) -> None:
        """Raise OrbitError that names the checks that were not passed."""
        name = self.statefulset["metadata"]["name"]
        bad = [check for check in checks if not check.ok]
        if bad:
            rows = "\n".join(f"  {name}-{check.ordinal}  {check.name}: {check.detail}" for check in bad)
            raise OrbitError(
                f"The gate is not passed: the server runs, and does not do what it should.\n{rows}",
                f"See its log: kubectl logs {name}-{bad[0].ordinal} -n {self._release.namespace}",
            )

    def soak(self, seconds: float, ordinal: int) -> None:
        """Look on for a while: the ordinal must stay as it is. Raises OrbitError when it restarts or is not ready."""
        end = time.monotonic() + seconds
        first = self._one(ordinal)
        while time.monotonic() < end:
            time.sleep(min(1.0, seconds))
            now = self._one(ordinal)
            if not now.ready or now.restarts != first.restarts:
                raise OrbitError(
                    f"{now.pod} did not stay good: {now.phase}, {now.restarts - first.restarts} restarts meanwhile.",
                    f"See its log: kubectl logs {now.pod} -n {self._release.namespace} --previous",
                )

    def _one(self, ordinal: int) -> OrdinalState:
        return next(state for state in self.look().ordinals if state.ordinal == ordinal)

    def mark(self, ordinal: int) -> None:
        """Write to an ordinal until it stops; every later gate sees that nothing of it is lost. Raises OrbitError.

        Without a volume of its own an ordinal forgets by intent, and nothing is written.
        """
        port = container_ports(self.statefulset).get("redis")
        if port and self.statefulset["spec"].get("volumeClaimTemplates") and ordinal not in self._marks:
            pod = f"{self.statefulset['metadata']['name']}-{ordinal}"
            mark = gate.Mark(self._cluster, self._release.namespace, pod, port, self.tls)
            mark.start()
            self._marks[ordinal] = mark

    def restart(self, ordinal: int) -> None:
        """Restart an ordinal as it is: what its server has written itself must survive, too. Raises OrbitError."""
        self.unmark()
        self.mark(ordinal)
        self._cluster.delete(f"{self._namespace}/pods/{self.statefulset['metadata']['name']}-{ordinal}")

    def unmark(self) -> None:
        """Take away again what mark() has written. Raises OrbitError."""
        self.forget()
        while self._forgotten:
            self._forgotten.pop().remove()

    def forget(self) -> None:
        """Look no more for what mark() has written: a bad version may have lost it for good."""
        self._forgotten += self._marks.values()
        self._marks.clear()

    def until_observed(self, timeout: float) -> None:
        """Wait until the controller has seen the newest StatefulSet; what was said before does not count any more."""
        start = time.monotonic()
        while True:
            self._since = None
            self.look()
            status = self.statefulset.get("status") or {}
            if status.get("observedGeneration", 0) >= self.statefulset["metadata"]["generation"]:
                return
            if time.monotonic() - start > timeout:
                raise OrbitError(
                    f"The cluster has not taken notice of the changed StatefulSet for {_since(start)}.",
                    "Is its controller manager running? kubectl get pods -n kube-system",
                )
            time.sleep(LOOK_SECONDS)

    def is_updated(self, ordinal: int) -> bool:
        """Whether the pod of an ordinal is on the revision that the StatefulSet wants, as of the last look."""
        revision = (self.statefulset.get("status") or {}).get("updateRevision", "")
        name = f"{self.statefulset['metadata']['name']}-{ordinal}"
        pods = (pod["metadata"] for pod in self._pods if pod["metadata"]["name"] == name)
        return any(pod["labels"].get("controller-revision-hash") == revision for pod in pods)

    def delete_unready(self) -> None:
        """Delete pods that are not ready on a revision that is not wanted any more; the highest first."""
        for pod in rollout.unready_elsewhere(self.statefulset, self._pods):
            self.say(f"{pod}: is not ready on the revision that failed, so it is deleted")
            self._cluster.delete(f"{self._namespace}/pods/{pod}")

    def patch(self, change: Object) -> None:
        """Change the live StatefulSet. Raises ApiError."""
        self.statefulset = self._cluster.request(
            "PATCH", f"{self._paths[0]}?fieldManager=orbit.rs", change, "application/merge-patch+json"
        )

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
            self.patch(note)
        pods = rollout.stuck(self.statefulset, self._pods, self._events, self._since)
        for pod in pods:
            self.say(f"{pod}: was failing before this run, so it is started anew")
            self._cluster.delete(f"{self._namespace}/pods/{pod}")
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
        """The diagnosis with the log of the container that it is about, where that tells more."""
        pod = f"{self.statefulset['metadata']['name']}-{found.ordinal}"
        for previous in {"": (), "last": ("true", "false"), "now": ("false",)}[found.log]:
            query = f"container={found.container}&tailLines=20&previous={previous}"
            try:
                log = self._cluster.text(f"{self._namespace}/pods/{pod}/log?{query}")
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


def selector(statefulset: Object) -> str:
    """The labels of a StatefulSet's pods and claims, as a query of the API has them."""
    return ",".join(f"{key}={value}" for key, value in statefulset["spec"]["selector"]["matchLabels"].items())


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


def _phase(state: OrdinalState, held: int) -> str:
    """What is said of an ordinal; one below the partition is meant to be on the old revision."""
    return state.phase if state.updated or not state.node or state.ordinal < held else f"{state.phase}, old revision"


def _since(start: float) -> str:
    return report.duration(time.monotonic() - start)
