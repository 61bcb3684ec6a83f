"""TIFF stacks: parsed by tifffile; the voxels of files that store them in one piece are read directly."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from copick_core.errors import CopickError, InvalidDataError
from copick_core.plugins import packed
from copick_core.volumes.raw import RawSource
from copick_core.volumes.sources import ArraySource, VolumeSource
from copick_formats.tiff_pages import check_chain, check_codecs, decoded
from copick_formats.units import in_angstrom

_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def is_tiff(path: str, head: bytes) -> bool:
    """Whether a file is TIFF or BigTIFF: its first four bytes."""
    return head[:4] in _MAGIC


def read_tiff(path: str, *, series: int | None = None) -> VolumeSource:
    """Open a TIFF file.

    Args:
        path: The file.
        series: Which of several series, from 0 on. Pages that differ in size or type are different series.

    Raises:
        InvalidDataError: It is not a TIFF file, is cut off, holds no volume, or several series of which none is chosen.
        MissingDependencyError: It is compressed in a way that needs the extra ``copick-formats[tiff]``.
    """
    import tifffile

    if packed.opener(path) is not None:
        raise InvalidDataError(source=path, reason="is a packed TIFF file; unpack it first")
    try:
        tiff = tifffile.TiffFile(path)
    except MemoryError:
        raise
    except Exception as error:  # of a damaged file tifffile raises whatever its parser meets
        raise InvalidDataError(source=path, reason=f"is not a readable TIFF file: {error}") from error
    try:
        check_chain(path, tiff)
        source = _volume(path, tifffile, tiff, series)
    except (CopickError, MemoryError):
        tiff.close()
        raise
    except Exception as error:
        tiff.close()
        reason = f"is not a readable TIFF file ({type(error).__name__}: {error})"
        raise InvalidDataError(source=path, reason=reason) from error
    if not isinstance(source, PagedSource):
        tiff.close()
    return source


class PagedSource(VolumeSource):
    """A TIFF whose planes are compressed pages; they are decoded one by one.

    Args:
        path: The file.
        tiff: The open file, which is closed with this object.
        pages: One for each plane.
        shape: (z, y, x).
        dtype: Of the voxels.
        voxel_sizes: Along z, y and x in angstrom.
    """

    sequential = True

    def __init__(
        self,
        path: str,
        tiff: Any,
        pages: Sequence[Any],
        shape: Sequence[int],
        dtype: npt.DTypeLike,
        voxel_sizes: tuple[float, float, float] | None,
    ) -> None:
        super().__init__(path, shape, dtype, voxel_sizes)
        weakref.finalize(self, tiff.close)
        self._tiff = tiff
        self._pages = pages
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the file."""
        self._tiff.close()

    def box(self, z: slice, y: slice, x: slice) -> npt.NDArray[Any]:
        """Decode the pages of a box."""
        block = np.empty([part.stop - part.start for part in (z, y, x)], self.dtype)
        with self._lock:
            for plane, number in zip(block, range(z.start, z.stop), strict=True):
                page = decoded(self.name, self._pages, number)
                if page.size != self.shape[1] * self.shape[2]:
                    reason = f"page {number} has shape {page.shape}, not {self.shape[1:]} as the others"
                    raise InvalidDataError(source=self.name, reason=reason)
                plane[:] = page.reshape(self.shape[1:])[y, x]
        return block


def _volume(path: str, tifffile: ModuleType, tiff: Any, number: int | None) -> VolumeSource:
    number, series = _chosen(path, tiff, number)
    shape = tuple(n for n in series.shape if n != 1) if len(series.shape) > 3 else tuple(series.shape)
    if len(shape) == 2:
        shape = (1, *shape)
    if len(shape) != 3 or "S" in series.axes or series.dtype is None:
        raise InvalidDataError(source=path, reason=f"is not a volume: its axes {series.axes} have sizes {tuple(series.shape)}")
    sizes = _voxel_sizes(tifffile, tiff, number)
    if series.dataoffset is not None:
        return RawSource(path, path, series.dataoffset, shape, series.dtype.newbyteorder(tiff.byteorder), sizes)
    check_codecs(path, tifffile, series.keyframe)
    if len(series.pages) == shape[0]:
        return PagedSource(path, tiff, series.pages, shape, series.dtype, sizes)
    if len(series.pages) != 1:
        reason = f"its axes {series.axes} have sizes {tuple(series.shape)}, but it has {len(series.pages)} pages"
        raise InvalidDataError(source=path, reason=reason)
    return ArraySource(decoded(path, series.pages, 0).reshape(shape), path, sizes)


def _chosen(path: str, tiff: Any, number: int | None) -> tuple[int, Any]:
    """The series that is asked for, or the only one."""
    found = [f"{i} with axes {s.axes} of sizes {tuple(s.shape)}" for i, s in enumerate(tiff.series)]
    if not found:
        raise InvalidDataError(source=path, reason="holds no image")
    if number is None and len(found) > 1:
        raise InvalidDataError(
            source=path,
            reason=f"holds {len(found)} series: {'; '.join(found)}. Choose one with the option series, such as series=0 "
            "(read_options={'series': 0} of an import)",
        )
    if number is not None and not 0 <= number < len(found):
        raise InvalidDataError(source=path, reason=f"has no series {number}; it has {'; '.join(found)}")
    return number or 0, tiff.series[number or 0]


def _voxel_sizes(tifffile: ModuleType, tiff: Any, number: int) -> tuple[float, float, float] | None:
    """Sizes (z, y, x) in angstrom of an ImageJ or OME TIFF; the resolution of a plain TIFF is about printing it."""
    if tiff.ome_metadata:
        images = tifffile.xml2dict(tiff.ome_metadata).get("OME", {}).get("Image", {})
        pixels = (images[min(number, len(images) - 1)] if isinstance(images, list) else images).get("Pixels", {})
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
