# SPDX-License-Identifier: GPL-3.0-or-later
"""Definitions of the foreign kinds that the chart renders, taken out of their makers' Go modules into the cache."""

from __future__ import annotations

from pathlib import Path

from testbed import cache, golang, versions

# Module, version, and the files in it.
SOURCES = (
    (
        "github.com/prometheus-operator/prometheus-operator",
        versions.PROMETHEUS_OPERATOR,
        [
            f"example/prometheus-operator-crd/monitoring.coreos.com_{kind}.yaml"
            for kind in ("podmonitors", "prometheusrules", "servicemonitors")
        ],
    ),
    (
        "github.com/cert-manager/cert-manager",
        versions.CERT_MANAGER,
        ["deploy/crds/cert-manager.io_certificates.yaml"],
    ),
    (
        "github.com/external-secrets/external-secrets",
        versions.EXTERNAL_SECRETS,
        [f"config/crds/bases/external-secrets.io_{kind}.yaml" for kind in ("externalsecrets", "secretstores")],
    ),
    (
        "sigs.k8s.io/gateway-api",
        versions.GATEWAY_API,
        [
            f"config/crd/standard/gateway.networking.k8s.io_{kind}.yaml"
            for kind in ("grpcroutes", "httproutes", "tcproutes")
        ],
    ),
)


def file() -> Path:
    """One YAML file with all of them."""

    def make(out: Path) -> None:
        texts = [
            (golang.source(module, version) / name).read_text() for module, version, names in SOURCES for name in names
        ]
        (out / "crds.yaml").write_text("\n---\n".join(texts))

    with cache.lock(golang.LOCK, shared=True):  # nobody drops the modules meanwhile
        return cache.artifact("crds", [cache.sources(__file__), SOURCES], make) / "crds.yaml"
