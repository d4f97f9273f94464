# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate against real servers on loopback: HTTP, gRPC and RESP, each of which can be bad in one way."""

from __future__ import annotations

import contextlib
import datetime
import http.server
import ipaddress
import socketserver
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from ansible_collections.orbit.rs.plugins.plugin_utils import gate
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Check

METRICS = "# TYPE orbit_up gauge\norbit_up 1\norbit_keys 2\n"


class Server:
    """An ordinal of its own; a switch makes it bad."""

    def __init__(self) -> None:
        self.data: dict[bytes, bytes] = {}
        self.commands: list[bytes] = []
        self.health, self.metrics, self.grpc = 200, METRICS, b"\x08\x01"
        self.set, self.delete = b"+OK\r\n", b":1\r\n"
        self.get: bytes | None = None  # instead of the value

    def answer(self, words: list[bytes]) -> bytes:
        self.commands.append(words[0])
        if words[0] == b"SET":
            self.data[words[1]] = words[2]
            return self.set
        if words[0] == b"DEL":
            self.data.pop(words[1], None)
            return self.delete
        value = self.data.get(words[1])
        if value is not None and self.get is not None:
            return self.get
        return b"$-1\r\n" if value is None else b"$%d\r\n%s\r\n" % (len(value), value)


@contextlib.contextmanager
def served(server: Server, certificate: Path | None = None) -> Iterator[dict[str, int]]:
    class Web(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = (server.health, "") if self.path == "/health/ready" else (200, server.metrics)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: Any) -> None:
            pass

    class Resp(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while line := self.rfile.readline():
                words = []
                for dummy in range(int(line[1:])):
                    size = int(self.rfile.readline()[1:])
                    words.append(self.rfile.read(size + 2)[:-2])
                self.wfile.write(server.answer(words))

    class Health(grpc.GenericRpcHandler):
        def service(self, details: Any) -> Any:
            if details.method == "/grpc.health.v1.Health/Check":
                return grpc.unary_unary_rpc_method_handler(lambda request, context: server.grpc)
            return None

    with contextlib.ExitStack() as stack:
        web = stack.enter_context(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Web))
        resp = stack.enter_context(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Resp))
        resp.daemon_threads = True
        remote = grpc.server(ThreadPoolExecutor(2), handlers=[Health()])
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            resp.socket = context.wrap_socket(resp.socket, server_side=True)
            pem = certificate.read_bytes()
            port = remote.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(pem, pem)]))
        else:
            port = remote.add_insecure_port("127.0.0.1:0")
        remote.start()
        stack.callback(lambda: remote.stop(0).wait())
        for one in (web, resp):
            threading.Thread(target=one.serve_forever, args=(0.01,), daemon=True).start()
            stack.callback(one.shutdown)
        http_port = web.server_address[1]
        yield {"http": http_port, "metrics": http_port, "grpc": port, "redis": resp.server_address[1]}


def check(server: Server, write: bool = True) -> dict[str, Check]:
    with served(server) as ports:
        return {item.name: item for item in gate.check_ordinal(1, ports, write)}


def test_a_good_ordinal_passes_and_is_left_as_it_was() -> None:
    server = Server()
    found = check(server)
    assert {name: item.ok for name, item in found.items()} == dict.fromkeys(("health", "grpc", "metrics", "data"), True)
    assert {item.ordinal for item in found.values()} == {1}
    assert (found["health"].detail, found["grpc"].detail, found["metrics"].detail) == ("200", "SERVING", "2 series")
    assert server.data == {}
    assert server.commands == [b"SET", b"GET", b"DEL", b"GET"]


def test_without_write_it_only_reads() -> None:
    server = Server()
    assert check(server, write=False)["data"].ok
    assert server.commands == [b"GET"]


@pytest.mark.parametrize(
    ("switch", "name", "detail"),
    [
        ({"health": 503}, "health", "/health/ready answers 503"),
        ({"metrics": ""}, "metrics", "/metrics has no series"),
        ({"metrics": "orbit_up one two three"}, "metrics", "text format"),
        ({"grpc": b"\x08\x02"}, "grpc", "NOT_SERVING"),
        ({"grpc": b""}, "grpc", "UNKNOWN"),
        ({"set": b"-READONLY no writes\r\n"}, "data", "SET answers READONLY no writes"),
        ({"get": b"$5\r\nwrong\r\n"}, "data", "GET answers 'wrong'"),
        ({"get": b"$-1\r\n"}, "data", "GET answers None"),
        ({"delete": b":0\r\n"}, "data", "DEL answers 0"),
        ({"set": b"HTTP/1.1 400\r\n"}, "data", "not RESP"),
        ({"set": b""}, "data", "no answer"),
    ],
)
def test_each_way_to_be_bad_fails_its_check_alone(
    switch: dict[str, Any], name: str, detail: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "SECONDS", 0.5)
    server = Server()
    vars(server).update(switch)
    found = check(server)
    assert [item.name for item in found.values() if not item.ok] == [name]
    assert detail in found[name].detail
    assert server.data == {}, "a canary key is left behind"


def test_a_server_without_the_health_service_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "GRPC_HEALTH", "/orbit.shared.HealthService/Check")
    found = check(Server())["grpc"]
    assert (found.ok, found.detail) == (False, "/orbit.shared.HealthService/Check is refused")


def test_a_port_that_is_off_is_not_checked_and_one_that_is_closed_fails() -> None:
    with served(Server()) as ports:
        assert [item.name for item in gate.check_ordinal(0, {"http": ports["http"]}, True)] == ["health"]
    closed = gate.check_ordinal(0, ports, True)
    assert [(item.name, item.ok) for item in closed] == [
        (name, False) for name in ("health", "grpc", "metrics", "data")
    ]


def test_with_tls(tmp_path: Path) -> None:
    file = self_signed(tmp_path / "server.pem", "orbit-server.orbit-rs.svc")
    with served(Server(), file) as ports:
        found = gate.check_ordinal(0, ports, True, tls=True)
        assert all(item.ok for item in found), found
        plain = {item.name: item.ok for item in gate.check_ordinal(0, {"grpc": ports["grpc"]}, True)}
        assert plain == {"grpc": False}


def self_signed(file: Path, name: str) -> Path:
    x509 = pytest.importorskip("cryptography.x509", reason="cryptography is not installed: no certificate to test with")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return file
