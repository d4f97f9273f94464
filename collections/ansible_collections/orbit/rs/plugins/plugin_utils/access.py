# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which requests a rollout makes, and which of them an account may not make."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from ansible_collections.orbit.rs.plugins.plugin_utils import objects, volumes
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Desired, Finding, Object, Request, Snapshot, listed

# Made by every rollout, whether something differs or not: verbs, resource, group. Ports are forwarded over a websocket,
# which is a `get`, and from Kubernetes 1.35 on has to be allowed as `create`, too.
_WATCH = (
    (("list",), "pods", ""),
    (("list",), "persistentvolumeclaims", ""),
    (("list",), "events", ""),
    (("get",), "pods/log", ""),
    (("get", "create"), "pods/portforward", ""),
)
# Made when Helm runs: the lock, the record, Helm's store, the partition, and pods that are stuck.
_CHANGE = (
    (("get", "create", "update", "patch"), "leases", "coordination.k8s.io"),
    (("get", "create", "patch"), "configmaps", ""),
    (("get", "list", "create", "update", "delete"), "secrets", ""),
    (("patch",), "statefulsets", "apps"),
    (("delete",), "pods", ""),
)


# Made when the StatefulSet is made again around its pods, and volumes grow.
_RESHAPE = (
    (("get", "patch"), "persistentvolumeclaims", ""),
    (("get", "create", "delete"), "statefulsets", "apps"),
)


def verbs(desired: Desired, snapshot: Snapshot) -> tuple[dict[str, tuple[str, ...]], bool]:
    """What a rollout does to the objects, by objects.key(), and whether Helm runs."""
    result: dict[str, tuple[str, ...]] = {}
    for obj in desired.platform:
        name = objects.key(obj)
        live = snapshot.objects.get(name)
        if live is None:
            result[name] = ("create", "patch")  # server-side apply needs both
        elif objects.differences(obj, live):
            result[name] = ("patch",)
    stored = snapshot.release.objects if snapshot.release else ()
    wanted = {objects.key(obj): obj for obj in desired.objects}
    helm = (
        snapshot.release is None
        or snapshot.release.status != "deployed"
        or objects.digest(desired.objects) != objects.digest(stored)
        or any(
            name not in snapshot.objects or objects.differences(obj, snapshot.objects[name])
            for name, obj in wanted.items()
        )
    )
    if helm:
        result |= {name: ("patch",) if name in snapshot.objects else ("create",) for name in wanted}
        gone = {objects.key(obj) for obj in stored} - wanted.keys()
        result |= dict.fromkeys(gone & snapshot.objects.keys(), ("delete",))
    return result, helm


def needed(desired: Desired, snapshot: Snapshot, resources: Mapping[str, str]) -> list[Request]:
    """All requests of a rollout. `resources` are the plurals by "apiVersion Kind"; kinds without one are left out."""
    what, helm = verbs(desired, snapshot)
    namespace = desired.release.namespace
    stored = snapshot.release.objects if snapshot.release else ()
    statefulset = objects.find(desired.objects, "StatefulSet")
    live = snapshot.objects.get(objects.key(statefulset)) if statefulset else None
    reshapes = bool(statefulset and live and volumes.remade(statefulset, live))
    result = [
        Request(verb, resource, group, namespace)
        for several, resource, group in (*_WATCH, *(_CHANGE if helm else ()), *(_RESHAPE if reshapes else ()))
        for verb in several
    ]
    for obj in {objects.key(obj): obj for obj in (*stored, *desired.objects, *desired.platform)}.values():
        if resource := resources.get(f"{obj['apiVersion']} {obj['kind']}"):
            group = obj["apiVersion"].rpartition("/")[0]
            where = obj["metadata"].get("namespace", "")
            result.extend(Request(verb, resource, group, where) for verb in what.get(objects.key(obj), ()))
    return list(dict.fromkeys(result))


def covered(request: Request, rules: Iterable[Object], namespace: str) -> bool:
    """Whether the rules of a namespace, as SelfSubjectRulesReview lists them, surely allow the request.

    They cannot tell about the cluster's own resources: a cluster role that is bound in the namespace is among them.
    """
    if request.namespace != namespace:
        return False
    names = {"*", request.resource, f"*/{request.resource.partition('/')[2]}"}
    return any(
        not rule.get("resourceNames")
        and {"*", request.verb} & set(rule.get("verbs") or ())
        and {"*", request.group} & set(rule.get("apiGroups") or ())
        and names & set(rule.get("resources") or ())
        for rule in rules
    )


def review(request: Request) -> Object:
    """The SelfSubjectAccessReview that asks about the request."""
    resource, dummy, subresource = request.resource.partition("/")
    attributes = {
        "verb": request.verb,
        "group": request.group,
        "resource": resource,
        "subresource": subresource,
        "namespace": request.namespace,
    }
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {name: value for name, value in attributes.items() if value}},
    }


def findings(forbidden: Sequence[Request]) -> Iterator[Finding]:
    """An error for each resource, with every verb that is missing."""
    grouped: dict[tuple[str, str], list[str]] = {}
    for request in forbidden:
        name, slash, subresource = request.resource.partition("/")
        resource = f"{name}.{request.group}" if request.group else name
        grouped.setdefault((f"{resource}{slash}{subresource}", request.namespace), []).append(request.verb)
    for (resource, namespace), missing in grouped.items():
        where = f" in namespace {namespace}" if namespace else ""
        option = f" -n {namespace}" if namespace else ""
        yield Finding(
            "error",
            "permission",
            f"This account may not {listed(missing)} {resource}{where}; a rollout needs that.",
            f"Have these verbs added to its role; test it with: kubectl auth can-i {missing[0]} {resource}{option}",
        )
