# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action behind orbit.rs.sets."""

from __future__ import annotations

from typing import Any

from ansible_collections.orbit.rs.plugins.plugin_utils import backup, report
from ansible_collections.orbit.rs.plugins.plugin_utils.action import Options, OrbitAction, connect
from ansible_collections.orbit.rs.plugins.plugin_utils.repository import opened


class ActionModule(OrbitAction):
    """List the backup sets of a release."""

    def act(self, options: Options) -> dict[str, Any]:
        """Read the list of snapshots, and say which sets they make."""
        api, dummy, release = connect(options)
        with api, opened(options["repository"], api, release) as (restic, name):
            known, rest, dummy = backup.known_sets(restic, name)
        rows = [(item.id, item.kind, item.noted or "-") for item in known]
        table = report.table(("SET", "KIND", "VERIFIED"), rows) if rows else f"There is no backup set of {name}."
        if rest:
            table += f"\n{len(rest)} snapshots are of no complete set; the next backup removes what is left over."
        self.say(f"{restic.shown}\n{table}")
        return {
            "release": release.name,
            "sets": [{"id": item.id, "kind": item.kind, "records": dict(item.records)} for item in known],
        }
