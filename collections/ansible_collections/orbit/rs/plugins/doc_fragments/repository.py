# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option that says which backup repository is meant."""

from __future__ import annotations


class ModuleDocFragment:
    """Shared by the actions that write or read backup sets."""

    DOCUMENTATION = r"""
options:
  repository:
    description: The backup repository, and where its password comes from.
    type: dict
    default: {}
    suboptions:
      url:
        description: Where it is, as restic calls it. Empty means that there is none.
        type: str
        default: ""
      name:
        description: Name of the release in the repository. Empty means its namespace and its name.
        type: str
        default: ""
      password:
        description: The password itself, out of a vault.
        type: str
        default: ""
      password_file:
        description: File on the control host that holds the password. Nobody else may read it.
        type: str
        default: ""
      password_secret:
        description:
          - Secret in the namespace of the release. Its key C(password) is the password.
          - Each of its keys in capital letters is an environment variable for restic.
        type: str
        default: ""
      password_command:
        description: Command that prints the password. It is run without a shell.
        type: str
        default: ""
      environment:
        description: Environment of restic, such as the keys of a cloud.
        type: dict
        default: {}
      restic:
        description: The restic command, 0.17 or newer.
        type: path
        default: restic
      version:
        description: Its version, which M(orbit.rs.tools) returns.
        type: str
        default: ""
"""
