# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import copy
import dataclasses
import json
from typing import Any

import pytest
from ansible_collections.orbit.rs.plugins.plugin_utils import lock, objects
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Desired, Finding, Object, Plan, Snapshot
from ansible_collections.orbit.rs.plugins.plugin_utils.plan import (
    DEPLOY,
    actions,
    adoptable,
    growths,
    make_plan,
    needs_helm,
    reshaped,
    wiped,
)
from ansible_collections.orbit.rs.tests.unit.plugins.plugin_utils import data
from hypothesis import given
from hypothesis import strategies as st

TEMPLATE = "spec|template|spec|containers|0"
CONFIG = "ConfigMap/orbit-rs/orbit-server-config"
SERVICE = "Service/orbit-rs/orbit-server-headless"
BUDGET = "PodDisruptionBudget/orbit-rs/orbit-server"
IMAGE = f"{TEMPLATE}|image"
CLAIM = "spec|volumeClaimTemplates|0"
SIZE = f"{CLAIM}|spec|resources|requests|storage"
NEW = "orbit-rs/orbit-server:v0.2.0"


def changed(name: str, path: str, value: Any) -> tuple[Object, ...]:
    return data.change(data.rendered(), name, path, value)


def kinds(plan: Plan) -> list[str]:
    return [step.kind for step in plan.steps]


def test_nothing_to_do() -> None:
    plan = make_plan(data.wanted(), data.deployed(), ())
    assert (plan.steps, plan.refusals, plan.refused) == ((), (), False)
    assert actions(plan, data.wanted()) == ((), False)


def test_a_first_install_makes_the_platform_first_and_names_every_object() -> None:
    plan = make_plan(data.wanted(), data.EMPTY, ())
    assert kinds(plan) == ["configure", "install"]
    assert [item.object for step in plan.steps for item in step.differences] == [
        "Namespace/orbit-rs",
        *sorted(objects.key(obj) for obj in data.rendered()),
    ]
    assert actions(plan, data.wanted()) == ((data.NAMESPACE,), True)


@pytest.mark.parametrize(
    ("name", "path", "value", "kind"),
    [
        (CONFIG, "data|orbit-server.toml", "other", "configure"),
        (SERVICE, "metadata|labels", {"x": "y"}, "configure"),
        (BUDGET, "spec|maxUnavailable", 2, "configure"),
        (data.STATEFULSET, "metadata|labels", {"x": "y"}, "configure"),
        (data.STATEFULSET, "spec|revisionHistoryLimit", 3, "configure"),
        (data.STATEFULSET, "spec|template|metadata|annotations|checksum/config", "def", "roll"),
        (data.STATEFULSET, f"{TEMPLATE}|resources|limits|memory", "4Gi", "roll"),
        (data.STATEFULSET, f"{TEMPLATE}|env", None, "roll"),
        (data.STATEFULSET, IMAGE, "registry.example/orbit-server:v0.1.0", "roll"),
        (data.STATEFULSET, IMAGE, f"orbit-rs/orbit-server:v0.1.0@sha256:{'0' * 64}", "roll"),
    ],
)
def test_a_change_in_the_inventory_makes_one_step(name: str, path: str, value: Any, kind: str) -> None:
    plan = make_plan(data.wanted(changed(name, path, value)), data.deployed(), ())
    assert kinds(plan) == [kind]
    (step,) = plan.steps
    assert {(item.object, item.origin) for item in step.differences} == {(name, "inventory")}
    assert step.risk == ("restarts_pods" if kind == "roll" else "safe")
    assert step.restarts == (("orbit-server-2", "orbit-server-1", "orbit-server-0") if kind == "roll" else ())
    assert not plan.refused
    assert actions(plan, data.wanted()) == ((), True)


