# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands against a restore, what a helper pod is, and what a volume must hold in the end."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from ansible_collections.orbit.rs.plugins.plugin_utils import (
    backup,
    drill,
    lock,
    podsecurity,
    rebuild,
    report,
    restore,
    sets,
    stopped,
    volumes,
)
from ansible_collections.orbit.rs.plugins.plugin_utils.backup import Live
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Object, OrbitError, Patience, Release
from ansible_collections.orbit.rs.plugins.plugin_utils.sets import Listed, Manifest, Part
from ansible_collections.orbit.rs.plugins.plugin_utils.tarstream import File
from ansible_collections.orbit.rs.tests.unit.plugins.plugin_utils import data

RELEASE = Release("orbit-rs", "orbit-rs")
RENDERED = data.rendered()
LIVE = Live(data.stored(RENDERED), next(obj for obj in RENDERED if obj["kind"] == "StatefulSet"))
SUM = "0" * 64
PARTS = {ordinal: Part(f"snapshot-{ordinal}", 2048, {"orbit.db": File(1000, SUM, 0o600)}) for ordinal in range(3)}
FOUND = Manifest(
    "20261130T020000Z", "orders", "orbit-rs", "orbit-rs", "cold", "backup", 3, "", {"server": LIVE.version}, PARTS
)
CLAIMS = {
    f"data-orbit-server-{ordinal}": {"status": {"phase": "Bound", "capacity": {"storage": "1Gi"}}}
    for ordinal in range(3)
}


def seen(found: Manifest = FOUND, ordinals: Any = range(3), source: str = "", pods: Any = (), **claims: Object) -> str:
    wrong = restore.findings(found, LIVE, RELEASE, list(ordinals), source, pods, {**CLAIMS, **claims})
    return "\n".join(f"{item.seen} {item.remedy}" for item in wrong)


def a_pod(name: str, claim: str, **labels: str) -> Object:
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": claim}}
    return {"metadata": {"name": name, "labels": labels}, "spec": {"volumes": [volume, {"name": "tmp"}]}}


def test_what_is_right_is_not_refused() -> None:
    assert LIVE.replicas == 3
    assert seen(pods=[a_pod("orbit-server-0", "data-orbit-server-0")]) == ""
    assert seen(ordinals=[1]) == ""


def test_of_a_bigger_set_ordinals_can_be_chosen() -> None:
    bigger = dataclasses.replace(FOUND, replicas=4, parts={**PARTS, 3: PARTS[0]})
    assert "some data would be left out" in seen(bigger)
    assert seen(bigger, ordinals=[0, 1]) == ""


@pytest.mark.parametrize(
    ("found", "more", "says"),
    [
        ({"release": "others"}, {}, "is of others in namespace orbit-rs"),
        ({"namespace": "others"}, {"source": "another"}, "orbit_rs_restore_from=orders"),
        ({"replicas": 2, "parts": {0: PARTS[0], 1: PARTS[1]}}, {}, "has nothing of 2. Scale first"),
        ({}, {"ordinals": [0, 7]}, "has no ordinal 7"),
        ({"versions": {"server": "v99.0.0"}}, {}, "written by server v99.0.0, newer than"),
        ({}, {"pods": [a_pod("copy", "data-orbit-server-1")]}, "copy uses data-orbit-server-1"),
        ({}, {"data-orbit-server-2": {"status": {"phase": "Pending"}}}, "data-orbit-server-2 is not there"),
        (
            {},
            {"data-orbit-server-2": {"status": {"phase": "Bound", "capacity": {"storage": "500"}}}},
            "data-orbit-server-2 holds 500 B, and set 20261130T020000Z takes 1000 B",
        ),
    ],
)
def test_what_is_refused(found: dict[str, Any], more: dict[str, Any], says: str) -> None:
    assert says in seen(dataclasses.replace(FOUND, **found), **more)


def test_another_release_can_be_named() -> None:
    assert seen(dataclasses.replace(FOUND, release="others"), source="orders") == ""


def test_our_own_helper_is_no_stranger() -> None:
    assert seen(pods=[a_pod("orbit-server-0-volume", "data-orbit-server-0", **{stopped.HELPER: "orbit-rs"})]) == ""


