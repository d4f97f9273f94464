# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backup repository of a release, out of the options of an action."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.orbit.rs.plugins.plugin_utils import backup, credentials, rebuild, report, sets
from ansible_collections.orbit.rs.plugins.plugin_utils.backup import Backup, Orders
from ansible_collections.orbit.rs.plugins.plugin_utils.cluster import Cluster
from ansible_collections.orbit.rs.plugins.plugin_utils.desired import Wish
from ansible_collections.orbit.rs.plugins.plugin_utils.helm import Helm
from ansible_collections.orbit.rs.plugins.plugin_utils.lock import Held
from ansible_collections.orbit.rs.plugins.plugin_utils.model import OrbitError, Patience, Release
from ansible_collections.orbit.rs.plugins.plugin_utils.restic import Restic


@contextlib.contextmanager
def opened(options: Mapping[str, Any], cluster: Cluster, release: Release) -> Iterator[tuple[Restic, str]]:
    """The repository, and the name of the release in it. Raises OrbitError."""
    if not options["url"]:
        raise OrbitError(
            "No backup repository is configured.",
            "Set orbit_rs_repository, such as s3:https://s3.example.com/backups, and where its password comes from.",
        )
    with contextlib.ExitStack() as stack:
        file, environment = stack.enter_context(credentials.opened(_source(options), cluster, release.namespace))
        restic = Restic(options["restic"], options["url"], file, environment)
        restic.check_version(options["version"])
        yield restic, options["name"] or f"{release.namespace}.{release.name}"


@contextlib.contextmanager
def renewed(restic: Restic, options: Mapping[str, Any], cluster: Cluster, release: Release) -> Iterator[Restic]:
    """The same repository with the new password, which has options of its own. Raises OrbitError."""
    source = dataclasses.replace(_source(options), what="new password")
    with contextlib.ExitStack() as stack:
        file, environment = stack.enter_context(credentials.opened(source, cluster, release.namespace))
        yield dataclasses.replace(restic, password_file=file, environment={**restic.environment, **environment})


def _source(options: Mapping[str, Any]) -> credentials.Source:
    return credentials.Source(
        password=options["password"],
        file=options["password_file"],
        secret=options["password_secret"],
        command=options["password_command"],
        environment={name: str(value) for name, value in options.get("environment", {}).items()},
    )


def backup_of(
    options: Mapping[str, Any],
    cluster: Cluster,
    release: Release,
    restic: Restic,
    name: str,
    say: Callable[[str], None],
) -> Backup:
    """What takes a set, out of the options of the fragments repository and backup."""
    orders = Orders(
        method=options["method"],
        parallel=options["parallel"],
        scratch=options["scratch"],
        database=options["database"],
        patience=Patience(options["rollout_timeout"], options["gate_timeout"], 0, options["lock_timeout"]),
    )
    versions = {"restic": options["repository"]["version"], "kubernetes": cluster.version()}
    return Backup(cluster, release, restic, name, versions, orders, say)


def fallback(
    options: Mapping[str, Any], cluster: Cluster, tool: Helm, release: Release, say: Callable[[str], None]
) -> Callable[[Held], str]:
    """What takes a set that the operation of a run can fall back on, under the lock of that run."""

    def take(held: Held) -> str:
        with opened(options["repository"], cluster, release) as (restic, name):
            taking = backup_of(options, cluster, release, restic, name, say)
            taken = taking.take(backup.look(cluster, tool, release), held, options["operation"])
        say(f"set {taken.set}, {report.size(taken.total)}, is what this run can fall back on")
        return taken.set

    return take


def earlier(options: Mapping[str, Any], cluster: Cluster, release: Release) -> Callable[[Path, Wish], Wish]:
    """What makes a run deploy what a backup set says, with the overrides of the run."""

    def of_set(folder: Path, inventory: Wish) -> Wish:
        with opened(options["repository"], cluster, release) as (restic, name):
            name = options["set_of"] or name
            found = sets.manifest(restic, sets.choose(backup.known_sets(restic, name)[0], options["set"]), name)
            content = rebuild.content(restic, found)
        wish = rebuild.wish(content, folder, inventory, found.replicas)
        return dataclasses.replace(wish, overrides=inventory.overrides)

    return of_set


def spared(
    options: Mapping[str, Any], cluster: Cluster, tool: Helm, release: Release, say: Callable[[str], None]
) -> bool:
    """Whether a set that is proved, and young enough, has the data of every ordinal: then ordinals may go."""
    try:
        with opened(options["repository"], cluster, release) as (restic, name):
            chosen = sets.choose(backup.known_sets(restic, name)[0], "verified")
            found = sets.manifest(restic, chosen, name)
        replicas = backup.look(cluster, tool, release).replicas
    except OrbitError as error:
        say(f"no backup set speaks for ordinals that go: {error.seen}")
        return False
    age = (cluster.now() - chosen.time).total_seconds()
    young = age <= options["removal_backup_age"] and found.replicas >= replicas
    what = f"set {chosen.id}, {report.duration(age)} old and proved, has {found.replicas} of {replicas} ordinals"
    say(f"{what}: {'they' if young else 'none of them'} may go")
    return young