@pytest.mark.parametrize(
    ("path", "value", "check", "words"),
    [
        (
            IMAGE,
            NEW,
            "version",
            "set orbitServer.image.tag: v0.1.0. To change the version: ansible-playbook orbit.rs.upgrade",
        ),
        (
            "spec|replicas",
            5,
            "replicas",
            "replicaCount: 3. To change it: ansible-playbook orbit.rs.scale",
        ),
        (
            "spec|replicas",
            1,
            "replicas",
            "replicaCount: 3. To change it: ansible-playbook orbit.rs.scale",
        ),
        (SIZE, "5Gi", "volumes", "To have smaller volumes: back up, and restore"),
        (f"{CLAIM}|spec|storageClassName", "fast", "immutable field", "-e orbit_rs_reshape=true"),
        (f"{CLAIM}|metadata|labels", {"a": "b"}, "immutable field", "-e orbit_rs_reshape=true"),
        ("spec|podManagementPolicy", "OrderedReady", "immutable field", "-e orbit_rs_reshape=true"),
        ("spec|serviceName", "other", "immutable field", "-e orbit_rs_reshape=true"),
        ("spec|volumeClaimTemplates", None, "immutable field", "back up, uninstall, deploy, and restore"),
        (f"{CLAIM}|metadata|name", "store", "immutable field", "back up, uninstall, deploy, and restore"),
        ("spec|selector|matchLabels|a", "b", "immutable field", "back up, uninstall, deploy, and restore"),
    ],
)
def test_what_deploy_does_not_do_is_refused(path: str, value: Any, check: str, words: str) -> None:
    plan = make_plan(data.wanted(changed(data.STATEFULSET, path, value)), data.deployed(), ())
    assert plan.refused
    assert set(data.checks(plan.refusals)) == {("error", check)}
    assert all(words in item.remedy for item in plan.refusals)


def grown(*sizes: str, size: str = "20Gi") -> tuple[Desired, Snapshot]:
    """A release that wants this size, and whose claims have those; one without is not there."""
    live = data.deployed()
    claims = tuple(data.claim(number, found) for number, found in enumerate(sizes) if found)
    return data.wanted(changed(data.STATEFULSET, SIZE, size)), dataclasses.replace(live, claims=claims)


@pytest.mark.parametrize(
    ("sizes", "named", "words"),
    [
        (("10Gi", "10Gi", "10Gi"), [0, 1, 2], "grow data-orbit-server-0, data-orbit-server-1 and data-orbit-server-2"),
        (("20Gi", "10Gi", "20Gi"), [1], "grow data-orbit-server-1"),
        (("10Gi", "30Gi", "15Gi"), [0, 2], "grow data-orbit-server-0 and data-orbit-server-2; data-orbit-server-1 are"),
        (("20Gi", "20480Mi", "20Gi"), [], "volumes of new ordinals"),
        (("10Gi", "", "20Gi"), [0], "grow data-orbit-server-0"),
    ],
)
def test_a_larger_volume_is_a_step_that_restarts_nothing(sizes: tuple[str, ...], named: list[int], words: str) -> None:
    desired, live = grown(*sizes)
    plan = make_plan(desired, live, ())
    assert (kinds(plan), plan.refused, needs_helm(plan)) == (["grow_storage"], False, True)
    (step,) = plan.steps
    assert (step.risk, step.restarts, step.summary[: len(words)]) == ("safe", (), words)
    assert [growth.ordinal for growth in growths(plan, desired, live)] == named
    assert reshaped(plan) == ["volumeClaimTemplates"]


def test_a_volume_that_is_behind_grows_without_a_new_statefulset() -> None:
    desired, live = data.wanted(), data.deployed()
    live = dataclasses.replace(live, claims=(data.claim(0), data.claim(1, "5Gi"), data.claim(2)))
    plan = make_plan(desired, live, ())
    assert (kinds(plan), needs_helm(plan), reshaped(plan)) == (["grow_storage"], False, [])
    assert [growth.name for growth in growths(plan, desired, live)] == ["data-orbit-server-1"]
    # Where it cannot, that is worth a warning, and stands in nobody's way.
    fixed = {**data.storage_class("standard"), "allowVolumeExpansion": False}
    plan = make_plan(desired, dataclasses.replace(live, storage_classes=(fixed,)), ())
    assert (plan.steps, plan.refused, data.checks(plan.findings)) == ((), False, [("warning", "volumes")])


@pytest.mark.parametrize(
    ("path", "value"),
    [(IMAGE, NEW), (f"{TEMPLATE}|env", None), ("spec|template|metadata|annotations|checksum/config", "def")],
)
def test_volumes_and_pods_do_not_change_in_one_run(path: str, value: Any) -> None:
    objs = data.change(changed(data.STATEFULSET, SIZE, "20Gi"), data.STATEFULSET, path, value)
    plan = make_plan(data.wanted(objs), data.deployed(), (), DEPLOY | {"upgrade"})
    assert ("error", "volumes") in data.checks(plan.refusals)
    # Nor when a run that was killed has made the StatefulSet again, and Helm does not know of it.
    plan = make_plan(
        data.wanted(objs), data.deployed(live=changed(data.STATEFULSET, SIZE, "20Gi")), (), DEPLOY | {"upgrade"}
    )
    assert ("error", "volumes") in data.checks(plan.refusals)


