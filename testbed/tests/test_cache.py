# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from testbed import cache
from testbed.steps import Problem

HOLD = """
import sys, time
from testbed import cache
with cache.lock("busy", shared=sys.argv[1] == "shared"):
    print("held", flush=True)
    time.sleep(60)
"""


def hold(mode: str) -> subprocess.Popen[str]:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, mode], stdout=subprocess.PIPE, text=True)
    assert holder.stdout and holder.stdout.readline() == "held\n"
    return holder


def test_the_key_depends_on_content_only() -> None:
    assert cache.key({"a": 1, "b": [2]}) == cache.key({"b": [2], "a": 1})
    assert cache.key({"a": 1}) != cache.key({"a": 2})


def test_an_artifact_is_built_once_per_recipe(private_cache: Path) -> None:
    built: list[Path] = []
    first = cache.artifact("thing", 1, built.append)
    assert cache.artifact("thing", 1, built.append) == first
    assert cache.artifact("thing", 2, built.append) != first
    assert len(built) == 2


def test_a_build_that_breaks_leaves_nothing_that_counts(private_cache: Path) -> None:
    def breaks(out: Path) -> None:
        (out / "half").write_text("half")
        raise Problem("seen", "cause", "remedy")

    with pytest.raises(Problem):
        cache.artifact("thing", 1, breaks)
    folder = cache.artifact("thing", 1, lambda out: (out / "whole").touch())
    assert [path.name for path in folder.iterdir()] == ["whole"]


def test_a_tool_is_replaced_by_its_newer_version(private_cache: Path) -> None:
    for version in ("v1", "v2"):
        binary = cache.root() / "artifacts" / version / "tool"
        binary.parent.mkdir(parents=True)
        binary.write_text(version)
        cache.link_tool(binary)
    assert (cache.tools() / "tool").read_text() == "v2"
    assert [path.name for path in cache.tools().iterdir()] == ["tool"]


def test_a_lock_excludes_and_dies_with_its_holder(private_cache: Path) -> None:
    holder = hold("exclusive")
    done: list[bool] = []
    cache.unless_used("busy", lambda: done.append(True))
    assert not done
    holder.kill()
    holder.wait()
    with cache.lock("busy"):
        pass
    cache.unless_used("busy", lambda: done.append(True))
    assert done


def test_those_who_share_a_lock_keep_out_only_the_one_who_does_not(private_cache: Path) -> None:
    holder = hold("shared")
    try:
        with cache.lock("busy", shared=True):
            pass
        done: list[bool] = []
        cache.unless_used("busy", lambda: done.append(True))
        assert not done
    finally:
        holder.kill()
        holder.wait()


def test_a_full_disk_is_named_before_the_work_starts(tmp_path: Path) -> None:
    cache.require_space(tmp_path, 0, "nothing")
    with pytest.raises(Problem) as caught:
        cache.require_space(tmp_path, 1e9, "a Go build")
    assert "GiB free" in caught.value.seen
    assert "a Go build" in caught.value.cause
    assert "XDG_CACHE_HOME" in caught.value.remedy
