# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.orbit.rs.plugins.plugin_utils import report
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Check, Diagnosis, Finding, OrdinalState, Plan
from ansible_collections.orbit.rs.plugins.plugin_utils.plan import make_plan
from ansible_collections.orbit.rs.tests.unit.plugins.plugin_utils import data

CONFIG = "ConfigMap/orbit-rs/orbit-server-config"
TOML = '[logging]\nlevel = "debug"\n'


def lines(text: str) -> list[str]:
    assert "\033" not in text
    assert all(line == line.rstrip() for line in text.splitlines())
    return text.splitlines()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.24, "240 ms"),
        (1, "1.0 s"),
        (3.21, "3.2 s"),
        (59.96, "1 min"),
        (72, "1 min 12 s"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert report.duration(seconds) == text


def test_table_has_fixed_columns() -> None:
    assert report.table(("pod", "n"), [("orbit-server-0", 1), ("x", "")]) == "pod             n\norbit-server-0  1\nx"


def test_table_wraps_in_the_last_column_only() -> None:
    text = report.table(("a", "b"), [("x" * 10, "word " * 30)], width=50)
    assert all(len(line) <= 50 for line in lines(text))
    assert {line[:10] for line in lines(text)[2:]} == {" " * 10}


def test_findings_come_worst_first_with_the_remedy_below() -> None:
    text = report.findings_text(
        [Finding("info", "image", "Seen."), Finding("error", "ports", "Bad " * 40, "kubectl get " + "x" * 90)]
    )
    assert lines(text)[0].startswith("error  ports  Bad Bad")
    assert lines(text)[-1] == "info   image  Seen."
    assert f"kubectl get {'x' * 90}" in text or "x" * 90 in text
    assert report.findings_text([]) == "No findings."


def test_plan_of_a_roll() -> None:
    objs = data.change(data.rendered(), CONFIG, "data|orbit-server.toml", TOML)
    objs = data.change(objs, data.STATEFULSET, "spec|template|spec|containers|0|resources|limits|memory", "8Gi")
    snapshot = data.deployed(live=data.change(data.rendered(), "PodDisruptionBudget/orbit-rs/orbit-server",
                                              "spec|maxUnavailable", 3))  # fmt: skip
    plan = make_plan(data.wanted(objs), snapshot, [Finding("warning", "zones", "One zone.", "Add nodes.")])
    text = report.plan_text(plan, data.RELEASE)
    assert all(len(line) <= report.WIDTH for line in lines(text))
    for part in (
        "warning  zones  One zone.",
        "Plan for orbit-rs in namespace orbit-rs: 2 steps",
        "  1  configure  change ConfigMap orbit-server-config, PodDisruptionBudget orbit-server (no pod",
        '           -level = "info"',
        '           +level = "debug"',
        "         spec.maxUnavailable: 3 -> 1  (cluster: unknown)",
        "  2  roll       change the pod template (pods restart)",
        "         spec.template.spec.containers[orbit-server].resources.limits.memory: 2Gi -> 8Gi",
        "       restarts orbit-server-2, orbit-server-1, orbit-server-0, one at a time",
        f"To allow this plan and no other:\n  -e orbit_rs_plan_hash={plan.hash}",
    ):
        assert part in text


def test_plan_of_an_install_names_the_objects() -> None:
    text = report.plan_text(make_plan(data.wanted(), data.EMPTY, ()), data.RELEASE)
    assert "create Namespace orbit-rs (no pod restarts)" in text
    assert "       StatefulSet/orbit-rs/orbit-server" in text


def test_empty_and_refused_plans() -> None:
    empty = Plan((), (), (), "d", "h")
    assert report.plan_text(empty, data.RELEASE) == "Plan for orbit-rs in namespace orbit-rs: nothing to do."
    refused = dataclasses.replace(empty, refusals=(Finding("error", "version", "No.", "Wait."),))
    text = report.plan_text(refused, data.RELEASE)
    assert "Refused:\nerror  version  No." in text
    assert "nothing to do" not in text
    assert text.endswith("Nothing is changed until the errors above are gone.")


def test_a_long_value_gets_lines_of_its_own() -> None:
    objs = data.change(data.rendered(), data.STATEFULSET, "spec|template|metadata|annotations|a", "x " * 60)
    text = report.plan_text(make_plan(data.wanted(objs), data.deployed(), ()), data.RELEASE)
    assert all(len(line) <= report.WIDTH for line in lines(text))
    assert "- (none)" in text


def test_diff_has_the_named_fields_only() -> None:
    objs = data.change(data.rendered(), CONFIG, "data|orbit-server.toml", TOML)
    (entry,) = report.diff(make_plan(data.wanted(objs), data.deployed(), ()))
    assert entry == {
        "before_header": f"{CONFIG} (found)",
        "after_header": f"{CONFIG} (wanted)",
        "before": 'data[orbit-server.toml]: |\n  [logging]\n  level = "info"\n',
        "after": 'data[orbit-server.toml]: |\n  [logging]\n  level = "debug"\n',
    }
    assert report.diff(make_plan(data.wanted(), data.deployed(), ())) == []
    created = report.diff(make_plan(data.wanted(), data.EMPTY, ()))
    assert {entry["before"] for entry in created} == {""}


def test_diff_shows_new_objects_whole_and_secrets_without_their_values() -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s", "namespace": "orbit-rs"},
        "stringData": {"password": "hunter2"},
    }
    objs = (*data.rendered(), secret)
    created = {
        entry["after_header"].split()[0]: entry["after"]
        for entry in report.diff(make_plan(data.wanted(objs), data.EMPTY, ()), objs)
    }
    assert "level = " in created[CONFIG]
    assert "password: (hidden)" in created["Secret/orbit-rs/s"]
    assert "hunter2" not in "".join(created.values())


