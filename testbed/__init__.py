# SPDX-License-Identifier: GPL-3.0-or-later
"""The test bed: a local kind cluster, with or without a container registry."""
