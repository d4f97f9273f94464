# SPDX-License-Identifier: GPL-3.0-or-later
"""A small HTTP server for probes and metrics: GET and HEAD, one request per connection."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus


@dataclass(frozen=True)
class Page:
    """What is answered."""

    status: HTTPStatus
    body: str
    content_type: str = "text/plain; charset=utf-8"


Handler = Callable[[str], Awaitable[Page | None]]

_HEAD_SECONDS = 10


async def start(handler: Handler, host: str, port: int) -> asyncio.Server:
    """Serve what `handler` says to a path; None is 404."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A client that goes away or sends no whole request gets no answer.
        with contextlib.suppress(ConnectionError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _HEAD_SECONDS)
            method, _, rest = head.decode("latin-1").partition(" ")
            page = await _page(method, rest.split(" ")[0].partition("?")[0], handler)
            body = page.body.encode()
            writer.write(
                f"HTTP/1.1 {page.status.value} {page.status.phrase}\r\n"
                f"Content-Type: {page.content_type}\r\n"
                f"Content-Length: {len(body)}\r\n"
                "Connection: close\r\n\r\n".encode()
                + (b"" if method == "HEAD" else body)
            )
            await writer.drain()
        writer.close()

    return await asyncio.start_server(serve, host, port)


async def _page(method: str, path: str, handler: Handler) -> Page:
    if method not in ("GET", "HEAD"):
        return Page(HTTPStatus.METHOD_NOT_ALLOWED, "GET or HEAD\n")
    return await handler(path) or Page(HTTPStatus.NOT_FOUND, f"{path}: not found\n")