def test_a_volume_that_differs() -> None:
    part = Part("", 0, {"a": File(1, SUM, 0o600), "b c": File(1, SUM, 0o600)})
    assert restore.different(part, f"{SUM}  ./a\n{SUM}  ./b c\n") == []
    other = "1" * 64
    assert restore.different(part, f"{other}  ./a\n{SUM}  ./d\n") == [
        "a has other content",
        "b c is missing",
        "d is not in the set",
    ]
    strange = Part("", 0, {"a\nb\\c": File(1, SUM, 0o600)})
    assert restore.different(strange, f"\\{SUM}  ./a\\nb\\\\c\n") == []


def test_a_helper_is_as_restricted_as_the_server_and_gets_no_clients() -> None:
    pod = stopped.helper(LIVE.statefulset, RELEASE, 1, write=False)
    assert list(podsecurity.violations(pod["spec"], "restricted")) == []
    assert pod["metadata"]["name"] == "orbit-server-1-volume"
    selected = LIVE.statefulset["spec"]["selector"]["matchLabels"].items()
    assert not selected <= pod["metadata"]["labels"].items()
    (mounted,) = pod["spec"]["containers"][0]["volumeMounts"]
    assert mounted["readOnly"]
    assert pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] == "data-orbit-server-1"
    assert stopped.mount(LIVE.statefulset) == "/app/data"


def test_without_volumes_there_is_nothing_to_back_up() -> None:
    with pytest.raises(OrbitError, match="has no volumes"):
        stopped.claim({"metadata": {"name": "x"}, "spec": {}}, 0)


def test_what_is_put_back_is_what_was_taken_away() -> None:
    live = {**LIVE.statefulset, "status": {"replicas": 3}}
    live["metadata"] = {**live["metadata"], "uid": "1", "resourceVersion": "2", "managedFields": []}
    again = stopped.portable(live)
    assert again["spec"] == live["spec"] and "status" not in again
    assert again["metadata"].keys() <= {"name", "namespace", "labels", "annotations"}


def test_what_is_put_back_remembers_since_when_there_was_one() -> None:
    live = {**LIVE.statefulset, "metadata": {"name": "orbit-server", "creationTimestamp": "2026-01-01T00:00:00Z"}}
    again = stopped.portable(live)
    later = {**again, "metadata": {**again["metadata"], "creationTimestamp": "2026-11-30T00:00:00Z"}}
    for obj in (again, stopped.portable(later)):
        assert obj["metadata"]["annotations"][volumes.SINCE] == "2026-01-01T00:00:00Z"


def test_a_drill_takes_what_the_server_needs_and_nothing_else() -> None:
    helm = {"kind": "Secret", "type": "helm.sh/release.v1", "metadata": {"name": "sh.helm.release.v1.orbit-rs.v1"}}
    tls = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tls", "uid": "1"}, "data": {"a": "b"}}
    claim = {"kind": "PersistentVolumeClaim", "metadata": {"name": "data-orbit-server-0"}}
    stored = [*RENDERED, helm, tls, claim]
    *others, statefulset = drill.scratch_objects(stored, "scratch", "server:v1", [0, 1])
    assert {obj["metadata"]["namespace"] for obj in (*others, statefulset)} == {"scratch"}
    assert {obj["kind"] for obj in others} <= {"ServiceAccount", "ConfigMap", "Secret", "Service"}
    assert [obj["metadata"] for obj in others if obj["kind"] == "Secret"] == [{"name": "tls", "namespace": "scratch"}]
    assert statefulset["spec"]["replicas"] == 2
    assert statefulset["spec"]["template"]["spec"]["containers"][0]["image"] == "server:v1"
    assert [claim["metadata"]["name"] for claim in drill.claims(statefulset, "scratch", [0, 1])] == [
        "data-orbit-server-0",
        "data-orbit-server-1",
    ]
    assert drill.wall("scratch")["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_what_a_release_refers_to_moves_with_it() -> None:
    container = {"name": "server", "envFrom": [{"secretRef": {"name": "extra"}}, {"configMapRef": {"name": "gone"}}]}
    statefulset = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "orbit-server", "namespace": "new"},
        "spec": {"template": {"spec": {"containers": [container]}}},
    }
    kept = [
        {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "old", "uid": "1"}, "data": {}}
        for kind, name in (("Secret", "extra"), ("ConfigMap", "extra"), ("Secret", "other"))
    ]
    assert rebuild.referred([statefulset], kept, "new") == [
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "extra", "namespace": "new"}, "data": {}}
    ]


