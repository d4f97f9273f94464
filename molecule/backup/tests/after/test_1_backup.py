# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets are taken while clients write, whole or not at all; what is wrong is found, and secrets stay secret."""

import re
import shutil

import pytest

from molecule.conftest import COUNT, KEY, PASSWORD, SCALE, expire, free_port, kill, secret, server, watched_arguments
from testbed import extras


def test_without_a_repository_it_says_what_to_set(backups):
    said = backups.run("backup", orbit_rs_repository="", good=False)
    assert "No backup repository is configured. Set orbit_rs_repository" in said


def test_check_mode_says_what_would_be_taken_and_touches_nothing(backups, deployed):
    before = deployed.at_rest()
    assert f"a set of {COUNT} ordinals of molecule-backup.orbit-rs, method application" in backups.run(
        "backup", "--check"
    )
    assert deployed.fingerprint() == before
    assert not (backups.folder / "repository").exists()


def test_application(backups, deployed, writers):
    """The servers copy themselves while they serve; nothing restarts and nothing of it stays on the pods."""
    pods = [pod["metadata"]["uid"] for pod in deployed.pods()]
    with watched_arguments() as lines:
        taken = backups.take()
    assert not [line for line in lines if PASSWORD in line]
    assert [line for line in lines if "restic backup" in line], "restic was not seen at all"
    assert [pod["metadata"]["uid"] for pod in deployed.pods()] == pods
    for ordinal in range(COUNT):
        assert "backup" not in deployed.kubectl(f"exec orbit-server-{ordinal} -- ls /tmp")
    assert backups.sets() == [taken]
    assert not deployed.get("lease orbit-rs.orbit.rs")["spec"].get("holderIdentity")
    assert f"set {taken}: all {COUNT} files are as they were" in backups.run("verify")
    assert f"{taken} backup verify passed" in backups.run("sets")
    writers.nothing_is_lost()


def test_the_objects_are_in_it_encrypted(backups, deployed):
    deployed.apply(secret("tls", "certificate", KEY))
    (snapshot,) = [item for item in backups.restic("snapshots") if "part=objects" in item["tags"]]
    found = backups.restic("dump", snapshot["id"], "/objects.json")
    kinds = {item["kind"] for item in found["objects"]}
    assert kinds >= {"StatefulSet", "ConfigMap", "Service", "PersistentVolumeClaim", "Secret"}
    assert found["values"]["orbitServer"]["replicaCount"] == COUNT
    assert len([item for item in found["objects"] if item["kind"] == "PersistentVolumeClaim"]) == COUNT


def test_cold(backups, deployed, writers):
    """One ordinal stops at a time, the other goes on serving, and all are good in the end."""
    before = [pod["metadata"]["uid"] for pod in deployed.pods()]
    said = backups.run("backup", orbit_rs_backup_method="cold")
    taken = re.search(r"Set (\d{8}T\d{6}Z): ", said)[1]
    assert "ordinal 0 stops, 1 of 2" in said and "ordinal 1 stops, 2 of 2" in said
    assert backups.sets()[0] == taken
    after = [pod["metadata"]["uid"] for pod in deployed.pods()]
    assert not set(before) & set(after)
    assert not deployed.get("pods --selector orbit.rs/helper")["items"]
    assert "orbit.rs/unfinished" not in deployed.get("lease orbit-rs.orbit.rs")["metadata"]["annotations"]
    backups.run("verify", orbit_rs_set=taken)
    writers.nothing_is_lost()
    assert "changed=0" in deployed.playbook(*SCALE)


def test_a_backup_that_was_killed_leaves_nothing_visible_and_the_next_one_cleans_up(backups, deployed):
    before = backups.sets()
    arguments = backups.arguments(orbit_rs_backup_parallel=1)
    with deployed.start_playbook(*arguments, playbook="backup") as process:
        print(kill(process, "ordinal 0: "))
    assert backups.sets() == before
    said = backups.run("backup", orbit_rs_lock_timeout=60)  # until the lock of the dead run expires
    assert re.search(r"removing \d+ snapshots that interrupted backups have left", said)
    sets = {tag for item in backups.restic("snapshots") for tag in item["tags"] if tag.startswith("set=")}
    assert sets == {f"set={name}" for name in backups.sets()}
    assert len(sets) == len(before) + 1
    assert backups.locks() == []


