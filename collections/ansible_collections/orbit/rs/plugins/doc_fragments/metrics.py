# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option that says where the metrics go."""

from __future__ import annotations


class ModuleDocFragment:
    """Shared by the actions whose outcome is kept."""

    DOCUMENTATION = r"""
options:
  metrics_dir:
    description:
      - Folder of node_exporter's textfile collector on the control host, for a file with how the operations on backups
        have last ended. Empty means none.
    type: path
    default: ""
"""
