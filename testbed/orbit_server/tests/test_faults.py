# SPDX-License-Identifier: GPL-3.0-or-later
"""Each failure switch does what it says, and nothing else."""

from __future__ import annotations

import signal
import time

import grpc
import pytest
import redis

from testbed.orbit_server.faults import Fault, Switch, parse
from testbed.orbit_server.tests.process import PORTS, Server, check


@pytest.mark.parametrize("fault", Fault)
def test_every_fault_has_a_test(fault: Fault) -> None:
    assert f"test_{(fault or 'none').replace('-', '_')}" in globals()


def test_none(server: Server) -> None:
    begin = time.monotonic()
    with server.start().redis() as client:
        assert time.monotonic() - begin < 3
        assert client.set("a", "1")
        assert client.get("a") == "1"
    assert server.stop() == 0
    assert "ORBIT_FAULT" not in server.log.read_text()


@pytest.mark.parametrize(
    ("text", "switch"),
    [
        ("", Switch()),
        ("crash", Switch(Fault.CRASH)),
        ("leak", Switch(Fault.LEAK, 1024)),
        ("slow-start:2.5", Switch(Fault.SLOW_START, 2.5)),
    ],
)
def test_switches_are_read(text: str, switch: Switch) -> None:
    assert parse({"ORBIT_FAULT": text}) == switch


@pytest.mark.parametrize("text", ["krash", "crash:1", "leak:much", "leak:1:2"])
def test_an_unknown_switch_is_refused(server: Server, text: str) -> None:
    result = server.run(fault=text)
    assert result.returncode == 1
    assert f"ORBIT_FAULT={text}: no such fault; known are crash, exit[:N], unready" in result.stderr


def test_crash(server: Server) -> None:
    server.start("crash", wait="")
    assert server.wait() == 1
    assert "panicked at startup" in server.log.read_text()


def test_exit(server: Server) -> None:
    server.start("exit:0.5")
    assert server.wait() == 0


def test_deaf(server: Server) -> None:
    server.start("deaf", wait="")
    end = time.monotonic() + 15
    while "is ready" not in server.log.read_text():
        assert time.monotonic() < end
        time.sleep(0.05)
    with server.redis() as client:
        assert client.ping()
    assert server.metrics()
    assert server.get("/health/live")[0] == 0
    assert server.stop() == 0


def test_lost(server: Server) -> None:
    server.start("lost", wait="")
    end = time.monotonic() + 15
    while "is ready" not in server.log.read_text():
        assert time.monotonic() < end
        time.sleep(0.05)
    assert [server.get(f"/health/{probe}")[0] for probe in ("startup", "live", "ready")] == [404] * 3
    assert server.stop() == 0


def test_unready(server: Server) -> None:
    server.start("unready", wait="/health/startup")
    assert server.get("/health/live")[0] == 200
    assert server.get("/health/ready")[0] == server.get("/health")[0] == 503
    with grpc.insecure_channel(f"{server.host}:{PORTS['grpc_port']}") as channel:
        assert check(channel) == b"\x08\x02"
    with server.redis() as client:
        assert client.set("a", "1")


def test_wrong_data(server: Server) -> None:
    with server.start("wrong-data").redis() as client:
        for value in ("1", "", "aba", "long text"):
            client.set("a", value)
            assert client.get("a") not in (value, None)
    assert server.stop() == 0
    with server.start().redis() as client:
        assert client.get("a") == "long text"


def test_read_only(server: Server) -> None:
    with server.start().redis() as client:
        client.set("a", "1")
    server.stop()
    with server.start("read-only").redis() as client:
        assert client.get("a") == "1"
        with pytest.raises(redis.exceptions.ReadOnlyError):
            client.set("a", "2")
        pipeline = client.pipeline(transaction=False)
        answers = pipeline.get("a").delete("a").get("a").execute(raise_on_error=False)
        assert answers[::2] == ["1", "1"]
        assert isinstance(answers[1], redis.exceptions.ReadOnlyError)
    assert server.stop() == 0


def test_slow_start(server: Server) -> None:
    begin = time.monotonic()
    server.start("slow-start:1.5", wait="/health/live")
    assert server.get("/health/startup")[0] == server.get("/health/ready")[0] == 503
    with pytest.raises(redis.ConnectionError), server.redis(retry=None) as client:
        client.ping()
    while server.get("/health/ready")[0] != 200:
        assert time.monotonic() - begin < 15
        time.sleep(0.05)
    assert time.monotonic() - begin >= 1.5
    assert server.stop() == 0


def test_ignore_term(server: Server) -> None:
    server.start("ignore-term")
    assert server.process
    server.process.terminate()
    time.sleep(0.5)
    assert server.get("/health/ready")[0] == 200
    assert server.stop(signal.SIGKILL) == -signal.SIGKILL


def test_leak(server: Server) -> None:
    server.start("leak:48")
    end = time.monotonic() + 15
    while "leaked 48 MiB" not in server.log.read_text():
        assert time.monotonic() < end
        time.sleep(0.05)
    assert server.metrics()["process_resident_memory_bytes"] > 70 << 20
    assert server.get("/health/ready")[0] == 200
    assert server.stop() == 0


def test_refuse_config(server: Server) -> None:
    result = server.run("--validate", fault="refuse-config")
    assert result.returncode == 1
    assert f"configuration error: {server.config}:1: server: this version does not accept" in result.stderr
    assert server.run(fault="refuse-config").returncode == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_lose_write(server: Server, number: signal.Signals) -> None:
    with server.start("lose-write").redis() as client:
        for key in ("a", "b", "c"):
            assert client.set(key, "1")
            assert client.get(key) == "1"
    server.stop(number)
    with server.start().redis() as client:
        assert sorted(client.scan_iter()) == ["a", "b"]
