# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action behind orbit.rs.tools."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ansible_collections.orbit.rs.plugins.plugin_utils import packages, tools, variables
from ansible_collections.orbit.rs.plugins.plugin_utils.action import Options, OrbitAction
from ansible_collections.orbit.rs.plugins.plugin_utils.cluster import parallel
from ansible_collections.orbit.rs.plugins.plugin_utils.model import OrbitError
from ansible_collections.orbit.rs.plugins.plugin_utils.tools import Found, Tool


class ActionModule(OrbitAction):
    """Find command line tools and Python packages, or get pinned versions."""

    def act(self, options: Options) -> dict[str, Any]:
        """Look at the variables first. Keep the tools that are good enough, get the rest."""
        warnings = self._check_variables()
        known = [Tool(**_filled(item)) for item in options["tools"]]
        wanted = tools.select(known, options["names"])
        bin_dir = Path(options["bin_dir"])
        packages.use(options["python_target"])
        found = _find(wanted, bin_dir)
        changes: list[dict[str, str]] = []
        if len(found) < len(wanted) or packages.lacking():
            with tools.alone():  # other hosts of this run, and other runs, may be at the same
                self._get_packages(options, changes)
                found = _find(wanted, bin_dir)
                for tool in wanted:
                    if tool.name not in found:
                        found[tool.name] = self._get(tool, bin_dir, options["mirror"], changes)
        return {
            "changed": bool(changes),
            "diff": changes,
            "paths": {name: there.path for name, there in found.items()},
            "versions": {name: there.version for name, there in found.items()},
            "warnings": warnings,
        }

    def _check_variables(self) -> list[str]:
        """Refuse what can only be wrong; the rest in words."""
        values = {name: self._templar.template(self.facts[name]) for name in variables.RULES if name in self.facts}
        findings = [*variables.unknown(self.facts, variables.known()), *variables.wrong(values)]
        if any(finding.severity == "error" for finding in findings):
            from ansible_collections.orbit.rs.plugins.plugin_utils import report

            raise OrbitError(f"The variables are refused.\n{report.findings_text(findings)}", "Nothing was changed.")
        return [f"{finding.seen} {finding.remedy}" for finding in findings]

    def _get(self, tool: Tool, bin_dir: Path, mirror: str, changes: list[dict[str, str]]) -> Found:
        changes.append({"before": "", "after": f"{bin_dir / tool.name} {tool.version}\n"})
        if self.check:
            self.say(f"{tool.name} {tool.version} would be downloaded to {bin_dir}")
            return Found(str(bin_dir / tool.name), tool.version)
        found = tools.download(tool, bin_dir, mirror, self.say)
        self.say(f"{tool.name} {tool.version} is now in {bin_dir}")
        return found

    def _get_packages(self, options: Options, changes: list[dict[str, str]]) -> None:
        folder = options["python_target"]
        lacking = ", ".join(packages.lacking())
        if not lacking:
            return
        if not options["python_install"]:
            raise OrbitError(f"The Python of this playbook lacks {lacking}.", packages.advice(folder))
        if self.check:
            self.say(f"would be installed: {lacking}")
        else:
            packages.install(folder, self.say)
        changes.append({"before": "", "after": f"{lacking}\n"})


def _find(wanted: Sequence[Tool], bin_dir: Path) -> dict[str, Found]:
    found = zip(wanted, parallel(lambda tool: tools.find(tool, bin_dir), wanted), strict=True)
    return {tool.name: there for tool, there in found if there}


def _filled(item: dict[str, Any]) -> dict[str, Any]:
    return {key: value or ({} if key == "checksums" else "") for key, value in item.items()}
