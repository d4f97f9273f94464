# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of a database that is written to: each must be sound, and hold what was acknowledged by then.

Stands alone: the tests run its source in a pod of the server, as `COUNT SEED COMMAND...`, where COMMAND FILE writes a
copy. What came of it is printed as JSON. Each writer goes round and round on keys of its own, with values of any size,
so that a copy shows by itself after which write it was made: no earlier one is missing, no later one is there.
"""

from __future__ import annotations

import json
import random
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

WRITERS = 3
KEYS = 400  # of each writer
LARGEST = 3000  # bytes of a value; a page of the database has 4096
SECONDS = 30  # until an answer is missing


class Writer(threading.Thread):
    """Writes one value after the other; `acknowledged` of them are."""

    def __init__(self, name: str, seed: str) -> None:
        super().__init__(daemon=True)
        self.key = f"copies:{time.time_ns()}:{name}:"
        self.acknowledged = 0
        self._random = random.Random(f"{seed} {name}")

    def run(self) -> None:
        """Go on until the process ends."""
        with socket.create_connection(("127.0.0.1", 6379), SECONDS) as connection:
            answers = connection.makefile("rb")
            while True:
                number = self.acknowledged + 1
                key = f"{self.key}{number % KEYS}".encode()
                value = b"%d " % number + self._random.randbytes(self._random.randrange(LARGEST))
                words = [b"SET", key, value]
                connection.sendall(b"*3\r\n" + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words))
                answer = answers.readline()
                if answer != b"+OK\r\n":
                    raise OSError(f"the server answers {answer!r}")
                self.acknowledged = number

    def wrong(self, values: dict[str, int], before: int, after: int) -> str:
        """What is wrong with a copy that was begun and ended when so many writes were acknowledged; "" for nothing."""
        last = max(values.values(), default=0)
        if not before <= last <= after + 1:
            return f"{self.key} ends with write {last}, not with one of {before} to {after + 1}"
        wanted = {f"{self.key}{number % KEYS}": number for number in range(max(1, last - KEYS + 1), last + 1)}
        return "" if values == wanted else f"{self.key} is not as it was after write {last}"


def look(path: Path, writers: list[Writer], before: list[int], after: list[int]) -> list[str]:
    """What is wrong with a copy."""
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        said = [row[0] for row in db.execute("PRAGMA integrity_check")]
        for writer, *moments in zip(writers, before, after, strict=True):
            keys = (writer.key.encode(), writer.key.encode() + b"~")
            rows = db.execute("SELECT key, value FROM kv WHERE key BETWEEN ? AND ?", keys)
            values = {bytes(key).decode(): int(bytes(value).partition(b" ")[0]) for key, value in rows}
            said.append(writer.wrong(values, *moments))
    except sqlite3.Error as error:
        return [str(error)]
    finally:
        db.close()
    return [text for text in said if text not in ("ok", "")]


def main() -> None:
    """Write, make copies at moments that the seed decides, look at each, and print what was seen."""
    count, seed, command = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
    moments = random.Random(seed)
    writers = [Writer(str(number), seed) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    started = time.monotonic()
    bad: dict[int, list[str]] = {}
    size = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "copy.db")
        for number in range(count):
            time.sleep(moments.random() * 0.1)
            if not all(writer.is_alive() for writer in writers):
                sys.exit("a writer has failed")
            before = [writer.acknowledged for writer in writers]
            done = subprocess.run([*command, str(path)], capture_output=True, text=True, check=False)
            after = [writer.acknowledged for writer in writers]
            wrong = [done.stderr] if done.returncode else look(path, writers, before, after)
            size = path.stat().st_size if path.exists() else 0
            path.unlink(missing_ok=True)
            if wrong:
                bad[number] = wrong
    writes = sum(writer.acknowledged for writer in writers)
    seconds = round(time.monotonic() - started, 1)
    print(json.dumps({"copies": count, "bad": bad, "writes": writes, "bytes": size, "seconds": seconds}))


if __name__ == "__main__":
    main()
