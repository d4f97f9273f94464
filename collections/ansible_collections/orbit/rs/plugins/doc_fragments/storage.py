# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that say which StorageClass and VolumeSnapshotClass a release stands on."""

from __future__ import annotations


class ModuleDocFragment:
    """Shared by the actions that plan or make them."""

    DOCUMENTATION = r"""
options:
  storage_provider:
    description: What provisions the volumes. It decides the defaults of the classes.
    type: str
    default: generic
  storage_class:
    description: Storage class to create and use. Empty means the default class of the cluster.
    type: str
    default: ""
  storage_parameters:
    description: Parameters of the storage class. They win over those of the provider.
    type: dict
    default: {}
  storage_default:
    description: Whether the storage class becomes the default class of the cluster.
    type: bool
    default: false
  storage_allow_expansion:
    description: Whether volumes of the storage class can grow. Unset means the provider's own value.
    type: bool
  storage_reclaim_policy:
    description: What becomes of a volume when its claim is deleted. Empty means the provider's own value.
    type: str
    choices: ["", Delete, Retain]
    default: ""
  storage_binding_mode:
    description: When a volume is made. Empty means the provider's own value.
    type: str
    choices: ["", Immediate, WaitForFirstConsumer]
    default: ""
  storage_zones:
    description: Zones in which volumes of the storage class may be made. Empty means all.
    type: list
    elements: str
    default: []
  storage_mount_options:
    description: Mount options of volumes of the storage class.
    type: list
    elements: str
    default: []
  storage_snapshot_class:
    description:
      - Volume snapshot class to create, for the provider's driver. Empty means none.
      - Where the cluster does not serve its kind it is left out, with a warning.
    type: str
    default: ""
"""
