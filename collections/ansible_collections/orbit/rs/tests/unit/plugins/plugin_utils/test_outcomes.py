# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import math
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.orbit.rs.plugins.plugin_utils import outcomes, record, schedule
from ansible_collections.orbit.rs.plugins.plugin_utils.cluster import ApiError
from ansible_collections.orbit.rs.plugins.plugin_utils.model import OrbitError, Release
from ansible_collections.orbit.rs.plugins.plugin_utils.outcomes import Outcome
from prometheus_client.parser import text_string_to_metric_families

RELEASE = Release("orders", "shop")
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
OLD, NEW = "20261128T010000Z", "20261130T010000Z"


def run(operation: str, name: str = NEW, error: str = "", **more: Any) -> Outcome:
    details = {"bytes": 2048, "ended": "2026-11-30T11:00:00+00:00", "seconds": 3.5, **more}
    return Outcome(operation, name, error=error, **details)


def known(*runs: Outcome) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for outcome in runs:
        found[outcome.operation] = outcomes.after(found.get(outcome.operation), outcome)
    return found


def test_a_failure_leaves_the_last_success() -> None:
    found = known(run("backup", OLD), run("backup", "", "The disk is full."))["backup"]
    assert found["run"]["error"] == "The disk is full." and found["success"]["set"] == OLD
    assert known(run("backup", "", "no"))["backup"]["success"] is None
    assert known(run("backup", OLD), run("backup"))["backup"]["success"]["set"] == NEW


@pytest.mark.parametrize(
    ("runs", "verified"),
    [
        ((), ""),
        ((run("backup"),), ""),
        ((run("verify", OLD),), OLD),
        ((run("verify", NEW), run("drill", OLD)), NEW),
        ((run("verify", OLD), run("drill", NEW)), NEW),
        ((run("verify", OLD), run("verify", NEW, "bad")), OLD),
        ((run("verify", NEW), run("drill", NEW, "bad")), ""),
        ((run("verify", NEW), run("drill", OLD), run("verify", NEW, "bad")), OLD),
        ((run("verify", "", "no repository"),), ""),
    ],
)
def test_verified(runs: tuple[Outcome, ...], verified: str) -> None:
    assert outcomes.verified(known(*runs)) == verified


def test_text() -> None:
    assert outcomes.text({}, NOW) == ""
    said = outcomes.text(
        known(run("backup"), run("drill", OLD), run("drill", NEW, "It hangs.\nMore."), run("retention", "")), NOW
    )
    assert f"Backups: set {OLD}, begun 59 h ago, is proved." in said
    lines = [line.split() for line in said.splitlines()]
    assert ["backup", "1", "h", "ago", "succeeded", "3.5", "s", NEW, "2", "KiB", "1", "h", "ago"] in lines
    assert ["drill", "1", "h", "ago", "failed", "3.5", "s", NEW, "2", "KiB", "1", "h", "ago"] in lines
    assert "drill: It hangs." in said and "More." not in said
    assert "no set is proved" in outcomes.text(known(run("backup", "", "no")), NOW)
    assert "never" in outcomes.text(known(run("backup", "", "no")), NOW)


def samples(content: str) -> dict[tuple[str, str], float]:
    found = {}
    for family in text_string_to_metric_families(content):
        assert family.type == "gauge" and family.documentation.endswith(".")
        for sample in family.samples:
            assert (sample.labels["namespace"], sample.labels["release"]) == ("shop", "orders")
            found[sample.name, sample.labels.get("operation", "")] = sample.value
    return found