def test_volumes_do_not_change_while_a_rollout_is_half_way() -> None:
    desired, live = grown("10Gi", "10Gi", "10Gi")
    live.objects[data.STATEFULSET]["spec"]["updateStrategy"]["rollingUpdate"] = {"partition": 1}
    plan = make_plan(desired, live, ())
    assert data.checks(plan.refusals) == [("error", "volumes")]
    assert "half-way" in plan.refusals[0].seen


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec|podManagementPolicy", "OrderedReady"),
        ("spec|serviceName", "other"),
        ("spec|volumeClaimTemplates|0|metadata|labels", {"a": "b"}),
        ("spec|volumeClaimTemplates|0|metadata|annotations", {"example.org/a": "b"}),
        ("spec|volumeClaimTemplates|0|spec|storageClassName", "fast"),
    ],
)
def test_a_field_that_cannot_change_is_a_step_when_that_is_allowed(path: str, value: Any) -> None:
    plan = make_plan(data.wanted(changed(data.STATEFULSET, path, value)), data.deployed(), (), DEPLOY | {"reshape"})
    assert (kinds(plan), plan.refused, needs_helm(plan)) == (["reshape"], False, True)
    assert (plan.steps[0].risk, reshaped(plan)) == ("safe", [path.split("|")[1]])


