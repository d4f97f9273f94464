# SPDX-License-Identifier: GPL-3.0-or-later
"""Back to what was good, with the gates of an upgrade; volumes and count stay. One test goes on from the other."""

import json
import shutil

import pytest
import yaml

from molecule.conftest import ROOT

VARIABLES = "@molecule/upgrade/vars/upgrade.yml"
CHART = ROOT / "collections/ansible_collections/orbit/rs/charts/orbit-rs"
VALUES = yaml.safe_load((ROOT / "molecule/upgrade/vars/upgrade.yml").read_text())["orbit_rs_values"]


def play(deployed, playbook, *more):
    return deployed.playbook("-e", VARIABLES, "-e", "orbit_rs_rehearsal=false", *more, playbook=playbook)


def template(deployed):
    """What the StatefulSet asks of a new volume."""
    (found,) = deployed.get("statefulset orbit-server")["spec"]["volumeClaimTemplates"]
    return found["metadata"].get("annotations")


def revision(deployed):
    secrets = deployed.get("secrets --selector owner=helm,name=orbit-rs")["items"]
    return max(int(secret["metadata"]["labels"]["version"]) for secret in secrets)


def test_without_an_earlier_revision_there_is_nothing_to_go_back_to(deployed):
    ended = deployed.try_playbook("-e", VARIABLES, playbook="rollback")
    assert ended.returncode != 0
    assert "No earlier revision is known that was good" in " ".join(ended.stdout.split())


def test_back_to_the_last_good_one(deployed, clients):
    play(deployed, "upgrade", "-e", "orbit_rs_version=v0.2.0")
    before = deployed.at_rest()
    output = play(deployed, "rollback", "--check", "--diff")
    assert "going back to what revision 1 was" in output
    assert "changed=1" in output
    assert deployed.fingerprint() == before
    output = play(deployed, "rollback")
    assert "going back to what revision 1 was" in output
    assert deployed.versions() == ["v0.1.0"] * 3
    assert revision(deployed) == 3
    clients.nothing_is_lost()


def test_or_to_one_that_is_named_and_again_without_a_change(deployed, clients):
    play(deployed, "rollback", "-e", "orbit_rs_revision=2")
    assert deployed.versions() == ["v0.2.0"] * 3
    assert "changed=0" in play(deployed, "rollback", "-e", "orbit_rs_revision=2")
    clients.nothing_is_lost()


def test_a_revision_that_is_gone_is_refused(deployed):
    before = deployed.at_rest()
    ended = deployed.try_playbook("-e", VARIABLES, "-e", "orbit_rs_revision=99", playbook="rollback")
    assert ended.returncode != 0
    assert "Helm keeps no revision 99" in ended.stdout
    assert deployed.fingerprint() == before


def other_volumes(tag):
    """Values with another version, and a template of claims that is not that of revision 1."""
    server = {**VALUES["orbitServer"], "image": {**VALUES["orbitServer"]["image"], "tag": tag}, "replicaCount": 4}
    values = {**VALUES, "orbitServer": server, "persistence": {"size": "1Gi", "annotations": {"team": "data"}}}
    return "-e", json.dumps({"orbit_rs_values": values})


def test_count_and_volumes_stay_where_the_revision_had_others(deployed, clients):
    """The template of the claims is immutable: `helm rollback` fails on it, and would remove an ordinal."""
    play(deployed, "scale", *other_volumes("v0.2.0"), "-e", "orbit_rs_replicas=4", "-e", "orbit_rs_reshape=true")
    assert template(deployed) == {"team": "data"}

    play(deployed, "rollback", "-e", "orbit_rs_revision=1")
    assert deployed.versions() == ["v0.1.0"] * 4
    assert template(deployed) == {"team": "data"}
    clients.nothing_is_lost()


@pytest.fixture
def one_way(tmp_path):
    """Two versions of the chart, of which the second one's server writes another data format."""
    for name, version, annotations in (
        ("old", "0.1.1", {"orbit.rs/data-format": "1"}),
        ("new", "0.1.2", {"orbit.rs/data-format": "2", "orbit.rs/reads-data-formats": "1,2"}),
    ):
        shutil.copytree(CHART, tmp_path / name)
        file = tmp_path / name / "Chart.yaml"
        chart = {**yaml.safe_load(file.read_text()), "version": version, "annotations": annotations}
        file.write_text(yaml.safe_dump(chart))
    return tmp_path


@pytest.mark.soak
def test_what_could_not_read_the_data_is_refused_on_the_way_there_and_back(deployed, clients, one_way):
    common = (*other_volumes("v0.1.0"), "-e", "orbit_rs_upgrade_without_backup=true", "-e", "orbit_rs_rehearsal=false")
    deployed.playbook(*common, "-e", f"orbit_rs_chart={one_way / 'old'}")
    upgrade = (*common, "-e", f"orbit_rs_chart={one_way / 'new'}", "-e", "orbit_rs_version=v0.2.0")
    ended = deployed.try_playbook(*upgrade, playbook="upgrade")
    assert ended.returncode != 0
    said = " ".join(ended.stdout.split())
    assert "After this upgrade there is no way back: its data format is 2, and the version before reads 1" in said
    assert deployed.versions() == ["v0.1.0"] * 4

    deployed.playbook(*upgrade, "-e", "orbit_rs_upgrade_one_way=true", playbook="upgrade")
    assert deployed.versions() == ["v0.2.0"] * 4
    ended = deployed.try_playbook(*common, playbook="rollback")
    assert ended.returncode != 0
    assert "cannot be brought back: the data is there in another format" in " ".join(ended.stdout.split())
    assert deployed.versions() == ["v0.2.0"] * 4
    clients.nothing_is_lost()
