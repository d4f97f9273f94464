# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.orbit.rs.plugins.plugin_utils import rebuild, revisions
from ansible_collections.orbit.rs.plugins.plugin_utils.desired import Wish
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Object, OrbitError

FORMAT, READS = revisions.DATA_FORMAT, revisions.READS


def secret(number: int, *, config: Any = None, manifest: str = "", **annotations: str) -> Object:
    """What Helm stores of a revision."""
    metadata = {"name": "orbit-rs", "version": "0.1.0", "annotations": annotations}
    content = {
        "version": number,
        "namespace": "db",
        "config": config or {},
        "manifest": manifest,
        "chart": {"metadata": metadata, "templates": [], "files": []},
    }
    release = base64.b64encode(base64.b64encode(json.dumps(content).encode())).decode()
    status = "deployed" if number == 3 else "superseded"
    return {
        "type": "helm.sh/release.v1",
        "metadata": {"labels": {"version": str(number), "status": status}},
        "data": {"release": release},
    }


@pytest.mark.parametrize(
    ("ours", "theirs", "closed"),
    [
        ({}, {FORMAT: "2"}, False),  # nothing is known
        ({FORMAT: "1"}, {}, False),
        ({FORMAT: "1"}, {FORMAT: "1"}, False),
        ({FORMAT: "1"}, {FORMAT: "2"}, True),
        ({FORMAT: "1", READS: "1, 2"}, {FORMAT: "2"}, False),
        ({FORMAT: "2", READS: "1,2"}, {FORMAT: "3", READS: "1,2,3"}, True),
    ],
)
def test_a_version_that_writes_what_the_one_before_cannot_read_is_a_way_without_return(
    tmp_path: Path, ours: dict[str, str], theirs: dict[str, str], closed: bool
) -> None:
    assert bool(revisions.one_way({"annotations": ours}, {"annotations": theirs})) is closed
    stored = [secret(3, **theirs), secret(2, **ours)]
    if closed:
        with pytest.raises(OrbitError, match="Revision 2 cannot be brought back: the data is there in another format"):
            revisions.wish(stored, 2, None, tmp_path, Wish(chart=""))
    else:
        assert revisions.wish(stored, 2, None, tmp_path, Wish(chart="")).chart == str(tmp_path)


def test_volumes_and_count_stay_when_everything_else_goes_back(tmp_path: Path) -> None:
    then = {"planDigest": "x", "config": {"a": 1}, "persistence": {"size": "1Gi"}, "orbitServer": {"replicaCount": 3}}
    now = {"persistence": {"size": "2Gi"}}
    stored = [secret(3, config=now), secret(2, config=then)]
    found = revisions.wish(stored, 2, {"spec": {"replicas": 5}}, tmp_path, Wish(chart="", overrides={"b": 2}))
    assert found.values == {"config": {"a": 1}, **now, "orbitServer": {"replicaCount": 5}}
    assert found.overrides == {}


def test_a_revision_that_helm_does_not_keep_is_named_with_those_that_it_keeps(tmp_path: Path) -> None:
    with pytest.raises(OrbitError, match="Helm keeps no revision 1; it keeps 3, 2"):
        revisions.wish([secret(3), secret(2)], 1, None, tmp_path, Wish(chart=""))


@pytest.mark.parametrize(
    ("outcomes", "found"),
    [
        ({2: "succeeded"}, 2),
        ({2: "rolled_back", 1: "succeeded"}, 2),
        ({2: "failed", 1: "succeeded"}, 1),
        ({2: "failed"}, None),
        ({}, None),
    ],
)
def test_the_last_good_revision_is_the_newest_that_was_gated_and_says_something_else(
    outcomes: dict[int, str], found: int | None
) -> None:
    manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata: {{b: '{}'}}\n"
    stored = [secret(number, manifest=manifest.format(number)) for number in (3, 2, 1)]
    records = [{"revision": number, "outcome": outcome} for number, outcome in outcomes.items()]
    if found:
        assert revisions.last_good(stored, records) == found
    else:
        with pytest.raises(OrbitError, match="No earlier revision is known"):
            revisions.last_good(stored, records)


def test_a_release_is_made_anew_with_as_many_ordinals_as_its_set_has(tmp_path: Path) -> None:
    config = {"planDigest": "x", "persistence": {"size": "1Gi"}, "orbitServer": {"replicaCount": 2, "logLevel": "warn"}}
    note = secret(3, config=config)
    inventory = Wish(chart="/elsewhere", chart_repository="https://charts.example.com", storage_provider="eks")
    made = rebuild.wish({"objects": [{"kind": "Service"}, note]}, tmp_path, inventory, 5)
    assert made.values == {"persistence": {"size": "1Gi"}, "orbitServer": {"replicaCount": 5, "logLevel": "warn"}}
    assert (made.chart, made.chart_repository, made.storage_provider) == (str(tmp_path), "", "eks")
    with pytest.raises(OrbitError, match="The set does not hold the chart"):
        rebuild.wish({"objects": [{"kind": "Service"}]}, tmp_path, inventory, 5)