def orphaned(size: str) -> Snapshot:
    """A release whose StatefulSet a killed run was about to make again in this size."""
    live = data.deployed()
    left = data.served(next(obj for obj in changed(data.STATEFULSET, SIZE, size) if obj["kind"] == "StatefulSet"))
    note = json.dumps({"operation": "deploy", "phase": "reshaping", "statefulset": left})
    lease = {
        "metadata": {"annotations": {lock.UNFINISHED: note}, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {},
    }
    there = {name: obj for name, obj in live.objects.items() if name != data.STATEFULSET}
    claims = tuple(data.claim(ordinal, size) for ordinal in range(3))
    return dataclasses.replace(live, objects=there, lease=lease, claims=claims)


@pytest.mark.parametrize(
    ("size", "steps", "refused"),
    [
        ("20Gi", ["reshape", "configure"], False),
        ("30Gi", ["reshape", "grow_storage"], False),
        ("10Gi", ["reshape"], True),  # what has grown does not shrink
    ],
)
def test_a_statefulset_that_a_killed_run_has_taken_away_is_made_again(
    size: str, steps: list[str], refused: bool
) -> None:
    plan = make_plan(data.wanted(changed(data.STATEFULSET, SIZE, size)), orphaned("20Gi"), ())
    assert (kinds(plan), plan.refused) == (steps, refused)
    assert {step.risk for step in plan.steps} == {"safe"}


def test_the_same_size_in_other_words_is_no_change() -> None:
    objs = changed(data.STATEFULSET, "spec|volumeClaimTemplates|0|spec|resources|requests|storage", "10240Mi")
    assert not make_plan(data.wanted(objs), data.deployed(), ()).refused


def test_a_renamed_statefulset_is_refused() -> None:
    objs = changed(data.STATEFULSET, "metadata|name", "other")
    plan = make_plan(data.wanted(objs), data.deployed(), ())
    assert ("error", "name") in data.checks(plan.refusals)


def test_immutable_fields_of_other_objects_are_refused_with_the_way_out() -> None:
    plan = make_plan(data.wanted(changed(SERVICE, "spec|clusterIP", "10.0.0.1")), data.deployed(), ())
    assert data.checks(plan.refusals) == [("error", "immutable field")]
    assert "kubectl delete service orbit-server-headless -n orbit-rs" in plan.refusals[0].remedy
    assert plan.steps == ()


@pytest.mark.parametrize(
    ("name", "path", "value", "kind"),
    [
        (CONFIG, "data|orbit-server.toml", "edited", "configure"),
        (BUDGET, "spec|maxUnavailable", 3, "configure"),
        (data.STATEFULSET, f"{TEMPLATE}|resources|limits|memory", "9Gi", "roll"),
    ],
)
def test_drift_is_undone_and_attributed(name: str, path: str, value: Any, kind: str) -> None:
    snapshot = data.deployed(live=changed(name, path, value))
    plan = make_plan(data.wanted(), snapshot, ())
    assert kinds(plan) == [kind]
    assert {item.origin for item in plan.steps[0].differences} == {"cluster"}
    assert {item.found for item in plan.steps[0].differences} == {value}


def test_drift_names_the_field_manager() -> None:
    snapshot = data.deployed(live=changed(BUDGET, "spec|maxUnavailable", 3))
    snapshot.objects[BUDGET]["metadata"]["managedFields"] = [
        {"manager": "kubectl-edit", "time": "2026-11-24T10:00:00Z", "fieldsV1": {"f:spec": {"f:maxUnavailable": {}}}}
    ]
    (step,) = make_plan(data.wanted(), snapshot, ()).steps
    assert step.differences[0].by == "kubectl-edit, 2026-11-24 10:00:00 UTC"
    assert "undoes what was done in the cluster" in step.summary


@pytest.mark.parametrize(
    ("path", "value", "check", "words"),
    [
        ("spec|replicas", 5, "replicas", "To keep it: set orbitServer.replicaCount: 5"),
        (IMAGE, NEW, "version", "set orbitServer.image.tag: v0.2.0"),
    ],
)
def test_drift_that_deploy_does_not_undo(path: str, value: Any, check: str, words: str) -> None:
    snapshot = data.deployed(live=changed(data.STATEFULSET, path, value))
    plan = make_plan(data.wanted(), snapshot, ())
    assert data.checks(plan.refusals) == [("error", check)]
    assert words in plan.refusals[0].remedy
    # The remedy works: with that value in the inventory the release only has to store what is there.
    plan = make_plan(data.wanted(changed(data.STATEFULSET, path, value)), snapshot, ())
    assert not plan.refused
    assert kinds(plan) == ["configure"]
    assert plan.steps[0].risk == "safe"


@pytest.mark.parametrize(("name", "kind"), [(CONFIG, "configure"), (data.STATEFULSET, "roll")])
def test_a_missing_object_is_made_again(name: str, kind: str) -> None:
    snapshot = data.deployed()
    live = {key: obj for key, obj in snapshot.objects.items() if key != name}
    plan = make_plan(data.wanted(), dataclasses.replace(snapshot, objects=live), ())
    assert kinds(plan) == [kind]
    assert [(item.path, item.wanted, item.found, item.origin) for item in plan.steps[0].differences] == [
        ("", objects.PRESENT, None, "cluster")
    ]


def test_a_missing_statefulset_is_not_made_again_with_another_version_or_size() -> None:
    snapshot = data.deployed()
    live = {key: obj for key, obj in snapshot.objects.items() if key != data.STATEFULSET}
    objs = data.change(changed(data.STATEFULSET, IMAGE, NEW), data.STATEFULSET, "spec|replicas", 2)
    plan = make_plan(data.wanted(objs), dataclasses.replace(snapshot, objects=live), ())
    assert data.checks(plan.refusals) == [("error", "replicas"), ("error", "version")]


def test_an_object_that_is_no_longer_rendered_is_removed() -> None:
    objs = [obj for obj in data.rendered() if objects.key(obj) != BUDGET]
    (step,) = make_plan(data.wanted(objs), data.deployed(), ()).steps
    assert step.kind == "configure"
    assert step.summary == "remove PodDisruptionBudget orbit-server"


def test_a_missing_label_of_the_namespace_needs_no_helm() -> None:
    snapshot = dataclasses.replace(data.deployed(), namespace={"kind": "Namespace", "metadata": {"name": "orbit-rs"}})
    live = {key: obj for key, obj in snapshot.objects.items() if not key.startswith("Namespace")}
    plan = make_plan(data.wanted(), dataclasses.replace(snapshot, objects=live), ())
    assert kinds(plan) == ["configure"]
    assert actions(plan, data.wanted()) == ((data.NAMESPACE,), False)


STORAGE: Object = {
    "kind": "StorageClass", "metadata": {"name": "fast"}, "provisioner": "x", "allowVolumeExpansion": True
}  # fmt: skip


@pytest.mark.parametrize(
    ("live", "steps", "refusals"),
    [
        ({"metadata": {"name": "fast"}, "provisioner": "x", "allowVolumeExpansion": True}, [], []),
        ({"metadata": {"name": "fast"}, "provisioner": "x"}, ["configure"], []),
        ({"metadata": {"name": "fast"}, "provisioner": "y", "allowVolumeExpansion": True}, [], ["immutable field"]),
        ({"metadata": {"name": "other"}, "provisioner": "x"}, ["configure"], []),
    ],
)
def test_storage_class(live: Object, steps: list[str], refusals: list[str]) -> None:
    snapshot = dataclasses.replace(data.deployed(), storage_classes=(live,))
    plan = make_plan(data.wanted(platform=(STORAGE,)), snapshot, ())
    assert kinds(plan) == steps
    assert [item.check for item in plan.refusals] == refusals


def test_what_may_not_be_read_is_left_alone() -> None:
    snapshot = dataclasses.replace(
        data.deployed(), storage_classes=None, denied=("storage classes", "StorageClass/fast", CONFIG)
    )
    live = {key: obj for key, obj in snapshot.objects.items() if key != CONFIG}
    plan = make_plan(data.wanted(platform=(STORAGE,)), dataclasses.replace(snapshot, objects=live), ())
    assert plan.steps == ()


@pytest.mark.parametrize(
    ("status", "deployed", "words"),
    [
        ("pending-install", 0, "helm uninstall orbit-rs -n orbit-rs"),
        ("pending-upgrade", 4, "helm rollback orbit-rs 4 -n orbit-rs"),
        ("pending-rollback", 0, "helm history orbit-rs -n orbit-rs"),
        ("uninstalling", 0, "helm uninstall orbit-rs -n orbit-rs"),
    ],
)
def test_an_unfinished_release_is_refused(status: str, deployed: int, words: str) -> None:
    release = data.stored(data.rendered(), status, 5, deployed)
    plan = make_plan(data.wanted(), dataclasses.replace(data.deployed(), release=release), ())
    assert (plan.steps, plan.refused) == ((), True)
    assert words in plan.refusals[0].remedy
    again = make_plan(data.wanted(), dataclasses.replace(data.deployed(), release=release), plan.refusals)
    assert (again.refusals, again.refused) == ((), True)  # said once


def test_after_a_failed_first_install_it_is_installed_again() -> None:
    snapshot = dataclasses.replace(data.EMPTY, release=data.stored(data.rendered(), "failed"))
    assert kinds(make_plan(data.wanted(), snapshot, ())) == ["configure", "install"]


def test_after_a_failed_upgrade_what_is_missing_is_applied_again() -> None:
    objs = changed(CONFIG, "data|orbit-server.toml", "new")
    plan = make_plan(data.wanted(objs), data.deployed(objs, live=data.rendered(), status="failed"), ())
    assert kinds(plan) == ["configure"]
    assert plan.steps[0].differences[0].origin == "inventory"
    plan = make_plan(data.wanted(), data.deployed(status="failed"), ())
    assert kinds(plan) == ["configure"]  # a revision that is good, for the record
    assert actions(plan, data.wanted()) == ((), True)


def test_a_kept_history_of_an_uninstalled_release_is_no_release() -> None:
    snapshot = dataclasses.replace(data.EMPTY, release=data.stored(data.rendered(), "uninstalled"))
    assert kinds(make_plan(data.wanted(), snapshot, ())) == ["configure", "install"]


@pytest.mark.parametrize("ours", [True, False])
def test_a_rollout_that_ended_half_way_is_finished(ours: bool) -> None:
    """By a run that was killed, which left its note on the Lease; or by somebody who set the partition by hand."""
    note = {lock.UNFINISHED: '{"operation": "upgrade"}'} if ours else {}
    lease = {"metadata": {"annotations": note, "creationTimestamp": "2026-01-01T00:00:00Z"}, "spec": {}}
    live = dataclasses.replace(data.deployed(), lease=lease)
    live.objects[data.STATEFULSET]["spec"]["updateStrategy"]["rollingUpdate"] = {"partition": 1}
    plan = make_plan(data.wanted(), live, ())
    assert (kinds(plan), plan.refused, needs_helm(plan)) == (["roll"], False, False)
    assert [item.origin for item in plan.steps[0].differences] == ["inventory" if ours else "cluster"]


def test_an_upgrade_that_is_allowed_is_a_step() -> None:
    desired = data.wanted(changed(data.STATEFULSET, IMAGE, NEW))
    plan = make_plan(desired, data.deployed(), (), DEPLOY | {"upgrade"})
    assert (kinds(plan), plan.refused, plan.steps[0].risk) == (["upgrade"], False, "restarts_pods")


SCALE = DEPLOY | {"scale_out", "scale_in"}


@pytest.mark.parametrize(
    ("count", "more", "steps", "words"),
    [
        (4, (), ["scale_out"], ""),
        (2, (), ["scale_in"], "orbit-server-2 would go, and nothing else has their data"),
        (1, (), ["scale_in"], "orbit-server-1 and orbit-server-2 would go"),
        (2, ("remove_data_owner",), ["scale_in"], ""),
    ],
)
def test_ordinals_are_added_freely_and_removed_when_somebody_confirms_it(
    count: int, more: tuple[Any, ...], steps: list[str], words: str
) -> None:
    desired = data.wanted(changed(data.STATEFULSET, "spec|replicas", count))
    plan = make_plan(desired, data.deployed(), (), SCALE.union(more))
    assert kinds(plan) == steps
    assert plan.steps[0].risk == ("safe" if count > 3 else "removes_data_owner")
    assert not plan.steps[0].restarts
    assert [item.seen for item in plan.refusals if words not in item.seen] == []
    assert plan.refused is bool(words)


@pytest.mark.parametrize(
    ("made", "life"),
    [("2020-01-01T00:00:00Z", "an earlier release"), ("2027-01-01T00:00:00Z", "before it was scaled in")],
)
@pytest.mark.parametrize("remade", [False, True])
def test_volumes_of_an_earlier_life_are_named_adopted_or_deleted(remade: bool, made: str, life: str) -> None:
    desired = data.wanted(changed(data.STATEFULSET, "spec|replicas", 4))
    live = data.deployed()
    live.objects[data.STATEFULSET]["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    if remade:
        live.objects[data.STATEFULSET]["metadata"]["creationTimestamp"] = "2028-01-01T00:00:00Z"
        live.objects[data.STATEFULSET]["metadata"]["annotations"]["orbit.rs/since"] = "2026-01-01T00:00:00Z"
    old = data.claim(3)
    old["metadata"]["creationTimestamp"] = made
    live = dataclasses.replace(live, claims=(*live.claims, old))

    plan = make_plan(desired, live, (), SCALE)
    assert plan.refused
    assert old["metadata"]["name"] in plan.refusals[0].seen
    assert life in plan.refusals[0].seen

    plan = make_plan(desired, live, (), SCALE | {"adopt_volumes"})
    assert (kinds(plan), plan.refused, wiped(plan)) == (["scale_out"], False, [])

    plan = make_plan(desired, live, (), SCALE | {"wipe_volumes"})
    assert (kinds(plan), plan.refused) == (["wipe_volumes", "scale_out"], False)
    assert wiped(plan) == [old["metadata"]["name"]]
    assert plan.steps[0].risk == "destroys_data"


def test_number_and_template_do_not_change_in_one_run() -> None:
    objs = data.change(changed(data.STATEFULSET, "spec|replicas", 4), data.STATEFULSET, f"{TEMPLATE}|env", None)
    assert make_plan(data.wanted(objs), data.deployed(), (), SCALE).refused


@pytest.mark.parametrize("ready", [True, False])
def test_another_version_repairs_a_rollout_that_never_came_up(ready: bool) -> None:
    pods = tuple(data.pod(ordinal, ready=ready and ordinal == 0) for ordinal in range(3))
    snapshot = dataclasses.replace(data.deployed(), pods=pods)
    plan = make_plan(data.wanted(changed(data.STATEFULSET, IMAGE, NEW)), snapshot, ())
    assert plan.refused is ready
    assert kinds(plan) == ["upgrade" if ready else "roll"]
    assert ("repairs" in plan.steps[0].summary) is not ready
    assert ready or "repairs" in plan.steps[0].summary


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({}, "-e orbit_rs_adopt=true"),
        (
            {
                "labels": {"app.kubernetes.io/managed-by": "Helm"},
                "annotations": {"meta.helm.sh/release-name": "other", "meta.helm.sh/release-namespace": "orbit-rs"},
            },
            "orbit_rs_namespace",
        ),
    ],
)
def test_objects_of_somebody_else_are_refused(metadata: Object, words: str) -> None:
    live = {"kind": "ConfigMap", "metadata": {"name": "orbit-server-config", "namespace": "orbit-rs", **metadata}}
    plan = make_plan(data.wanted(), dataclasses.replace(data.EMPTY, objects={CONFIG: live}), ())
    assert data.checks(plan.refusals) == [("error", "owner")]
    assert words in plan.refusals[0].remedy


