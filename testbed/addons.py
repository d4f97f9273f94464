# SPDX-License-Identifier: GPL-3.0-or-later
"""What every cluster gets besides Kubernetes: volumes on local disks and resource metrics."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from testbed import cache, golang
from testbed.node_image import LOCAL_PATH_IMAGE, METRICS_SERVER_IMAGE
from testbed.steps import run
from testbed.versions import LOCAL_PATH, METRICS_SERVER

VOLUMES = "/var/local-path-provisioner"  # a docker volume, so not on the slower file system of the container
DEPLOYMENTS = (
    ("kube-system", "coredns"),
    ("kube-system", "metrics-server"),
    ("local-path-storage", "local-path-provisioner"),
)
STORAGE_CLASS = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": "local-path", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
    "provisioner": "rancher.io/local-path",
    "volumeBindingMode": "WaitForFirstConsumer",
    "reclaimPolicy": "Delete",
}


def manifest(*, provisioner: bool, metrics_server: str = METRICS_SERVER_IMAGE) -> Path:
    """The file to apply: storage class, metrics-server and, unless the node image has one, the provisioner."""

    def make(out: Path) -> None:
        text = _metrics_server(out / "metrics-server", metrics_server)
        if provisioner:
            text += "---\n" + _local_path(golang.source("github.com/rancher/local-path-provisioner", LOCAL_PATH))
        text += "---\n" + json.dumps(STORAGE_CLASS) + "\n"
        (out / "addons.yaml").write_text(text)

    recipe = [cache.sources(__file__), LOCAL_PATH, METRICS_SERVER, provisioner, metrics_server]
    return cache.artifact("addons", recipe, make) / "addons.yaml"


def metrics_server_patch(image: str) -> list[dict[str, object]]:
    """Changes to metrics-server's own Deployment: our image, kind's self-signed kubelets, ready as soon as it is."""
    container = "/spec/template/spec/containers/0"
    return [
        {"op": "replace", "path": f"{container}/image", "value": image},
        {"op": "add", "path": f"{container}/args/-", "value": "--kubelet-insecure-tls"},
        {"op": "replace", "path": f"{container}/readinessProbe/initialDelaySeconds", "value": 2},
        {"op": "replace", "path": f"{container}/readinessProbe/periodSeconds", "value": 2},
    ]


def _metrics_server(work: Path, image: str) -> str:
    base = golang.source("sigs.k8s.io/metrics-server", METRICS_SERVER) / "manifests/base"
    shutil.copytree(base, work / "base")
    kustomization = {
        "resources": ["base"],
        "patches": [{"target": {"kind": "Deployment"}, "patch": json.dumps(metrics_server_patch(image))}],
    }
    (work / "kustomization.yaml").write_text(json.dumps(kustomization))
    text = run(cache.tools() / "kubectl", "kustomize", work)
    shutil.rmtree(work)
    return text


def _local_path(source: Path) -> str:
    """The provisioner's own manifest with our images and folder, without its class."""
    text = (source / "deploy/local-path-storage.yaml").read_text()
    for old, new in (
        (f"rancher/local-path-provisioner:{LOCAL_PATH}", LOCAL_PATH_IMAGE),
        ("image: busybox", f"image: {LOCAL_PATH_IMAGE}"),
        ("/opt/local-path-provisioner", VOLUMES),
    ):
        assert old in text, f"{old} is not in the manifest of {LOCAL_PATH} any more"
        text = text.replace(old, new)
    return "---\n".join(part for part in text.split("---\n") if "kind: StorageClass" not in part)
