"""Volumes from files and arrays, read piece by piece, and their import into a zarr store.

`read_volume` opens a file without reading its voxels; `import_volume_into` streams it into an OME-Zarr pyramid in
little memory, whatever its size. Arrays are (z, y, x); voxel sizes are in angstrom and never guessed: a file that tells
none has None, and one whose voxels are no cubes is refused.

Formats: MRC2014 (``.mrc .map .rec .st .ali``, also as ``.gz`` or ``.bz2``), TIFF stacks (``.tif .tiff``), EM as the TOM
toolbox writes it (``.em``), and zarr folders. See `copick_core.volumes.volume_files`.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from copick_core.errors import InvalidDataError, RegionTooLargeError
from copick_core.volumes.format import FormatOptions, VolumeFormat
from copick_core.volumes.level_stream import Progress
from copick_core.volumes.multiscales import one_voxel_size
from copick_core.volumes.ome import write_bricks
from copick_core.volumes.pyramid import Kind
from copick_core.volumes.regions import available_memory

if TYPE_CHECKING:
    from zarr.abc.store import Store

_SLAB_BYTES = 64 * 2**20


class ImportOptions(FormatOptions, total=False):
    """Keyword arguments of `import_volume`, besides the format of the volume that is written.

    Attributes:
        voxel_size: Voxel size of the source in angstrom; replaces what it tells.
        transpose: The source's axes in their new order, z y x being 0 1 2: ``"2,1,0"`` or ``(2, 1, 0)``.
        flip: The axes that are to run backwards, after transposing: ``"0"`` or ``"0,2"``.
        progress: Called with (voxels written, all voxels) of the finest level.
    """

    voxel_size: float | None
    transpose: str | Sequence[int] | None
    flip: str | Sequence[int] | None
    progress: Progress | None


class VolumeSource(ABC):
    """A volume that can be read piece by piece.

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
            raise InvalidDataError(source=name, reason=f"is no volume (z, y, x): its shape is {self.shape}")
        if self.dtype.kind not in "biuf":
            raise InvalidDataError(source=name, reason=f"voxels of type {self.dtype} are no real numbers")

    @property
    def voxel_size(self) -> float | None:
        """Voxel size in angstrom, or None if the source tells none.

        Raises:
            ValueError: (`InvalidDataError`) If the sizes along z, y and x differ; the message gives them.
        """
        return None if self.voxel_sizes is None else one_voxel_size(self.voxel_sizes, self.name)

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
        requested = int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize
        available = available_memory()
        if not self.in_memory and available is not None and requested > available:
            raise RegionTooLargeError(requested=requested, available=available)
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


class Oriented(VolumeSource):
    """Another source with its axes exchanged and turned around, without a copy of it.

    Args:
        source: The volume.
        axes: Which axis of the source becomes z, y and x, as for `numpy.transpose`.
        flipped: The axes, after exchanging, that run backwards.
    """

    def __init__(self, source: VolumeSource, axes: tuple[int, int, int], flipped: frozenset[int]) -> None:
        sizes = source.voxel_sizes
        turned = None if sizes is None else (sizes[axes[0]], sizes[axes[1]], sizes[axes[2]])
        super().__init__(source.name, [source.shape[axis] for axis in axes], source.dtype, turned)
        self.in_memory = source.in_memory
        self.sequential = source.sequential
        self._source = source
        self._axes = axes
        self._flipped = flipped

    def box(self, z: slice, y: slice, x: slice) -> npt.NDArray[Any]:
        """Read a box of the oriented volume: the box of the source that it comes from, turned."""
        wanted = [slice(0, 0)] * 3
        for axis, (part, length) in enumerate(zip((z, y, x), self.shape, strict=True)):
            flipped = axis in self._flipped
            wanted[self._axes[axis]] = slice(length - part.stop, length - part.start) if flipped else part
        block = self._source.box(*wanted).transpose(self._axes)
        return block[tuple(slice(None, None, -1 if axis in self._flipped else None) for axis in range(3))]


