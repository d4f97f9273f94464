# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands against a larger volume, and how far one is."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.orbit.rs.plugins.plugin_utils import volumes
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Object
from ansible_collections.orbit.rs.plugins.plugin_utils.volumes import Growth
from ansible_collections.orbit.rs.tests.unit.plugins.plugin_utils import data


def condition(kind: str, message: str = "") -> Object:
    return {"type": kind, "status": "True", "message": message}


def growth(claim: Object, size: str = "20Gi", attributes: str = "") -> Growth:
    return Growth(claim, 0, "orbit-server-0", size, attributes)


def claim(asked: str = "10Gi", **status: Any) -> Object:
    found = data.claim(0, **status)
    found["spec"]["resources"]["requests"]["storage"] = asked
    return found


CLASS = data.storage_class("standard")
DELETED = claim()
DELETED["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
HANDMADE = claim()
del HANDMADE["spec"]["storageClassName"]


@pytest.mark.parametrize(
    ("found", "classes", "words"),
    [
        (claim(), {"standard": CLASS}, ""),
        (claim(), None, ""),  # not known: the API server will tell
        (claim(), {}, "its StorageClass standard does not exist any more"),
        (claim(), {"standard": {**CLASS, "allowVolumeExpansion": False}}, "does not allow it"),
        (claim(), {"standard": {**CLASS, "provisioner": "rancher.io/local-path"}}, "does not resize volumes"),
        (claim(phase="Pending", capacity={}), {"standard": CLASS}, "it is Pending, and has no volume yet"),
        (claim(phase="Lost"), {"standard": CLASS}, "it is Lost"),
        (DELETED, {"standard": CLASS}, "it is being deleted"),
        (HANDMADE, {"standard": CLASS}, "its volume was made by hand"),
    ],
)
def test_what_stands_against_growth(found: Object, classes: dict[str, Object] | None, words: str) -> None:
    said = list(volumes.against([growth(found)], classes))
    assert [words in item.seen and bool(item.remedy) for item in said] == ([True] if words else [])


def test_several_claims_with_one_reason_are_one_finding() -> None:
    both = [growth(data.claim(0)), growth(data.claim(1))]
    (said,) = volumes.against(both, {})
    assert "data-orbit-server-0 and data-orbit-server-1 cannot grow" in said.seen


INFEASIBLE = {"allocatedResourceStatuses": {"storage": "ControllerResizeInfeasible"}}
SINCE_THEN_LESS = {**INFEASIBLE, "allocatedResources": {"storage": "200Gi"}}
SINCE_THEN_OTHER = {"status": "Infeasible", "targetVolumeAttributesClassName": "silver"}


@pytest.mark.parametrize(
    ("found", "size", "asked"),
    [
        (claim(), "20Gi", "20Gi"),
        (claim("20Gi"), "20Gi", ""),  # asked for already, and waited for
        (claim("30Gi"), "20Gi", ""),  # somebody asked for more: it is waited for
        (claim("30Gi", **INFEASIBLE), "20Gi", "20Gi"),  # which has failed for good
        (claim("30Gi", capacity={"storage": "30Gi"}), "20Gi", ""),
    ],
)
def test_what_a_claim_is_asked_for(found: Object, size: str, asked: str) -> None:
    change = growth(found, size).change()
    assert change == ({"spec": {"resources": {"requests": {"storage": asked}}}} if asked else {})


@pytest.mark.parametrize(
    ("status", "words", "failed"),
    [
        ({}, "the driver has not begun", False),
        ({"conditions": [condition("Resizing")]}, "the driver makes the volume larger", False),
        (
            {"conditions": [condition("Resizing"), condition("FileSystemResizePending")]},
            "the volume is larger, its file system is not yet",
            False,
        ),
        (
            {"conditions": [condition("Resizing"), condition("ControllerResizeError", "no space in the pool")]},
            "the driver could not make the volume larger: no space in the pool",
            False,
        ),
        ({"conditions": [condition("NodeResizeError", "xfs")], **INFEASIBLE}, "larger: xfs", True),
        ({**INFEASIBLE, "allocatedResources": {"storage": "20480Mi"}}, "", True),
        (SINCE_THEN_LESS, "", False),
        ({"modifyVolumeStatus": {"status": "Infeasible"}}, "the driver has not begun", True),
        ({"modifyVolumeStatus": SINCE_THEN_OTHER}, "", False),
    ],
)
def test_how_far_a_volume_is(status: Object, words: str, failed: bool) -> None:
    found = claim("20Gi", **status)
    assert words in volumes.progress(found)
    assert volumes.failed(found) is failed


def test_a_file_system_grows_when_its_pod_is_back() -> None:
    """Nothing can be done about it before, so there is nothing to do."""
    objs = data.change(
        data.rendered(), data.STATEFULSET, "spec|volumeClaimTemplates|0|spec|resources|requests|storage", "20Gi"
    )
    wanted = next(obj for obj in objs if obj["kind"] == "StatefulSet")
    waiting = claim("20Gi", conditions=[condition("FileSystemResizePending")])
    assert not volumes.growths(wanted, wanted, [waiting], [])
    assert volumes.growths(wanted, wanted, [waiting], [data.pod(0)])


TEMPLATE: Object = {"metadata": {"name": "data"}, "spec": {"volumeAttributesClassName": "gold"}}
GOLD: Object = {"metadata": {"name": "gold"}, "driverName": "fast.csi.example.com"}


@pytest.mark.parametrize(
    ("classes", "drivers", "words"),
    [
        ([GOLD], ["fast.csi.example.com"], ""),
        ([GOLD], [], ""),
        (None, [], "does not serve VolumeAttributesClass"),
        ([], [], "VolumeAttributesClass gold does not exist; there are: none"),
        ([GOLD], ["other.csi.example.com"], "the volumes are of other.csi.example.com, which cannot apply it"),
        ([GOLD], ["", "fast.csi.example.com"], "the volumes are of no driver"),
    ],
)
def test_what_stands_against_attributes(classes: list[Object] | None, drivers: list[str], words: str) -> None:
    said = list(volumes.attribute_findings([TEMPLATE], classes, {"data": drivers}))
    assert [words in item.seen and item.severity == "error" for item in said] == ([True] if words else [])
    assert not list(volumes.attribute_findings([{"metadata": {"name": "data"}, "spec": {}}], None, {}))


@pytest.mark.parametrize(("status", "done"), [({}, False), ({"currentVolumeAttributesClassName": "gold"}, True)])
def test_attributes_are_changed_on_the_claim(status: Object, done: bool) -> None:
    found = growth(claim(**status), "10Gi", "gold")
    assert found.change() == {"spec": {"volumeAttributesClassName": "gold"}}
    assert volumes.done(found.claim, found) is done
