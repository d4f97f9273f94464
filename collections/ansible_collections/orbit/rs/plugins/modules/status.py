#!/usr/bin/python
# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Show how a release is doing. The action plugin of this name does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: status
short_description: Show how a release is doing
version_added: 0.1.0
description:
  - Prints a table of the ordinals with the next commands to type, and what is wrong where something is.
  - Prints the last operations as well, how backup, verify, drill and retention have last ended, who is at work on the
    release, and what was left unfinished.
  - Looks once, waits for nothing, writes nothing. Does not fail because a release is not well.
author:
  - the orbit.rs authors (@orbit-rs)
extends_documentation_fragment:
  - orbit.rs.connection
  - orbit.rs.read_only
"""

EXAMPLES = r"""
- name: Show the release
  orbit.rs.status:
    release: orbit-rs
    namespace: orbit-rs
"""

RETURN = r"""
release:
  description: Name of the release.
  returned: success
  type: str
revision:
  description: Revision of the release, 0 when there is none.
  returned: success
  type: int
ready:
  description: Whether every ordinal is ready and answers.
  returned: success
  type: bool
ordinals:
  description: The ordinals, each with ordinal, pod, phase, ready, updated, restarts, node, zone and image.
  returned: success
  type: list
  elements: dict
checks:
  description: The gate's checks, each with ordinal, name, ok, detail and milliseconds.
  returned: success
  type: list
  elements: dict
lock:
  description: Who is at work on the release, or what was left unfinished, as a sentence. Empty when neither is.
  returned: success
  type: str
operations:
  description: The last three operations, the newest first. M(orbit.rs.history) returns all of them.
  returned: success
  type: list
  elements: dict
backups:
  description:
    - By operation (backup, verify, drill, retention) the last run of it, as C(run), and the last one that succeeded, as
      C(success), null when there is none. Each has set, bytes, ended, seconds and error.
  returned: success
  type: dict
"""
