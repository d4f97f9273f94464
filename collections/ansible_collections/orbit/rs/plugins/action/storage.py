# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action behind orbit.rs.storage."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from ansible_collections.orbit.rs.plugins.plugin_utils import desired, objects, report, snapshot, storage, volume_test
from ansible_collections.orbit.rs.plugins.plugin_utils.action import Options, OrbitAction, connect, wish_of
from ansible_collections.orbit.rs.plugins.plugin_utils.cluster import Cluster
from ansible_collections.orbit.rs.plugins.plugin_utils.helm import Helm
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Object, OrbitError, Plan, Release, Step

_CLASSES = "/apis/storage.k8s.io/v1/storageclasses"


class ActionModule(OrbitAction):
    """Provide the classes that a release asks for, and test them with a volume on request."""

    def act(self, options: Options) -> dict[str, Any]:
        """Compare, refuse what cannot change, apply, test."""
        cluster, helm, release = connect(options)
        wanted, findings = storage.classes(desired.storage_wish(options))
        if options["test"]:  # it takes place in the namespace of the release
            wanted = (desired.namespace_object(release.namespace, options["namespace_labels"]), *wanted)
        if not wanted:
            self.say("Nothing to make: the release uses a class that is there.")
        with cluster:
            live = snapshot.read_objects(cluster, snapshot.EMPTY, wanted, {"classes": _CLASSES})
            wanted, changes, more = storage.compare(wanted, live)
            findings += more
            if any(finding.severity == "error" for finding in findings):
                raise OrbitError(report.findings_text(findings), "Nothing was changed.")
            if findings:
                self.say(report.findings_text(findings))
            changed = self._apply(cluster, wanted, {change.object for change in changes})
            tested = self._test(cluster, helm, release, options) if options["test"] else ""
        step = Step("configure", "safe", "", tuple(changes))
        diff = report.diff(Plan((step,), (), (), "", ""), wanted)
        return {"changed": bool(changed), "diff": diff, "applied": changed, "test": tested}

    def _apply(self, cluster: Cluster, wanted: Sequence[Object], touched: Collection[str]) -> list[str]:
        """Apply what differs; what changed."""
        changed = []
        for obj in wanted:
            if (name := objects.key(obj)) not in touched:
                continue
            before, after = cluster.apply(obj, dry_run=self.check)
            if before != after:
                changed.append(name)
                self.say(f"{name} {'would be' if self.check else 'is'} {'changed' if before else 'created'}")
        return changed

    def _test(self, cluster: Cluster, helm: Helm, release: Release, options: Options) -> str:
        if self.check:
            self.say("The volume test is left out in check mode.")
            return ""
        statefulset = objects.find(desired.render(helm, release, wish_of(options)), "StatefulSet")
        if statefulset is None:
            raise OrbitError(
                "The chart renders no StatefulSet, so there is no volume to test.", "Correct orbit_rs_chart."
            )
        test = volume_test.VolumeTest(cluster, release.namespace, options["test_timeout"], self.say)
        size = storage.PROFILES[options["storage_provider"]].least
        said = test.run(statefulset, options["test_image"], size)
        self.say(said)
        return said
