# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import io
import stat
import tarfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.orbit.rs.plugins.plugin_utils import bundle, diagnose
from ansible_collections.orbit.rs.plugins.plugin_utils.cluster import ApiError
from ansible_collections.orbit.rs.plugins.plugin_utils.model import OrbitError, Release
from ansible_collections.orbit.rs.tests.unit.plugins.plugin_utils import data

AT = datetime(2026, 11, 24, 16, 40, tzinfo=UTC)
SECRET = "correct-horse"
EVENT = {
    "type": "Warning",
    "reason": "Unhealthy",
    "involvedObject": {"kind": "Pod", "name": "orbit-server-0"},
    "message": f"it said\n{SECRET}",
    "lastTimestamp": "2026-11-24T16:39:00Z",
}
MATERIAL = bundle.Material(
    data.RELEASE,
    AT,
    why=f"The rollout does not succeed: {SECRET}",
    status="3 of 3 ready",
    preflight="No findings.",
    drift="Drift: none",
    objects=[{"kind": "Secret", "metadata": {"name": "app"}, "data": {"x": "eA=="}}, *data.rendered()],
    events=[EVENT],
    logs={"orbit-server-0/orbit-server.log": f"connected with {SECRET}\npassword=abc"},
    values={"auth": {"password": "abc"}, "n": 1},
    manifest=data.rendered(),
    revisions=[{"revision": 1, "status": "deployed", "chart": "orbit-rs-0.1.0"}],
    operations=[],
    secrets=[SECRET],
    missing=["rotated logs of orbit-server-0: Forbidden: nodes/proxy."],
)


def test_the_summary_comes_first_and_says_what_matters() -> None:
    files = bundle.files(MATERIAL)
    assert next(iter(files)) == "SUMMARY.md"
    summary = files["SUMMARY.md"]
    order = [
        "Why the run failed",
        "How it is",
        "Findings of preflight",
        "Drift",
        "warnings",
        "could not be had",
        "folder",
    ]
    places = [summary.index(title) for title in order]
    assert places == sorted(places)
    assert "Unhealthy" in summary and "Forbidden: nodes/proxy" in summary
    assert "logs/orbit-server-0/orbit-server.log" in summary


def test_everything_is_in_it_and_no_secret() -> None:
    files = bundle.files(MATERIAL)
    assert {
        "events.txt",
        "helm/history.txt",
        "helm/manifest.yaml",
        "helm/values.yaml",
        "logs/orbit-server-0/orbit-server.log",
        "objects/secret-app.yaml",
        "objects/statefulset-orbit-server.yaml",
        "preflight.txt",
        "status.txt",
    } < files.keys()
    whole = "\n".join(files.values())
    for secret in (SECRET, "eA==", "abc\n", "password: abc"):
        assert secret not in whole.replace("checksum/config: abc", "")
    assert files["logs/orbit-server-0/orbit-server.log"] == "connected with (hidden)\npassword=(hidden)\n"


def test_what_is_empty_is_left_out() -> None:
    assert set(bundle.files(bundle.Material(data.RELEASE, AT))) == {"SUMMARY.md"}


def test_the_archive_unpacks_into_one_folder() -> None:
    name = bundle.name(data.RELEASE, AT)
    content = bundle.archive({"SUMMARY.md": "a", "x/y.txt": "b"}, bundle.root(name), AT)
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        assert tar.getnames() == [f"orbit-rs_orbit-rs_20261124T164000Z/{file}" for file in ("SUMMARY.md", "x/y.txt")]
        assert {member.mode for member in tar} == {0o600}


def test_only_old_bundles_of_this_release_are_too_many() -> None:
    mine = [f"a_b_2026010{day}T100000Z.tar.gz" for day in (1, 2, 3)]
    others = ["a_b-c_20260101T100000Z.tar.gz", "a_b_20260101T100000Z.tar.gz.part", "a_b_x.tar.gz", "notes.txt"]
    assert bundle.surplus([*reversed(mine), *others], Release("b", "a"), 2) == mine[:1]
    assert bundle.surplus([*mine, *others], Release("b", "a"), 3) == []
    assert bundle.surplus([*mine, *others], Release("b", "a"), 0) == mine


def test_a_bundle_is_for_its_user_alone_and_older_ones_go(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    written = []
    for minute in range(3):
        material = bundle.Material(data.RELEASE, AT.replace(minute=minute))
        written.append(diagnose.write(material, str(folder), 2))
    assert sorted(folder.iterdir()) == written[1:]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(written[2].stat().st_mode) == 0o600


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OrbitError, match="orbit_rs_diagnose_dir"):
        diagnose.write(bundle.Material(data.RELEASE, AT), str(tmp_path / "file" / "folder"), 2)


def test_a_question_that_fails_or_hangs_is_named_and_costs_no_other() -> None:
    def fail(error: Exception) -> Any:
        raise error

    missing: list[str] = []
    started = time.monotonic()
    found = diagnose._together(
        {
            "good": lambda: 1,
            "forbidden": lambda: fail(ApiError(403, "Forbidden", "no")),
            "absent": lambda: fail(ApiError(404, "NotFound", "not there")),
            "broken": lambda: fail(KeyError("spec")),
            "slow": lambda: time.sleep(5),
        },
        0.3,
        missing,
    )
    assert time.monotonic() - started < 3
    assert found == {"good": 1}
    assert missing == ["forbidden: no", "broken: 'spec'", "slow: no answer within 0 s"]


def test_rotated_files_in_the_order_in_which_they_were_made() -> None:
    names = ["10.log", "2.log", "2.log.20260102-000000", "2.log.20260101-000000.gz", "10.log.20260103-000000"]
    assert sorted(names, key=diagnose._age) == [
        "2.log.20260101-000000.gz",
        "2.log.20260102-000000",
        "2.log",
        "10.log.20260103-000000",
        "10.log",
    ]


def test_secrets_that_a_pod_reads_are_known() -> None:
    pod = {
        "spec": {
            "imagePullSecrets": [{"name": "registry"}],
            "containers": [
                {
                    "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "one", "key": "x"}}}],
                    "envFrom": [{"secretRef": {"name": "two"}}, {"configMapRef": {"name": "no"}}],
                }
            ],
            "volumes": [
                {"name": "v", "secret": {"secretName": "three"}},
                {"name": "w", "projected": {"sources": [{"secret": {"name": "four"}}]}},
            ],
        }
    }
    names = {"registry", "one", "two", "three", "four"}
    assert diagnose._secret_names([pod]) == names
    assert diagnose._secret_names([{"kind": "ControllerRevision", "data": {"spec": {"template": pod}}}]) == names


def test_the_end_of_a_long_log_is_kept() -> None:
    limits = diagnose.Limits(seconds=1, lines=1, bytes=10, rotated=1)
    assert diagnose._tail("short\n", limits) == "short\n"
    assert diagnose._tail("first line\nlast\n", limits) == "(what came before is left out)\nlast\n"
