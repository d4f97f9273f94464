# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action behind orbit.rs.preflight."""

from __future__ import annotations

import dataclasses
from typing import Any

from ansible_collections.orbit.rs.plugins.plugin_utils import desired, report
from ansible_collections.orbit.rs.plugins.plugin_utils.action import Options, OrbitAction, connect, wish_of
from ansible_collections.orbit.rs.plugins.plugin_utils.model import OrbitError


class ActionModule(OrbitAction):
    """Name everything that stands against a rollout, at once."""

    def act(self, options: Options) -> dict[str, Any]:
        """Print the findings; fail when one of them is an error."""
        cluster, helm, release = connect(options)
        wish = wish_of(options)
        with cluster:
            dummy, dummy, findings = desired.compare(cluster, helm, release, wish)
        text = report.findings_text(findings)
        if any(finding.severity == "error" for finding in findings):
            raise OrbitError(f"Something stands against a rollout.\n{text}")
        self.say(text)
        return {"findings": [dataclasses.asdict(finding) for finding in findings]}
