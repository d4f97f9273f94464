# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of orbit-server."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from . import faults
from .config import DEFAULT_FILE, Config, ConfigError, load
from .faults import Fault, Switch
from .store import StoreError, backup

VERSION = os.environ.get("ORBIT_VERSION", "v0.0.0-dev")

log = logging.getLogger(__package__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code: 0 good, 1 refused or failed, 2 wrong usage."""
    parser = argparse.ArgumentParser(prog="orbit-server", description="Stand-in of the orbit-rs database server.")
    parser.add_argument("--config", type=Path, metavar="FILE", help=f"TOML file (default: {DEFAULT_FILE})")
    parser.add_argument("--validate", action="store_true", help="check the config and exit: 0 right, 1 wrong")
    parser.add_argument("--backup", type=Path, metavar="FILE", help="write a consistent copy of the database and exit")
    parser.add_argument("--version", action="version", version=f"orbit-server {VERSION}")
    options = parser.parse_args(arguments)
    try:
        switch = faults.parse(os.environ)
        file: Path | None = options.config or (DEFAULT_FILE if DEFAULT_FILE.is_file() else None)
        config = load(file) if file else Config()
        if switch.fault is Fault.REFUSE_CONFIG:
            raise ConfigError([f"{file or 'defaults'}:1: server: this version does not accept this section"])
        if options.validate:
            print(f"{file or 'defaults'}: configuration is valid")
            return 0
        if options.backup:
            keys, size = backup(config.data_dir, options.backup)
            print(f"{options.backup}: {keys} keys, {size} bytes")
            return 0
        return serve(config, switch)
    except ConfigError as error:
        for problem in error.problems:
            print(f"configuration error: {problem}", file=sys.stderr)
    except (OSError, StoreError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
    return 1


def serve(config: Config, switch: Switch) -> int:
    """Run the server until it is told to stop."""
    set_up_log(config.text("logging", "level"))
    if switch.fault is not Fault.NONE:
        log.warning("%s is on: %s %g", faults.VARIABLE, switch.fault, switch.number)
    if switch.fault is Fault.CRASH:
        log.critical("panicked at startup: the fault %s is on", switch.fault)
        return 1
    # Here and not above: gRPC takes half of the start, and no other command needs it.
    import asyncio

    from .server import run

    return asyncio.run(run(config, VERSION, switch))


def set_up_log(level: str) -> None:
    """One line per event on stderr, in UTC, with the levels of the config file."""
    logging.addLevelName(logging.DEBUG - 5, "TRACE")
    logging.addLevelName(logging.WARNING, "WARN")
    logging.Formatter.converter = time.gmtime
    logging.basicConfig(
        level=level.upper(), format="%(asctime)s.%(msecs)03dZ %(levelname)5s %(message)s", datefmt="%Y-%m-%dT%H:%M:%S"
    )


if __name__ == "__main__":
    sys.exit(main())
