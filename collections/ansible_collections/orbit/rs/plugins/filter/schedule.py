# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The timers of a release, and where they go."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.errors import AnsibleFilterError
from ansible_collections.orbit.rs.plugins.plugin_utils.model import OrbitError
from ansible_collections.orbit.rs.plugins.plugin_utils.schedule import Start, timers

DOCUMENTATION = r"""
name: schedule
short_description: The timers of a release, and where they go
version_added: 0.2.0
author: the orbit.rs authors (@orbit-rs)
description:
  - Gives a timer for each operation that can be scheduled, as systemd and as cron take it.
  - Each starts the C(ansible-playbook) of this run, with its folder, inventories, configuration and collections.
positional: host, inventories, systemd
options:
  _input:
    description: Cron expressions of five fields, by operation. An operation without one has a timer that is to go.
    type: dict
    required: true
  host:
    description: The host of the inventory that is the release.
    type: str
    required: true
  inventories:
    description: The inventories of this run.
    type: list
    elements: str
    required: true
  systemd:
    description: Whether the timers are those of systemd, not of cron.
    type: bool
    default: true
  arguments:
    description: More arguments of C(ansible-playbook).
    type: list
    elements: str
    default: []
  folder:
    description: Folder to start from. Empty means that of this run.
    type: str
    default: ""
  jitter:
    description: Seconds by which a timer may be late.
    type: int
    default: 0
"""

EXAMPLES = r"""
- name: Show when backups are taken
  ansible.builtin.debug:
    msg: >-
      {{ {'backup': '0 2 * * *'} | orbit.rs.schedule('orders', ansible_inventory_sources) }}
"""

RETURN = r"""
_value:
  description:
    - In C(timers) a dictionary for each operation, with operation, name and present. Where it is present, it has
      calendar, command, environment and folder for systemd; minute, hour, day, month, weekday and job for cron.
    - In C(scope) and C(folder), whose units of systemd they are and where they lie. In C(lasting), whether they go on
      when nobody is logged in.
  type: dict
"""

# What else a run needs from its environment belongs in the inventory; nothing secret may be in a unit.
_ENVIRONMENT = ("HOME", "PATH", "KUBECONFIG", "XDG_CACHE_HOME", "XDG_STATE_HOME")


def schedule(
    expressions: Mapping[str, Any],
    host: str,
    inventories: Sequence[str],
    systemd: bool = True,
    arguments: Sequence[str] = (),
    folder: str = "",
    jitter: int = 0,
) -> dict[str, Any]:
    """The timers of a release, and where they go. Raises AnsibleFilterError."""
    environment = {name: os.environ[name] for name in _ENVIRONMENT if os.environ.get(name)}
    if constants.CONFIG_FILE:
        environment["ANSIBLE_CONFIG"] = constants.CONFIG_FILE
    environment["ANSIBLE_COLLECTIONS_PATH"] = os.pathsep.join(constants.COLLECTIONS_PATHS)
    program = Path(sys.argv[0]).absolute()
    if program.name != "ansible-playbook":
        program = Path(sys.executable).with_name("ansible-playbook")
    start = Start(str(program), folder or str(Path.cwd()), environment, inventories, arguments)
    try:
        found = timers(expressions, host, start, cron=not systemd, jitter=int(jitter))
    except OrbitError as error:
        raise AnsibleFilterError(str(error)) from error
    own = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd" / "user"
    root = os.geteuid() == 0
    return {
        "timers": found,
        "lasting": root or Path("/var/lib/systemd/linger", getpass.getuser()).exists(),
        "scope": "system" if root else "user",
        "folder": "/etc/systemd/system" if root else str(own),
    }


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., object]]:
        """Filters by name."""
        return {"schedule": schedule}
