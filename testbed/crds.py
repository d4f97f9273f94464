# SPDX-License-Identifier: GPL-3.0-or-later
"""Definitions of the foreign kinds that the chart renders, taken out of their makers' Go modules into the cache."""

from __future__ import annotations

import shutil
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


def folder() -> Path:
    """The folder with one YAML file for each definition."""

    def make(out: Path) -> None:
        for module, version, files in SOURCES:
            source = golang.source(module, version)
            for file in files:
                shutil.copyfile(source / file, out / Path(file).name)

    with cache.lock(golang.LOCK, shared=True):  # nobody drops the modules meanwhile
        return cache.artifact("crds", SOURCES, make)
