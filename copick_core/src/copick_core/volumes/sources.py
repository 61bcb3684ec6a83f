"""What a volume is that can be read piece by piece, whatever it is stored in.

Arrays are (z, y, x); voxel sizes are in angstrom and never guessed: a source that tells none has None, and one whose voxels
are not cubes is refused.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from copick_core.errors import InvalidDataError
from copick_core.volumes.free_memory import check_fits
from copick_core.volumes.multiscales import one_voxel_size

_SLAB_BYTES = 64 * 2**20


class VolumeSource(ABC):
    """A volume that can be read piece by piece, and a context manager that closes it.

    Attributes:
        name: What it is, for messages: the file's path, or "array".
        shape: Size (z, y, x) in voxels.
        dtype: The dtype of its voxels; may be big-endian.
        voxel_sizes: Along z, y and x in angstrom, or None if the source tells none.
        in_memory: Whether reading is free of cost, as for NumPy arrays.
        sequential: Whether whole planes are the only pieces that can be read at reasonable cost.
    """

    in_memory = False
    sequential = False

    def __init__(
        self,
        name: str,
        shape: Sequence[int],
        dtype: npt.DTypeLike,
        voxel_sizes: tuple[float, float, float] | None = None,
    ) -> None:
        self.name = name
        self.shape = tuple(int(n) for n in shape)
        self.dtype = np.dtype(dtype)
        self.voxel_sizes = voxel_sizes
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise InvalidDataError(source=name, reason=f"is not a volume (z, y, x): its shape is {self.shape}")
        if self.dtype.kind not in "biuf":
            raise InvalidDataError(source=name, reason=f"voxels of type {self.dtype} are not real numbers")

    @property
    def voxel_size(self) -> float | None:
        """Voxel size in angstrom, or None if the source tells none.

        Raises:
            ValueError: (`InvalidDataError`) If the sizes along z, y and x differ; the message gives them.
        """
        return None if self.voxel_sizes is None else one_voxel_size(self.voxel_sizes, self.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:  # noqa: B027 - most sources hold nothing open
        """Close what the source holds open. It cannot be read afterwards."""

    @abstractmethod
    def box(self, z: slice, y: slice, x: slice) -> npt.NDArray[Any]:
        """Read a box; its ranges have plain starts and stops inside the volume. May return a view."""

    def read(self, z0: int, z1: int, y0: int, y1: int) -> npt.NDArray[Any]:
        """Read planes ``z0:z1``, rows ``y0:y1``, all of x."""
        return self.box(slice(z0, z1), slice(y0, y1), slice(0, self.shape[2]))

    def slabs(self, z0: int, z1: int) -> npt.NDArray[Any]:
        """Read whole planes: an array (z1 - z0, y, x)."""
        return self.read(z0, z1, 0, self.shape[1])

    def each_slab(self) -> Iterator[tuple[int, npt.NDArray[Any]]]:
        """Read the volume in slabs of about 64 MiB, each with its first plane."""
        step = max(1, _SLAB_BYTES // (self.shape[1] * self.shape[2] * self.dtype.itemsize))
        for start in range(0, self.shape[0], step):
            yield start, self.slabs(start, min(start + step, self.shape[0]))

    @property
    def data(self) -> npt.NDArray[Any]:
        """The whole volume.

        Raises:
            ValueError: (`RegionTooLargeError`) If it takes more memory than is free.
        """
        if not self.in_memory:
            check_fits(math.prod(self.shape) * self.dtype.itemsize)
        return self.slabs(0, self.shape[0])


class ArraySource(VolumeSource):
    """A volume in anything with ``shape``, ``dtype`` and slicing: NumPy, zarr, dask."""

    def __init__(self, data: Any, name: str = "array", voxel_sizes: tuple[float, float, float] | None = None) -> None:
        super().__init__(name, data.shape, data.dtype, voxel_sizes)
        self._array = data
        self.in_memory = isinstance(data, np.ndarray)
        self.sequential = not self.in_memory

    def box(self, z: slice, y: slice, x: slice) -> npt.NDArray[Any]:
        """Read a box; a view of a NumPy array."""
        return np.asarray(self._array[z, y, x])
