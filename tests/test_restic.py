# SPDX-License-Identifier: GPL-3.0-or-later
"""The repository with the real restic: what it says, what broke off, and where secrets go."""

import dataclasses
import io
import os
import random
import shutil
import stat
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path

import pytest
from ansible_collections.orbit.rs.plugins.plugin_utils import credentials, rekey, repository, sets, verify
from ansible_collections.orbit.rs.plugins.plugin_utils.model import OrbitError, Release
from ansible_collections.orbit.rs.plugins.plugin_utils.restic import Restic, ResticError
from ansible_collections.orbit.rs.plugins.plugin_utils.sets import Manifest, Part
from ansible_collections.orbit.rs.plugins.plugin_utils.tarstream import Parser

from testbed import extras

PASSWORD = "s3cr3t-of-this-test"


@pytest.fixture(scope="module")
def command():
    return str(extras.restic())


@pytest.fixture(scope="module")
def empty(tmp_path_factory, command):
    """Make a repository once: to derive its key takes a second."""
    folder = tmp_path_factory.mktemp("empty")
    (folder / "password").write_text(PASSWORD)
    Restic(command, str(folder / "repository"), str(folder / "password")).create()
    return folder / "repository"


@pytest.fixture
def password(tmp_path):
    return written(tmp_path / "password", PASSWORD)


def written(path, text):
    path.touch(0o600)
    path.write_text(text)
    return path


@pytest.fixture
def restic(tmp_path, command, password, empty):
    shutil.copytree(empty, tmp_path / "repository")
    return Restic(command, str(tmp_path / "repository"), str(password), {"RESTIC_CACHE_DIR": str(tmp_path / "cache")})


