# SPDX-License-Identifier: GPL-3.0-or-later
"""What deploy refuses: it says why and what to do instead, fails, and has touched nothing."""

import json
from pathlib import Path

import pytest
import yaml

KIND = Path(__file__).parents[4] / "inventories" / "kind" / "group_vars" / "orbit_rs.yml"

REFUSED = {
    "a provider that does not exist": ({"orbit_rs_storage_provider": "floppy"}, "kind, got: floppy"),
    "text for a number": ({"orbit_rs_rollout_timeout": "soon"}, "orbit_rs_rollout_timeout"),
    "a mistyped value": ({"orbitServer": {"replicaCuont": 3}}, "replicaCount"),
    "a value of the wrong type": ({"orbitServer": {"replicaCount": "many"}}, "replicaCount"),
    "another replica count": ({"orbitServer": {"replicaCount": 5}}, "scale"),
    "another image version": ({"orbitServer": {"image": {"tag": "v0.2.0"}}}, "upgrade"),
    "another volume size": ({"persistence": {"size": "2Gi"}}, "grow_storage"),
    "another plan than the approved one": (
        {"orbit_rs_plan_hash": "0" * 64, "orbit_rs_namespace_labels": {"approved": "no"}},
        "This is not the approved plan",
    ),
    "a values file that does not exist": ({"orbit_rs_values_files": ["no-such-values.yml"]}, "no-such-values.yml"),
    "a context that does not exist": ({"orbit_rs_context": "no-such-context"}, "no-such-context"),
}


def merged(values, changes):
    """Merge nested values, as Helm does."""
    for key, change in changes.items():
        values[key] = merged(values.get(key, {}), change) if isinstance(change, dict) else change
    return values


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("mode", [(), ("--check",)], ids=["", "check"])
def test_refused_with_a_sentence_and_untouched(deployed, tmp_path, case, mode):
    given, expected = REFUSED[case]
    if not any(name.startswith("orbit_rs_") for name in given):
        given = {"orbit_rs_values": merged(yaml.safe_load(KIND.read_text())["orbit_rs_values"], given)}
    path = tmp_path / "variables.json"
    path.write_text(json.dumps(given))
    before = deployed.at_rest()
    ended = deployed.try_playbook("--extra-vars", f"@{path}", *mode)
    assert ended.returncode != 0, ended.stdout
    assert expected in ended.stdout
    assert "Traceback" not in ended.stdout
    assert deployed.fingerprint() == before


def test_a_foreign_replica_count_is_named_and_left_alone(deployed):
    deployed.kubectl("scale statefulset orbit-server --replicas 4")
    try:
        deployed.wait_ready()
        before = deployed.at_rest()
        ended = deployed.try_playbook()
        assert ended.returncode != 0
        assert "scale" in ended.stdout
        assert deployed.fingerprint() == before
    finally:
        deployed.kubectl("scale statefulset orbit-server --replicas 3")
        deployed.wait_ready()
        deployed.kubectl("wait pod/orbit-server-3 --for delete --timeout 60s")
        deployed.kubectl("delete persistentvolumeclaim data-orbit-server-3 --wait")
