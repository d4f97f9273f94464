# SPDX-License-Identifier: GPL-3.0-or-later
"""The server as a real process, with a loopback address of its own so that tests can run side by side."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import grpc
import redis
from prometheus_client.parser import text_string_to_metric_families

REPOSITORY = Path(__file__).parents[3]
PORTS = {"grpc_port": 21051, "http_port": 21080, "metrics_port": 21090}
REDIS_PORT = 21379

_numbers = itertools.count(1)


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "testbed.orbit_server", *map(str, arguments)]


def environment(fault: str = "") -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(REPOSITORY), "ORBIT_VERSION": "v0.1.0", "ORBIT_FAULT": fault}


def check(channel: grpc.Channel, request: bytes = b"") -> bytes:
    """`grpc.health.v1.Health/Check`, in bytes."""
    method: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/grpc.health.v1.Health/Check")
    return method(request, timeout=10)


def watch(channel: grpc.Channel, request: bytes = b"") -> Iterator[bytes]:
    """`grpc.health.v1.Health/Watch`, in bytes."""
    method: grpc.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream("/grpc.health.v1.Health/Watch")
    return iter(method(request, timeout=10, wait_for_ready=True))


class Server:
    """One server under `folder`: `start` it, `stop` it, start it again on the same data."""

    def __init__(self, folder: Path) -> None:
        self.host = f"127.{os.getpid() >> 8 & 255}.{os.getpid() & 255}.{next(_numbers)}"
        self.data_dir = folder / "data"
        self.config = folder / "orbit-server.toml"
        self.log = folder / "server.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.write_config({})

    def write_config(self, settings: Mapping[str, Mapping[str, object]]) -> None:
        """Write the config file: `settings` over what a test needs."""
        sections: dict[str, dict[str, object]] = {
            "server": {"bind": self.host, "data_dir": str(self.data_dir), **PORTS},
            "protocols": {"redis_port": REDIS_PORT},
        }
        for section, values in settings.items():
            sections.setdefault(section, {}).update(values)
        text = ""
        for section, values in sections.items():
            text += f"[{section}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())
        self.config.write_text(text)

    def start(self, fault: str = "", *, wait: str = "/health/ready") -> Server:
        """Start the process and wait until the path `wait` answers 200 (empty: do not wait)."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command("--config", self.config), cwd=REPOSITORY, env=environment(fault), stdout=log, stderr=log
            )
        end = time.monotonic() + 20
        while wait and self.get(wait)[0] != 200:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.02)
        return self

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        assert self.process
        self.process.send_signal(number)
        return self.wait()

    def wait(self, seconds: float = 20) -> int:
        assert self.process
        return self.process.wait(seconds)

    def run(self, *arguments: str | Path, fault: str = "") -> subprocess.CompletedProcess[str]:
        """Run another orbit-server command with the same config."""
        words = command("--config", self.config, *arguments)
        return subprocess.run(
            words, cwd=REPOSITORY, env=environment(fault), capture_output=True, text=True, timeout=20, check=False
        )

    def get(self, path: str, port: int = PORTS["http_port"]) -> tuple[int, str]:
        """Status and body of an HTTP answer; status 0 when nobody listens."""
        try:
            with urllib.request.urlopen(f"http://{self.host}:{port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def redis(self, **options: object) -> redis.Redis:
        """A stock client."""
        return redis.Redis(self.host, REDIS_PORT, decode_responses=True, **options)  # type: ignore[arg-type]

    def metrics(self) -> dict[str, float]:
        """The series of /metrics as a Prometheus parser reads them."""
        families = text_string_to_metric_families(self.get("/metrics", PORTS["metrics_port"])[1])
        return {sample.name: sample.value for family in families for sample in family.samples}
