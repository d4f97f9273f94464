# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action behind orbit.rs.plan."""

from __future__ import annotations

import dataclasses
from typing import Any

from ansible_collections.orbit.rs.plugins.plugin_utils import desired, plan, report
from ansible_collections.orbit.rs.plugins.plugin_utils.action import Options, OrbitAction, connect, wish_of
from ansible_collections.orbit.rs.plugins.plugin_utils.model import OrbitError


class ActionModule(OrbitAction):
    """Compare what is wanted with what is there."""

    def act(self, options: Options) -> dict[str, Any]:
        """Plan, print the plan, and refuse one that must not be acted on."""
        cluster, helm, release = connect(options)
        wish = wish_of(options)
        with cluster:
            wanted, live, findings = desired.compare(cluster, helm, release, wish, acting=False)
        made = plan.make_plan(wanted, live, findings, plan.DEPLOY | frozenset(options["allow"]))
        text = report.plan_text(made, release)
        if made.refused:
            raise OrbitError(text)
        self.say(text)
        if options["plan_hash"] and made.steps and options["plan_hash"] != made.hash:
            raise OrbitError(
                f"This is not the approved plan: its hash is {made.hash}, approved was {options['plan_hash']}.",
                f"Read the plan above. To approve it: -e orbit_rs_plan_hash={made.hash}",
            )
        platform, needs_helm = plan.actions(made, wanted)
        return {
            "changed": self.check and bool(made.steps),
            "diff": report.diff(made, (*wanted.platform, *wanted.objects)),
            "plan": dataclasses.asdict(made),
            "apply": {
                "platform": list(platform),
                "helm": needs_helm,
                # kubernetes.core.helm compares values only: with the hash they differ whenever there is a step.
                "release_values": {**wanted.values, "planDigest": made.hash},
                "chart": wanted.source,
            },
        }
