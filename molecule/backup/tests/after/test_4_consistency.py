# SPDX-License-Identifier: GPL-3.0-or-later
"""What `application` rests on: a copy that a server makes of itself under load is sound, and of one moment."""

import json
import os
import shlex

import pytest

from molecule.conftest import ROOT

COPIES = int(os.environ.get("ORBIT_RS_COPIES", "300"))
SOURCE = (ROOT / "testbed" / "copies.py").read_text()


@pytest.mark.soak
def test_hundreds_of_copies_under_load_are_sound_and_hold_what_was_acknowledged(deployed):
    container = deployed.pods()[0]["spec"]["containers"][0]
    seed = os.environ.get("ORBIT_RS_SEED", "0")
    words = ["python3", "-c", SOURCE, str(COPIES), seed, *container["command"], "--backup"]
    found = json.loads(deployed.kubectl(f"exec orbit-server-0 -- {shlex.join(words)}"))
    print(found)
    assert found["bad"] == {}
    assert found["copies"] == COPIES and found["writes"] > 10 * COPIES
