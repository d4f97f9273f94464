# SPDX-License-Identifier: GPL-3.0-or-later
"""Container image archives, written without a container engine or a registry.

The format is docker-archive: what `docker load`, `ctr images import` and `kind load image-archive` read.
Everything is reproducible: the same input gives the same bytes, so an archive can be cached by the key of its input.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

EPOCH = 1
_CREATED = "1970-01-01T00:00:01Z"
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Image:
    """One image: its tags (`name:version`), its layers (tar files, bottom first) and its configuration."""

    tags: tuple[str, ...]
    layers: tuple[Path, ...]
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    workdir: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


def architecture() -> str:
    """The processor of this machine in the words of Go, Debian and container images."""
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


def write_layer(tree: Path, out: Path, *, owner: tuple[int, int] | None = (0, 0)) -> Path:
    """Write the folder `tree` as a reproducible layer.

    `owner` is the uid and gid of every entry; None keeps those of the files. Modes, symbolic and hard links are kept.
    """

    def normal(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        if owner is not None:
            entry.uid, entry.gid = owner
        entry.uname = entry.gname = ""
        entry.mtime = EPOCH
        return entry

    part = out.with_name(out.name + ".part")
    with tarfile.open(part, "w", format=tarfile.PAX_FORMAT) as tar:
        for folder, names, files in os.walk(tree):
            names.sort()
            for name in sorted([*names, *files]):
                path = Path(folder, name)
                tar.add(path, arcname=str(path.relative_to(tree)), recursive=False, filter=normal)
    part.replace(out)
    return out


def write_archive(out: Path, images: Sequence[Image]) -> None:
    """Write one archive with all `images`. A layer that several images share is stored once."""
    digests = {layer: _sha256(layer) for image in images for layer in image.layers}
    manifest: list[dict[str, Any]] = []
    repositories: dict[str, dict[str, str]] = {}
    configs: dict[str, bytes] = {}
    for image in images:
        config = json.dumps(_config(image, [digests[layer] for layer in image.layers]), sort_keys=True).encode()
        identity = hashlib.sha256(config).hexdigest()
        configs[f"{identity}.json"] = config
        manifest.append(
            {
                "Config": f"{identity}.json",
                "RepoTags": list(image.tags),
                "Layers": [f"{digests[layer]}/layer.tar" for layer in image.layers],
            }
        )
        for tag in image.tags:
            name, _, version = tag.rpartition(":")
            repositories.setdefault(name, {})[version] = identity

    part = out.with_name(out.name + ".part")
    with tarfile.open(part, "w", format=tarfile.PAX_FORMAT) as tar:
        # kind stops at the first index it meets, and of manifest.json it reads one entry only: this one goes first.
        _add(tar, "repositories", json.dumps(repositories, sort_keys=True).encode())
        _add(tar, "manifest.json", json.dumps(manifest).encode())
        for name, data in sorted(configs.items()):
            _add(tar, name, data)
        for digest, layer in sorted({digest: layer for layer, digest in digests.items()}.items()):
            entry = _entry(f"{digest}/layer.tar", layer.stat().st_size)
            with layer.open("rb") as source:
                tar.addfile(entry, source)
    part.replace(out)


def _config(image: Image, digests: Sequence[str]) -> dict[str, Any]:
    env = [f"{name}={value}" for name, value in sorted(image.env.items())]
    return {
        "architecture": architecture(),
        "os": "linux",
        "created": _CREATED,
        "config": {
            "Entrypoint": list(image.entrypoint) or None,
            "Cmd": list(image.cmd) or None,
            "Env": env if "PATH" in image.env else [_PATH, *env],
            "User": image.user,
            "WorkingDir": image.workdir,
            # Two images of the same layers and settings would be one image with two names: the tags keep them apart.
            "Labels": {"orbit.rs/tags": ",".join(image.tags), **image.labels},
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
        "history": [{"created": _CREATED, "created_by": "orbit.rs testbed"} for _ in digests],
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def _entry(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime, entry.mode = size, EPOCH, 0o644
    return entry


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    tar.addfile(_entry(name, len(data)), io.BytesIO(data))
