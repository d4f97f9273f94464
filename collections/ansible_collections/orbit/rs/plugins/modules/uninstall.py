#!/usr/bin/python
# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take a release away, and keep its data. The action plugin of this name does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: uninstall
short_description: Take a release away, and keep its data
version_added: 0.2.0
description:
  - Lets Helm remove the objects of a release, and waits until its pods have ended.
  - The claims stay, and the reclaim policy of their volumes becomes C(Retain), so that they outlive the namespace, too.
  - Prints what goes and what stays before it begins, and how to come back to the data at the end.
author:
  - the orbit.rs authors (@orbit-rs)
options:
  statefulset:
    description: Name of the StatefulSet whose claims are meant, when Helm knows the release no more.
    type: str
    default: orbit-server
  destroy_data:
    description: Name of the release, when its data is to be destroyed as well.
    type: str
    default: ""
  timeout:
    description: Seconds until pods that do not end are given up.
    type: int
    default: 600
extends_documentation_fragment:
  - orbit.rs.connection
  - orbit.rs.lock
attributes:
  check_mode:
    description: Whether it predicts changes without making any.
    support: full
    details: Prints what would go and what would stay.
  diff_mode:
    description: Whether it shows what changes.
    support: none
    details: The text that it prints names every object.
"""

EXAMPLES = r"""
- name: Take the release away, and keep its data
  orbit.rs.uninstall:
    release: orbit-rs
    namespace: orbit-rs

- name: Take it away with its data
  orbit.rs.uninstall:
    release: orbit-rs
    namespace: orbit-rs
    destroy_data: orbit-rs
"""

RETURN = r"""
release:
  description: Name of the release.
  returned: success
  type: str
volumes:
  description: Claims of the release, which are kept, or deleted with their data.
  returned: success
  type: list
  elements: str
destroyed:
  description: Whether the data was destroyed, or would be in check mode.
  returned: success
  type: bool
"""
