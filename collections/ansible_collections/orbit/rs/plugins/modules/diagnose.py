#!/usr/bin/python
# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Collect what is needed to find out what is wrong with a release. The action plugin of this name does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: diagnose
short_description: Collect what is needed to find out what is wrong with a release
version_added: 0.2.0
description:
  - Writes one archive with a summary, the live objects, events, logs of this and of the previous life of each
    container, logs that the kubelet has rotated, Helm's history, values and manifest, the findings of preflight, the
    plan, the drift, the status and the record of operations.
  - Values of Secrets are not in it. What looks like a password, a key or a token is hidden, and so is every value of a
    Secret that the pods use, wherever it occurs.
  - Rotated logs are only on the nodes. Reading them takes the right to get C(nodes/proxy); without it the summary says
    that they are missing.
  - Changes nothing in the cluster.
author:
  - the orbit.rs authors (@orbit-rs)
options:
  dir:
    description:
      - Folder for the archive. It is created for this user alone when it does not exist.
      - Empty means C(orbit-rs/diagnose) in E(XDG_STATE_HOME), which is C(~/.local/state) when it is not set.
    type: path
    default: ""
  keep:
    description: How many archives of a release are kept there. The oldest ones are deleted.
    type: int
    default: 10
extends_documentation_fragment:
  - orbit.rs.connection
  - orbit.rs.desired
  - orbit.rs.storage
attributes:
  check_mode:
    description: Whether it predicts changes without making any.
    support: full
    details: Writes no archive.
  diff_mode:
    description: Whether it shows what changes.
    support: none
    details: Writes an archive only.
"""

EXAMPLES = r"""
- name: Collect
  orbit.rs.diagnose:
    release: orbit-rs
    namespace: orbit-rs
    chart: /srv/charts/orbit-rs
    dir: /srv/tickets
"""

RETURN = r"""
path:
  description: The archive. Empty in check mode.
  returned: success
  type: str
missing:
  description: What could not be had, and why.
  returned: success
  type: list
  elements: str
"""
