# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restart the ordinals one at a time, from the highest down, and bring all of them back when one is not good.

The partition of the live StatefulSet holds the ordinals below it on the old revision. The chart never renders it, so
Helm leaves it alone: first it is set above all ordinals, then Helm stores the new revision and no pod moves, then it
goes down by one for each ordinal that has passed its gate. While a release is brought back it stays where it is: raised
before, it would keep the bad pods on the bad revision.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.orbit.rs.plugins.plugin_utils import report, rollout
from ansible_collections.orbit.rs.plugins.plugin_utils.helm import Helm
from ansible_collections.orbit.rs.plugins.plugin_utils.lock import REBUILT, Held
from ansible_collections.orbit.rs.plugins.plugin_utils.model import (
    Check,
    Object,
    OrbitError,
    Patience,
    Release,
    Verdict,
)
from ansible_collections.orbit.rs.plugins.plugin_utils.record import Record
from ansible_collections.orbit.rs.plugins.plugin_utils.rehearsal import Rehearsal
from ansible_collections.orbit.rs.plugins.plugin_utils.watch import Watch


class RolledBack(OrbitError):
    """A rollout that failed and was undone: every ordinal is on the old revision again, and good."""


class Paused(Exception):
    """The first ordinal is good, and somebody is to look at it before the others follow."""


@dataclasses.dataclass(frozen=True)
class Origin:
    """What a rollout started from. It stays on the Lease until the end, so that any kill can be undone."""

    operation: str
    base: int  # the revision to come back to
    replicas: int
    plan: str  # hash
    phase: str = "rolling"  # or paused, reverting, reshaping
    reverted: bool = False  # Helm has the old revision again
    statefulset: Object | None = None  # which is about to be made again, see reshape.py

    @classmethod
    def of(cls, left: Mapping[str, Any]) -> Origin | None:
        """What a Lease remembers; None when nothing is unfinished. Raises OrbitError when it is no rollout."""
        if left.get("phase") == REBUILT:
            return None
        if playbook := left.get("resume"):
            raise OrbitError(
                f"A run of {playbook} was not finished, and some ordinals may be stopped.",
                f"Finish it first: ansible-playbook orbit.rs.{playbook}",
            )
        return cls(**left) if left else None


