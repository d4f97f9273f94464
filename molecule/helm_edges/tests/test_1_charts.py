# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a chart comes from makes no difference to a release; which Helm applies it, neither."""

from pathlib import Path

import yaml

CHART = Path(__file__).parents[3] / "collections/ansible_collections/orbit/rs/charts/orbit-rs"
VERSION = yaml.safe_load((CHART / "Chart.yaml").read_text())["version"]


def test_registry_repository_archive_and_folder(edge, registry, repository, archives):
    sources = {
        "registry": {"orbit_rs_chart": f"{registry}/orbit-rs", "orbit_rs_chart_version": VERSION},
        "repository": {"orbit_rs_chart": "orbit-rs", "orbit_rs_chart_repository": repository},
        "archive": {"orbit_rs_chart": str(archives / f"orbit-rs-{VERSION}.tgz")},
        "folder": {"orbit_rs_chart": str(CHART)},
    }
    planned = edge.deploy("--check", "--diff", **sources["registry"])
    assert "install" in planned and "changed=1" in planned

    assert "changed=1" in edge.deploy(**sources["registry"])
    for name in ("registry", "repository", "archive", "folder"):
        output = edge.deploy(**sources[name])
        assert "nothing to do" in output and "changed=0" in output, name
    assert edge.status() == ["deployed"]

    for name in ("registry", "repository"):
        output = edge.refused(**{**sources[name], "orbit_rs_chart_version": "77.0.0"})
        assert "cannot be fetched" in output and "77.0.0" in output
    mistyped = edge.refused(**sources["repository"], values={"orbitServer": {"replicaCuont": 1}})
    assert "Did you mean orbitServer.replicaCount?" in mistyped


def test_helm_3_and_helm_4_take_over_from_each_other(edge, helm3):
    three = {"orbit_rs_bin_dir": str(helm3)}
    assert "changed=1" in edge.deploy(**three)
    for run in (three, {}, three):
        assert "changed=0" in edge.deploy(**run)
    changed = {"config": {"transactions": {"maxConnections": 21}}}
    assert "changed=1" in edge.deploy(values=changed)
    assert "changed=0" in edge.deploy(values=changed, **three)
    assert "changed=1" in edge.deploy(**three)
    assert edge.status() == ["superseded", "superseded", "deployed"]