def test_an_error_among_the_findings_refuses_the_plan() -> None:
    assert make_plan(data.wanted(), data.deployed(), [Finding("error", "x", "y")]).refused
    assert not make_plan(data.wanted(), data.deployed(), [Finding("warning", "x", "y")]).refused


def test_the_hash_pins_the_plan() -> None:
    def hashed(snapshot: Snapshot, desired: Desired) -> str:
        return make_plan(desired, snapshot, ()).hash

    base = hashed(data.deployed(), data.wanted())
    assert base == hashed(data.deployed(), data.wanted(tuple(reversed(data.rendered()))))
    other = changed(CONFIG, "data|orbit-server.toml", "x")
    later = dataclasses.replace(data.deployed(), release=data.stored(data.rendered(), revision=2))
    hashes = {
        base,
        hashed(data.deployed(), data.wanted(other)),
        hashed(later, data.wanted()),
        hashed(data.deployed(live=other), data.wanted()),
    }
    assert len(hashes) == 4


def test_the_hash_pins_what_is_hidden() -> None:
    def hashed(secret: str) -> str:
        objs = objects.parse(f"kind: Secret\nmetadata: {{name: a}}\nstringData: {{key: {secret}}}", "orbit-rs")
        return make_plan(data.wanted((*data.rendered(), *objs)), data.deployed(), ()).hash

    assert hashed("one") != hashed("two")