@dataclasses.dataclass
class Canary:
    """A rollout with a gate after each ordinal."""

    helm: Helm
    release: Release
    watch: Watch
    held: Held
    record: Record
    patience: Patience
    origin: Origin
    rehearsal: Rehearsal
    returns: bool = True  # whether the old version can read what the new one has written
    failing: Callable[[OrbitError], None] = lambda error: None  # called while the bad pods can still be looked at
    rehearse: bool = False  # the new version, before any ordinal restarts

    def before(self) -> None:
        """See that every ordinal is good before any is touched. Raises OrbitError."""
        self.watch.until_good(self.patience)

    def roll(self, apply: Callable[[], None] | None, *, pause: bool = False) -> tuple[Verdict, list[Check]]:
        """Apply the new revision (None: it is stored already) and take every ordinal to it.

        Raises Paused, RolledBack when an ordinal failed and all are back, OrbitError when they could not be brought
        back or the lock is lost.
        """
        self._remember(phase="rolling")
        try:
            return self._roll(apply, pause)
        except OrbitError as error:
            self.held.check()
            self.failing(error)
            if not self.returns:
                self.rehearsal.remove(self.watch.statefulset)
                raise OrbitError(
                    f"{error.seen}\nThe rollout stopped: the version before cannot read the data of this one.",
                    f"{error.remedy}\nCorrect it and run again; what is not restarted yet waits.",
                ) from error
            self.revert(error)
            raise

    def _roll(self, apply: Callable[[], None] | None, pause: bool) -> tuple[Verdict, list[Check]]:
        ordinals = list(rollout.ordinals(self.watch.statefulset))
        if apply:
            self._partition(ordinals[-1] + 1 if ordinals else 0)
            apply()
        self.watch.until_observed(self.patience.rollout)
        waiting = [ordinal for ordinal in reversed(ordinals) if not self.watch.is_updated(ordinal)]
        if done := set(ordinals).difference(waiting):
            self.watch.until_good(self.patience, only=done)  # by a run that was interrupted
        elif self.rehearse:
            self.record.event("rehearse")
            self.rehearsal.run(self.watch.statefulset, self.patience)
            self.record.event("rehearsed")
        for number, ordinal in enumerate(waiting, 1):
            self.held.check()
            self.watch.say(f"ordinal {ordinal} restarts, {number} of {len(waiting)}")
            self.watch.mark(ordinal)
            self.record.event("stop", ordinal)
            self._partition(ordinal)
            self._gate(ordinal)
            self.record.event("good", ordinal)
            if pause and number == 1 and number < len(waiting):
                self.watch.unmark()
                self._remember(phase="paused")
                raise Paused
        self.held.check()
        verdict, checks = self._everything()
        self.watch.unmark()
        self.held.remember({})
        return verdict, checks

    def _gate(self, ordinal: int) -> None:
        """Wait until the ordinal is good on its new revision, and stays so for the soak time. Raises OrbitError."""
        self.watch.until_good(self.patience, only=[ordinal])
        if self.patience.soak:
            self.record.event("gated", ordinal)
            self.watch.say(f"ordinal {ordinal} is good; watched for {report.duration(self.patience.soak)}")
            self.watch.soak(self.patience.soak, ordinal)
            self.watch.until_good(self.patience, only=[ordinal])

    def _everything(self) -> tuple[Verdict, list[Check]]:
        """Let go of the partition, and gate every ordinal. Raises OrbitError."""
        if rollout.partition(self.watch.statefulset):
            self._partition(0)
            self.watch.until_observed(self.patience.rollout)
        return self.watch.until_good(self.patience)

    def revert(self, why: OrbitError | None = None) -> None:
        """Bring every ordinal back to the revision from before.

        Always raises: RolledBack when all are back, else OrbitError.
        """
        base, started = self.origin.base, time.monotonic()
        self._remember(phase="reverting")
        self.record.event("revert")
        self.watch.forget()
        self.watch.say(f"bringing the release back to revision {base}" + (f": {_head(why)}" if why else ""))
        try:
            self.rehearsal.remove(self.watch.statefulset)
            if not self.origin.reverted:
                self.helm.rollback(self.release, base)
                self._remember(reverted=True)
            # With that revision came its replica count; what is there stays.
            self.watch.patch({"spec": {"replicas": self.origin.replicas}})
            self.watch.until_observed(self.patience.rollout)
            self.watch.delete_unready()
            self.watch.start_stuck()  # what stood in the way may have hit this revision, too, and be gone by now
            self.watch.until_good(self.patience)
            self._everything()
            self.watch.unmark()
            self.held.remember({})
        except OrbitError as error:
            raise OrbitError(
                f"The rollout failed, and the release is not back on revision {base} yet.\n"
                + (f"Why it failed: {why.seen}\n" if why else "")
                + f"Why it is not back: {error.seen}",
                f"{error.remedy}\nThe ordinals keep their data. To go on bringing it back: "
                "ansible-playbook orbit.rs.deploy -e orbit_rs_interrupted=revert",
            ) from error
        self.record.event("reverted")
        back = (
            f"Rolled back: all {self.origin.replicas} ordinals are on revision {base} again and good, after "
            f"{report.duration(time.monotonic() - started)}."
        )
        if why is None:
            raise RolledBack(back, "See how it is doing: ansible-playbook orbit.rs.status")
        raise RolledBack(
            f"{why.seen}\n\n{back}", f"{why.remedy}\nCorrect it before the next run: the inventory asks for it again."
        ) from why

    def _partition(self, ordinal: int) -> None:
        self.watch.patch(rollout.with_partition(ordinal))

    def _remember(self, **changes: Any) -> None:
        self.origin = dataclasses.replace(self.origin, **changes)
        self.held.remember(dataclasses.asdict(self.origin))


def _head(error: OrbitError) -> str:
    return error.seen.splitlines()[0]
