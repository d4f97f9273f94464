# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When an ordinal is written to before it restarts."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.orbit.rs.plugins.plugin_utils import gate, objects
from ansible_collections.orbit.rs.plugins.plugin_utils.cluster import Cluster
from ansible_collections.orbit.rs.plugins.plugin_utils.watch import Watch
from ansible_collections.orbit.rs.tests.unit.plugins.plugin_utils import data


@pytest.mark.parametrize("keeps", [True, False])
def test_only_an_ordinal_that_keeps_its_data_is_written_to(keeps: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []

    def start(mark: gate.Mark) -> None:
        written.append(mark.key)

    monkeypatch.setattr(gate.Mark, "start", start)
    statefulset = copy.deepcopy(objects.find(data.rendered(), "StatefulSet") or {})
    statefulset["spec"]["template"]["spec"]["containers"][0]["ports"] = [{"name": "redis", "containerPort": 6379}]
    if not keeps:
        del statefulset["spec"]["volumeClaimTemplates"]
    Watch(Cluster("kubectl"), data.RELEASE, statefulset, lambda dummy: None).mark(0)
    assert bool(written) is keeps
