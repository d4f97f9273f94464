# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP probes, the gRPC health protocol and the metrics, all with stock clients."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
import redis

from testbed.orbit_server.tests.process import PORTS, Server, check, watch
from testbed.orbit_server.tests.test_config import make_certificate

SERVING, NOT_SERVING, SERVICE_UNKNOWN = b"\x08\x01", b"\x08\x02", b"\x08\x03"


@pytest.fixture(scope="module")
def running(make_server: Callable[[], Server]) -> Server:
    return make_server().start()


@pytest.fixture
def channel(running: Server) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"{running.host}:{PORTS['grpc_port']}") as channel:
        yield channel


def test_probes(running: Server) -> None:
    for path in ("/health", "/health/live", "/health/ready", "/health/startup", "/health?verbose=1"):
        status, body = running.get(path)
        assert (status, json.loads(body)) == (200, {"status": "UP", "version": "v0.1.0"}), path
    assert running.get("/nowhere")[0] == 404
    assert running.get("/health", PORTS["metrics_port"])[0] == 404


def test_grpc_check(channel: grpc.Channel) -> None:
    assert check(channel) == SERVING
    assert check(channel, b"\x0a\x00") == SERVING
    with pytest.raises(grpc.RpcError) as caught:
        check(channel, b"\x0a\x03abc")
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


def test_grpc_watch_of_an_unknown_service(channel: grpc.Channel) -> None:
    assert next(watch(channel, b"\x0a\x03abc")) == SERVICE_UNKNOWN


def test_grpc_watch_sees_the_start_and_the_end(server: Server) -> None:
    server.start("slow-start:1", wait="/health/live")
    with grpc.insecure_channel(f"{server.host}:{PORTS['grpc_port']}") as channel:
        states = watch(channel)
        assert next(states) == NOT_SERVING
        assert next(states) == SERVING
        assert server.process
        server.process.terminate()
        assert next(states) == NOT_SERVING
        assert list(states) == []
    assert server.wait() == 0


def test_grpc_over_tls(server: Server, tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, "orbit-server")
    server.write_config({"tls": {"enabled": True, "cert_file": str(certificate), "key_file": str(key)}})
    server.start()
    credentials = grpc.ssl_channel_credentials(certificate.read_bytes())
    options = [("grpc.ssl_target_name_override", "orbit-server")]
    with grpc.secure_channel(f"{server.host}:{PORTS['grpc_port']}", credentials, options) as channel:
        assert check(channel) == SERVING


def test_metrics_move_with_traffic(running: Server) -> None:
    before = running.metrics()
    with running.redis() as client:
        client.set("text", "x")
        for _ in range(9):
            client.get("text")
        with pytest.raises(redis.ResponseError):
            client.incr("text")
        with client.pipeline() as pipeline:
            pipeline.set("a", 1).set("b", 2).execute()
            with pytest.raises(redis.ResponseError):
                pipeline.set("a", 3).incr("text").execute()
        client.execute_command("MULTI")
        client.execute_command("DISCARD")
        with running.redis(single_connection_client=True) as other:
            other.execute_command("MULTI")
            during = running.metrics()
    after = running.metrics()
    moved = {
        name: after[name] - before[name] for name in after if name.startswith("orbit_") and name.endswith("_total")
    }
    moved.pop("orbit_commands_total")
    assert moved == {
        "orbit_transactions_total": 13,
        "orbit_transactions_completed_total": 11,
        "orbit_transactions_failed_total": 2,
        "orbit_sagas_total": 4,
        "orbit_sagas_completed_total": 1,
        "orbit_sagas_compensated_total": 3,
        "orbit_recovery_attempts_total": 0,
        "orbit_recovery_completed_total": 0,
        "orbit_recovery_failed_total": 0,
    }
    assert during["orbit_sagas_active"] == 1
    assert during["orbit_connections_active"] == 2
    assert after["orbit_sagas_active"] == after["orbit_transactions_active"] == 0
    assert after["orbit_build_info"] == 1
    assert 10 << 20 < after["process_resident_memory_bytes"] < 80 << 20
