# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the ResourceQuotas and LimitRanges of a namespace have against the pods, volumes and objects of a release."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.orbit.rs.plugins.plugin_utils import objects
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Finding, Object

_COMPUTE = ("cpu", "memory", "ephemeral-storage")
_STORAGE_CLASS = ".storageclass.storage.k8s.io/"


def with_defaults(pod: Mapping[str, Any], limits: Iterable[Object]) -> dict[str, Any]:
    """The pod spec with the requests and limits that LimitRanges give to containers without."""
    result: dict[str, Any] = copy.deepcopy(dict(pod))
    for item in _items(limits, "Container"):
        for container in _containers(result):
            resources = container.setdefault("resources", {})
            own = resources.get("limits") or {}
            # A limit that the container states is its request, when it states none.
            stated = {"requests": {**own, **(resources.get("requests") or {})}, "limits": own}
            for field, default in (("requests", "defaultRequest"), ("limits", "default")):
                missing = {k: v for k, v in (item.get(default) or {}).items() if k not in stated[field]}
                if missing:
                    resources[field] = {**(resources.get(field) or {}), **missing}
    return result


def limit_findings(pod: Mapping[str, Any], claims: Sequence[Object], limits: Sequence[Object]) -> Iterator[Finding]:
    """Containers, the pod and claim templates that a LimitRange does not allow; `pod` has its defaults."""
    for obj in limits:
        for item in (obj.get("spec") or {}).get("limits") or ():
            rows: list[tuple[str, Mapping[str, Any], Mapping[str, Any]]] = []
            if item["type"] == "Container":
                for container in _containers(pod):
                    resources = container.get("resources") or {}
                    most = resources.get("limits") or {}
                    rows.append((f"Container {container['name']}", {**most, **(resources.get("requests") or {})}, most))
            elif item["type"] == "Pod":
                rows.append(("A pod", objects.requests(pod), _limits(pod)))
            elif item["type"] == "PersistentVolumeClaim":
                for claim in claims:
                    requests = (claim["spec"].get("resources") or {}).get("requests") or {}
                    rows.append((f"The claim {claim['metadata']['name']}", requests, requests))
            for who, requests, most in rows:
                yield from _limit(obj["metadata"]["name"], who, item, requests, most)


def quota_findings(
    missing: Sequence[Object],
    pod: Mapping[str, Any],
    replicas: int,
    running: Sequence[Mapping[str, Any]],
    claims: Sequence[tuple[Object, int]],
    quotas: Sequence[Object],
    default_class: str,
    growing: Sequence[tuple[str, float]] = (),
) -> Iterator[Finding]:
    """What a ResourceQuota has against a rollout of so many replicas of the pod spec `pod`.

    `missing` are the rendered objects that are not there yet, `running` the specs of the pods that will be replaced,
    and `claims` the claim templates with the number of claims that are not there; `default_class` is what a claim gets
    that names no class. `growing` are classes of claims that are there, each with the bytes that it needs on top.
    """
    needs = _needs(missing, pod, replicas, running, claims, default_class)
    for storage_class, size in growing:
        for resource in ("requests.storage", f"{storage_class}{_STORAGE_CLASS}requests.storage"):
            needs[resource] = needs.get(resource, 0.0) + size
    for quota in quotas:
        spec, status = quota.get("spec") or {}, quota.get("status") or {}
        hard = status.get("hard") or spec.get("hard") or {}
        if not _in_scope(spec, pod):
            continue
        name = quota["metadata"]["name"]
        if replicas:
            unset = [resource for resource in hard if _unset(resource, pod)]
            if unset:
                yield Finding(
                    "error",
                    "quota",
                    f"Quota {name} demands that every container states {', '.join(sorted(unset))}; not all do, so the "
                    "pods would be refused.",
                    "Set them in orbitServer.resources.",
                )
        for resource, limit in hard.items():
            need = needs.get(_canonical(resource), 0.0)
            used = float(objects.quantity((status.get("used") or {}).get(resource, 0)))
            if need > 0 and used + need > float(objects.quantity(limit)) + 1e-9:
                what = "persistence.size" if "storage" in resource or "claims" in resource else "orbitServer.resources"
                yield Finding(
                    "error",
                    "quota",
                    f"Quota {name} allows {resource} {limit}, of which {amount(resource, used)} is used; this rollout "
                    f"needs {amount(resource, need)} more.",
                    f"Lower {what} or orbitServer.replicaCount, or have it raised: kubectl describe quota {name} "
                    f"-n {quota['metadata'].get('namespace', '')}",
                )


def amount(resource: str, value: float) -> str:
    """A quantity for people: 512Mi of memory, 0.25 of a CPU."""
    if "memory" in resource or resource.endswith("storage"):
        unit = next(((name, size) for name, size in (("Gi", 2**30), ("Mi", 2**20)) if value >= size), ("", 1))
        return f"{value / unit[1]:.3g}{unit[0]}"
    return f"{value:g}"


