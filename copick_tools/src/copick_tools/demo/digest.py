"""Fingerprints that show whether anything in a place has changed."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, NamedTuple

from copick_core.tree.keys import FILE_KINDS, ROOT, VOLUME_KINDS, Key, Kind, child_kinds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from copick_core.layers import Layer
    from copick_core.tree.keys import ParentKey


class Digest(NamedTuple):
    """A SHA-256 over names and contents, and how much it covers."""

    sha256: str
    files: int
    size: int

    def __str__(self) -> str:
        return f"{self.sha256} ({self.files} files, {self.size / 1e6:.1f} MB)"


def folder_digest(folder: str) -> Digest:
    """Digests every file and folder below a folder, hidden ones too, with the plain means of the operating system."""
    return _digest(_folder_items(folder))


def layer_digest(layer: Layer) -> Digest:
    """Digests every entity of a layer: for places that are not folders."""
    return _digest(_layer_items(layer, None, ROOT))


def _digest(items: Iterator[tuple[str, bytes]]) -> Digest:
    total, files, size = hashlib.sha256(), 0, 0
    for name, data in items:
        total.update(name.encode("utf-8", "surrogateescape") + b"\0" + hashlib.sha256(data).digest())
        files += not name.endswith("/")
        size += len(data)
    return Digest(total.hexdigest(), files, size)


def _folder_items(folder: str) -> Iterator[tuple[str, bytes]]:
    for path, folders, names in os.walk(folder):
        folders.sort()
        relative = os.path.relpath(path, folder)
        yield relative + "/", b""
        for name in sorted(names):
            with open(os.path.join(path, name), "rb") as file:
                yield os.path.join(relative, name), file.read()


def _layer_items(layer: Layer, kind: Kind | None, parent: ParentKey) -> Iterator[tuple[str, bytes]]:
    for below in child_kinds(kind):
        for key in sorted(layer.list(below, parent), key=str):
            yield from _entity_items(layer, key)
            yield from _layer_items(layer, below, key)  # type: ignore[arg-type]


def _entity_items(layer: Layer, key: Key) -> Iterator[tuple[str, bytes]]:
    if key.kind in FILE_KINDS:
        yield str(key), layer.read(key)
    elif key.kind in VOLUME_KINDS:
        for name, data in sorted(_store_contents(layer, key).items()):
            yield f"{key}/{name}", data
    else:
        yield f"{key}/", b""


def _store_contents(layer: Layer, key: Key) -> dict[str, bytes]:
    from zarr.core.buffer import default_buffer_prototype
    from zarr.core.sync import sync

    store = layer.zarr(key)

    async def contents() -> dict[str, bytes]:
        found = {}
        async for name in store.list():
            data = await store.get(name, default_buffer_prototype())
            found[name] = b"" if data is None else data.to_bytes()
        return found

    return sync(contents())
