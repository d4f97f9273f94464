# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action behind orbit.rs.status."""

from __future__ import annotations

import dataclasses
from typing import Any

from ansible_collections.orbit.rs.plugins.plugin_utils import status
from ansible_collections.orbit.rs.plugins.plugin_utils.action import Options, OrbitAction, connect


class ActionModule(OrbitAction):
    """Show how a release is doing. Writes nothing, waits for nothing."""

    def act(self, options: Options) -> dict[str, Any]:
        """Look once, and print the table."""
        cluster, helm, release = connect(options)
        with cluster:
            found = status.look(cluster, helm, release, self.say)
        self.say(status.text(release, found))
        return {
            "release": release.name,
            "revision": found.live.release.revision if found.live.release else 0,
            "ready": found.ready,
            "ordinals": [dataclasses.asdict(state) for state in found.ordinals],
            "checks": [dataclasses.asdict(check) for check in found.checks],
            "lock": found.lock,
            "operations": list(found.operations[: status.OPERATIONS]),
            "backups": dict(found.backups),
        }
