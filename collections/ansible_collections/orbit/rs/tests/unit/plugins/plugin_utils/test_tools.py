# SPDX-License-Identifier: GPL-3.0-or-later
"""Downloads from a server on loopback."""

from __future__ import annotations

import bz2
import dataclasses
import functools
import gzip
import hashlib
import http.server
import io
import json
import os
import shutil
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.orbit.rs.plugins.plugin_utils import tools
from ansible_collections.orbit.rs.plugins.plugin_utils.model import OrbitError

COMMAND = b"#!/bin/sh\necho tool v1.2.3\n"
TOOL = tools.Tool("thing", "v1.2.3", "v1.1.0")
HERE = tools._platform()


@dataclasses.dataclass
class Web:
    url: str
    root: Path

    def put(self, name: str, content: bytes) -> str:
        """Offer a file; returns its SHA-256."""
        (self.root / name).write_bytes(content)
        return hashlib.sha256(content).hexdigest()


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    root = tmp_path / "web"
    root.mkdir()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(root))) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield Web(f"http://127.0.0.1:{server.server_address[1]}", root)
        server.shutdown()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "orbit-rs-collection" / "tools.json"


@pytest.fixture
def bin_dir(tmp_path: Path) -> Path:
    return tmp_path / "bin"


def install(folder: Path, version: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "thing").write_text(f"#!/bin/sh\necho thing version {version} built yesterday\n")
    (folder / "thing").chmod(0o755)


def tar(name: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(COMMAND)
        archive.addfile(member, io.BytesIO(COMMAND))
    return buffer.getvalue()


def zipped(name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, COMMAND)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("version", "good"), [("v1.2.3", True), ("1.1.0", True), ("v1.10.0", True), ("1.0.9", False), ("none", False)]
)
def test_a_tool_is_kept_when_it_is_new_enough(version: str, good: bool, bin_dir: Path) -> None:
    install(bin_dir, version)
    found = tools.find(TOOL, bin_dir)
    assert (found is not None) == good


def test_the_folder_comes_before_the_path(bin_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other"
    install(other, "v2.0.0")
    monkeypatch.setenv("PATH", str(other), prepend=":")
    assert tools.find(TOOL, bin_dir) == tools.Found(str(other / "thing"), "v2.0.0")
    install(bin_dir, "v1.2.3")
    assert tools.find(TOOL, bin_dir) == tools.Found(str(bin_dir / "thing"), "v1.2.3")
    install(bin_dir, "v1.0.0")
    assert tools.find(TOOL, bin_dir) == tools.Found(str(other / "thing"), "v2.0.0")


@pytest.fixture
def program(bin_dir: Path) -> Path:
    """A real program, no script: it says `echo (GNU coreutils) 9.1`, or what its coreutils are."""
    bin_dir.mkdir()
    return Path(shutil.copy(shutil.which("echo") or "", bin_dir / "thing"))


def invent(cache: Path, version: str) -> None:
    """Change what is remembered, to see whether it is believed."""
    content = json.loads(cache.read_text())
    for entry in content.values():
        entry["version"] = version
    cache.write_text(json.dumps(content))


def test_a_version_is_remembered_as_long_as_the_file_is_the_same(program: Path, bin_dir: Path, cache: Path) -> None:
    first = tools.find(TOOL, bin_dir)
    assert first and cache.is_file() and cache.stat().st_mode & 0o077 == 0
    invent(cache, "v77.0.0")
    assert tools.find(TOOL, bin_dir) == tools.Found(str(program), "v77.0.0"), "it was asked again"
    os.utime(program, ns=(0, program.stat().st_mtime_ns + 1))
    assert tools.find(TOOL, bin_dir) == first, "another time"
    invent(cache, "v77.0.0")
    with program.open("ab") as file:
        file.write(b" ")
    os.utime(program, ns=(0, json.loads(cache.read_text())[f"thing {program}"]["state"][1]))
    assert tools.find(TOOL, bin_dir) == first, "another size"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"thing PATH": 1}', '{"thing PATH": {"state": [0, 0]}}'])
def test_what_is_remembered_can_be_anything(content: str, program: Path, bin_dir: Path, cache: Path) -> None:
    first = tools.find(TOOL, bin_dir)
    cache.write_text(content.replace("PATH", str(program)))
    assert tools.find(TOOL, bin_dir) == first


def test_a_folder_that_cannot_be_written_is_no_matter(program: Path, bin_dir: Path, cache: Path) -> None:
    cache.parent.parent.write_text("a file where a folder should be")
    first = tools.find(TOOL, bin_dir)
    assert first and tools.find(TOOL, bin_dir) == first
    with tools.alone():
        pass


