# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action behind orbit.rs.status."""

from __future__ import annotations

import dataclasses
from typing import Any

from ansible_collections.orbit.rs.plugins.plugin_utils import gate, report, rollout, snapshot, watch
from ansible_collections.orbit.rs.plugins.plugin_utils.action import Options, OrbitAction, connect


class ActionModule(OrbitAction):
    """Show how a release is doing. Writes nothing, waits for nothing."""

    def act(self, options: Options) -> dict[str, Any]:
        """Look once, and let every ordinal that is ready answer."""
        cluster, helm, release = connect(options)
        with cluster:
            live = snapshot.read(cluster, helm, release, planning=False)
            if live.release is None:
                self.say(report.status_text(release, live, ()))
                return {"release": release.name, "revision": 0, "ready": False, "ordinals": [], "checks": []}
            watching = watch.Watch(cluster, release, watch.stored_statefulset(release, live.release), self.say)
            verdict = watching.look(final=True)
            ready = {state.ordinal: state.pod for state in verdict.ordinals if state.ready}
            ports = watch.container_ports(watching.statefulset)
            tls = watch.uses_tls(live.release.objects)
            checks = gate.gate(cluster, release.namespace, ready, ports, write=False, tls=tls) if ready else []
            states = rollout.with_zones(verdict.ordinals, live.nodes or ())
            text = report.status_text(release, live, states, checks)
            if verdict.diagnosis:
                text += f"\n\n{report.diagnosis_text(watching.with_log(verdict.diagnosis))}"
        self.say(text)
        return {
            "release": release.name,
            "revision": live.release.revision,
            "ready": verdict.state == "ready" and all(check.ok for check in checks),
            "ordinals": [dataclasses.asdict(state) for state in states],
            "checks": [dataclasses.asdict(check) for check in checks],
        }
