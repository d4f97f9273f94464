# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option that says how long the lock is waited for."""

from __future__ import annotations


class ModuleDocFragment:
    """Shared by the actions that take the lock of a release."""

    DOCUMENTATION = r"""
options:
  lock_timeout:
    description: Seconds to wait for another run that is at work on the release.
    type: int
    default: 0
"""
