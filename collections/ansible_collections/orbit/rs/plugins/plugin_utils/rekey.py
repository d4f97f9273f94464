# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Give a backup repository another password. Whenever this is killed, one of the two passwords opens it, or both do."""

from __future__ import annotations

from collections.abc import Callable

from ansible_collections.orbit.rs.plugins.plugin_utils.model import OrbitError
from ansible_collections.orbit.rs.plugins.plugin_utils.restic import Restic, ResticError


def look(old: Restic, new: Restic) -> tuple[str, str]:
    """The keys that the old password and the new one open, "" for none. Raises OrbitError when nothing can be done."""
    keys = old.key(), new.key()
    if not any(keys):
        raise OrbitError(
            f"Neither the present password nor the new one opens the backup repository {old.shown}.",
            "Correct what orbit_rs_repository_password_file, _secret or _command names.",
        )
    if keys[0] == keys[1]:
        raise OrbitError(
            f"The new password of the backup repository {old.shown} is the present one.",
            "Make a new one, and name it as orbit_rs_repository_new_password_file, _secret or _command.",
        )
    return keys


def rotate(old: Restic, new: Restic, say: Callable[[str], None]) -> list[str]:
    """Have the new password open the repository, and the old one not any more; ids of the keys that are removed.

    Keys that neither password opens are left alone. Raises OrbitError.
    """
    removing, made = look(old, new)
    if not removing:
        return []
    old.unlock()
    if not made:
        old.add_key(new.password_file)
        made = new.key()
        if not made:
            raise OrbitError(
                f"The key of the new password was added to the backup repository {old.shown}, and does not open it.",
                "The old password works as before. See what keys there are: restic key list",
            )
    say(f"the new password opens {new.shown}, with key {made[:8]}")
    removed = []
    try:
        while removing:  # more than one, when somebody has added the same password twice
            say(f"removing key {removing[:8]} of the old password, as soon as nobody writes to the repository")
            new.remove_key(removing)
            removed.append(removing)
            removing = old.key()
    except ResticError as error:
        raise OrbitError(
            f"{error.seen}\nThe old password is not removed; until then both open the repository.",
            f"{error.remedy}\nTo finish it: ansible-playbook orbit.rs.rekey",
        ) from error
    return removed
