# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that say which steps a plan may have."""

from __future__ import annotations


class ModuleDocFragment:
    """Shared by the actions that plan and those that act on a plan."""

    DOCUMENTATION = r"""
options:
  allow:
    description: Kinds of steps that may be taken besides C(install), C(configure), C(roll) and C(grow_storage).
    type: list
    elements: str
    choices:
      - adopt
      - upgrade
      - downgrade
      - version_skip
      - scale_out
      - scale_in
      - adopt_volumes
      - wipe_volumes
      - remove_data_owner
      - reshape
    default: []
  plan_hash:
    description: Hash of the plan that was approved. When it is set, a plan with steps and another hash is refused.
    type: str
    default: ""
"""
