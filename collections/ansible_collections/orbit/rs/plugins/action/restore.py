# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action behind orbit.rs.restore."""

from __future__ import annotations

from typing import Any

from ansible_collections.orbit.rs.plugins.plugin_utils import restore
from ansible_collections.orbit.rs.plugins.plugin_utils.action import Options, OrbitAction, connect
from ansible_collections.orbit.rs.plugins.plugin_utils.repository import backup_of, opened


class ActionModule(OrbitAction):
    """Put the data of a backup set back."""

    def act(self, options: Options) -> dict[str, Any]:
        """Check, say what would be done, and do it when that is confirmed."""
        api, tool, release = connect(options)
        with api, opened(options["repository"], api, release) as (restic, name):
            taking = backup_of(options, api, release, restic, name, self.say)
            orders = restore.Orders(
                set=options["set"],
                before=options["before"],
                ordinals=tuple(options["ordinals"]),
                source=options["source"],
                confirm=options["confirm"],
                overrides=options["values"],
                labels=options["namespace_labels"],
                interrupted=options["interrupted"],
                patience=taking.orders.patience,
            )
            run = restore.Restore(api, tool, release, taking, orders, self.say)
            done = run.run(check=self.check)
            if run.rebuilt and not self.check:
                self.say(f"the volumes hold set {done}; the release is deployed around them")
            elif not self.check:
                self.say(f"set {done} is restored, and every ordinal is good")
        return {"changed": True, "release": release.name, "set": done, "rebuilt": run.rebuilt}
