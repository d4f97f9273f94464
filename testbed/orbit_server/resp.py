# SPDX-License-Identifier: GPL-3.0-or-later
"""The Redis protocol: RESP2, and RESP3 for clients that ask for it with HELLO 3, as stock clients do today."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import ssl
import time
from collections.abc import Iterator

from . import commands
from .config import Config
from .faults import Fault
from .metrics import Metrics, resident_bytes
from .store import Answer, CommandError, Job, Store

log = logging.getLogger(__name__)

# What a connection command answers; HELLO answers with a map.
Reply = Answer | dict[str, Answer]

_MAX_ARGUMENTS = 100_000
_MAX_BYTES = 64 * 1024 * 1024


class ProtocolError(Exception):
    """What came is not RESP; the connection ends."""


def parse(buffer: bytearray) -> Iterator[list[bytes]]:
    """Take the complete requests out of `buffer`, and leave the rest of it for the next read."""
    position = 0
    try:
        while position < len(buffer):
            request, position = _request(buffer, position)
            if request:
                yield request
    except EOFError:
        if len(buffer) - position > _MAX_BYTES:
            raise ProtocolError("request is too big") from None
    finally:
        del buffer[:position]


def _request(buffer: bytearray, position: int) -> tuple[list[bytes], int]:
    line, position = _line(buffer, position)
    if not line.startswith(b"*"):
        return line.split(), position  # an inline command, as a person types it
    request = []
    for _ in range(_length(line, _MAX_ARGUMENTS, "multibulk")):
        line, position = _line(buffer, position)
        if not line.startswith(b"$"):
            raise ProtocolError(f"expected '$', got '{line[:1].decode(errors='replace')}'")
        end = position + _length(line, _MAX_BYTES, "bulk")
        if len(buffer) < end + 2:
            raise EOFError
        request.append(bytes(buffer[position:end]))
        position = end + 2
    return request, position


def _line(buffer: bytearray, position: int) -> tuple[bytes, int]:
    end = buffer.find(b"\n", position)
    if end < 0:
        if len(buffer) - position > 64 * 1024:
            raise ProtocolError("too big inline request")
        raise EOFError
    return bytes(buffer[position:end]).rstrip(b"\r"), end + 1


def _length(line: bytes, most: int, kind: str) -> int:
    if not line[1:].isdigit() or int(line[1:]) > most:
        raise ProtocolError(f"invalid {kind} length")
    return int(line[1:])


def encode(answer: Reply, protocol: int = 2) -> bytes:
    """An answer on the wire: str is a status line, bytes are data, an exception is an error."""
    match answer:
        case None:
            return b"_\r\n" if protocol == 3 else b"$-1\r\n"
        case int():
            return b":%d\r\n" % answer
        case str():
            return b"+%s\r\n" % answer.encode()
        case bytes():
            return b"$%d\r\n%s\r\n" % (len(answer), answer)
        case list():
            return b"*%d\r\n%s" % (len(answer), b"".join(encode(item, protocol) for item in answer))
        case dict():
            items = b"".join(encode(part, protocol) for key, value in answer.items() for part in (key.encode(), value))
            return (b"%%%d\r\n" % len(answer) if protocol == 3 else b"*%d\r\n" % (2 * len(answer))) + items
        case Exception():
            return b"-%s\r\n" % str(answer).replace("\n", " ").encode()


class RespServer:
    """Serves the Redis protocol over `store`."""

    def __init__(self, store: Store, config: Config, metrics: Metrics, fault: Fault) -> None:
        self.store = store
        self.config = config
        self.metrics = metrics
        self.fault = fault
        self._server: asyncio.Server | None = None
        self._sessions: dict[asyncio.Task[None], Session] = {}

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        """Listen. Raises OSError when the port is taken."""
        self._server = await asyncio.start_server(self._serve, host, port, ssl=tls)

    async def stop(self, seconds: float) -> None:
        """Answer what was received, take nothing new; after `seconds` the rest is cut off."""
        if self._server:
            self._server.close()
        for session in self._sessions.values():
            session.finish()
        if self._sessions:
            _, late = await asyncio.wait(self._sessions, timeout=seconds)
            for task in late:
                task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._sessions[task] = session = Session(self, reader, writer)
        self.metrics.add("orbit_connections_active")
        try:
            await session.run()
        except (ConnectionError, asyncio.CancelledError):
            log.debug("connection lost")
        finally:
            del self._sessions[task]
            self.metrics.add("orbit_connections_active", -1)
            session.compensate()
            writer.close()

    def info(self, db: sqlite3.Connection) -> Answer:
        """The answer to INFO: sections of `name:value` lines."""
        keys = db.execute("SELECT count(*) FROM kv").fetchone()[0]
        lines = [
            "# Server",
            "redis_version:7.0.0",  # of the commands that it understands
            f"orbit_version:{self.metrics.version}",
            "redis_mode:standalone",
            f"tcp_port:{self.config.number('protocols', 'redis_port')}",
            f"uptime_in_seconds:{int(time.time() - self.metrics.started)}",
            "# Clients",
            f"connected_clients:{len(self._sessions)}",
            "# Memory",
            f"used_memory_rss:{resident_bytes()}",
            "# Stats",
            f"total_commands_processed:{int(self.metrics.values['orbit_commands_total'])}",
            "# Keyspace",
            f"db0:keys={keys},expires=0,avg_ttl=0",
        ]
        return "\r\n".join([*lines, ""]).encode()


class Session:
    """One client connection: its protocol version and, after MULTI, its open saga."""

    def __init__(self, server: RespServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._server = server
        self._metrics = server.metrics
        self._reader = reader
        self._writer = writer
        self._protocol = 2
        self._open = True
        self._saga: list[tuple[Job, bool]] | None = None
        self._saga_broken = False
        self._saga_end = 0.0

    def finish(self) -> None:
        """Read nothing more: the session ends when it has answered what it has received."""
        self._writer.transport.pause_reading()  # type: ignore[attr-defined]
        self._reader.feed_eof()

    async def run(self) -> None:
        """Answer requests until the client or the server ends the session."""
        buffer = bytearray()
        while self._open and (data := await self._reader.read(64 * 1024)):
            buffer += data
            replies: list[Reply | asyncio.Future[Answer]] = []
            try:
                # All of a pipeline is queued before the first answer is awaited: it shares its commits.
                replies.extend(map(self._execute, parse(buffer)))
            except ProtocolError as error:
                replies.append(CommandError(f"ERR Protocol error: {error}"))
                self._open = False
            for reply in replies:
                self._writer.write(encode(await reply if isinstance(reply, asyncio.Future) else reply, self._protocol))
            await self._writer.drain()

    def compensate(self) -> None:
        """Undo the open saga, if there is one: nothing of it has reached the store."""
        if self._saga is not None:
            self._saga = None
            self._metrics.add("orbit_sagas_active", -1)
            self._metrics.add("orbit_sagas_compensated_total")

    def _execute(self, request: list[bytes]) -> Reply | asyncio.Future[Answer]:
        self._metrics.add("orbit_commands_total")
        name, arguments = request[0].upper(), request[1:]
        try:
            if name in (b"MULTI", b"EXEC", b"DISCARD"):
                return self._saga_command(name)
            if name in commands.COMMANDS:
                job, writes = commands.transaction(name, arguments)
                if name == b"GET" and self._server.fault is Fault.WRONG_DATA:
                    job = _spoil(job)
                if self._saga is None:
                    return self._submit(job, writes=writes)
            elif name == b"INFO":
                job, writes = self._server.info, False
                if self._saga is None:
                    return self._server.store.submit(job)
            else:
                reply = self._connection_command(name, arguments)
                if self._saga is None or isinstance(reply, dict):
                    return reply
                job, writes = _constant(reply), False
        except CommandError as error:
            self._saga_broken = True
            return error
        self._saga.append((job, writes))
        return "QUEUED"

    def _submit(self, job: Job, *, writes: bool) -> asyncio.Future[Answer]:
        def done(future: asyncio.Future[Answer]) -> None:
            failed = future.cancelled() or isinstance(future.result(), CommandError)
            self._metrics.add("orbit_transactions_active", -1)
            self._metrics.add(f"orbit_transactions_{'failed' if failed else 'completed'}_total")

        self._metrics.add("orbit_transactions_total")
        self._metrics.add("orbit_transactions_active")
        future = self._server.store.submit(job, writes=writes)
        future.add_done_callback(done)
        return future

    def _saga_command(self, name: bytes) -> Reply | asyncio.Future[Answer]:
        if name == b"MULTI":
            if self._saga is not None:
                raise CommandError("ERR MULTI calls can not be nested")
            self._saga, self._saga_broken = [], False
            self._saga_end = time.monotonic() + self._server.config.number("saga", "max_execution_time_seconds")
            self._metrics.add("orbit_sagas_total")
            self._metrics.add("orbit_sagas_active")
            return "OK"
        if self._saga is None:
            raise CommandError(f"ERR {name.decode()} without MULTI")
        if name == b"DISCARD":
            self.compensate()
            return "OK"
        if self._saga_broken or time.monotonic() > self._saga_end:
            reason = "previous errors" if self._saga_broken else "saga.max_execution_time_seconds"
            self.compensate()
            raise CommandError(f"EXECABORT Transaction discarded because of: {reason}")
        steps, self._saga = self._saga, None

        def done(future: asyncio.Future[Answer]) -> None:
            failed = future.cancelled() or isinstance(future.result(), CommandError)
            self._metrics.add("orbit_sagas_active", -1)
            self._metrics.add(f"orbit_sagas_{'compensated' if failed else 'completed'}_total")

        future = self._submit(commands.saga([job for job, _ in steps]), writes=any(writes for _, writes in steps))
        future.add_done_callback(done)
        return future

    def _connection_command(self, name: bytes, arguments: list[bytes]) -> Reply:
        words = [argument.upper() for argument in arguments]
        match name, words:
            case b"PING", []:
                return "PONG"
            case ((b"PING" | b"ECHO"), [_]):
                return arguments[0]
            case b"QUIT", []:
                self._open = False
                return "OK"
            case b"SELECT", [b"0"]:
                return "OK"
            case b"SELECT", [_]:
                raise CommandError("ERR DB index is out of range")
            case b"CLIENT", [b"SETINFO" | b"SETNAME", *_]:
                return "OK"
            case b"COMMAND", _:
                return []
            case b"HELLO", [] | [b"2" | b"3"]:
                self._protocol = int(words[0]) if words else self._protocol
                return {"server": b"orbit-server", "version": b"7.0.0", "proto": self._protocol, "mode": b"standalone"}
            case b"HELLO", [version, *_] if version not in (b"2", b"3"):
                raise CommandError("NOPROTO unsupported protocol version")
            case ((b"AUTH" | b"HELLO"), _):
                raise CommandError("ERR Client sent AUTH, but no password is set")
        raise CommandError(f"ERR unknown command '{name.decode(errors='replace').lower()}'")


def _constant(answer: Answer) -> Job:
    return lambda _: answer


def _spoil(job: Job) -> Job:
    """The fault wrong-data: something is answered, but not what was stored."""

    def spoiled(db: sqlite3.Connection) -> Answer:
        answer = job(db)
        return answer[::-1] + b"?" if isinstance(answer, bytes) else answer

    return spoiled
