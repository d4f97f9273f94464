# SPDX-License-Identifier: GPL-3.0-or-later
"""Every version that the test bed pins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

KIND = "v0.33.0"
HELM = "v4.3.1"
HELM_3 = "v3.22.0"
REGISTRY = "v3.0.0"
RESTIC = "v0.19.1"
REST_SERVER = "v0.14.0"
VERSITYGW = "v1.8.0"
LOCAL_PATH = "v0.0.30"
METRICS_SERVER = "v0.9.0"

PROMETHEUS_OPERATOR = "v0.92.0"
CERT_MANAGER = "v1.21.2"
EXTERNAL_SECRETS = "v1.3.2"
GATEWAY_API = "v1.6.1"
PROMTOOL = "2.53.3+ds1-2"  # of Debian's package, with its hashes
PROMTOOL_SHA256 = {
    "amd64": "ff27654eacc95abd846d344e91fe4ba3b4f0588a50d606ed1d2f09ad3408722f",
    "arm64": "cc1d5889b4d2e2ef92a6984039d88c11993ad3c73f5e74acd3ee15adaefb764c",
}

# systemd 257 is the last one that boots on cgroup v1.
DEBIAN = "trixie"
# For containerd 2 and the runc beside it: Kubernetes 1.36 and later refuse containerd 1. They need libc and libseccomp.
DEBIAN_CONTAINERD = "sid"


@dataclass(frozen=True)
class Kubernetes:
    """What goes with one version of Kubernetes.

    `published` is a node image of the same minor version that the makers of kind publish.
    """

    version: str
    etcd: str
    coredns: str
    published: str


def order(version: str) -> tuple[int, ...]:
    """What sorts versions such as v1.9.0 and v1.10.0."""
    return tuple(int(number) for number in version.removeprefix("v").split("."))


DEFAULT_KUBERNETES = "v1.37.2"
KUBERNETES: Mapping[str, Kubernetes] = {
    release.version: release
    for release in (
        Kubernetes("v1.34.4", etcd="v3.6.5", coredns="v1.12.1", published="kindest/node:v1.34.4"),
        Kubernetes("v1.37.2", etcd="v3.7.0", coredns="v1.14.6", published="kindest/node:v1.37.0"),
    )
}
