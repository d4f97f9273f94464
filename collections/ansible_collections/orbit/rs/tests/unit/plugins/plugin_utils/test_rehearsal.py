# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the copy for a rehearsal is."""

from __future__ import annotations

import copy
from typing import Any, cast

import pytest
from ansible_collections.orbit.rs.plugins.plugin_utils import rehearsal
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Release

RELEASE = Release("orders", "shop")
LABELS = {"app.kubernetes.io/name": "orbit-rs", "app.kubernetes.io/instance": "orders"}
LIVE: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "StatefulSet",
    "metadata": {"name": "orbit-server", "namespace": "shop", "uid": "1234", "resourceVersion": "7"},
    "spec": {
        "replicas": 3,
        "serviceName": "orbit-server-headless",
        "selector": {"matchLabels": LABELS},
        "ordinals": {"start": 1},
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 4}},
        "template": {
            "metadata": {"labels": {**LABELS, "team": "shop"}, "annotations": {"checksum/config": "x"}},
            "spec": {
                "containers": [{"name": "orbit-server", "image": "orbit-rs:v0.2.0"}],
                "nodeSelector": {"disk": "fast"},
                "topologySpreadConstraints": [{"maxSkew": 1}],
                "affinity": {"nodeAffinity": {"a": 1}, "podAntiAffinity": {"b": 1}},
            },
        },
        "volumeClaimTemplates": [
            {"metadata": {"name": "data", "labels": LABELS}, "spec": {"resources": {}}, "status": {"phase": "Pending"}}
        ],
    },
    "status": {"replicas": 3},
}


def test_nothing_that_selects_the_release_selects_the_copy() -> None:
    made = rehearsal.scratch(LIVE, RELEASE)
    labels = made["spec"]["template"]["metadata"]["labels"]
    assert not LABELS.items() <= labels.items()
    assert made["spec"]["selector"]["matchLabels"] == labels
    assert made["spec"]["volumeClaimTemplates"][0]["metadata"]["labels"] == labels


def test_it_is_one_pod_of_the_newest_revision_wherever_there_is_room() -> None:
    made = rehearsal.scratch(LIVE, RELEASE)
    pod = made["spec"]["template"]["spec"]
    assert made["spec"]["replicas"] == 1 and "ordinals" not in made["spec"] and "updateStrategy" not in made["spec"]
    assert pod["containers"] == LIVE["spec"]["template"]["spec"]["containers"]
    assert pod["nodeSelector"] == {"disk": "fast"} and pod["affinity"] == {"nodeAffinity": {"a": 1}}
    assert "topologySpreadConstraints" not in pod


def test_it_goes_with_the_release() -> None:
    made = rehearsal.scratch(LIVE, RELEASE)
    assert made["metadata"]["ownerReferences"] == [
        {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "orbit-server", "uid": "1234"}
    ]
    assert made["spec"]["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Delete", "whenScaled": "Delete"}


def test_what_is_live_stays_as_it_is() -> None:
    before = copy.deepcopy(LIVE)
    rehearsal.scratch(LIVE, RELEASE)
    assert before == LIVE


def test_a_long_name_leaves_room_for_the_label_of_its_revision() -> None:
    live = {**LIVE, "metadata": {**LIVE["metadata"], "name": f"{'a' * 39}-server"}}
    assert rehearsal.name(live) == f"{'a' * 39}-rehearsal"


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ({}, 0),
        ({"storageClassName": "fast"}, 0),
        ({"storageClassName": ""}, 1),
        ({"selector": {"matchLabels": {"disk": "a"}}}, 1),
    ],
)
def test_it_takes_no_volume_that_was_made_for_an_ordinal(spec: dict[str, Any], found: int) -> None:
    live = copy.deepcopy(LIVE)
    live["spec"]["volumeClaimTemplates"][0]["spec"] = spec
    assert len(list(rehearsal.findings(live))) == found


class Api:
    """As much of a cluster as removing takes."""

    def __init__(self, there: bool) -> None:
        self.there = there
        self.deleted: list[str] = []

    def find(self, path: str) -> dict[str, Any] | None:
        return {"kind": "StatefulSet"} if self.there else None

    def delete(self, path: str) -> bool:
        self.deleted.append(path.rpartition("/")[2])
        return True


@pytest.mark.parametrize(
    ("there", "deleted"), [(True, ["orbit-server-rehearsal", "data-orbit-server-rehearsal-0"]), (False, [])]
)
def test_only_what_is_there_is_deleted(there: bool, deleted: list[str]) -> None:
    """An account that never rehearses need not be allowed to delete a StatefulSet, also when a rollout goes back."""
    api = Api(there)
    rehearsal.Rehearsal(cast("Any", api), RELEASE, print).remove(LIVE)
    assert api.deleted == deleted
