# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Try a new version before any ordinal restarts, in a copy of the StatefulSet with a volume of its own.

An ordinal that is Ready gets clients at once, and a version that loses data loses theirs before a gate can find out.
The copy has none of the labels that Services select, so that it gets no clients.
"""

from __future__ import annotations

import copy
import dataclasses
import time
from collections.abc import Callable, Iterator

from ansible_collections.orbit.rs.plugins.plugin_utils import report
from ansible_collections.orbit.rs.plugins.plugin_utils.cluster import Cluster
from ansible_collections.orbit.rs.plugins.plugin_utils.model import (
    Finding,
    Object,
    OrbitError,
    Patience,
    Release,
    Request,
)
from ansible_collections.orbit.rs.plugins.plugin_utils.watch import Watch

LOOK_SECONDS = 0.5
_LONGEST = 40  # what a StatefulSet's name may have before "-rehearsal": the names of its pods become labels


@dataclasses.dataclass(frozen=True)
class Rehearsal:
    """The new version on trial. `say` gets the progress, line by line."""

    cluster: Cluster
    release: Release
    say: Callable[[str], None]
    tls: bool = False

    def run(self, live: Object, patience: Patience) -> None:
        """Start what the live StatefulSet wants, gate it, and restart it: it must keep what it has written.

        It stays when it is not good, so that its log can be read. Raises OrbitError.
        """
        self.remove(live)
        self._until_gone(live, patience.rollout)
        trial = scratch(live, self.release)
        self.say(f"rehearsal: {name(live)}-0 runs the new version without clients, on a volume of its own")
        try:
            self.cluster.request("POST", self.cluster.path(trial).rpartition("/")[0], trial)
            watch = Watch(self.cluster, self.release, trial, self.say, tls=self.tls)
            watch.until_good(patience)
            self.say("rehearsal: it restarts, to see that it keeps what it has written")
            watch.restart(0)
            watch.until_good(patience)
        except OrbitError as error:
            raise OrbitError(
                f"The rehearsal of the new version failed; no ordinal was restarted.\n{error.seen}",
                f"{error.remedy}\nTo upgrade without a rehearsal: -e orbit_rs_rehearsal=false",
            ) from error
        self.remove(live)

    def remove(self, live: Object) -> None:
        """Delete the copy and its volumes; nothing when there is none. Raises ApiError."""
        copied, *volumes = self._paths(live)
        # Most rollouts have none, and their account need not be allowed to delete one.
        if self.cluster.find(copied):
            for path in (copied, *volumes):
                self.cluster.delete(path)

    def _paths(self, live: Object) -> list[str]:
        """API paths of the copy and its claims."""
        where = self.release.namespace
        claims = [claim["metadata"]["name"] for claim in live["spec"].get("volumeClaimTemplates") or ()]
        return [
            f"/apis/apps/v1/namespaces/{where}/statefulsets/{name(live)}",
            *(f"/api/v1/namespaces/{where}/persistentvolumeclaims/{claim}-{name(live)}-0" for claim in claims),
        ]

    def _until_gone(self, live: Object, seconds: float) -> None:
        """Wait for what an earlier rehearsal has left: its pod takes its time to end. Raises OrbitError."""
        start, said = time.monotonic(), False
        while [path for path in self._paths(live) if self.cluster.find(path)]:
            if not said:
                self.say("rehearsal: waiting until an earlier one is gone")
                said = True
            if time.monotonic() - start > seconds:
                raise OrbitError(
                    f"An earlier rehearsal is not gone after {report.duration(seconds)}.",
                    f"See what holds it: kubectl get statefulsets,pods,pvc -n {self.release.namespace} "
                    "-l orbit.rs/rehearsal",
                )
            time.sleep(LOOK_SECONDS)


def requests(release: Release) -> list[Request]:
    """What the account must be allowed for a rehearsal, besides what every rollout needs."""
    needed = (
        ("create", "statefulsets", "apps"),
        ("delete", "statefulsets", "apps"),
        ("delete", "persistentvolumeclaims", ""),
    )
    return [Request(verb, resource, group, release.namespace) for verb, resource, group in needed]


def findings(wanted: Object) -> Iterator[Finding]:
    """An error when the copy would take a volume that somebody has made for an ordinal."""
    for template in wanted.get("spec", {}).get("volumeClaimTemplates") or ():
        if template["spec"].get("storageClassName") == "" or template["spec"].get("selector"):
            yield Finding(
                "error",
                "rehearsal",
                f"The volumes of {template['metadata']['name']} are made by hand; a rehearsal would take one.",
                "To upgrade without a rehearsal: -e orbit_rs_rehearsal=false",
            )


def name(live: Object) -> str:
    """The name of the copy."""
    return f"{live['metadata']['name'][:_LONGEST].rstrip('-')}-rehearsal"


def scratch(live: Object, release: Release) -> Object:
    """The copy of the live StatefulSet that runs its newest revision once, wherever there is room."""
    labels = {"orbit.rs/rehearsal": release.name}
    kept = ("serviceName", "podManagementPolicy", "template", "volumeClaimTemplates", "minReadySeconds")
    spec = copy.deepcopy({field: live["spec"][field] for field in kept if field in live["spec"]})
    template = spec["template"]
    template["metadata"] = {"labels": labels, "annotations": template["metadata"].get("annotations") or {}}
    beside_others(template["spec"])
    for claim in spec.get("volumeClaimTemplates") or ():
        claim["metadata"] = {"name": claim["metadata"]["name"], "labels": labels}
        claim.pop("status", None)
    owner = {
        "apiVersion": live["apiVersion"],
        "kind": live["kind"],
        "name": live["metadata"]["name"],
        "uid": live["metadata"]["uid"],
    }
    return {
        "apiVersion": live["apiVersion"],
        "kind": live["kind"],
        "metadata": {
            "name": name(live),
            "namespace": release.namespace,
            "labels": labels,
            "ownerReferences": [owner],  # goes with the release, should this run be killed
        },
        "spec": {
            **spec,
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete", "whenScaled": "Delete"},
        },
    }


def beside_others(pod: Object) -> None:
    """Let the pod of a copy run wherever there is room, also beside the release's own."""
    pod.pop("topologySpreadConstraints", None)
    for relation in ("podAffinity", "podAntiAffinity"):
        (pod.get("affinity") or {}).pop(relation, None)