def test_a_cold_backup_that_was_killed_is_healed_by_the_next(backups, deployed, writers):
    arguments = backups.arguments(orbit_rs_backup_method="cold")
    with deployed.start_playbook(*arguments, playbook="backup") as process:
        print(kill(process, "ordinal 0 stops", 1))
    expire(deployed)
    refused = " ".join(deployed.try_playbook(*SCALE).stdout.split())
    assert "A run of backup was not finished" in refused and "orbit.rs.backup" in refused
    assert "it is started again" in backups.run("backup")
    assert len(deployed.pods()) == COUNT
    assert "changed=0" in deployed.playbook(*SCALE)
    writers.nothing_is_lost()


@pytest.mark.soak  # tests/test_restic.py has it without a cluster
def test_verify_finds_a_flipped_byte_and_names_it(backups, tmp_path):
    copy = tmp_path / "repository"
    shutil.copytree(backups.folder / "repository", copy)
    newest = backups.take(orbit_rs_repository=str(copy))
    pack = max((copy / "data").glob("*/*"), key=lambda path: (path.stat().st_size > 20_000, path.stat().st_mtime_ns))
    content = bytearray(pack.read_bytes())
    content[len(content) // 3] ^= 1
    pack.chmod(0o600)
    pack.write_bytes(content)
    said = backups.run("verify", orbit_rs_repository=str(copy), good=False)
    assert re.search(rf"Set {newest} is not good: ordinal \d cannot be read", said)
    assert f"{newest} backup verify failed" in backups.run("sets", orbit_rs_repository=str(copy))
    assert "is not good" in backups.run(
        "verify", orbit_rs_repository=str(copy), orbit_rs_verify_subset="100%", good=False
    )


@pytest.mark.soak  # tests/test_restic.py has it without a cluster
def test_verify_finds_a_missing_ordinal(backups, tmp_path):
    copy = tmp_path / "repository"
    shutil.copytree(backups.folder / "repository", copy)
    newest = backups.sets()[0]
    (snapshot,) = [item for item in backups.restic("snapshots") if {f"set={newest}", "ordinal=1"} <= set(item["tags"])]
    (copy / "snapshots" / snapshot["id"]).unlink()
    said = backups.run("verify", orbit_rs_repository=str(copy), good=False)
    assert f"ordinal 1: its snapshot {snapshot['id'][:8]} is not in the repository" in said


def test_a_wrong_password_is_named(backups):
    said = backups.run(
        "backup", orbit_rs_repository_password_file="", orbit_rs_repository_password="another", good=False
    )
    assert "The password does not open the backup repository" in said


def test_an_s3_server_with_keys_out_of_a_secret(backups, deployed, tmp_path):
    port = free_port()
    deployed.apply(
        secret("backup", "password", PASSWORD, AWS_ACCESS_KEY_ID="orbit", AWS_SECRET_ACCESS_KEY=KEY),
    )
    (tmp_path / "s3" / "backups").mkdir(parents=True)
    keys = {"ROOT_ACCESS_KEY": "orbit", "ROOT_SECRET_KEY": KEY}
    command = (extras.versitygw(), "--port", f"127.0.0.1:{port}", "posix", tmp_path / "s3")
    variables = {
        "orbit_rs_repository": f"s3:http://127.0.0.1:{port}/backups",
        "orbit_rs_repository_password_file": "",
        "orbit_rs_repository_password_secret": "backup",
    }
    with server(*command, port=port, **keys), watched_arguments() as lines:
        taken = backups.take(**variables)
        backups.run("verify", orbit_rs_set=taken, **variables)
        backups.run("verify", orbit_rs_set=taken, orbit_rs_verify_subset="50%", **variables)
        wrong = {**variables, "orbit_rs_repository_environment": {"AWS_SECRET_ACCESS_KEY": "another"}}
        assert "127.0.0.1" in backups.run("backup", good=False, **wrong)
    assert not [line for line in lines if PASSWORD in line or KEY in line]


def test_a_rest_server_with_a_password_from_a_command(backups, tmp_path):
    port = free_port()
    command = (extras.rest_server(), "--path", tmp_path / "rest", "--listen", f"127.0.0.1:{port}", "--no-auth")
    variables = {
        "orbit_rs_repository": f"rest:http://user:{KEY}@127.0.0.1:{port}/backups/",
        "orbit_rs_repository_password_file": "",
        "orbit_rs_repository_password_command": f"cat {backups.folder / 'password'}",
    }
    with server(*command, port=port), watched_arguments() as lines:
        backups.run("verify", orbit_rs_set=backups.take(**variables), **variables)
    assert not [line for line in lines if KEY in line]
