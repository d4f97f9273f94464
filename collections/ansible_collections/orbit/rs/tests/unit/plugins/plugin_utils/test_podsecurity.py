# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.orbit.rs.plugins.plugin_utils import podsecurity

GOOD_CONTAINER = {
    "name": "c",
    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
}
GOOD = {
    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [GOOD_CONTAINER],
}


def pod(**fields: Any) -> dict[str, Any]:
    return {**GOOD, **fields}


def container(**security: Any) -> dict[str, Any]:
    return pod(containers=[{**GOOD_CONTAINER, "securityContext": {**GOOD_CONTAINER["securityContext"], **security}}])


@pytest.mark.parametrize(
    ("spec", "baseline", "restricted"),
    [
        (GOOD, "", ""),
        (pod(hostNetwork=True), "hostNetwork is true", ""),
        (pod(volumes=[{"name": "v", "hostPath": {"path": "/"}}]), "volume v is a hostPath", ""),
        (pod(volumes=[{"name": "v", "nfs": {}}]), "", "volume v is of the kind nfs"),
        (pod(volumes=[{"name": "v", "emptyDir": {}}]), "", ""),
        (container(privileged=True), "container c is privileged", ""),
        (container(capabilities={"add": ["SYS_ADMIN"], "drop": ["ALL"]}), "adds the capabilities SYS_ADMIN", ""),
        (container(capabilities={"add": ["CHOWN"], "drop": ["ALL"]}), "", "adds the capabilities CHOWN"),
        (container(capabilities={"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]}), "", ""),
        (container(capabilities={}), "", "does not drop the capabilities ALL"),
        (container(allowPrivilegeEscalation=None), "", "lacks allowPrivilegeEscalation: false"),
        (container(runAsNonRoot=False), "", "lacks runAsNonRoot: true"),
        (container(runAsUser=0), "", "runs as root"),
        (container(seccompProfile={"type": "Unconfined"}), "has seccompProfile Unconfined", "lacks seccompProfile"),
        (container(procMount="Unmasked"), "sets procMount", ""),
        (container(seLinuxOptions={"type": "spc_t"}), "sets seLinuxOptions", ""),
        (pod(containers=[{**GOOD_CONTAINER, "ports": [{"hostPort": 1}]}]), "has a hostPort", ""),
        (pod(securityContext={}), "", "lacks runAsNonRoot: true"),
        (pod(initContainers=[{"name": "i"}]), "", "container i lacks"),
        (pod(securityContext={**GOOD["securityContext"], "sysctls": [{"name": "kernel.msgmax"}]}), "kernel.msgmax", ""),
    ],
)
def test_violations(spec: dict[str, Any], baseline: str, restricted: str) -> None:
    assert podsecurity.violations(spec, "privileged") == podsecurity.violations(spec, "") == []
    low, high = podsecurity.violations(spec, "baseline"), podsecurity.violations(spec, "restricted")
    assert bool(low) == bool(baseline) and baseline in "; ".join(low)
    assert bool(high) == bool(baseline or restricted) and restricted in "; ".join(high)
