#!/usr/bin/python
# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drop backup sets that are not kept any more. The action plugin of this name does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: retention
short_description: Drop backup sets that are not kept any more
version_added: 0.2.0
description:
  - Keeps or drops sets whole. A set that is dropped stops to exist first, then its data goes.
  - Never drops the newest set, nor the newest one that a verification or a drill has passed.
  - Their space comes back when the repository is pruned.
author:
  - the orbit.rs authors (@orbit-rs)
options:
  last:
    description: How many of the newest sets are kept.
    type: int
    default: 3
  hourly:
    description: Of how many hours the newest set is kept.
    type: int
    default: 0
  daily:
    description: Of how many days.
    type: int
    default: 7
  weekly:
    description: Of how many weeks.
    type: int
    default: 4
  monthly:
    description: Of how many months.
    type: int
    default: 6
  yearly:
    description: Of how many years.
    type: int
    default: 0
  safety:
    description: How many safety sets are kept, which restores have taken of what was there.
    type: int
    default: 2
  minimum:
    description: How many sets are kept in any case.
    type: int
    default: 3
  prune:
    description: Whether the repository is pruned in the end. Nobody can write to it meanwhile.
    type: bool
    default: false
requirements:
  - restic, 0.17 or newer, on the control host
extends_documentation_fragment:
  - orbit.rs.connection
  - orbit.rs.lock
  - orbit.rs.repository
  - orbit.rs.metrics
attributes:
  check_mode:
    description: Whether it predicts changes without making any.
    support: full
    details: Says what would go.
  diff_mode:
    description: Whether it shows what changes.
    support: none
    details: The table that it prints names every set.
"""

EXAMPLES = r"""
- name: Keep a fortnight of days and a year of months
  orbit.rs.retention:
    release: orbit-rs
    namespace: orbit-rs
    daily: 14
    monthly: 12
    repository:
      url: /srv/backups
      password_file: /etc/orbit-rs/backup-password
"""

RETURN = r"""
release:
  description: Name of the release.
  returned: success
  type: str
kept:
  description: Ids of the sets that are kept, each with the reasons.
  returned: success
  type: dict
dropped:
  description: Ids of the sets that were dropped, or would be in check mode.
  returned: success
  type: list
  elements: str
"""