# Random histories: fields of several objects, each with some other value wanted, stored and live.
FIELDS: list[tuple[str, str, list[Any]]] = [
    (CONFIG, "data|orbit-server.toml", ["a", "b"]),
    (CONFIG, "metadata|labels|team", ["x", "y", None]),
    (BUDGET, "spec|maxUnavailable", [1, 2]),
    (SERVICE, "spec|publishNotReadyAddresses", [True, False]),
    (data.STATEFULSET, f"{TEMPLATE}|resources|limits|memory", ["1Gi", "1024Mi", "2Gi", None]),
    (data.STATEFULSET, f"{TEMPLATE}|env", [[{"name": "A", "value": "1"}], [{"name": "B", "value": "1"}], [], None]),
    (data.STATEFULSET, "spec|template|spec|priorityClassName", ["high", None]),
    (data.STATEFULSET, "spec|replicas", [2, 3, 5]),
    (data.STATEFULSET, IMAGE, ["orbit-rs/orbit-server:v0.1.0", NEW, "mirror/orbit-server:v0.1.0"]),
    (data.STATEFULSET, SIZE, ["10Gi", "10240Mi", "20Gi", "5Gi"]),
    (data.STATEFULSET, "spec|podManagementPolicy", ["Parallel", "OrderedReady"]),
]
Edits = list[tuple[int, int]]
edits = st.lists(st.tuples(st.integers(0, len(FIELDS) - 1), st.integers(0, 3)), max_size=4)
missing = st.sets(st.sampled_from([CONFIG, SERVICE, BUDGET, data.STATEFULSET]), max_size=1)


