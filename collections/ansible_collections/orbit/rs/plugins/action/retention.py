# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action behind orbit.rs.retention."""

from __future__ import annotations

import dataclasses
from typing import Any

from ansible_collections.orbit.rs.plugins.plugin_utils import backup, lock, outcomes, report, retention
from ansible_collections.orbit.rs.plugins.plugin_utils.action import Options, OrbitAction, connect
from ansible_collections.orbit.rs.plugins.plugin_utils.repository import opened


class ActionModule(OrbitAction):
    """Drop backup sets that are not kept any more."""

    def act(self, options: Options) -> dict[str, Any]:
        """Say what stays and what goes, and drop it, under the lock: a restore may need one of them."""
        api, dummy, release = connect(options)
        keep = retention.Keep(**{field.name: options[field.name] for field in dataclasses.fields(retention.Keep)})
        on_record = outcomes.kept(api, release, "retention", options["metrics_dir"], self.say, write=not self.check)
        with api, on_record, opened(options["repository"], api, release) as (restic, name):
            known, *dummy = backup.known_sets(restic, name)
            stays = retention.kept(known, keep)
            goes = [item for item in known if item.id not in stays]
            rows = [(item.id, item.kind, ", ".join(stays.get(item.id, [])) or "goes") for item in known]
            self.say(report.table(("SET", "KIND", "KEPT AS"), rows) if rows else f"There is no backup set of {name}.")
            if not self.check and (goes or options["prune"]):
                with lock.held(api, release, "retention", self.say, wait=options["lock_timeout"]) as held:
                    backup.refuse_unfinished(held)
                    # All markers first: from then on none of these sets exists.
                    restic.forget([item.marker for item in goes])
                    held.check()
                    restic.forget([snapshot for item in goes for snapshot in item.snapshots[1:]])
                    if options["prune"]:
                        self.say("pruning the repository")
                        restic.prune()
            if goes:
                self.say(f"{len(goes)} of {len(known)} sets {'would go' if self.check else 'are dropped'}")
        return {
            "changed": bool(goes or options["prune"]),
            "release": release.name,
            "kept": stays,
            "dropped": [item.id for item in goes],
        }