def test_scripts_and_shims_are_asked_each_time(program: Path, bin_dir: Path, cache: Path) -> None:
    shim = program.rename(bin_dir / "manager")
    (bin_dir / "thing").symlink_to(shim)
    assert tools.find(TOOL, bin_dir)
    (bin_dir / "thing").unlink()
    install(bin_dir, "v1.2.3")
    assert tools.find(TOOL, bin_dir)
    assert not cache.exists()


@pytest.mark.parametrize(
    ("content", "member"),
    [
        (COMMAND, ""),
        (tar("linux/thing"), "linux/thing"),
        (zipped("x/thing"), "x/thing"),
        (bz2.compress(COMMAND), ""),
        (gzip.compress(COMMAND), ""),
    ],
    ids=["plain", "tar", "zip", "bz2", "gz"],
)
@pytest.mark.parametrize("mirrored", [False, True])
def test_download(content: bytes, member: str, mirrored: bool, web: Web, bin_dir: Path) -> None:
    checksum = web.put("thing-v1.2.3", content)
    base = "https://somewhere.invalid" if mirrored else web.url
    checksums = {HERE: f"sha256:{checksum.upper()}", "plan9-mips": "0" * 64}
    tool = dataclasses.replace(TOOL, url=base + "/thing-v{number}", checksums=checksums, member=member)
    said: list[str] = []
    found = tools.download(tool, bin_dir, web.url if mirrored else "", said.append)
    assert found == tools.Found(str(bin_dir / "thing"), "v1.2.3") == tools.find(tool, bin_dir)
    assert said
    assert [path.name for path in bin_dir.iterdir()] == ["thing"]


@pytest.mark.parametrize(
    ("content", "change", "says"),
    [
        (COMMAND, {"checksum": "0" * 64}, "another SHA-256"),
        (COMMAND, {"checksum": "abc"}, "not a SHA-256"),
        (COMMAND, {"checksum": ""}, f"does not say where to get it for {HERE}"),
        (COMMAND, {"url": "{base}/missing"}, "cannot be downloaded: File not found"),
        (COMMAND, {"url": "file:///etc/passwd"}, "not an http"),
        (b"no program", {}, "does not run on this machine"),
        (COMMAND, {"member": "thing"}, "no file thing"),
        (tar("other"), {"member": "thing"}, "no file thing"),
    ],
)
def test_what_is_wrong_is_not_kept(content: bytes, change: dict[str, str], says: str, web: Web, bin_dir: Path) -> None:
    install(bin_dir, "v1.0.0")
    before = (bin_dir / "thing").read_bytes()
    given = {"url": web.url + "/thing", "checksum": web.put("thing", content), "member": ""}
    given |= {name: value.replace("{base}", web.url) for name, value in change.items()}
    tool = dataclasses.replace(TOOL, url=given["url"], checksums={HERE: given["checksum"]}, member=given["member"])
    with pytest.raises(OrbitError, match=says) as error:
        tools.download(tool, bin_dir, "", lambda text: None)
    assert error.value.remedy
    assert [path.name for path in bin_dir.iterdir()] == ["thing"], "something is left over"
    assert (bin_dir / "thing").read_bytes() == before


def test_a_folder_that_cannot_be_made_is_a_sentence(web: Web, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    tool = dataclasses.replace(TOOL, url=web.url + "/thing", checksums={HERE: web.put("thing", COMMAND)})
    with pytest.raises(OrbitError, match=r"cannot be put into .*/file/bin: Not a directory") as error:
        tools.download(tool, tmp_path / "file" / "bin", "", lambda text: None)
    assert "orbit_rs_bin_dir" in error.value.remedy


def test_the_password_of_a_mirror_is_not_shown(web: Web, bin_dir: Path) -> None:
    checksum = web.put("thing", b"other")
    tool = dataclasses.replace(TOOL, url="https://somewhere.invalid/thing", checksums={HERE: "0" * 64})
    said: list[str] = []
    with pytest.raises(OrbitError, match=checksum) as error:
        tools.download(tool, bin_dir, web.url.replace("//", "//user:secret@"), said.append)
    assert "secret" not in f"{said} {error.value}"
    with pytest.raises(OrbitError) as error:
        tools.download(tool, bin_dir, "http://user:secret@127.0.0.1:1", said.append)
    assert "secret" not in f"{said} {error.value}"


def test_select() -> None:
    other = tools.Tool("other", "v1")
    assert tools.select([TOOL, other], ["other", "thing", "other"]) == [other, TOOL]
    with pytest.raises(OrbitError, match="restic is wanted") as error:
        tools.select([TOOL, other], ["restic"])
    assert "described are: thing, other" in error.value.remedy
