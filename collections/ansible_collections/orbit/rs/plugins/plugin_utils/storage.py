# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Storage per provider: which StorageClass the volumes of a release get."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from ansible_collections.orbit.rs.plugins.plugin_utils.model import Object, OrbitError
from ansible_collections.orbit.rs.plugins.plugin_utils.values import nearest

DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"


@dataclasses.dataclass(frozen=True)
class Profile:
    """What a provider's StorageClass looks like. Without a provisioner there is none that we could create."""

    provisioner: str = ""
    parameters: Mapping[str, str] = dataclasses.field(default_factory=dict)
    allow_expansion: bool = True
    reclaim_policy: str = "Delete"
    # A volume must come into being where its pod can run; Immediate may choose another zone or node.
    binding_mode: str = "WaitForFirstConsumer"


PROFILES: Mapping[str, Profile] = {
    "generic": Profile(),
    "kind": Profile(provisioner="rancher.io/local-path", allow_expansion=False),
}


def storage_class(
    provider: str,
    name: str,
    *,
    parameters: Mapping[str, object] | None = None,
    default: bool | None = None,
    allow_expansion: bool | None = None,
    reclaim_policy: str = "",
) -> Object | None:
    """StorageClass `name` of a provider; None when there is nothing to create.

    Nothing is created without a name (the cluster's default class is used) and for the generic provider (the class must
    exist). `parameters` win over those of the profile. A true `default` makes it the default class; false or None leave
    that as it is. None and "" stand for the profile's own value.

    Raises OrbitError for an unknown provider, and for parameters that would have no effect.
    """
    profile = PROFILES.get(provider)
    if profile is None:
        guess = nearest(provider, PROFILES)
        raise OrbitError(
            f"Storage provider {provider!r} is not known; known are: {', '.join(PROFILES)}.",
            f"Set orbit_rs_storage_provider: {guess or 'generic'}",
        )
    if not name or not profile.provisioner:
        if parameters or default:
            option = "orbit_rs_storage_parameters" if parameters else "orbit_rs_storage_default"
            creating = ", ".join(known for known, row in PROFILES.items() if row.provisioner)
            raise OrbitError(
                f"{option} has no effect: provider {provider!r} with class name {name!r} creates no StorageClass.",
                f"Name the class to create in orbit_rs_storage_class; providers that create one: {creating}.",
            )
        return None
    result: Object = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name, **({"annotations": {DEFAULT_CLASS: "true"}} if default else {})},
        "provisioner": profile.provisioner,
        "reclaimPolicy": reclaim_policy or profile.reclaim_policy,
        "volumeBindingMode": profile.binding_mode,
        "allowVolumeExpansion": profile.allow_expansion if allow_expansion is None else allow_expansion,
    }
    if merged := {**profile.parameters, **(parameters or {})}:
        # The API takes text only; YAML turns "true" without quotes into a boolean.
        result["parameters"] = {
            option: str(value).lower() if isinstance(value, bool) else str(value) for option, value in merged.items()
        }
    return result
