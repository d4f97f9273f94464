# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a command in a pod, with everything that goes in and comes out as a stream, in constant memory.

A stream that ends is not a stream that is complete: only the status that the API server sends in the end says how the
command has ended, and one that does not come means a broken stream. That status, and an input that can be closed, is
what the protocol v5 has; older ones are refused.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import select
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from urllib.parse import quote

from ansible_collections.orbit.rs.plugins.plugin_utils.cluster import ApiError, Cluster, WebSocket
from ansible_collections.orbit.rs.plugins.plugin_utils.model import OrbitError

PROTOCOL = "v5.channel.k8s.io"
LOOK_SECONDS = 5  # between two signs of life
SILENT_SECONDS = 60  # without one, until the connection is given up
STALL_SECONDS = 300  # that a frame may take
COMPLAINT = 4096  # bytes of what the command complains about that are kept

_STDIN, _STDOUT, _STDERR, _STATUS = range(4)
_CLOSE = 255


class StreamError(OrbitError):
    """The stream broke, or its command failed: nothing of what came can be relied on."""


def execute(
    cluster: Cluster,
    namespace: str,
    pod: str,
    command: Sequence[str],
    *,
    container: str = "",
    stdin: Iterable[bytes] | None = None,
    stdout: Callable[[bytes], None] | None = None,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Run a command to its end. `stdin` is sent and then closed; `stdout` gets what comes, piece by piece.

    `check` is called now and then, and may raise. Raises StreamError; whatever `stdin` and `stdout` raise.
    """
    flags = {"stdin": stdin is not None, "stdout": stdout is not None, "stderr": True}
    query = [f"{name}=true" for name, wanted in flags.items() if wanted]
    query += [f"command={quote(word, safe='')}" for word in command]
    if container:
        query.append(f"container={quote(container)}")
    path = f"/api/v1/namespaces/{namespace}/pods/{pod}/exec?{'&'.join(query)}"
    try:
        websocket = cluster.websocket(path, PROTOCOL)
    except ApiError as error:
        if error.status == 501:
            raise StreamError(
                f"{error.seen} An input could not be closed, and the end of a stream could not be told.",
                "It takes Kubernetes 1.30 or newer, and no proxy in between that changes the protocol.",
            ) from error
        raise
    websocket.settimeout(STALL_SECONDS)
    sender = _Sender(websocket, stdin) if stdin is not None else None
    try:
        if sender:
            sender.start()
        _receive(websocket, f"{pod}: {command[0].rpartition('/')[2]}", stdout, sender, check)
    finally:
        with contextlib.suppress(Exception):
            websocket.shutdown()
        if sender:
            sender.join()


def output(cluster: Cluster, namespace: str, pod: str, command: Sequence[str], *, container: str = "") -> str:
    """What a command that says little prints. Raises StreamError."""
    said: list[bytes] = []
    execute(cluster, namespace, pod, command, container=container, stdout=said.append)
    return b"".join(said).decode(errors="replace")


class _Frame:
    """A binary frame, as the websocket sends it.

    Its mask is zeros, which leave the data as it is: a mask protects proxies from browsers, and to apply one in Python
    takes more time than everything else that a restore does here.
    """

    def __init__(self, *parts: bytes) -> None:
        size = sum(map(len, parts))
        if size < 126:
            length = bytes((0x80 | size,))
        else:
            length = b"\xfe" + size.to_bytes(2) if size < 1 << 16 else b"\xff" + size.to_bytes(8)
        self._content = memoryview(b"".join((b"\x82", length, bytes(4), *parts)))

    def format(self) -> memoryview:
        """What goes over the wire."""
        return self._content


class _Sender(threading.Thread):
    """Sends an input from another thread; `error` is what its source has raised."""

    def __init__(self, websocket: WebSocket, source: Iterable[bytes]) -> None:
        super().__init__(daemon=True)
        self._websocket = websocket
        self._source = source
        self.error: BaseException | None = None
        self.closed = False

    def run(self) -> None:
        """Send all, then close the input; when the source fails it is not closed, and the stream is broken off."""
        try:
            for block in self._source:
                self._websocket.send_frame(_Frame(bytes((_STDIN,)), block))
            self.closed = True
            self._websocket.send_frame(_Frame(bytes((_CLOSE, _STDIN))))
        except BaseException as error:  # whatever it is, the main thread raises it
            self.error = error
            with contextlib.suppress(Exception):
                self._websocket.shutdown()


def _receive(
    websocket: WebSocket,
    what: str,
    stdout: Callable[[bytes], None] | None,
    sender: _Sender | None,
    check: Callable[[], None],
) -> None:
    module: Any = importlib.import_module("websocket")
    complaint = b""
    seen = asked = time.monotonic()
    while True:
        now = time.monotonic()
        if now - asked >= LOOK_SECONDS:
            asked = now
            check()
            if now - seen > SILENT_SECONDS:
                raise _broken(what, f"the API server gives no sign of life for {SILENT_SECONDS} seconds", complaint)
            with contextlib.suppress(OSError, module.WebSocketException):
                websocket.ping()
        try:
            if not select.select([websocket.sock], [], [], LOOK_SECONDS)[0]:
                continue
            kind, data = websocket.recv_data(control_frame=True)
        except (OSError, ValueError, AttributeError, module.WebSocketException) as error:
            if sender and sender.error:
                raise sender.error from error
            raise _broken(what, f"the connection broke: {error or type(error).__name__}", complaint) from error
        seen = time.monotonic()
        if kind == module.ABNF.OPCODE_CLOSE:
            if sender and sender.error:
                raise sender.error
            raise _broken(what, "it ended without a status", complaint)
        if kind not in (module.ABNF.OPCODE_BINARY, module.ABNF.OPCODE_TEXT) or len(data) < 2:
            continue
        channel = data[0]
        if channel == _STDOUT and stdout:
            stdout(data[1:])
        elif channel == _STDERR:
            complaint = (complaint + data[1:])[-COMPLAINT:]
        elif channel == _STATUS:
            _judge(what, data[1:], complaint)
            if sender and not sender.closed:
                raise _broken(what, "the command ended before its input", complaint)
            return


def _judge(what: str, content: bytes, complaint: bytes) -> None:
    """See that the status says success. Raises StreamError."""
    try:
        status = json.loads(content)
    except ValueError as error:
        raise _broken(what, "its status is not understood", complaint) from error
    if status.get("status") != "Success":
        raise _broken(what, str(status.get("message") or "it failed"), complaint)


def _broken(what: str, why: str, complaint: bytes) -> StreamError:
    said = complaint.decode(errors="replace").strip()
    return StreamError(f"{what}: {why}." + (f" It said: {said}" if said else ""), "Run again; nothing of it was kept.")
