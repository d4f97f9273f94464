# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action behind orbit.rs.diagnose."""

from __future__ import annotations

from typing import Any

from ansible_collections.orbit.rs.plugins.plugin_utils import diagnose
from ansible_collections.orbit.rs.plugins.plugin_utils.action import Options, OrbitAction, connect, wish_of


class ActionModule(OrbitAction):
    """Collect what is needed to find out what is wrong with a release."""

    def act(self, options: Options) -> dict[str, Any]:
        """Collect, write the bundle, and say where it is."""
        cluster, helm, release = connect(options)
        if self.check:
            self.say(f"a bundle would be written to {options['dir'] or diagnose.default_folder()}")
            return {"changed": True, "path": "", "missing": []}
        with cluster:
            material = diagnose.collect(cluster, helm, release, wish_of(options), diagnose.ASKED)
        path = diagnose.write(material, options["dir"], options["keep"])
        for line in material.missing:
            self.say(f"could not be had: {line}")
        self.say(
            f"What was seen is in {path} ({path.stat().st_size // 1024} KiB).\n"
            f"Read the summary first: tar -xzOf {path} --wildcards '*/SUMMARY.md' | less"
        )
        return {"changed": True, "path": str(path), "missing": list(material.missing)}
