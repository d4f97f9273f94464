#!/usr/bin/python
# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a release what is wanted, one guarded step after the other. The action plugin of this name does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: converge
short_description: Make a release what is wanted, one guarded step after the other
version_added: 0.2.0
description:
  - Plans what differs, prints the plan, and refuses what it is not allowed to do.
  - Holds the lock of the release, a Lease, for as long as something is changed.
  - Applies the release with M(kubernetes.core.helm), watches the rollout, and ends at once, with cause, evidence and
    remedy, when it cannot succeed.
  - Restarts ordinals one at a time, from the highest down. Each is gated through its protocols before the next one
    restarts. When one is not good, all are brought back to the revision from before, and the task fails.
  - Proves in the end that each object of the release exists and matches, and prints the status table.
  - A run that was killed leaves on the Lease what it takes to go on; the next one does.
author:
  - the orbit.rs authors (@orbit-rs)
options:
  operation:
    description: What people call this run, in the lock and in the record.
    type: str
    default: deploy
  revision:
    description:
      - Go back to what this revision was, instead of what the other options say. Volumes and replica count stay.
      - 0 means the last one that was good.
    type: int
  backup:
    description:
      - What an upgrade has to fall back on, when it is not to take a backup set itself.
      - Without it and without O(repository) a step C(upgrade) is refused.
    type: str
    default: ""
  removal_backup_age:
    description:
      - How many seconds old a backup set may be for ordinals to be removed. It has all of them, and a verification or a
        drill has passed it. 0 means that no set allows that.
    type: int
    default: 0
  set:
    description:
      - Id of a backup set in O(repository) whose chart and values are deployed instead of O(chart) and O(values), with
        O(overrides).
    type: str
    default: ""
  set_of:
    description: Name in O(repository) of another release that this set is of.
    type: str
    default: ""
  one_way:
    description: Whether an upgrade may change the format of the data so that the version before cannot read it.
    type: bool
    default: false
  rehearse:
    description:
      - Whether an upgrade runs the new version in a scratch pod first, with a volume of its own and without clients.
      - It restarts there once, to see that it keeps what it has written.
    type: bool
    default: true
  diagnose_on_failure:
    description:
      - Whether a run that fails keeps what M(orbit.rs.diagnose) collects, in small and before anything is brought back.
      - A run that was refused, and check mode, keep nothing.
    type: bool
    default: true
  diagnose_dir:
    description: Folder for it, as in M(orbit.rs.diagnose).
    type: path
    default: ""
  diagnose_keep:
    description: How many archives of a release are kept there.
    type: int
    default: 10
  rollout_timeout:
    description: Seconds until a rollout that makes no end is given up. One that cannot succeed ends at once.
    type: int
    default: 600
  gate_timeout:
    description: Seconds that one ordinal has to pass its gate after it is ready.
    type: int
    default: 60
  soak:
    description: Seconds that a restarted ordinal must stay good before the next one restarts.
    type: int
    default: 0
  pause:
    description: Whether to end after the first restarted ordinal, for somebody to look at it. The next run goes on.
    type: bool
    default: false
  interrupted:
    description: What becomes of a run that was killed, to go on with it or to go back to the revision from before.
    type: str
    choices: [resume, revert]
    default: resume
  recover:
    description: Whether a release that a killed Helm has left pending is freed. Nobody else may be running Helm on it.
    type: bool
    default: false
requirements:
  - the collection kubernetes.core
extends_documentation_fragment:
  - orbit.rs.connection
  - orbit.rs.lock
  - orbit.rs.desired
  - orbit.rs.storage
  - orbit.rs.steps
  - orbit.rs.repository
  - orbit.rs.backup
attributes:
  check_mode:
    description: Whether it predicts changes without making any.
    support: full
    details: Prints the plan. Without a step in it, gates the ordinals by reading alone.
  diff_mode:
    description: Whether it shows what changes.
    support: full
    details: Shows each object that changes.
"""

EXAMPLES = r"""
- name: Deploy
  orbit.rs.converge:
    release: orbit-rs
    namespace: orbit-rs
    chart: /srv/charts/orbit-rs
    values_files: [my-values.yaml]

- name: Upgrade, and watch each ordinal for half a minute before the next one
  orbit.rs.converge:
    operation: upgrade
    allow: [upgrade]
    chart: /srv/charts/orbit-rs
    values:
      orbitServer:
        image:
          tag: v0.2.0
    soak: 30
"""

RETURN = r"""
plan:
  description: The plan, as M(orbit.rs.plan) returns it.
  returned: success
  type: dict
release:
  description: Name of the release.
  returned: success
  type: str
revision:
  description: Revision of the release; 0 when there is none.
  returned: success
  type: int
ordinals:
  description: The ordinals, each with ordinal, pod, phase, ready, updated, restarts, node, zone and image.
  returned: success, unless check mode has steps to predict
  type: list
  elements: dict
checks:
  description: The gate's checks, each with ordinal, name, ok, detail and milliseconds.
  returned: success, unless check mode has steps to predict
  type: list
  elements: dict
restarted:
  description: Pods that were failing before and were deleted.
  returned: success
  type: list
  elements: str
paused:
  description: Whether the rollout waits after its first ordinal.
  returned: success
  type: bool
seconds:
  description: How long it took to plan, apply, roll out and gate, and prove what is there, as far as it did so.
  returned: success
  type: dict
"""