def edited(choice: Edits) -> tuple[Object, ...]:
    objs = data.rendered()
    for field, number in choice:
        name, path, values = FIELDS[field]
        value = values[number % len(values)]
        try:
            objs = data.change(objs, name, path, copy.deepcopy(value))
        except KeyError:  # removed already
            continue
    return objs


def history(wanted: Edits, stored: Edits, live: Edits, absent: set[str]) -> tuple[Desired, Snapshot]:
    snapshot = data.deployed(edited(stored), edited(live))
    kept = {key: obj for key, obj in snapshot.objects.items() if key not in absent}
    return data.wanted(edited(wanted)), dataclasses.replace(snapshot, objects=kept)


def applied(desired: Desired, snapshot: Snapshot) -> Snapshot:
    """The cluster after Helm's merge: what is wanted is there, and the release has stored it."""
    after = data.deployed(desired.objects)
    release = data.stored(desired.objects, revision=(snapshot.release.revision if snapshot.release else 0) + 1)
    return dataclasses.replace(after, release=release, pods=snapshot.pods)


def touched(desired: Desired, snapshot: Snapshot) -> set[tuple[str, str]]:
    """Object and field of everything that Helm's merge changes in the cluster."""
    assert snapshot.release is not None
    was = {objects.key(obj): obj for obj in snapshot.release.objects}
    result = set()
    for obj in desired.objects:
        name = objects.key(obj)
        live = snapshot.objects.get(name)
        found = [""] if live is None else [item.path for item in objects.differences(obj, live, was[name])]
        result.update((name, path) for path in found)
    return result


