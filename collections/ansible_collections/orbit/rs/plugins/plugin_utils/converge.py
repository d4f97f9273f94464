# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one way in which a release changes: plan, lock, act step by step, gate each step, report."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ansible_collections.orbit.rs.plugins.plugin_utils import (
    access,
    desired,
    helm,
    lock,
    objects,
    plan,
    rehearsal,
    report,
    revisions,
    rollout,
    snapshot,
    watch,
)
from ansible_collections.orbit.rs.plugins.plugin_utils.canary import Canary, Origin, Paused, RolledBack
from ansible_collections.orbit.rs.plugins.plugin_utils.cluster import ApiError, Cluster
from ansible_collections.orbit.rs.plugins.plugin_utils.desired import Wish
from ansible_collections.orbit.rs.plugins.plugin_utils.helm import Helm
from ansible_collections.orbit.rs.plugins.plugin_utils.model import (
    Check,
    Desired,
    Finding,
    HelmRelease,
    Object,
    OrbitError,
    OrdinalState,
    Patience,
    Permission,
    Plan,
    Release,
    Snapshot,
    Verdict,
)
from ansible_collections.orbit.rs.plugins.plugin_utils.record import Record, write
from ansible_collections.orbit.rs.plugins.plugin_utils.rehearsal import Rehearsal
from ansible_collections.orbit.rs.plugins.plugin_utils.reshape import Reshape

RESHAPING = "reshaping"  # phase of an operation that is only ever finished, never undone


@dataclasses.dataclass(frozen=True)
class Orders:
    """What a playbook lets its run do."""

    operation: str  # as people call it: deploy, upgrade, scale
    allowed: frozenset[Permission]
    patience: Patience
    revision: int | None = None  # go back to this one instead of what the inventory wants; 0: the last good one
    backup: str = ""  # what an upgrade has to fall back on: a backup set, or that somebody does without
    one_way: bool = False  # upgrade also where the data could not be read by the version before
    rehearse: bool = True  # an upgrade, in a scratch pod, before any ordinal restarts
    plan_hash: str = ""  # the only plan that is approved; empty: any
    interrupted: str = "resume"  # what becomes of a run that was killed: resume, or revert
    recover: bool = False  # free a release that a killed Helm has left pending
    pause: bool = False  # after the first ordinal
    check: bool = False  # change nothing


@dataclasses.dataclass(frozen=True)
class Result:
    """What a run has done, or in check mode would do, and what it has seen."""

    plan: Plan
    wanted: Desired
    revision: int
    states: Sequence[OrdinalState] = ()
    checks: Sequence[Check] = ()
    restarted: Sequence[str] = ()
    paused: bool = False


def show(made: Plan, release: Release, plan_hash: str, say: Callable[[str], None]) -> None:
    """Print a plan. Raises OrbitError for one that must not be acted on, or is not the approved one."""
    text = report.plan_text(made, release)
    if made.refused:
        raise OrbitError(text)
    say(text)
    if plan_hash and made.steps and plan_hash != made.hash:
        raise OrbitError(
            f"This is not the approved plan: its hash is {made.hash}, approved was {plan_hash}.",
            f"Read the plan above. To approve it: -e orbit_rs_plan_hash={made.hash}",
        )


