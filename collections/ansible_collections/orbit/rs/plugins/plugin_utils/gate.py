# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate: one ordinal is good when it says so, measures itself, and keeps what is written to it."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import ssl
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

from ansible_collections.orbit.rs.plugins.plugin_utils.cluster import PARALLEL, Cluster
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Check, OrbitError

SECONDS = 5  # until an answer is missing
PORTS = ("http", "grpc", "metrics", "redis")  # names of the container's ports that the checks use
HEALTH = "/health/ready"
METRICS = "/metrics"
GRPC_HEALTH = "/grpc.health.v1.Health/Check"

# grpc.health.v1.HealthCheckResponse is one field: 1, the status, as a varint.
_GRPC_STATUS = {b"": "UNKNOWN", b"\x08\x01": "SERVING", b"\x08\x02": "NOT_SERVING", b"\x08\x03": "SERVICE_UNKNOWN"}


# As much of HTTP/2 as that takes: kinds of frames, and their flags.
_DATA, _HEADERS, _RESET, _SETTINGS, _GO_AWAY = 0, 1, 3, 4, 7
_END_STREAM, _ACK, _END_HEADERS = 1, 1, 4
_EMPTY_MESSAGE = bytes(5)  # not compressed, of length 0

# A line of Prometheus' text format: name, labels, value, time stamp.
_SAMPLE = re.compile(
    r'[a-zA-Z_:][a-zA-Z0-9_:]*\s*(\{\s*([a-zA-Z_]\w*\s*=\s*"([^"\\\n]|\\.)*"\s*,?\s*)*\})?'
    r"\s+([+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?Inf|NaN)(\s+-?\d+)?"
)


CheckName = Literal["health", "grpc", "metrics", "data", "kept"]
Mark = tuple[str, str]  # key and value


class _Failed(Exception):
    """A check that did not pass; the message says what was seen."""


def gate(
    cluster: Cluster,
    namespace: str,
    pods: Mapping[int, str],
    ports: Mapping[str, int],
    *,
    write: bool,
    tls: bool = False,
    marks: Mapping[int, Mark] | None = None,
) -> list[Check]:
    """Check the ordinals of `pods` once, side by side, each through a port-forward of its own.

    `ports` has the container's ports by name; `marks` what mark() has left on ordinals, which must still be there.
    """
    needed = {name: number for name, number in ports.items() if name in PORTS}

    def through(ordinal: int) -> list[Check]:
        try:
            with cluster.forward(namespace, pods[ordinal], sorted(set(needed.values()))) as local:
                reach = {name: local[port] for name, port in needed.items()}
                return check_ordinal(ordinal, reach, write, tls, (marks or {}).get(ordinal))
        except OrbitError as error:
            return [Check(ordinal, "health", False, f"no way to the pod: {error.seen}")]

    with ThreadPoolExecutor(min(len(pods), PARALLEL) or 1) as pool:
        return [check for checks in pool.map(through, pods) for check in checks]


def mark(cluster: Cluster, namespace: str, pod: str, port: int, *, tls: bool = False) -> Mark:
    """Write a key of our own as the last thing before a restart, which must not lose it. Raises OrbitError."""
    key, value = f"orbit.rs:mark:{uuid.uuid4().hex}", uuid.uuid4().hex
    _data_call(cluster, namespace, pod, port, tls, "OK", "SET", key, value)
    return key, value


def unmark(cluster: Cluster, namespace: str, pod: str, port: int, left: Mark, *, tls: bool = False) -> None:
    """Delete the key again. Raises OrbitError."""
    _data_call(cluster, namespace, pod, port, tls, 1, "DEL", left[0])


def _data_call(cluster: Cluster, namespace: str, pod: str, port: int, tls: bool, answer: object, *words: str) -> None:
    try:
        with cluster.forward(namespace, pod, [port]) as local, _Redis(local[port], tls) as redis:
            _expect(words[0], redis.call(*words), answer)
    except (_Failed, OSError) as error:
        raise OrbitError(
            f"{pod}: {error}.", "It should take writes. See its log: " + f"kubectl logs {pod} -n {namespace}"
        ) from error


def check_ordinal(
    ordinal: int, ports: Mapping[str, int], write: bool, tls: bool = False, kept: Mark | None = None
) -> list[Check]:
    """Run the checks of one ordinal on 127.0.0.1; `ports` has the local port by the name of the container's port.

    A port that is not there is off, and its check left out. With `write`, a canary key is written, read back and
    deleted on the data protocol; else it is only looked up. With `tls`, gRPC and the data protocol use it; whether the
    certificate is trusted is not checked, since it is not made out for this way to the pod.
    """
    checks: Mapping[CheckName, tuple[str, Callable[[int], str]]] = {
        "health": ("http", _health),
        "grpc": ("grpc", lambda port: _grpc(port, tls)),
        "metrics": ("metrics", _metrics),
        "data": ("redis", lambda port: _data(port, write, tls)),
        **({"kept": ("redis", lambda port: _kept(port, tls, kept))} if kept else {}),
    }
    result = []
    for name, (port, check) in checks.items():
        if port not in ports:
            continue
        start = time.monotonic()
        try:
            ok, detail = True, check(ports[port])
        except _Failed as error:
            ok, detail = False, str(error)
        except (OSError, http.client.HTTPException) as error:
            ok, detail = False, f"no answer: {getattr(error, 'strerror', None) or error or type(error).__name__}"
        result.append(Check(ordinal, name, ok, detail, round((time.monotonic() - start) * 1000, 1)))
    return result


