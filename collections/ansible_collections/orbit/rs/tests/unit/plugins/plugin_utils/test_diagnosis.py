# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import re
import string
from datetime import datetime, timedelta

import pytest
from ansible_collections.orbit.rs.plugins.plugin_utils import diagnosis
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Diagnosis, Object
from ansible_collections.orbit.rs.tests.unit.plugins.plugin_utils.live import (
    NOW,
    SINCE,
    ago,
    claim,
    event,
    loop,
    pending,
    pod,
    statefulset,
    waiting,
)

CREATE = "create Pod orbit-server-0 in StatefulSet orbit-server failed error: "
SCHEDULER = "0/3 nodes are available: {}. preemption: 0/3 nodes are available: 3 Preemption is not helpful."


def diagnose(
    pods: list[Object] | None = None,
    claims: list[Object] | None = None,
    events: list[Object] | None = None,
    final: bool = False,
    since: datetime = SINCE,
) -> Diagnosis | None:
    found = diagnosis.sightings(statefulset(1), pods or [], claims or [], events or [], now=NOW, since=since)
    return next(iter(diagnosis.match(found, final=final)), None)


@pytest.mark.parametrize(
    ("container", "signature", "says"),
    [
        (waiting("InvalidImageName", 'Failed to apply default image tag "A//b:x": invalid'), "image name", "A//b:x"),
        (waiting("ErrImagePull", "pull access denied, authorization failed"), "image access", ""),
        (waiting("ImagePullBackOff", "manifest unknown: no such tag"), "image not found", ""),
        (waiting("ErrImagePull", "dial tcp [::1]:1: connect: connection refused"), "image not pulled", "refused"),
        (waiting("ErrImageNeverPull", "is not present with pull policy of Never"), "image never pulled", ""),
        (waiting("CreateContainerConfigError", 'secret "s" not found'), "missing config", "missing: s."),
        (waiting("CreateContainerConfigError", 'configmap "c" not found'), "missing config", "missing: c."),
        (waiting("CreateContainerConfigError", "couldn't find key k in Secret ns/s"), "missing config", "k"),
        (waiting("CreateContainerError", "no space"), "config error", "no space"),
        (loop(137, "OOMKilled"), "out of memory", "exit code 137"),
        (loop(128, "StartError"), "command missing", ""),
        (loop(127), "command missing", ""),
        (loop(2), "wrong arguments", ""),
        (loop(0, "Completed"), "exit 0", ""),
        (loop(137), "out of memory", "most likely"),
        (loop(143), "killed by probe", ""),
        (loop(1), "crash loop", "exit code 1, 2 restarts"),
        (loop(20), "crash loop", "exit code 20"),
    ],
)
def test_containers(container: Object, signature: str, says: str) -> None:
    found = diagnose([pod(0, container)])
    assert found and found.signature == signature
    assert says in f"{found.cause} {found.evidence}"
    assert found.ordinal == 0


def test_the_first_crash_may_heal_but_not_the_end_by_memory() -> None:
    ended = {"exitCode": 1, "reason": "Error", "finishedAt": ago(2)}
    assert diagnose([pod(0, {"state": {"terminated": ended}})]) is None
    ended["reason"] = "OOMKilled"
    found = diagnose([pod(0, {"state": {"terminated": ended}})])
    assert found and found.signature == "out of memory"


def test_an_end_by_memory_from_before_does_not_count_once_the_server_runs_again() -> None:
    last = {"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": ago(300)}}
    running = {"state": {"running": {"startedAt": ago(299)}}, "lastState": last, "restartCount": 1}
    assert diagnose([pod(0, running, age=600)]) is None


def test_an_init_container_that_is_done_is_no_failure() -> None:
    done = {
        "name": "init",
        "ready": True,
        "restartCount": 0,
        "state": {"terminated": {"exitCode": 0, "reason": "Completed", "finishedAt": ago(1)}},
    }
    one = pod(0, waiting("PodInitializing"), status={"initContainerStatuses": [done]})
    one["spec"]["initContainers"] = [{"name": "init"}]
    assert diagnose([one]) is None
    one["status"]["initContainerStatuses"] = [{**done, **loop(1)}]
    found = diagnose([one])
    assert found and (found.signature, found.container) == ("init container", "init")
    assert "container init, exit code 1" in found.evidence
    better = diagnosis.with_log(found, "configuration error: no such file", "orbit-rs", "orbit-server-0")
    assert better.signature == "init container" and "configuration error" in better.evidence


