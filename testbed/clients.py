# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients of a release, inside the cluster: one that writes to each ordinal all the time, and one of the Service.

Stands alone: the tests run its source in a pod of the server's image. `write HEADLESS COUNT` goes on until it is ended,
`verify HEADLESS COUNT` reads back what was acknowledged and prints what came of all, as JSON.
"""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import threading
import time
from pathlib import Path

FOLDER = Path("/tmp")
SECONDS = 5  # until an answer is missing
PAUSE = 0.03  # between two writes to one ordinal
BATCH = 200


def command(*words: str) -> bytes:
    """A command in RESP."""
    return b"".join([b"*%d\r\n" % len(words), *(b"$%d\r\n%s\r\n" % (len(word), word.encode()) for word in words)])


def write(host: str, ordinal: int) -> None:
    """Write keys one after the other, and note each that is acknowledged before the next."""
    number = 0
    with (FOLDER / f"acknowledged-{ordinal}").open("a") as noted:
        while True:
            with contextlib.suppress(OSError), socket.create_connection((host, 6379), SECONDS) as connection:
                answers = connection.makefile("rb")
                while True:
                    number += 1
                    connection.sendall(command("SET", f"clients:{ordinal}:{number}", f"value {number}"))
                    if answers.readline() != b"+OK\r\n":
                        break
                    noted.write(f"{number}\n")
                    noted.flush()
                    time.sleep(PAUSE)
            time.sleep(0.2)


def knock(host: str) -> None:
    """Connect anew ten times a second, as clients of the Service do, and note what came of it."""
    good = bad = 0
    while True:
        try:
            with socket.create_connection((host, 6379), SECONDS) as connection:
                connection.sendall(command("PING"))
                ok = connection.recv(16) == b"+PONG\r\n"
        except OSError:
            ok = False
        good, bad = good + ok, bad + (not ok)
        (FOLDER / "service.new").write_text(json.dumps({"good": good, "bad": bad}))
        (FOLDER / "service.new").rename(FOLDER / "service")
        time.sleep(0.1)


def verify(host: str, ordinal: int) -> dict[str, object]:
    """Read every acknowledged key of an ordinal back."""
    numbers = (FOLDER / f"acknowledged-{ordinal}").read_text().split()
    lost = []
    with socket.create_connection((host, 6379), 30) as connection:
        answers = connection.makefile("rb")
        for start in range(0, len(numbers), BATCH):
            batch = numbers[start : start + BATCH]
            connection.sendall(b"".join(command("GET", f"clients:{ordinal}:{number}") for number in batch))
            for number in batch:
                size = int(answers.readline()[1:])
                value = answers.read(size + 2)[:-2].decode() if size >= 0 else None
                if value != f"value {number}":
                    lost.append(number)
    return {"acknowledged": len(numbers), "lost": lost}


def main() -> None:
    """Run what was asked for."""
    what, headless, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    name = headless.removesuffix("-headless")
    hosts = {ordinal: f"{name}-{ordinal}.{headless}" for ordinal in range(count)}
    if what == "verify":
        found: dict[str, object] = {str(ordinal): verify(host, ordinal) for ordinal, host in hosts.items()}
        found["service"] = json.loads((FOLDER / "service").read_text())
        print(json.dumps(found))
        return
    for ordinal, host in hosts.items():
        threading.Thread(target=write, args=(host, ordinal), daemon=True).start()
    knock(name)


if __name__ == "__main__":
    main()
