# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts of a playbook: one for each release."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path

from ansible.errors import AnsibleFilterError

_LIBRARY = "ansible_collections.orbit.rs.plugins.plugin_utils."


class _Compiled:
    """Finds the library as Python finds any other, and so keeps it compiled. Ansible would compile it in each run."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: object = None) -> ModuleSpec | None:
        """The module in the folder of the library, if it is one of its."""
        if not path or not name.startswith(_LIBRARY):
            return None
        file = Path(path[0], f"{name.removeprefix(_LIBRARY)}.py")
        return importlib.util.spec_from_file_location(name, file) if file.exists() else None


# A playbook is asked for its hosts in the process that every task of every host is forked from: what the tasks need is
# loaded here once, instead of in each of them.
sys.meta_path.insert(0, _Compiled)
try:
    from ansible_collections.orbit.rs.plugins.plugin_utils import action, converge, packages, tools, variables
finally:
    sys.meta_path.remove(_Compiled)

DOCUMENTATION = r"""
name: releases
short_description: The hosts of the group orbit_rs, which are the releases
version_added: 0.1.0
author: the orbit.rs authors (@orbit-rs)
description:
  - Gives the hosts of the group C(orbit_rs), and fails with a sentence when there are none.
  - A playbook with an empty list of hosts does nothing and succeeds, which nobody wants of a deploy.
options:
  _input:
    description: The variable C(groups).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Roll out orbit-rs and prove that it serves
  hosts: "{{ groups | orbit.rs.releases }}"
  connection: local
  gather_facts: false
  roles:
    - role: orbit.rs.deploy
"""

RETURN = r"""
_value:
  description: The names of the hosts.
  type: list
  elements: str
"""

__all__ = ["action", "converge", "packages", "tools", "variables"]


def releases(groups: Mapping[str, Sequence[str]]) -> list[str]:
    """The hosts of the group orbit_rs. Raises AnsibleFilterError when there are none."""
    hosts = list(groups.get("orbit_rs") or ())
    if not hosts:
        raise AnsibleFilterError(
            "Nothing to do: the inventory names no host in the group orbit_rs. One host is one release."
        )
    return hosts


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., object]]:
        """Filters by name."""
        return {"releases": releases}
