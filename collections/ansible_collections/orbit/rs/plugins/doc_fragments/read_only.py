# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What check mode and diff are for an action that only looks."""

from __future__ import annotations


class ModuleDocFragment:
    """Shared by the actions that change nothing."""

    DOCUMENTATION = r"""
attributes:
  check_mode:
    description: Whether it predicts changes without making any.
    support: full
    details: Changes nothing.
  diff_mode:
    description: Whether it shows what changes.
    support: none
    details: Changes nothing.
"""
