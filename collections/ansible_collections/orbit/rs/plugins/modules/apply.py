#!/usr/bin/python
# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Apply what a release stands on. The action plugin of this name does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: apply
short_description: Apply what a release stands on
version_added: 0.1.0
description:
  - Applies objects such as the Namespace and the StorageClass with server-side apply, in their order.
  - Does what M(kubernetes.core.k8s) does with O(kubernetes.core.k8s#module:server_side_apply), over the connection that
    the other actions use. No client library has to be imported, which takes longer than everything else here.
  - Takes over fields that somebody else has set, because the plan has named them before.
author:
  - the orbit.rs authors (@orbit-rs)
options:
  objects:
    description: The objects, whole.
    type: list
    elements: dict
    required: true
extends_documentation_fragment:
  - orbit.rs.connection
attributes:
  check_mode:
    description: Whether it predicts changes without making any.
    support: full
    details: The API server applies without storing.
  diff_mode:
    description: Whether it shows what changes.
    support: none
    details: M(orbit.rs.plan) has shown it before.
"""

EXAMPLES = r"""
- name: Apply the namespace and the storage class
  orbit.rs.apply:
    objects: "{{ __orbit_rs_plan['apply']['platform'] }}"
"""

RETURN = r"""
applied:
  description: What was created or changed, as kind/namespace/name.
  returned: success
  type: list
  elements: str
"""
