# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from ansible_collections.orbit.rs.plugins.plugin_utils import objects, snapshot, storage
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Object, OrbitError

KIND = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": "fast"},
    "provisioner": "rancher.io/local-path",
    "reclaimPolicy": "Delete",
    "volumeBindingMode": "WaitForFirstConsumer",
    "allowVolumeExpansion": False,
}


def made(provider: str, **options: Any) -> tuple[Object, ...]:
    return storage.classes(storage.Wish(provider, **options))[0]


@pytest.mark.parametrize(
    ("provider", "options", "result"),
    [
        ("generic", {}, ()),
        ("generic", {"name": "fast"}, ()),
        ("kind", {}, ()),
        ("kind", {"name": "fast"}, (KIND,)),
        ("kind", {"name": "fast", "reclaim_policy": "Retain"}, ({**KIND, "reclaimPolicy": "Retain"},)),
        ("kind", {"name": "fast", "binding_mode": "Immediate"}, ({**KIND, "volumeBindingMode": "Immediate"},)),
        ("kind", {"name": "fast", "allow_expansion": True}, ({**KIND, "allowVolumeExpansion": True},)),
        ("kind", {"name": "fast", "mount_options": ["noatime"]}, ({**KIND, "mountOptions": ["noatime"]},)),
        (
            "kind",
            {"name": "fast", "default": True},
            ({**KIND, "metadata": {"name": "fast", "annotations": {storage.DEFAULT_CLASS: "true"}}},),
        ),
        (
            "kind",
            {"name": "fast", "parameters": {"encrypted": True, "iops": 3000, "type": "x"}},
            ({**KIND, "parameters": {"encrypted": "true", "iops": "3000", "type": "x"}},),
        ),
    ],
)
def test_classes(provider: str, options: dict[str, Any], result: Any) -> None:
    assert made(provider, **options) == result


@pytest.mark.parametrize(
    ("provider", "provisioner", "parameters"),
    [
        ("aks", "disk.csi.azure.com", {"skuName": "Premium_LRS"}),
        ("aks-zrs", "disk.csi.azure.com", {"skuName": "Premium_ZRS"}),
        ("aks-premium-v2", "disk.csi.azure.com", {"skuName": "PremiumV2_LRS", "cachingMode": "None"}),
        ("digitalocean", "dobs.csi.digitalocean.com", None),
        ("eks", "ebs.csi.aws.com", {"type": "gp3", "encrypted": "true"}),
        ("eks-auto", "ebs.csi.eks.amazonaws.com", {"type": "gp3", "encrypted": "true"}),
        ("gke", "pd.csi.storage.gke.io", {"type": "pd-ssd"}),
        ("gke-hyperdisk", "pd.csi.storage.gke.io", {"type": "hyperdisk-balanced"}),
    ],
)
def test_clouds(provider: str, provisioner: str, parameters: Any) -> None:
    disk, snapshots = made(provider, name="d", snapshot_class="s")
    assert (disk["provisioner"], disk.get("parameters")) == (provisioner, parameters)
    assert disk["allowVolumeExpansion"] and disk["volumeBindingMode"] == "WaitForFirstConsumer"
    assert (snapshots["kind"], snapshots["driver"]) == ("VolumeSnapshotClass", provisioner)
    assert (snapshots["metadata"]["name"], snapshots["deletionPolicy"]) == ("s", "Delete")


def test_every_parameter_is_text_and_every_profile_but_generic_creates_a_class() -> None:
    for name, profile in storage.PROFILES.items():
        assert bool(profile.provisioner) == (name != "generic")
        assert all(isinstance(value, str) for value in profile.parameters.values())
        assert objects.quantity(profile.least) >= 2**30


@pytest.mark.parametrize(
    ("provider", "zones", "expected"),
    [
        ("eks", [], None),
        ("eks", ["a"], {storage.ZONE: ["a"]}),
        ("gke", ["a", "b"], {"topology.gke.io/zone": ["a", "b"]}),
        ("aks", ["a"], {"topology.disk.csi.azure.com/zone": ["a"]}),
        ("eks-auto", [], {"eks.amazonaws.com/compute-type": ["auto"]}),
        ("eks-auto", ["a"], {"eks.amazonaws.com/compute-type": ["auto"], storage.ZONE: ["a"]}),
    ],
)
def test_zones(provider: str, zones: list[str], expected: dict[str, list[str]] | None) -> None:
    topologies = made(provider, name="d", zones=zones)[0].get("allowedTopologies")
    if expected is None:
        assert topologies is None
        return
    (term,) = topologies
    assert {item["key"]: item["values"] for item in term["matchLabelExpressions"]} == expected
    labels = {key: values[-1] for key, values in expected.items()}
    assert storage.allowed({"allowedTopologies": topologies}, labels)
    assert not storage.allowed({"allowedTopologies": topologies}, labels | {next(iter(expected)): "other"})