@dataclasses.dataclass
class Run:
    """One run of a playbook for one release.

    `tool` is its Helm, and `apply` lets it apply a plan; `say` gets the progress, line by line.
    """

    cluster: Cluster
    tool: Helm
    release: Release
    wish: Wish
    orders: Orders
    say: Callable[[str], None]
    apply: Callable[[Plan, Desired, lock.Held], None]
    failing: Callable[[OrbitError], None] = lambda error: None  # called before what has failed is undone
    take: Callable[[lock.Held], str] | None = None  # takes a backup set, and gives its id
    earlier: Callable[[Path, Wish], Wish] | None = None  # what it was, to be that instead of what the inventory wants
    begun: bool = False  # past all refusals
    record: Record | None = None
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)  # spent, by phase

    @contextlib.contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.monotonic() - started, 3)

    def run(self) -> Result:
        """Make the release what is wanted; in check mode only say how. Raises OrbitError."""
        earlier = self.earlier if self.orders.revision is None else self._revision
        if earlier is None:
            return self._run()
        with tempfile.TemporaryDirectory(prefix="orbit-rs-") as folder:
            self.wish = earlier(Path(folder), self.wish)
            return self._run()

    def _revision(self, folder: Path, inventory: Wish) -> Wish:
        """What an earlier revision was. Raises OrbitError."""
        secrets = revisions.read(self.cluster, self.release)
        number = self.orders.revision or revisions.last_good(secrets, revisions.records(self.cluster, self.release))
        self.say(f"going back to what revision {number} was")
        live = watch.stored_statefulset(self.release, helm.newest(secrets))
        with contextlib.suppress(ApiError):
            live = self.cluster.get(self.cluster.path(live))
        return revisions.wish(secrets, number, live, folder, inventory)

    def _run(self) -> Result:
        wanted, live, made = self._plan()
        left = _left(live)
        pending = live.release is not None and live.release.status.startswith("pending-")
        if left:
            self.say(_interrupted(live, left, self.orders))
        if not (pending and (left or self.orders.recover)):
            self._show(made)
        if not (made.steps or left or pending):
            return self._good(made, wanted, live, None)
        if self.orders.check:
            return Result(made, wanted, live.release.revision if live.release else 0)
        if live.namespace is None:
            self._platform(made, wanted)  # the lock is in it
        with self._lock() as held:
            return self._recorded(wanted, live, made, held)

    def _lock(self) -> contextlib.AbstractContextManager[lock.Held]:
        return lock.held(self.cluster, self.release, self.orders.operation, self.say, wait=self.orders.patience.lock)

    def _plan(self) -> tuple[Desired, Snapshot, Plan]:
        with self._phase("plan"):
            wanted, live, findings = desired.compare(
                self.cluster, self.tool, self.release, self.wish, acting=not self.orders.check
            )
        made = plan.make_plan(wanted, live, findings, self.orders.allowed)
        if any(step.kind == "upgrade" for step in made.steps):
            more = (*self._backup(), *self._one_way(wanted), *self._rehearsal(wanted, live))
            made = dataclasses.replace(made, findings=(*made.findings, *more))
        return wanted, live, made

    def _backup(self) -> list[Finding]:
        if self.orders.backup or self.take or self.orders.operation == "rollback":
            return []
        return [
            Finding(
                "error",
                "backup",
                "There is no backup set to fall back on, should the new version damage its data.",
                "Set orbit_rs_repository, and the upgrade takes one. When you have one, or do without: "
                "-e orbit_rs_upgrade_without_backup=true",
            )
        ]

    def _one_way(self, wanted: Desired) -> list[Finding]:
        """Whether the return to the version before is closed; an error unless somebody accepts that."""
        before = helm.content(revisions.read(self.cluster, self.release)[0])["chart"]["metadata"]
        why = revisions.one_way(before, self.tool.metadata(wanted.source))
        if not why:
            return []
        return [
            Finding(
                "warning" if self.orders.one_way else "error",
                "data format",
                f"After this upgrade there is no way back: {why}",
                "A rollout that fails then stops where it is. To accept that: -e orbit_rs_upgrade_one_way=true",
            )
        ]

    def _rehearsal(self, wanted: Desired, live: Snapshot) -> list[Finding]:
        """What stands against a rehearsal: permissions that it lacks, volumes that are made by hand."""
        if not self.orders.rehearse:
            return []
        needed = rehearsal.requests(self.release)
        refused = access.findings(snapshot.refused(self.cluster, live, needed, self.release.namespace))
        return [*refused, *rehearsal.findings(objects.find(wanted.objects, "StatefulSet") or {})]

    def _show(self, made: Plan) -> None:
        show(made, self.release, self.orders.plan_hash, self.say)

    def _platform(self, made: Plan, wanted: Desired) -> None:
        for obj in plan.actions(made, wanted)[0]:
            self.cluster.apply(obj)

    def _recorded(self, wanted: Desired, live: Snapshot, made: Plan, held: lock.Held) -> Result:
        self.begun = True
        self.record = record = Record(self.orders.operation, lock.identity())
        try:
            result = self._locked(wanted, live, made, held, record)
            record.revision = result.revision
            record.passed(result.checks)
            record.end("paused" if result.paused else "succeeded")
            return result
        except RolledBack as error:
            record.end("rolled_back", error.seen)
            with contextlib.suppress(OrbitError):  # the first failure tells more
                back = self._read().release
                record.revision = back.revision if back else 0
            raise
        except OrbitError as error:
            record.end("failed", error.seen)
            raise
        finally:
            if not held.lost.is_set():
                try:
                    write(self.cluster, self.release, record)
                except ApiError as error:
                    self.say(f"the record of this run could not be written: {error.seen}")

    def _locked(self, wanted: Desired, live: Snapshot, made: Plan, held: lock.Held, record: Record) -> Result:
        """Look again if somebody else has been at work since; finish what was left; then act."""
        shown, first = made, live.release is None
        left = Origin.of(held.unfinished)
        if left or not held.next_after(live.lease):
            wanted, live, made = self._plan()
        release = live.release
        reshaping = left is not None and left.phase == RESHAPING
        if release and release.status.startswith("pending-") and (left or self.orders.recover):
            # From a StatefulSet that was made again Helm could not go back.
            self._free(release, 0 if reshaping else left.base if left else release.deployed)
            wanted, live, made = self._plan()
        if reshaping:
            left = None  # the plan says what is still to be done, and nothing is to be undone
        if left and self._must_revert(left, live, made):
            with contextlib.suppress(RolledBack) if self.orders.interrupted == "resume" else contextlib.nullcontext():
                self._canary(left, live, held, record).revert()
            left = None
            wanted, live, made = self._plan()
        # A first install was shown with the namespace, which is there by now.
        if left or reshaping or (made.hash != shown.hash and not first):
            self._show(made)
        record.plan, record.steps = made.hash, [f"{step.kind}: {step.summary}" for step in made.steps]
        return self._act(made, wanted, live, held, record, left)

    def _must_revert(self, left: Origin, live: Snapshot, made: Plan) -> bool:
        """Whether a run that was interrupted has to be undone before anything else can begin."""
        if not left.base or live.release is None:
            return False
        if left.phase == "reverting" or self.orders.interrupted == "revert":
            return True
        # What it was about is not wanted any more, and some ordinals may be on it.
        return live.release.revision != left.base and plan.needs_helm(made)

    def _free(self, release: HelmRelease, base: int) -> None:
        """Undo the revision that a killed Helm has left pending."""
        self.say(f"revision {release.revision} is {release.status}, its Helm was killed: it is undone")
        if base:
            self.tool.rollback(self.release, base)
            return
        # No revision to go back to. Only Helm's note goes: the next run of it takes over what this one has made.
        name = f"sh.helm.release.v1.{self.release.name}.v{release.revision}"
        self.cluster.request("DELETE", f"/api/v1/namespaces/{self.release.namespace}/secrets/{name}")

    def _canary(self, origin: Origin, live: Snapshot, held: lock.Held, record: Record) -> Canary:
        watching = self._watch(live)
        trial = Rehearsal(self.cluster, self.release, self.say, watching.tls)
        canary = Canary(self.tool, self.release, watching, held, record, self.orders.patience, origin, trial)
        canary.failing = self.failing
        return canary

    def _watch(self, live: Snapshot) -> watch.Watch:
        statefulset = watch.stored_statefulset(self.release, live.release)
        tls = watch.uses_tls(live.release.objects if live.release else ())
        watching = watch.Watch(self.cluster, self.release, statefulset, self.say, tls=tls)
        if self.record:
            watching.event = self.record.event
        return watching

    def _act(
        self, made: Plan, wanted: Desired, live: Snapshot, held: lock.Held, record: Record, left: Origin | None
    ) -> Result:
        """Take the steps of the plan, in their order."""
        if live.namespace is not None:  # else it was there before the lock
            self._platform(made, wanted)
        if any(step.kind == "adopt" for step in made.steps):
            for obj in plan.adoptable(wanted, live):
                change = plan.ownership(self.release)
                self.cluster.request("PATCH", self.cluster.path(obj), change, "application/merge-patch+json")
        needed = plan.needs_helm(made)
        statefulset = _statefulset(wanted, live)
        origin = Origin(
            self.orders.operation,
            base=left.base if left else live.release.deployed if live.release else 0,
            replicas=int((statefulset or {}).get("spec", {}).get("replicas", 0)),
            plan=made.hash,
        )

        def apply() -> None:
            held.check()
            record.event("apply")
            with self._phase("apply"):
                self.apply(made, wanted, held)
            record.event("applied")

        for name in plan.wiped(made):
            self.cluster.delete(f"/api/v1/namespaces/{self.release.namespace}/persistentvolumeclaims/{name}")
        reshapes = any(step.kind in plan.RESHAPING for step in made.steps)
        if reshapes:
            origin = dataclasses.replace(origin, phase=RESHAPING)
            with self._phase("volumes"):
                self._reshape(made, wanted, live, held, record, origin)
        upgrades = any(step.kind == "upgrade" for step in made.steps)
        rolls = any(step.risk == "restarts_pods" for step in made.steps)
        if upgrades and self.take and not (left or self.orders.backup or self.orders.operation == "rollback"):
            record.event("backup")
            with self._phase("backup"):
                record.event(f"backed up: set {self.take(held)}")
        if rolls and origin.base and statefulset and (left or _all_ready(statefulset)):
            rolling = self._canary(origin, live, held, record)
            rolling.rehearse = upgrades and self.orders.rehearse
            rolling.returns = not any(item.check == "data format" for item in made.findings)
            if not left:
                rolling.before()
            try:
                with self._phase("rollout and gate"):
                    verdict, checks = rolling.roll(apply if needed else None, pause=self.orders.pause)
            except Paused:
                return self._good(made, wanted, self._read(), held, paused=True)
            return self._report(made, wanted, self._read(), verdict, checks)
        if needed:
            held.remember(dataclasses.asdict(origin))
            try:
                apply()
            finally:
                if not held.lost.is_set():
                    held.remember({})
        elif held.unfinished:
            held.remember({})
        return self._good(made, wanted, self._read() if needed or reshapes else live, held)

    def _reshape(
        self, made: Plan, wanted: Desired, live: Snapshot, held: lock.Held, record: Record, origin: Origin
    ) -> None:
        """Grow the volumes, and make the StatefulSet again, around its pods."""

        def remember(statefulset: Object | None) -> None:
            held.remember(dataclasses.asdict(dataclasses.replace(origin, statefulset=statefulset)))

        orphaned = plan.orphans(wanted, live)
        remember(orphaned)
        work = Reshape(self.cluster, self.release, held, self.orders.patience.rollout, self.say, record.event, remember)
        if orphaned:
            work.make(orphaned)
        statefulset = objects.find(wanted.objects, "StatefulSet") or {}
        growing = plan.growths(made, wanted, plan.with_orphans(wanted, live))
        work.run(growing, self.cluster.find(self.cluster.path(statefulset)), statefulset, plan.reshaped(made))

    def _read(self) -> Snapshot:
        return snapshot.read(self.cluster, self.tool, self.release, planning=False)

    def _good(
        self, made: Plan, wanted: Desired, live: Snapshot, held: lock.Held | None, *, paused: bool = False
    ) -> Result:
        """Wait until every ordinal is good. What was failing before gets another chance at once, see start_stuck()."""
        self.begun = True
        watching = self._watch(live)
        first = watching.look()
        restarted: list[str] = []
        if first.state != "ready" and not self.orders.check:
            with contextlib.nullcontext() if held else self._lock():
                if rollout.partition(watching.statefulset) and not paused:
                    watching.patch(rollout.with_partition(0))
                restarted = watching.start_stuck()
        with self._phase("rollout and gate"):
            verdict, checks = watching.until_good(self.orders.patience, write=not self.orders.check)
        if held is None and not watching.waited:
            # The plan has just compared all objects.
            return self._report(made, wanted, live, verdict, checks, restarted)
        return self._report(made, wanted, self._read(), verdict, checks, restarted, paused=paused)

    def _report(
        self,
        made: Plan,
        wanted: Desired,
        live: Snapshot,
        verdict: Verdict,
        checks: Sequence[Check],
        restarted: Sequence[str] = (),
        *,
        paused: bool = False,
    ) -> Result:
        """Prove that every object is there and matches, and print the status table."""
        stored = live.release.objects if live.release else ()
        if not live.objects:
            with self._phase("proof"):
                live = snapshot.read_objects(self.cluster, live, stored)
            watch.prove(live)
        states = rollout.with_zones(verdict.ordinals, live.nodes or ())
        self.say(report.status_text(self.release, live, states, checks))
        if paused:
            self.say(report.paused_text(self.release, states))
        revision = live.release.revision if live.release else 0
        return Result(made, wanted, revision, states, checks, restarted, paused)