@given(edits, edits, edits, missing)
def test_every_plan_is_complete_stable_and_converges(
    wanted: Edits, stored: Edits, live: Edits, absent: set[str]
) -> None:
    desired, snapshot = history(wanted, stored, live, absent)
    plan = make_plan(desired, snapshot, ())
    assert plan == make_plan(copy.deepcopy(desired), copy.deepcopy(snapshot), ())

    named = {(item.object, item.path) for step in plan.steps for item in step.differences}
    will = touched(desired, snapshot)
    if plan.refused:
        will = {(name, path) for name, path in will if name != data.STATEFULSET}  # what is refused is all about it
    assert will <= named
    if not plan.refused:
        pods = any(name == data.STATEFULSET and path.startswith("spec.template") for name, path in will)
        assert ("roll" in kinds(plan)) is (pods or data.STATEFULSET in absent)

    if not plan.refused:
        assert make_plan(desired, applied(desired, snapshot), ()).steps == ()


@given(edits, edits, edits, missing, st.sets(st.sampled_from(["upgrade", "scale_out", "scale_in", "wipe_volumes"])))
def test_no_owner_of_data_goes_unasked(
    wanted: Edits, stored: Edits, live: Edits, absent: set[str], more: set[Any]
) -> None:
    desired, snapshot = history(wanted, stored, live, absent)
    snapshot = dataclasses.replace(snapshot, claims=(*snapshot.claims, data.claim(3), data.claim(4)))
    plan = make_plan(desired, snapshot, (), DEPLOY | more)
    if not plan.refused:
        assert "removes_data_owner" not in {step.risk for step in plan.steps}
        assert ("destroys_data" in {step.risk for step in plan.steps}) <= ("wipe_volumes" in more)


@given(edits, edits, edits, missing, st.sets(st.sampled_from(["upgrade", "scale_out", "reshape"])))
def test_a_statefulset_is_never_made_again_while_pods_restart(
    wanted: Edits, stored: Edits, live: Edits, absent: set[str], more: set[Any]
) -> None:
    plan = make_plan(*history(wanted, stored, live, absent), (), DEPLOY | more)
    if reshaped(plan) and not plan.refused:
        assert "restarts_pods" not in {step.risk for step in plan.steps}


@given(edits)
def test_nothing_differs_right_after_it_was_applied(choice: Edits) -> None:
    objs = edited(choice)
    plan = make_plan(data.wanted(objs), data.deployed(objs), ())
    assert (plan.steps, plan.refusals) == ((), ())


@given(edits, edits)
def test_what_only_the_cluster_changed_is_never_ours(wanted: Edits, live: Edits) -> None:
    desired, snapshot = history(wanted, wanted, live, set())
    steps = make_plan(desired, snapshot, ()).steps
    origins = {item.origin for step in steps for item in step.differences}
    assert origins <= {"cluster"}


@pytest.mark.parametrize("allowed", [True, False])
def test_what_was_made_by_hand_is_taken_over_when_that_is_allowed(allowed: bool) -> None:
    objs = [copy.deepcopy(obj) for obj in data.rendered()]
    live = {objects.key(obj): obj for obj in objs if obj["kind"] in ("Service", "ConfigMap")}
    for obj in live.values():
        obj["metadata"]["labels"] = {"app.kubernetes.io/managed-by": "hand"}
    snapshot = dataclasses.replace(data.EMPTY, objects=live)
    plan = make_plan(data.wanted(), snapshot, (), DEPLOY | {"adopt"} if allowed else DEPLOY)
    assert plan.refused is not allowed
    assert ("adopt" in kinds(plan)) is allowed
    if allowed:
        assert {objects.key(obj) for obj in adoptable(data.wanted(), snapshot)} == set(live)
    else:
        assert all("orbit_rs_adopt=true" in item.remedy for item in plan.refusals)


@pytest.mark.parametrize(
    ("found", "wanted", "allowed", "says"),
    [
        ("v0.1.0", "v0.2.0", (), ""),
        ("v0.1.0", "v0.1.1-rc1", (), ""),
        ("v0.2.0", "v0.1.0", (), "downgrade"),
        ("v0.2.0", "v0.1.0", ("downgrade",), ""),
        ("v0.1.0", "v0.3.0", (), "skips a minor version"),
        ("v0.1.0", "v0.3.0", ("version_skip",), ""),
        ("nightly", "v0.3.0", (), ""),
    ],
)
def test_steps_between_versions(found: str, wanted: str, allowed: tuple[Any, ...], says: str) -> None:
    image = "orbit-rs/orbit-server:"
    stored = changed(data.STATEFULSET, IMAGE, image + found)
    desired = data.wanted(changed(data.STATEFULSET, IMAGE, image + wanted))
    plan = make_plan(desired, data.deployed(stored), (), DEPLOY | {"upgrade", *allowed})
    assert plan.refused is bool(says)
    assert all(says in item.seen for item in plan.refusals)
