# SPDX-License-Identifier: GPL-3.0-or-later
"""The release comes back where there is none: under another name on other storage, and in a new cluster."""

import contextlib
import dataclasses
import os
import subprocess
import sys

import pytest

from molecule.conftest import COUNT, ROOT, Deployed, expire, kill, present
from testbed.cluster import Cluster

SOURCE = "molecule-disaster.orbit-rs"
OTHER_CLASS = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": "molecule-disaster"},
    "provisioner": "rancher.io/local-path",
    "volumeBindingMode": "WaitForFirstConsumer",
}


@pytest.fixture(scope="module")
def taken(backups, writers):
    """Give what was acknowledged before a set, and by its end."""
    before = [writers.acknowledged(ordinal) for ordinal in range(COUNT)]
    backups.take()
    return before, [writers.acknowledged(ordinal) for ordinal in range(COUNT)]


def holds_what_was_acknowledged(place, taken):
    """See that every key of every ordinal is there, and none from after the set."""
    before, after = taken
    for ordinal in range(COUNT):
        late = [after[ordinal][-1] + number for number in range(2, 100)]
        there = present(place, ordinal, after[ordinal] + late)
        assert there[: len(before[ordinal])] == before[ordinal]
        assert len(there) <= len(after[ordinal]) + 1, "a write from after the set is there"


def secret(place):
    return place.kubectl("get secret extra --output jsonpath={.data.EXTRA}")


def test_volumes_of_an_earlier_life_are_not_overwritten(backups, deployed, taken):
    """Uninstalled with its data kept: what is there may be newer than the set."""
    place = dataclasses.replace(deployed, namespace="molecule-disaster-copy")
    arguments = backups.arguments(orbit_rs_restore_from=SOURCE, orbit_rs_set="newest")
    with namespace_of_its_own(place):
        place.kubectl("create namespace molecule-disaster-copy")
        claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data-orbit-server-1"}}
        size = {"resources": {"requests": {"storage": "1Gi"}}, "accessModes": ["ReadWriteOnce"]}
        place.apply({**claim, "spec": size})
        refused = " ".join(place.try_playbook(*arguments, playbook="restore").stdout.split())
    assert "There are volumes of an earlier life of orbit-rs: data-orbit-server-1. Nothing was touched." in refused


def test_under_another_name_on_other_storage(backups, deployed, taken):
    place = dataclasses.replace(deployed, namespace="molecule-disaster-copy", release="copy")
    deployed.apply(OTHER_CLASS)
    arguments = backups.arguments(
        orbit_rs_release="copy",
        orbit_rs_restore_from=SOURCE,
        orbit_rs_set="newest",
        orbit_rs_restore_values={"persistence": {"storageClass": "molecule-disaster"}},
    )
    confirmed = (*arguments, "-e", "orbit_rs_restore_confirm=copy")
    with namespace_of_its_own(place):
        refused = " ".join(place.try_playbook(*arguments, playbook="restore").stdout.split())
        assert "There is no release copy in namespace molecule-disaster-copy. Make it out of set" in refused
        assert "To confirm it: -e orbit_rs_restore_confirm=copy" in refused
        assert "changed=1" in place.playbook(*arguments, "--check", playbook="restore")
        assert "molecule-disaster-copy" not in deployed.kubectl("get namespaces --output name")

        with place.start_playbook(*confirmed, playbook="restore") as process:
            print(kill(process, "writing set", 1))
        expire(place)
        refused = place.try_playbook("-e", "orbit_rs_release=copy", *arguments)
        assert "A run of restore was not finished" in " ".join(refused.stdout.split())
        place.playbook(*confirmed, playbook="restore")
        holds_what_was_acknowledged(place, taken)
        classes = {claim["spec"]["storageClassName"] for claim in place.get("pvc")["items"]}
        assert classes == {"molecule-disaster"}
        assert secret(place) == secret(deployed)
        assert not place.get("pods --selector orbit.rs/helper")["items"]
    deployed.kubectl("delete storageclass molecule-disaster")


@pytest.mark.soak  # to bring up a cluster takes more than a minute; the way is the same as above
def test_in_a_new_cluster_by_one_command(backups, deployed, taken):
    with new_cluster() as kubeconfig:
        place = dataclasses.replace(deployed, kubeconfig=kubeconfig)
        arguments = backups.arguments(orbit_rs_set="newest", orbit_rs_restore_confirm="orbit-rs")
        said = place.playbook(*arguments, playbook="restore")
        assert "the volumes hold set" in said
        holds_what_was_acknowledged(place, taken)
        assert secret(place) == secret(deployed)
        # It is the same release as before: its inventory has nothing to change.
        assert "changed=0" in place.playbook(*backups.arguments(), "-e", "@molecule/disaster/vars/disaster.yml")


@contextlib.contextmanager
def namespace_of_its_own(place: Deployed):
    """Remove the namespace in the end."""
    try:
        yield
    finally:
        place.kubectl(f"delete namespace {place.namespace} --wait --ignore-not-found")


@contextlib.contextmanager
def new_cluster():
    """Bring up a cluster that knows nothing of the release; its kubeconfig."""
    name = f"orbit-rs-test-disaster-{os.getpid()}"
    testbed = (sys.executable, "-m", "testbed")
    try:
        subprocess.run((*testbed, "up", "--name", name), cwd=ROOT, check=True)
        subprocess.run((*testbed, "load", "--name", name), cwd=ROOT, check=True)
        yield str(Cluster(name).kubeconfig)
    finally:
        subprocess.run((*testbed, "down", "--name", name), cwd=ROOT, check=True)
