# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that would do nothing because it found no host fails, and says so. Ansible by itself ends with 0."""

import os
import subprocess

import pytest
import yaml

from tests.package import COLLECTION, ROOT


def run(playbook, inventory, config="ansible.cfg"):
    env = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "MOLECULE_"))}
    env |= {"ANSIBLE_CONFIG": str(ROOT / config), "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections")}
    return subprocess.run(
        ("ansible-playbook", "--inventory", inventory, playbook),
        cwd=ROOT,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("inventory", ["orbit_rs: {}", "orbit_rs: {hosts: {}}", "orbit: {hosts: {misspelled: {}}}"])
def test_no_host_in_the_group(inventory, tmp_path):
    hosts = tmp_path / "hosts.yml"
    hosts.write_text(inventory)
    ended = run("playbooks/deploy.yml", hosts)
    assert ended.returncode != 0
    assert "the inventory names no host in the group orbit_rs" in ended.stdout


def test_every_playbook_finds_its_hosts_in_the_same_way():
    names = {path.name for path in (ROOT / "playbooks").glob("*.yml")}
    found = {path.name: yaml.safe_load(path.read_text()) for path in COLLECTION.glob("playbooks/*.yml")}
    assert found.keys() == names and len(names) > 20
    for name, plays in found.items():
        assert [play["hosts"] for play in plays] == ["{{ groups | orbit.rs.releases }}"] * len(plays), name


def test_an_inventory_that_does_not_exist():
    ended = run("playbooks/deploy.yml", "inventories/no-such")
    assert ended.returncode != 0
    assert "no-such" in ended.stdout


def test_an_inventory_that_does_not_exist_and_no_configuration_of_ours(tmp_path):
    empty = tmp_path / "ansible.cfg"
    empty.write_text("")
    ended = run("orbit.rs.deploy", "inventories/no-such", config=empty)
    assert ended.returncode != 0
    assert "the inventory names no host in the group orbit_rs" in ended.stdout
