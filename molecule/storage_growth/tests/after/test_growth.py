# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes grow under writers, and no pod restarts. One test goes on from the other."""

import json
import shutil
import time

import pytest
import yaml

from molecule.conftest import ROOT, expire
from testbed import growing

VALUES = yaml.safe_load((ROOT / "molecule/storage_growth/vars/storage_growth.yml").read_text())["orbit_rs_values"]
CHART = ROOT / "collections/ansible_collections/orbit/rs/charts/orbit-rs"
UID = "get statefulset orbit-server --output jsonpath={.metadata.uid}"


@pytest.fixture(scope="module")
def deployed(deployed):
    return type(deployed)(deployed.host, "molecule-storage-growth")


@pytest.fixture(scope="module", autouse=True)
def driver(deployed):
    """The driver of the volumes; and pods that somebody has restarted by hand, which their template remembers."""
    deployed.kubectl("rollout restart statefulset/orbit-server")
    deployed.wait_ready()
    with growing.Driver(0.7):
        yield


def wanted(size="1Gi", **values):
    """The values with volumes of this size."""
    persistence = {**VALUES["persistence"], "size": size, **values.pop("persistence", {})}
    server = {**VALUES["orbitServer"], **values}
    return "-e", json.dumps({"orbit_rs_values": {**VALUES, "orbitServer": server, "persistence": persistence}})


def done(deployed, *arguments):
    return " ".join(deployed.playbook(*arguments).split())


def refused(deployed, *arguments):
    ended = deployed.try_playbook(*arguments)
    assert ended.returncode != 0, ended.stdout
    assert "Traceback" not in ended.stdout
    return " ".join(ended.stdout.split())


def identities(deployed):
    """Of pods and claims: none may change."""
    found = deployed.get("pods,persistentvolumeclaims")["items"]
    return {item["metadata"]["name"]: item["metadata"]["uid"] for item in found}


def written(deployed):
    """The version of everything that a run could write. Quotas count by themselves, and the tests change them."""
    found = deployed.get("statefulsets,persistentvolumeclaims,pods,configmaps,secrets,services,leases")["items"]
    return {(item["kind"], item["metadata"]["name"]): item["metadata"]["resourceVersion"] for item in found}


def restarts(deployed):
    return [pod["status"]["containerStatuses"][0]["restartCount"] for pod in deployed.pods()]


def sizes(deployed):
    """What the claims have, lowest ordinal first, and what the claims of new ordinals would get."""
    claims = deployed.get("persistentvolumeclaims")["items"]
    (template,) = deployed.get("statefulset orbit-server")["spec"]["volumeClaimTemplates"]
    return [
        *(claim["status"]["capacity"]["storage"] for claim in claims),
        template["spec"]["resources"]["requests"]["storage"],
    ]


def test_check_mode_names_every_volume_and_touches_nothing(deployed):
    before = deployed.at_rest()
    said = done(deployed, *wanted("2Gi"), "--check", "--diff")
    assert (
        "grow_storage grow data-orbit-server-0, data-orbit-server-1 and data-orbit-server-2 (no pod restarts)" in said
    )
    assert "changed=1" in said
    assert deployed.fingerprint() == before


def test_a_volume_never_shrinks(deployed):
    before = written(deployed)
    assert "A volume never shrinks" in refused(deployed, *wanted("512Mi"))
    assert written(deployed) == before


@pytest.fixture
def narrow(deployed):
    """A quota with room for two of three larger volumes."""
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "narrow"}}
    deployed.apply({**quota, "spec": {"hard": {"requests.storage": "5Gi"}}})
    deployed.kubectl("wait resourcequota/narrow --for jsonpath={.status.used.requests\\\\.storage}=3Gi --timeout 30s")
    yield
    deployed.kubectl("delete resourcequota narrow")


@pytest.fixture
def fixed(deployed):
    """A class that allows no growth."""
    deployed.apply(growing.storage_class(expands=False))
    yield
    deployed.apply(growing.storage_class())


@pytest.mark.parametrize(
    ("circumstance", "says"),
    [
        ("narrow", "Quota narrow allows requests.storage 5Gi, of which 3Gi is used; this rollout needs 3Gi more"),
        ("fixed", "its StorageClass growing does not allow it (allowVolumeExpansion)"),
    ],
)
def test_refused_before_anything_is_touched(deployed, request, circumstance, says):
    request.getfixturevalue(circumstance)
    before = written(deployed)
    assert says in refused(deployed, *wanted("2Gi"))
    assert written(deployed) == before


