# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-in of the orbit-rs database server: the documented contract over a real SQLite database.

It is test equipment. It runs as `python -m testbed.orbit_server` in a checkout and as `/app/orbit-server` in its image.
"""
