"""Regions put together from parts of chunks, of which hardly more is read and decoded than the region covers.

Blosc compresses a chunk in blocks, of 512 KiB by default, and says where each begins. zarr decodes whole chunks; a region of
64 voxels along each edge covers a quarter of the blocks of a 256³ chunk, or fewer. Such blocks, with a header and offsets of
their own, are again something that Blosc decodes
(https://github.com/Blosc/c-blosc/blob/main/README_CHUNK_FORMAT.rst). Arrays that are stored in any other way are read by zarr.
"""

from __future__ import annotations

import itertools
import math
import struct
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, cast, runtime_checkable

import numpy as np
import numpy.typing as npt

from copick_core.volumes.workers import cores

if TYPE_CHECKING:
    from zarr import Array
    from zarr.abc.store import Store
    from zarr.storage import LocalStore

    from copick_core.volumes.indexing import AxisIndex

Piece = tuple[tuple[int, ...], tuple[slice, ...], tuple[slice, ...]]
"""What a region and a chunk have in common: index of the chunk, where it is in the chunk, and where in the region."""

Part = Callable[[tuple[int, ...], tuple[slice, ...], npt.NDArray[Any]], None]
"""Puts voxels of a chunk, by its index and where they are in it, into an array."""

Fetch = Callable[[int, int], npt.NDArray[np.uint8]]
"""Gives the bytes of a stored chunk from one position to another; fewer if it ends before."""

#: Chunks that are asked for at the same time where each is a request.
_REQUESTS = 16

#: What is decoded at a time, or one block if that is more. Buffers of more than some MiB are new memory each time, which takes
#: several times as long to get as to fill.
_SLAB_BYTES = 2 * 2**20

#: Of a Blosc buffer: versions, flags, size of an item; bytes of the content, of one block of it, and of the whole buffer.
_HEADER = struct.Struct("<4sIII")
_FLAGS, _PLAIN_COPY = 2, 0x02
_OFFSET = np.dtype("<i4")


def read(array: Array[Any], region: Sequence[AxisIndex]) -> npt.NDArray[Any]:
    """Read a region of an array.

    Args:
        array: An open level.
        region: One entry for each axis: an integer from 0 on, or a slice with three numbers and a positive step.

    Returns:
        A new array, without the axes that have an integer.

    Raises:
        ValueError: A chunk is not what the array's metadata say.
        RuntimeError: Blosc cannot decode a chunk.
    """
    decompress = _decompressor(array)
    if decompress is None:
        return np.asarray(array[tuple(region)], array.dtype)  # of single voxels zarr forgets the byte order
    store = array.store
    prefix = f"{array.path}/" if array.path else ""
    fill = array.dtype.type(0) if array.fill_value is None else array.fill_value

    def part(index: tuple[int, ...], box: tuple[slice, ...], into: npt.NDArray[Any]) -> None:
        key = prefix + array.metadata.encode_chunk_key(index)

        def put(fetch: Fetch | None) -> None:
            if fetch is None:
                into[...] = fill
            else:
                _Chunk(fetch, key, array.chunks, array.dtype, decompress).read(box, into)

        try:
            with _stored(store, key) as fetch:
                put(fetch)
        except DamagedCopyError:
            with _asked(store, key) as fetch:
                put(fetch)

    return assemble(pieces(region, array.chunks), region, array.dtype, part, cores() if in_files(store) else _REQUESTS)


def pieces(region: Sequence[AxisIndex], chunks: Sequence[int]) -> list[Piece]:
    """What a region (as `read` takes it) has of each chunk."""
    axes = [_axis_pieces(axis, chunk) for axis, chunk in zip(_chosen(region), chunks, strict=True)]
    return [tuple(zip(*piece, strict=True)) for piece in itertools.product(*axes)]


def assemble(
    pieces: Sequence[Piece], region: Sequence[AxisIndex], dtype: np.dtype[Any], part: Part, threads: int
) -> npt.NDArray[Any]:
    """Put a region together from its pieces.

    Args:
        pieces: As `pieces` gives them.
        region: As `read` takes it.
        dtype: Of the voxels.
        part: What gets the voxels of a piece.
        threads: How many pieces to get at the same time.

    Returns:
        A new array, without the axes that have an integer.
    """
    out = np.empty([len(axis) for axis in _chosen(region)], dtype)

    def copy(piece: Piece) -> None:
        index, box, target = piece
        part(index, box, out[target])

    if min(threads, len(pieces)) > 1:
        with ThreadPoolExecutor(min(threads, len(pieces)), thread_name_prefix="copick_regions") as pool:
            deque(pool.map(copy, pieces), 0)
    else:
        deque(map(copy, pieces), 0)
    return out[(..., *(0 if isinstance(item, int) else slice(None) for item in region))]


