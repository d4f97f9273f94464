# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action behind orbit.rs.verify."""

from __future__ import annotations

import time
from typing import Any

from ansible_collections.orbit.rs.plugins.plugin_utils import outcomes, report, sets, verify
from ansible_collections.orbit.rs.plugins.plugin_utils.action import Options, OrbitAction, connect
from ansible_collections.orbit.rs.plugins.plugin_utils.repository import opened


class ActionModule(OrbitAction):
    """Verify a backup set."""

    def act(self, options: Options) -> dict[str, Any]:
        """Read it back, and note on the set how that has ended."""
        api, dummy, release = connect(options)
        whole = not options["subset"]  # a part of it proves nothing
        on_record = outcomes.kept(
            api, release, "verify", options["metrics_dir"], self.say, write=whole and not self.check
        )
        with api, on_record as outcome, opened(options["repository"], api, release) as (restic, name):
            started = time.monotonic()
            snapshots = restic.snapshots(f"{sets.CLUSTER}={name}")
            found = sets.manifest(restic, sets.choose(sets.listed(snapshots)[0], options["set"]), name)
            outcome.set, outcome.bytes = found.set, found.total
            self.say(f"set {found.set}: {len(found.parts)} ordinals, {report.size(found.total)}, {restic.shown}")
            if subset := options["subset"]:
                wrong = verify.partial(restic, found, snapshots, subset)
            else:
                wrong = verify.whole(restic, found, snapshots, self.say)
            seconds = round(time.monotonic() - started, 1)
            if not self.check and (wrong or not subset):
                details = {"seconds": seconds, "ended": api.now().isoformat(), "wrong": wrong}
                sets.record(restic, name, found.set, "verify", "failed" if wrong else "passed", details)
            if wrong:
                raise verify.failure(found, wrong)
            files = sum(len(part.files) for part in found.parts.values())
            what = f"its manifest and {subset} of the repository are" if subset else f"all {files} files are"
            self.say(f"set {found.set}: {what} as they were, seen in {report.duration(seconds)}")
        return {
            "changed": not self.check and not subset,
            "release": release.name,
            "set": found.set,
            "files": files,
            "bytes": found.total,
        }
