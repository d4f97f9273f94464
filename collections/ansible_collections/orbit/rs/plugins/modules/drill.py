#!/usr/bin/python
# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prove a backup set by restoring it in a scratch namespace. The action plugin of this name does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: drill
short_description: Prove a backup set by restoring it in a scratch namespace
version_added: 0.2.0
description:
  - Makes a namespace that lets nothing in or out, and in it the volumes, the configuration and the server of a set.
  - Compares every file on the volumes with the manifest, starts every ordinal, and gates it.
  - Notes on the set how that has ended and how long it took, which is what a real recovery takes.
  - Removes the namespace whatever happens; the next drill removes what a killed one has left.
author:
  - the orbit.rs authors (@orbit-rs)
options:
  set:
    description: Id of the set, or C(newest).
    type: str
    default: newest
  scratch_namespace:
    description: Namespace to make. Empty means that of the release, with C(-drill) behind it.
    type: str
    default: ""
  namespace_labels:
    description: Labels of the namespace.
    type: dict
    default: {}
  parallel:
    description: How many ordinals are written at the same time.
    type: int
    default: 2
  rollout_timeout:
    description: Seconds until a pod that does not start is given up.
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
  - orbit.rs.repository
  - orbit.rs.metrics
attributes:
  check_mode:
    description: Whether it predicts changes without making any.
    support: full
    details: Says what would be drilled.
  diff_mode:
    description: Whether it shows what changes.
    support: none
    details: Nothing of the release changes.
"""

EXAMPLES = r"""
- name: Prove the newest set
  orbit.rs.drill:
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
seconds:
  description: How long each phase took, and all of it; empty in check mode.
  returned: success
  type: dict
"""
