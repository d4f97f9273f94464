# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.orbit.rs.plugins.filter.releases import FilterModule, releases

ROOT = Path(__file__).parents[4]
PLUGINS = "ansible_collections.orbit.rs.plugins"


def test_each_host_of_the_group_is_a_release() -> None:
    assert FilterModule().filters()["releases"]({"all": ["a", "b"], "orbit_rs": ["a"]}) == ["a"]


@pytest.mark.parametrize("groups", [{}, {"orbit_rs": []}, {"orbit": ["a"]}])
def test_no_release_is_an_error(groups: dict[str, list[str]]) -> None:
    with pytest.raises(AnsibleFilterError, match="names no host in the group orbit_rs"):
        releases(groups)


def test_it_loads_what_every_task_needs() -> None:
    script = f"import sys, {PLUGINS}.filter.releases; print(*sys.modules)"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run((sys.executable, "-c", script), check=True, capture_output=True, text=True, env=env)
    needed = set()
    for action in ("converge", "tools"):
        text = (ROOT / "plugins" / "action" / f"{action}.py").read_text()
        found = re.findall(rf"^from {PLUGINS}.plugin_utils(?:.(\w+))? import (.*)$", text, re.MULTILINE)
        for module, names in found:
            needed |= {module} if module else set(names.split(", "))
    assert needed > {"action", "converge", "tools"}
    assert {f"{PLUGINS}.plugin_utils.{name}" for name in needed} <= set(ended.stdout.split())


def test_each_playbook_asks_it_for_its_hosts() -> None:
    files = sorted((ROOT / "playbooks").glob("*.yml"))
    assert files
    for file in files:
        assert 'hosts: "{{ groups | orbit.rs.releases }}"' in file.read_text(), file


def test_what_it_loads_stays_compiled(tmp_path: Path) -> None:
    script = (
        f"from ansible.plugins.loader import init_plugin_loader; init_plugin_loader(); import {PLUGINS}.filter.releases"
    )
    env = {**os.environ, "PYTHONPYCACHEPREFIX": str(tmp_path), "ANSIBLE_COLLECTIONS_PATH": str(ROOT.parents[2])}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    subprocess.run((sys.executable, "-c", script), check=True, env=env)
    assert {"converge", "plan"} <= {path.name.partition(".")[0] for path in tmp_path.rglob("plugin_utils/*.pyc")}
