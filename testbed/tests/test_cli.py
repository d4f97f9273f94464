# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from testbed import cli, cluster
from testbed.cluster import ZONES, Cluster
from testbed.steps import Problem


def test_env_gives_a_shell_the_tools_and_the_cluster(private_cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["env", "--name", "mine"]) == 0
    script = f'{capsys.readouterr().out}\nprintf \'%s\\n\' "$PATH" "$KUBECONFIG"'
    shown = subprocess.run(
        ["/bin/sh", "-c", script], capture_output=True, text=True, check=True, env={"PATH": "/old bin"}
    )
    path, kubeconfig = shown.stdout.splitlines()
    assert path == f"{private_cache}/tools/bin:/old bin"
    assert kubeconfig == f"{private_cache}/clusters/mine/kubeconfig"


@pytest.mark.parametrize("name", ["", "A", "-a", "a-", "a b", "a_b", "x" * 40, "a/b", "a;b"])
def test_a_name_that_no_host_can_have_is_refused(
    private_cache: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert cli.main(["up", f"--name={name}"]) == 1
    printed = capsys.readouterr().err
    assert "seen:" in printed and "cause:" in printed and "do:" in printed


def test_an_unknown_version_is_refused_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["up", "--kubernetes", "v1.0.0"])
    assert ended.value.code == 2
    assert "v1.34.4" in capsys.readouterr().err


def test_the_cache_is_not_removed_under_a_cluster(private_cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Cluster("mine").note(kubernetes="v1.37.2", image="x")
    assert cli.main(["clean-cache"]) == 1
    assert "down --name mine" in capsys.readouterr().err
    assert private_cache.exists()


def test_loading_into_a_cluster_that_is_not_up_is_refused(private_cache: Path, tmp_path: Path) -> None:
    Cluster("mine").note(kubernetes="v1.37.2", image="x")
    with pytest.raises(Problem, match="not up"):
        cluster.load(Cluster("mine"), tmp_path / "any.tar")


@pytest.mark.parametrize("cgroup_v1", [True, False])
def test_every_zone_has_one_node_that_takes_pods(cgroup_v1: bool) -> None:
    config = json.loads(json.dumps(cluster.kind_config("mine", static_network=True, cgroup_v1=cgroup_v1)))
    zones = [node["labels"]["topology.kubernetes.io/zone"] for node in config["nodes"]]
    assert zones == list(ZONES)
    assert [node["role"] for node in config["nodes"]].count("control-plane") == 1
    assert json.loads(config["nodes"][0]["kubeadmConfigPatches"][0])["nodeRegistration"] == {"taints": []}
    assert config["networking"]["disableDefaultCNI"]
    assert ("kubeadmConfigPatches" in config) == cgroup_v1
