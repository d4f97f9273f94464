# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action behind orbit.rs.apply."""

from __future__ import annotations

from typing import Any

from ansible_collections.orbit.rs.plugins.plugin_utils import objects
from ansible_collections.orbit.rs.plugins.plugin_utils.action import Options, OrbitAction, connect


class ActionModule(OrbitAction):
    """Apply objects on the server, in their order."""

    def act(self, options: Options) -> dict[str, Any]:
        """Apply each; it changed when its resource version did."""
        changed = []
        with connect(options)[0] as cluster:
            for obj in options["objects"]:
                before, after = cluster.apply(obj, dry_run=self.check)
                if before != after:
                    changed.append(objects.key(obj))
        return {"changed": bool(changed), "applied": changed}
