"""TIFF stacks: parsed by tifffile; the voxels of files that store them in one piece are read directly."""

from __future__ import annotations

import threading
import weakref
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from copick_core.errors import InvalidDataError
from copick_core.volumes.raw import RawSource
from copick_core.volumes.sources import ArraySource, VolumeSource
from copick_formats.units import in_angstrom

_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def is_tiff(path: str, head: bytes) -> bool:
    """Whether a file is TIFF or BigTIFF: its first four bytes."""
    return head[:4] in _MAGIC


def read_tiff(path: str) -> VolumeSource:
    """Open a TIFF file.

    Raises:
        InvalidDataError: It is no TIFF file, or holds no volume.
    """
    import tifffile

    try:
        tiff = tifffile.TiffFile(path)
    except tifffile.TiffFileError as error:
        raise InvalidDataError(source=path, reason=f"is no readable TIFF file: {error}") from error
    try:
        source = _volume(path, tifffile, tiff)
    except BaseException:
        tiff.close()
        raise
    if not isinstance(source, PagedSource):
        tiff.close()
    return source


class PagedSource(VolumeSource):
    """A TIFF whose planes are compressed pages; they are decoded one by one."""

    sequential = True

    def __init__(self, path: str, tiff: Any, series: Any, voxel_sizes: tuple[float, float, float] | None) -> None:
        weakref.finalize(self, tiff.close)
        height, width = series.pages[0].shape[:2]
        super().__init__(path, (len(series.pages), height, width), series.dtype, voxel_sizes)
        self._tiff = tiff
        self._series = series
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the file."""
        self._tiff.close()

    def box(self, z: slice, y: slice, x: slice) -> npt.NDArray[Any]:
        """Decode the pages of a box."""
        with self._lock:
            return np.stack([self._series.pages[i].asarray()[y, x] for i in range(z.start, z.stop)])


def _volume(path: str, tifffile: ModuleType, tiff: Any) -> VolumeSource:
    series = tiff.series[0]
    shape = tuple(n for n in series.shape if n != 1) if len(series.shape) > 3 else tuple(series.shape)
    if len(shape) == 2:
        shape = (1, *shape)
    if len(shape) != 3 or "S" in series.axes:
        raise InvalidDataError(source=path, reason=f"is no volume: its axes {series.axes} have sizes {tuple(series.shape)}")
    sizes = _voxel_sizes(tifffile, tiff)
    if series.dataoffset is not None:
        return RawSource(path, path, series.dataoffset, shape, series.dtype.newbyteorder(tiff.byteorder), sizes)
    if len(series.pages) == shape[0]:
        return PagedSource(path, tiff, series, sizes)
    return ArraySource(series.asarray().reshape(shape), path, sizes)


def _voxel_sizes(tifffile: ModuleType, tiff: Any) -> tuple[float, float, float] | None:
    """Sizes (z, y, x) in angstrom of an ImageJ or OME TIFF; the resolution of a plain TIFF is about printing it."""
    if tiff.ome_metadata:
        images = tifffile.xml2dict(tiff.ome_metadata).get("OME", {}).get("Image", {})
        pixels = (images[0] if isinstance(images, list) else images).get("Pixels", {})
        # µm is the schema's default for PhysicalSize?Unit.
        named = [(pixels.get(f"PhysicalSize{axis}"), pixels.get(f"PhysicalSize{axis}Unit", "µm")) for axis in "ZYX"]
        return in_angstrom(named)
    if not tiff.imagej_metadata:
        return None
    spacing = tiff.imagej_metadata.get("spacing")
    unit = tiff.imagej_metadata.get("unit")
    tags = tiff.pages[0].tags
    per_unit = [tags.valueof(name) for name in ("YResolution", "XResolution")]
    if spacing is None or unit is None or not all(per_unit) or not all(n for fraction in per_unit for n in fraction):
        return None
    return in_angstrom([(spacing, unit), *((below / above, unit) for above, below in per_unit)])
