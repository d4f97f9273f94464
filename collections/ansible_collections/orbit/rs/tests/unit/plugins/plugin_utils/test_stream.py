# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Streams that end well, and all the ways in which one only seems to."""

from __future__ import annotations

import io
import json
import socket
import time
from collections.abc import Iterator
from typing import Any, cast

import pytest
import websocket
from ansible_collections.orbit.rs.plugins.plugin_utils import stream
from ansible_collections.orbit.rs.plugins.plugin_utils.cluster import ApiError, Cluster
from ansible_collections.orbit.rs.plugins.plugin_utils.model import OrbitError
from websocket._abnf import frame_buffer

BINARY, CLOSE, PONG = websocket.ABNF.OPCODE_BINARY, websocket.ABNF.OPCODE_CLOSE, websocket.ABNF.OPCODE_PONG
SUCCESS = b"\3" + json.dumps({"status": "Success"}).encode()
FAILURE = b"\3" + json.dumps({"status": "Failure", "message": "command terminated with exit code 2"}).encode()


class Fake:
    """A websocket that gives these frames, and takes down what is sent."""

    def __init__(self, *frames: Any, wait: int = 0) -> None:
        self.frames = list(frames)
        self.wait = wait  # for so many frames that are sent, before the first is given
        self.sent: list[bytes] = []
        self.sock, other = socket.socketpair()
        other.send(b"readable")
        self.other = other

    def recv_data(self, *, control_frame: bool) -> tuple[int, bytes]:
        until = time.monotonic() + 5
        while len(self.sent) < self.wait and time.monotonic() < until:
            time.sleep(0.01)
        frame = self.frames.pop(0)
        if isinstance(frame, Exception):
            raise frame
        return frame if isinstance(frame, tuple) else (BINARY, frame)

    def send_frame(self, frame: Any) -> None:
        wire = io.BytesIO(frame.format())

        def read(size: int) -> bytes:
            data = wire.read(size)
            assert data, "the frame is shorter than it says"
            return data

        found = frame_buffer(read, True).recv_frame()
        assert (found.fin, found.opcode, found.mask_value, wire.read()) == (1, BINARY, 1, b"")
        self.sent.append(found.data)

    def settimeout(self, seconds: float) -> None:
        pass

    def ping(self) -> None:
        pass

    def shutdown(self) -> None:
        self.sock.close()


class Api:
    """As much of a cluster as a stream asks for."""

    def __init__(self, fake: Fake | ApiError) -> None:
        self.fake = fake
        self.path = ""

    def websocket(self, path: str, protocol: str) -> Fake:
        assert protocol == "v5.channel.k8s.io"
        self.path = path
        if isinstance(self.fake, ApiError):
            raise self.fake
        return self.fake


def run(fake: Fake | ApiError, **more: Any) -> list[bytes]:
    out: list[bytes] = []
    stream.execute(cast(Cluster, Api(fake)), "orders", "orbit-server-0", ["tar", "-x y"], stdout=out.append, **more)
    return out


def test_what_comes_is_passed_on() -> None:
    assert run(Fake(b"\1one", (PONG, b""), b"\1", b"\1two", b"\2complaint", SUCCESS)) == [b"one", b"two"]


def test_the_command_is_quoted() -> None:
    api = Api(Fake(SUCCESS))
    stream.execute(cast(Cluster, api), "orders", "pod", ["sh", "-c", "a&b"], container="server")
    assert api.path == "/api/v1/namespaces/orders/pods/pod/exec?stderr=true&command=sh&command=-c&command=a%26b" + (
        "&container=server"
    )


@pytest.mark.parametrize(
    ("frames", "says"),
    [
        ([b"\1half", (CLOSE, b"")], "it ended without a status"),
        ([b"\1half", websocket.WebSocketConnectionClosedException("gone")], "the connection broke: gone"),
        ([b"\1half", ConnectionResetError("reset")], "the connection broke: reset"),
        ([b"\2tar: orbit.db: changed", FAILURE], "exit code 2. It said: tar: orbit.db: changed"),
        ([b"\3nonsense"], "its status is not understood"),
    ],
)
def test_what_breaks_off_is_an_error(frames: list[Any], says: str) -> None:
    with pytest.raises(stream.StreamError) as error:
        run(Fake(*frames))
    assert says in error.value.seen and error.value.seen.startswith("orbit-server-0: tar")


def test_an_older_protocol_is_refused() -> None:
    with pytest.raises(stream.StreamError, match="An input could not be closed"):
        run(ApiError(501, "NotImplemented", "The API server does not speak v5.channel.k8s.io."))
    with pytest.raises(ApiError):
        run(ApiError(403, "Forbidden", "no"))


def test_the_input_is_sent_and_closed() -> None:
    fake = Fake(SUCCESS, wait=3)
    run(fake, stdin=[b"one", b"two"])
    assert fake.sent == [b"\0one", b"\0two", b"\xff\0"]


@pytest.mark.parametrize("size", [0, 124, 125, 65534, 65535, 1 << 17])
def test_pieces_of_any_size_are_sent(size: int) -> None:
    fake = Fake(SUCCESS, wait=2)
    run(fake, stdin=[bytes(range(256)) * (size // 256) + bytes(size % 256)])
    assert fake.sent == [b"\0" + bytes(range(256)) * (size // 256) + bytes(size % 256), b"\xff\0"]


def test_a_source_that_fails_is_not_closed() -> None:
    """The command must not take what has come for all."""

    def source() -> Iterator[bytes]:
        yield b"one"
        raise OrbitError("the repository is gone")

    fake = Fake(websocket.WebSocketConnectionClosedException("gone"), wait=1)
    with pytest.raises(OrbitError, match="the repository is gone"):
        run(fake, stdin=source())
    assert fake.sent == [b"\0one"]


def test_a_command_that_ends_before_its_input_has_failed() -> None:
    def slow() -> Iterator[bytes]:
        yield b"one"
        time.sleep(1)
        yield b"two"

    with pytest.raises(stream.StreamError, match="ended before its input"):
        run(Fake(SUCCESS, wait=1), stdin=slow())


def test_a_stream_is_given_up_when_somebody_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "LOOK_SECONDS", 0)

    def check() -> None:
        raise OrbitError("the lock is lost")

    with pytest.raises(OrbitError, match="the lock is lost"):
        run(Fake(b"\1one", SUCCESS), check=check)


def test_silence_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(stream, "SILENT_SECONDS", 0.05)
    fake = Fake()
    fake.sock, fake.other = socket.socketpair()
    with pytest.raises(stream.StreamError, match="no sign of life"):
        run(fake)
