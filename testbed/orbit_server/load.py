# SPDX-License-Identifier: GPL-3.0-or-later
"""Load for the server: writers that record every acknowledged write, and the check that none of them is lost."""

from __future__ import annotations

import argparse
import itertools
import secrets
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

_PAUSE = 0.05  # seconds a writer waits after a failed write
_BATCH = 500


class Load:
    """Writes unique keys while the context is open. A write that failed may or may not be stored: it is only counted.

    Each acknowledged write is a line `key value` in the file `record` before the next one is sent.
    """

    def __init__(self, host: str, port: int, record: Path, *, writers: int = 4) -> None:
        self._address = (host, port)
        self._record = record
        self._run = secrets.token_hex(4)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._write, args=(number,)) for number in range(writers)]
        self._last = time.monotonic()
        self.acknowledged = 0
        self.failed = 0
        self.longest_gap = 0.0  # seconds in which no writer got an answer

    def __enter__(self) -> Load:
        self._last = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _write(self, writer: int) -> None:
        host, port = self._address
        # No retry: each failure that a client can see is counted.
        client = redis.Redis(host, port, socket_timeout=5, retry=Retry(NoBackoff(), 0))
        with client, self._record.open("a", encoding="ascii") as record:
            for number in itertools.count():
                if self._stop.is_set():
                    return
                key, value = f"load:{self._run}:{writer}:{number}", secrets.token_hex(16)
                try:
                    client.set(key, value)
                except redis.RedisError:
                    with self._lock:
                        self.failed += 1
                    self._stop.wait(_PAUSE)
                    continue
                record.write(f"{key} {value}\n")
                record.flush()
                with self._lock:
                    now = time.monotonic()
                    self.acknowledged += 1
                    self.longest_gap = max(self.longest_gap, now - self._last)
                    self._last = now

    def __str__(self) -> str:
        return f"{self.acknowledged} acknowledged, {self.failed} failed, longest gap {self.longest_gap:.2f} s"


def read_record(record: Path) -> Iterator[tuple[str, str]]:
    """The acknowledged writes of a record file: keys and values."""
    for line in record.read_text(encoding="ascii").splitlines():
        key, _, value = line.partition(" ")
        yield key, value


def lost(host: str, port: int, record: Path) -> list[str]:
    """The keys of `record` that the server does not answer with the recorded value."""
    missing: list[str] = []
    with redis.Redis(host, port, socket_timeout=30, decode_responses=True) as client:
        for batch in itertools.batched(read_record(record), _BATCH):
            pipeline = client.pipeline(transaction=False)
            for key, _ in batch:
                pipeline.get(key)
            answers = pipeline.execute()
            missing += [key for (key, value), answer in zip(batch, answers, strict=True) if answer != value]
    return missing


def main() -> int:
    """`write` for some seconds, or `verify` what was recorded; returns 1 when a write is lost."""
    parser = argparse.ArgumentParser(prog="python -m testbed.orbit_server.load", description=__doc__)
    parser.add_argument("action", choices=("write", "verify"))
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=6379)
    parser.add_argument("--record", type=Path, required=True, metavar="FILE", help="where acknowledged writes are kept")
    parser.add_argument("--writers", type=int, default=4, metavar="N")
    parser.add_argument("--seconds", type=float, default=10, metavar="S")
    options = parser.parse_args()
    if options.action == "verify":
        missing = lost(options.host, options.port, options.record)
        print(f"{sum(1 for _ in read_record(options.record))} acknowledged writes, {len(missing)} lost")
        print("".join(f"lost: {key}\n" for key in missing[:10]), end="")
        return 1 if missing else 0
    end = time.monotonic() + options.seconds
    with Load(options.host, options.port, options.record, writers=options.writers) as load:
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 2))
            print(load, flush=True)
    print(f"end: {load}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