def _limit(
    name: str, who: str, item: Mapping[str, Any], requests: Mapping[str, Any], most: Mapping[str, Any]
) -> Iterator[Finding]:
    what = "persistence.size" if item["type"] == "PersistentVolumeClaim" else "orbitServer.resources"

    def finding(said: str) -> Finding:
        return Finding("error", "limits", f"{who} {said} (LimitRange {name}); it would be refused.", f"Correct {what}.")

    for resource, least in (item.get("min") or {}).items():
        if resource not in requests or objects.quantity(requests[resource]) < objects.quantity(least):
            yield finding(f"requests {_said(resource, requests)}; the least is {least}")
    for resource, top in (item.get("max") or {}).items():
        if resource not in most or objects.quantity(most[resource]) > objects.quantity(top):
            yield finding(f"has the limit {_said(resource, most)}; the most is {top}")
    for resource, ratio in (item.get("maxLimitRequestRatio") or {}).items():
        if (
            resource in most
            and resource in requests
            and objects.quantity(most[resource]) > objects.quantity(ratio) * objects.quantity(requests[resource])
        ):
            yield finding(f"may use more than {ratio} times the {resource} that it requests")


def _said(resource: str, values: Mapping[str, Any]) -> str:
    if resource not in values:
        return f"no {resource}"
    value = values[resource]
    return f"{resource} {amount(resource, value) if isinstance(value, float) else value}"


def _items(limits: Iterable[Object], kind: str) -> Iterator[Mapping[str, Any]]:
    for obj in limits:
        for item in (obj.get("spec") or {}).get("limits") or ():
            if item.get("type") == kind:
                yield item


def _containers(pod: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [*(pod.get("initContainers") or ()), *(pod.get("containers") or ())]


def _limits(pod: Mapping[str, Any]) -> dict[str, float]:
    """The limits of a pod, counted as its requests are."""

    def only_limits(containers: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        return [
            {**item, "resources": {"requests": (item.get("resources") or {}).get("limits") or {}}}
            for item in containers
        ]

    kinds = ("containers", "initContainers")
    return objects.requests({**pod, **{kind: only_limits(pod.get(kind) or ()) for kind in kinds}})


def _needs(
    missing: Sequence[Object],
    pod: Mapping[str, Any],
    replicas: int,
    running: Sequence[Mapping[str, Any]],
    claims: Sequence[tuple[Object, int]],
    default_class: str,
) -> dict[str, float]:
    pods = replicas - len(running)
    total: dict[str, float] = {"pods": pods, "count/pods": pods}

    def add(resource: str, value: float) -> None:
        total[resource] = total.get(resource, 0.0) + value

    for spec, factor in ((pod, replicas), *((spec, -1) for spec in running)):
        for kind, values in (("requests", objects.requests(spec)), ("limits", _limits(spec))):
            for resource, value in values.items():
                add(f"{kind}.{resource}", value * factor)
    for template, count in claims:
        spec = template["spec"]
        size = float(objects.quantity(((spec.get("resources") or {}).get("requests") or {}).get("storage", 0)))
        name = spec.get("storageClassName")
        prefix = f"{default_class if name is None else name}{_STORAGE_CLASS}"
        for resource, value in (("persistentvolumeclaims", 1.0), ("requests.storage", size)):
            add(resource, value * count)
            add(f"{prefix}{resource}", value * count)
        add("count/persistentvolumeclaims", count)
    for obj in missing:
        group = obj["apiVersion"].rpartition("/")[0]
        plural = _plural(obj["kind"])
        add(f"count/{plural}.{group}" if group else f"count/{plural}", 1)
        if not group:
            add(plural, 1)
        if obj["kind"] == "Service":
            kind = (obj.get("spec") or {}).get("type", "ClusterIP")
            ports = len((obj.get("spec") or {}).get("ports") or ())
            if kind == "LoadBalancer":
                add("services.loadbalancers", 1)
            if kind in ("NodePort", "LoadBalancer"):
                add("services.nodeports", ports)
    return total


def _plural(kind: str) -> str:
    name = kind.lower()
    if name.endswith("y"):
        return f"{name[:-1]}ies"
    return f"{name}es" if name.endswith("s") else f"{name}s"


def _canonical(resource: str) -> str:
    return f"requests.{resource}" if resource in _COMPUTE else resource


def _unset(resource: str, pod: Mapping[str, Any]) -> bool:
    """Whether the quota counts a resource that a container does not state."""
    field, dot, name = _canonical(resource).partition(".")
    if not dot or field not in ("requests", "limits") or name not in _COMPUTE[:2]:
        return False
    for container in _containers(pod):
        resources = container.get("resources") or {}
        stated = resources.get("limits") or {}
        if field == "requests":
            stated = {**stated, **(resources.get("requests") or {})}
        if name not in stated:
            return True
    return False


def _in_scope(spec: Mapping[str, Any], pod: Mapping[str, Any]) -> bool:
    """Whether a quota with scopes is about pods such as these, which run until they are stopped."""
    best_effort = not any((container.get("resources") or {}) for container in _containers(pod))
    simple = {
        "Terminating": "activeDeadlineSeconds" in pod,
        "NotTerminating": "activeDeadlineSeconds" not in pod,
        "BestEffort": best_effort,
        "NotBestEffort": not best_effort,
    }
    if not all(simple.get(scope, False) for scope in spec.get("scopes") or ()):
        return False
    for item in (spec.get("scopeSelector") or {}).get("matchExpressions") or ():
        if item.get("scopeName") == "PriorityClass":
            name, values = pod.get("priorityClassName", ""), item.get("values") or ()
            matches = {
                "In": name in values,
                "NotIn": name not in values,
                "Exists": bool(name),
                "DoesNotExist": not name,
            }
            if not matches.get(item.get("operator", ""), False):
                return False
        elif not simple.get(item.get("scopeName"), False):
            return False
    return True
