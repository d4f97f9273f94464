# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action behind orbit.rs.rollout."""

from __future__ import annotations

import dataclasses
from typing import Any

from ansible_collections.orbit.rs.plugins.plugin_utils import report, rollout, snapshot, watch
from ansible_collections.orbit.rs.plugins.plugin_utils.action import Options, OrbitAction, connect
from ansible_collections.orbit.rs.plugins.plugin_utils.model import OrbitError


class ActionModule(OrbitAction):
    """Watch a rollout to its end, gate every ordinal, and prove what was deployed."""

    def act(self, options: Options) -> dict[str, Any]:
        """Wait, gate, prove, report."""
        cluster, helm, release = connect(options)
        with cluster:
            live = snapshot.read(cluster, helm, release, planning=False)
            watching = watch.Watch(cluster, release, watch.stored_statefulset(release, live.release), self.say)
            restarted = [] if self.check else watching.start_stuck()
            verdict = watching.until_ready(options["timeout"])
            if watching.waited:
                live = snapshot.read(cluster, helm, release, planning=False)
            live = snapshot.read_objects(cluster, live, live.release.objects if live.release else ())
            watch.prove(live)
            checks = []
            if options["gate"]:
                tls = watch.uses_tls(live.release.objects if live.release else ())
                checks = watching.gated(verdict, options["gate_timeout"], write=not self.check, tls=tls)
        states = rollout.with_zones(verdict.ordinals, live.nodes or ())
        table = report.status_text(release, live, states, checks)
        if not all(check.ok for check in checks):
            raise OrbitError(f"The gate is not passed: the server runs, and does not do what it should.\n{table}")
        self.say(table)
        return {
            "changed": bool(restarted),
            "release": release.name,
            "revision": live.release.revision if live.release else 0,
            "ordinals": [dataclasses.asdict(state) for state in states],
            "checks": [dataclasses.asdict(check) for check in checks],
            "restarted": restarted,
        }
