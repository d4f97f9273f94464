# SPDX-License-Identifier: GPL-3.0-or-later
"""A stock Redis client, in both protocol versions, and the bytes on the wire."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from testbed.orbit_server.resp import ProtocolError, encode, parse
from testbed.orbit_server.tests.process import REDIS_PORT, Server

Client = Any  # redis-py's own types do not know that a pipeline's methods return the pipeline


@pytest.fixture(scope="module")
def running(make_server: Callable[[], Server]) -> Server:
    return make_server().start()


@pytest.fixture(params=[None, 2, 3], ids=["default", "resp2", "resp3"])
def client(running: Server, request: pytest.FixtureRequest) -> Iterator[Client]:
    options = {"protocol": request.param} if request.param else {}
    with running.redis(client_name="test", **options) as client:
        client.flushall()
        yield client


def raw(server: Server, sent: bytes) -> bytes:
    """What the server answers to `sent` until it closes."""
    with socket.create_connection((server.host, REDIS_PORT), timeout=5) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while data := connection.recv(65536):
            answer += data
        return answer


def test_connection_commands(client: Client) -> None:
    assert client.ping()
    assert client.echo("hello") == "hello"
    assert client.execute_command("SELECT", "0")
    assert client.execute_command("COMMAND") in ([], {})
    with pytest.raises(redis.ResponseError, match="DB index is out of range"):
        client.execute_command("SELECT", "1")
    with pytest.raises(redis.ResponseError, match="unknown command 'lpush'"):
        client.lpush("list", "x")


def test_set_and_get(client: Client) -> None:
    assert client.get("a") is None
    assert client.set("a", "1")
    assert client.get("a") == "1"
    assert client.set("a", "2", nx=True) is None
    assert client.set("b", "2", xx=True) is None
    assert client.set("a", "3", get=True) == "1"
    assert client.get("a") == "3"
    assert client.set("empty", "")
    assert client.get("empty") == ""


def test_what_is_not_supported_is_refused(client: Client) -> None:
    with pytest.raises(redis.ResponseError, match="keys do not expire here"):
        client.set("a", "1", ex=10)
    assert client.get("a") is None
    with pytest.raises(redis.ResponseError, match="wrong number of arguments for 'get' command"):
        client.execute_command("GET")


def test_values_are_bytes(running: Server) -> None:
    value = bytes(range(256)) * 4096 + b"\r\n"
    with redis.Redis(running.host, REDIS_PORT) as client:
        client.set(b"\x00\r\n", value)
        assert client.get(b"\x00\r\n") == value


def test_del_and_exists(client: Client) -> None:
    client.set("a", "1")
    client.set("b", "1")
    assert client.exists("a", "b", "a", "c") == 3
    assert client.delete("a", "c") == 1
    assert client.exists("a") == 0


def test_incr(client: Client) -> None:
    assert client.execute_command("INCR", "n") == 1
    assert client.incr("n") == 2
    assert client.incr("n", 40) == 42
    assert client.decr("n", 2) == 40
    client.set("text", "x")
    with pytest.raises(redis.ResponseError, match="not an integer or out of range"):
        client.incr("text")
    client.set("n", 2**63 - 1)
    with pytest.raises(redis.ResponseError, match="not an integer or out of range"):
        client.incr("n")
    assert client.get("n") == str(2**63 - 1)


def test_dbsize_scan_flushall(client: Client) -> None:
    keys = {f"key:{number}" for number in range(57)}
    for key in keys:
        client.set(key, "1")
    assert client.dbsize() == 57
    assert sorted(client.scan_iter()) == sorted(keys)
    assert sorted(client.scan_iter("key:1?", count=7)) == [f"key:1{number}" for number in range(10)]
    cursor, first = client.scan(count=50)
    for key in first:
        client.delete(key)
    assert len(client.scan(cursor, count=50)[1]) == 7
    assert client.flushall()
    assert client.dbsize() == 0


def test_info(client: Client) -> None:
    client.set("a", "1")
    info = client.info()
    assert info["orbit_version"] == "v0.1.0"
    assert info["db0"]["keys"] == 1
    assert info["tcp_port"] == REDIS_PORT
    assert info["connected_clients"] >= 1


def test_a_pipeline_answers_in_order(client: Client) -> None:
    pipeline = client.pipeline(transaction=False)
    for number in range(1000):
        pipeline.incr("n")
        pipeline.set(f"k{number}", number)
    answers = pipeline.execute()
    assert answers[::2] == list(range(1, 1001))
    assert client.get("k999") == "999"


def test_a_transaction_is_all_or_nothing(client: Client) -> None:
    with client.pipeline() as pipeline:
        assert pipeline.set("a", "1").ping().info().get("a").execute()[::3] == [True, "1"]
        client.set("text", "x")
        with pytest.raises(redis.ResponseError, match="not an integer"):
            pipeline.set("a", "2").incr("text").execute()
        with pytest.raises(redis.ResponseError, match="unknown command 'nonsense'"):
            pipeline.set("a", "3").execute_command("NONSENSE")
            pipeline.execute()
    assert client.get("a") == "1"


def test_a_transaction_has_a_time_limit(server: Server) -> None:
    server.write_config({"saga": {"max_execution_time_seconds": 1}})
    with server.start().redis(single_connection_client=True) as client:
        client.execute_command("MULTI")
        client.execute_command("SET", "a", "1")
        time.sleep(1.1)
        with pytest.raises(redis.ResponseError, match="max_execution_time_seconds"):
            client.execute_command("EXEC")
        assert client.get("a") is None


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"PING\r\n", b"+PONG\r\n"),
        (b"\r\nset a 1\r\nGET a\n", b"+OK\r\n$1\r\n1\r\n"),
        (b"*1\r\n$4\r\nQUIT\r\n", b"+OK\r\n"),
        (b"*2\r\n$3\r\nGET\r\n$5\r\nnever\r\n", b"$-1\r\n"),
        (b"HELLO 9\r\n", b"-NOPROTO unsupported protocol version\r\n"),
        (b"AUTH x\r\n", b"-ERR Client sent AUTH, but no password is set\r\n"),
        (b"EXEC\r\n", b"-ERR EXEC without MULTI\r\n"),
        (
            b"MULTI\r\nGET\r\nSET never 1\r\nEXEC\r\nGET never\r\n",
            b"+OK\r\n-ERR wrong number of arguments for 'get' command\r\n+QUEUED\r\n"
            b"-EXECABORT Transaction discarded because of: previous errors\r\n$-1\r\n",
        ),
        (b"MULTI\r\nMULTI\r\nDISCARD\r\n", b"+OK\r\n-ERR MULTI calls can not be nested\r\n+OK\r\n"),
        (b"*1\r\n+x\r\n", b"-ERR Protocol error: expected '$', got '+'\r\n"),
        (b"*9999999\r\n", b"-ERR Protocol error: invalid multibulk length\r\n"),
        (b"*1\r\n$-2\r\n", b"-ERR Protocol error: invalid bulk length\r\n"),
        (b"PING\r\n*x\r\nPING\r\n", b"+PONG\r\n-ERR Protocol error: invalid multibulk length\r\n"),
    ],
)
def test_bytes_on_the_wire(running: Server, sent: bytes, answer: bytes) -> None:
    assert raw(running, sent) == answer


def test_requests_may_come_in_pieces() -> None:
    whole = b"*2\r\n$3\r\nGET\r\n$4\r\na\r\nb\r\nPING\r\n"
    for cut in range(len(whole)):
        buffer = bytearray(whole[:cut])
        found = list(parse(buffer))
        buffer += whole[cut:]
        assert found + list(parse(buffer)) == [[b"GET", b"a\r\nb"], [b"PING"]]
        assert not buffer


def test_an_endless_line_is_refused() -> None:
    with pytest.raises(ProtocolError, match="too big inline request"):
        list(parse(bytearray(b"x" * 70_000)))


def test_both_protocols_encode() -> None:
    assert encode(None) == b"$-1\r\n"
    assert encode(None, 3) == b"_\r\n"
    assert encode({"a": 1}) == b"*2\r\n$1\r\na\r\n:1\r\n"
    assert encode({"a": 1}, 3) == b"%1\r\n$1\r\na\r\n:1\r\n"
