# SPDX-License-Identifier: GPL-3.0-or-later
"""The repositories and clients of the scenario backup."""

from molecule.backup.tests.after.conftest import backups, clients, tools

__all__ = ["backups", "clients", "tools"]
