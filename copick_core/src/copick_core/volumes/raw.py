"""Volumes whose voxels lie in one piece in a file. They are read directly: a memory map counts as memory of this process."""

from __future__ import annotations

import math
import os
import tempfile
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from copick_core.errors import InvalidDataError
from copick_core.volumes.sources import VolumeSource

_SLAB_BYTES = 64 * 2**20


class RawSource(VolumeSource):
    """A volume that lies in one piece in a file, x fastest.

    Args:
        name: Name for messages.
        file: Path, or an open temporary file that is closed with this object.
        offset: Bytes before the first voxel.
        shape: (z, y, x).
        dtype: Type and byte order.
        voxel_sizes: Along z, y and x in angstrom.
    """

    def __init__(
        self,
        name: str,
        file: str | IO[bytes],
        offset: int,
        shape: Sequence[int],
        dtype: npt.DTypeLike,
        voxel_sizes: tuple[float, float, float] | None = None,
    ) -> None:
        if not isinstance(file, str):
            weakref.finalize(self, file.close)
        super().__init__(name, shape, dtype, voxel_sizes)
        self._file = file
        self._offset = offset
        self._lock = threading.Lock()
        needed = offset + math.prod(self.shape) * self.dtype.itemsize
        found = os.path.getsize(file) if isinstance(file, str) else os.fstat(file.fileno()).st_size
        if found < needed:
            raise InvalidDataError(source=name, reason=f"is cut off: it has {found:,} bytes, its header promises {needed:,}")

    def close(self) -> None:
        """Close the file, if it was given open."""
        if not isinstance(self._file, str):
            self._file.close()

    def box(self, z: slice, y: slice, x: slice) -> npt.NDArray[Any]:
        """Read a box. Boxes over all of x are read directly, others through short-lived memory maps."""
        if (x.start, x.stop) == (0, self.shape[2]):
            return self._rows(z, y)
        block = np.empty([part.stop - part.start for part in (z, y, x)], self.dtype)
        step = max(1, _SLAB_BYTES // (self.shape[1] * self.shape[2] * self.dtype.itemsize))
        for start in range(z.start, z.stop, step):
            planes = min(step, z.stop - start)
            offset = self._offset + start * self.shape[1] * self.shape[2] * self.dtype.itemsize
            with self._lock:
                mapped = np.memmap(self._file, self.dtype, "r", offset, (planes, *self.shape[1:]))
            block[start - z.start : start - z.start + planes] = mapped[:, y, x]
        return block

    def _rows(self, z: slice, y: slice) -> npt.NDArray[Any]:
        _, height, width = self.shape
        block = np.empty((z.stop - z.start, y.stop - y.start, width), self.dtype)
        whole_planes = block.shape[1] == height
        pieces = [block] if whole_planes else list(block)
        with self._lock, self._opened() as file:
            for number, piece in enumerate(pieces):
                voxel = ((z.start + number) * height + y.start) * width
                file.seek(self._offset + voxel * self.dtype.itemsize)
                _fill(file, piece.reshape(-1).view(np.uint8).data, self.name)
        return block

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        """The file, open; one that was given by path is closed again."""
        if isinstance(self._file, str):
            with open(self._file, "rb", buffering=0) as file:
                yield file
        else:
            yield self._file


def spooled(source: VolumeSource) -> VolumeSource:
    """Copy a volume into a temporary file (in the system's folder for those), so that any box of it can be read."""
    file = tempfile.TemporaryFile(prefix="copick_")  # noqa: SIM115 - RawSource closes it
    for _start, slab in source.each_slab():
        file.write(np.ascontiguousarray(slab).reshape(-1).view(np.uint8).data)
    file.flush()
    return RawSource(source.name, file, 0, source.shape, source.dtype, source.voxel_sizes)


def _fill(file: Any, target: memoryview, name: str) -> None:
    done = 0
    while done < len(target):
        count = file.readinto(target[done:])
        if not count:
            raise InvalidDataError(source=name, reason="became shorter while it was read")
        done += count