def _chosen(region: Sequence[AxisIndex]) -> list[range]:
    return [range(i, i + 1) if isinstance(i, int) else range(i.start, i.stop, i.step) for i in region]


def _axis_pieces(chosen: range, chunk: int) -> Iterator[tuple[int, slice, slice]]:
    at = 0
    while at < len(chosen):
        number = chosen[at] // chunk
        count = len(range(chosen[at], min((number + 1) * chunk, chosen.stop), chosen.step))
        first = chosen[at] - number * chunk
        yield number, slice(first, first + (count - 1) * chosen.step + 1, chosen.step), slice(at, at + count)
        at += count


def _decompressor(array: Array[Any]) -> Callable[[Any], Any] | None:
    """What decodes the array's chunks, if they are nothing but voxels in this machine's order, compressed by Blosc."""
    from numcodecs import Blosc  # type: ignore[import-untyped]

    metadata: Any = array.metadata
    if array.dtype.kind not in "biufc" or not array.dtype.isnative or not array.ndim:
        return None
    if metadata.zarr_format == 2:
        plain = isinstance(metadata.compressor, Blosc) and not metadata.filters and metadata.order == "C"
    else:
        from zarr.codecs import BloscCodec, BytesCodec

        order, *compressors = metadata.codecs
        native = order in (BytesCodec(endian=sys.byteorder), BytesCodec(endian=None))  # None: of single bytes
        plain = native and [*map(type, compressors)] == [BloscCodec] and not metadata.storage_transformers
    return Blosc().decode if plain else None  # a buffer says itself how it was encoded


def in_files(store: Store) -> bool:
    """Whether a store's values are files of this machine below its root, as they are."""
    from zarr.storage import LocalStore

    cls = type(store)
    return isinstance(store, LocalStore) and (cls.get is LocalStore.get or bool(vars(cls).get("keeps_files")))


@runtime_checkable
class KeepsFiles(Protocol):
    """A store with copies of some values in files of this machine, of which parts can be read."""

    def open_kept(self, key: str) -> AbstractContextManager[Fetch | None] | None:
        """Open the copy of a value: what gives parts of it, or None for a value that is not stored.

        None instead where there is no copy that may be read without asking storage: the value is then asked for, and also
        where reading a part raises `DamagedCopyError`.
        """


class DamagedCopyError(Exception):
    """A copy is damaged; raised and caught within a read."""


def parts_of(file: BinaryIO, begin: int = 0) -> Fetch:
    """What gives parts of the bytes of a file from some position on."""

    def fetch(start: int, stop: int) -> npt.NDArray[np.uint8]:
        buffer = np.empty(max(0, stop - start), np.uint8)
        file.seek(begin + start)
        return buffer[: cast("Any", file).readinto(buffer.data)]

    return fetch


@contextmanager
def _stored(store: Store, key: str) -> Iterator[Fetch | None]:
    """What gives parts of one stored value, None if there is none. All parts are of one value, whatever replaces it."""
    if in_files(store):
        try:
            file = cast("LocalStore", store).root.joinpath(key).open("rb")
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            yield None
            return
        with file:
            yield parts_of(file)
        return
    kept = store.open_kept(key) if isinstance(store, KeepsFiles) else None
    if kept is not None:
        with kept as fetch:
            yield fetch
        return
    with _asked(store, key) as fetch:
        yield fetch


@contextmanager
def _asked(store: Store, key: str) -> Iterator[Fetch | None]:
    """What gives parts of a value that the store is asked for as a whole."""
    from zarr.core.buffer import default_buffer_prototype
    from zarr.core.sync import sync

    value = sync(store.get(key, default_buffer_prototype()))
    data = None if value is None else np.asarray(value.as_numpy_array()).view(np.uint8)
    yield None if data is None else lambda start, stop: data[start:stop]


