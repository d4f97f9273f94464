# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives of every format that tar writes, whole, cut off anywhere, and damaged."""

from __future__ import annotations

import hashlib
import io
import tarfile

import pytest
from ansible_collections.orbit.rs.plugins.plugin_utils.tarstream import Broken, File, Parser
from hypothesis import given, settings
from hypothesis import strategies as st

FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
LONG = "/".join(["folder" * 8] * 4) + "/file"


def archive(files: dict[str, bytes], kind: int = tarfile.PAX_FORMAT, mode: int = 0o640) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=kind) as tar:
        folder = tarfile.TarInfo("./rocksdb")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(folder)
        for path, content in files.items():
            info = tarfile.TarInfo(path)
            info.size, info.mode = len(content), mode
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def parsed(data: bytes, step: int = 1000) -> Parser:
    parser = Parser()
    for start in range(0, len(data), step):
        parser.feed(data[start : start + step])
    parser.close()
    return parser


def expected(files: dict[str, bytes], mode: int = 0o640) -> dict[str, File]:
    return {
        path.removeprefix("./"): File(len(content), hashlib.sha256(content).hexdigest(), mode)
        for path, content in files.items()
    }


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("step", [1, 511, 512, 513, 100_000])
def test_every_file_is_hashed(kind: int, step: int) -> None:
    names = {} if kind == tarfile.USTAR_FORMAT else {LONG: b"long"}
    files = {"./orbit.db": b"x" * 1025, "empty": b"", "exact": b"y" * 512, "a/b": b"z", **names}
    parser = parsed(archive(files, kind), step)
    assert parser.files == expected(files)
    assert parser.bytes == len(archive(files, kind))


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(st.text("abcäé/._-", min_size=1, max_size=150), st.binary(max_size=1500), max_size=4),
    st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
    st.integers(1, 2000),
)
def test_it_sees_what_tarfile_sees(files: dict[str, bytes], kind: int, step: int) -> None:
    data = archive(files, kind)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        names = [item.name for item in tar if item.isfile()]
        whole = {item.name: tar.extractfile(item) for item in tar if item.isfile()}
        seen = {name: content.read() for name, content in whole.items() if content}
    plain = ["/".join(part for part in name.split("/") if part not in ("", ".")) for name in names]
    if len(set(plain)) < len(plain) or any(name.startswith("/") or ".." in name.split("/") for name in names):
        with pytest.raises(Broken):
            parsed(data, step)
        return
    assert parsed(data, step).files == expected(dict(zip(plain, seen.values(), strict=True)))


def test_cut_off_anywhere_it_is_broken() -> None:
    data = archive({"a": b"x" * 600, "b": b"y" * 512})
    end = len(data.rstrip(b"\0")) // 512 * 512 + 1024
    whole = next(size for size in range(512, len(data) + 1, 512) if _is_whole(data[:size]))
    assert whole <= end + 1024
    for size in range(0, whole, 100):
        with pytest.raises(Broken, match="cut off"):
            parsed(data[:size])


def _is_whole(data: bytes) -> bool:
    try:
        parsed(data)
    except Broken:
        return False
    return True


def test_a_damaged_header_is_named() -> None:
    data = bytearray(archive({"a": b"x" * 600}))
    data[512 + 3] ^= 1
    with pytest.raises(Broken, match="a header is damaged"):
        parsed(bytes(data))


@pytest.mark.parametrize("path", ["/etc/passwd", "../data", "a/../../b"])
def test_a_path_must_not_lead_out(path: str) -> None:
    with pytest.raises(Broken, match="leads out"):
        parsed(archive({path: b"x"}, tarfile.GNU_FORMAT))


def test_a_link_is_refused() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo("data")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc"
        tar.addfile(info)
    with pytest.raises(Broken, match="data is a symbolic link"):
        parsed(out.getvalue())


def test_a_size_beyond_eight_gibibytes_is_read() -> None:
    info = tarfile.TarInfo("big")
    info.size = 9 << 30
    parser = Parser()
    parser.feed(info.tobuf(tarfile.GNU_FORMAT))
    assert parser._left == 9 << 30
    parser = Parser()
    parser.feed(info.tobuf(tarfile.PAX_FORMAT))
    assert parser._left == 9 << 30
