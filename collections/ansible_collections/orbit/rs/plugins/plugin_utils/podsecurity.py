# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pod security standards, applied to a pod spec: what the admission plugin of the API server would refuse.

A StatefulSet is admitted whatever its template says; only its pods are refused, which shows much later.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

ENFORCE = "pod-security.kubernetes.io/enforce"
LEVELS = ("privileged", "baseline", "restricted")

_BASELINE_CAPABILITIES = frozenset(
    {
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    }
)
_RESTRICTED_VOLUMES = frozenset(
    {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
)
_SAFE_SYSCTLS = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_wmem",
    }
)
_PROFILES = frozenset({"RuntimeDefault", "Localhost"})


def violations(pod: Mapping[str, Any], level: str) -> list[str]:
    """What the newest version of a level refuses about a pod spec, one short sentence each. Unknown levels: nothing."""
    result = list(_baseline(pod)) if level in LEVELS[1:] else []
    if level == "restricted":
        result += _restricted(pod)
    return result


def _baseline(pod: Mapping[str, Any]) -> Iterator[str]:
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(field):
            yield f"{field} is true"
    for volume in pod.get("volumes") or ():
        if "hostPath" in volume:
            yield f"volume {volume.get('name')} is a hostPath"
    context = pod.get("securityContext") or {}
    for sysctl in context.get("sysctls") or ():
        if sysctl.get("name") not in _SAFE_SYSCTLS:
            yield f"sysctl {sysctl.get('name')} is not a safe one"
    yield from _profiles("the pod", context)
    for name, container in _containers(pod):
        security = container.get("securityContext") or {}
        if security.get("privileged"):
            yield f"{name} is privileged"
        added = _added(security) - _BASELINE_CAPABILITIES
        if added:
            yield f"{name} adds the capabilities {', '.join(sorted(added))}"
        if any(port.get("hostPort") for port in container.get("ports") or ()):
            yield f"{name} has a hostPort"
        if security.get("procMount", "Default") != "Default":
            yield f"{name} sets procMount"
        yield from _profiles(name, security)


def _restricted(pod: Mapping[str, Any]) -> Iterator[str]:
    for volume in pod.get("volumes") or ():
        kinds = [kind for kind in volume if kind not in ("name", "hostPath")]
        if any(kind not in _RESTRICTED_VOLUMES for kind in kinds):
            yield f"volume {volume.get('name')} is of the kind {', '.join(kinds)}"
    context = pod.get("securityContext") or {}
    for name, container in _containers(pod):
        security = container.get("securityContext") or {}

        def effective(field: str, own: Mapping[str, Any] = security) -> Any:
            return own.get(field) if own.get(field) is not None else context.get(field)

        if security.get("allowPrivilegeEscalation") is not False:
            yield f"{name} lacks allowPrivilegeEscalation: false"
        if effective("runAsNonRoot") is not True:
            yield f"{name} lacks runAsNonRoot: true"
        if effective("runAsUser") == 0:
            yield f"{name} runs as root"
        if ((effective("seccompProfile") or {}).get("type")) not in _PROFILES:
            yield f"{name} lacks seccompProfile.type: RuntimeDefault"
        if "ALL" not in ((security.get("capabilities") or {}).get("drop") or ()):
            yield f"{name} does not drop the capabilities ALL"
        if more := (_added(security) & _BASELINE_CAPABILITIES) - {"NET_BIND_SERVICE"}:
            yield f"{name} adds the capabilities {', '.join(sorted(more))}"


def _containers(pod: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    kinds: Sequence[str] = ("initContainers", "containers", "ephemeralContainers")
    return [(f"container {item.get('name')}", item) for kind in kinds for item in pod.get(kind) or ()]


def _added(security: Mapping[str, Any]) -> set[str]:
    return set((security.get("capabilities") or {}).get("add") or ())


def _profiles(who: str, security: Mapping[str, Any]) -> Iterator[str]:
    for field in ("seccompProfile", "appArmorProfile"):
        if (security.get(field) or {}).get("type", "RuntimeDefault") not in _PROFILES:
            yield f"{who} has {field} {security[field]['type']}"
    options = security.get("seLinuxOptions") or {}
    allowed = ("", "container_t", "container_init_t", "container_kvm_t", "container_engine_t")
    if options.get("user") or options.get("role") or options.get("type", "") not in allowed:
        yield f"{who} sets seLinuxOptions"
    if (security.get("windowsOptions") or {}).get("hostProcess"):
        yield f"{who} is a Windows host process"
