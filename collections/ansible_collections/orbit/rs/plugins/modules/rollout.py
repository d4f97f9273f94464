#!/usr/bin/python
# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Watch a rollout, gate every ordinal, and prove what was deployed. The action plugin of this name does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: rollout
short_description: Watch a rollout, gate every ordinal, and prove what was deployed
version_added: 0.1.0
description:
  - Waits until every ordinal is on the wanted revision and ready, and says what changes while it waits.
  - Ends at once, with cause, evidence and remedy, when the rollout cannot succeed.
  - Then checks each ordinal itself through its protocols, and that each object of the release exists and matches.
  - Pods that were failing before, on the wanted revision, are deleted once, so that a corrected run heals at once.
author:
  - the orbit.rs authors (@orbit-rs)
options:
  timeout:
    description: Seconds until a rollout that makes no end is given up.
    type: int
    default: 600
  gate:
    description: Whether the ordinals are checked through their protocols.
    type: bool
    default: true
  gate_timeout:
    description: Seconds that one ordinal has to pass its gate after it is ready.
    type: int
    default: 60
extends_documentation_fragment:
  - orbit.rs.connection
attributes:
  check_mode:
    description: Whether it predicts changes without making any.
    support: full
    details: Waits and looks as ever; the gate reads and does not write, and no pod is deleted.
  diff_mode:
    description: Whether it shows what changes.
    support: none
    details: Shows no diff.
"""

EXAMPLES = r"""
- name: Wait until the release serves
  orbit.rs.rollout:
    release: orbit-rs
    namespace: orbit-rs
    timeout: 300
"""

RETURN = r"""
release:
  description: Name of the release.
  returned: success
  type: str
revision:
  description: Revision of the release.
  returned: success
  type: int
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
restarted:
  description: Pods that were failing before and were deleted.
  returned: success
  type: list
  elements: str
"""