def _get(port: int, path: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read().decode(errors="replace")
        if response.status != 200:
            raise _Failed(f"{path} answers {response.status} {body.strip()[:100]}".strip())
        return body
    finally:
        connection.close()


def _health(port: int) -> str:
    _get(port, HEALTH)
    return "200"


def _grpc(port: int, tls: bool) -> str:
    """Ask grpc.health.v1. Importing grpc takes longer than all checks of all ordinals, and this is one small answer."""
    with _connect(port, tls, "h2") as connection, connection.makefile("rb") as answers:
        fields = {
            ":method": "POST",
            ":scheme": "https" if tls else "http",
            ":path": GRPC_HEALTH,
            ":authority": "localhost",
            "content-type": "application/grpc",
            "te": "trailers",
        }
        # Literals without indexing, which need no table.
        header = b"".join(b"\0%c%b%c%b" % (len(k), k.encode(), len(v), v.encode()) for k, v in fields.items())
        request = (
            _frame(_SETTINGS, 0, 0, b""),
            _frame(_HEADERS, _END_HEADERS, 1, header),
            _frame(_DATA, _END_STREAM, 1, _EMPTY_MESSAGE),
        )
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"".join(request))
        message = b""
        while head := answers.read(9):
            if len(head) < 9:
                break
            content = answers.read(int.from_bytes(head[:3]))
            kind, flags = head[3], head[4]
            if kind == _SETTINGS and not flags & _ACK:
                connection.sendall(_frame(_SETTINGS, _ACK, 0, b""))
            elif kind == _DATA:
                message += content
                if len(message) >= 5 + int.from_bytes(message[1:5] or b"\0"):
                    break
            elif kind in (_RESET, _GO_AWAY) or (kind == _HEADERS and flags & _END_STREAM):
                raise _Failed(f"{GRPC_HEALTH} is refused")
    if len(message) < 5:
        raise _Failed("no answer")
    status = _GRPC_STATUS.get(message[5:], repr(message[5:]))
    if status != "SERVING":
        raise _Failed(status)
    return status


def _frame(kind: int, flags: int, stream: int, content: bytes) -> bytes:
    """One frame of HTTP/2."""
    return len(content).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + content


def _connect(port: int, tls: bool, protocol: str = "") -> socket.socket:
    """Connect to 127.0.0.1. The certificate is not checked: it is not made out for this way to the pod."""
    connection = socket.create_connection(("127.0.0.1", port), SECONDS)
    if not tls:
        return connection
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if protocol:
        context.set_alpn_protocols([protocol])
    return context.wrap_socket(connection)


def _metrics(port: int) -> str:
    lines = [line for line in _get(port, METRICS).splitlines() if line.strip() and not line.startswith("#")]
    if wrong := next((line for line in lines if not _SAMPLE.fullmatch(line.strip())), None):
        raise _Failed(f"{METRICS} is not in Prometheus' text format: {wrong[:60]!r}")
    if not lines:
        raise _Failed(f"{METRICS} has no series")
    return f"{len(lines)} series"


def _data(port: int, write: bool, tls: bool) -> str:
    key, value = f"orbit.rs:gate:{uuid.uuid4().hex}", uuid.uuid4().hex
    start = time.monotonic()
    with _Redis(port, tls) as redis:
        if write:
            try:
                _expect("SET", redis.call("SET", key, value), "OK")
                _expect("GET", redis.call("GET", key), value)
            except (_Failed, OSError):
                with contextlib.suppress(_Failed, OSError):
                    redis.call("DEL", key)
                raise
            _expect("DEL", redis.call("DEL", key), 1)
        _expect("GET of a key that is not there", redis.call("GET", key), None)
    return f"{'write, read, delete' if write else 'read'} in {(time.monotonic() - start) * 1000:.0f} ms"


def _kept(port: int, tls: bool, left: Mark) -> str:
    with _Redis(port, tls) as redis:
        found = redis.call("GET", left[0])
    if found != left[1]:
        raise _Failed(f"what was written before the restart is {'gone' if found is None else 'changed'}")
    return "what was written before the restart is there"


def _expect(what: str, answer: object, wanted: object) -> None:
    if answer != wanted:
        raise _Failed(f"{what} answers {answer!r}, not {wanted!r}")


class _Redis:
    """As much of RESP as the gate needs: importing a client library takes longer than the whole gate."""

    def __init__(self, port: int, tls: bool) -> None:
        self._socket = _connect(port, tls)
        self._answers = self._socket.makefile("rb")

    def __enter__(self) -> _Redis:
        return self

    def __exit__(self, *error: object) -> None:
        self._answers.close()
        self._socket.close()

    def call(self, *words: str) -> str | int | None:
        """Send a command and read its answer."""
        encoded = [word.encode() for word in words]
        parts = [b"*%d\r\n" % len(encoded), *(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)]
        self._socket.sendall(b"".join(parts))
        line = self._answers.readline().decode(errors="replace")
        if not line.endswith("\r\n"):
            raise _Failed(f"{words[0]}: the connection was closed")
        kind, text = line[0], line[1:-2]
        if kind == "-":
            raise _Failed(f"{words[0]} answers {text}")
        if kind == "+":
            return text
        if kind == ":":
            return int(text)
        if kind == "$":
            size = int(text)
            return None if size < 0 else self._answers.read(size + 2)[:-2].decode(errors="replace")
        raise _Failed(f"{words[0]} answers something that is not RESP: {line!r}")
