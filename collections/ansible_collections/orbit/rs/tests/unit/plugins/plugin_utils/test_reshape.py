# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes grow and a StatefulSet is made again, whenever the run is killed; the pods do not notice."""

from __future__ import annotations

import copy
import dataclasses
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from ansible_collections.orbit.rs.plugins.plugin_utils import lock, objects, plan, reshape
from ansible_collections.orbit.rs.plugins.plugin_utils.cluster import ApiError
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Desired, Object, OrbitError, Plan, Snapshot
from ansible_collections.orbit.rs.plugins.plugin_utils.reshape import Reshape, successor
from ansible_collections.orbit.rs.tests.unit.plugins.plugin_utils import data

SIZE = "spec|volumeClaimTemplates|0|spec|resources|requests|storage"
CLAIMS = "/api/v1/namespaces/orbit-rs/persistentvolumeclaims"
SETS = "/apis/apps/v1/namespaces/orbit-rs/statefulsets"


class Killed(BaseException):
    """The run ends here, whatever it was about to do."""


class _Cluster:
    """A namespace whose driver resizes at the second look, and whose run is killed before a request of that number."""

    def __init__(self, size: str = "10Gi", kill: int = -1) -> None:
        (live,) = (data.served(obj) for obj in data.rendered() if obj["kind"] == "StatefulSet")
        live["spec"]["template"]["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"] = "yesterday"
        live["metadata"]["uid"] = "set-0"
        self.sets: dict[str, Object] = {"orbit-server": live}
        self.claims = {f"data-orbit-server-{number}": data.claim(number, size) for number in range(3)}
        self.pods = [data.pod(number) for number in range(3)]
        for number, pod in enumerate(self.pods):
            pod["metadata"] |= {"uid": f"pod-{number}", "labels": {**data.LABELS, "controller-revision-hash": "one"}}
            pod["metadata"]["ownerReferences"] = [{"uid": "set-0"}]
        self.lease: Object = {}
        self.kill = kill
        self.writes: list[str] = []
        self.refuses = ""
        self.stuck = False

    def now(self) -> datetime:
        return datetime(2026, 11, 24, 13, tzinfo=UTC)

    def path(self, obj: Object) -> str:
        return f"{SETS}/{obj['metadata']['name']}"

    def get(self, path: str) -> Object:
        return {"items": copy.deepcopy(self.pods)}

    def get_all(self, paths: list[str]) -> list[Object]:
        return [{"items": []} for dummy in paths]

    def find(self, path: str) -> Object | None:
        kind, dummy, name = path.rpartition("/")
        if kind == CLAIMS:
            claim = self.claims[name]
            found = copy.deepcopy(claim)
            if not self.stuck:
                claim["status"]["capacity"]["storage"] = claim["spec"]["resources"]["requests"]["storage"]
            return found
        return copy.deepcopy(self.sets.get(name))

    def request(self, method: str, path: str, body: Any = None, content_type: str = "") -> Object:
        where, dummy, query = path.partition("?")
        if self.refuses and self.refuses in f"{method} {path}":
            raise ApiError(422, "Invalid", "exceeded quota: storage")
        if "dryRun=All" in query:
            return copy.deepcopy(body)
        if len(self.writes) == self.kill:
            raise Killed
        name = where.rpartition("/")[2]
        self.writes.append(f"{method} {name}")
        if method == "PATCH":
            self.claims[name]["spec"]["resources"]["requests"] |= body["spec"]["resources"]["requests"]
        elif method == "DELETE":
            assert (body["propagationPolicy"], body["preconditions"]) == ("Orphan", {"uid": "set-0"})
            del self.sets[name]
        else:
            made = data.served(body)
            made["metadata"]["uid"] = "set-1"
            same = _template(made) == _template(_Cluster().sets["orbit-server"])
            made["status"] = {"observedGeneration": 1, "updateRevision": "one" if same else "two"}
            self.sets[made["metadata"]["name"]] = made
            for pod in self.pods:
                pod["metadata"]["ownerReferences"] = [{"uid": "set-1"}]
        return {}

    def snapshot(self) -> Snapshot:
        """What a run reads of it."""
        live = data.deployed()
        there = {name: obj for name, obj in live.objects.items() if name != data.STATEFULSET}
        there |= {objects.key(obj): obj for obj in self.sets.values()}
        note = {lock.UNFINISHED: json.dumps(self.lease)}
        lease = {"metadata": {"annotations": note, "creationTimestamp": "2026-01-01T00:00:00Z"}, "spec": {}}
        return dataclasses.replace(live, objects=there, claims=tuple(self.claims.values()), lease=lease)


class _Held:
    def check(self) -> None:
        """It is never lost."""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reshape, "LOOK_SECONDS", 0)


def _template(statefulset: Object) -> Any:
    return statefulset["spec"]["template"]


def work(cluster: Any, said: list[str]) -> Reshape:
    def remember(statefulset: Object | None) -> None:
        if len(cluster.writes) == cluster.kill:
            raise Killed
        cluster.writes.append("remember")
        cluster.lease = {"phase": "reshaping", "statefulset": statefulset}

    held: Any = _Held()
    return Reshape(cluster, data.RELEASE, held, 0.05, said.append, lambda *dummy: None, remember)


def run(cluster: Any, desired: Desired) -> tuple[Plan, list[str]]:
    """What converge does with the volumes."""
    live, said = cluster.snapshot(), list[str]()
    made = plan.make_plan(desired, live, (), plan.DEPLOY | {"reshape"})
    assert not made.refused, made.refusals
    doing = work(cluster, said)
    if left := plan.orphans(desired, live):
        doing.make(left)
    growing = plan.growths(made, desired, plan.with_orphans(desired, live))
    wanted = next(obj for obj in desired.objects if obj["kind"] == "StatefulSet")
    doing.run(growing, cluster.find(f"{SETS}/orbit-server"), wanted, plan.reshaped(made))
    return made, said


