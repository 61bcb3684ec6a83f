"""Decoded chunks kept in memory, for regions that are read again and again around one place.

A region of 64 voxels along each edge touches up to eight chunks; decoding them takes far longer than copying the region,
above all from the 256³ chunks of copick 1.x. With ``chunk_cache_bytes`` in its configuration a project keeps the chunks that
were used last.

What this process writes is never answered from old chunks: every write notes a change of its entity
(`copick_core.layers.revisions.note_change`), whatever handle or project it goes through. What another process writes is seen
after ``refresh()``, which makes handles open their arrays anew: chunks belong to an open array.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from copick_core.layers.revisions import changes
from copick_core.volumes.chunk_parts import assemble, pieces, read

if TYPE_CHECKING:
    from zarr import Array

    from copick_core.tree.keys import Key
    from copick_core.volumes.indexing import AxisIndex

_READERS = 8
"""Chunks that are fetched and decoded at the same time."""

Name = tuple[int, tuple[int, ...]]
"""Of a chunk: which open array, and its index in it."""


class ChunkCache:
    """The decoded chunks that were used last; for several threads at once.

    Args:
        capacity: Most bytes of chunks to keep.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        #: In order of their last use: array (kept, so that nothing else gets its id), changes it was read after, voxels.
        self._chunks: OrderedDict[Name, tuple[Array[Any], object, npt.NDArray[Any]]] = OrderedDict()
        self._lock = threading.Lock()
        self.size = 0

    def read(self, array: Array[Any], region: Sequence[AxisIndex], key: Key) -> npt.NDArray[Any]:
        """Read a region, from chunks that are kept as far as possible.

        Regions that take more than the whole cache are read directly and change nothing in it.

        Args:
            array: An open level.
            region: One entry for each axis: an integer from 0 on, or a slice with three numbers and a positive step.
            key: The entity that the array belongs to.

        Returns:
            A new array, without the axes that have an integer.
        """
        found = pieces(region, array.chunks)
        if len(found) * math.prod(array.chunks) * array.dtype.itemsize > self._capacity:
            return read(array, region)
        version = changes(key)  # before anything is read: what is read while somebody writes is not believed later
        unknown = sum(not self._knows(array, index, version) for index, _, _ in found)

        def part(index: tuple[int, ...], box: tuple[slice, ...], into: npt.NDArray[Any]) -> None:
            into[...] = self._chunk(array, index, version)[box]

        return assemble(
            found,
            region,
            array.dtype,
            part,
            threads=min(_READERS, unknown),
        )

    def _knows(self, array: Array[Any], index: tuple[int, ...], version: object) -> bool:
        kept = self._chunks.get((id(array), index))
        return kept is not None and kept[1] == version

    def _chunk(self, array: Array[Any], index: tuple[int, ...], version: object) -> npt.NDArray[Any]:
        name = (id(array), index)
        with self._lock:
            kept = self._chunks.get(name)
            if kept is not None and kept[1] == version:
                self._chunks.move_to_end(name)
                return kept[2]
        box = [slice(i * c, min(i * c + c, n), 1) for i, c, n in zip(index, array.chunks, array.shape, strict=True)]
        voxels = read(array, box)
        with self._lock:
            before = self._chunks.pop(name, None)
            self._chunks[name] = (array, version, voxels)
            self.size += voxels.nbytes - (0 if before is None else before[2].nbytes)
            while self.size > self._capacity:
                _, (_, _, dropped) = self._chunks.popitem(last=False)
                self.size -= dropped.nbytes
        return voxels
