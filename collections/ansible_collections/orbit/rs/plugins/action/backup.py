# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action behind orbit.rs.backup."""

from __future__ import annotations

from typing import Any

from ansible_collections.orbit.rs.plugins.plugin_utils import backup, outcomes, report
from ansible_collections.orbit.rs.plugins.plugin_utils.action import Options, OrbitAction, connect
from ansible_collections.orbit.rs.plugins.plugin_utils.repository import backup_of, opened


class ActionModule(OrbitAction):
    """Take a backup set of a release."""

    def act(self, options: Options) -> dict[str, Any]:
        """Stream every ordinal; in check mode say what would be."""
        api, tool, release = connect(options)
        on_record = outcomes.kept(api, release, "backup", options["metrics_dir"], self.say, write=not self.check)
        with api, on_record as outcome, opened(options["repository"], api, release) as (restic, name):
            if self.check:
                live = backup.look(api, tool, release)
                what = f"{live.replicas} ordinals of {name}, method {options['method']}"
                self.say(f"a set of {what}, would go to {restic.shown}")
                return {"changed": True, "release": release.name, "set": "", "bytes": 0, "seconds": 0.0}
            run = backup_of(options, api, release, restic, name, self.say)
            taken = run.run(tool, wait=options["lock_timeout"])
            outcome.set, outcome.bytes = taken.set, taken.total
            self.say(
                f"{backup.parts_text(taken.parts)}\n\nSet {taken.set}: {report.size(taken.total)} of "
                f"{taken.replicas} ordinals in {report.duration(taken.seconds)}, {restic.shown}\n"
                f"Verify it: ansible-playbook orbit.rs.verify -e orbit_rs_set={taken.set}"
            )
        return {
            "changed": True,
            "release": release.name,
            "set": taken.set,
            "bytes": taken.total,
            "seconds": taken.seconds,
        }
