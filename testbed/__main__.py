# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the command line."""

import sys

from testbed.cli import main

sys.exit(main())
