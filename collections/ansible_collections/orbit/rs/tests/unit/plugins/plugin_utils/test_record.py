# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

from ansible_collections.orbit.rs.plugins.plugin_utils import record
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Check


def test_a_record_says_what_happened_and_no_secret() -> None:
    one = record.Record("deploy", "alice@host:1")
    one.event("stop", 2)
    one.passed([Check(2, "health", True, "200"), Check(1, "health", False, "503"), Check(2, "grpc", True, "SERVING")])
    one.end("failed", "the log says password=hunter2")
    kept = json.loads(json.dumps(one.data()))
    assert [(what, ordinal) for dummy, what, ordinal in kept["events"]] == [("stop", 2), ("good", 2)]
    assert kept["checks"][1] == [1, "health", False, "503"]
    assert kept["error"] == "the log says password=(hidden)"
    assert kept["started"].endswith("+00:00") and kept["by"] == "alice@host:1"


def test_the_newest_come_first() -> None:
    data = {f"2026-01-0{day}T10.00.00-deploy": json.dumps({"day": day}) for day in (2, 1, 3)}
    assert [item["day"] for item in record.read({"data": data})] == [3, 2, 1]
    assert record.read(None) == []


def test_the_oldest_go_when_there_are_too_many_or_too_much() -> None:
    many = {f"2026-01-01T10.00.{number:02}-deploy": "x" for number in range(40)}
    assert record._surplus(many, 1000) == sorted(many, reverse=True)[record.KEPT - 1 :]
    big = {f"2026-01-0{day}T10.00.00-deploy": "x" * 400 for day in (1, 2, 3)}
    assert record._surplus(big, 1000) == ["2026-01-01T10.00.00-deploy"]
    assert record._surplus({}, 1000) == []
