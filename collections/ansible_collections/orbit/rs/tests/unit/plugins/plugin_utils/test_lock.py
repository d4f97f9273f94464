# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import cast

import pytest
from ansible_collections.orbit.rs.plugins.plugin_utils import lock
from ansible_collections.orbit.rs.plugins.plugin_utils.cluster import Cluster
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Object, Release


def lease(transitions: int | None) -> Object:
    return {"metadata": {"resourceVersion": "1"}, "spec": {"holderIdentity": "me", "leaseTransitions": transitions}}


class Api:
    """Takes what a lock writes."""

    def request(self, method: str, path: str, body: Object, content_type: str) -> Object:
        return lease(0)


@pytest.mark.parametrize(
    ("seen", "taken", "alone"),
    [
        (None, 1, True),  # the first lock of a release
        (lease(None), 1, True),
        (lease(4), 5, True),
        (None, 2, False),  # somebody has installed it meanwhile
        (lease(4), 6, False),
    ],
)
def test_a_look_from_before_the_lock_counts_when_nobody_had_it_since(
    seen: Object | None, taken: int, alone: bool
) -> None:
    held = lock.Held(cast(Cluster, Api()), Release("orbit", "db"), lease(taken))
    try:
        assert held.next_after(seen) is alone
    finally:
        held.release()
