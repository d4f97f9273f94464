# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action behind orbit.rs.plan."""

from __future__ import annotations

import dataclasses
from typing import Any

from ansible_collections.orbit.rs.plugins.plugin_utils import converge, desired, plan, report
from ansible_collections.orbit.rs.plugins.plugin_utils.action import Options, OrbitAction, connect, wish_of


class ActionModule(OrbitAction):
    """Compare what is wanted with what is there."""

    def act(self, options: Options) -> dict[str, Any]:
        """Plan, print the plan, and refuse one that must not be acted on."""
        cluster, helm, release = connect(options)
        wish = wish_of(options)
        with cluster:
            wanted, live, findings = desired.compare(cluster, helm, release, wish, acting=False)
        made = plan.make_plan(wanted, live, findings, plan.DEPLOY | frozenset(options["allow"]))
        converge.show(made, release, options["plan_hash"], self.say)
        return {
            "changed": self.check and bool(made.steps),
            "diff": report.diff(made, (*wanted.platform, *wanted.objects)),
            "plan": dataclasses.asdict(made),
        }
