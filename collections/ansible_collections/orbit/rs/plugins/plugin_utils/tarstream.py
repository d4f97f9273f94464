# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A tar archive as it passes by: every file is hashed on the way, and whether the archive is whole is known in the end.

A tar that is cut between two files unpacks without a complaint; only the block that ends it says that it is all there.
"""

from __future__ import annotations

import dataclasses
import hashlib

BLOCK = 512
_ZEROS = bytes(BLOCK)
# What an extended header may hold; a real one is a few hundred bytes.
_LONGEST = 1 << 20

_FILES = b"0\x007"
_LINKS = {b"1": "hard link", b"2": "symbolic link"}
_DEVICES = {b"3": "device", b"4": "device", b"6": "pipe"}


class Broken(Exception):
    """The stream is not a whole tar archive; the message says what is wrong with it."""


@dataclasses.dataclass(frozen=True)
class File:
    """One regular file."""

    size: int
    sha256: str
    mode: int


class Parser:
    """Takes an archive in pieces of any size. `files` has every regular file by its path, without a leading "./"."""

    def __init__(self) -> None:
        self.files: dict[str, File] = {}
        self.bytes = 0  # that have passed
        self._buffer = bytearray()
        self._left = 0  # of the content that passes now
        self._padding = 0
        self._hash: hashlib._Hash | None = None
        self._entry: tuple[str, int, int] = ("", 0, 0)  # path, size, mode
        self._kept: bytearray | None = None  # content of an extended header
        self._kind = b""
        self._next: dict[str, str] = {}  # what extended headers say of the next file
        self._zeros = 0

    def feed(self, data: bytes | memoryview) -> None:
        """Take the next piece. Raises Broken."""
        self.bytes += len(data)
        view = memoryview(data)
        while view:
            if self._left:
                part, view = view[: self._left], view[self._left :]
                self._left -= len(part)
                if self._hash:
                    self._hash.update(part)
                elif self._kept is not None:
                    self._kept += part
                if not self._left:
                    self._end_of_content()
            elif self._padding:
                skipped = min(self._padding, len(view))
                self._padding -= skipped
                view = view[skipped:]
            else:
                part, view = view[: BLOCK - len(self._buffer)], view[BLOCK - len(self._buffer) :]
                self._buffer += part
                if len(self._buffer) == BLOCK:
                    block = bytes(self._buffer)
                    self._buffer.clear()
                    self._header(block)

    def close(self) -> None:
        """The stream has ended here. Raises Broken when the archive has not."""
        if self._left or self._padding or self._buffer:
            raise Broken(f"the archive was cut off in {self._entry[0] or 'a header'}, after {self.bytes} bytes")
        if self._zeros < 2:
            raise Broken(
                f"the archive was cut off after {len(self.files)} files and {self.bytes} bytes: its end is missing"
            )

    def _header(self, block: bytes) -> None:
        if block == _ZEROS:
            self._zeros += 1
            return
        if self._zeros:
            raise Broken("there is something after the end of the archive")
        stored = _number(block[148:156])
        if sum(block[:148]) + 8 * 32 + sum(block[156:]) != stored:
            raise Broken(f"a header is damaged, {self.bytes} bytes from the start")
        self._kind = block[156:157]
        size = _number(block[124:136])
        if self._kind in b"xgLK":
            if size > _LONGEST:
                raise Broken(f"an extended header has {size} bytes")
            self._kept = bytearray()
            self._content(size)
            return
        more, self._next = self._next, {}
        size = int(more.get("size", size))
        path = more.get("path") or _path(block)
        if any(name.startswith("GNU.sparse") for name in more) or self._kind == b"S":
            raise Broken(f"{path} is stored as a sparse file, which is not understood")
        path = _relative(path)
        if what := _LINKS.get(self._kind) or _DEVICES.get(self._kind):
            raise Broken(f"{path} is a {what}, and a database has plain files")
        if self._kind in _FILES:
            self._hash = hashlib.sha256()
            self._entry = path, size, _number(block[100:108]) & 0o7777
            self._content(size)
        elif self._kind != b"5":
            raise Broken(f"{path} is of the unknown kind {self._kind!r}")

    def _content(self, size: int) -> None:
        self._left, self._padding = size, -size % BLOCK
        if not size:
            self._end_of_content()

    def _end_of_content(self) -> None:
        if self._hash:
            path, size, mode = self._entry
            if path in self.files:
                raise Broken(f"{path} is in it twice")
            self.files[path] = File(size, self._hash.hexdigest(), mode)
            self._hash = None
        elif self._kept is not None:
            content, self._kept = bytes(self._kept), None
            if self._kind == b"L":
                self._next["path"] = content.rstrip(b"\0").decode(errors="surrogateescape")
            elif self._kind == b"x":
                self._next |= _pax(content)


def _number(field: bytes) -> int:
    """A number as headers have it: octal, or binary when the first bit is set."""
    try:
        if field[0] & 0x80:
            return int.from_bytes(bytes((field[0] & 0x7F,)) + field[1:])
        return int(field.strip(b" \0") or b"0", 8)
    except ValueError as error:
        raise Broken(f"a header holds {field!r} instead of a number") from error


def _path(block: bytes) -> str:
    name = block[:100].rstrip(b"\0")
    if block[257:263] == b"ustar\0":  # GNU's own format has other fields there
        prefix = block[345:500].rstrip(b"\0")
        name = prefix + b"/" + name if prefix else name
    return name.decode(errors="surrogateescape")


def _pax(content: bytes) -> dict[str, str]:
    """The records of an extended header: "LENGTH NAME=VALUE\\n"."""
    found = {}
    while content:
        length, separator, dummy = content.partition(b" ")
        if not separator or not length.isdigit() or not 0 < int(length) <= len(content):
            raise Broken("an extended header is damaged")
        record, content = content[len(length) + 1 : int(length) - 1], content[int(length) :]
        name, dummy, value = record.partition(b"=")
        found[name.decode(errors="replace")] = value.decode(errors="surrogateescape")
    return found


def _relative(path: str) -> str:
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if path.startswith("/") or ".." in parts:
        raise Broken(f"the path {path} leads out of the archive")
    return "/".join(parts)
