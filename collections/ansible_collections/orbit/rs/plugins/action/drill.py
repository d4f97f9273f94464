# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action behind orbit.rs.drill."""

from __future__ import annotations

from typing import Any

from ansible_collections.orbit.rs.plugins.plugin_utils import backup, outcomes, report, sets
from ansible_collections.orbit.rs.plugins.plugin_utils.action import Options, OrbitAction, connect
from ansible_collections.orbit.rs.plugins.plugin_utils.drill import Drill
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Patience
from ansible_collections.orbit.rs.plugins.plugin_utils.repository import opened


class ActionModule(OrbitAction):
    """Prove a backup set by restoring it in a scratch namespace."""

    def act(self, options: Options) -> dict[str, Any]:
        """Drill; in check mode say which set would be."""
        api, dummy, release = connect(options)
        on_record = outcomes.kept(api, release, "drill", options["metrics_dir"], self.say, write=not self.check)
        with api, on_record as outcome, opened(options["repository"], api, release) as (restic, name):
            known, *dummy = backup.known_sets(restic, name)
            found = sets.manifest(restic, sets.choose(known, options["set"]), name)
            outcome.set, outcome.bytes = found.set, found.total
            namespace = options["scratch_namespace"] or f"{release.namespace[:57]}-drill"
            if self.check:
                self.say(f"set {found.set}, {report.size(found.total)}, would be drilled in namespace {namespace}")
                return {"changed": True, "release": release.name, "set": found.set, "seconds": {}}
            patience = Patience(options["rollout_timeout"], options["gate_timeout"])
            labels, parallel = options["namespace_labels"], options["parallel"]
            drill = Drill(api, release, namespace, labels, restic, name, parallel, patience, self.say)
            seconds = drill.run(found)
            phases = ", ".join(f"{what} {report.duration(spent)}" for what, spent in seconds.items() if what != "all")
            self.say(
                f"set {found.set} is proved: {len(found.parts)} ordinals of {report.size(found.total)} were restored, "
                f"and are good, after {report.duration(seconds['all'])} ({phases})"
            )
        return {"changed": True, "release": release.name, "set": found.set, "seconds": seconds}
