# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that say how a backup set is taken."""

from __future__ import annotations


class ModuleDocFragment:
    """Shared by the actions that take backup sets."""

    DOCUMENTATION = r"""
options:
  method:
    description:
      - With C(application) the server writes a consistent copy by itself while it serves.
      - With C(cold) one ordinal is stopped at a time, and its whole volume is read.
    type: str
    choices: [application, cold]
    default: application
  parallel:
    description: How many ordinals are read or written at the same time.
    type: int
    default: 2
  scratch:
    description: Folder on the pods that the server writes its copy to.
    type: str
    default: /tmp
  database:
    description: The file in the data folder that the server's C(--backup) writes a copy of.
    type: str
    default: orbit.db
"""
