# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.orbit.rs.plugins.plugin_utils import storage
from ansible_collections.orbit.rs.plugins.plugin_utils.model import OrbitError

KIND = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": "fast"},
    "provisioner": "rancher.io/local-path",
    "reclaimPolicy": "Delete",
    "volumeBindingMode": "WaitForFirstConsumer",
    "allowVolumeExpansion": False,
}


@pytest.mark.parametrize(
    ("provider", "name", "options", "result"),
    [
        ("generic", "", {}, None),
        ("generic", "fast", {}, None),
        ("kind", "", {}, None),
        ("kind", "", {"parameters": {}, "default": False}, None),
        ("kind", "fast", {}, KIND),
        ("kind", "fast", {"default": False}, KIND),
        ("kind", "fast", {"reclaim_policy": "Retain"}, {**KIND, "reclaimPolicy": "Retain"}),
        ("kind", "fast", {"allow_expansion": True}, {**KIND, "allowVolumeExpansion": True}),
        (
            "kind",
            "fast",
            {"default": True},
            {**KIND, "metadata": {"name": "fast", "annotations": {storage.DEFAULT_CLASS: "true"}}},
        ),
        (
            "kind",
            "fast",
            {"parameters": {"encrypted": True, "iops": 3000, "type": "x"}},
            {**KIND, "parameters": {"encrypted": "true", "iops": "3000", "type": "x"}},
        ),
    ],
)
def test_storage_class(provider: str, name: str, options: dict[str, Any], result: Any) -> None:
    assert storage.storage_class(provider, name, **options) == result


@pytest.mark.parametrize(
    ("provider", "name", "options", "words"),
    [
        ("Kind", "a", {}, "Set orbit_rs_storage_provider: kind"),
        ("zzz", "a", {}, "known are: generic, kind"),
        ("generic", "a", {"parameters": {"type": "gp3"}}, "orbit_rs_storage_parameters has no effect"),
        ("kind", "", {"default": True}, "orbit_rs_storage_default has no effect"),
    ],
)
def test_what_has_no_effect_is_refused(provider: str, name: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(OrbitError, match=words):
        storage.storage_class(provider, name, **options)
