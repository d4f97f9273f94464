#!/usr/bin/python
# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Show what has been done to a release. The action plugin of this name does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: history
short_description: Show what has been done to a release
version_added: 0.2.0
description:
  - Every operation that changes a release leaves a record in a ConfigMap of its namespace, the last 30 of them.
  - Prints them as a table, and what the newest one did to each ordinal. Changes nothing.
author:
  - the orbit.rs authors (@orbit-rs)
extends_documentation_fragment:
  - orbit.rs.connection
  - orbit.rs.read_only
"""

EXAMPLES = r"""
- name: Show what has been done
  orbit.rs.history:
    release: orbit-rs
    namespace: orbit-rs
"""

RETURN = r"""
release:
  description: Name of the release.
  returned: success
  type: str
lock:
  description: Who is at work on the release, or what was left unfinished, as a sentence. Empty when neither is.
  returned: success
  type: str
operations:
  description:
    - The operations, the newest first, each with operation, by, plan, steps, revision, started, seconds, outcome,
      error, events and checks.
    - In C(timeline) are the ordinals with what they went through, in seconds and in percent of the whole time.
  returned: success
  type: list
  elements: dict
"""
