# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of sets: an upgrade takes one, retention drops the old ones, and the password becomes another one."""

import re
import secrets
import shutil

from molecule.conftest import COUNT, secret, watched_arguments


def test_an_upgrade_takes_a_set_before_the_first_restart(backups):
    said = backups.run("upgrade", orbit_rs_version="v0.2.0", orbit_rs_soak=0, orbit_rs_rehearsal=False)
    taken = re.search(r"set (\d{8}T\d{6}Z), \S+ \S+, is what this run can fall back on", said)
    assert said.index("is what this run can fall back on") < said.index("ordinal 1 restarts")
    assert f"{taken[1]} upgrade" in backups.run("sets")


def test_an_upgrade_whose_backup_fails_restarts_nothing(backups, deployed):
    pods = [pod["metadata"]["uid"] for pod in deployed.pods()]
    more = {"orbit_rs_repository": "/proc/nowhere", "orbit_rs_soak": 0, "orbit_rs_allow_downgrade": True}
    said = backups.run("upgrade", good=False, orbit_rs_version="v0.1.0", **more)
    assert "/proc/nowhere" in said
    assert [pod["metadata"]["uid"] for pod in deployed.pods()] == pods
    assert deployed.versions() == ["v0.2.0"] * COUNT


def test_retention_shows_what_goes_and_drops_whole_sets(backups):
    rules = {f"orbit_rs_keep_{name}": 0 for name in ("daily", "weekly", "monthly", "safety")}
    rules |= {"orbit_rs_keep_last": 1, "orbit_rs_keep_minimum": 1}
    proved = backups.take()
    backups.run("verify", orbit_rs_set=proved)
    newest = backups.take()
    before = backups.sets()
    said = backups.run("retention", "--check", **rules)
    assert len(before) > 2
    assert f"{len(before) - 2} of {len(before)} sets would go" in said
    assert backups.sets() == before
    backups.run("retention", orbit_rs_retention_prune=True, **rules)
    assert backups.sets() == [newest, proved]
    tags = {tag for item in backups.restic("snapshots") for tag in item["tags"] if tag.startswith("set=")}
    assert tags == {f"set={newest}", f"set={proved}"}
    assert f"{proved} backup verify passed" in backups.run("sets")
    assert "changed=0" in backups.run("retention", **rules)
    backups.run("verify", orbit_rs_set=proved)


def test_another_password(backups, deployed, tmp_path):
    """tests/test_restic.py has what happens when it is killed on the way."""
    shutil.copytree(backups.folder / "repository", tmp_path / "repository")
    password = f"password-{secrets.token_hex(8)}"
    deployed.apply(secret("backup-new", "password", password))
    where = {"orbit_rs_repository": str(tmp_path / "repository")}
    new = {"orbit_rs_repository_new_password_secret": "backup-new"}
    assert "changed=1" in backups.run("rekey", "--check", **where, **new)
    with watched_arguments() as lines:
        said = backups.run("rekey", **where, **new)
    assert "the old one opens nothing any more" in said and password not in said
    assert not [line for line in lines if password in line]
    assert "changed=0" in backups.run("rekey", **where, **new)
    changed = {"orbit_rs_repository_password_file": "", "orbit_rs_repository_password_secret": "backup-new"}
    assert backups.sets()[0] in backups.run("sets", **where, **changed)
    assert "does not open the backup repository" in backups.run("sets", good=False, **where)