@pytest.mark.parametrize(
    ("provider", "options", "words"),
    [
        ("Kind", {"name": "a"}, "Set orbit_rs_storage_provider: kind"),
        ("zzz", {"name": "a"}, "known are: aks, aks-premium-v2"),
        ("generic", {"name": "a", "parameters": {"type": "gp3"}}, "orbit_rs_storage_parameters has no effect"),
        ("kind", {"default": True}, "orbit_rs_storage_default has no effect"),
        ("kind", {"reclaim_policy": "Retain"}, "orbit_rs_storage_reclaim_policy has no effect"),
        ("eks", {"zones": ["a"]}, "orbit_rs_storage_zones has no effect"),
        ("kind", {"name": "a", "zones": ["a"]}, "are in no zone"),
        ("kind", {"snapshot_class": "a"}, "makes no snapshots"),
        ("generic", {"snapshot_class": "a"}, "makes no snapshots"),
    ],
)
def test_what_has_no_effect_is_refused(provider: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(OrbitError, match=words):
        made(provider, **options)


def test_an_outdated_parameter_is_translated_and_named() -> None:
    wish = storage.Wish("aks", "d", {"storageaccounttype": "StandardSSD_LRS"})
    (disk,), (finding,) = storage.classes(wish)
    assert disk["parameters"] == {"skuName": "StandardSSD_LRS"}
    assert (finding.severity, "skuName is used instead" in finding.seen) == ("warning", True)


@pytest.mark.parametrize(
    ("live", "changed", "refused"),
    [
        ({}, [], ""),
        ({"allowVolumeExpansion": False}, ["allowVolumeExpansion"], ""),
        (
            {"reclaimPolicy": "Retain"},
            ["reclaimPolicy"],
            "reclaimPolicy is Retain, not Delete. This cannot be changed.",
        ),
        ({"parameters": {"type": "gp2", "encrypted": "true"}}, ["parameters.type"], "parameters.type is gp2, not gp3"),
        (
            {"parameters": {"type": "gp3", "encrypted": "true", "iops": "4000"}},
            ["parameters.iops"],
            "parameters.iops is 4000, not nothing",
        ),
        ({"parameters": None}, ["parameters"], "parameters is nothing, not"),
        ({"mountOptions": ["noatime"]}, [], ""),
    ],
)
def test_what_cannot_change_is_refused(live: Object, changed: list[str], refused: str) -> None:
    (wanted,) = made("eks", name="d")
    found = {name: value for name, value in (wanted | live).items() if value is not None}
    state = dataclasses.replace(snapshot.EMPTY, objects={"StorageClass/d": found})
    dummy, changes, findings = storage.compare((wanted,), state)
    assert [change.path for change in changes] == changed
    assert [refused in finding.seen for finding in findings] == [True] * bool(refused)
    if findings:
        assert "kubectl delete storageclass d" in findings[0].remedy


def test_what_is_not_there_is_made_and_what_is_not_served_is_left_out() -> None:
    wanted = made("eks", name="d", snapshot_class="s")
    served = snapshot.EMPTY
    assert storage.compare(wanted, served)[0] == wanted
    unserved = dataclasses.replace(served, unserved={"snapshot.storage.k8s.io/v1 VolumeSnapshotClass": ()})
    rest, changes, (finding,) = storage.compare(wanted, unserved)
    assert (rest, [change.object for change in changes]) == (wanted[:1], ["StorageClass/d"])
    assert "VolumeSnapshotClass s is left out" in finding.seen


@pytest.mark.parametrize(
    ("default", "others", "named"),
    [
        (True, {}, False),
        (True, {"gp2": storage.DEFAULT_CLASS}, True),
        (True, {"gp2": storage.OLD_DEFAULT_CLASS}, True),
        (True, {"d": storage.DEFAULT_CLASS}, False),
        (False, {"gp2": storage.DEFAULT_CLASS}, False),
    ],
)
def test_a_second_default_class_is_named(default: bool, others: dict[str, str], named: bool) -> None:
    live = [{"metadata": {"name": name, "annotations": {key: "true"}}} for name, key in others.items()]
    finding = storage.other_defaults(made("eks", name="d", default=default), live)
    assert (finding is not None) == named
    if finding:
        assert f"kubectl annotate storageclass gp2 {storage.DEFAULT_CLASS}-" in finding.remedy
