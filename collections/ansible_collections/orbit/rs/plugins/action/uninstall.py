# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action behind orbit.rs.uninstall."""

from __future__ import annotations

from typing import Any

from ansible_collections.orbit.rs.plugins.plugin_utils import cluster, helm, uninstall
from ansible_collections.orbit.rs.plugins.plugin_utils.action import Options, OrbitAction, connect
from ansible_collections.orbit.rs.plugins.plugin_utils.lock import Held


class ActionModule(OrbitAction):
    """Take a release away."""

    def act(self, options: Options) -> dict[str, Any]:
        """Look, say what goes and what stays, and do it; Helm is called through its module."""
        api, tool, release = connect(options)

        def remove(held: Held) -> None:
            with tool.guarded(held) as command:
                self._helm(options, command)
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

    def _helm(self, options: Options, command: str) -> None:
        """Uninstall with kubernetes.core.helm. Raises OrbitError."""
        arguments = {
            "binary_path": command,
            "kubeconfig": options["kubeconfig"] or None,
            "context": options["context"] or None,
            "release_name": options["release"],
            "release_namespace": options["namespace"],
            "release_state": "absent",
        }
        done = self._execute_module(
            module_name="kubernetes.core.helm",
            module_args={name: value for name, value in arguments.items() if value is not None},
            task_vars=self.facts,
        )
        if done.get("failed"):
            raise cluster.explain(str(done.get("stderr") or done.get("msg")), helm.EXPLANATIONS)
