# SPDX-License-Identifier: GPL-3.0-or-later
"""Which claims of a namespace are those of a release, under whatever name its StatefulSet goes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest
from ansible_collections.orbit.rs.plugins.plugin_utils import snapshot
from ansible_collections.orbit.rs.plugins.plugin_utils.cluster import ApiError
from ansible_collections.orbit.rs.plugins.plugin_utils.model import HelmRelease, Object
from ansible_collections.orbit.rs.tests.unit.plugins.plugin_utils import data

CLAIMS = ("data-orbit-server-0", "data-ledger-0", "data-ledger-1", "logs-ledger-1", "other-0")


class _Cluster:
    """A namespace with claims, whose Secrets may not be read."""

    def get_all(self, paths: Sequence[str]) -> list[Object | ApiError]:
        return [self._get(path) for path in paths]

    def _get(self, path: str) -> Object | ApiError:
        if "/secrets" in path:
            return ApiError(403, "Forbidden", "no")
        if path.endswith("/persistentvolumeclaims"):
            return {"items": [{"metadata": {"name": name}} for name in CLAIMS]}
        return ApiError(404, "NotFound", "no")


class _Helm:
    def __init__(self, release: HelmRelease | None) -> None:
        self._release = release

    def status(self, dummy: object) -> HelmRelease | None:
        return self._release


@pytest.mark.parametrize(
    ("name", "status", "expected"),
    [
        ("orbit-server", "deployed", ["data-orbit-server-0"]),
        ("ledger", "deployed", ["data-ledger-0", "data-ledger-1", "logs-ledger-1"]),
        ("ledger", "uninstalled", list(CLAIMS)),  # whose they are, what is rendered now tells
        ("", "", list(CLAIMS)),
    ],
)
def test_the_claims_are_those_of_the_stored_statefulset(name: str, status: str, expected: list[str]) -> None:
    objs = data.change(data.rendered(), data.STATEFULSET, "metadata|name", name) if name else ()
    helm: Any = _Helm(data.stored(objs, status) if name else None)
    cluster: Any = _Cluster()
    found = snapshot.read(cluster, helm, data.RELEASE, planning=False)
    assert [claim["metadata"]["name"] for claim in found.claims] == expected


def test_before_a_first_install_they_are_those_of_what_is_rendered() -> None:
    objs = data.change(data.rendered(), data.STATEFULSET, "metadata|name", "ledger")
    found = dataclasses.replace(data.EMPTY, claims=tuple({"metadata": {"name": name}} for name in CLAIMS))
    found = snapshot.with_claims_of(found, objs)
    assert [claim["metadata"]["name"] for claim in found.claims] == ["data-ledger-0", "data-ledger-1", "logs-ledger-1"]
