# SPDX-License-Identifier: GPL-3.0-or-later
"""The scenario keeps its word: every variable and every value is another than the default, or it says why not."""

from pathlib import Path

import yaml

HERE = Path(__file__).parents[2]
COLLECTION = HERE.parents[1] / "collections" / "ansible_collections" / "orbit" / "rs"

SAME_VARIABLES = {
    "orbit_rs_context": "the kubeconfig of the run has one context",
    "orbit_rs_chart_repository": "the scenario helm_edges deploys from one",
    "orbit_rs_chart_version": "a chart in a folder has the version that it has",
    "orbit_rs_storage_default": "another default class would meet everybody on the cluster",
    "orbit_rs_storage_reclaim_policy": "Retain would leave volumes behind; the scenario storage has it",
    "orbit_rs_storage_binding_mode": "the test bed's provisioner has to know the node",
    "orbit_rs_storage_zones": "the volumes of the test bed are in no zone, so it is refused",
    "orbit_rs_storage_mount_options": "the test bed's volumes are folders",
    "orbit_rs_storage_snapshot_class": "the test bed has no driver for one",
    "orbit_rs_plan_hash": "it allows one plan, and the scenario makes several",
}
for name in (
    *(f"orbit_rs_backup_{name}" for name in ("database", "method", "parallel", "scratch")),
    *(f"orbit_rs_repository{name}" for name in ("", "_name", "_environment", "_password")),
    *(f"orbit_rs_repository_password_{name}" for name in ("command", "file", "secret")),
    "orbit_rs_set",
    "orbit_rs_metrics_dir",
):
    SAME_VARIABLES[name] = "a deploy takes no backup set; the scenario backup has it"
SAME_VALUES = {
    "planDigest": "the playbooks set it",
    "serviceAccount.create": "without it the annotations would have no place",
    "rbac.clusterRole": "without it there would be one object less",
    "orbitServer.compatibility": "the servers of the test bed are the documented one",
    "orbitServer.image.repository": "the test bed has one image",
    "orbitServer.image.digest": "the test bed loads it by its tag",
    "orbitServer.externalService.type": "loadBalancerClass goes with LoadBalancer",
    "persistence.enabled": "without it the rest of persistence would have no effect",
    "persistence.volumeAttributesClass": "it takes a CSI driver, and the test bed has none",
    "podDisruptionBudget.enabled": "likewise",
    "autoscaling.behavior.scaleDown.selectPolicy": "it would take back what the scenario scales out by hand",
    "gateway.tcpRoute.version": "v1alpha2 is not served any more",
}
ASKED = {"livenessProbe": "tcpSocket", "readinessProbe": "httpGet", "startupProbe": "exec"}
for probe, asked in ASKED.items():
    SAME_VALUES[f"{probe}.enabled"] = "without it the rest of the probe would have no effect"
    for way in {"httpGet", "tcpSocket", "grpc", "exec"} - {asked}:
        SAME_VALUES[f"{probe}.{way}"] = "a probe asks in one way"


class Loader(yaml.SafeLoader):
    """YAML of an inventory."""


Loader.add_constructor("!unsafe", lambda loader, node: node.value)


def read(path):
    return yaml.load(path.read_text(), Loader)


INVENTORY = read(HERE / "inventory" / "group_vars" / "orbit_rs.yml")


def leaves(tree, path=()):
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, (*path, key))
        else:
            yield ".".join((*path, key)), value


def test_every_variable_is_another():
    defaults = {}
    for role in ("common", "deploy"):
        path = COLLECTION / "roles" / role / "defaults" / "main.yml"
        defaults |= read(path) if path.exists() else {}
    same = {name for name, value in defaults.items() if INVENTORY.get(name, value) == value}
    assert same == set(SAME_VARIABLES), "set it in the inventory of this scenario, or say here why not"


def test_every_value_is_another():
    defaults = dict(leaves(read(COLLECTION / "charts" / "orbit-rs" / "values.yaml")))
    defaults["persistence.storageClass"] = "set from orbit_rs_storage_class"
    given = dict(leaves(read(HERE / "files" / "values.yml"))) | dict(leaves(INVENTORY["orbit_rs_values"]))

    def another(name):
        below = {key: value for key, value in given.items() if key == name or key.startswith(f"{name}.")}
        return bool(below) and below != {name: defaults[name]}

    same = {name for name in defaults if not another(name)} - {"persistence.storageClass"}
    assert same == set(SAME_VALUES), "set it in files/values.yml, or say here why not"
