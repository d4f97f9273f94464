# SPDX-License-Identifier: GPL-3.0-or-later
"""The tarball holds the product, all of it, and nothing else."""

import tarfile

import pytest

from tests.package import COLLECTION, build


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    with tarfile.open(build(tmp_path_factory.mktemp("package"))) as tarball:
        return set(tarball.getnames())


def test_nothing_is_missing(names):
    ignored = {"__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", "output"}
    expected = {
        str(path.relative_to(COLLECTION))
        for path in COLLECTION.rglob("*")
        if path.is_file() and not ignored & set(path.parts)
    }
    generated = {"galaxy.yml", "changelogs/.plugin-cache.yaml"}
    assert expected - names - generated == set()


def test_no_leftovers_are_in_it(names):
    suspects = ("__pycache__", "_cache", ".plugin-cache", "tests/output", ".pyc", ".tar.gz", ".log")
    assert [name for name in names if any(suspect in name for suspect in suspects)] == []
