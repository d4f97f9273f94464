# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.orbit.rs.plugins.plugin_utils import rollout
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Object, Verdict
from ansible_collections.orbit.rs.tests.unit.plugins.plugin_utils.live import (
    NOW,
    OLD,
    SINCE,
    ago,
    event,
    loop,
    pending,
    pod,
    statefulset,
    waiting,
)

RUNNING = {"state": {"running": {"startedAt": ago(5)}}}
LEAVING = {"deletionTimestamp": ago(1)}
CRASH = loop(1)
ENDED = {"state": {"terminated": {"exitCode": 1, "reason": "Error", "finishedAt": ago(1)}}, "restartCount": 2}
INIT_AGAIN = {"name": "init", "ready": False, "restartCount": 2, "state": {"running": {"startedAt": ago(1)}}}
MOUNT = event("pod-0", "FailedMount", 'MountVolume.SetUp failed for volume "x" : secret "nope" not found', 200, 60)


def judge(pods: list[Object], live: Object | None = None, events: Any = (), **options: Any) -> Verdict:
    return rollout.verdict(live or statefulset(), pods, (), list(events), now=NOW, since=SINCE, **options)


def ready() -> list[Object]:
    return [pod(0), pod(1), pod(2)]


@pytest.mark.parametrize(
    ("pods", "live", "state"),
    [
        pytest.param(ready(), None, "ready", id="all ready"),
        pytest.param(ready(), statefulset(observed=1), "progressing", id="the controller has not seen it yet"),
        pytest.param(ready()[:2], None, "progressing", id="one is missing"),
        pytest.param([*ready()[:2], pod(2, RUNNING)], None, "progressing", id="one is not ready"),
        pytest.param([*ready()[:2], pod(2, revision=OLD)], None, "progressing", id="one is on the old revision"),
        pytest.param([*ready()[:2], pod(2, metadata=LEAVING)], None, "progressing", id="one is terminating"),
        pytest.param([*ready(), pod(3)], None, "progressing", id="one too many"),
        pytest.param([], statefulset(replicas=0), "ready", id="scaled to zero"),
        pytest.param([pod(5), pod(6)], statefulset(2, ordinals={"start": 5}), "ready", id="ordinals start at five"),
        pytest.param([*ready()[:2], pod(2, CRASH)], None, "failed", id="one crashes"),
        pytest.param([*ready()[:2], pod(2, CRASH, revision=OLD)], None, "progressing", id="the old revision crashes"),
        pytest.param([*ready()[:2], pod(2, CRASH, metadata=LEAVING)], None, "progressing", id="it leaves already"),
        pytest.param([*ready()[:2], pod(2, CRASH)], statefulset(observed=1), "progressing", id="crash, not yet seen"),
    ],
)
def test_verdict(pods: list[Object], live: Object | None, state: str) -> None:
    assert judge(pods, live).state == state


def test_a_pod_of_somebody_else_does_not_count() -> None:
    stranger = pod(2, metadata={"ownerReferences": [{"kind": "StatefulSet", "uid": "other"}]})
    verdict = judge([pod(0), pod(1), stranger])
    assert (verdict.state, verdict.ordinals[2].phase) == ("progressing", rollout.MISSING)


@pytest.mark.parametrize(
    ("one", "events", "phase"),
    [
        (pod(0), [], "Ready"),
        (pod(0, metadata=LEAVING), [], "Terminating"),
        (pod(0, RUNNING), [], "Running, not ready"),
        (pending(0), [], "Pending: no node yet"),
        (pod(0, waiting("ImagePullBackOff")), [], "Pending: ImagePullBackOff"),
        (pod(0, {"state": {"terminated": {"exitCode": 3, "finishedAt": ago(1)}}}), [], "ended with exit code 3"),
        (pod(0, waiting("ContainerCreating")), [], "Pending: starting"),
        (
            pod(0, waiting("ContainerCreating")),
            [event("pod-0", "Scheduled", "", last=9), event("pod-0", "Pulling", "", last=2)],
            "Pending: pulling the image",
        ),
        (
            pod(0, waiting("ContainerCreating")),
            [event("another life", "Pulling", "", last=2)],
            "Pending: starting",
        ),
    ],
)
def test_phase(one: Object, events: list[Object], phase: str) -> None:
    assert judge([one], statefulset(1), events).ordinals[0].phase == phase


