# SPDX-License-Identifier: GPL-3.0-or-later
"""A busy machine must not fail a test: no property has a deadline."""

from hypothesis import settings

settings.register_profile("orbit.rs", deadline=None)
settings.load_profile("orbit.rs")