def test_metrics() -> None:
    found = samples(
        outcomes.metrics(
            RELEASE,
            known(run("backup", OLD), run("backup", "", "no", seconds=1), run("verify", OLD), run("retention", "")),
        )
    )
    operation = "orbit_rs_operation_last"
    ended = datetime.fromisoformat("2026-11-30T11:00:00+00:00").timestamp()
    assert found[f"{operation}_run_timestamp_seconds", "backup"] == ended
    assert found[f"{operation}_run_success", "backup"] == 0
    assert found[f"{operation}_run_success", "verify"] == 1
    assert found[f"{operation}_run_duration_seconds", "backup"] == 1
    assert found[f"{operation}_success_timestamp_seconds", "backup"] == ended
    assert found[f"{operation}_success_bytes", "backup"] == 2048
    assert (f"{operation}_success_bytes", "retention") not in found
    verified = datetime(2026, 11, 28, 1, tzinfo=UTC).timestamp()
    assert math.isclose(found["orbit_rs_last_verified_set_timestamp_seconds", ""], verified)


def test_metrics_of_what_never_succeeded() -> None:
    found = samples(outcomes.metrics(RELEASE, known(run("backup", "", "no"))))
    assert {name for name, dummy in found} == {
        f"orbit_rs_operation_last_run_{name}" for name in ("timestamp_seconds", "success", "duration_seconds")
    }


def test_the_file_is_whole_and_for_everybody(tmp_path: Path) -> None:
    for content in ("one\n", "two\n"):
        outcomes.write_metrics(str(tmp_path), RELEASE, content)
    (path,) = tmp_path.iterdir()
    assert path.name == "orbit-rs-shop-orders.prom" and path.read_text() == "two\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


class Store:
    """The ConfigMap of a cluster."""

    def __init__(self, found: dict[str, Any] | None = None, refuses: str = "") -> None:
        self.found, self.refuses = found, refuses

    def now(self) -> datetime:
        return NOW

    def find(self, path: str) -> Any:
        assert path == record.path(RELEASE)
        return self.found

    def request(self, method: str, path: str, body: Any, dummy: str = "") -> Any:
        if self.refuses:
            raise ApiError(403, "Forbidden", self.refuses)
        assert (method == "POST") == (self.found is None)
        self.found = {"data": {**(self.found or {}).get("data", {}), **body["data"]}}


def keep(store: Store, folder: str, error: Exception | None = None, operation: str = "backup") -> list[str]:
    said: list[str] = []
    with outcomes.kept(store, RELEASE, operation, folder, said.append) as outcome:  # type: ignore[arg-type]
        outcome.set = NEW
        if error:
            raise error
    return said


def test_what_is_kept(tmp_path: Path) -> None:
    history = {"2026-01-01T10.00.00-deploy": json.dumps({"operation": "deploy"})}
    store = Store({"data": history})
    assert keep(store, str(tmp_path)) == []
    with pytest.raises(OrbitError, match="full"):
        keep(store, str(tmp_path), OrbitError("The disk is full, password=hunter2."))
    with pytest.raises(KeyboardInterrupt):
        keep(store, str(tmp_path), KeyboardInterrupt(), "drill")  # type: ignore[arg-type]
    assert [item["operation"] for item in record.read(store.found)] == ["deploy"]
    found = outcomes.read(store.found)
    assert found["backup"]["success"]["set"] == NEW and found["backup"]["run"]["error"].startswith("The disk is full")
    assert "hunter2" not in json.dumps(store.found)
    assert found["drill"]["run"]["error"] == "It was interrupted."
    assert 'operation="drill"} 0' in (tmp_path / "orbit-rs-shop-orders.prom").read_text()


def test_nothing_fails_because_of_it(tmp_path: Path) -> None:
    assert "this backup is not on record" in keep(Store(refuses="no"), str(tmp_path))[0]
    assert "the metrics of this backup are not written" in keep(Store(), str(tmp_path / "nowhere"))[0]
    assert list(tmp_path.iterdir()) == []


def test_outcomes_push_no_record_out() -> None:
    data = {f"2026-01-01T10.00.{number:02}-deploy": "{}" for number in range(record.KEPT - 1)}
    data |= {f"{record.LAST}{operation}": "{}" for operation in schedule.OPERATIONS}
    assert record._surplus(record._records({"data": data}), 10_000) == []
    assert len(record.read({"data": data})) == record.KEPT - 1
