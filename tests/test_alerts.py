# SPDX-License-Identifier: GPL-3.0-or-later
"""Each alert of the chart, and the regular expressions of its dashboards, run by Prometheus' own engine.

Every alert has series at which it must fire, and the nearest ones at which it must not. Time begins at 0 in promtool:
what happened before is below it.
"""

import json
import re
import subprocess

import pytest
import yaml
from ansible_collections.orbit.rs.tests.unit.chart import helpers as h

from testbed import promtool

OPERATIONS = ("backup", "verify", "drill", "retention")
HOUR = 3600

POD = 'namespace="orbit-rs",pod="orbit-server-0"'
SET = 'namespace="orbit-rs",statefulset="orbit-server"'
CONTAINER = f'{POD},container="orbit-server"'
UP = {f"up{{{POD}}}": "1x60"}
READY = {f"kube_statefulset_replicas{{{SET}}}": "3x60", f"kube_statefulset_status_replicas_ready{{{SET}}}": "3x60"}
RELEASE = 'namespace="orbit-rs",release="orbit-rs"'
BACKUP = f'orbit_rs_operation_last_success_timestamp_seconds{{{RELEASE},operation="backup"}}'
VERIFIED = f"orbit_rs_last_verified_set_timestamp_seconds{{{RELEASE}}}"
OUTCOME = {name: f'orbit_rs_operation_last_run_success{{{RELEASE},operation="{name}"}}' for name in OPERATIONS}
BACKUPS = {BACKUP: "0x60", VERIFIED: "0x60", **dict.fromkeys(OUTCOME.values(), "1x60")}
GOOD = UP | READY | BACKUPS
LIMITS = {
    f'kube_pod_container_resource_limits{{{CONTAINER},resource="memory",unit="byte"}}': "1000x60",
    f'kube_pod_container_resource_limits{{{CONTAINER},resource="cpu",unit="core"}}': "2x60",
}
MEMORY = f"container_memory_working_set_bytes{{{CONTAINER}}}"
CPU = f"container_cpu_usage_seconds_total{{{CONTAINER}}}"


def counters(kind, bad, total):
    """Two counters that grow by so much each minute."""
    names = {"transactions": "failed", "sagas": "compensated"}
    return {
        f"orbit_{kind}_{names[kind]}_total{{{POD}}}": f"0+{bad}x60",
        f"orbit_{kind}_total{{{POD}}}": f"0+{total}x60",
    }


# alert, whether it fires, at which minute, the series that differ from those of a good release
CASES = {
    "a target is down": ("OrbitServerDown", True, 5, {f"up{{{POD}}}": "0x60"}),
    "no target is left": ("OrbitServerDown", True, 5, {f"up{{{POD}}}": None}),
    "only another release is up": (
        "OrbitServerDown", True, 5,
        {f"up{{{POD}}}": None, 'up{namespace="other",pod="orbit-server-0"}': "1x60"},
    ),
    "an ordinal is missing for long": (
        "OrbitServerDown", True, 15, {f"kube_statefulset_status_replicas_ready{{{SET}}}": "2x60"},
    ),
    "an ordinal restarts": (
        "OrbitServerDown", False, 5, {f"kube_statefulset_status_replicas_ready{{{SET}}}": "2x5 3x60"},
    ),
    "a scrape fails once": ("OrbitServerDown", False, 5, {f"up{{{POD}}}": "1 1 1 1 0 1x55"}),
    "another release is down": ("OrbitServerDown", False, 5, {'up{namespace="other",pod="orbit-server-0"}': "0x60"}),
    "all is well": ("OrbitServerDown", False, 30, {}),
    "memory above 90 %": ("OrbitServerHighMemoryUsage", True, 10, {MEMORY: "950x60"}),
    "memory below 90 %": ("OrbitServerHighMemoryUsage", False, 10, {MEMORY: "890x60"}),
    "memory of a sidecar": (
        "OrbitServerHighMemoryUsage", False, 10,
        {f'container_memory_working_set_bytes{{{POD},container="logs"}}': "5000x60", MEMORY: "1x60"},
    ),
    "memory without a limit": (
        "OrbitServerHighMemoryUsage", False, 10, {MEMORY: "950x60", **dict.fromkeys(LIMITS)},
    ),
    "CPU above 80 %": ("OrbitServerHighCPUUsage", True, 20, {CPU: "0+102x60"}),
    "CPU below 80 %": ("OrbitServerHighCPUUsage", False, 20, {CPU: "0+90x60"}),
    "CPU without a limit": ("OrbitServerHighCPUUsage", False, 20, {CPU: "0+600x60", **dict.fromkeys(LIMITS)}),
    "transactions fail": ("OrbitTransactionFailureRate", True, 15, counters("transactions", 12, 100)),
    "few transactions fail": ("OrbitTransactionFailureRate", False, 15, counters("transactions", 9, 100)),
    "no transactions": ("OrbitTransactionFailureRate", False, 15, counters("transactions", 0, 0)),
    "sagas are compensated": ("OrbitSagaCompensationRate", True, 15, counters("sagas", 25, 100)),
    "few sagas are compensated": ("OrbitSagaCompensationRate", False, 15, counters("sagas", 15, 100)),
    "no sagas": ("OrbitSagaCompensationRate", False, 15, counters("sagas", 0, 0)),
    "recoveries fail": ("OrbitRecoveryFailure", True, 12, {f"orbit_recovery_failed_total{{{POD}}}": "0x5 5x60"}),
    "one recovery fails": ("OrbitRecoveryFailure", False, 12, {f"orbit_recovery_failed_total{{{POD}}}": "0x5 1x60"}),
    "recoveries failed long ago": (
        "OrbitRecoveryFailure", False, 40, {f"orbit_recovery_failed_total{{{POD}}}": "0x5 5x60"},
    ),
    "the last backup is too old": ("OrbitBackupTooOld", True, 20, {BACKUP: f"{-26 * HOUR}x60"}),
    "the last backup is old enough": ("OrbitBackupTooOld", False, 50, {BACKUP: f"{-25 * HOUR}x60"}),
    "nothing is known of a backup": ("OrbitBackupTooOld", True, 20, {BACKUP: None}),
    "a backup is made in time": ("OrbitBackupTooOld", False, 20, {BACKUP: f"{-26 * HOUR}x10 600x50"}),
    "another control host has an older one": (
        "OrbitBackupTooOld", False, 20, {BACKUP.replace("{", '{instance="old",'): f"{-99 * HOUR}x60"},
    ),
    "another release has a young one": (
        "OrbitBackupTooOld", True, 20,
        {BACKUP: None, BACKUP.replace("orbit-rs", "other"): "0x60"},
    ),
    "the verified set is too old": ("OrbitVerifiedSetTooOld", True, 20, {VERIFIED: f"{-194 * HOUR}x60"}),
    "the verified set is old enough": ("OrbitVerifiedSetTooOld", False, 50, {VERIFIED: f"{-193 * HOUR}x60"}),
    "no set was ever verified": ("OrbitVerifiedSetTooOld", True, 20, {VERIFIED: None}),
    **{
        f"the last {name} has failed": ("OrbitBackupOperationFailed", True, 1, {OUTCOME[name]: "0x60"})
        for name in ("backup", "verify", "drill")
    },
    "all of them have succeeded": ("OrbitBackupOperationFailed", False, 30, {}),
    "a retention has failed": ("OrbitBackupOperationFailed", False, 1, {OUTCOME["retention"]: "0x60"}),
    "a backup was made again": ("OrbitBackupOperationFailed", False, 9, {OUTCOME["backup"]: "0x5 1x60"}),
}  # fmt: skip


