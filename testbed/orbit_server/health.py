# SPDX-License-Identifier: GPL-3.0-or-later
"""What the server says about itself, over HTTP for probes and people and over gRPC (`grpc.health.v1.Health`)."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path

import grpc
import grpc.aio

from .config import Config
from .faults import Fault
from .store import CommandError, Store
from .web import Page

JSON = "application/json"


class Health:
    """The state of the server. It is ready when it has started, does not stop, and its database answers."""

    def __init__(self, version: str, fault: Fault) -> None:
        self.version = version
        self._fault = fault
        self._store: Store | None = None
        self.changed = asyncio.Event()  # set when the state may have changed; the next change has another one
        self.stopping = False

    def started(self, store: Store) -> None:
        """The server listens, and `store` is open."""
        self._store = store
        self._notify()

    def stop(self) -> None:
        """Not ready from now on: clients shall go elsewhere while requests are finished."""
        self.stopping = True
        self._notify()

    def _notify(self) -> None:
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()

    async def ready(self) -> bool:
        """Ask the database; no answer in two seconds is a no."""
        if self.stopping or not self._store or self._fault is Fault.UNREADY:
            return False
        with contextlib.suppress(TimeoutError):
            answer = self._store.submit(lambda db: int(db.execute("SELECT 1").fetchone()[0]))
            return not isinstance(await asyncio.wait_for(answer, 2), CommandError)
        return False

    async def page(self, path: str) -> Page | None:
        """The answer to a probe: 200 or 503 with a line of JSON, None for an unknown path."""
        if self._fault is Fault.LOST:
            return None
        match path:
            case "/health/live":
                good = True
            case "/health/startup":
                good = self._store is not None
            case "/health" | "/health/ready":
                good = await self.ready()
            case _:
                return None
        body = json.dumps({"status": "UP" if good else "DOWN", "version": self.version})
        return Page(HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE, body + "\n", JSON)


# HealthCheckResponse with its one field `status`, in protobuf's wire format.
_SERVING, _NOT_SERVING, _SERVICE_UNKNOWN = b"\x08\x01", b"\x08\x02", b"\x08\x03"


class GrpcHealth:
    """`grpc.health.v1.Health` for the server as a whole, which is the service with the empty name."""

    def __init__(self, health: Health) -> None:
        self._health = health
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            "Check": grpc.unary_unary_rpc_method_handler(self._check),
            "Watch": grpc.unary_stream_rpc_method_handler(self._watch),
        }
        service = grpc.method_handlers_generic_handler("grpc.health.v1.Health", handlers)
        self._server.add_generic_rpc_handlers((service,))

    async def start(self, address: str, config: Config) -> None:
        """Listen on `address`. Raises OSError when it is taken."""
        try:
            if config.values["tls"]["enabled"]:
                key, certificate = (Path(config.text("tls", name)).read_bytes() for name in ("key_file", "cert_file"))
                self._server.add_secure_port(address, grpc.ssl_server_credentials([(key, certificate)]))
            else:
                self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise OSError(str(error)) from None
        await self._server.start()

    async def stop(self, seconds: float) -> None:
        """Stop listening; calls that are open after `seconds` are cancelled."""
        await self._server.stop(seconds)

    async def _status(self) -> bytes:
        return _SERVING if await self._health.ready() else _NOT_SERVING

    async def _check(self, request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        if not _is_whole_server(request):
            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown service; ask for the empty name")
        return await self._status()

    async def _watch(self, request: bytes, _: grpc.aio.ServicerContext[bytes, bytes]) -> AsyncIterator[bytes]:
        known = _is_whole_server(request)
        told = b""
        while True:
            # Taken before the look at the state, so that no change falls between the look and the wait.
            changed, stopping = self._health.changed, self._health.stopping
            status = await self._status() if known else _SERVICE_UNKNOWN
            if status != told:
                yield status
                told = status
            if stopping:
                return
            await changed.wait()


def _is_whole_server(request: bytes) -> bool:
    """HealthCheckRequest has one field, `service`; the empty name is sent as nothing or as an empty string."""
    return request in (b"", b"\x0a\x00")
