"""Copying entities between layers, and whole projects between backends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from copick_core.keys import FILE_KINDS

if TYPE_CHECKING:
    from zarr.abc.store import Store

    from copick_core.keys import Key
    from copick_core.layers import Layer

#: Objects of a zarr store that are copied at once.
_IN_FLIGHT = 16


def copy_content(source: Layer, key: Key, target: Layer, target_key: Key) -> None:
    """Copy the content of one entity, whole or not at all.

    Args:
        source: Layer to copy from.
        key: The entity there.
        target: Writable layer to copy to.
        target_key: What the copy is to be.

    Raises:
        ConflictError: The target exists (picks and meshes).
        NotFoundError: There is nothing to copy.
    """
    if key.kind in FILE_KINDS:
        target.write(target_key, source.read(key), if_revision=None)
        return
    with target.replace_zarr(target_key) as store:
        copy_store(source.zarr(key), store)


def copy_store(source: Store, target: Store) -> None:
    """Copy every object of a zarr store, metadata last: bytes stay as they are."""
    import asyncio

    from zarr.core.buffer import default_buffer_prototype
    from zarr.core.sync import sync

    async def copy() -> None:
        prototype = default_buffer_prototype()
        free = asyncio.Semaphore(_IN_FLIGHT)

        async def one(name: str) -> None:
            async with free:
                data = await source.get(name, prototype)
                if data is not None:
                    await target.set(name, data)

        names = [name async for name in source.list()]
        metadata = [n for n in names if n.rpartition("/")[2] in _METADATA]
        await asyncio.gather(*(one(n) for n in names if n not in set(metadata)))
        for name in sorted(metadata, key=lambda n: (-n.count("/"), n)):
            await one(name)

    sync(copy())


#: Names of zarr's metadata objects, formats 2 and 3.
_METADATA = frozenset({".zarray", ".zgroup", ".zattrs", ".zmetadata", "zarr.json"})