def larger(path: str = SIZE, value: Any = "20Gi") -> Desired:
    return data.wanted(data.change(data.rendered(), data.STATEFULSET, path, value))


def is_grown(cluster: _Cluster) -> None:
    assert {claim["status"]["capacity"]["storage"] for claim in cluster.claims.values()} == {"20Gi"}
    (made,) = cluster.sets.values()
    assert made["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"] == "20Gi"
    assert _template(made) == _template(_Cluster().sets["orbit-server"])  # so that no pod restarts
    assert made["metadata"]["annotations"]["orbit.rs/since"] == "2026-11-24T12:00:00Z"
    assert {pod["metadata"]["ownerReferences"][0]["uid"] for pod in cluster.pods} == {"set-1"}


def test_claims_grow_one_after_the_other_before_the_statefulset_is_made_again() -> None:
    cluster = _Cluster()
    made, said = run(cluster, larger())
    assert [step.kind for step in made.steps] == ["grow_storage"]
    is_grown(cluster)
    assert cluster.writes == [
        *(f"PATCH data-orbit-server-{ordinal}" for ordinal in range(3)),
        "remember",
        "DELETE orbit-server",
        "POST statefulsets",
        "remember",
    ]
    assert [line.partition(" after")[0] for line in said if "data-orbit-server-1" in line] == [
        "data-orbit-server-1: 10Gi, to be 20Gi",
        "data-orbit-server-1: the driver has not begun,",
        "data-orbit-server-1: done",
    ]


@pytest.mark.parametrize("kill", range(8))
def test_a_run_that_is_killed_is_finished_by_the_next(kill: int) -> None:
    cluster = _Cluster(kill=kill)
    if kill < 7:
        with pytest.raises(Killed):
            run(cluster, larger())
        assert cluster.sets or cluster.lease["statefulset"]  # it can always be made again
    cluster.kill = -1
    run(cluster, larger())
    is_grown(cluster)
    assert sum(write.startswith("DELETE") for write in cluster.writes) == 1


@pytest.mark.parametrize(("made", "waits"), [("2026-11-24T12:59:55Z", [5.0]), ("2026-11-24T12:59:50Z", [])])
def test_what_is_new_is_not_taken_apart(monkeypatch: pytest.MonkeyPatch, made: str, waits: list[float]) -> None:
    """The garbage collector might not know yet whose the pods are, and delete them."""
    slept: list[float] = []
    monkeypatch.setattr(reshape.time, "sleep", slept.append)
    cluster = _Cluster()
    cluster.pods[1]["metadata"]["creationTimestamp"] = made
    run(cluster, larger("spec|podManagementPolicy", "OrderedReady"))
    assert [seconds for seconds in slept if seconds] == waits


def test_a_field_that_cannot_change_needs_no_claim() -> None:
    cluster = _Cluster()
    run(cluster, larger("spec|podManagementPolicy", "OrderedReady"))
    assert cluster.sets["orbit-server"]["spec"]["podManagementPolicy"] == "OrderedReady"
    assert cluster.writes[0] == "remember"


@pytest.mark.parametrize(
    "refuses",
    [f"PATCH {CLAIMS}/data-orbit-server-2?dryRun", f"POST {SETS}?dryRun"],
)
def test_what_the_cluster_refuses_is_not_begun(refuses: str) -> None:
    cluster = _Cluster()
    cluster.refuses = refuses
    with pytest.raises(OrbitError, match="that is not begun: exceeded quota"):
        run(cluster, larger())
    assert cluster.writes == []


def test_a_statefulset_that_cannot_be_made_again_is_made_by_the_next_run() -> None:
    cluster = _Cluster()
    cluster.refuses = f"POST {SETS}?fieldManager"
    with pytest.raises(OrbitError, match="its pods go on without it"):
        run(cluster, larger())
    cluster.refuses = ""
    run(cluster, larger())
    is_grown(cluster)


def test_a_volume_that_does_not_grow_ends_the_run_with_what_the_cluster_says() -> None:
    cluster = _Cluster()
    cluster.stuck = True
    with pytest.raises(OrbitError, match="data-orbit-server-0 does not get 20Gi: the driver has not begun") as error:
        run(cluster, larger())
    assert "kubectl describe pvc data-orbit-server-0 -n orbit-rs" in error.value.remedy
    assert cluster.writes == ["PATCH data-orbit-server-0"]
    assert cluster.sets["orbit-server"]["metadata"]["uid"] == "set-0"


def test_the_new_statefulset_carries_what_others_have_put_into_it() -> None:
    live = _Cluster().sets["orbit-server"]
    live["metadata"] |= {
        "finalizers": ["orphan", "example.com/kept"],
        "managedFields": [{}],
        "deletionTimestamp": "now",
    }
    live["metadata"]["annotations"]["orbit.rs/since"] = "long ago"
    made = successor(live, {"spec": {"serviceName": "other"}}, ["serviceName", "volumeClaimTemplates"])
    assert (made["spec"]["serviceName"], "volumeClaimTemplates" in made["spec"]) == ("other", False)
    assert _template(made) == _template(live)
    assert made["metadata"]["finalizers"] == ["example.com/kept"]
    assert made["metadata"]["annotations"]["orbit.rs/since"] == "long ago"
    assert not {"uid", "resourceVersion", "deletionTimestamp", "managedFields"} & made["metadata"].keys()
    assert "status" not in made
