# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that say what a release should be."""

from __future__ import annotations


class ModuleDocFragment:
    """Shared by the actions that compare what is wanted with what is there."""

    DOCUMENTATION = r"""
options:
  chart:
    description: Chart, a folder, an archive, an OCI reference or a name in O(chart_repository).
    type: str
    required: true
  chart_version:
    description: Version of the chart. Empty means the newest one.
    type: str
    default: ""
  chart_repository:
    description: URL of the chart repository that O(chart) is a name in.
    type: str
    default: ""
  values:
    description: Values of the chart. They win over O(values_files).
    type: dict
    default: {}
  values_files:
    description:
      - Values files on the control host, plain or encrypted by Ansible Vault.
      - A later file wins over an earlier one.
    type: list
    elements: path
    default: []
  overrides:
    description: Values of this run alone, such as the version of an upgrade. They win over all others.
    type: dict
    default: {}
  namespace_labels:
    description: Labels of the namespace.
    type: dict
    default: {}
"""
