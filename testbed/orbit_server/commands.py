# SPDX-License-Identifier: GPL-3.0-or-later
"""The data commands: each turns its arguments into a transaction for the store."""

from __future__ import annotations

import fnmatch
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .store import Answer, CommandError, Job

Arguments = Sequence[bytes]


@dataclass(frozen=True)
class Command:
    """One data command: how many arguments it takes, whether it writes, and what makes its transaction."""

    make: Callable[[Arguments], Job]
    least: int
    most: int
    writes: bool = False


def _get(db: sqlite3.Connection, key: bytes) -> bytes | None:
    row = db.execute("SELECT value FROM kv WHERE key = ?", (key,)).fetchone()
    return None if row is None else bytes(row[0])


def _put(db: sqlite3.Connection, key: bytes, value: bytes) -> None:
    db.execute(
        "INSERT INTO kv (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", (key, value)
    )


def _integer(text: bytes) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 2**63
    if not -(2**63) <= number < 2**63:
        raise CommandError("ERR value is not an integer or out of range")
    return number


def _get_command(arguments: Arguments) -> Job:
    return lambda db: _get(db, arguments[0])


def _set(arguments: Arguments) -> Job:
    """SET key value [NX | XX] [GET]. Expiry is not part of the contract and is refused, not ignored."""
    key, value = arguments[:2]
    options = {option.upper() for option in arguments[2:]}
    if options - {b"NX", b"XX", b"GET"} or options >= {b"NX", b"XX"}:
        raise CommandError("ERR syntax error: SET takes NX, XX and GET; keys do not expire here")

    def job(db: sqlite3.Connection) -> Answer:
        old = _get(db, key) if options else None
        wanted = not (b"NX" in options and old is not None) and not (b"XX" in options and old is None)
        if wanted:
            _put(db, key, value)
        if b"GET" in options:
            return old
        return "OK" if wanted else None

    return job


def _delete(arguments: Arguments) -> Job:
    return lambda db: sum(db.execute("DELETE FROM kv WHERE key = ?", (key,)).rowcount for key in arguments)


def _exists(arguments: Arguments) -> Job:
    return lambda db: sum(_get(db, key) is not None for key in arguments)


def _increase(key: bytes, amount: int) -> Job:
    def job(db: sqlite3.Connection) -> Answer:
        number = _integer(b"%d" % (_integer(_get(db, key) or b"0") + amount))
        _put(db, key, b"%d" % number)
        return number

    return job


def _dbsize(_: Arguments) -> Job:
    return lambda db: int(db.execute("SELECT count(*) FROM kv").fetchone()[0])


def _scan(arguments: Arguments) -> Job:
    """SCAN cursor [MATCH pattern] [COUNT n]. The cursor is the last row id: a key that stays is seen once."""
    cursor = _integer(arguments[0])
    options = {name.upper(): value for name, value in zip(arguments[1::2], arguments[2::2], strict=False)}
    if len(arguments) % 2 == 0 or options.keys() - {b"MATCH", b"COUNT"}:
        raise CommandError("ERR syntax error: SCAN takes MATCH pattern and COUNT number")
    count = _integer(options.get(b"COUNT", b"10"))
    if count < 1:
        raise CommandError("ERR syntax error: COUNT must be at least 1")
    pattern = options.get(b"MATCH", b"*").replace(b"[^", b"[!")

    def job(db: sqlite3.Connection) -> Answer:
        rows = db.execute("SELECT id, key FROM kv WHERE id > ? ORDER BY id LIMIT ?", (cursor, count)).fetchall()
        following = rows[-1][0] if len(rows) == count else 0
        return [b"%d" % following, [bytes(key) for _, key in rows if fnmatch.fnmatchcase(key, pattern)]]

    return job


def _flushall(_: Arguments) -> Job:
    def job(db: sqlite3.Connection) -> Answer:
        db.execute("DELETE FROM kv")
        return "OK"

    return job


ANY = 1_000_000
COMMANDS: dict[bytes, Command] = {
    b"GET": Command(_get_command, 1, 1),
    b"SET": Command(_set, 2, 4, writes=True),
    b"DEL": Command(_delete, 1, ANY, writes=True),
    b"EXISTS": Command(_exists, 1, ANY),
    b"INCR": Command(lambda arguments: _increase(arguments[0], 1), 1, 1, writes=True),
    # Client libraries send these two for incr() and decr().
    b"INCRBY": Command(lambda arguments: _increase(arguments[0], _integer(arguments[1])), 2, 2, writes=True),
    b"DECRBY": Command(lambda arguments: _increase(arguments[0], -_integer(arguments[1])), 2, 2, writes=True),
    b"DBSIZE": Command(_dbsize, 0, 0),
    b"SCAN": Command(_scan, 1, 5),
    b"FLUSHALL": Command(_flushall, 0, 1, writes=True),
}


def transaction(name: bytes, arguments: Arguments) -> tuple[Job, bool]:
    """The transaction of one of COMMANDS, and whether it writes. Raises CommandError for wrong arguments."""
    command = COMMANDS[name]
    if not command.least <= len(arguments) <= command.most:
        raise CommandError(f"ERR wrong number of arguments for '{name.decode().lower()}' command")
    return command.make(arguments), command.writes


def saga(jobs: Sequence[Job]) -> Job:
    """All `jobs` or none of them, as one transaction."""

    def job(db: sqlite3.Connection) -> Answer:
        db.execute("SAVEPOINT saga")
        try:
            answers = [one(db) for one in jobs]
        except CommandError as error:
            db.execute("ROLLBACK TO saga")
            raise CommandError(f"EXECABORT Transaction discarded because of: {error}") from None
        finally:
            db.execute("RELEASE saga")
        return answers

    return job
