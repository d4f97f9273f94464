# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever the values: valid for every supported Kubernetes, restricted, and the same each time."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import kubernetes_validate
import pytest
from ansible_collections.orbit.rs.tests.unit.chart import helpers as h

# Oldest and newest, and both sides of each version that the templates look at. There is no schema of 1.24:
# its render, which is that of 1.26, is held against 1.25's.
VERSIONS = ["1.24.0", "1.26.0", "1.27.0", "1.29.0", "1.30.0", "1.33.0", "1.34.0", h.NEWEST]
OLDEST_SCHEMA = "1.25.0"

CASES: dict[str, dict[str, Any]] = {
    "defaults": {},
    "everything": h.EVERYTHING,
    "snapshot": h.SNAPSHOT,
    "everything of the snapshot": h.EVERYTHING_SNAPSHOT,
    "no persistence": {"persistence": {"enabled": False}},
    "one replica": {"orbitServer": {"replicaCount": 1}},
}


# The kinds of operators and of the Gateway API are held against their own definitions: tests/test_chart_kinds.py in the
# repository.
FOREIGN = (
    "cert-manager.io/",
    "external-secrets.io/",
    "gateway.networking.k8s.io/",
    "monitoring.coreos.com/",
)


def validate(obj: h.Object, version: str) -> None:
    kubernetes_validate.validate(obj, max(version, OLDEST_SCHEMA), strict=True)


@pytest.mark.parametrize(
    ("case", "version"),
    # The templates look at the version for the same things in every case: two versions do for the others.
    [
        (case, version)
        for case in CASES
        for version in (VERSIONS if case == "everything" else VERSIONS[:1] + VERSIONS[-1:])
    ],
)
def test_strictly_valid(case: str, version: str) -> None:
    own = [obj for obj in h.render(CASES[case], version).values() if not obj["apiVersion"].startswith(FOREIGN)]
    assert own
    for obj in own:
        validate(obj, version)


@pytest.mark.parametrize("heading", ["Network Policies", "Pod Security Standards"])
def test_objects_of_the_guide_are_valid_among_extra_objects(heading: str) -> None:
    wanted = h.guide_objects()[heading]
    rendered = h.render({"extraObjects": [wanted]})[f"{wanted['kind']}/{wanted['metadata']['name']}"]
    assert rendered == wanted
    validate(rendered, h.NEWEST)


def test_oldest_version_differs_in_nothing_from_the_one_whose_schema_is_used() -> None:
    assert h.render(h.EVERYTHING, "1.24.0") == h.render(h.EVERYTHING, "1.25.0")


def test_the_validation_sees_a_field_that_does_not_exist() -> None:
    broken = h.statefulset()
    broken["spec"]["updateStrategy"]["rollingUpdate"] = {"maxSurge": 1}
    with pytest.raises(kubernetes_validate.ValidationError):
        validate(broken, "1.37.0")
    with pytest.raises(kubernetes_validate.ValidationError):
        validate(h.statefulset(kubernetes="1.37.0"), "1.27.0")  # lifecycle.preStop.sleep


def test_versions_of_the_clouds_are_accepted() -> None:
    for version in ("1.33.5-gke.1162000", "1.32.9-eks-3025e55", "1.24.0-rc.1"):
        h.render({}, version)
    refused = h.helm("template", "orbit-rs", str(h.CHART), "--kube-version", "1.23.17")
    assert refused.returncode != 0
    assert "requires kubeVersion: >=1.24.0-0" in refused.stderr


# The restricted pod security standard

VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}


def violations(pod: h.Object) -> Iterator[str]:
    """What the restricted standard, and our own stricter rules, object to in this pod."""
    security = pod.get("securityContext", {})
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(key):
            yield key
    for key in ("sysctls", "seLinuxOptions", "appArmorProfile"):
        if key in security:
            yield key
    for volume in pod.get("volumes", []):
        for kind in set(volume) - {"name"} - VOLUMES:
            yield f"volume of type {kind}"
    for container in [*pod["containers"], *pod.get("initContainers", []), *pod.get("ephemeralContainers", [])]:
        context = container.get("securityContext", {})
        both = {**security, **context}
        if both.get("runAsNonRoot") is not True:
            yield "runAsNonRoot"
        if both.get("runAsUser") != 1001:
            yield "runAsUser"
        if both.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
            yield "seccompProfile"
        if context.get("allowPrivilegeEscalation") is not False:
            yield "allowPrivilegeEscalation"
        if "ALL" not in context.get("capabilities", {}).get("drop", []):
            yield "capabilities.drop"
        if set(context.get("capabilities", {}).get("add", [])) - {"NET_BIND_SERVICE"}:
            yield "capabilities.add"
        if context.get("readOnlyRootFilesystem") is not True:
            yield "readOnlyRootFilesystem"
        for key in ("privileged", "procMount", "seLinuxOptions", "appArmorProfile"):
            if context.get(key):
                yield key
        if any("hostPort" in port for port in container.get("ports", [])):
            yield "hostPort"


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("version", ["1.24.0", "1.37.0"])
def test_restricted(case: str, version: str) -> None:
    assert list(violations(h.pod(CASES[case], version))) == []


def test_every_container_stands_for_itself() -> None:
    """The container repeats what the pod says, so that neither can be weakened alone."""
    pod = h.pod()
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 1001,
        "runAsGroup": 1001,
        "fsGroup": 1001,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    del pod["securityContext"]
    assert list(violations(pod)) == []


BREAKS: dict[str, Callable[[h.Object, h.Object], Any]] = {
    "hostNetwork": lambda pod, _: pod.update(hostNetwork=True),
    "sysctls": lambda pod, _: pod["securityContext"].update(sysctls=[]),
    "volume of type hostPath": lambda pod, _: pod["volumes"].append({"name": "a", "hostPath": {"path": "/"}}),
    "runAsNonRoot": lambda _, context: context.update(runAsNonRoot=False),
    "runAsUser": lambda _, context: context.update(runAsUser=0),
    "seccompProfile": lambda _, context: context.update(seccompProfile={"type": "Unconfined"}),
    "allowPrivilegeEscalation": lambda _, context: context.pop("allowPrivilegeEscalation"),
    "capabilities.drop": lambda _, context: context.pop("capabilities"),
    "capabilities.add": lambda _, context: context["capabilities"].update(add=["SYS_ADMIN"]),
    "readOnlyRootFilesystem": lambda _, context: context.pop("readOnlyRootFilesystem"),
    "privileged": lambda _, context: context.update(privileged=True),
    "hostPort": lambda pod, _: pod["containers"][0]["ports"][0].update(hostPort=80),
}


@pytest.mark.parametrize("rule", BREAKS)
def test_the_check_of_the_standard_sees_a_violation(rule: str) -> None:
    pod = copy.deepcopy(h.pod())
    BREAKS[rule](pod, pod["containers"][0]["securityContext"])
    assert list(violations(pod)) == [rule]


# The same each time, and clean


@pytest.mark.parametrize("case", CASES)
def test_two_renders_are_identical(case: str) -> None:
    args = ("template", "orbit-rs", str(h.CHART), "--namespace", "orbit-rs")
    assert h.helm(*args, values=CASES[case]).stdout == h.helm(*args, values=CASES[case]).stdout != ""


@pytest.mark.parametrize("case", CASES)
def test_lint(case: str) -> None:
    done = h.helm("lint", "--strict", str(h.CHART), values=CASES[case])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout
