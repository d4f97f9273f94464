# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an uninstallation says before it begins, and what it takes to destroy data."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Object, OrbitError
from ansible_collections.orbit.rs.plugins.plugin_utils.uninstall import (
    Remains,
    Volume,
    adopt_text,
    confirmed,
    plan_text,
)
from ansible_collections.orbit.rs.tests.unit.plugins.plugin_utils import data


def volume(ordinal: int, policy: str = "Delete", *, bound: bool = True) -> Volume:
    behind: Object = {"metadata": {"name": f"pv-{ordinal}"}, "spec": {"persistentVolumeReclaimPolicy": policy}}
    return Volume(data.claim(ordinal), behind if bound else {})


REMAINS = Remains(data.stored(data.rendered()), (volume(0), volume(1, "Retain"), volume(2, bound=False)), ("lease",))
GONE = Remains(None, (volume(0),), ())
NOTHING = Remains(None, (), ())


@pytest.mark.parametrize(
    ("remains", "destroy", "says", "never"),
    [
        (
            REMAINS,
            False,
            ["remove  StatefulSet/orbit-rs/orbit-server", "(pv-0); its reclaim policy becomes Retain"],
            "delete",
        ),
        (REMAINS, False, ["(pv-1)\n", "(no volume)"], "(pv-1);"),
        (REMAINS, True, ["(pv-0), with its data", "(pv-1), with its data"], "keep"),
        (GONE, False, ["There is no release", "Its volumes are there"], "remove"),
        (GONE, True, ["(pv-0), with its data"], "remove"),
        (NOTHING, True, ["There is no release"], "volumes"),
    ],
)
def test_it_says_what_goes_and_what_stays(remains: Remains, destroy: bool, says: list[str], never: str) -> None:
    text = plan_text(remains, data.RELEASE, destroy=destroy)
    assert [words for words in says if words not in text] == []
    assert never not in text


def test_every_volume_that_is_kept_has_a_command_to_claim_it_anew() -> None:
    text = adopt_text(REMAINS, data.RELEASE)
    assert [word in text for word in ("persistentvolume pv-0 ", "persistentvolume pv-1 ")] == [True, True]
    assert adopt_text(NOTHING, data.RELEASE) == ""


@pytest.mark.parametrize(("name", "destroys"), [("", False), ("orbit-rs", True)])
def test_data_is_destroyed_when_its_release_is_named(name: str, destroys: bool) -> None:
    assert confirmed(name, data.RELEASE, REMAINS.volumes) is destroys


@pytest.mark.parametrize("name", ["orders", "yes", "true"])
def test_another_name_is_refused(name: Any) -> None:
    with pytest.raises(OrbitError, match="Nothing was touched"):
        confirmed(name, data.RELEASE, REMAINS.volumes)
