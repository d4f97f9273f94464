# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verify a backup set: its manifest against the snapshots, and every file of it, read back from the repository."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from ansible_collections.orbit.rs.plugins.plugin_utils import backup, report, sets
from ansible_collections.orbit.rs.plugins.plugin_utils.cluster import parallel
from ansible_collections.orbit.rs.plugins.plugin_utils.model import OrbitError
from ansible_collections.orbit.rs.plugins.plugin_utils.restic import Restic, ResticError, Snapshot
from ansible_collections.orbit.rs.plugins.plugin_utils.sets import Manifest
from ansible_collections.orbit.rs.plugins.plugin_utils.tarstream import Broken, Parser


def checked(restic: Restic, snapshot: str, parser: Parser) -> Iterator[bytes]:
    """The archive of a snapshot, read by the parser on its way. Raises ResticError and Broken, in the end at last."""
    for block in restic.dump(snapshot, sets.DATA):
        parser.feed(block)
        yield block
    parser.close()


def whole(restic: Restic, found: Manifest, snapshots: Sequence[Snapshot], say: Callable[[str], None]) -> list[str]:
    """What is wrong with a set; every file is read and hashed again."""
    wrong = sets.faults(found, snapshots)
    there = {snapshot.id for snapshot in snapshots}

    def read(ordinal: int) -> list[str]:
        part, parser, started = found.parts[ordinal], Parser(), time.monotonic()
        try:
            for dummy in checked(restic, part.snapshot, parser):
                pass
        except ResticError as error:
            return [f"ordinal {ordinal} cannot be read: {error.seen}"]
        except Broken as error:
            return [f"ordinal {ordinal}: {error}"]
        spent = time.monotonic() - started
        what = backup.content(part)
        say(f"ordinal {ordinal}: {what}, read in {report.duration(spent)}")
        return [f"ordinal {ordinal}: {text}" for text in sets.difference(part.files, parser.files)]

    readable = [ordinal for ordinal, part in sorted(found.parts.items()) if part.snapshot in there]
    wrong += [text for texts in parallel(read, readable) for text in texts]
    if found.objects in there:
        try:
            restic.read(found.objects, sets.OBJECTS)
        except ResticError as error:
            wrong.append(f"the objects cannot be read: {error.seen}")
    return wrong


def partial(restic: Restic, found: Manifest, snapshots: Sequence[Snapshot], subset: str) -> list[str]:
    """What is wrong with a set as far as its manifest tells, and with a part of all data in the repository."""
    wrong = sets.faults(found, snapshots)
    try:
        restic.check(subset)
    except ResticError as error:
        wrong.append(error.seen)
    return wrong


def failure(found: Manifest, wrong: Sequence[str]) -> OrbitError:
    """The error that names all faults."""
    rows = "\n".join(f"  {text}" for text in wrong)
    return OrbitError(
        f"Set {found.set} is not good:\n{rows}",
        "Take a new one now: ansible-playbook orbit.rs.backup\n"
        "Restore from another set; all of them: ansible-playbook orbit.rs.sets",
    )
