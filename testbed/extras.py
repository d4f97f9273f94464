# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that only some tests need, built when they are asked for: Helm 3, a registry, restic and its servers."""

from __future__ import annotations

from pathlib import Path

from testbed import cache, golang
from testbed.golang import Program
from testbed.versions import HELM_3, REGISTRY, REST_SERVER, RESTIC, VERSITYGW

_HELM_FLAGS = f"-X helm.sh/helm/v3/internal/version.version={HELM_3}"
_HELM = Program("helm3", "helm.sh/helm/v3", HELM_3, {"helm": "cmd/helm"}, _HELM_FLAGS)
_REGISTRY = Program("registry", "github.com/distribution/distribution/v3", REGISTRY, {"registry": "cmd/registry"})
_RESTIC = Program("restic", "github.com/restic/restic", RESTIC, {"restic": "cmd/restic"})
_REST_SERVER = Program("rest-server", "github.com/restic/rest-server", REST_SERVER, {"rest-server": "cmd/rest-server"})
_VERSITYGW = Program("versitygw", "github.com/versity/versitygw", VERSITYGW, {"versitygw": "cmd/versitygw"})


def helm3() -> Path:
    """The command helm, version 3."""
    return _build(_HELM) / "helm"


def registry() -> Path:
    """The command registry; `registry serve FILE` serves OCI artifacts as FILE says."""
    return _build(_REGISTRY) / "registry"


def restic() -> Path:
    """The command restic."""
    return _build(_RESTIC) / "restic"


def rest_server() -> Path:
    """The command rest-server, which serves repositories over HTTP."""
    return _build(_REST_SERVER) / "rest-server"


def versitygw() -> Path:
    """The command versitygw; `versitygw --port ADDRESS posix FOLDER` is an S3 server whose buckets are folders."""
    return _build(_VERSITYGW) / "versitygw"


def _build(program: Program) -> Path:
    with cache.lock(golang.LOCK, shared=True):
        return golang.build(program)
