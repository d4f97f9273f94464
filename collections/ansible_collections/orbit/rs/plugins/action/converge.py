# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action behind orbit.rs.converge."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

from ansible_collections.orbit.rs.plugins.plugin_utils import converge, plan, report
from ansible_collections.orbit.rs.plugins.plugin_utils.action import Options, OrbitAction, connect, wish_of
from ansible_collections.orbit.rs.plugins.plugin_utils.lock import Held
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Desired, OrbitError, Patience, Plan


class ActionModule(OrbitAction):
    """Make a release what is wanted."""

    def act(self, options: Options) -> dict[str, Any]:
        """Run with these orders; Helm is called through its module."""
        api, helm_command, release = connect(options)

        def apply(made: Plan, wanted: Desired, held: Held) -> None:
            with helm_command.guarded(held) as command:
                self.helm(
                    options,
                    command,
                    release,
                    chart_ref=wanted.source,
                    # It compares values only: with the hash of the plan they differ whenever there is a step.
                    release_values={**wanted.values, "planDigest": made.hash},
                    # The rollout is watched here, which says more and ends sooner than Helm's own wait.
                    wait=False,
                    # Helm 4 applies on the server by default, and then fails on fields that somebody else has touched.
                    server_side=None if helm_command.version().startswith("v3") else "false",
                )
            held.check()

        orders = converge.Orders(
            operation=options["operation"],
            allowed=plan.DEPLOY | frozenset(options["allow"]),
            patience=Patience(
                options["rollout_timeout"], options["gate_timeout"], options["soak"], options["lock_timeout"]
            ),
            plan_hash=options["plan_hash"],
            revision=options["revision"],
            backup=options["backup"],
            one_way=options["one_way"],
            rehearse=options["rehearse"],
            interrupted=options["interrupted"],
            recover=options["recover"],
            pause=options["pause"],
            check=self.check,
        )
        with api:
            run = converge.Run(api, helm_command, release, wish_of(options), orders, self.say, apply)
            keep = options["diagnose_on_failure"] and not self.check

            @functools.cache
            def keeper() -> Any:
                # Much code that is seldom needed.
                from ansible_collections.orbit.rs.plugins.plugin_utils.diagnose import OnFailure

                where = options["diagnose_dir"], options["diagnose_keep"]
                return OnFailure(api, helm_command, release, run.wish, *where, self.say)

            def failing(error: OrbitError) -> None:
                keeper()(error)

            if keep:
                run.failing = failing
            if options["set"]:
                # Much code that is seldom needed.
                from ansible_collections.orbit.rs.plugins.plugin_utils.repository import earlier

                run.earlier = earlier(options, api, release)
            elif options["repository"]["url"] and options["operation"] == "upgrade":
                # Much code that is seldom needed.
                from ansible_collections.orbit.rs.plugins.plugin_utils.repository import fallback

                run.take = fallback(options, api, helm_command, release, self.say)
            elif options["repository"]["url"] and options["removal_backup_age"]:
                from ansible_collections.orbit.rs.plugins.plugin_utils.repository import spared

                if spared(options, api, helm_command, release, self.say):
                    run.orders = dataclasses.replace(orders, allowed=orders.allowed | {"remove_data_owner"})
            try:
                result = run.run()
            except OrbitError as error:
                if not (keep and run.begun):
                    raise
                failing(error)
                raise keeper().named(error) from error
        made, wanted = result.plan, result.wanted
        return {
            "changed": bool(made.steps or result.restarted),
            "diff": report.diff(made, (*wanted.platform, *wanted.objects)),
            "plan": dataclasses.asdict(made),
            "release": release.name,
            "revision": result.revision,
            "ordinals": [dataclasses.asdict(state) for state in result.states],
            "checks": [dataclasses.asdict(check) for check in result.checks],
            "restarted": list(result.restarted),
            "paused": result.paused,
            "seconds": run.seconds,
        }