def _left(live: Snapshot) -> Origin | None:
    holder = lock.holder(live.lease)
    return Origin.of(holder.unfinished) if holder else None


def _interrupted(live: Snapshot, left: Origin, orders: Orders) -> str:
    holder = lock.holder(live.lease)
    who = holder.identity if holder and holder.identity else "somebody"
    begun = f", begun {holder.since:%Y-%m-%d %H:%M:%S} UTC" if holder else ""
    if left.phase == "paused":
        what = f"A run of {left.operation} is paused after its first ordinal{begun}."
    else:
        what = f"A run of {left.operation} by {who}{begun}, was not finished; it was {left.phase}."
    if left.phase == RESHAPING:
        return f"{what} This run goes on from there; a volume that has grown cannot go back."
    if left.phase == "reverting" or orders.interrupted == "revert":
        return f"{what} The release goes back to revision {left.base}."
    return f"{what} This run goes on with it; -e orbit_rs_interrupted=revert goes back to revision {left.base}."


def _statefulset(wanted: Desired, live: Snapshot) -> Object | None:
    return live.objects.get(objects.key(objects.find(wanted.objects, "StatefulSet") or {}))


def _all_ready(statefulset: Object) -> bool:
    status = statefulset.get("status") or {}
    return bool(status.get("readyReplicas", 0) == statefulset["spec"].get("replicas", 1))
