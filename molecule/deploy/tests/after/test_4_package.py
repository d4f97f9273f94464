# SPDX-License-Identifier: GPL-3.0-or-later
"""The tarball by itself: installed into an empty folder, with nothing of the checkout in reach, it deploys."""

import dataclasses
import os
import subprocess

import pytest

from tests.package import build

INVENTORY = """
orbit_rs:
  hosts:
    packaged:
      orbit_rs_namespace: molecule-package
      orbit_rs_storage_provider: kind
      orbit_rs_values:
        orbitServer:
          image: {repository: orbit-rs/orbit-server, tag: v0.1.0, pullPolicy: Never}
          resources: {requests: {cpu: 10m, memory: 64Mi}, limits: {cpu: "1", memory: 256Mi}}
        persistence: {size: 1Gi}
"""


@pytest.fixture(scope="module")
def packaged(deployed):
    yield dataclasses.replace(deployed, namespace="molecule-package")
    deployed.kubectl("delete namespace molecule-package --wait")


def test_the_installed_tarball_deploys_by_its_full_name(packaged, tmp_path):
    tarball = build(tmp_path)
    (tmp_path / "hosts.yml").write_text(INVENTORY)
    kept = {"HOME", "PATH", "KUBECONFIG", "ORBIT_RS_KUBECONFIG", "LANG", "LC_ALL"}
    env = {name: value for name, value in os.environ.items() if name in kept}
    env |= {"ANSIBLE_COLLECTIONS_PATH": str(tmp_path / "collections"), "ANSIBLE_NOCOLOR": "1"}
    env["KUBECONFIG"] = env.get("ORBIT_RS_KUBECONFIG") or env["KUBECONFIG"]

    def run(*command):
        ended = subprocess.run(
            command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        assert ended.returncode == 0, ended.stdout
        return ended.stdout

    # kubernetes.core is installed already, and no Galaxy answers here: --no-deps
    run("ansible-galaxy", "collection", "install", "--offline", "--no-deps", "-p", "collections", str(tarball))
    assert "changed=1" in run("ansible-playbook", "-i", "hosts.yml", "orbit.rs.deploy")
    assert "changed=0" in run("ansible-playbook", "-i", "hosts.yml", "orbit.rs.deploy")
    packaged.write_marks("package")
    assert packaged.read_marks("package") == [f"package of ordinal {ordinal}" for ordinal in range(3)]
