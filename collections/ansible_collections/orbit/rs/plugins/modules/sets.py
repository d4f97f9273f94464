#!/usr/bin/python
# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""List the backup sets of a release. The action plugin of this name does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: sets
short_description: List the backup sets of a release
version_added: 0.2.0
description:
  - Prints the sets that are complete, the newest first, and what verifications and drills have said about each.
author:
  - the orbit.rs authors (@orbit-rs)
requirements:
  - restic, 0.17 or newer, on the control host
extends_documentation_fragment:
  - orbit.rs.connection
  - orbit.rs.repository
  - orbit.rs.read_only
"""

EXAMPLES = r"""
- name: List the sets
  orbit.rs.sets:
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
sets:
  description: The sets, the newest first, each with id, kind and records.
  returned: success
  type: list
  elements: dict
"""
