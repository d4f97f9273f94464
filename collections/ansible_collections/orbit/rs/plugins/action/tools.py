# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action behind orbit.rs.tools."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible_collections.orbit.rs.plugins.plugin_utils import tools
from ansible_collections.orbit.rs.plugins.plugin_utils.action import Options, OrbitAction
from ansible_collections.orbit.rs.plugins.plugin_utils.cluster import parallel


class ActionModule(OrbitAction):
    """Find command line tools, or download pinned versions."""

    def act(self, options: Options) -> dict[str, Any]:
        """Keep what is good enough, download the rest."""
        bin_dir = Path(options["bin_dir"])
        wanted = [tools.Tool(**{key: value or "" for key, value in item.items()}) for item in options["tools"]]
        found = dict(zip(wanted, parallel(lambda tool: tools.find(tool, bin_dir), wanted), strict=True))
        changes = []
        for tool, there in found.items():
            if there is None:
                changes.append({"before": "", "after": f"{bin_dir / tool.name} {tool.version}\n"})
                if self.check:
                    self.say(f"{tool.name} {tool.version} would be downloaded to {bin_dir}")
                    found[tool] = tools.Found(str(bin_dir / tool.name), tool.version)
                else:
                    found[tool] = tools.download(tool, bin_dir, options["mirror"], self.say)
                    self.say(f"{tool.name} {tool.version} is now in {bin_dir}")
        return {
            "changed": bool(changes),
            "diff": changes,
            "paths": {tool.name: there.path for tool, there in found.items() if there},
            "versions": {tool.name: there.version for tool, there in found.items() if there},
        }
