# SPDX-License-Identifier: GPL-3.0-or-later
"""Check mode where nothing is there yet: it says what it would make, and makes nothing."""


def test_check_mode_touches_nothing(deployed):
    deployed.kubectl("delete storageclass molecule-storage --ignore-not-found")  # of a run that was killed
    before = deployed.fingerprint()
    given = ("--extra-vars", "orbit_rs_storage_class=molecule-storage orbit_rs_storage_test=true")
    output = deployed.playbook(*given, "--check", "--diff", playbook="storage")
    assert "StorageClass/molecule-storage would be created" in output
    assert "+kind: StorageClass" in output
    assert "changed=1" in output
    assert "The volume test is left out in check mode." in output
    assert deployed.fingerprint() == before
