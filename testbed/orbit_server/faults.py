# SPDX-License-Identifier: GPL-3.0-or-later
"""The failure switches: `ORBIT_FAULT=<name>` or `ORBIT_FAULT=<name>:<number>` makes this server bad in one way.

An image tag `v0.2.0-<name>` is version v0.2.0 with that switch on.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

VARIABLE = "ORBIT_FAULT"


class Fault(enum.StrEnum):
    """What the server does wrong. The number, where one is named, has the default in brackets."""

    NONE = ""
    CRASH = "crash"  # exits with 1 at start
    EXIT = "exit"  # serves, then exits with 0; number: after how many seconds [1]
    UNREADY = "unready"  # alive and serving, but never ready
    DEAF = "deaf"  # serves, but nothing listens on the port of its probes
    LOST = "lost"  # serves, but answers 404 to every probe
    WRONG_DATA = "wrong-data"  # ready, but GET answers another value than was stored
    READ_ONLY = "read-only"  # ready, but refuses every write
    SLOW_START = "slow-start"  # starts like any other, later; number: seconds [30]
    IGNORE_TERM = "ignore-term"  # goes on serving after SIGTERM
    LEAK = "leak"  # takes memory until its limit ends it; number: it stops by itself at so many MiB [1024]
    REFUSE_CONFIG = "refuse-config"  # refuses a config that is right
    LOSE_WRITE = "lose-write"  # acknowledges a write before it is stored: the last one is gone after the next start


_NUMBERS = {Fault.EXIT: 1.0, Fault.SLOW_START: 30.0, Fault.LEAK: 1024.0}


@dataclass(frozen=True)
class Switch:
    """The fault that is on, and its number (0 where it takes none)."""

    fault: Fault = Fault.NONE
    number: float = 0.0


def parse(environment: Mapping[str, str]) -> Switch:
    """Read the switch from `environment`. Raises ValueError with the known names."""
    text = environment.get(VARIABLE, "")
    name, _, number = text.partition(":")
    try:
        fault = Fault(name)
        if number and fault not in _NUMBERS:
            raise ValueError
        return Switch(fault, float(number) if number else _NUMBERS.get(fault, 0.0))
    except ValueError:
        known = ", ".join(f"{fault}[:N]" if fault in _NUMBERS else fault for fault in Fault if fault)
        raise ValueError(f"{VARIABLE}={text}: no such fault; known are {known}") from None
