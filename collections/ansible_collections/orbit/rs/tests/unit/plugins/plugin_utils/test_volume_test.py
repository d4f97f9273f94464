# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.orbit.rs.plugins.plugin_utils import objects, podsecurity, volume_test
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Object
from ansible_collections.orbit.rs.tests.unit.plugins.plugin_utils import data, live

STATEFULSET = objects.find(data.rendered(), "StatefulSet") or {}
TEMPLATE = STATEFULSET["spec"]["template"]["spec"]
CLAIM = {"metadata": {"name": volume_test.NAME, "uid": "claim"}, "spec": {"storageClassName": "s"}}


def test_the_claim_is_of_the_class_of_the_release() -> None:
    template = {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "s"}}
    spec = volume_test.claim("ns", template, "4Gi")["spec"]
    assert spec == {**template["spec"], "resources": {"requests": {"storage": "4Gi"}}}


@pytest.mark.parametrize("step", ["write", "read"])
def test_the_pods_run_as_the_release_does_and_are_no_part_of_it(step: str) -> None:
    pod = volume_test.pod("ns", step, {**TEMPLATE, "nodeSelector": {"a": "b"}}, "", 60, avoid="worker")
    assert podsecurity.violations(pod["spec"], "restricted") == []
    assert pod["spec"]["containers"][0]["image"] == "orbit-rs/orbit-server:v0.1.0"
    assert pod["spec"]["nodeSelector"] == {"a": "b"}
    assert pod["spec"]["activeDeadlineSeconds"] == 60
    assert any(pod["metadata"]["labels"].get(name) != value for name, value in data.LABELS.items())
    own = volume_test.pod("ns", step, TEMPLATE, "busybox:1", 60)["spec"]["containers"][0]
    assert own["image"] == "busybox:1" and "imagePullPolicy" not in own


def pod(phase: str = "Pending", *, message: str = "", container: Object | None = None) -> Object:
    found = live.pod(0, container or live.waiting("ContainerCreating"))
    found["metadata"]["uid"] = "pod"
    found["status"]["phase"] = phase
    found["status"]["message"] = message
    return found


ENDED = {"state": {"terminated": {"exitCode": 1, "reason": "Error", "finishedAt": live.ago(1)}}}
NO_SHELL = {
    "state": {"terminated": {"exitCode": 128, "reason": "StartError", "message": "exec: /bin/sh: no such file"}}
}
WAITS = live.event("claim", "ExternalProvisioning", "Waiting for a volume to be created by x", kind="Normal")
BOUND = {**CLAIM, "status": {"phase": "Bound"}}


@pytest.mark.parametrize(
    ("found", "claim", "events", "final", "signature", "words"),
    [
        (pod(), CLAIM, [WAITS], False, None, ""),
        (pod(), CLAIM, [WAITS], True, "not provisioned", "claim: ExternalProvisioning: Waiting for a volume"),
        (pod("Running"), BOUND, [], True, "not started", "the pod is Running"),
        (pod("Failed", container=ENDED), BOUND, [], False, "pod failed", "exit code 1"),
        (pod("Failed", message="Pod was active too long"), BOUND, [], False, "pod failed", "too long"),
        (pod("Failed", container=NO_SHELL), BOUND, [], False, "shell", "no such file"),
        (pod(container=live.waiting("ErrImageNeverPull")), BOUND, [], False, "image never pulled", ""),
    ],
)
def test_why_a_test_does_not_end(
    found: Object, claim: Object, events: list[Any], final: bool, signature: str | None, words: str
) -> None:
    why = volume_test.cause(found, claim, events, live.NOW, final=final)
    assert (why.signature if why else None) == signature
    if why:
        assert words in why.evidence and why.remedy
