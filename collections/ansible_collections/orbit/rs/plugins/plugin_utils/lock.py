# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One operation at a time on a release: a Lease that its holder renews, and that tells what was left unfinished.

Times are the API server's own, so that the clocks of two control hosts do not matter. What an operation needs to be
resumed or reverted is kept on the Lease before the operation begins, and taken away when it has ended.
"""

from __future__ import annotations

import contextlib
import dataclasses
import getpass
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from ansible_collections.orbit.rs.plugins.plugin_utils import report
from ansible_collections.orbit.rs.plugins.plugin_utils.cluster import ApiError, Cluster
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Object, OrbitError, Release

SECONDS = 30  # without a renewal, until somebody else may take over
RENEWAL_SECONDS = 5
# A holder that cannot renew stops this long before anybody else may begin.
MARGIN_SECONDS = 10

OPERATION = "orbit.rs/operation"  # annotation: which operation the holder runs
# Phase of a restore whose volumes are whole: the release is to be deployed around them, by whatever playbook.
REBUILT = "rebuilt"
UNFINISHED = "orbit.rs/unfinished"  # annotation: what it needs to be resumed or reverted, as JSON


@dataclasses.dataclass(frozen=True)
class Holder:
    """Who has a lock, or had it last."""

    identity: str  # user@host, empty when it was given back
    operation: str
    since: datetime
    renewed: datetime
    seconds: int
    unfinished: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def expires(self) -> datetime:
        """When somebody else may take over."""
        return self.renewed + timedelta(seconds=self.seconds)


def path(release: Release) -> str:
    """API path of the release's Lease."""
    return f"/apis/coordination.k8s.io/v1/namespaces/{release.namespace}/leases/{_name(release)}"


def holder(lease: Object | None) -> Holder | None:
    """What a Lease says; None when there is none."""
    if lease is None:
        return None
    spec, annotations = lease.get("spec") or {}, (lease["metadata"].get("annotations") or {})
    since = spec.get("acquireTime") or lease["metadata"].get("creationTimestamp")
    return Holder(
        identity=(spec.get("holderIdentity") or "").partition(" ")[0],
        operation=annotations.get(OPERATION, ""),
        since=datetime.fromisoformat(since),
        renewed=datetime.fromisoformat(spec.get("renewTime") or since),
        seconds=int(spec.get("leaseDurationSeconds") or SECONDS),
        unfinished=json.loads(annotations.get(UNFINISHED) or "{}"),
    )


class Held:
    """A lock that this process holds and renews. `lost` is set when it does not hold it any more."""

    def __init__(self, cluster: Cluster, release: Release, lease: Object) -> None:
        self._cluster = cluster
        self._path = path(release)
        self._lease = lease
        self._identity = lease["spec"]["holderIdentity"]
        self._writing = threading.Lock()
        self._done = threading.Event()
        self._renewed = time.monotonic()
        self.lost = threading.Event()
        self.when_lost: list[Callable[[], None]] = []  # called once, from another thread
        self._thread = threading.Thread(target=self._renew, daemon=True)
        self._thread.start()

    @property
    def unfinished(self) -> Mapping[str, Any]:
        """What the last holder left undone, or what remember() was given; empty when nothing is left."""
        found = holder(self._lease)
        return found.unfinished if found else {}

    def next_after(self, seen: Object | None) -> bool:
        """Whether nobody has had the lock since the Lease was seen like this."""
        return _transitions(self._lease) == _transitions(seen) + 1

    def check(self) -> None:
        """Raise OrbitError when the lock is lost: nothing more may be changed then."""
        if self.lost.is_set():
            raise OrbitError(
                "The lock of this release was lost: it could not be renewed in time, so another run may have begun.",
                "Nothing more was changed. See what is there: ansible-playbook orbit.rs.status",
            )

    def remember(self, unfinished: Mapping[str, Any]) -> None:
        """Keep on the Lease what it takes to resume or revert; {} when nothing is left. Raises OrbitError."""
        self.check()
        self._write({"metadata": {"annotations": {UNFINISHED: json.dumps(unfinished) if unfinished else None}}})

    def release(self) -> None:
        """Give the lock back. What was remembered stays."""
        self._done.set()
        self._thread.join()
        if not self.lost.is_set():
            with contextlib.suppress(ApiError):  # it expires by itself
                self._write({"spec": {"holderIdentity": ""}})

    def _write(self, change: Object) -> None:
        """Change the Lease, if it is still ours: the resource version says so. Raises ApiError."""
        with self._writing:
            for last in (False, True):
                version = self._lease["metadata"]["resourceVersion"]
                body = {**change, "metadata": {**change.get("metadata", {}), "resourceVersion": version}}
                try:
                    self._lease = self._cluster.request("PATCH", self._path, body, "application/merge-patch+json")
                except ApiError as error:
                    found = self._cluster.get(self._path) if error.status == 409 and not last else None
                    if found is None or found["spec"].get("holderIdentity") != self._identity:
                        raise
                    self._lease = found  # somebody labelled it; it is ours all the same
                else:
                    self._renewed = time.monotonic()
                    return

    def _renew(self) -> None:
        while not self._done.wait(RENEWAL_SECONDS):
            try:
                self._write({"spec": {"renewTime": _time(self._cluster.now())}})
            except ApiError as error:
                if error.status in (404, 409) or time.monotonic() - self._renewed > SECONDS - MARGIN_SECONDS:
                    self.lost.set()
                    for call in self.when_lost:
                        call()
                    return