def test_volumes_do_not_change_together_with_the_version(deployed):
    before = written(deployed)
    image = {**VALUES["orbitServer"]["image"], "tag": "v0.2.0"}
    said = refused(deployed, *wanted("2Gi", image=image), "-e", "orbit_rs_upgrade_without_backup=true")
    assert "Pod template and volumes would change at once" in said
    assert written(deployed) == before


def test_all_volumes_grow_and_nobody_notices(deployed, clients):
    before = identities(deployed)
    said = done(deployed, *wanted("2Gi"))
    for ordinal in range(3):
        assert f"data-orbit-server-{ordinal}: the driver makes the volume larger" in said
        assert f"data-orbit-server-{ordinal}: the volume is larger, its file system is not yet" in said
    assert sizes(deployed) == ["2Gi"] * 4
    assert identities(deployed) == before
    assert restarts(deployed) == [0, 0, 0]
    clients.nothing_is_lost()
    assert "changed=0" in done(deployed, *wanted("2Gi"))


def killed(deployed, line, *arguments):
    """Start a deploy, and kill it when it has said this. Its lock need not be waited for."""
    with deployed.start_playbook(*arguments) as process:
        said = ""
        while line not in said:
            said = process.stdout.readline()
            assert said, f"it never said {line!r}"
        deployed.kill(process)
    assert process.returncode
    expire(deployed)


@pytest.mark.parametrize(
    ("line", "size"),
    [
        ("data-orbit-server-1: the driver makes the volume larger", "3Gi"),
        ("StatefulSet orbit-server is made again", "4Gi"),
    ],
)
def test_a_run_that_is_killed_is_finished_by_the_next(deployed, clients, line, size):
    before, server = identities(deployed), deployed.kubectl(UID)
    killed(deployed, line, *wanted(size))
    if "made again" in line:
        # So that it was killed between the two requests for sure. A new one has to be left alone for a while, or the
        # garbage collector deletes the pods.
        if deployed.kubectl(f"{UID} --ignore-not-found") not in (server, ""):
            time.sleep(10)
        deployed.kubectl("delete statefulset orbit-server --cascade=orphan --ignore-not-found")
        assert "make StatefulSet orbit-server again, around the pods" in done(deployed, *wanted(size), "--check")
    said = done(deployed, *wanted(size))
    assert "This run goes on from there" in said
    assert sizes(deployed) == [size] * 4
    assert identities(deployed) == before
    assert restarts(deployed) == [0, 0, 0]
    lease = deployed.get("lease orbit-rs.orbit.rs")
    assert "orbit.rs/unfinished" not in lease["metadata"]["annotations"]
    clients.nothing_is_lost()


def test_a_volume_that_is_larger_stays_so_and_what_cannot_be_had_is_said(deployed):
    """More than the driver has, on one that was made larger by hand; then a size that it has."""
    request = {"spec": {"resources": {"requests": {"storage": "6Gi"}}}}
    deployed.kubectl(f"patch pvc data-orbit-server-1 --type merge --patch '{json.dumps(request)}'")
    deployed.kubectl("wait pvc/data-orbit-server-1 --for jsonpath={.status.capacity.storage}=6Gi --timeout 30s")
    said = refused(deployed, *wanted("200Gi"))
    assert "the driver could not make the volume larger: the pool has no room for 200Gi" in said
    assert "Ask for less: a size above 4Gi" in said
    said = done(deployed, *wanted("5Gi"))
    assert "data-orbit-server-1 are larger, and stay so" in said
    assert sizes(deployed) == ["5Gi", "6Gi", "5Gi", "5Gi"]


@pytest.fixture
def ordered(tmp_path):
    """The chart, with a field that cannot change in a StatefulSet."""
    chart = shutil.copytree(CHART, tmp_path / "orbit-rs")
    template = chart / "templates" / "statefulset.yaml"
    text = template.read_text()
    assert "podManagementPolicy: Parallel" in text
    template.write_text(text.replace("podManagementPolicy: Parallel", "podManagementPolicy: OrderedReady"))
    return "-e", f"orbit_rs_chart={chart}"


def test_another_pod_management_needs_a_word_and_no_restart(deployed, clients, ordered):
    before = identities(deployed)
    assert "-e orbit_rs_reshape=true" in refused(deployed, *wanted("5Gi"), *ordered)
    said = done(deployed, *wanted("5Gi"), *ordered, "-e", "orbit_rs_reshape=true")
    assert "around its pods, with another podManagementPolicy (no pod restarts)" in said
    made = deployed.get("statefulset orbit-server")
    assert made["spec"]["podManagementPolicy"] == "OrderedReady"
    assert "kubectl.kubernetes.io/restartedAt" in made["spec"]["template"]["metadata"]["annotations"]
    assert identities(deployed) == before
    clients.nothing_is_lost()
