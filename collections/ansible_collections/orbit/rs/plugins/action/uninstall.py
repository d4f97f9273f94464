# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action behind orbit.rs.uninstall."""

from __future__ import annotations

from typing import Any

from ansible_collections.orbit.rs.plugins.plugin_utils import uninstall
from ansible_collections.orbit.rs.plugins.plugin_utils.action import Options, OrbitAction, connect
from ansible_collections.orbit.rs.plugins.plugin_utils.lock import Held


class ActionModule(OrbitAction):
    """Take a release away."""

    def act(self, options: Options) -> dict[str, Any]:
        """Look, say what goes and what stays, and do it; Helm is called through its module."""
        api, tool, release = connect(options)

        def remove(held: Held) -> None:
            with tool.guarded(held) as command:
                self.helm(options, command, release, release_state="absent")
            held.check()

        with api:
            remains = uninstall.look(api, tool, release, options["statefulset"])
            destroy = uninstall.confirmed(options["destroy_data"], release, remains.volumes)
            self.say(uninstall.plan_text(remains, release, destroy=destroy))
            changed = bool(remains.release or (destroy and (remains.volumes or remains.own)))
            if changed and not self.check:
                run = uninstall.Uninstall(api, release, remains, destroy, self.say, remove, options["timeout"])
                run.run(options["lock_timeout"])
        note = "" if destroy or self.check else uninstall.adopt_text(remains, release)
        if note:
            self.say(note)
        return {
            "changed": changed,
            "release": release.name,
            "volumes": [volume.name for volume in remains.volumes],
            "destroyed": destroy and changed,
        }
