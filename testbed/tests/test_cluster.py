# SPDX-License-Identifier: GPL-3.0-or-later
"""On a real cluster: the one that ORBIT_RS_TEST_CLUSTER names. Its nodes are killed and started again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed import archive, cluster, host
from testbed.cluster import ZONES, Cluster
from testbed.steps import Problem, run, wait_for
from testbed.versions import Kubernetes

NAME = os.environ.get("ORBIT_RS_TEST_CLUSTER", "")
ALL = f"load onto {NAME}-control-plane, {NAME}-worker, {NAME}-worker2: "
UNROUTED = "192.0.2.1"  # for documentation (RFC 5737): nobody's address
pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(not NAME, reason="ORBIT_RS_TEST_CLUSTER names no cluster of the test bed"),
]


def bed_command(*arguments: str, name: str = NAME) -> str:
    command, *rest = arguments
    done = subprocess.run(
        [sys.executable, "-m", "testbed", command, "--name", name, *rest], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def bed() -> Cluster:
    return Cluster(NAME)


@pytest.fixture(scope="module")
def up(bed: Cluster) -> list[str]:
    """The `up` that brings back the wanted Kubernetes version, not the default one."""
    return ["up", "--kubernetes", bed.state()["kubernetes"]]


@pytest.fixture(scope="module")
def image(bed: Cluster) -> str:
    """An image with a shell that is on every node: the one that the storage provisioner starts its helpers with."""
    config = bed.get("/api/v1/namespaces/local-path-storage/configmaps/local-path-config")
    return str(config["data"]["helperPod.yaml"].partition("image: ")[2].split()[0])


@pytest.fixture(scope="module")
def probes(bed: Cluster, image: str) -> Iterator[str]:
    """A namespace with the web server `probe` on every node, serving the name of its node."""
    namespace = f"testbed-{uuid.uuid4().hex[:8]}"
    script = "echo $NODE > /www/index.html; exec httpd -f -p 8080 -h /www"
    env = {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}
    container = {
        "name": "web",
        "image": image,
        "command": ["/bin/sh", "-c", script],
        "env": [env],
        "volumeMounts": [{"name": "www", "mountPath": "/www"}],
        "readinessProbe": {"httpGet": {"port": 8080}, "periodSeconds": 1},
    }
    labels = {"app": "probe"}
    pod = {"containers": [container], "volumes": [{"name": "www", "emptyDir": {}}], "terminationGracePeriodSeconds": 0}
    port = [{"port": 80, "targetPort": 8080}]
    objects: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {"name": "probe", "namespace": namespace},
            "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "probe", "namespace": namespace},
            "spec": {"selector": labels, "ports": port},
        },
    ]
    bed.kubectl("apply", "--filename", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    try:
        bed.kubectl("rollout", "status", "daemonset/probe", "--namespace", namespace, "--timeout=90s")
        yield namespace
    finally:
        bed.kubectl("delete", "namespace", namespace, "--wait=false")


def probe_pods(bed: Cluster, namespace: str) -> dict[str, str]:
    """Pod name: pod address."""
    pods = bed.get(f"/api/v1/namespaces/{namespace}/pods?labelSelector=app%3Dprobe")["items"]
    return {pod["metadata"]["name"]: pod["status"]["podIP"] for pod in pods}


def inside(bed: Cluster, namespace: str, pod: str, script: str) -> str:
    return bed.kubectl("exec", "--namespace", namespace, pod, "--", "/bin/sh", "-c", script)


def assert_pods_reach_each_other(bed: Cluster, namespace: str) -> None:
    """Every pod fetches from every other by address, and through the Service by name until all nodes have answered."""
    pods = probe_pods(bed, namespace)
    assert len(pods) == len(ZONES)
    name = f"http://probe.{namespace}.svc.cluster.local"
    for pod in pods:
        addresses = " ".join(pods.values())
        script = f"for a in {addresses}; do wget -q -T 5 -O - http://$a:8080; done"
        assert len(set(inside(bed, namespace, pod, script).split())) == len(ZONES)
        script = f"for i in 1 2 3 4 5 6 7 8; do wget -q -T 5 -O - {name}; done"
        answered: set[str] = set()

        def silent(pod: str = pod, script: str = script, answered: set[str] = answered) -> str:
            answered.update(inside(bed, namespace, pod, script).split())
            return "" if len(answered) == len(ZONES) else f"only {answered} answered {pod}"

        wait_for(silent, 30, "")  # a new endpoint reaches every node within seconds


def test_every_zone_has_a_ready_node_that_takes_pods(bed: Cluster) -> None:
    nodes = bed.get("/api/v1/nodes")["items"]
    assert sorted(node["metadata"]["labels"]["topology.kubernetes.io/zone"] for node in nodes) == list(ZONES)
    assert not [taint for node in nodes for taint in node["spec"].get("taints", ())]
    assert not cluster.not_ready(bed)


def test_pods_on_different_nodes_reach_each_other_by_address_and_name(bed: Cluster, probes: str) -> None:
    assert_pods_reach_each_other(bed, probes)


def test_names_from_outside_do_not_exist_and_are_asked_nowhere(bed: Cluster, probes: str) -> None:
    corefile = bed.get("/api/v1/namespaces/kube-system/configmaps/coredns")["data"]["Corefile"]
    assert "forward" not in corefile
    pod = next(iter(probe_pods(bed, probes)))
    answer = inside(bed, probes, pod, "nslookup host.invalid. 2>&1 || true")
    assert "NXDOMAIN" in answer


def test_the_default_storage_class_waits_for_its_pod(bed: Cluster) -> None:
    classes = bed.get("/apis/storage.k8s.io/v1/storageclasses")["items"]
    key = "storageclass.kubernetes.io/is-default-class"
    defaults = [item for item in classes if item["metadata"].get("annotations", {}).get(key) == "true"]
    assert [item["metadata"]["name"] for item in defaults] == ["local-path"]
    assert defaults[0]["volumeBindingMode"] == "WaitForFirstConsumer"


@pytest.fixture(scope="module")
def writer(bed: Cluster, probes: str, image: str) -> str:
    """A pod of user 1001 that has written to a volume of the default class."""
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "namespace": probes},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "16Mi"}}},
    }
    script = "[ -e /data/written ] || id -u > /data/written; exec sleep 100000"
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "writer", "namespace": probes},
        "spec": {
            "securityContext": {"runAsUser": 1001, "runAsGroup": 1001, "runAsNonRoot": True},
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": "writer",
                    "image": image,
                    "command": ["/bin/sh", "-c", script],
                    "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                }
            ],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
        },
    }
    bed.kubectl(
        "apply", "--filename", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": [claim, pod]})
    )
    bed.kubectl("wait", "--for=condition=Ready", "pod/writer", "--namespace", probes, "--timeout=60s")
    return "writer"


def test_a_volume_is_writable_by_the_database_user(bed: Cluster, probes: str, writer: str) -> None:
    assert inside(bed, probes, writer, "cat /data/written").strip() == "1001"


def test_metrics_of_nodes_and_pods_are_served(bed: Cluster, probes: str) -> None:
    assert len(bed.get(cluster.METRICS)["items"]) == len(ZONES)
    path = f"/apis/metrics.k8s.io/v1beta1/namespaces/{probes}/pods"
    wait_for(lambda: "" if len(bed.get(path)["items"]) >= len(ZONES) else "metrics of the new pods", 90, "")


def test_nothing_leaves_the_machine(bed: Cluster, probes: str) -> None:
    image = bed.state()["image"]
    before = host.rejected(image)  # raises when the rule does not stand: then nothing is sent
    pod = next(iter(probe_pods(bed, probes)))
    from_node = ("docker", "exec", f"{NAME}-worker", "curl", "-sS", "--max-time", "10", f"http://{UNROUTED}")
    started = time.monotonic()
    with pytest.raises(Problem, match=r"(?i)refused"):
        inside(bed, probes, pod, f"nc -w 10 {UNROUTED} 80 </dev/null")
    with pytest.raises(Problem, match=r"(?i)failed to connect|could ?n.t connect"):
        run(*from_node)
    assert time.monotonic() - started < 5
    assert host.rejected(image) >= before + 2


def test_up_again_changes_nothing_and_takes_seconds(bed: Cluster, up: list[str]) -> None:
    def picture() -> object:
        deployments = bed.get("/apis/apps/v1/deployments")["items"]
        classes = bed.get("/apis/storage.k8s.io/v1/storageclasses")["items"]
        started = run("docker", "inspect", "--format", "{{.Id}} {{.State.StartedAt}}", *bed.containers())
        return started, [
            (item["metadata"]["uid"], item["metadata"].get("generation")) for item in deployments + classes
        ]

    before = picture()
    started = time.monotonic()
    bed_command(*up)
    assert time.monotonic() - started < 15
    assert picture() == before


def test_an_archive_is_loaded_where_its_images_are_not(bed: Cluster, tmp_path: Path) -> None:
    tag = f"testbed/loaded:{uuid.uuid4().hex[:8]}"

    def archive_of(content: str) -> Path:
        (tmp_path / content).mkdir()
        (tmp_path / content / "file").write_text(content)
        layer = archive.write_layer(tmp_path / content, tmp_path / f"{content}.layer")
        archive.write_archive(tmp_path / f"{content}.tar", [archive.Image((tag,), (layer,))])
        return tmp_path / f"{content}.tar"

    def load(file: Path) -> str:
        return bed_command("load", "--archive", str(file))

    one, two = archive_of("one"), archive_of("two")
    images = ("ctr", "--namespace", "k8s.io", "images")
    try:
        assert ALL in load(one)
        assert "on all nodes" in load(one)
        for node in bed.containers():
            assert f"docker.io/{tag}" in run("docker", "exec", node, *images, "list", "--quiet").split()
        assert ALL in load(two), "the same tag with other content"
        assert ALL in load(one), "and back"
        run("docker", "exec", f"{NAME}-worker", *images, "remove", f"docker.io/{tag}")
        assert f"load onto {NAME}-worker: " in load(one)
    finally:
        for node in bed.containers():
            run("docker", "exec", node, *images, "remove", f"docker.io/{tag}")


def test_status_names_nodes_zones_and_the_cut(bed: Cluster) -> None:
    shown = bed_command("status")
    for word in (
        *bed.containers(),
        *ZONES,
        "cut from outside    yes",
        "nodes and add-ons   ready",
        str(bed.kubeconfig),
    ):
        assert word in shown


def test_another_version_under_the_same_name_is_refused(bed: Cluster) -> None:
    other = {"v1.37.2": "v1.34.4"}.get(bed.state()["kubernetes"], "v1.37.2")
    release = Kubernetes(other, etcd="", coredns="", published="")
    with pytest.raises(Problem, match="runs Kubernetes") as caught:
        cluster.check(bed, release)
    assert f"down --name {NAME}" in caught.value.remedy


def test_killed_nodes_heal_and_keep_their_data(bed: Cluster, up: list[str], probes: str, writer: str) -> None:
    run("docker", "kill", *bed.containers())
    bed_command(*up)
    assert not cluster.not_ready(bed)
    bed.kubectl("rollout", "status", "daemonset/probe", "--namespace", probes, "--timeout=90s")
    wait_for(lambda: "" if all(probe_pods(bed, probes).values()) else "pods", 60, "")
    bed.kubectl("wait", "--for=condition=Ready", "pod/writer", "--namespace", probes, "--timeout=90s")
    assert inside(bed, probes, writer, "cat /data/written").strip() == "1001"
    assert_pods_reach_each_other(bed, probes)


def test_a_killed_up_is_made_whole_by_the_next_beside_the_other_cluster(bed: Cluster, up: list[str]) -> None:
    name = f"{NAME}-killed"
    second = Cluster(name)
    command = [sys.executable, "-m", "testbed", up[0], "--name", name, *up[1:]]
    try:
        first = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_for(lambda: "" if second.containers() else "no containers yet", 120, "")
        first.send_signal(signal.SIGKILL)
        first.wait()
        assert "made" not in second.state()
        printed = bed_command(*up, name=name)
        assert "is not whole" in printed
        assert not cluster.not_ready(second)
        assert set(second.containers()).isdisjoint(bed.containers())
    finally:
        bed_command("down", name=name)
    assert not second.containers()
    assert not second.folder.exists()
    assert host.is_cut(bed.state()["image"]), "the cut belongs to the cluster that is left"
    assert not cluster.not_ready(bed)