def state(ordinal: int, **fields: object) -> OrdinalState:
    base = OrdinalState(
        ordinal, f"orbit-server-{ordinal}", "Ready", True, True, 0, "a", "", "orbit-rs/orbit-server:v0.1.0"
    )
    return dataclasses.replace(base, **fields)  # type: ignore[arg-type]


def test_status() -> None:
    checks = [
        Check(0, "health", True, "200"),
        Check(0, "data", True, "write, read, delete in 4 ms"),
        Check(1, "health", False, "503"),
    ]
    ordinals = [state(0), state(1, ready=False, phase="Running, not ready", restarts=4, updated=False, node="b")]
    text = report.status_text(data.RELEASE, data.deployed(), ordinals, checks)
    assert lines(text)[0].endswith("server v0.1.0, revision 1 deployed, 1 of 2 ready")
    rows = [line.split() for line in lines(text)[2:5]]
    assert rows[0] == ["pod", "node", "zone", "restarts", "image", "health", "data", "volume", "state"]
    assert rows[1] == ["orbit-server-0", "a", "z1", "0", "v0.1.0", "ok", "ok", "10Gi", "Ready"]
    assert rows[2][:8] == ["orbit-server-1", "b", "z2", "4", "v0.1.0", "FAILED", "-", "10Gi"]
    assert "Running, not ready (old revision)" in " ".join(text.split())
    assert "ordinal 1 health: 503" in text
    assert "kubectl logs orbit-server-1 -n orbit-rs --previous" in text
    assert all(len(line) <= report.WIDTH for line in lines(text))


def test_status_of_a_good_release_says_how_to_reach_it() -> None:
    text = report.status_text(data.RELEASE, data.deployed(), [state(0)])
    assert "kubectl port-forward pod/orbit-server-0 -n orbit-rs" in text
    assert "health" not in lines(text)[2]


def test_status_without_a_release() -> None:
    assert "There is no release orbit-rs in namespace orbit-rs." in report.status_text(data.RELEASE, data.EMPTY, [])


def test_diagnosis() -> None:
    text = report.diagnosis_text(Diagnosis("image", "The image cannot be pulled.", "ErrImagePull", "Fix the tag.", 2))
    assert lines(text) == [
        "cause     Ordinal 2: The image cannot be pulled.",
        "evidence  ErrImagePull",
        "remedy    Fix the tag.",
    ]