@pytest.mark.parametrize(
    ("message", "signature", "what"),
    [
        ("3 Insufficient cpu", "scheduling: resources", "cpu"),
        ("1 Insufficient memory, 2 node(s) had untolerated taint {a: b}", "scheduling: resources", "memory"),
        ("3 Too many pods", "scheduling: too many pods", ""),
        ("3 node(s) had untolerated taint {gpu: yes}", "scheduling: taints", "gpu: yes"),
        ("3 node(s) had untolerated taint(s)", "scheduling: taints", ""),
        ("3 node(s) didn't match Pod's node affinity/selector", "scheduling: affinity", ""),
        ("3 node(s) didn't satisfy existing pods anti-affinity rules", "scheduling: affinity", ""),
        ("3 node(s) had volume node affinity conflict", "scheduling: volume", ""),
        ("pod has unbound immediate PersistentVolumeClaims", "scheduling: volume", ""),
        ("something new", "scheduling", ""),
    ],
)
def test_scheduling(message: str, signature: str, what: str) -> None:
    text = SCHEDULER.format(message)
    found = diagnose([pending(0, text)])
    assert found and found.signature == signature
    assert what in found.cause
    assert message in found.evidence
    assert diagnose([pending(0, text, seconds=2)]) is None, "it has just begun"


def test_a_node_that_is_on_its_way_is_waited_for() -> None:
    stuck = pending(0, SCHEDULER.format("3 Insufficient cpu"))
    assert diagnose([stuck], events=[event("pod-0", "TriggeredScaleUp", "", kind="Normal")]) is None
    not_ready = SCHEDULER.format("3 node(s) had untolerated taint {node.kubernetes.io/not-ready: }")
    assert diagnose([pending(0, not_ready, seconds=20)]) is None
    found = diagnose([pending(0, not_ready)], final=True)
    assert found and found.signature == "scheduling: node not ready"


@pytest.mark.parametrize(
    ("message", "signature", "what"),
    [
        ('pods "x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot', "pod security", "restricted"),
        ('pods "x" is forbidden: exceeded quota: q, requested: pods=1, limited: pods=0', "quota", "The quota q of"),
        ("pods is forbidden: failed quota: q: must specify limits.cpu for: a", "quota", "quota"),
        (
            "pods \"x\" is forbidden: ValidatingAdmissionPolicy 'p.example' with binding 'b' denied request: no",
            "admission policy",
            "p.example refuses",
        ),
        ('is forbidden: error looking up service account n/s: serviceaccount "s" not found', "service account", "s."),
        ("is forbidden: no PriorityClass with name high was found", "priority class", "high."),
        (
            "is forbidden: maximum memory usage per Container is 64Mi, but limit is 256Mi",
            "limit range",
            "maximum memory usage per Container is 64Mi",
        ),
        ('admission webhook "w.example" denied the request: no', "admission webhook", "w.example"),
        ('Internal error: failed calling webhook "w.example": timeout', "admission webhook", "does not answer"),
        ('Pod "x" is invalid: spec.containers[0].image: Required value', "not created", "Required value"),
    ],
)
def test_creation(message: str, signature: str, what: str) -> None:
    found = diagnose(events=[event("set", "FailedCreate", CREATE + message)])
    assert found and found.signature == signature
    assert what in f"{found.cause} {found.evidence}"
    assert found.ordinal == 0


@pytest.mark.parametrize(
    ("reason", "message", "signature"),
    [
        ("ProvisioningFailed", 'storageclass.storage.k8s.io "nope" not found', "storage class"),
        ("FailedBinding", "no persistent volumes available and no storage class is set", "no default class"),
        ("ProvisioningFailed", "rpc error: quota of the cloud", "not provisioned"),
    ],
)
def test_claims(reason: str, message: str, signature: str) -> None:
    said = [event("claim-0", reason, message, first=25)]
    found = diagnose(claims=[claim()], events=said)
    assert found and found.signature == signature
    assert diagnose(claims=[claim(phase="Bound")], events=said) is None
    assert diagnose(claims=[claim()], events=[event("claim-0", reason, message, 99, 60)]) is None, "of another life"


