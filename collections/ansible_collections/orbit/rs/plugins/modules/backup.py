#!/usr/bin/python
# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take a backup set of a release. The action plugin of this name does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backup
short_description: Take a backup set of a release
version_added: 0.2.0
description:
  - Streams the data of every ordinal into a restic repository. Nothing of it rests on the control host.
  - Stores the values of the release, its objects with their Secrets, and its claims beside the data, encrypted like it.
  - Writes the manifest last. A set that is not whole is never visible, and the next run removes what is left of it.
  - Holds the lock of the release, a Lease, as long as it works.
author:
  - the orbit.rs authors (@orbit-rs)
options:
  rollout_timeout:
    description: Seconds until a pod that does not start or end is given up.
    type: int
    default: 600
  gate_timeout:
    description: Seconds that an ordinal that was stopped has to pass its gate.
    type: int
    default: 60
requirements:
  - restic, 0.17 or newer, on the control host
extends_documentation_fragment:
  - orbit.rs.connection
  - orbit.rs.lock
  - orbit.rs.repository
  - orbit.rs.metrics
  - orbit.rs.backup
attributes:
  check_mode:
    description: Whether it predicts changes without making any.
    support: full
    details: Says what would be taken.
  diff_mode:
    description: Whether it shows what changes.
    support: none
    details: A backup changes nothing of the release.
"""

EXAMPLES = r"""
- name: Take a set
  orbit.rs.backup:
    release: orbit-rs
    namespace: orbit-rs
    repository:
      url: s3:https://s3.example.com/backups
      password_file: /etc/orbit-rs/backup-password
      environment:
        AWS_ACCESS_KEY_ID: "{{ backup_key }}"
        AWS_SECRET_ACCESS_KEY: "{{ backup_secret }}"
"""

RETURN = r"""
release:
  description: Name of the release.
  returned: success
  type: str
set:
  description: Id of the set; empty in check mode.
  returned: success
  type: str
bytes:
  description: Size of the data of all ordinals.
  returned: success
  type: int
seconds:
  description: How long it took.
  returned: success
  type: float
"""