@contextlib.contextmanager
def held(
    cluster: Cluster, release: Release, operation: str, say: Callable[[str], None], *, wait: float = 0
) -> Iterator[Held]:
    """Hold the lock of a release. A holder that was killed is waited for until its lock expires, then taken over.

    `wait`: seconds to wait for a holder that is alive. Raises OrbitError that names the holder.
    """
    lock = Held(cluster, release, _acquire(cluster, release, operation, say, wait))
    try:
        yield lock
    finally:
        lock.release()


def _acquire(cluster: Cluster, release: Release, operation: str, say: Callable[[str], None], wait: float) -> Object:
    start = said = time.monotonic()
    while True:
        lease = cluster.find(path(release))
        now = cluster.now()
        other = holder(lease)
        if other is None or not other.identity or now >= other.expires():
            if other and other.identity:
                say(f"taking over the lock of {_who(other, now)}; its last sign of life was {_ago(other.renewed, now)}")
            taken = _take(cluster, release, operation, lease, now)
            if taken:
                return taken
            continue  # somebody was faster
        silent = (now - other.renewed).total_seconds() > 2 * RENEWAL_SECONDS
        if not silent and time.monotonic() - start >= wait:
            raise OrbitError(
                f"Another run is at work on {release.name} in namespace {release.namespace}: {_who(other, now)}.",
                "Wait until it has ended, then run again; -e orbit_rs_lock_timeout=600 waits by itself.",
            )
        if said == start or time.monotonic() - said >= 10:
            said = time.monotonic()
            left = report.duration(max(1.0, (other.expires() - now).total_seconds()))
            say(
                f"the lock is with {_who(other, now)}, "
                + (f"which gives no sign of life; it is free in {left}" if silent else "waiting for it")
            )
        time.sleep(1)


def _take(cluster: Cluster, release: Release, operation: str, lease: Object | None, now: datetime) -> Object | None:
    """Write the Lease in our name; None when somebody else was faster."""
    metadata = (lease or {}).get("metadata") or {"name": _name(release), "namespace": release.namespace}
    annotations = {**(metadata.get("annotations") or {}), OPERATION: operation}
    wanted = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {**metadata, "annotations": annotations, "labels": {"app.kubernetes.io/managed-by": "orbit.rs"}},
        "spec": {
            # Unique: the same person may run twice on one machine.
            "holderIdentity": f"{identity()} {uuid.uuid4().hex[:8]}",
            "leaseDurationSeconds": SECONDS,
            "acquireTime": _time(now),
            "renewTime": _time(now),
            "leaseTransitions": _transitions(lease) + 1,
        },
    }
    try:
        if lease is None:
            return cluster.request("POST", path(release).rpartition("/")[0], wanted)
        return cluster.request("PUT", path(release), wanted)
    except ApiError as error:
        if error.status == 409:
            return None
        raise


def identity() -> str:
    """Who runs this: user@host:process."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # no name for this uid, as in some containers
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}:{os.getpid()}"


def _name(release: Release) -> str:
    return f"{release.name}.orbit.rs"


def _transitions(lease: Object | None) -> int:
    return int(((lease or {}).get("spec") or {}).get("leaseTransitions") or 0)


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _who(other: Holder, now: datetime) -> str:
    return f"{other.identity}, {other.operation or 'an operation'}, since {_ago(other.since, now)}"


def _ago(moment: datetime, now: datetime) -> str:
    return f"{moment.astimezone(UTC):%H:%M:%S} UTC ({report.duration(max(0.0, (now - moment).total_seconds()))} ago)"
