# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action behind orbit.rs.drift."""

from __future__ import annotations

import dataclasses
from typing import Any

from ansible_collections.orbit.rs.plugins.plugin_utils import desired, drift, report, watch
from ansible_collections.orbit.rs.plugins.plugin_utils.action import Options, OrbitAction, connect, wish_of


class ActionModule(OrbitAction):
    """Show what somebody has changed in the cluster since the last deploy."""

    def act(self, options: Options) -> dict[str, Any]:
        """Compare, print the drift, and say whether it matters; the caller decides to fail."""
        cluster, helm, release = connect(options)
        with cluster:
            wanted, live, dummy = desired.compare(cluster, helm, release, wish_of(options))
        watch.stored_statefulset(release, live.release)  # without a release there is nothing to compare with
        found = drift.find(wanted, live, options["ignore"])
        self.say(report.drift_text(found, release))
        return {
            "release": release.name,
            "namespace": release.namespace,
            "revision": live.release.revision if live.release else 0,
            "unsafe": found.count("unsafe"),
            "benign": found.count("benign"),
            "drift": [
                {**dataclasses.asdict(item.difference), "risk": item.risk, "why": item.why, "ignored": item.ignored}
                for item in found.items
            ],
            "pending": [dataclasses.asdict(item) for item in found.pending],
            "notes": list(found.notes),
            "failure": self.typed(report.drift_failure(found, release)) if found.fails(options["fail"]) else "",
        }
