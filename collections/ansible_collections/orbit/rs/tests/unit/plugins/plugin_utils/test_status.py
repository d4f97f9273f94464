# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the status says while a backup or a restore has taken the StatefulSet away."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import Any

import pytest
from ansible_collections.orbit.rs.plugins.plugin_utils import lock, snapshot, status, watch
from ansible_collections.orbit.rs.plugins.plugin_utils.cluster import ApiError
from ansible_collections.orbit.rs.tests.unit.plugins.plugin_utils import data

LEFT = {
    "metadata": {
        "annotations": {lock.UNFINISHED: '{"resume": "backup"}', lock.OPERATION: "backup"},
        "creationTimestamp": "2026-01-01T00:00:00Z",
    },
    "spec": {},
}


class Reached:
    """A cluster that has a clock."""

    def path(self, obj: Any) -> str:
        return str(obj["kind"])

    def now(self) -> Any:
        return datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("lease", "says"),
    [
        (None, "nothing restarts its pods.\nMake it again: ansible-playbook orbit.rs.deploy"),
        (LEFT, "nothing restarts its pods until this is finished."),
    ],
)
def test_a_statefulset_that_is_away(monkeypatch: pytest.MonkeyPatch, lease: Any, says: str) -> None:
    def look(dummy: Any, *, final: bool) -> None:
        raise ApiError(404, "NotFound", 'statefulsets.apps "orbit-server" not found')

    live = dataclasses.replace(data.deployed(), lease=lease)
    monkeypatch.setattr(snapshot, "read", lambda *dummy, **more: live)
    monkeypatch.setattr(watch.Watch, "look", look)
    reached: Any = Reached()
    found = status.look(reached, None, data.RELEASE, print)  # type: ignore[arg-type]
    text = status.text(data.RELEASE, found)
    assert not found.ready and "orbit-rs has no StatefulSet orbit-server: " + says in text
    assert ("To go on: ansible-playbook orbit.rs.backup" in text) is bool(lease)
