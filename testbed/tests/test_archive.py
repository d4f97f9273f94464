# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

from testbed.archive import Image, write_archive, write_layer


def tree(folder: Path) -> Path:
    (folder / "bin").mkdir(parents=True)
    (folder / "bin/program").write_bytes(b"#!/bin/sh\n")
    (folder / "bin/program").chmod(0o4755)
    (folder / "bin/alias").symlink_to("program")
    (folder / "bin/twin").hardlink_to(folder / "bin/program")
    return folder


def members(archive: Path) -> dict[str, Any]:
    with tarfile.open(archive) as tar:
        return {entry.name: tar.extractfile(entry).read() for entry in tar if entry.isfile()}  # type: ignore[union-attr]


def test_a_layer_keeps_modes_and_links_and_sets_the_owner(tmp_path: Path) -> None:
    layer = write_layer(tree(tmp_path / "tree"), tmp_path / "layer.tar", owner=(1001, 1002))
    with tarfile.open(layer) as tar:
        entries = {entry.name: entry for entry in tar}
    assert set(entries) == {"bin", "bin/program", "bin/alias", "bin/twin"}
    assert {(entry.uid, entry.gid, entry.mtime) for entry in entries.values()} == {(1001, 1002, 1)}
    assert entries["bin/alias"].linkname == "program"
    files = [entries["bin/program"], entries["bin/twin"]]
    assert {entry.mode for entry in files} == {0o4755}
    assert sorted(entry.islnk() for entry in files) == [False, True]


def test_the_same_tree_gives_the_same_bytes_wherever_and_whenever_it_was_made(tmp_path: Path) -> None:
    one = write_layer(tree(tmp_path / "one"), tmp_path / "one.tar")
    two = write_layer(tree(tmp_path / "two"), tmp_path / "two.tar")
    assert one.read_bytes() == two.read_bytes()


def test_a_changed_file_gives_other_bytes(tmp_path: Path) -> None:
    one = write_layer(tree(tmp_path / "one"), tmp_path / "one.tar")
    (tree(tmp_path / "two") / "bin/program").write_bytes(b"#!/bin/sx\n")
    assert one.read_bytes() != write_layer(tmp_path / "two", tmp_path / "two.tar").read_bytes()


def test_an_archive_names_every_image_and_stores_a_shared_layer_once(tmp_path: Path) -> None:
    base = write_layer(tree(tmp_path / "base"), tmp_path / "base.tar")
    (tmp_path / "top").mkdir()
    (tmp_path / "top/file").write_text("top")
    top = write_layer(tmp_path / "top", tmp_path / "top.tar")
    archive = tmp_path / "images.tar"
    plain = Image(("host/plain:v1", "host/plain:v2"), (base,))
    full = Image(("full:v1",), (base, top), ("/a",), ("b",), {"X": "1"}, "1001", "/app", {"l": "m"})
    write_archive(archive, [plain, full])

    found = members(archive)
    layers = [name for name in found if name.endswith("layer.tar")]
    assert len(layers) == 2
    # kind reads the first index only, and of manifest.json only the first entry.
    assert next(iter(found)) == "repositories"
    repositories = json.loads(found["repositories"])
    assert {name: sorted(tags) for name, tags in repositories.items()} == {"host/plain": ["v1", "v2"], "full": ["v1"]}

    manifest = json.loads(found["manifest.json"])
    assert [entry["RepoTags"] for entry in manifest] == [["host/plain:v1", "host/plain:v2"], ["full:v1"]]
    config = json.loads(found[manifest[1]["Config"]])
    settings = config["config"]
    assert (settings["Entrypoint"], settings["Cmd"], settings["User"]) == (["/a"], ["b"], "1001")
    assert (settings["WorkingDir"], settings["Labels"]["l"]) == ("/app", "m")
    assert "X=1" in settings["Env"] and any(entry.startswith("PATH=") for entry in settings["Env"])
    digests = [f"sha256:{hashlib.sha256(found[name]).hexdigest()}" for name in manifest[1]["Layers"]]
    assert config["rootfs"]["diff_ids"] == digests


def test_versions_of_the_same_content_are_different_images(tmp_path: Path) -> None:
    layer = write_layer(tree(tmp_path / "tree"), tmp_path / "layer.tar")
    write_archive(tmp_path / "images.tar", [Image((f"app:v{number}",), (layer,)) for number in (1, 2)])
    manifest = json.loads(members(tmp_path / "images.tar")["manifest.json"])
    assert len({entry["Config"] for entry in manifest}) == 2
