# SPDX-License-Identifier: GPL-3.0-or-later
"""The server's TOML file: read strictly, every mistake reported with its line and key."""

from __future__ import annotations

import difflib
import re
import ssl
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

DEFAULT_FILE = Path("/tmp/orbit-server.toml")  # the path of the deployment guide; optional when not named

Value = str | int | bool


@dataclass(frozen=True)
class Key:
    """What one key may hold: its default (which gives the type), and a range or the allowed words."""

    default: Value
    low: int = 0
    high: int = 0
    words: tuple[str, ...] = ()


def _port(default: int, low: int = 1) -> Key:
    return Key(default, low, 65535)


LEVELS = ("trace", "debug", "info", "warn", "error")
SCHEMA: Mapping[str, Mapping[str, Key]] = {
    "server": {
        "bind": Key("0.0.0.0"),
        "grpc_port": _port(50051),
        "http_port": _port(8080),
        "metrics_port": _port(9090),
        "data_dir": Key("/app/data"),
    },
    # 0 = off. The stand-in speaks Redis only; the other ports are checked and stay closed.
    "protocols": {
        "redis_port": _port(6379, 0),
        "postgres_port": _port(5432, 0),
        "mysql_port": _port(3306, 0),
        "cql_port": _port(9042, 0),
        "cypher_port": _port(7687, 0),
        "aql_port": _port(8529, 0),
    },
    "logging": {"level": Key("info", words=LEVELS)},
    # How many transactions one commit may carry.
    "transactions": {"max_connections": Key(20, 1, 10_000)},
    # After this time a MULTI is compensated: its EXEC is refused.
    "saga": {"max_execution_time_seconds": Key(3600, 1, 7 * 24 * 3600)},
    # Checked only: the stand-in has one thread for the network and one for the database.
    "performance": {"worker_threads": Key(4, 1, 1024), "max_blocking_threads": Key(512, 1, 1_000_000)},
    # For gRPC and Redis; probes and metrics stay plain.
    "tls": {
        "enabled": Key(default=False),
        "cert_file": Key("/app/certs/tls.crt"),
        "key_file": Key("/app/certs/tls.key"),
    },
}


def _defaults() -> dict[str, dict[str, Value]]:
    return {section: {name: key.default for name, key in keys.items()} for section, keys in SCHEMA.items()}


class ConfigError(Exception):
    """The file is wrong. `problems` has one sentence per mistake, each with file, line and key."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Config:
    """The settings in force: those of the file over the defaults, by section and key."""

    values: Mapping[str, Mapping[str, Value]] = field(default_factory=_defaults)

    def text(self, section: str, key: str) -> str:
        """A setting that is text."""
        return str(self.values[section][key])

    def number(self, section: str, key: str) -> int:
        """A setting that is a number."""
        return int(self.values[section][key])

    @property
    def data_dir(self) -> Path:
        """Where the database lies."""
        return Path(self.text("server", "data_dir"))

    def tls_context(self) -> ssl.SSLContext | None:
        """The certificate as a server context, None when TLS is off. Raises OSError when it cannot be loaded."""
        if not self.values["tls"]["enabled"]:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.text("tls", "cert_file"), self.text("tls", "key_file"))
        return context


def load(path: Path) -> Config:
    """Read and check `path`. Raises ConfigError with all mistakes at once."""
    try:
        text = path.read_text(encoding="utf-8")
        document = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: cannot be read: {error}"]) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"{path}: not TOML: {error}"]) from None

    lines = _lines(text)
    problems: list[str] = []

    def wrong(section: str, key: str, what: str) -> None:
        number = lines.get((section, key)) or lines.get((section, ""))
        problems.append(f"{path}:{f'{number}:' if number else ''} {f'{section}.{key}' if key else section}: {what}")

    values = _defaults()
    for section, found in document.items():
        if section not in SCHEMA:
            wrong(section, "", f"unknown section{_nearest(section, SCHEMA)}")
        elif not isinstance(found, dict):
            wrong(section, "", "a section is wanted, not a value")
        else:
            for name, value in found.items():
                if name not in SCHEMA[section]:
                    wrong(section, name, f"unknown key{_nearest(name, SCHEMA[section])}")
                elif problem := _check(SCHEMA[section][name], value):
                    wrong(section, name, problem)
                else:
                    values[section][name] = value
    config = Config(values)
    if not problems:
        for section, key, problem in _check_together(config):
            wrong(section, key, problem)
    if problems:
        raise ConfigError(problems)
    return config


def _check(key: Key, value: Value) -> str:
    if type(value) is not type(key.default):
        names = {str: "text", int: "a number", bool: "true or false"}
        return f"{value!r} is not {names[type(key.default)]}"
    if key.words and value not in key.words:
        return f"{value!r} is not one of {', '.join(key.words)}"
    if key.high and isinstance(value, int) and not key.low <= value <= key.high:
        return f"{value} is not in {key.low}..{key.high}"
    return "" if value != "" else "must not be empty"


def _check_together(config: Config) -> list[tuple[str, str, str]]:
    """What only the whole file shows: two listeners on one port, a certificate that cannot be loaded."""
    problems: list[tuple[str, str, str]] = []
    taken: dict[int, str] = {}
    for section in ("server", "protocols"):
        for name, value in config.values[section].items():
            if name.endswith("_port") and value:
                if other := taken.get(int(value)):
                    problems.append((section, name, f"port {value} is already used by {other}"))
                taken[int(value)] = f"{section}.{name}"
    for name in ("cert_file", "key_file") if config.values["tls"]["enabled"] else ():
        file = Path(config.text("tls", name))
        if not file.is_file():
            problems.append(("tls", name, f"TLS is enabled and {file} does not exist"))
    if not problems:
        try:
            config.tls_context()
        except OSError as error:
            problems.append(("tls", "cert_file", f"certificate and key cannot be loaded: {error}"))
    return problems


def _lines(text: str) -> dict[tuple[str, str], int]:
    """The line of each section and key; tomllib does not tell."""
    lines: dict[tuple[str, str], int] = {}
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[+\s*([^\]]+?)\s*\]", line):
            section = header[1].strip("\"'")
            lines.setdefault((section, ""), number)
        elif entry := re.match(r"\s*([\w.\"'-]+)\s*=", line):
            name = entry[1].replace('"', "").replace("'", "")
            above, _, key = f"{section}.{name}".strip(".").partition(".")
            lines.setdefault((above, key), number)
            lines.setdefault((above, ""), number)
    return lines


def _nearest(name: str, known: Mapping[str, object]) -> str:
    found = difflib.get_close_matches(name, known, 1)
    return f", did you mean {found[0]}?" if found else f", known are {', '.join(known)}"
