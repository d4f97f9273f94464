# SPDX-License-Identifier: GPL-3.0-or-later
"""The database: one SQLite file in WAL mode, one thread, one commit for all transactions that wait.

A transaction is acknowledged after its commit is on the disk (`synchronous=FULL`), so kill -9 loses nothing that a
client was told is stored.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import queue
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .faults import Fault
from .metrics import Metrics

log = logging.getLogger(__name__)

FILE = "orbit.db"

# What a transaction answers, and the transaction itself: it runs inside BEGIN and COMMIT.
Answer = bytes | int | str | None | list["Answer"] | Exception
Job = Callable[[sqlite3.Connection], Answer]


class CommandError(Exception):
    """The client asked for something that cannot be done. The text is the error line it gets."""


class StoreError(Exception):
    """The database cannot be opened or copied."""


_SCHEMA = "CREATE TABLE IF NOT EXISTS kv (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, value BLOB NOT NULL)"


@dataclass(frozen=True)
class _Item:
    job: Job
    writes: bool
    future: asyncio.Future[Answer]


class Store:
    """Runs jobs in the order in which they were submitted. `submit` and `close` belong to the event loop."""

    def __init__(self, data_dir: Path, metrics: Metrics, *, fault: Fault = Fault.NONE, commit_limit: int = 20) -> None:
        """Open the database under `data_dir`; one commit carries at most `commit_limit` jobs. Raises StoreError."""
        self._metrics = metrics
        self._loses_last = fault is Fault.LOSE_WRITE
        self._commit_limit = 1 if self._loses_last else commit_limit
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        path = data_dir / FILE
        wal = path.with_name(path.name + "-wal")
        unclean = wal.exists() and wal.stat().st_size > 0
        if unclean:
            metrics.add("orbit_recovery_attempts_total")
            log.warning("%s was not closed by its last process: recovering from its log", path)
        try:
            data_dir.mkdir(parents=True, exist_ok=True)
            # Autocommit: this module says BEGIN and COMMIT itself. Only one thread at a time uses the connection.
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute(_SCHEMA)
            if fault is Fault.READ_ONLY:
                self._db.execute("PRAGMA query_only=ON")
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"{path}: cannot be opened by user {os.getuid()}: {error}") from error
        if unclean:
            metrics.add("orbit_recovery_completed_total")
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)
        self._thread.start()

    def submit(self, job: Job, *, writes: bool = False) -> asyncio.Future[Answer]:
        """Queue `job`. The future has its answer once it is committed, or a CommandError as its result."""
        future: asyncio.Future[Answer] = self._loop.create_future()
        self._queue.put(_Item(job, writes, future))
        return future

    async def close(self) -> None:
        """Finish what is queued, write the log back into the database file, close it."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._db.close()

    def _run(self) -> None:
        try:
            last = False
            while not last:
                batch = [self._queue.get()]
                while len(batch) < self._commit_limit and batch[-1] and not self._queue.empty():
                    batch.append(self._queue.get())
                last = batch[-1] is None
                if work := [item for item in batch if item]:
                    self._loop.call_soon_threadsafe(_deliver, work, self._commit(work))
        except BaseException:
            log.critical("the database thread failed", exc_info=True)
            os._exit(1)  # a server without its database must not look alive

    def _commit(self, work: list[_Item]) -> list[Answer]:
        writes = any(item.writes for item in work)
        try:
            if self._db.in_transaction and writes:  # the write that the fault lose-write held back
                self._db.execute("COMMIT")
            if not self._db.in_transaction:
                self._db.execute("BEGIN")
            answers = [self._answer(item.job) for item in work]
            if not self._loses_last:
                self._db.execute("COMMIT")
            return answers
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            if len(work) > 1:  # one transaction must not fail the others that shared its commit
                return [answer for item in work for answer in self._commit([item])]
            return [self._refuse(error)]

    def _answer(self, job: Job) -> Answer:
        try:
            return job(self._db)
        except CommandError as error:
            return error

    def _refuse(self, error: sqlite3.Error) -> CommandError:
        if getattr(error, "sqlite_errorname", "").startswith("SQLITE_READONLY"):
            return CommandError("READONLY this server does not take writes")
        self._metrics.add("orbit_recovery_attempts_total")
        try:
            self._db.execute("SELECT count(*) FROM kv").fetchone()
            self._metrics.add("orbit_recovery_completed_total")
        except sqlite3.Error:
            self._metrics.add("orbit_recovery_failed_total")
        log.error("storage: %s", error)
        return CommandError(f"ERR storage: {error}")


def _deliver(work: list[_Item], answers: list[Answer]) -> None:
    for item, answer in zip(work, answers, strict=True):
        if not item.future.done():
            item.future.set_result(answer)


def backup(data_dir: Path, target: Path) -> tuple[int, int]:
    """Copy the database to `target` while a server may be writing; returns its keys and its size in bytes.

    The copy is one moment of the database. It gets its name only when it is complete, sound and on the disk, so
    `target` is the old file or the whole new one. Raises StoreError.
    """
    source = data_dir / FILE
    part = target.with_name(f"{target.name}.part-{os.getpid()}")
    try:
        if not source.is_file():
            raise StoreError(f"{source}: no database to back up")
        with contextlib.closing(sqlite3.connect(source, timeout=5.0)) as db:
            os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            with contextlib.closing(sqlite3.connect(part)) as copy:
                db.backup(copy)
                copy.execute("PRAGMA journal_mode=DELETE")  # one file that opens anywhere, also read-only
                if (verdict := copy.execute("PRAGMA quick_check").fetchone()[0]) != "ok":
                    raise StoreError(f"{source}: the copy is damaged: {verdict}")
                keys = int(copy.execute("SELECT count(*) FROM kv").fetchone()[0])
        _sync(part)
        size = part.stat().st_size
        part.replace(target)
        _sync(target.parent)
        return keys, size
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"backup of {source} to {target}: {error}") from error
    finally:
        part.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