def tar(**files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def take(restic, set_id="20261130T020000Z", ordinals=2):
    """Write a set of random data, as a backup does."""
    parts = {}
    for ordinal in range(ordinals):
        data, parser = tar(db=random.Random(ordinal).randbytes(200_000)), Parser()
        parser.feed(data)
        tags = sets.tags("orders", set_id, part="data", ordinal=ordinal)
        parts[ordinal] = Part(restic.store(sets.DATA, data, f"orders-{ordinal}", tags), len(data), parser.files)
    made = Manifest(set_id, "orders", "o", "o", "cold", "backup", ordinals, "", {}, parts)
    restic.store(sets.MANIFEST, made.text().encode(), "orders", sets.tags("orders", set_id, complete="", kind="backup"))
    return made


def listed(restic):
    return sets.listed(restic.snapshots("cl=orders"))[0]


def test_what_was_written_is_read_back(restic):
    snapshot = restic.store("/data.tar", b"content", "orders-0", {"cl": "orders", "set": "x", "complete": ""})
    assert restic.read(snapshot, "/data.tar") == b"content"
    (found,) = restic.snapshots("cl=orders", "set=x")
    assert (found.id, found.host, found.tags) == (snapshot, "orders-0", {"cl": "orders", "set": "x", "complete": ""})
    assert restic.snapshots("cl=orders", "set=y") == []


def test_what_broke_off_is_not_there_and_locks_nothing(restic, tmp_path):
    writer = restic.backup("/data.tar", "orders-0", {"cl": "orders"})
    writer.write(os.urandom(3_000_000))
    writer.abort()
    assert restic.snapshots() == []
    assert list((tmp_path / "repository" / "locks").iterdir()) == []


def test_a_dead_restic_is_noticed(restic):
    writer = restic.backup("/data.tar", "orders-0", {"cl": "orders"})
    writer._process.terminate()
    with pytest.raises(ResticError):
        for _ in range(1000):
            writer.write(os.urandom(100_000))
    assert restic.snapshots() == []


@pytest.mark.parametrize(
    ("wrong", "code", "says"),
    [
        ({"repository": "/nowhere/repository"}, 10, "There is no backup repository at /nowhere/repository."),
        ({"password_file": "/dev/null"}, 1, "password"),
        ({"repository": "s4:nothing"}, 1, "s4:nothing"),
    ],
)
def test_errors_are_sentences(restic, wrong, code, says):
    other = dataclasses.replace(restic, **wrong)
    with pytest.raises(ResticError) as error:
        other.snapshots()
    assert error.value.code == code and says in error.value.seen and error.value.remedy


@pytest.fixture
def stubborn(tmp_path, restic):
    """Make a restic that tries again and again what cannot succeed."""

    def make(why):
        script = tmp_path / "restic"
        script.write_text(
            f"#!/bin/sh\necho 'Stat(<config/>) returned error, retrying after 1s: {why}' >&2\nexec sleep 60\n"
        )
        script.chmod(0o700)
        return dataclasses.replace(restic, command=str(script))

    return make


@pytest.mark.parametrize(
    "why", ["Access Denied", "The request signature we calculated does not match", "no space left on device"]
)
def test_what_cannot_succeed_is_not_tried_for_a_quarter_of_an_hour(stubborn, why):
    started = time.monotonic()
    with pytest.raises(ResticError, match=why):
        stubborn(why).snapshots()
    with pytest.raises(ResticError, match=why):
        stubborn(why).read("x", "/data.tar")
    writer = stubborn(why).backup("/data.tar", "orders-0", {"cl": "orders"})
    with pytest.raises(ResticError, match=why):
        writer.commit()
    assert time.monotonic() - started < 20


def test_a_network_that_comes_back_is_waited_for(stubborn):
    writer = stubborn("connection refused").backup("/data.tar", "orders-0", {"cl": "orders"})
    with pytest.raises(subprocess.TimeoutExpired):
        writer._process.wait(1)
    writer.abort()


def test_a_wrong_password_is_named(restic, tmp_path):
    path = tmp_path / "other"
    path.write_text("another")
    with pytest.raises(ResticError, match="The password does not open") as error:
        dataclasses.replace(restic, password_file=str(path)).snapshots()
    assert error.value.code == 12


def test_an_old_restic_is_refused(restic):
    restic.check_version("v0.17.0")
    with pytest.raises(OrbitError, match="is too old"):
        restic.check_version("v0.14.0")


def test_a_repository_is_shown_without_its_password(restic):
    shown = dataclasses.replace(restic, repository="rest:http://user:hunter2@host/backups").shown
    assert "hunter2" not in shown and "host/backups" in shown
    assert PASSWORD not in repr(dataclasses.replace(restic, environment={"AWS_SECRET_ACCESS_KEY": PASSWORD}))


def test_a_set_is_verified(restic):
    made = take(restic)
    (found,) = listed(restic)
    assert sets.manifest(restic, found, "orders") == made
    assert verify.whole(restic, made, restic.snapshots(), print) == []
    sets.record(restic, "orders", made.set, "verify", "passed", {})
    assert listed(restic)[0].verified


def test_a_set_that_was_copied_into_another_repository_is_whole(restic, tmp_path):
    """There its snapshots have other ids than its manifest names."""
    made = take(restic)
    password = written(tmp_path / "other", "another")
    copy = dataclasses.replace(restic, repository=str(tmp_path / "copy"), password_file=str(password))
    copy.create()
    words = ("copy", "--from-repo", restic.repository, "--from-password-file", restic.password_file)
    where = ("--repo", copy.repository, "--password-file", copy.password_file)
    subprocess.run([restic.command, *words, *where], env={**os.environ, **restic.environment}, check=True)
    found = sets.manifest(copy, listed(copy)[0], "orders")
    assert found.parts.keys() == made.parts.keys() and found.parts[0].snapshot != made.parts[0].snapshot
    assert verify.whole(copy, found, copy.snapshots(), print) == []


def test_a_flipped_byte_is_found(restic, tmp_path):
    made = take(restic)
    pack = max((tmp_path / "repository" / "data").glob("*/*"), key=lambda path: path.stat().st_size)
    content = bytearray(pack.read_bytes())
    content[len(content) // 2] ^= 1
    pack.chmod(0o600)
    pack.write_bytes(content)
    wrong = verify.whole(restic, made, restic.snapshots(), print)
    assert wrong and all("ordinal" in text for text in wrong), wrong
    assert verify.partial(restic, made, restic.snapshots(), "100%")


def test_a_missing_pack_is_found(restic, tmp_path):
    made = take(restic)
    max((tmp_path / "repository" / "data").glob("*/*"), key=lambda path: path.stat().st_size).unlink()
    wrong = verify.whole(restic, made, restic.snapshots(), print)
    assert wrong and "cannot be read" in wrong[0], wrong


def test_a_missing_ordinal_and_a_swapped_one_are_found(restic):
    made = take(restic)
    other = {0: made.parts[1].snapshot, 1: made.parts[0].snapshot}
    parts = {ordinal: dataclasses.replace(part, snapshot=other[ordinal]) for ordinal, part in made.parts.items()}
    swapped = dataclasses.replace(made, parts=parts)
    wrong = verify.whole(restic, swapped, restic.snapshots(), print)
    assert [text for text in wrong if "is of ordinal 1" in text] and [text for text in wrong if "not as it was" in text]
    restic.forget([made.parts[1].snapshot])
    (text,) = verify.whole(restic, made, restic.snapshots(), print)
    assert text.startswith("ordinal 1: its snapshot")


def test_a_foreign_manifest_is_refused(restic):
    made = take(restic)
    tags = sets.tags("others", "20261130T030000Z", complete="", kind="backup")
    restic.store(sets.MANIFEST, made.text().encode(), "others", tags)
    (found,) = sets.listed(restic.snapshots("cl=others"))[0]
    with pytest.raises(OrbitError, match="holds the manifest of set 20261130T020000Z of orders"):
        sets.manifest(restic, found, "others")


def test_the_password_is_in_no_command_line(restic):
    """Nor are the keys of a cloud: everybody on the machine can read those."""
    keyed = dataclasses.replace(restic, environment={**restic.environment, "AWS_SECRET_ACCESS_KEY": PASSWORD})
    writer = keyed.backup("/data.tar", "orders-0", {"cl": "orders"})
    line = Path(f"/proc/{writer._process.pid}/cmdline").read_bytes()
    writer.abort()
    assert b"backup" in line and PASSWORD.encode() not in line and b"repository" not in line


class TestSources:
    def opened(self, **source):
        with credentials.opened(credentials.Source(**source), None, "orders") as (file, environment):
            return Path(file).read_text(), stat.S_IMODE(Path(file).stat().st_mode), file, environment

    def test_a_variable_goes_by_a_file_of_ours_that_is_gone_again(self):
        text, mode, file, environment = self.opened(password=PASSWORD, environment={"A": "b"})
        assert (text, mode, environment) == (PASSWORD, 0o600, {"A": "b"}) and not Path(file).exists()
        assert PASSWORD not in repr(credentials.Source(password=PASSWORD))

    def test_a_command(self):
        assert self.opened(command=f"printf '{PASSWORD}\\nnext'")[0] == PASSWORD

    def test_a_file(self, password):
        assert self.opened(file=str(password))[2] == str(password)

    def test_a_file_that_others_may_read_is_refused(self, password):
        password.chmod(0o640)
        with pytest.raises(OrbitError, match="Others may read"):
            self.opened(file=str(password))

    @pytest.mark.parametrize(
        ("source", "says"),
        [
            ({}, "None of them is set"),
            ({"password": "a", "command": "b"}, "2 of them are set"),
            ({"file": "/nowhere/x"}, "cannot be read"),
            ({"command": "false"}, "exit code 1"),
            ({"command": "true"}, "gives no password"),
            ({"command": "/nowhere/x"}, "it does not run"),
            ({"what": "new password"}, "Set one of orbit_rs_repository_new_password_file, .*_new_password_secret"),
            ({"what": "new password", "file": "/nowhere/x"}, "Correct orbit_rs_repository_new_password_file"),
            ({"what": "new password", "command": "true"}, "gives no new password.*_new_password_command"),
        ],
    )
    def test_what_is_no_source(self, source, says):
        with pytest.raises(OrbitError, match=f"(?s){says}"):
            self.opened(**source)

    def test_the_new_password_opens_the_same_repository(self, restic):
        """With the environment of the old one, and what comes with the new one on top."""
        options = {"password": "", "password_file": "", "password_secret": "", "password_command": "echo another"}
        with repository.renewed(restic, options, None, Release("orders", "orders")) as new:
            assert Path(new.password_file).read_text() == "another"
            assert dataclasses.replace(new, password_file=restic.password_file) == restic


# What a restic does until it is killed with its parent: it gets its lock, or does all of its work.
ENDS = {
    "during": """"$REAL" "$@" & while kill -0 $! && ! ls "$RESTIC_REPOSITORY/locks" | grep -qv tmp; do :; done
        kill -9 $!; wait $!""",
    "after": '"$REAL" "$@"',
}


class TestRekey:
    """A new password for a repository. To derive a key takes most of a second, so that each test does many things."""

    @pytest.fixture
    def new(self, restic, tmp_path):
        return dataclasses.replace(restic, password_file=str(written(tmp_path / "new", "n3w-of-this-test")))

    @pytest.fixture
    def stub(self, restic, tmp_path):
        """Make a restic that first does something else, when it is called so."""

        def make(at, script):
            path = tmp_path / "restic"
            noted = f"printf '%s\\n' \"$*\" >> {tmp_path / 'calls'}"
            path.write_text(f'#!/bin/bash\nREAL={restic.command}\n{noted}\ncase $* in "{at}"*) {script};; esac\n')
            path.open("a").write('exec "$REAL" "$@"\n')
            path.chmod(0o700)
            return str(path)

        return make

    def test_the_old_password_goes_when_the_new_one_is_proved(self, restic, new, stub, tmp_path):
        snapshot = restic.store("/data.tar", b"content", "orders-0", {"cl": "orders"})
        other = dataclasses.replace(restic, password_file=str(written(tmp_path / "other", "of somebody else")))
        restic.add_key(other.password_file)
        restic.add_key(restic.password_file)  # the same once more
        said = []
        noting = [dataclasses.replace(item, command=stub("nothing", "")) for item in (restic, new)]
        removed = rekey.rotate(*noting, said.append)
        assert len(removed) == 2 and "the new password opens" in said[0]
        calls = (tmp_path / "calls").read_text()
        assert calls.count("key add") == 1 and calls.count("key remove") == 2
        assert PASSWORD not in calls and "n3w-of-this-test" not in calls
        assert other.key() and new.read(snapshot, "/data.tar") == b"content"
        assert rekey.rotate(restic, new, said.append) == [], "there is nothing left to do"

    @pytest.mark.parametrize(("at", "end"), [("key add", "during"), ("key add", "after"), ("key remove", "during")])
    def test_killed_on_its_way_one_password_works_and_the_next_run_finishes(self, restic, new, stub, at, end):
        killed = stub(at, f"{ENDS[end]}; kill -9 $PPID; exit")
        both = [(killed, item.repository, item.password_file) for item in (restic, new)]
        script = (
            "from ansible_collections.orbit.rs.plugins.plugin_utils import rekey\n"
            "from ansible_collections.orbit.rs.plugins.plugin_utils.restic import Restic\n"
            f"rekey.rotate(*(Restic(*words) for words in {both}), print)"
        )
        path = os.pathsep.join(filter(None, sys.path))
        ended = subprocess.run([sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": path}, check=False)
        assert ended.returncode == -9
        there, made = rekey.look(restic, new)
        assert there and bool(made) is ((at, end) != ("key add", "during"))
        assert rekey.rotate(restic, new, print) == [there]
        assert not restic.key()
        assert len(list(Path(restic.repository, "keys").iterdir())) == 1, "the new password was added twice"
        # What restic was about to write when it was killed is no lock.
        assert all("-tmp-" in path.name for path in Path(restic.repository, "locks").iterdir())

    def test_without_a_proof_the_old_password_stays(self, restic, new, stub):
        lying = [dataclasses.replace(item, command=stub("key add", "exit 0")) for item in (restic, new)]
        with pytest.raises(OrbitError, match="does not open it"):
            rekey.rotate(*lying, print)
        assert restic.key() and not new.key()

    def test_what_does_not_work_removes_nothing(self, restic, new, stub):
        locked = [dataclasses.replace(item, command=stub("key remove", "exit 11")) for item in (restic, new)]
        with pytest.raises(OrbitError, match=r"(?s)locked.*both open the repository.*orbit\.rs\.rekey"):
            rekey.rotate(*locked, print)
        assert restic.key()

    def test_the_same_password_and_two_wrong_ones_are_refused(self, restic, new):
        with pytest.raises(OrbitError, match="is the present one"):
            rekey.look(restic, restic)
        with pytest.raises(OrbitError, match="Neither the present password nor the new one"):
            rekey.look(new, new)

    def test_a_backup_that_runs_is_not_disturbed(self, restic, new):
        writer = restic.backup("/data.tar", "orders-0", {"cl": "orders"})
        while not list(Path(restic.repository, "locks").iterdir()):
            time.sleep(0.05)
        rotation = threading.Thread(target=rekey.rotate, args=(restic, new, print))
        rotation.start()
        while not new.key():
            time.sleep(0.1)
        time.sleep(2)  # it would be gone by now
        assert restic.key()
        writer.write(b"content")
        snapshot = writer.commit()
        rotation.join()
        assert not restic.key() and new.read(snapshot, "/data.tar") == b"content"
