# SPDX-License-Identifier: GPL-3.0-or-later
"""What the storage role makes, refuses, and finds out with a volume."""

import json

import pytest

GIVEN = {"orbit_rs_storage_class": "molecule-storage", "orbit_rs_storage_reclaim_policy": "Retain"}
BROKEN = """
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: molecule-storage-broken}
provisioner: example.com/nobody
volumeBindingMode: WaitForFirstConsumer
"""


@pytest.fixture(scope="module", autouse=True)
def classes(deployed, tmp_path_factory):
    """A class that nobody serves; all classes of this scenario are removed at the end."""
    path = tmp_path_factory.mktemp("class") / "broken.yml"
    path.write_text(BROKEN)
    deployed.kubectl(f"apply --filename {path}")
    yield
    deployed.kubectl("delete storageclass molecule-storage molecule-storage-broken")


def run(deployed, *arguments, **variables):
    """Run the storage playbook; its exit code, and its output in one line."""
    given = json.dumps({**GIVEN, **variables})
    ended = deployed.try_playbook("--extra-vars", given, *arguments, playbook="storage")
    assert "Traceback" not in ended.stdout
    return ended.returncode, " ".join(ended.stdout.split())


def left(deployed):
    """What a volume test could leave behind, its volumes included."""
    volumes = deployed.get("persistentvolumes")["items"]
    mine = [item for item in volumes if item["spec"].get("claimRef", {}).get("namespace") == deployed.namespace]
    return deployed.get("pods,persistentvolumeclaims")["items"] + mine


def test_the_class_is_what_was_asked_for(deployed):
    made = deployed.get("storageclass molecule-storage")
    assert (made["provisioner"], made["reclaimPolicy"]) == ("rancher.io/local-path", "Retain")
    assert (made["volumeBindingMode"], made["allowVolumeExpansion"]) == ("WaitForFirstConsumer", False)


def test_the_volume_tests_have_left_nothing_though_the_class_retains_volumes(deployed):
    assert left(deployed) == []


def test_check_mode_and_a_run_without_a_difference_touch_nothing(deployed):
    before = deployed.fingerprint()
    for mode in (("--check", "--diff"), ()):
        code, output = run(deployed, *mode)
        assert code == 0 and "changed=0" in output
    assert deployed.fingerprint() == before


def test_what_cannot_change_is_refused_with_the_way_out(deployed):
    before = deployed.fingerprint()
    wanted = {"orbit_rs_storage_reclaim_policy": "Delete", "orbit_rs_storage_parameters": {"nodePath": "/tmp"}}
    code, output = run(deployed, **wanted)
    assert code != 0
    assert "reclaimPolicy is Retain, not Delete" in output
    assert "kubectl delete storageclass molecule-storage, then run again" in output
    ended = deployed.try_playbook("--extra-vars", json.dumps({**GIVEN, **wanted}))
    assert ended.returncode != 0 and "reclaimPolicy is Retain, not Delete" in " ".join(ended.stdout.split())
    assert deployed.fingerprint() == before


def test_what_can_change_is_changed(deployed):
    code, output = run(deployed, orbit_rs_storage_allow_expansion=True)
    assert code == 0 and "changed=1" in output
    assert deployed.get("storageclass molecule-storage")["allowVolumeExpansion"] is True
    assert run(deployed, orbit_rs_storage_allow_expansion=False)[0] == 0


def test_a_class_that_makes_no_volumes_is_named_and_nothing_stays(deployed):
    code, output = run(
        deployed,
        orbit_rs_storage_provider="generic",
        orbit_rs_storage_class="molecule-storage-broken",
        orbit_rs_storage_reclaim_policy="",
        orbit_rs_storage_test=True,
        orbit_rs_storage_test_timeout=8,
    )
    assert code != 0
    assert "The provisioner example.com/nobody of the StorageClass does not take up the claim" in output
    assert "ExternalProvisioning: " in output, "the cluster's own words are quoted"
    assert left(deployed) == []


def test_an_image_without_a_shell_is_named_and_nothing_stays(deployed):
    images = [
        name
        for node in deployed.get("nodes")["items"]
        for image in node["status"]["images"]
        for name in image["names"] or ()
    ]
    pause = next(name for name in images if "/pause:" in name)
    code, output = run(deployed, orbit_rs_storage_test=True, orbit_rs_storage_test_image=pause)
    assert code != 0
    assert "cannot run /bin/sh" in output and "orbit_rs_storage_test_image" in output
    assert left(deployed) == []
