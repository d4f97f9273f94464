#!/usr/bin/python
# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Give a backup repository another password. The action plugin of this name does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: rekey
short_description: Give a backup repository another password
version_added: 0.2.0
description:
  - Adds a key with the new password, sees that it opens the repository, and only then removes the key of the old one.
  - Keys that neither of the two passwords opens are left alone.
  - What is stored stays encrypted as it is. Who has the old password and an old copy of the repository can read on.
author:
  - the orbit.rs authors (@orbit-rs)
options:
  new:
    description: Where the new password comes from. Exactly one of these is set.
    type: dict
    required: true
    suboptions:
      password:
        description: The new password itself, out of a vault.
        type: str
        default: ""
      password_file:
        description: File on the control host that holds the new password. Nobody else may read it.
        type: str
        default: ""
      password_secret:
        description: Secret in the namespace of the release. Its key C(password) is the new password.
        type: str
        default: ""
      password_command:
        description: Command that prints the new password. It is run without a shell.
        type: str
        default: ""
requirements:
  - restic, 0.17 or newer, on the control host
extends_documentation_fragment:
  - orbit.rs.connection
  - orbit.rs.lock
  - orbit.rs.repository
attributes:
  check_mode:
    description: Whether it predicts changes without making any.
    support: full
    details: Opens the repository with both passwords, and says what would be done.
  diff_mode:
    description: Whether it shows what changes.
    support: none
    details: Passwords are not shown.
"""

EXAMPLES = r"""
- name: Replace the password of the repository
  orbit.rs.rekey:
    release: orbit-rs
    namespace: orbit-rs
    repository:
      url: /srv/backups
      password_file: /etc/orbit-rs/backup-password
    new:
      password_file: /etc/orbit-rs/backup-password.new
"""

RETURN = r"""
release:
  description: Name of the release.
  returned: success
  type: str
repository:
  description: The repository, without user and password.
  returned: success
  type: str
removed:
  description: Ids of the keys that were removed, or of the one that would be in check mode.
  returned: success
  type: list
  elements: str
"""
