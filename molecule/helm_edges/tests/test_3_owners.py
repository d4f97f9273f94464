# SPDX-License-Identifier: GPL-3.0-or-later
"""What is not ours: the release of another chart, objects that nobody's Helm knows, a namespace that is going away."""

import subprocess

from molecule.conftest import KUBECONFIG
from molecule.helm_edges.tests.conftest import CHART


def test_a_release_of_another_chart(edge, tiny):
    edge.helm("install", "orbit-rs", str(tiny), "--create-namespace")
    output = edge.refused()
    assert "Release orbit-rs was made from another chart, tiny-1.2.3" in output
    assert "orbit_rs_release" in output


def test_a_namespace_that_is_being_deleted(edge):
    edge.kubectl(f"create namespace {edge.namespace}")
    edge.kubectl("create configmap held")
    edge.kubectl("""patch configmap held --type merge --patch '{"metadata": {"finalizers": ["example.com/held"]}}'""")
    edge.kubectl(f"delete namespace {edge.namespace} --wait=false")
    try:
        output = edge.refused()
        assert f"Namespace {edge.namespace} is being deleted" in output
        assert "kubectl wait --for=delete" in output
    finally:
        edge.kubectl("""patch configmap held --type merge --patch '{"metadata": {"finalizers": null}}'""")
    edge.kubectl(f"wait --for=delete namespace/{edge.namespace} --timeout=60s")
    edge.deploy()


def test_objects_without_helms_labels(edge):
    rendered = edge.helm("template", "orbit-rs", str(CHART), "--values", edge.helm_values())
    edge.kubectl(f"create namespace {edge.namespace}")
    subprocess.run(
        ("kubectl", "--kubeconfig", KUBECONFIG, "--namespace", edge.namespace, "apply", "--filename", "-"),
        input=rendered,
        text=True,
        check=True,
        capture_output=True,
    )
    edge.wait_ready()
    pods = [pod["metadata"]["uid"] for pod in edge.pods()]
    output = edge.refused()
    for kind in ("ServiceAccount", "ConfigMap", "Service", "StatefulSet"):
        assert f"{kind}/{edge.namespace}/orbit-server" in output
    planned = edge.deploy("--check", orbit_rs_adopt=True)
    assert "adopt" in planned and "changed=1" in planned
    assert "changed=1" in edge.deploy(orbit_rs_adopt=True)
    assert edge.status() == ["deployed"]
    assert [pod["metadata"]["uid"] for pod in edge.pods()] == pods, "no pod restarts to be taken over"
    assert "changed=0" in edge.deploy()
