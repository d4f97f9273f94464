# SPDX-License-Identifier: GPL-3.0-or-later
"""The image archive. That it runs is proved on the cluster."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.orbit_server import image
from testbed.steps import Problem


@pytest.fixture(scope="module")
def archive() -> Iterator[tarfile.TarFile]:
    with tarfile.open(image.build(["v0.1.0", "v0.2.0-crash"])) as tar:
        yield tar


def read_json(archive: tarfile.TarFile, name: str) -> list[dict[str, list[str]]]:
    file = archive.extractfile(name)
    assert file
    return json.load(file)  # type: ignore[no-any-return]


def test_versions_share_their_layers(archive: tarfile.TarFile) -> None:
    good, bad = read_json(archive, "manifest.json")
    assert (good["RepoTags"], bad["RepoTags"]) == (
        ["orbit-rs/orbit-server:v0.1.0"],
        ["orbit-rs/orbit-server:v0.2.0-crash"],
    )
    assert good["Layers"] == bad["Layers"]
    assert sum(name.endswith("layer.tar") for name in archive.getnames()) == 3


def test_the_code_layer_has_the_server_compiled(archive: tarfile.TarFile) -> None:
    code = archive.extractfile(read_json(archive, "manifest.json")[0]["Layers"][-1])
    with tarfile.open(fileobj=code) as layer:
        modules = [Path(name).stem for name in layer.getnames() if name.endswith(".py")]
        compiled = [entry for entry in layer.getmembers() if entry.name.endswith(".pyc")]
        assert sorted(modules) == sorted(Path(entry.name).name.partition(".")[0] for entry in compiled)
        file = layer.extractfile(compiled[0])
        assert file
        assert file.read(8)[4] == 1, "must not be checked against the time of the source"
        assert layer.getmember("app/orbit-server").mode == 0o755
    folder = Path(image.__file__).parent
    assert {path.stem for path in folder.glob("*.py")} - set(modules) == {"image", "load"}, "a module is not shipped"


def test_an_unknown_fault_is_no_image() -> None:
    with pytest.raises(Problem, match="no image v0"):
        image.build(["v0.2.0-krash"])
