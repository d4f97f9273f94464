# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of the server: listen, open the database, be ready, and on SIGTERM finish and leave."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from http import HTTPStatus

from . import web
from .config import Config
from .faults import Fault, Switch
from .health import GrpcHealth, Health
from .metrics import CONTENT_TYPE, Metrics
from .resp import RespServer
from .store import Store

log = logging.getLogger(__name__)

_FINISH_SECONDS = 10.0
_LEAK_STEP_MIB = 8


async def run(config: Config, version: str, switch: Switch) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code. Raises OSError (a port is taken) and StoreError."""
    host = config.text("server", "bind")
    metrics = Metrics(version)
    health = Health(version, switch.fault)
    grpc_health = GrpcHealth(health)
    stop = asyncio.Event()
    _handle_signals(stop, switch.fault)

    async def metrics_page(path: str) -> web.Page | None:
        return web.Page(HTTPStatus.OK, metrics.render(), CONTENT_TYPE) if path == "/metrics" else None

    # Left from the bottom up, whether the server was told to stop or could not start.
    async with contextlib.AsyncExitStack() as running:
        # The health endpoints come first: they tell what the rest is doing.
        for port, handler in (("http_port", health.page), ("metrics_port", metrics_page)):
            if port == "http_port" and switch.fault is Fault.DEAF:
                continue
            listener = await web.start(handler, host, config.number("server", port))
            running.callback(listener.close)
        running.push_async_callback(grpc_health.stop, 1.0)
        await grpc_health.start(f"{host}:{config.number('server', 'grpc_port')}", config)
        if switch.fault is Fault.SLOW_START:
            log.info("starting takes %g s", switch.number)
            await _wait(stop, switch.number)

        limit = config.number("transactions", "max_connections")
        store = Store(config.data_dir, metrics, fault=switch.fault, commit_limit=limit)
        running.push_async_callback(store.close)
        resp = RespServer(store, config, metrics, switch.fault)
        running.push_async_callback(resp.stop, _FINISH_SECONDS)
        if port_number := config.number("protocols", "redis_port"):
            await resp.start(host, port_number, config.tls_context())
        health.started(store)
        running.callback(health.stop)
        log.info("orbit-server %s is ready on %s, data in %s", version, host, config.data_dir)

        if switch.fault is Fault.LEAK:
            await _leak(stop, int(switch.number))
        await _wait(stop, switch.number if switch.fault is Fault.EXIT else None)
        log.info("stopping: finishing requests")
    log.info("stopped")
    return 0


def _handle_signals(stop: asyncio.Event, fault: Fault) -> None:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, stop.set)
    if fault is Fault.IGNORE_TERM:
        loop.add_signal_handler(signal.SIGTERM, log.warning, "SIGTERM ignored")
    else:
        loop.add_signal_handler(signal.SIGTERM, stop.set)


async def _wait(stop: asyncio.Event, seconds: float | None) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return


async def _leak(stop: asyncio.Event, mib: int) -> None:
    """Take memory, up to `mib` MiB at 80 MiB a second, and touch all of it."""
    leaked: list[bytes] = []
    while len(leaked) * _LEAK_STEP_MIB < mib and not stop.is_set():
        leaked.append(b"x" * (_LEAK_STEP_MIB << 20))
        await asyncio.sleep(0.1)
    log.warning("leaked %d MiB", len(leaked) * _LEAK_STEP_MIB)
    await stop.wait()
