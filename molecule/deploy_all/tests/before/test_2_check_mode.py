# SPDX-License-Identifier: GPL-3.0-or-later
"""Check mode with everything on, where nothing is deployed yet."""


def test_check_mode_plans_every_object_and_touches_nothing(everything):
    assert everything.namespace not in everything.kubectl("get namespaces --output name")
    before = everything.fingerprint()
    output = everything.playbook("--check", "--diff")
    assert "changed=1" in output
    for kind in (
        "ServiceMonitor",
        "Certificate",
        "ExternalSecret",
        "TCPRoute",
        "HorizontalPodAutoscaler",
        "ClusterRole",
    ):
        assert f"+kind: {kind}\n" in output
    assert everything.fingerprint() == before
    assert everything.namespace not in everything.kubectl("get namespaces --output name")
