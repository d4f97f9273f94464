#!/usr/bin/python
# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare what is wanted with what is there. The action plugin of this name does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: plan
short_description: Compare what is wanted with what is there
version_added: 0.1.0
description:
  - Renders the chart, reads the cluster, and makes the plan, an ordered list of steps with a risk each.
  - Prints findings and plan as text. Changes nothing.
  - Fails, with everything that is wrong at once, when something stands against acting on the plan.
author:
  - the orbit.rs authors (@orbit-rs)
extends_documentation_fragment:
  - orbit.rs.connection
  - orbit.rs.desired
  - orbit.rs.storage
  - orbit.rs.steps
attributes:
  check_mode:
    description: Whether it predicts changes without making any.
    support: full
    details: Planning changes nothing. In check mode, the result is RV(ignore:changed) when the plan has steps.
  diff_mode:
    description: Whether it shows what changes.
    support: full
    details: Shows each object that would change, in check mode.
"""

EXAMPLES = r"""
- name: Plan
  orbit.rs.plan:
    release: orbit-rs
    namespace: orbit-rs
    chart: /srv/charts/orbit-rs
    values:
      orbitServer:
        replicaCount: 3
  register: result

- name: Show the steps
  ansible.builtin.debug:
    msg: "{{ result.plan.steps }}"
"""

RETURN = r"""
plan:
  description: The plan. RV(plan.steps) is empty when there is nothing to do.
  returned: success
  type: dict
  contains:
    steps:
      description: The steps in their order, each with kind, risk, summary, differences and the pods it restarts.
      type: list
      elements: dict
    findings:
      description: What preflight noticed, each with severity, check, seen and remedy.
      type: list
      elements: dict
    refusals:
      description: Differences that the playbook does not make. Empty on success.
      type: list
      elements: dict
    digest:
      description: SHA-256 of what the chart renders.
      type: str
    hash:
      description: Hash of the plan, which an approval pins.
      type: str
"""
