# SPDX-License-Identifier: GPL-3.0-or-later
"""What a release with everything on is and does, seen from outside."""

import base64
import json
import os

import redis

NAMES = {
    "certificate": ["db"],
    "configmap": ["db-config", "db-dashboard", "more"],
    "externalsecret": ["outside"],
    "grpcroute": ["db"],
    "horizontalpodautoscaler": ["db"],
    "httproute": ["db"],
    "ingress": ["db"],
    "networkpolicy": ["db"],
    "poddisruptionbudget": ["db"],
    "podmonitor": ["db"],
    "prometheusrule": ["db"],
    "role": ["db"],
    "rolebinding": ["db"],
    "secret": ["db-tls", "pull"],
    "secretstore": ["store"],
    "service": ["db", "db-external", "db-headless"],
    "serviceaccount": ["db-account"],
    "servicemonitor": ["db"],
    "statefulset": ["db"],
    "tcproute": ["db-postgres", "db-redis"],
    "clusterrole": ["molecule-deploy-all-db"],
    "clusterrolebinding": ["molecule-deploy-all-db"],
    "priorityclass": ["deploy-all"],
}


def test_every_object_is_there_and_belongs_to_the_release(everything):
    for kind, names in NAMES.items():
        found = {item["metadata"]["name"]: item["metadata"] for item in everything.get(kind)["items"]}
        for name in names:
            assert found[name]["annotations"]["meta.helm.sh/release-name"] == "everything", f"{kind} {name}"


def test_every_ordinal_is_ready_with_what_was_asked_for(everything):
    found = everything.pods()
    assert [pod["metadata"]["name"] for pod in found] == ["db-0", "db-1"]
    for pod in found:
        spec = pod["spec"]
        assert all(status["ready"] for status in pod["status"]["containerStatuses"])
        assert [container["name"] for container in spec["containers"]] == ["orbit-server", "beside"]
        assert spec["priority"] == 1000
        assert spec["serviceAccountName"] == "db-account"
        assert any("serviceAccountToken" in str(volume) for volume in spec["volumes"]), "rbac.create mounts the token"
        assert pod["metadata"]["labels"]["team"] == "db"
    assert len({pod["spec"]["nodeName"] for pod in found}) == 2, "DoNotSchedule"


def test_the_volumes_are_of_the_wanted_class(everything):
    claims = everything.get("persistentvolumeclaims")["items"]
    assert {claim["metadata"]["name"] for claim in claims} == {"data-db-0", "data-db-1"}
    for claim in claims:
        assert claim["spec"]["storageClassName"] == "deploy-all"
        assert claim["spec"]["accessModes"] == ["ReadWriteOncePod"]
        assert claim["metadata"]["annotations"]["example.org/owner"] == "deploy-all"
    volumes = {claim["spec"]["volumeName"] for claim in claims}
    paths = {item["metadata"]["name"]: str(item["spec"]) for item in everything.get("persistentvolumes")["items"]}
    assert all("molecule-deploy-all/data-db-" in paths[volume] for volume in volumes), "pathPattern"


def test_the_servers_speak_tls_with_the_certificate_of_the_secret(everything):
    certificate = base64.b64decode(everything.get("secret db-tls")["data"]["tls.crt"]).decode()
    tls = {"ssl": True, "ssl_ca_data": certificate, "ssl_check_hostname": False}
    for ordinal in range(2):
        with everything.port(ordinal, 6379) as port, redis.Redis(port=port, **tls) as client:
            client.set("mark", ordinal)
            assert client.get("mark") == str(ordinal).encode()
            client.delete("mark")


def test_the_services_have_the_wanted_ports_and_find_the_pods(everything):
    ports = {port["name"]: port["port"] for port in everything.get("service db")["spec"]["ports"]}
    assert (ports["grpc"], ports["redis"]) == (50151, 6479)
    external = everything.get("service db-external")["spec"]
    assert external["loadBalancerClass"] == "example.org/none"
    assert {port["name"] for port in external["ports"]} == {"grpc", "redis"}
    slices = everything.get("endpointslices --selector kubernetes.io/service-name=db")["items"]
    assert sum(len(item["endpoints"]) for item in slices) == 2


