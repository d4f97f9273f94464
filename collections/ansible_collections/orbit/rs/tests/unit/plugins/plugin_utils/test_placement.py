# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import time

import pytest
from ansible_collections.orbit.rs.plugins.plugin_utils import placement
from ansible_collections.orbit.rs.plugins.plugin_utils.placement import Limit, Search
from ansible_collections.orbit.rs.tests.unit.plugins.plugin_utils import data

ZONES = {"a": {"zone": "1"}, "b": {"zone": "1"}, "c": {"zone": "2"}}
ONE_EACH = (Limit("anti-affinity", "zone", 1, ("1", "2")),)


@pytest.mark.parametrize(
    ("slots", "candidates", "limits", "placed"),
    [
        ({"a": 1, "b": 1, "c": 1}, ["abc", "abc", "abc"], (), 3),
        ({"a": 3, "b": 0, "c": 0}, ["abc", "abc", "abc"], (), 3),
        ({"a": 1, "b": 0, "c": 0}, ["abc", "abc", "abc"], (), 1),
        ({"a": 1, "b": 1, "c": 1}, ["a", "a", "abc"], (), 2),
        ({"a": 1, "b": 1, "c": 1}, ["abc", "ab", "a"], (), 3),
        ({"a": 1, "b": 1, "c": 1}, ["abc", "bc", "b"], (), 3),
        ({"a": 9, "b": 9, "c": 9}, ["abc", "abc"], ONE_EACH, 2),
        ({"a": 9, "b": 9, "c": 9}, ["abc", "abc", "abc"], ONE_EACH, 2),
        ({"a": 9, "b": 9, "c": 0}, ["abc", "abc"], ONE_EACH, 1),
        ({"a": 9, "b": 9, "c": 9}, ["ab", "ab"], ONE_EACH, 1),
        ({"a": 9, "b": 9, "c": 9}, ["", "abc"], (), 1),
    ],
)
def test_as_many_as_can_be_placed(
    slots: dict[str, int], candidates: list[str], limits: tuple[Limit, ...], placed: int
) -> None:
    search = Search(ZONES, slots, {number: frozenset(nodes) for number, nodes in enumerate(candidates)}, limits)
    homes = search.placed()
    assert len(homes) == placed
    assert all(node in candidates[ordinal] for ordinal, node in homes.items())
    assert all(list(homes.values()).count(node) <= slots[node] for node in ZONES)


def test_a_big_cluster_that_is_full_is_judged_soon() -> None:
    nodes = {f"n{number}": {"zone": str(number % 3)} for number in range(500)}
    search = Search(
        nodes,
        dict.fromkeys(nodes, 1),
        dict.fromkeys(range(50), frozenset(nodes)),
        (Limit("anti-affinity", "zone", 1, ("0", "1", "2")),),
    )
    started = time.process_time()
    assert len(search.placed()) == 3
    assert time.process_time() - started < 20, "bounded, whatever the machine"


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ([], ""),
        ([{"matchExpressions": [{"key": "topology.gke.io/zone", "operator": "In", "values": ["z"]}]}], "zone z"),
        ([{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["n"]}]}], "node n"),
        ([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}]}], "node n"),
    ],
)
def test_what_a_volume_is_tied_to(terms: list[object], expected: str) -> None:
    volume = {"spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": terms}}}}
    assert placement.where(volume) == expected
    statefulset = {
        "metadata": {"name": "s"},
        "spec": {"volumeClaimTemplates": [{"metadata": {"name": "d"}, "spec": {}}]},
    }
    claim = {"metadata": {"name": "d-s-0"}, "spec": {"volumeName": "v"}}
    node = data.node("n")
    node["metadata"]["labels"]["topology.gke.io/zone"] = "z"
    homes = placement.homes(statefulset, [0], [node, data.node("m")], {"d-s-0": claim}, {"v": volume}, {}, "")
    assert homes == {0: frozenset({"n"} if terms else {"n", "m"})}


def test_a_claim_that_has_chosen_its_node() -> None:
    statefulset = {
        "metadata": {"name": "s"},
        "spec": {"volumeClaimTemplates": [{"metadata": {"name": "d"}, "spec": {}}]},
    }
    claim = {"metadata": {"name": "d-s-0", "annotations": {"volume.kubernetes.io/selected-node": "m"}}, "spec": {}}
    homes = placement.homes(statefulset, [0, 1], [data.node("n"), data.node("m")], {"d-s-0": claim}, {}, {}, "")
    assert homes == {0: frozenset({"m"}), 1: frozenset({"n", "m"})}
