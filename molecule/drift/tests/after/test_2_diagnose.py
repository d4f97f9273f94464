# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that fails keeps what was seen before it is undone; nothing secret is in it, and it is on record."""

import base64
import json
import re
import stat
import tarfile
from pathlib import Path

import pytest
import yaml

KIND = Path(__file__).parents[4] / "inventories" / "kind" / "group_vars" / "orbit_rs.yml"
PASSWORD, TOKEN = "Kx7-blue-gherkin", "tok-4711-plain"


def read(path):
    """Read a bundle: its files by name, without the folder in it."""
    with tarfile.open(path) as tar:
        names = [member.name.partition("/")[2] for member in tar]
        assert names[0] == "SUMMARY.md"
        return {member.name.partition("/")[2]: tar.extractfile(member).read().decode() for member in tar}


@pytest.fixture(scope="module")
def failed(deployed, tmp_path_factory):
    """Let a deploy fail whose pods know secrets in every way there is."""
    folder = tmp_path_factory.mktemp("bundles") / "new"
    values = yaml.safe_load(KIND.read_text())["orbit_rs_values"]
    values["orbitServer"]["env"] = [
        {"name": "ORBIT_FAULT", "value": "crash"},
        {"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "app", "key": "password"}}},
        {"name": "API_TOKEN", "value": TOKEN},
        {"name": "GREETING", "value": f"it also says {PASSWORD} and {TOKEN}"},
    ]
    deployed.kubectl(f"create secret generic app --from-literal=password={PASSWORD}")
    given = json.dumps({"orbit_rs_values": values, "orbit_rs_diagnose_dir": str(folder)})
    return folder, deployed.try_playbook("--extra-vars", given)


def test_the_error_ends_with_where_it_is(failed):
    folder, ended = failed
    assert ended.returncode == 2, ended.stdout
    assert "Rolled back: all 3 ordinals" in ended.stdout
    (path,) = folder.iterdir()
    assert re.search(rf"msg: .*What was seen: {re.escape(str(path))}\n\nPLAY RECAP", ended.stdout, re.DOTALL)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_it_shows_what_the_return_has_taken_away(failed):
    files = read(*failed[0].iterdir())
    summary = files["SUMMARY.md"]
    assert "The server ends with an error soon after its start" in summary
    assert "CrashLoopBackOff" in summary, "it was seen before the release was brought back"
    assert "panicked at startup" in files["logs/orbit-server-2/orbit-server.previous.log"]
    assert "BackOff" in files["events.txt"]
    assert "superseded" in files["helm/history.txt"]
    assert {"objects/statefulset-orbit-server.yaml", "objects/pod-orbit-server-2.yaml", "preflight.txt"} < files.keys()


def test_no_secret_is_in_it(failed):
    for name, text in read(*failed[0].iterdir()).items():
        for secret in (PASSWORD, TOKEN, base64.b64encode(PASSWORD.encode()).decode()):
            assert secret not in text, name


def test_a_refused_run_keeps_nothing(deployed, tmp_path):
    values = yaml.safe_load(KIND.read_text())["orbit_rs_values"] | {"nonsense": 1}
    given = json.dumps({"orbit_rs_values": values, "orbit_rs_diagnose_dir": str(tmp_path)})
    assert deployed.try_playbook("--extra-vars", given).returncode == 2
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_on_request_touches_nothing_and_replaces_the_oldest(deployed, tmp_path):
    before = deployed.at_rest()
    options = ("--extra-vars", json.dumps({"orbit_rs_diagnose_dir": str(tmp_path), "orbit_rs_diagnose_keep": 1}))
    assert "a bundle would be written" in deployed.playbook(*options, "--check", playbook="diagnose")
    assert list(tmp_path.iterdir()) == []
    deployed.playbook(*options, playbook="diagnose")
    (first,) = tmp_path.iterdir()
    output = deployed.playbook(*options, playbook="diagnose")
    (second,) = tmp_path.iterdir()
    assert first != second and str(second) in output
    files = read(second)
    assert "3 of 3 ready" in files["SUMMARY.md"]
    assert "rolled back" in files["operations.txt"]
    assert PASSWORD not in "".join(files.values())
    assert deployed.fingerprint() == before


def test_history_and_status_show_what_was_done(deployed, failed, tmp_path):
    page = tmp_path / "history.html"
    options = ("--extra-vars", json.dumps({"orbit_rs_history_html": str(page)}))
    output = deployed.playbook(*options, playbook="history")
    assert "2 operations on orbit-rs" in output
    assert re.search(r"deploy +rolled back .*\n.* deploy +succeeded ", output)
    assert re.search(r"2 +\d.* +good", output), "what became of ordinal 2"
    html = page.read_text()
    assert "rolled back" in html and "ordinal 2" in html and "stops and starts" in html
    assert not re.search(r"https?://|<script|<link|<img|@import|url\(", html), "it needs nothing from elsewhere"
    assert PASSWORD not in html and TOKEN not in html
    assert "changed=0" in deployed.playbook(*options, playbook="history")

    output = deployed.playbook(playbook="status")
    assert "Last operations:" in output and "rolled back" in output