def test_a_missing_secret_of_a_volume_ends_the_rollout_and_a_slow_mount_does_not() -> None:
    creating = pod(0, waiting("ContainerCreating"))
    gone = event("pod-0", "FailedMount", 'MountVolume.SetUp failed for volume "x" : secret "nope" not found')
    found = diagnose([creating], events=[gone])
    assert found and (found.signature, found.cause[-5:]) == ("missing volume source", "nope.")
    slow = event("pod-0", "FailedMount", "Unable to attach or mount volumes: timed out")
    assert diagnose([creating], events=[slow]) is None


def test_the_cause_comes_before_its_consequence() -> None:
    said = [event("claim-0", "ProvisioningFailed", 'storageclass.storage.k8s.io "nope" not found')]
    unbound = pending(0, SCHEDULER.format("pod has unbound immediate PersistentVolumeClaims"))
    found = diagnose([unbound], [claim()], said)
    assert found and found.signature == "storage class"


STARTUP, READINESS = {"periodSeconds": 2, "failureThreshold": 150}, {"periodSeconds": 5, "failureThreshold": 3}
REFUSED = 'probe failed: Get "http://10.244.1.5:8080/health/x": dial tcp 10.244.1.5:8080: connect: connection refused'


def unready(seconds: float, started: bool = True) -> Object:
    """A server that has been running for so long without being ready."""
    container = {"state": {"running": {"startedAt": ago(seconds)}}, "started": started}
    probes = {"name": "orbit-server", "image": "x", "startupProbe": STARTUP, "readinessProbe": READINESS}
    return pod(0, container, age=seconds, spec={"containers": [probes]})


def said(probe: str, what: str, first: float, last: float = 1) -> Object:
    return event("pod-0", "Unhealthy", f"{probe} {what}", first, last)


@pytest.mark.parametrize(
    ("one", "events", "now", "at_last"),
    [
        pytest.param(unready(44), [said("Readiness", REFUSED, 44)], "", "probe refused", id="within three times"),
        pytest.param(unready(46), [said("Readiness", REFUSED, 46)], "probe refused", "probe refused", id="refused"),
        pytest.param(
            unready(46),
            [said("Readiness", "probe failed: HTTP probe failed with statuscode: 503", 46)],
            "never ready",
            "never ready",
            id="says not ready",
        ),
        pytest.param(
            unready(46),
            [said("Readiness", "probe failed: HTTP probe failed with statuscode: 404", 46)],
            "probe answered wrong",
            "probe answered wrong",
            id="unknown path",
        ),
        pytest.param(
            unready(250),
            [said("Startup", REFUSED, 250, 30), said("Readiness", REFUSED, 20)],
            "",
            "probe refused",
            id="started late",
        ),
        pytest.param(unready(250), [], "", "never ready", id="no event, it may have just started"),
        pytest.param(unready(350), [], "never ready", "never ready", id="no event, the kubelet is tired of them"),
        pytest.param(
            unready(250, started=False),
            [said("Startup", "probe failed: HTTP probe failed with statuscode: 503", 250)],
            "",
            "slow start",
            id="starting",
        ),
        pytest.param(unready(250, False), [said("Startup", REFUSED, 250)], "", "probe refused", id="starting, refused"),
    ],
)
def test_a_server_that_is_not_ready_gets_the_time_that_its_probes_allow(
    one: Object, events: list[Object], now: str, at_last: str
) -> None:
    found = diagnose([one], events=events, since=NOW - timedelta(seconds=400))
    assert (found.signature if found else "") == now
    assert diagnose([one], events=events) is None, "a new run gives it the time again"
    found = diagnose([one], events=events, final=True)
    assert found and found.signature == at_last
    assert (found.log, found.container) == ("now", "orbit-server")


