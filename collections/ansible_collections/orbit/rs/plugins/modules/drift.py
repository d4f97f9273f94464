#!/usr/bin/python
# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Show what somebody has changed in the cluster. The action plugin of this name does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: drift
short_description: Show what somebody has changed in the cluster
version_added: 0.2.0
description:
  - Compares the live objects with what was deployed, and prints what differs, who has set it, when, and why it matters.
  - What the inventory asks for and nobody has deployed yet is no drift. It is returned as RV(pending).
  - Finds added fields as well, by their field manager. What the API server and its controllers set is no drift.
  - Changes nothing, and does not fail because of drift. RV(failure) is for M(ansible.builtin.fail).
author:
  - the orbit.rs authors (@orbit-rs)
options:
  fail:
    description: Which drift RV(failure) is about.
    type: str
    choices: [any, unsafe, none]
    default: unsafe
  ignore:
    description: Drift that does not count. In the patterns, C(*) stands for anything.
    type: list
    elements: dict
    default: []
    suboptions:
      object:
        description: Pattern for the object, such as C(StatefulSet/*). Objects are called C(Kind/namespace/name).
        type: str
        default: "*"
      path:
        description: Pattern for the field, such as C(metadata.annotations*).
        type: str
        default: "*"
extends_documentation_fragment:
  - orbit.rs.connection
  - orbit.rs.desired
  - orbit.rs.storage
  - orbit.rs.read_only
"""

EXAMPLES = r"""
- name: Look for drift
  orbit.rs.drift:
    release: orbit-rs
    namespace: orbit-rs
    chart: /srv/charts/orbit-rs
    ignore:
      - object: Service/*
        path: metadata.annotations*
  register: result

- name: Raise an alarm
  ansible.builtin.fail:
    msg: "{{ result.failure }}"
  when: result.failure | length > 0
"""

RETURN = r"""
release:
  description: Name of the release.
  returned: success
  type: str
namespace:
  description: Its namespace.
  returned: success
  type: str
revision:
  description: Its revision.
  returned: success
  type: int
unsafe:
  description: How many differences are unsafe and not ignored.
  returned: success
  type: int
benign:
  description: How many differences are benign and not ignored.
  returned: success
  type: int
drift:
  description:
    - The differences, the unsafe ones first, each with object, path, wanted, found, by, risk, why and ignored.
    - Values that look like secrets are hidden.
  returned: success
  type: list
  elements: dict
pending:
  description: What the inventory asks for and nobody has deployed yet, each with object, path, wanted and found.
  returned: success
  type: list
  elements: dict
notes:
  description: What makes this less certain, such as an operation that is at work.
  returned: success
  type: list
  elements: str
failure:
  description: Why a run should fail, by O(fail). Empty when it should not.
  returned: success
  type: str
"""
