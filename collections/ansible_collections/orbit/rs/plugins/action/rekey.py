# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action behind orbit.rs.rekey."""

from __future__ import annotations

from typing import Any

from ansible_collections.orbit.rs.plugins.plugin_utils import lock, rekey
from ansible_collections.orbit.rs.plugins.plugin_utils.action import Options, OrbitAction, connect
from ansible_collections.orbit.rs.plugins.plugin_utils.repository import opened, renewed


class ActionModule(OrbitAction):
    """Give a backup repository another password."""

    def act(self, options: Options) -> dict[str, Any]:
        """Add the new key, prove it, and only then remove the old one; under the lock, so that no backup is cut off."""
        api, dummy, release = connect(options)
        with (
            api,
            opened(options["repository"], api, release) as found,
            renewed(found[0], options["new"], api, release) as new,
        ):
            old = found[0]
            there, made = rekey.look(old, new)
            removed = [there] if there else []
            if not there:
                self.say(f"{new.shown} has the new password, and the old one opens nothing: nothing to do")
            elif self.check:
                opens = "opens" if made else "would open"
                self.say(f"the new password {opens} {new.shown}, and key {there[:8]} of the old one would be removed")
            else:
                with lock.held(api, release, "rekey", self.say, wait=options["lock_timeout"]):
                    removed = rekey.rotate(old, new, self.say)
                self.say(
                    f"{new.shown} has the new password, and the old one opens nothing any more.\n"
                    "Every release that uses it needs the new one now, as one of orbit_rs_repository_password*."
                )
        return {"changed": bool(removed), "release": release.name, "repository": new.shown, "removed": removed}
