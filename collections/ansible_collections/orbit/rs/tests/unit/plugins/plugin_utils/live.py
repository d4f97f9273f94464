# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects of a rollout as the API serves them, recorded on a cluster and cut to what is looked at."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

from ansible_collections.orbit.rs.plugins.plugin_utils.model import Object

NOW = datetime(2026, 11, 24, 16, 40, 0, tzinfo=UTC)
SINCE = NOW - timedelta(seconds=30)
NEW, OLD = "orbit-server-66b886cfc7", "orbit-server-5d5f7c6b9"
READY = {"state": {"running": {"startedAt": "2026-11-24T16:39:40Z"}}, "ready": True, "restartCount": 0}


def ago(seconds: float) -> str:
    return (NOW - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def statefulset(replicas: int = 3, observed: int = 2, **spec: Any) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {
            "name": "orbit-server",
            "namespace": "orbit-rs",
            "uid": "set",
            "generation": 2,
            "creationTimestamp": ago(3600),
        },
        "spec": {"replicas": replicas, **spec},
        "status": {"observedGeneration": observed, "updateRevision": NEW, "currentRevision": OLD},
    }


def pod(ordinal: int = 0, container: Object | None = None, *, age: float = 20, **more: Any) -> Object:
    """A pod whose only container has this status; ready when that is."""
    container = {"name": "orbit-server", "ready": False, "restartCount": 0, **copy.deepcopy(container or READY)}
    running = "running" in container["state"]
    conditions = [
        {"type": "PodScheduled", "status": "True", "lastTransitionTime": ago(age)},
        {"type": "Ready", "status": str(container["ready"]), "lastTransitionTime": ago(age)},
    ]
    result: Object = {
        "metadata": {
            "name": f"orbit-server-{ordinal}",
            "namespace": "orbit-rs",
            "uid": f"pod-{ordinal}",
            "creationTimestamp": ago(age),
            "labels": {"controller-revision-hash": more.pop("revision", NEW)},
            "ownerReferences": [{"kind": "StatefulSet", "uid": "set"}],
            **more.pop("metadata", {}),
        },
        "spec": {"nodeName": "worker", "containers": [{"name": "orbit-server", "image": "orbit-rs/orbit-server:v1"}]},
        "status": {
            "phase": "Running" if running else "Pending",
            "conditions": conditions,
            "containerStatuses": [container],
        },
    }
    result["spec"].update(more.pop("spec", {}))
    result["status"].update(more.pop("status", {}))
    assert not more, more
    return result


def pending(ordinal: int = 0, message: str = "", seconds: float = 60) -> Object:
    """A pod that the scheduler has found no node for."""
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": message,
        "lastTransitionTime": ago(seconds),
    }
    status = {"phase": "Pending", "conditions": [condition], "containerStatuses": []}
    return pod(ordinal, spec={"nodeName": ""}, status=status)


def waiting(reason: str, message: str = "") -> Object:
    return {"state": {"waiting": {"reason": reason, "message": message}}}


def loop(code: int, reason: str = "Error", ended: float = 5, restarts: int = 2) -> Object:
    """A container that has ended, and waits for its next start."""
    terminated = {"exitCode": code, "reason": reason, "finishedAt": ago(ended)}
    backoff = {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container"}
    return {"state": {"waiting": backoff}, "lastState": {"terminated": terminated}, "restartCount": restarts}


def claim(ordinal: int = 0, phase: str = "Pending") -> Object:
    metadata = {"name": f"data-orbit-server-{ordinal}", "uid": f"claim-{ordinal}"}
    return {"metadata": metadata, "status": {"phase": phase}}


def event(uid: str, reason: str, message: str, first: float = 20, last: float = 1, kind: str = "Warning") -> Object:
    return {
        "metadata": {"creationTimestamp": ago(first)},
        "involvedObject": {"uid": uid},
        "type": kind,
        "reason": reason,
        "message": message,
        "firstTimestamp": ago(first),
        "lastTimestamp": ago(last),
    }
