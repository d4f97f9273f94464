# SPDX-License-Identifier: GPL-3.0-or-later
"""The bad values of tests/test_bad_input.py on a real cluster, and those that only a cluster can judge."""

import json

import pytest
import yaml

from molecule.conftest import CLUSTER_KINDS, KUBECONFIG, ROOT
from tests.test_bad_input import ROWS, expect, say

KIND = yaml.safe_load((ROOT / "inventories/kind/group_vars/orbit_rs.yml").read_text())


def values(**change):
    return {**KIND["orbit_rs_values"], **change}


def server(**change):
    return values(orbitServer={**KIND["orbit_rs_values"]["orbitServer"], **change})


REAL = [
    *ROWS,
    ("orbit_rs_plan_hash", "0" * 64, "This is not the approved plan"),
    (
        "orbit_rs_values",
        values(persistence={"storageClass": "nowhere"}),
        "nowhere",
    ),
    ("orbit_rs_values", server(resources={"requests": {"cpu": "1000"}, "limits": {"cpu": "1000"}}), "No node has room"),
    ("orbit_rs_values", server(nodeSelector={"disk": "nowhere"}), "can take a pod of this release"),
]


def state(deployed):
    """Take down what exists in the cluster, and which namespaces of this scenario."""
    found = {kind: deployed.kubectl(f"get {kind} --output name").split() for kind in CLUSTER_KINDS}
    namespaces = deployed.kubectl("get namespaces --output name").split()
    return json.dumps(found), [name for name in namespaces if "bad-input" in name]


@pytest.fixture(scope="module")
def said(deployed, tmp_path_factory):
    """Run all rows at once; see that nothing has come into being."""
    before = state(deployed)
    everywhere = {"orbit_rs_kubeconfig": KUBECONFIG, "orbit_rs_storage_provider": "kind"}
    answers = say(REAL, tmp_path_factory.mktemp("bad-input"), **everywhere, orbit_rs_values=KIND["orbit_rs_values"])
    assert before[1] == [] and state(deployed) == before
    return answers


@pytest.mark.parametrize("number", range(len(REAL)), ids=[f"{name}={value!r:.30}" for name, value, _ in REAL])
def test_refused_with_a_sentence_and_nothing_touched(said, number):
    expect(REAL[number], number, said)
