# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which sets exist, which one is meant, and what is wrong with one."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import pytest
from ansible_collections.orbit.rs.plugins.plugin_utils import sets
from ansible_collections.orbit.rs.plugins.plugin_utils.model import OrbitError
from ansible_collections.orbit.rs.plugins.plugin_utils.restic import Snapshot
from ansible_collections.orbit.rs.plugins.plugin_utils.sets import Listed, Manifest, Part
from ansible_collections.orbit.rs.plugins.plugin_utils.tarstream import File

FILE = File(5, "0" * 64, 0o600)
FIRST, SECOND, THIRD = "20261128T020000Z", "20261129T020000Z", "20261130T020000Z"


def snapshot(name: str, set_id: str, **more: str) -> Snapshot:
    return Snapshot(name, f"2026-11-30T{len(more):02}:00:00Z", "orders", sets.tags("orders", set_id, **more))


def a_set(set_id: str, kind: str = "backup") -> list[Snapshot]:
    return [
        snapshot(f"{set_id}-0", set_id, part="data", ordinal="0"),
        snapshot(f"{set_id}-1", set_id, part="data", ordinal="1"),
        snapshot(f"{set_id}-o", set_id, part="objects"),
        snapshot(f"{set_id}-m", set_id, complete="", kind=kind),
    ]


def manifest(set_id: str = FIRST) -> Manifest:
    parts = {ordinal: Part(f"{set_id}-{ordinal}", 5, {"orbit.db": FILE}, 1.5) for ordinal in (0, 1)}
    return Manifest(set_id, "orders", "orbit-rs", "orbit-rs", "cold", "backup", 2, "", {}, parts, f"{set_id}-o")


def test_a_manifest_survives_its_json() -> None:
    assert Manifest.of(manifest().text()) == manifest()
    assert manifest().total == 10


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 2}', '{"format": 1}'])
def test_what_is_no_manifest_raises(text: str) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        Manifest.of(text)


def test_a_set_without_its_marker_does_not_exist() -> None:
    found, rest = sets.listed([*a_set(FIRST), *a_set(SECOND)[:-1]])
    assert [item.id for item in found] == [FIRST]
    assert rest == [f"{SECOND}-0", f"{SECOND}-1", f"{SECOND}-o"]
    assert found[0].snapshots[0] == f"{FIRST}-m", "the marker is forgotten first"


def test_a_set_with_two_markers_does_not_exist_and_is_left_alone() -> None:
    assert sets.listed([*a_set(FIRST), snapshot("x", FIRST, complete="")]) == ([], [])


def test_the_newest_record_counts() -> None:
    failed = snapshot("a", FIRST, record="verify:failed")
    passed = snapshot("b", FIRST, record="verify:passed", more="")
    found, dummy = sets.listed([*a_set(FIRST), passed, failed])
    assert found[0].records == {"verify": "passed"} and found[0].verified
    found, dummy = sets.listed([*a_set(FIRST), dataclasses.replace(failed, time="2026-11-30T09:00:00Z"), passed])
    assert not found[0].verified


def test_faults() -> None:
    found = a_set(FIRST)
    assert sets.faults(manifest(), found) == []
    assert sets.faults(manifest(), found[1:]) == [f"ordinal 0: its snapshot {FIRST[:8]} is not in the repository"]
    assert sets.faults(manifest(), [*found[:2], found[3]]) == [
        f"the objects: their snapshot {FIRST[:8]} is not in the repository"
    ]
    swapped = dataclasses.replace(
        manifest(), parts={0: dataclasses.replace(manifest().parts[0], snapshot=f"{FIRST}-1"), 1: manifest().parts[1]}
    )
    assert "is of ordinal 1 of set" in sets.faults(swapped, found)[0]
    short = dataclasses.replace(manifest(), parts={0: manifest().parts[0]})
    assert sets.faults(short, found) == ["ordinal 1 is not in the manifest"]
    assert sets.faults(dataclasses.replace(short, kind=sets.SAFETY), found) == []


def test_difference() -> None:
    other = dataclasses.replace(FILE, sha256="1" * 64)
    assert sets.difference({"a": FILE}, {"a": FILE}) == []
    said = sets.difference({"a": FILE, "b": FILE}, {"a": other, "c": FILE})
    assert said[0].startswith("a is not as it was") and said[1:] == ["b is missing", "c is not in the manifest"]


KNOWN = [
    Listed(THIRD, "backup", "m", ()),
    Listed(SECOND, "backup", "m", (), {"verify": "passed"}),
    Listed(FIRST, "backup", "m", (), {"drill": "passed"}),
]


@pytest.mark.parametrize(
    ("wanted", "before", "found"),
    [
        ("newest", "", THIRD),
        ("verified", "", SECOND),
        (FIRST, "", FIRST),
        ("newest", "2026-11-29T12:00", SECOND),
        ("verified", "2026-11-28T12:00", FIRST),
        ("newest", "2026-11-29T03:30+01:00", SECOND),
        ("newest", "2026-11-29T02:30+01:00", FIRST),
    ],
)
def test_choose(wanted: str, before: str, found: str) -> None:
    assert sets.choose(KNOWN, wanted, before).id == found


def test_a_safety_set_is_taken_by_its_id_alone() -> None:
    safety = Listed("20261201T000000Z", sets.SAFETY, "m", (), {"verify": "passed"})
    assert sets.choose([safety, *KNOWN], "newest").id == THIRD
    assert sets.choose([safety, *KNOWN], safety.id) is safety


@pytest.mark.parametrize(
    ("known", "wanted", "before", "says"),
    [
        (KNOWN, "20200101T000000Z", "", "There is no complete set 20200101T000000Z"),
        ([], "newest", "", "There is no complete backup set."),
        (KNOWN, "newest", "2026-11-01", "from before 2026-11-01"),
        (KNOWN, "newest", "yesterday", "'yesterday' is not a time"),
        (KNOWN[:1], "verified", "", f"orbit_rs_set={THIRD}"),
    ],
)
def test_what_cannot_be_chosen(known: list[Listed], wanted: str, before: str, says: str) -> None:
    with pytest.raises(OrbitError) as error:
        sets.choose(known, wanted, before)
    assert says in str(error.value)


def test_an_id_is_its_time() -> None:
    now = datetime(2026, 11, 30, 2, 0, 0, tzinfo=UTC)
    assert sets.new_id(now) == THIRD and sets.time_of(THIRD) == now
    with pytest.raises(OrbitError):
        sets.new_id(now, [THIRD])
