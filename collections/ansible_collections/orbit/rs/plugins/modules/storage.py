#!/usr/bin/python
# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Provide the classes that a release's volumes are made from. The action plugin of this name does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: storage
short_description: Provide the classes that a release's volumes are made from
version_added: 0.1.0
description:
  - Creates or changes the StorageClass and the VolumeSnapshotClass that are named, with the defaults of the provider.
  - Refuses what the API server does not let change, and says how to get there.
  - On request tests the class that the release uses with a volume. One pod writes it, another reads it back, on another
    node where the volume can go there; then everything is removed. The pods run as the release's do.
author:
  - the orbit.rs authors (@orbit-rs)
options:
  test:
    description: Whether to test the class with a volume. The namespace is created for it when it does not exist.
    type: bool
    default: false
  test_image:
    description: Image with C(/bin/sh), C(head), C(sync) and C(sha256sum) for the test. Empty means the release's.
    type: str
    default: ""
  test_timeout:
    description: Seconds that each of the two pods has to come to its end.
    type: int
    default: 180
extends_documentation_fragment:
  - orbit.rs.connection
  - orbit.rs.desired
  - orbit.rs.storage
attributes:
  check_mode:
    description: Whether it predicts changes without making any.
    support: full
    details: The API server applies without storing. The test is left out.
  diff_mode:
    description: Whether it shows what changes.
    support: full
"""

EXAMPLES = r"""
- name: Provide a class of encrypted gp3 volumes and one for their snapshots, and test it
  orbit.rs.storage:
    namespace: orbit-rs
    chart: /srv/charts/orbit-rs
    storage_provider: eks
    storage_class: orbit-data
    storage_snapshot_class: orbit-data
    test: true
"""

RETURN = r"""
applied:
  description: What was created or changed, as kind/namespace/name.
  returned: success
  type: list
  elements: str
test:
  description: What the test has shown, in one sentence. Empty without a test.
  returned: success
  type: str
"""