def test_the_autoscaler_works(everything):
    everything.kubectl("wait horizontalpodautoscaler/db --for condition=ScalingActive --timeout 120s")
    conditions = {
        item["type"]: item["status"] for item in everything.get("horizontalpodautoscaler db")["status"]["conditions"]
    }
    assert conditions["AbleToScale"] == "True"


def test_the_server_may_what_the_guide_says_and_no_more(everything):
    account = f"system:serviceaccount:{everything.namespace}:db-account"

    def may(what):
        answer = everything.host.run(
            f"kubectl --kubeconfig '{os.environ['KUBECONFIG']}' --namespace {everything.namespace} "
            f"auth can-i {what} --as {account}"
        )
        return answer.stdout.strip() == "yes"

    assert may("list nodes") and may("get pods") and may("create events") and may("update leases")
    assert not may("get secrets") and not may("delete pods") and not may("list services --all-namespaces")


def test_check_mode_touches_nothing(everything):
    before = everything.at_rest()
    assert "changed=0" in everything.playbook("--check", "--diff")
    assert everything.fingerprint() == before


def test_a_run_without_a_difference_touches_nothing(everything):
    before = everything.at_rest()
    assert "changed=0" in everything.playbook()
    assert everything.fingerprint() == before


def test_what_somebody_changed_is_put_back_and_restarts_nothing(everything):
    before = [pod["metadata"]["uid"] for pod in everything.pods()]
    patches = {
        "horizontalpodautoscaler db": {"spec": {"maxReplicas": 9}},
        "networkpolicy db": {"spec": {"egress": []}},
        "ingress db": {"spec": {"ingressClassName": "foreign"}},
        "clusterrole molecule-deploy-all-db": {"rules": []},
        "service db-external": {"spec": {"sessionAffinity": "None"}},
    }
    asked = {what: everything.get(what) for what in patches}
    for what, patch in patches.items():
        everything.kubectl(f"patch {what} --type merge --patch '{json.dumps(patch)}'")
    output = everything.playbook("--diff")
    assert "changed=1" in output
    for what, wanted in asked.items():
        live = everything.get(what)
        assert (live.get("spec"), live.get("rules")) == (wanted.get("spec"), wanted.get("rules")), what
    assert [pod["metadata"]["uid"] for pod in everything.pods()] == before
    assert "changed=0" in everything.playbook()


def test_what_somebody_changed_in_a_foreign_kind_is_named(everything):
    """Helm itself does not look at the live state of these: what it would do is nothing, and that is not hidden."""
    patches = {
        "certificate db": {"spec": {"secretName": "foreign"}},
        "externalsecret outside": {"spec": {"refreshInterval": "9h"}},
        "httproute db": {"spec": {"hostnames": ["foreign.example.org"]}},
    }
    for what, patch in patches.items():
        everything.kubectl(f"patch {what} --type merge --patch '{json.dumps(patch)}'")
    ended = everything.try_playbook("--check")
    for name in ("Certificate", "ExternalSecret", "HTTPRoute"):
        assert f"change {name}" in ended.stdout or f", {name}" in ended.stdout, ended.stdout
    for what in patches:
        everything.kubectl(f"delete {what}")
    assert "changed=1" in everything.playbook()
    assert everything.get("certificate db")["spec"]["secretName"] == "db-tls-next"
    assert "changed=0" in everything.playbook()


def test_the_count_of_the_autoscaler_is_kept(everything):
    """It has scaled out; a deploy of something else does not scale in."""
    everything.kubectl("scale statefulset db --replicas 3")
    everything.kubectl("rollout status statefulset/db --timeout 120s")
    before = [pod["metadata"]["uid"] for pod in everything.pods()]
    assert len(before) == 3
    everything.kubectl("delete servicemonitor db")
    assert "changed=1" in everything.playbook()
    assert everything.get("servicemonitor db")["spec"]["endpoints"]
    assert everything.get("statefulset db")["spec"]["replicas"] == 3
    assert [pod["metadata"]["uid"] for pod in everything.pods()] == before
