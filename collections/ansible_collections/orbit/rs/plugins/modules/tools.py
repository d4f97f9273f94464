#!/usr/bin/python
# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find command line tools and Python packages, or get pinned versions. The action plugin of this name does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: tools
short_description: Find command line tools and Python packages, or get pinned versions
version_added: 0.1.0
description:
  - A tool that is new enough is kept, whether it is in O(bin_dir) or on the PATH of the control host.
  - Any other is downloaded into O(bin_dir), and kept only when its SHA-256 checksum is right. No root is needed.
  - Before that, variables of the host that begin with C(orbit_rs_) are looked at. One that is misspelt, or has a value
    that can only be wrong, is an error; another one that no role knows is a warning.
  - Python packages of the collection that are missing are named, with the command that installs them, or installed.
author:
  - the orbit.rs authors (@orbit-rs)
options:
  names:
    description: Names of the tools that are needed. Each of them is described in O(tools).
    type: list
    elements: str
    required: true
  tools:
    description:
      - What is known about tools.
      - In C(url) and C(member), C({version}), C({number}) (the version without its C(v)), C({os}) and C({arch}) are
        filled in.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the command.
        type: str
        required: true
      version:
        description: Version to download.
        type: str
        required: true
      minimum:
        description: Oldest version that is kept when it is there already. Empty means the version to download.
        type: str
        default: ""
      url:
        description: Where the command, or the archive that holds it, is downloaded from.
        type: str
        default: ""
      checksums:
        description: SHA-256 checksum of the download by operating system and architecture, such as C(linux-amd64).
        type: dict
        default: {}
      member:
        description:
          - Path of the command in the archive.
          - Empty when the download is the command, as it is or packed by gzip or bzip2.
        type: str
        default: ""
  bin_dir:
    description: Folder that downloads go to.
    type: path
    required: true
  mirror:
    description: Base URL that stands in for scheme and host of every download.
    type: str
    default: ""
  python_install:
    description: Whether Python packages that are missing are installed by pip, with pinned versions and hashes.
    type: bool
    default: false
  python_target:
    description:
      - Folder that Python packages are installed into, and found in by the actions of the collection.
      - Empty means the environment of the playbook.
    type: path
    default: ""
attributes:
  check_mode:
    description: Whether it predicts changes without making any.
    support: full
    details: Says what it would download and install.
  diff_mode:
    description: Whether it shows what changes.
    support: full
    details: Shows what would come or came.
notes:
  - Runs on the control host, whatever the connection of the inventory host is.
"""

EXAMPLES = r"""
- name: Find helm, or fetch it
  orbit.rs.tools:
    names: [helm]
    bin_dir: ~/.local/bin
    tools:
      - name: helm
        version: v4.3.0
        minimum: v3.14.0
        url: https://mirror.example.com/helm-{version}-{os}-{arch}.tar.gz
        checksums:
          linux-amd64: 86584a54def73570558f66f5111cc53dfed56689637ae32c1201205d494f54fb
        member: "{os}-{arch}/helm"
  register: tools

- name: Show where it is
  ansible.builtin.debug:
    msg: "{{ tools.paths.helm }}"
"""

RETURN = r"""
paths:
  description: Path of each tool by name.
  returned: success
  type: dict
  sample: {helm: /usr/local/bin/helm}
versions:
  description: Version of each tool by name.
  returned: success
  type: dict
  sample: {helm: v4.3.0}
"""