@pytest.mark.parametrize(
    ("probe", "answer", "first", "signature"),
    [
        ("startup", REFUSED, 1, "probe refused"),
        ("startup", "probe failed: HTTP probe failed with statuscode: 404", 1, "probe answered wrong"),
        ("startup", "probe failed: HTTP probe failed with statuscode: 503", 1, "slow start"),
        ("startup", "probe failed: context deadline exceeded (Client.Timeout exceeded)", 1, "slow start"),
        ("liveness", REFUSED, 1, ""),  # it may come back
        ("liveness", REFUSED, 21, "killed by probe"),
    ],
)
def test_what_the_kubelet_kills_because_of_a_probe(probe: str, answer: str, first: float, signature: str) -> None:
    killing = event(
        "pod-0", "Killing", f"Container orbit-server failed {probe} probe, will be restarted", first, kind="Normal"
    )
    unhealthy = said(probe.capitalize(), answer, 60, 2)
    found = diagnose([unready(60, False)], events=[killing, unhealthy])
    assert (found.signature if found else "") == signature
    if found:
        assert answer in found.evidence
    before = {**killing, "lastTimestamp": ago(99)}
    assert diagnose([unready(60, False)], events=[before, unhealthy]) is None, "of another life"


def test_an_end_that_followed_a_kill_is_put_down_to_the_probe() -> None:
    killing = event(
        "pod-0", "Killing", "Container orbit-server failed startup probe, will be restarted", 99, 99, kind="Normal"
    )
    found = diagnose([pod(0, loop(0, "Completed", ended=90))], events=[killing, said("Startup", REFUSED, 120, 100)])
    assert found and found.signature == "probe refused"
    found = diagnose([pod(0, loop(0, "Completed", ended=5))], events=[{**killing, "lastTimestamp": ago(300)}])
    assert found and found.signature == "exit 0"


def test_a_readiness_gate_is_waited_for_and_named() -> None:
    one = pod(0)
    one["status"]["conditions"][1] |= {"status": "False", "reason": "ReadinessGatesNotReady", "message": "lb"}
    assert diagnose([one]) is None
    found = diagnose([one], final=True)
    assert found and found.signature == "readiness gate"


def test_a_claim_that_no_provisioner_takes_up() -> None:
    text = "Waiting for a volume to be created either by the external provisioner 'example.com/x' or manually"
    nobody = event("claim-0", "ExternalProvisioning", text, first=30, kind="Normal")
    found = diagnose(claims=[claim()], events=[nobody])
    assert found and found.signature == "no provisioner"
    assert "example.com/x" in found.cause
    at_work = event("claim-0", "Provisioning", "External provisioner is provisioning volume", kind="Normal")
    assert diagnose(claims=[claim()], events=[nobody, at_work]) is None


def test_the_log_does_not_talk_over_a_known_cause() -> None:
    found = diagnose([pod(0, loop(137, "OOMKilled"))])
    assert found and found.signature == "out of memory" and not found.log


@pytest.mark.parametrize(
    ("log", "signature"),
    [
        ("INFO start\nRESP server failed: Address already in use (os error 98)", "port taken"),
        ("error: /tmp/orbit-server.toml:3: logging.level: not one of trace", "config refused"),
        ('Error: Error { message: "unknown variant `x`" }', "config refused"),
        ("Error: TOML parse error at line 3, column 1", "config refused"),
        ("configuration error: /tmp/orbit-server.toml:26: tls.cert_file: does not exist", "config refused"),
        ("INFO reads /tmp/orbit-server.toml\npanicked", "crash loop"),
        ("error: unexpected argument '--config' found", "wrong arguments"),
        ("error: invalid value 'x' for '--log-level <LOG_LEVEL>'", "wrong arguments"),
        ("INFO gRPC server exited successfully", "exit 0"),
        ("write: No space left on device", "disk full"),
        ("unable to open database file", "volume not writable"),
        ("panicked", "crash loop"),
        ("", "crash loop"),
    ],
)
def test_the_log_gives_the_cause_away(log: str, signature: str) -> None:
    found = diagnose([pod(0, loop(1))])
    assert found
    better = diagnosis.with_log(found, log, "orbit-rs", "orbit-server-0")
    assert (better.signature, better.ordinal) == (signature, 0)
    assert all(line in better.evidence for line in log.splitlines())
    assert "exit code 1" in better.evidence


def test_every_signature_is_complete_and_can_be_reached() -> None:
    for row in diagnosis.SIGNATURES:
        assert re.compile(row.reason) and re.compile(row.message)
        names = {name for dummy, name, dummy, dummy in string.Formatter().parse(row.cause + row.remedy) if name}
        assert names <= {"what", "pod", "namespace", "container"}, row.name
        assert "what" not in names or re.compile(row.message).groups, f"{row.name} has no group for {{what}}"
        assert row.cause.endswith(".") and row.remedy.endswith((".", "`.", "`")), row.name
