# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that only some tests need, built when they are asked for: Helm 3, and a container registry."""

from __future__ import annotations

from pathlib import Path

from testbed import cache, golang
from testbed.golang import Program
from testbed.versions import HELM_3, REGISTRY

_HELM_FLAGS = f"-X helm.sh/helm/v3/internal/version.version={HELM_3}"
_HELM = Program("helm3", "helm.sh/helm/v3", HELM_3, {"helm": "cmd/helm"}, _HELM_FLAGS)
_REGISTRY = Program("registry", "github.com/distribution/distribution/v3", REGISTRY, {"registry": "cmd/registry"})


def helm3() -> Path:
    """The command helm, version 3."""
    return _build(_HELM) / "helm"


def registry() -> Path:
    """The command registry; `registry serve FILE` serves OCI artifacts as FILE says."""
    return _build(_REGISTRY) / "registry"


def _build(program: Program) -> Path:
    with cache.lock(golang.LOCK, shared=True):
        return golang.build(program)
