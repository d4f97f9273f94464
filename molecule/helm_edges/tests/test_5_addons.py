# SPDX-License-Identifier: GPL-3.0-or-later
"""Add-ons from a repository and from a registry; what is there is kept."""


def test_what_is_there_is_kept(edge):
    output = edge.playbook(*edge.variables(orbit_rs_addons=[{"name": "metrics-server"}]), playbook="addons")
    assert "kept" in output and "API group metrics.k8s.io" in output and "changed=0" in output


def addon(edge, **more):
    return [{"name": edge.namespace, "app": edge.namespace, **more}]


def run(edge, addons, *arguments):
    return edge.try_playbook(*edge.variables(orbit_rs_addons=addons), *arguments, playbook="addons")


def test_from_a_repository(edge, repository):
    addons = addon(edge, chart="tiny", repository=repository, version="1.2.3", values={"replicas": 2})
    checked = run(edge, addons, "--check", "--diff")
    assert checked.returncode == 0 and "would be installed" in checked.stdout and "changed=1" in checked.stdout
    assert edge.namespace not in edge.kubectl("get namespaces --output name")

    installed = run(edge, addons)
    assert installed.returncode == 0 and "changed=1" in installed.stdout, installed.stdout
    assert edge.get(f"deployment {edge.namespace}")["status"]["readyReplicas"] == 2

    before = edge.at_rest()
    kept = run(edge, addon(edge, chart="tiny", repository="http://127.0.0.1:1", version="9.9.9"))
    assert kept.returncode == 0 and "kept" in kept.stdout and "changed=0" in kept.stdout, kept.stdout
    assert edge.fingerprint() == before


def test_from_a_registry_after_an_image_that_cannot_be_had(edge, registry):
    broken = addon(edge, chart=f"{registry}/tiny", version="1.2.3", values={"image": "127.0.0.1:1/nowhere:v1"})
    failed = run(edge, broken)
    assert failed.returncode != 0 and "does not get ready" in failed.stdout, failed.stdout
    assert "ImagePullBackOff" in failed.stdout


def test_a_chart_that_cannot_be_had(edge, repository):
    for mode in ((), ("--check",)):
        failed = run(edge, addon(edge, chart="nowhere", repository=repository), *mode)
        assert failed.returncode != 0 and "cannot be installed" in failed.stdout, failed.stdout
        assert edge.namespace not in edge.kubectl("get namespaces --output name")
