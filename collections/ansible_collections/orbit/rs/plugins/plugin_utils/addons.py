# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Add-ons of a cluster that orbit-rs can use: which chart each is, how it shows that it is there, when it is ready."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ansible_collections.orbit.rs.plugins.plugin_utils.model import Object, OrbitError
from ansible_collections.orbit.rs.plugins.plugin_utils.values import nearest

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")
NAME = "app.kubernetes.io/name"

# A pod in such a state does not get out of it by waiting.
_STUCK = {"ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError"}


@dataclasses.dataclass(frozen=True)
class Addon:
    """An add-on: the chart, and what shows that one is there, whoever has installed it."""

    name: str  # of the release and its namespace as well
    chart: str  # in the repository, or an OCI reference, a folder or an archive
    version: str
    repository: str = ""  # URL; empty: the chart says all
    namespace: str = ""  # empty: the name
    values: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    api_groups: tuple[str, ...] = ()  # one of these is served
    app: str = ""  # or a Deployment has this as its label app.kubernetes.io/name or k8s-app


KNOWN = {
    addon.name: addon
    for addon in (
        Addon(
            "metrics-server",
            chart="metrics-server",
            version="3.13.1",
            repository="https://kubernetes-sigs.github.io/metrics-server/",
            api_groups=("metrics.k8s.io",),
            app="metrics-server",
        ),
        Addon(
            "kube-prometheus-stack",
            chart="kube-prometheus-stack",
            version="88.5.3",
            repository="https://prometheus-community.github.io/helm-charts",
            # Otherwise only what carries the label of this release is scraped and evaluated, and nothing of orbit-rs.
            values={
                "prometheus": {
                    "prometheusSpec": {
                        "podMonitorSelectorNilUsesHelmValues": False,
                        "probeSelectorNilUsesHelmValues": False,
                        "ruleSelectorNilUsesHelmValues": False,
                        "serviceMonitorSelectorNilUsesHelmValues": False,
                    }
                }
            },
            api_groups=("monitoring.coreos.com",),
        ),
        Addon(
            "cert-manager",
            chart="oci://quay.io/jetstack/charts/cert-manager",
            version="v1.21.1",
            values={"crds": {"enabled": True}},
            api_groups=("cert-manager.io",),
        ),
        # After kube-prometheus-stack, which brings a Grafana of its own.
        Addon(
            "grafana",
            chart="grafana",
            version="12.11.1",
            repository="https://grafana-community.github.io/helm-charts",
            app="grafana",
        ),
    )
}


def wanted(wish: Mapping[str, Any]) -> Addon:
    """The add-on of this name, with what `wish` says otherwise. Raises OrbitError when that leaves no chart.

    A chart that is given replaces chart, version and repository together; values replace the values.
    """
    name = wish["name"]
    given = {key: value for key, value in wish.items() if value}
    if "api_groups" in given:
        given["api_groups"] = tuple(given["api_groups"])
    if "chart" in given:
        given = {"version": "", "repository": "", **given}
    if name in KNOWN:
        return dataclasses.replace(KNOWN[name], **given)
    if "chart" not in given or not (given.get("api_groups") or given.get("app")):
        close = nearest(name, KNOWN)
        raise OrbitError(
            f"orbit_rs_addons: the add-on {name} is not known, and lacks a chart, or what shows that it is there.",
            (f"Did you mean {close}? " if close else "")
            + f"Known are {', '.join(KNOWN)}; another one needs chart, and api_groups or app.",
        )
    return Addon(**given)


def present(addon: Addon, groups: Collection[str], deployments: Iterable[Object]) -> str:
    """What shows that the add-on is there, in words; "" when nothing does."""
    for group in addon.api_groups:
        if group in groups:
            return f"API group {group}"
    for deployment in deployments:
        metadata = deployment["metadata"]
        labels = metadata.get("labels") or {}
        if addon.app and addon.app in (labels.get(NAME), labels.get("k8s-app")):
            return f"Deployment {metadata['namespace']}/{metadata['name']}"
    return ""


def waiting(workloads: Iterable[Object], pods: Iterable[Object]) -> tuple[list[str], list[str]]:
    """What is not ready yet, and what never will be, in words."""
    unready = []
    for workload in workloads:
        spec, status = workload.get("spec") or {}, workload.get("status") or {}
        if workload["kind"] == "DaemonSet":
            want, have = status.get("desiredNumberScheduled", 0), status.get("numberReady", 0)
            updated = status.get("updatedNumberScheduled", 0)
        else:
            want, have = spec.get("replicas", 1), status.get("readyReplicas", 0)
            updated = status.get("updatedReplicas", 0)
        current = status.get("observedGeneration", 0) >= workload["metadata"].get("generation", 0)
        if not current or have < want or updated < want:
            unready.append(f"{workload['kind']} {workload['metadata']['name']}: {have} of {want} ready")
    stuck = []
    for pod in pods:
        status = pod.get("status") or {}
        for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
            state = (container.get("state") or {}).get("waiting") or {}
            if state.get("reason") in _STUCK:
                stuck.append(
                    f"pod {pod['metadata']['name']}: {state['reason']}: {state.get('message', '')}".rstrip(": ")
                )
    return unready, stuck
