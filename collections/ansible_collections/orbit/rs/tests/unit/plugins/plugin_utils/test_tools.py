# SPDX-License-Identifier: GPL-3.0-or-later
"""Downloads from a server on loopback."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import http.server
import io
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


@pytest.mark.parametrize(
    ("content", "member"),
    [(COMMAND, ""), (tar("linux/thing"), "linux/thing"), (zipped("x/thing"), "x/thing")],
    ids=["plain", "tar", "zip"],
)
@pytest.mark.parametrize("mirrored", [False, True])
def test_download(content: bytes, member: str, mirrored: bool, web: Web, bin_dir: Path) -> None:
    checksum = web.put("thing-v1.2.3", content)
    web.put("thing-v1.2.3.sha256", f"{checksum}  thing-v1.2.3\n".encode())
    base = "https://somewhere.invalid" if mirrored else web.url
    tool = dataclasses.replace(
        TOOL, url=base + "/thing-{version}", checksum=base + "/thing-{version}.sha256", member=member
    )
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
        (COMMAND, {"checksum": ""}, "does not say where to get it"),
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
    options = {"url": web.url + "/thing", "checksum": web.put("thing", content)}
    options |= {name: value.replace("{base}", web.url) for name, value in change.items()}
    with pytest.raises(OrbitError, match=says) as error:
        tools.download(dataclasses.replace(TOOL, **options), bin_dir, "", lambda text: None)
    assert error.value.remedy
    assert [path.name for path in bin_dir.iterdir()] == ["thing"], "something is left over"
    assert (bin_dir / "thing").read_bytes() == before
