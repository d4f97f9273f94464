#!/usr/bin/python
# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Name everything that stands against a rollout. The action plugin of this name does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: preflight
short_description: Name everything that stands against a rollout
version_added: 0.1.0
description:
  - Looks at versions, permissions, kinds and objects that the release needs, pod security, quotas, nodes, zones,
    storage, names, ports and values, and prints all findings at once.
  - Predicts pods that would stay Pending, with what runs on the nodes and what the volumes are tied to.
  - Changes nothing. Fails when a finding is an error.
author:
  - the orbit.rs authors (@orbit-rs)
extends_documentation_fragment:
  - orbit.rs.connection
  - orbit.rs.desired
  - orbit.rs.storage
  - orbit.rs.read_only
"""

EXAMPLES = r"""
- name: Look before a rollout
  orbit.rs.preflight:
    namespace: orbit-rs
    chart: /srv/charts/orbit-rs
"""

RETURN = r"""
findings:
  description: The findings, each with severity, check, seen and remedy.
  returned: success
  type: list
  elements: dict
"""
