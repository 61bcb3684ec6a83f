"""The volume's arrays on disk: zarr v2 arrays at the root of a folder, axes (x, y, z), one file for each chunk.

The files are read and written directly. Every writer of such arrays writes all chunks, also those that are zero; so an array
is complete when every chunk of its grid has a file.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from copick_backend_volume.places import is_label
from copick_core.errors import InvalidDataError

ARRAY_FILE = ".zarray"
ATTRIBUTES_FILE = ".zattrs"
#: What the app compresses with.
COMPRESSOR = {"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1, "blocksize": 0}


@dataclass(frozen=True)
class StoredArray:
    """One array of the volume; ``shape`` and ``chunks`` are (x, y, z), as on disk.

    Attributes:
        folder: Its folder.
        shape: Shape.
        chunks: Shape of a chunk; may be larger than the array.
        dtype: Dtype.
        document: The whole ``.zarray``.
    """

    folder: str
    shape: tuple[int, int, int]
    chunks: tuple[int, int, int]
    dtype: np.dtype[Any]
    document: dict[str, Any]

    @property
    def grid(self) -> tuple[int, int, int]:
        """Number of chunks along x, y and z."""
        x, y, z = (math.ceil(n / c) for n, c in zip(self.shape, self.chunks, strict=True))
        return x, y, z

    @property
    def shape_zyx(self) -> tuple[int, int, int]:
        """Shape in the order of our arrays."""
        x, y, z = self.shape
        return z, y, x

    def chunk_name(self, index: Sequence[int]) -> str:
        """File name of a chunk."""
        return str(self.document.get("dimension_separator", ".")).join(map(str, index))

    def missing(self) -> int:
        """Number of chunks that have no file yet."""
        try:
            names = set(os.listdir(self.folder))
        except FileNotFoundError:
            names = set()
        flat = self.document.get("dimension_separator", ".") == "."
        has = names.__contains__ if flat else lambda name: os.path.isfile(os.path.join(self.folder, name))
        return sum(not has(self.chunk_name(index)) for index in self.indices())

    def indices(self) -> Iterator[tuple[int, ...]]:
        """Index of every chunk."""
        return itertools.product(*map(range, self.grid))

    def read_chunk(self, index: Sequence[int]) -> npt.NDArray[Any] | None:
        """Read one chunk, cut to the array's shape; None where it has no file."""
        from numcodecs.registry import get_codec  # type: ignore[import-untyped,unused-ignore]

        try:
            with open(os.path.join(self.folder, self.chunk_name(index)), "rb") as file:
                data: Any = file.read()
        except FileNotFoundError:
            return None
        try:
            for codec in [self.document.get("compressor"), *reversed(self.document.get("filters") or [])]:
                data = get_codec(dict(codec)).decode(data) if codec else data
            chunk = np.frombuffer(data, self.dtype).reshape(self.chunks, order=self.document.get("order", "C"))
        except Exception as error:  # codecs have no error in common
            where = os.path.join(self.folder, self.chunk_name(index))
            raise InvalidDataError(source=where, reason=f"the chunk is damaged ({error})") from error
        kept = (min(c, n - i * c) for i, c, n in zip(index, self.chunks, self.shape, strict=True))
        return chunk[tuple(slice(0, k) for k in kept)]

    def labels(self) -> list[int]:
        """All values that can be labels, 1 to 2^63 - 1; reads every chunk that is not damaged, one at a time."""
        found: set[int] = set()
        for index in self.indices() if self.dtype.kind in "bui" else ():
            with contextlib.suppress(InvalidDataError):  # who reads the chunk is told
                chunk = self.read_chunk(index)
                found.update(() if chunk is None else distinct(chunk))
        return sorted(value for value in found if is_label(value))

    def read_box(self, start: Sequence[int], stop: Sequence[int]) -> npt.NDArray[Any]:
        """Read the box from ``start`` to ``stop`` (x, y, z); holds one chunk besides it."""
        box = np.zeros([b - a for a, b in zip(start, stop, strict=True)], self.dtype)
        ranges = [range(a // c, -(-b // c)) for a, b, c in zip(start, stop, self.chunks, strict=True)]
        for index in itertools.product(*ranges):
            chunk = self.read_chunk(index)
            if chunk is None:
                continue
            source, target = [], []
            for i, c, a, b, n in zip(index, self.chunks, start, stop, chunk.shape, strict=True):
                low, high = max(a, i * c), min(b, i * c + n)
                source.append(slice(low - i * c, high - i * c))
                target.append(slice(low - a, high - a))
            box[tuple(target)] = chunk[tuple(source)]
        return box


def distinct(chunk: npt.NDArray[Any]) -> set[int]:
    """The distinct values of an array of integers, without sorting it where that is possible."""
    if not chunk.size:
        return set()
    low, high = int(chunk.min()), int(chunk.max())
    if low == high:
        return {low}
    if low >= 0 and high < 1 << 16:
        # As sixteen bit, so that counting takes an eighth of the memory of uint64.
        counts = np.bincount(chunk.astype(np.uint16, copy=False).ravel(), minlength=high + 1)
        return {int(v) for v in np.flatnonzero(counts)}
    return {int(v) for v in np.unique(chunk)}


def open_array(folder: str) -> StoredArray | None:
    """Open an array; None where there is none.

    Raises:
        InvalidDataError: There is one that is not a three-dimensional zarr v2 array.
    """
    path = os.path.join(folder, ARRAY_FILE)
    try:
        with open(path, "rb") as file:
            document = json.load(file)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise InvalidDataError(source=path, reason=f"it is not valid JSON ({error})") from error
    try:
        shape, chunks = tuple(map(int, document["shape"])), tuple(map(int, document["chunks"]))
        dtype = np.dtype(document["dtype"])
        if document["zarr_format"] != 2 or len(shape) != 3 or len(chunks) != 3 or min(chunks) < 1 or min(shape) < 0:
            raise ValueError(f"shape {shape}, chunks {chunks}, zarr format {document['zarr_format']}")
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidDataError(source=path, reason=f"not a three-dimensional zarr v2 array ({error})") from error
    return StoredArray(folder, (shape[0], shape[1], shape[2]), (chunks[0], chunks[1], chunks[2]), dtype, document)


def is_whole(folder: str) -> bool:
    """Whether there is an array in a folder of which every chunk is there."""
    try:
        array = open_array(folder)
    except InvalidDataError:
        return False
    return array is not None and not array.missing()


class ArrayWriter:
    """Writes a new array chunk by chunk, as the app would.

    Args:
        folder: An empty folder, in staging.
        shape: Shape (x, y, z).
        chunks: Shape of a chunk; recorded as given, also where it is larger than the array.
        dtype: Dtype.
    """

    def __init__(self, folder: str, shape: Sequence[int], chunks: Sequence[int], dtype: npt.DTypeLike) -> None:
        from numcodecs import Blosc  # type: ignore[import-untyped,unused-ignore]

        target = np.dtype(dtype)
        document = {
            "chunks": [int(c) for c in chunks],
            "compressor": COMPRESSOR,
            "dtype": target.str,
            "fill_value": False if target.kind == "b" else 0.0 if target.kind == "f" else 0,
            "filters": None,
            "order": "C",
            "shape": [int(n) for n in shape],
            "zarr_format": 2,
        }
        x, y, z = (int(n) for n in shape)
        a, b, c = (int(n) for n in chunks)
        self.array = StoredArray(folder, (x, y, z), (a, b, c), target, document)
        self._codec = Blosc(cname="lz4", clevel=5, shuffle=1)

    def write(self, index: Sequence[int], data: npt.NDArray[Any]) -> None:
        """Write one chunk; ``data`` is (x, y, z), smaller than a chunk at the array's end."""
        full = np.zeros(self.array.chunks, self.array.dtype)
        full[tuple(slice(0, n) for n in data.shape)] = data
        write_synced(os.path.join(self.array.folder, self.array.chunk_name(index)), self._codec.encode(full))

    def finish(self) -> None:
        """Write the array's description, last."""
        data = json.dumps(self.array.document, indent=4).encode()
        write_synced(os.path.join(self.array.folder, ARRAY_FILE), data)


def copy_synced(source: os.PathLike[str], path: str) -> None:
    """Copy a file to a new one and force it to disk."""
    with open(source, "rb") as file, open(path, "xb") as copy:
        shutil.copyfileobj(file, copy)
        copy.flush()
        os.fsync(copy.fileno())


def write_synced(path: str, data: bytes) -> None:
    """Write a new file and force it to disk."""
    with open(path, "xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