class Reached:
    """A cluster that has everything it is asked for."""

    def find(self, path: str) -> Object:
        return {"path": path}

    def now(self) -> datetime:
        return datetime(2026, 12, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("left", "own"),
    [
        ({}, False),
        ({"resume": "backup", "ordinals": [0]}, False),
        ({"resume": "restore", "phase": "writing", "set": FOUND.set}, False),
        ({"operation": "upgrade", "base": 2, "replicas": 3, "plan": "", "phase": "rolling"}, False),
        ({"resume": "restore", "phase": "rebuilding", "set": FOUND.set, "whole": [0]}, True),
        ({"resume": "restore", "phase": "rebuilt", "set": FOUND.set, "whole": [0, 1, 2]}, True),
    ],
)
def test_volumes_are_written_over_only_by_the_restore_that_made_them(
    monkeypatch: pytest.MonkeyPatch, left: dict[str, Any], own: bool
) -> None:
    monkeypatch.setattr(rebuild.Rebuild, "_wanted", lambda self: rebuild.Wanted(LIVE.statefulset, ()))
    lease = {
        "metadata": {
            "annotations": {lock.UNFINISHED: json.dumps(left)},
            "creationTimestamp": "2026-11-30T02:00:00Z",
        },
        "spec": {},
    }
    reached: Any = Reached()
    chosen = Listed(FOUND.set, "backup", "", ())
    where: Any = (reached, None, RELEASE, None)
    work = rebuild.Rebuild(*where, FOUND, chosen, {}, {}, 2, Patience(), lambda text: None)
    if own:
        work.run("", lease, check=True)
    else:
        with pytest.raises(OrbitError, match="There are volumes of an earlier life of orbit-rs: data-orbit-server-0"):
            work.run(RELEASE.name, lease, check=False)


@pytest.mark.parametrize(
    ("phase", "set_id", "written"),
    [("rebuilding", FOUND.set, [0, 2]), ("rebuilt", FOUND.set, [0, 2]), ("rebuilding", "another", []), ("", "", None)],
)
def test_what_a_killed_run_has_written_whole(phase: str, set_id: str, written: list[int] | None) -> None:
    assert rebuild.resumed({"phase": phase, "set": set_id, "whole": [0, 2]}, FOUND.set) == written


HOST = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "orbit-server"}}}
ZONE = {"topologyKey": "topology.kubernetes.io/zone", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}


def test_volumes_that_are_not_placed_yet_are_placed_as_the_servers_pods_would_be() -> None:
    pod = {
        "topologySpreadConstraints": [{**ZONE, "labelSelector": {}, "matchLabelKeys": ["pod-template-hash"]}],
        "affinity": {
            "nodeAffinity": {"required": 1},
            "podAffinity": {"required": 2},
            "podAntiAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": [HOST],
                "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": HOST}],
            },
        },
    }
    found = stopped.spreading({"spec": {"template": {"spec": pod}}}, RELEASE)
    helpers = {"matchLabels": {stopped.HELPER: "orbit-rs"}}
    assert found["topologySpreadConstraints"] == [{**ZONE, "labelSelector": helpers}]
    apart = found["affinity"].pop("podAntiAffinity")
    assert found["affinity"] == {"nodeAffinity": {"required": 1}}
    assert apart["requiredDuringSchedulingIgnoredDuringExecution"] == [{**HOST, "labelSelector": helpers}]
    assert apart["preferredDuringSchedulingIgnoredDuringExecution"][0]["podAffinityTerm"]["labelSelector"] == helpers
    assert stopped.spreading({"spec": {"template": {"spec": {}}}}, RELEASE) == {}


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "2 KiB"), (5 << 20, "5.0 MiB"), (300 << 20, "300 MiB"), (3 << 30, "3.0 GiB")],
)
def test_sizes(number: int, text: str) -> None:
    assert report.size(number) == text


def test_progress() -> None:
    assert backup.progress(10 << 20, 30 << 20, 2) == "10.0 MiB of 30.0 MiB, 5.0 MiB/s, 4.0 s left"
    assert backup.progress(30 << 20, 30 << 20, 2) == "30.0 MiB, 15.0 MiB/s"
    assert sets.SAFETY == "safety"
