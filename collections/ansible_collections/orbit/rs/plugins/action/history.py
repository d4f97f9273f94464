# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action behind orbit.rs.history."""

from __future__ import annotations

from typing import Any

from ansible_collections.orbit.rs.plugins.plugin_utils import lock, record, report, timeline
from ansible_collections.orbit.rs.plugins.plugin_utils.action import Options, OrbitAction, connect
from ansible_collections.orbit.rs.plugins.plugin_utils.cluster import ApiError
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Object


class ActionModule(OrbitAction):
    """Show what has been done to a release."""

    def act(self, options: Options) -> dict[str, Any]:
        """Read the records and the lock, and print a table."""
        cluster, dummy, release = connect(options)
        paths = {"records": record.path(release), "lease": lock.path(release)}
        with cluster:
            there: dict[str, Object] = {}
            for name, answer in zip(paths, cluster.get_all(list(paths.values())), strict=True):
                if not isinstance(answer, ApiError):
                    there[name] = answer
                elif answer.status != 404:
                    raise answer
            at_work = report.lock_text(lock.holder(there.get("lease")), cluster.now())
        found = record.read(there.get("records"))
        text = report.history_text(release, found)
        self.say(f"{text}\n\n{at_work}" if at_work else text)
        return {
            "release": release.name,
            "lock": at_work,
            "operations": [{**operation, "timeline": timeline.page(operation)} for operation in found],
        }
