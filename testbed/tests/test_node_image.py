# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from dataclasses import replace

from testbed import node_image
from testbed.versions import DEFAULT_KUBERNETES, KUBERNETES, order

KUBEADM = [
    "host/kube-apiserver:v1.37.2",
    "host/kube-proxy:v1.37.2",
    "host/coredns/coredns:v1.14.6",
    "host/pause:3.10.2",
]


def test_every_image_that_a_cluster_asks_for_gets_its_name() -> None:
    tags = node_image.component_tags(KUBEADM, "host/pause:3.10")
    assert tags["kube-proxy"] == ("host/kube-proxy:v1.37.2",)
    assert tags["coredns"] == ("host/coredns/coredns:v1.14.6",)
    assert tags["pause"] == ("host/pause:3.10.2", "host/pause:3.10")
    assert tags["metrics-server"] == (node_image.METRICS_SERVER_IMAGE,)


def test_a_sandbox_image_that_kubeadm_names_too_is_named_once() -> None:
    assert node_image.component_tags(KUBEADM, "host/pause:3.10.2")["pause"] == ("host/pause:3.10.2",)


def test_the_published_metrics_server_is_on_the_registry_of_its_siblings() -> None:
    found = node_image.published_metrics_server("host/kube-proxy:v1.37.2")
    assert found.startswith("host/metrics-server/metrics-server:v")


def test_the_name_of_the_image_changes_with_its_content() -> None:
    release = KUBERNETES[DEFAULT_KUBERNETES]
    assert node_image.tag(release) == node_image.tag(replace(release))
    assert node_image.tag(release) != node_image.tag(replace(release, etcd="v9.9.9"))
    assert node_image.is_built(node_image.tag(release))
    assert not node_image.is_built(release.published)


def test_versions_are_ordered_by_number() -> None:
    assert max(["v1.9.0", "v1.10.0", "v1.10.0"], key=order) == "v1.10.0"