def test_a_failed_create_counts_only_while_its_pod_is_missing_and_only_when_it_is_recent() -> None:
    message = "create Pod orbit-server-2 in StatefulSet orbit-server failed error: exceeded quota: pods, requested: 1"
    refused = event("set", "FailedCreate", message)
    verdict = judge(ready()[:2], events=[refused])
    assert verdict.diagnosis and (verdict.diagnosis.signature, verdict.diagnosis.ordinal) == ("quota", 2)
    assert judge([*ready()[:2], pod(2, RUNNING)], events=[refused]).state == "progressing"
    assert judge(ready()[:2], events=[event("set", "FailedCreate", message, 90, 60)]).state == "progressing"


def test_a_probe_that_fails_is_named_only_when_the_time_is_up() -> None:
    pods = [pod(0, RUNNING)]
    probe = event("pod-0", "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503")
    assert judge(pods, statefulset(1), [probe]).state == "progressing"
    verdict = judge(pods, statefulset(1), [probe], final=True)
    assert verdict.diagnosis and verdict.diagnosis.signature == "never ready"


@pytest.mark.parametrize(
    ("one", "events", "names"),
    [
        pytest.param(pod(0, CRASH, age=300), [], ["orbit-server-0"], id="crash loop of before"),
        pytest.param(pod(0, waiting("ImagePullBackOff"), age=300), [], ["orbit-server-0"], id="image of before"),
        pytest.param(
            pod(0, waiting("ContainerCreating"), age=300), [MOUNT], ["orbit-server-0"], id="missing Secret of before"
        ),
        pytest.param(pod(0, waiting("ContainerCreating"), age=300), [], [], id="a slow mount goes on"),
        pytest.param(pod(0, ENDED, age=300), [], ["orbit-server-0"], id="it has just failed again"),
        pytest.param(
            pod(0, waiting("PodInitializing"), age=300, status={"initContainerStatuses": [INIT_AGAIN]}),
            [],
            ["orbit-server-0"],
            id="its init container is at it again",
        ),
        pytest.param(pod(0, CRASH, age=10), [], [], id="crash loop of this rollout"),
        pytest.param(pod(0, CRASH, age=300, revision=OLD), [], [], id="the old revision is replaced anyway"),
        pytest.param(pod(0, CRASH, age=300, metadata=LEAVING), [], [], id="leaves already"),
        pytest.param(pod(0, RUNNING, age=300), [], [], id="not ready may still become ready"),
        pytest.param(pod(0, age=300), [], [], id="ready"),
    ],
)
def test_stuck(one: Object, events: list[Object], names: list[str]) -> None:
    assert rollout.stuck(statefulset(1), [one], events, SINCE) == names


LOST = {
    "metadata": {"name": "worker"},
    "status": {
        "conditions": [
            {
                "type": "Ready",
                "status": "Unknown",
                "reason": "NodeStatusUnknown",
                "message": "Kubelet stopped posting node status.",
                "lastTransitionTime": ago(9),
            }
        ]
    },
}


@pytest.mark.parametrize(
    "one",
    [
        pytest.param(pod(0, RUNNING), id="not ready"),
        pytest.param(pod(0, metadata=LEAVING), id="does not leave"),
        pytest.param(pod(0, RUNNING, revision=OLD), id="of the old revision"),
    ],
)
def test_a_node_that_is_not_ready_is_named(one: Object) -> None:
    assert judge([one], statefulset(1)).state == "progressing"
    verdict = judge([one], statefulset(1), nodes=[LOST])
    assert verdict.diagnosis and verdict.diagnosis.signature == "node not ready"
    assert "kubectl describe node worker" in verdict.diagnosis.remedy
    assert verdict.diagnosis.evidence == (
        "orbit-server-0: NodeStatusUnknown: node worker: Kubelet stopped posting node status."
    )


def test_a_node_that_is_not_ready_does_not_matter_to_a_pod_that_is() -> None:
    assert judge([pod(0)], statefulset(1), nodes=[LOST]).state == "ready"


@pytest.mark.parametrize(
    ("one", "names"),
    [
        pytest.param(pod(0), [], id="ready"),
        pytest.param(pod(0, RUNNING, age=2), [], id="not ready for two seconds"),
        pytest.param(pod(0, RUNNING, age=20), ["worker"], id="not ready for a while"),
        pytest.param(pod(0, metadata=LEAVING), [], id="leaves, since a second"),
        pytest.param(
            pod(0, metadata={"deletionTimestamp": ago(-20), "deletionGracePeriodSeconds": 60}),
            ["worker"],
            id="does not leave, since forty seconds",
        ),
        pytest.param(pending(0, "no room"), [], id="on no node"),
    ],
)
def test_nodes_to_look_at(one: Object, names: list[str]) -> None:
    assert rollout.nodes_to_look_at([one], NOW) == names