class _Chunk:
    """A stored chunk, compressed by Blosc.

    Args:
        fetch: Gives its bytes.
        key: Its name, for messages.
        shape: Of its voxels, in C order.
        dtype: Of its voxels.
        decompress: What decodes a Blosc buffer.

    Raises:
        ValueError: It is something else.
    """

    def __init__(
        self, fetch: Fetch, key: str, shape: Sequence[int], dtype: np.dtype[Any], decompress: Callable[[Any], Any]
    ) -> None:
        self._fetch, self._key, self._dtype, self._decompress = fetch, key, dtype, decompress
        self._strides = [math.prod(shape[axis:]) * dtype.itemsize for axis in range(1, len(shape) + 1)]
        self._size = math.prod(shape) * dtype.itemsize
        self._kind, content, self._block, self._stored = _HEADER.unpack(self._bytes(0, _HEADER.size).data)
        # Damage must neither make compressed bytes voxels nor ask for memory without end: a buffer is hardly longer than its
        # content (each block and each part of one, of 128 bytes or more, has a length before it).
        excess = self._stored - content - _HEADER.size
        possible = excess == 0 if self._kind[_FLAGS] & _PLAIN_COPY else excess <= content
        if content != self._size or not 0 < self._block <= content or not possible:
            raise ValueError(f"chunk {key!r} is not the {self._size} bytes that the metadata announce, compressed by Blosc")

    def read(self, box: Sequence[slice], into: npt.NDArray[Any]) -> None:
        """Decode what slices (with positive steps) cover, a few blocks at a time."""
        counts = [len(range(part.start, part.stop, part.step)) for part in box]
        steps = [part.step * stride for part, stride in zip(box, self._strides, strict=True)]
        begin = sum(part.start * stride for part, stride in zip(box, self._strides, strict=True))
        row = sum((count - 1) * step for count, step in zip(counts, steps, strict=True)) + self._dtype.itemsize
        axis = next((axis for axis, count in enumerate(counts) if count > 1), 0)
        row -= (counts[axis] - 1) * steps[axis]  # from the first to the last byte of one index along the axis
        slab = max(1, _SLAB_BYTES // self._block) * self._block
        done = 0
        while done < counts[axis]:
            first = begin + done * steps[axis]
            stop = min(counts[axis], done + -(-(slab - first % slab) // steps[axis]))
            last = begin + (stop - 1) * steps[axis] + row
            decoded, at = self._decode(first, last)
            part = [*counts[:axis], stop - done, *counts[axis + 1 :]]
            into[(*[slice(None)] * axis, slice(done, stop))] = np.ndarray(part, self._dtype, decoded, first - at, steps)
            done = stop

    def _decode(self, first: int, last: int) -> tuple[Any, int]:
        """Decode the blocks that hold the bytes from ``first`` to ``last``; also gives where in the chunk they begin."""
        if self._kind[_FLAGS] & _PLAIN_COPY:
            return self._bytes(_HEADER.size + first, _HEADER.size + last), first
        count = -(-self._size // self._block)
        begin, end = first // self._block, -(-last // self._block)
        if end == count and self._size % self._block:
            begin = min(begin, count - 2)  # the last block is shorter, which shows only beside another one
        if end - begin == count:
            return self._decompress(self._bytes(0, self._stored)), 0
        chosen = self._offsets[begin:end]
        # Blocks that several threads compressed may lie in another order.
        start, stop = chosen.min(), min(self._offsets[self._offsets > chosen.max()], default=self._stored)
        if not _HEADER.size + self._offsets.nbytes <= start < stop <= self._stored:
            raise ValueError(f"chunk {self._key!r} has blocks outside of its {self._stored} bytes")
        blocks = self._bytes(start, stop)
        offset = _HEADER.size + chosen.nbytes
        content = min(end * self._block, self._size) - begin * self._block
        header = np.frombuffer(_HEADER.pack(self._kind, content, self._block, offset + len(blocks)), np.uint8)
        moved = (chosen - start + offset).astype(_OFFSET).view(np.uint8)
        return self._decompress(np.concatenate([header, moved, blocks])), begin * self._block

    @cached_property
    def _offsets(self) -> npt.NDArray[np.int32]:
        """Where each block begins."""
        return self._bytes(_HEADER.size, _HEADER.size + -(-self._size // self._block) * _OFFSET.itemsize).view(_OFFSET)

    def _bytes(self, start: int, stop: int) -> npt.NDArray[np.uint8]:
        start, stop = int(start), int(stop)  # what a damaged file says may be more than NumPy's integers hold
        data = self._fetch(start, stop)
        if len(data) != stop - start:
            raise ValueError(f"chunk {self._key!r} ends before byte {stop}")
        return data
