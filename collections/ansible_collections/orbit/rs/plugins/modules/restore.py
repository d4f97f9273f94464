#!/usr/bin/python
# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put the data of a backup set back. The action plugin of this name does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: restore
short_description: Put the data of a backup set back
version_added: 0.2.0
description:
  - Checks everything before it touches anything, and prints what it would do.
  - Takes a safety set of what is there, replaces the data, compares every file with the manifest, starts and gates.
  - When that fails, the safety set comes back, and the task fails.
  - Where there is no release, it makes its volumes with their data, and what it refers to. The release itself is then
    to be deployed by M(orbit.rs.converge) out of the same set, which the role does.
  - A run that was killed leaves on the Lease what it takes to go on; the next one does.
author:
  - the orbit.rs authors (@orbit-rs)
options:
  set:
    description: Id of the set, C(newest), or C(verified) for the newest that a verification or a drill has passed.
    type: str
    default: verified
  before:
    description: With C(newest) and C(verified), the last set before this time, such as C(2026-11-30T14:50), in UTC.
    type: str
    default: ""
  ordinals:
    description: Ordinals to restore. Empty means all.
    type: list
    elements: int
    default: []
  source:
    description: Name in the repository of another release whose set may be taken.
    type: str
    default: ""
  confirm:
    description: Name of the release, when its data may be replaced. Without it nothing is touched.
    type: str
    default: ""
  values:
    description: Values of a release that is made anew which are not to be as they were, such as its class of storage.
    type: dict
    default: {}
  namespace_labels:
    description: Labels of the namespace, when it is made.
    type: dict
    default: {}
  interrupted:
    description: What becomes of a run that was killed, to go on with it or to bring back what was there before.
    type: str
    choices: [resume, revert]
    default: resume
  rollout_timeout:
    description: Seconds until a pod that does not start or end is given up.
    type: int
    default: 600
  gate_timeout:
    description: Seconds that an ordinal has to pass its gate.
    type: int
    default: 60
requirements:
  - restic, 0.17 or newer, on the control host
extends_documentation_fragment:
  - orbit.rs.connection
  - orbit.rs.lock
  - orbit.rs.repository
  - orbit.rs.backup
attributes:
  check_mode:
    description: Whether it predicts changes without making any.
    support: full
    details: Checks, and says what would be done.
  diff_mode:
    description: Whether it shows what changes.
    support: none
    details: The text that it prints names every ordinal.
"""

EXAMPLES = r"""
- name: Put the newest verified set back
  orbit.rs.restore:
    release: orbit-rs
    namespace: orbit-rs
    confirm: orbit-rs
    repository:
      url: /srv/backups
      password_file: /etc/orbit-rs/backup-password

- name: Put one ordinal back to what it was before noon
  orbit.rs.restore:
    release: orbit-rs
    namespace: orbit-rs
    confirm: orbit-rs
    set: newest
    before: 2026-11-30T12:00
    ordinals: [2]
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
rebuilt:
  description: Whether there was no release, so that it is now to be deployed around its volumes.
  returned: success
  type: bool
"""
