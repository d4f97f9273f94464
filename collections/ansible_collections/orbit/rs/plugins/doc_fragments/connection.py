# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that say which release is meant and how it is reached."""

from __future__ import annotations


class ModuleDocFragment:
    """Shared by all actions that talk to the cluster."""

    DOCUMENTATION = r"""
options:
  release:
    description: Name of the Helm release.
    type: str
    default: orbit-rs
  namespace:
    description: Namespace of the release.
    type: str
    default: orbit-rs
  kubeconfig:
    description: Kubeconfig file. Empty means what kubectl itself would use, E(KUBECONFIG) first.
    type: path
    default: ""
  context:
    description: Context in the kubeconfig. Empty means its current context.
    type: str
    default: ""
  kubectl:
    description: The kubectl command. It does all authentication.
    type: path
    default: kubectl
  helm:
    description: The helm command.
    type: path
    default: helm
  helm_version:
    description: Its version, such as C(v4.3.1), which M(orbit.rs.tools) returns. Empty means to ask it.
    type: str
    default: ""
requirements:
  - kubectl, 1.24 or newer, on the control host
  - helm, 3.14 or newer, on the control host
notes:
  - Runs on the control host, whatever the connection of the inventory host is.
"""