def read_volume(source: Any, *, voxel_size: float | None = None) -> VolumeSource:
    """Open a volume without reading its voxels.

    Args:
        source: Path of a file or zarr folder, an array-like (z, y, x), or a `VolumeSource`, which is returned itself.
        voxel_size: In angstrom; replaces what the file tells, or the `VolumeSource` says.

    Returns:
        The volume. Files stay closed between reads; compressed ones (``.gz``, ``.bz2``) are unpacked into a temporary
        file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: (`InvalidDataError`) If the format is unknown, the file is damaged, or it holds no real-valued volume.
        ImportError: (`MissingDependencyError`) If the format needs mrcfile or tifffile and it is not installed.

    Example:
        >>> volume = read_volume(np.zeros((4, 5, 6), np.float32), voxel_size=10.0)
        >>> volume.shape, volume.voxel_size, volume.slabs(0, 2).shape
        ((4, 5, 6), 10.0, (2, 5, 6))
    """
    if isinstance(source, VolumeSource):
        volume = source
    elif isinstance(source, (str, os.PathLike)):
        from copick_core.volumes.volume_files import open_file

        volume = open_file(os.fspath(source), voxel_size)
    else:
        volume = ArraySource(source if hasattr(source, "shape") and hasattr(source, "dtype") else np.asarray(source))
    if voxel_size is not None:
        volume.voxel_sizes = (float(voxel_size),) * 3
    return volume


def orient(source: VolumeSource, transpose: str | Sequence[int] | None, flip: str | Sequence[int] | None) -> VolumeSource:
    """Exchange and turn around axes while reading.

    Args:
        source: The volume.
        transpose: The source's axes in their new order, z y x being 0 1 2: ``"2,1,0"`` or ``(2, 1, 0)``.
        flip: The axes that are to run backwards, after transposing: ``"0"`` or ``"0,2"``.

    Returns:
        The source itself if nothing is to be done.

    Raises:
        ValueError: If these are no axes.
    """
    axes = _axes(transpose, "transpose") if transpose else (0, 1, 2)
    if sorted(axes) != [0, 1, 2]:
        raise ValueError(f"transpose needs each of the axes 0, 1, 2 once, not {transpose!r}.")
    flipped: frozenset[int] = frozenset()
    for axis in _axes(flip, "flip") if flip else ():
        flipped = flipped ^ {axis}
    if axes == (0, 1, 2) and not flipped:
        return source
    if source.sequential and axes[0] != 0:
        from copick_core.volumes.volume_files import spooled

        source = spooled(source)
    return Oriented(source, (axes[0], axes[1], axes[2]), flipped)


def import_volume_into(
    store: Store,
    source: Any,
    voxel_size: float | None = None,
    *,
    levels: int = 3,
    transpose: str | Sequence[int] | None = None,
    flip: str | Sequence[int] | None = None,
    dtype: npt.DTypeLike | None = None,
    format: VolumeFormat | None = None,
    kind: Kind = "mean",
    progress: Progress | None = None,
) -> float:
    """Stream a volume into a zarr store, with its coarser levels.

    The volume is read once, in bricks of at most 64 MiB; every chunk is written once and none is read back. Besides two
    bricks, memory holds one row of chunks of every coarser level.

    Args:
        store: Where; all that it held is deleted.
        source: What `read_volume` takes.
        voxel_size: In angstrom; by default what the source tells.
        levels: Number of levels.
        transpose: See `orient`.
        flip: See `orient`.
        dtype: The dtype to store; by default that of the source.
        format: Zarr format, chunks, compression.
        kind: ``"mean"`` for densities, ``"nearest"`` for labels.
        progress: Called with (voxels written, all voxels) of the finest level.

    Returns:
        The voxel size that was stored, in angstrom.

    Raises:
        ValueError: (`InvalidDataError`) If no voxel size was given and the source tells none or voxels that are no cubes;
            and what `read_volume`, `orient` and `write_volume` raise.
    """
    volume = orient(read_volume(source, voxel_size=voxel_size), transpose, flip)
    size = volume.voxel_size
    if size is None:
        raise InvalidDataError(source=volume.name, reason="does not tell its voxel size; give voxel_size (in angstrom)")
    write_bricks(
        store, [volume], size, levels=levels, kind=kind, dtype=dtype, format=format, progress=progress
    )  # fmt: skip
    return size


def _axes(text: str | Sequence[int], what: str) -> tuple[int, ...]:
    try:
        axes = [int(part) for part in (text.split(",") if isinstance(text, str) else text)]
    except ValueError:
        raise ValueError(f"{what} is a list of axes such as '2,1,0', not {text!r}.") from None
    if any(not -3 <= axis < 3 for axis in axes):
        raise ValueError(f"{what} takes the axes 0 (z), 1 (y) and 2 (x), not {text!r}.")
    return tuple(axis % 3 for axis in axes)
