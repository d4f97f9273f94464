# SPDX-License-Identifier: GPL-3.0-or-later
"""What a converged release is and does, seen from outside."""

import urllib.request

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families

ORDINALS = range(3)


def test_every_ordinal_is_ready_on_the_wanted_image(deployed):
    pods = deployed.pods()
    assert [pod["metadata"]["name"] for pod in pods] == [f"orbit-server-{ordinal}" for ordinal in ORDINALS]
    for pod in pods:
        (status,) = pod["status"]["containerStatuses"]
        assert status["ready"] and status["restartCount"] == 0
        assert pod["spec"]["containers"][0]["image"] == "orbit-rs/orbit-server:v0.1.0"


def test_every_ordinal_has_a_volume_of_its_own(deployed):
    claims = deployed.get("persistentvolumeclaims")["items"]
    assert {claim["metadata"]["name"] for claim in claims} == {f"data-orbit-server-{ordinal}" for ordinal in ORDINALS}
    assert len({claim["spec"]["volumeName"] for claim in claims}) == len(ORDINALS)
    assert {claim["status"]["phase"] for claim in claims} == {"Bound"}


def test_the_ordinals_are_spread_over_the_nodes(deployed):
    nodes = [
        node["metadata"]["name"]
        for node in deployed.get("nodes")["items"]
        if not any(taint["effect"] != "PreferNoSchedule" for taint in node["spec"].get("taints", []))
    ]
    used = {pod["spec"]["nodeName"] for pod in deployed.pods()}
    assert len(used) == min(len(nodes), len(ORDINALS))


def test_the_namespace_enforces_restricted_pod_security(deployed):
    labels = deployed.get(f"namespace {deployed.namespace}")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("ordinal", ORDINALS)
@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/health/startup"])
def test_health_answers(deployed, ordinal, path):
    with deployed.port(ordinal, 8080) as port, urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as answer:
        assert answer.status == 200


@pytest.mark.parametrize("ordinal", ORDINALS)
def test_grpc_health_is_serving(deployed, ordinal):
    with deployed.port(ordinal, 50051) as port, grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        assert check(b"", timeout=10) == b"\x08\x01"  # HealthCheckResponse{status: SERVING}


@pytest.mark.parametrize("ordinal", ORDINALS)
def test_metrics_parse_and_have_the_documented_names(deployed, ordinal):
    with deployed.port(ordinal, 9090) as port, urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    assert any(family.name.startswith("orbit_") for family in families)


def test_what_is_written_on_an_ordinal_survives_its_pod(deployed):
    deployed.write_marks("survivor")
    before = {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in deployed.pods()}
    for ordinal in ORDINALS:
        deployed.kubectl(f"delete pod orbit-server-{ordinal} --wait")
        deployed.wait_ready()
    after = {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in deployed.pods()}
    assert not set(before.values()) & set(after.values()), "every pod is a new one"
    assert deployed.read_marks("survivor") == [f"survivor of ordinal {ordinal}" for ordinal in ORDINALS]


def test_check_mode_on_a_converged_release_touches_nothing(deployed):
    before = deployed.at_rest()
    output = deployed.playbook("--check", "--diff")
    assert "changed=0" in output
    assert deployed.fingerprint() == before


def test_a_run_without_a_difference_touches_nothing(deployed):
    before = deployed.at_rest()
    output = deployed.playbook()
    assert "changed=0" in output
    assert deployed.fingerprint() == before


def test_status_shows_every_ordinal_and_touches_nothing(deployed):
    before = deployed.at_rest()
    output = deployed.playbook(playbook="status")
    for ordinal in ORDINALS:
        assert f"orbit-server-{ordinal}" in output
    assert deployed.fingerprint() == before
