#!/usr/bin/python
# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verify a backup set. The action plugin of this name does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: verify
short_description: Verify a backup set
version_added: 0.2.0
description:
  - Compares the manifest of a set with the snapshots that are there.
  - Reads every file back from the repository, and compares its SHA-256 with the manifest.
  - Notes on the set how that has ended.
author:
  - the orbit.rs authors (@orbit-rs)
options:
  set:
    description: Id of the set, or C(newest).
    type: str
    default: newest
  subset:
    description:
      - Part of the repository to read instead of the whole set, as restic calls it, such as C(5%) or C(1/10).
      - It takes less time, and does not count as a verification.
    type: str
    default: ""
requirements:
  - restic, 0.17 or newer, on the control host
extends_documentation_fragment:
  - orbit.rs.connection
  - orbit.rs.repository
  - orbit.rs.metrics
attributes:
  check_mode:
    description: Whether it predicts changes without making any.
    support: full
    details: Verifies, and notes nothing on the set.
  diff_mode:
    description: Whether it shows what changes.
    support: none
    details: Nothing but the note changes.
"""

EXAMPLES = r"""
- name: Verify the newest set
  orbit.rs.verify:
    release: orbit-rs
    namespace: orbit-rs
    repository:
      url: /srv/backups
      password_file: /etc/orbit-rs/backup-password
"""

RETURN = r"""
release:
  description: Name of the release.
  returned: success
  type: str
set:
  description: Id of the set.
  returned: success
  type: str
files:
  description: How many files it has.
  returned: success
  type: int
bytes:
  description: Size of the data of all ordinals.
  returned: success
  type: int
"""