@pytest.fixture(scope="module")
def tool():
    return promtool.binary()


def run(tool, folder, cases, rules):
    """Run test cases of promtool; return what it says, or "" when all pass."""
    (folder / "rules.yml").write_text(json.dumps(rules))
    (folder / "cases.yml").write_text(
        json.dumps({"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": cases})
    )
    ended = subprocess.run(
        (tool, "test", "rules", "cases.yml"), cwd=folder, capture_output=True, text=True, check=False
    )
    return "" if ended.returncode == 0 else ended.stdout + ended.stderr


@pytest.fixture(scope="module")
def rules():
    alerts = {"enabled": True, "backups": {"enabled": True}}
    values = {"monitoring": {"serviceMonitor": {"enabled": True}, "prometheusRule": alerts}}
    return h.render(values)["PrometheusRule/orbit-server"]["spec"]


@pytest.fixture(scope="module")
def said(tool, rules, tmp_path_factory):
    """What promtool says of each case: the alerts that fire, which none of them expects, in full."""
    cases = []
    for name, (alert, _, minute, series) in CASES.items():
        all_series = {key: value for key, value in {**GOOD, **LIMITS, **series}.items() if value is not None}
        cases.append(
            {
                "name": name,
                "interval": "1m",
                "input_series": [{"series": key, "values": value} for key, value in all_series.items()],
                "alert_rule_test": [{"eval_time": f"{minute}m", "alertname": alert, "exp_alerts": []}],
            }
        )
    parts = re.split(r"^    name: (.*),$", run(tool, tmp_path_factory.mktemp("alerts"), cases, rules), flags=re.M)
    assert "FAILED" in parts[0], parts[0]
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("name", CASES)
def test_alert(said, name):
    alert, fires, *_ = CASES[name]
    assert (name in said) == fires, said.get(name)
    if fires:
        assert f'alertname="{alert}"' in said[name] and "severity=" in said[name], said[name]
        assert "summary=" in said[name] and "{{" not in said[name] and "<no value>" not in said[name], said[name]


def test_every_alert_has_both(rules):
    own = {rule["alert"] for rule in rules["groups"][0]["rules"]}
    for fires in (True, False):
        assert {alert for alert, wanted, *_ in CASES.values() if wanted is fires} == own


def test_the_queries_of_the_dashboards(tool, tmp_path):
    """Each of them is PromQL, and those over several metrics tell them apart."""
    values = {"monitoring": {"grafanaDashboard": {"enabled": True}}}
    data = h.render(values)["ConfigMap/orbit-server-dashboard"]["data"].values()
    queries = [
        target["expr"].replace("$__rate_interval", "5m")
        for model in data
        for panel in json.loads(model)["panels"]
        for target in panel["targets"]
    ]
    rules = {
        "groups": [{"name": "a", "rules": [{"record": f"q{n}", "expr": query} for n, query in enumerate(queries)]}]
    }
    (tmp_path / "queries.yml").write_text(yaml.safe_dump(rules))
    subprocess.run((tool, "check", "rules", "--lint=none", "queries.yml"), cwd=tmp_path, check=True)
    (sagas,) = [query for query in queries if re.search("__name__=~.orbit_sagas", query)]
    case = {
        "interval": "1m",
        "input_series": [
            {"series": f"orbit_sagas_completed_total{{{POD}}}", "values": "0+60x60"},
            {"series": f"orbit_sagas_compensated_total{{{POD}}}", "values": "0+120x60"},
        ],
        "promql_expr_test": [
            {
                "expr": sagas,
                "eval_time": "30m",
                "exp_samples": [
                    {"labels": '{event="completed"}', "value": 1},
                    {"labels": '{event="compensated"}', "value": 2},
                ],
            }
        ],
    }
    assert run(tool, tmp_path, [case], {"groups": []}) == ""
