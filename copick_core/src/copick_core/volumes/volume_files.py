"""Readers of volume files. Each tells shape, dtype and voxel size from the header and leaves the voxels where they are.

MRC and TIFF headers are parsed by mrcfile and tifffile (the extra ``copick-core[io]``); the voxels of files that store
them in one piece are read directly, because a memory map of a large file counts as memory of this process.
"""

from __future__ import annotations

import bz2
import gzip
import logging
import os
import shutil
import tempfile
import threading
import warnings
import weakref
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from copick_core.errors import InvalidDataError, LevelNotFoundError, MissingDependencyError
from copick_core.volumes.multiscales import to_angstrom
from copick_core.volumes.sources import ArraySource, VolumeSource

logger = logging.getLogger(__name__)

MRC_EXTENSIONS = (".mrc", ".map", ".rec", ".st", ".ali", ".preali")
TIFF_EXTENSIONS = (".tif", ".tiff")
EM_EXTENSIONS = (".em",)
_PACKED: Mapping[str, Any] = {".gz": gzip.open, ".bz2": bz2.open}
_UNPACKING_ERRORS = (OSError, EOFError, zlib.error)
_ZARR_DOCUMENTS = (".zattrs", ".zgroup", ".zarray", "zarr.json")

_MRC_HEADER = 1024
_IMOD_STAMP = 1146047817
"""Offset 152 of IMOD's MRC headers; the flags after it tell, in bit 0, whether bytes (mode 0) are signed."""

_EM_HEADER = 512
_EM_BIG_ENDIAN = {0: True, 1: False, 3: True, 4: True, 5: True, 6: False}
"""Byte 0 of an EM header, the machine: OS-9, VAX, SGI, Sun, Mac, PC."""
_EM_DTYPES = {1: "i1", 2: "i2", 4: "i4", 5: "f4", 8: "c8", 9: "f8"}
"""Byte 3 of an EM header."""

_UNITS = {
    "angstrom": "angstrom", "angstroms": "angstrom", "ångström": "angstrom", "å": "angstrom", "a": "angstrom",
    "nm": "nanometer", "nanometer": "nanometer", "nanometers": "nanometer", "nanometre": "nanometer",
    "um": "micrometer", "µm": "micrometer", "μm": "micrometer", "micron": "micrometer", "microns": "micrometer",
    "micrometer": "micrometer", "micrometers": "micrometer", "mm": "millimeter", "cm": "centimeter", "m": "meter",
    "pm": "picometer", "inch": "inch", "in": "inch",
}  # fmt: skip
"""How ImageJ and OME-TIFF spell units of length; both letters for micro occur."""

_SLAB_BYTES = 64 * 2**20


def open_file(path: str, voxel_size: float | None = None) -> VolumeSource:
    """Open a file by its extension, or a zarr folder; see `copick_core.volumes.sources.read_volume`."""
    if os.path.isdir(path):
        return _open_zarr(path, voxel_size)
    if not os.path.exists(path):
        raise FileNotFoundError(f"There is no file {path}")
    stem, extension = os.path.splitext(path.lower())
    packing = _PACKED.get(extension)
    if packing is not None:
        extension = os.path.splitext(stem)[1]
    if extension in MRC_EXTENSIONS:
        return _open_mrc(path)
    if extension in EM_EXTENSIONS:
        return _open_em(path, packing)
    if extension in TIFF_EXTENSIONS and packing is None:
        return _open_tiff(path)
    known = ", ".join((*MRC_EXTENSIONS, *EM_EXTENSIONS, *TIFF_EXTENSIONS))
    raise InvalidDataError(
        source=path, reason=f"unknown kind of file; known are {known} (MRC and EM also with .gz or .bz2) and zarr folders"
    )


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
        needed = offset + int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize
        found = os.path.getsize(file) if isinstance(file, str) else os.fstat(file.fileno()).st_size
        if found < needed:
            raise InvalidDataError(source=name, reason=f"is cut off: it has {found:,} bytes, its header promises {needed:,}")

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


class PagedSource(VolumeSource):
    """A TIFF whose planes are compressed pages; they are decoded one by one."""

    sequential = True

    def __init__(self, path: str, tiff: Any, series: Any, voxel_sizes: tuple[float, float, float] | None) -> None:
        weakref.finalize(self, tiff.close)
        height, width = series.pages[0].shape[:2]
        super().__init__(path, (len(series.pages), height, width), series.dtype, voxel_sizes)
        self._series = series
        self._lock = threading.Lock()

    def box(self, z: slice, y: slice, x: slice) -> npt.NDArray[Any]:
        """Decode the pages of a box."""
        with self._lock:
            return np.stack([self._series.pages[i].asarray()[y, x] for i in range(z.start, z.stop)])


def spooled(source: VolumeSource) -> VolumeSource:
    """Copy a volume into a temporary file (in the system's folder for those), so that any box of it can be read."""
    file = tempfile.TemporaryFile(prefix="copick_")  # noqa: SIM115 - RawSource closes it
    for _start, slab in source.each_slab():
        file.write(np.ascontiguousarray(slab).reshape(-1).view(np.uint8).data)
    file.flush()
    return RawSource(source.name, file, 0, source.shape, source.dtype, source.voxel_sizes)


def _open_mrc(path: str) -> VolumeSource:
    """MRC2014 (https://www.ccpem.ac.uk/mrc-format/mrc2014/). The order of axes in the file is kept, as mrcfile keeps it."""
    mrcfile = _require("mrcfile", "Reading MRC files")
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        try:
            with mrcfile.open(path, permissive=True, header_only=True) as mrc:
                header = mrc.header.copy()
                # As mrcfile finds it in the content, whatever the file is called.
                packing = {"GzipMrcFile": gzip.open, "Bzip2MrcFile": bz2.open}.get(type(mrc).__name__)
        except (ValueError, *_UNPACKING_ERRORS) as error:
            raise InvalidDataError(source=path, reason=f"is no readable MRC file: {error}") from error
    for note in notes:
        logger.warning("%s: %s", path, note.message)
    shape = (int(header.nz), int(header.ny), int(header.nx))
    if int(header.ispg) > 400 and 0 < int(header.mz) < shape[0]:
        raise InvalidDataError(source=path, reason=f"is a stack of {shape[0] // int(header.mz)} volumes, not one")
    try:
        dtype = np.dtype(mrcfile.utils.data_dtype_from_header(header))
    except ValueError as error:
        raise InvalidDataError(source=path, reason=f"mode {int(header.mode)} cannot be read as a volume") from error
    order = (int(header.mapc), int(header.mapr), int(header.maps))
    if sorted(order) == [1, 2, 3] and order != (1, 2, 3):
        logger.warning(
            "%s: columns, rows, sections are the axes %s (1=x, 2=y, 3=z); they are read in that order.", path, order
        )
    if dtype == np.int8 and _imod_bytes_are_unsigned(header):
        dtype = np.dtype(np.uint8)
    offset = _MRC_HEADER + int(header.nsymbt)
    return _raw(path, packing, offset, shape, dtype, _mrc_voxel_sizes(header))


def _imod_bytes_are_unsigned(header: Any) -> bool:
    words = np.frombuffer(header.tobytes(), header.mode.dtype.newbyteorder(header.mode.dtype.byteorder), 2, 152)
    return int(words[0]) == _IMOD_STAMP and not int(words[1]) & 1


def _mrc_voxel_sizes(header: Any) -> tuple[float, float, float] | None:
    """Cell size over sampling. Headers hold float32, so six significant digits are what the writer meant."""
    cell = [float(header.cella[axis]) for axis in "zyx"]
    samples = [int(header[name]) for name in ("mz", "my", "mx")]
    if min(samples) < 1 or not all(np.isfinite(cell)) or min(cell) <= 0:
        return None
    z, y, x = (_six_digits(length / n) for length, n in zip(cell, samples, strict=True))
    return z, y, x


def _open_em(path: str, packing: Any) -> VolumeSource:
    """EM, the format of the EM program and the TOM toolbox: 512 bytes of header, then the voxels. It tells no voxel size.

    Header: byte 0 machine (byte order), byte 3 data type, then x, y and z sizes as int32.
    """
    try:
        with packing(path, "rb") if packing else open(path, "rb") as file:
            header = file.read(_EM_HEADER)
    except _UNPACKING_ERRORS as error:
        raise InvalidDataError(source=path, reason=f"is no readable EM file: {error}") from error
    if len(header) < _EM_HEADER or header[0] not in _EM_BIG_ENDIAN or header[3] not in _EM_DTYPES:
        raise InvalidDataError(source=path, reason="is no readable EM file: its header names no known machine or data type")
    order = ">" if _EM_BIG_ENDIAN[header[0]] else "<"
    x, y, z = (int(n) for n in np.frombuffer(header, f"{order}i4", 3, 4))
    return _raw(path, packing, _EM_HEADER, (z, y, x), np.dtype(order + _EM_DTYPES[header[3]]), None)


def _raw(
    path: str,
    packing: Any,
    offset: int,
    shape: Sequence[int],
    dtype: npt.DTypeLike,
    voxel_sizes: tuple[float, float, float] | None,
) -> RawSource:
    if packing is None:
        return RawSource(path, path, offset, shape, dtype, voxel_sizes)
    unpacked = tempfile.TemporaryFile(prefix="copick_")  # noqa: SIM115 - RawSource closes it
    try:
        with packing(path, "rb") as file:
            shutil.copyfileobj(file, unpacked, 2**20)
    except _UNPACKING_ERRORS as error:
        unpacked.close()
        raise InvalidDataError(source=path, reason=f"cannot be unpacked: {error}") from error
    unpacked.flush()
    return RawSource(path, unpacked, offset, shape, dtype, voxel_sizes)


def _open_tiff(path: str) -> VolumeSource:
    tifffile = _require("tifffile", "Reading TIFF files")
    try:
        tiff = tifffile.TiffFile(path)
    except tifffile.TiffFileError as error:
        raise InvalidDataError(source=path, reason=f"is no readable TIFF file: {error}") from error
    try:
        source = _tiff_source(path, tifffile, tiff)
    except BaseException:
        tiff.close()
        raise
    if not isinstance(source, PagedSource):
        tiff.close()
    return source


def _tiff_source(path: str, tifffile: ModuleType, tiff: Any) -> VolumeSource:
    series = tiff.series[0]
    shape = tuple(n for n in series.shape if n != 1) if len(series.shape) > 3 else tuple(series.shape)
    if len(shape) == 2:
        shape = (1, *shape)
    if len(shape) != 3 or "S" in series.axes:
        raise InvalidDataError(source=path, reason=f"is no volume: its axes {series.axes} have sizes {tuple(series.shape)}")
    sizes = _tiff_voxel_sizes(tifffile, tiff)
    if series.dataoffset is not None:
        return RawSource(path, path, series.dataoffset, shape, series.dtype.newbyteorder(tiff.byteorder), sizes)
    if len(series.pages) == shape[0]:
        return PagedSource(path, tiff, series, sizes)
    return ArraySource(series.asarray().reshape(shape), path, sizes)


def _tiff_voxel_sizes(tifffile: ModuleType, tiff: Any) -> tuple[float, float, float] | None:
    """Sizes (z, y, x) in angstrom of an ImageJ or OME TIFF; the resolution of a plain TIFF is about printing it."""
    if tiff.ome_metadata:
        images = tifffile.xml2dict(tiff.ome_metadata).get("OME", {}).get("Image", {})
        pixels = (images[0] if isinstance(images, list) else images).get("Pixels", {})
        # µm is the schema's default for PhysicalSize?Unit.
        named = [(pixels.get(f"PhysicalSize{axis}"), pixels.get(f"PhysicalSize{axis}Unit", "µm")) for axis in "ZYX"]
        return _angstrom(named)
    if not tiff.imagej_metadata:
        return None
    spacing = tiff.imagej_metadata.get("spacing")
    unit = tiff.imagej_metadata.get("unit")
    tags = tiff.pages[0].tags
    per_unit = [tags.valueof(name) for name in ("YResolution", "XResolution")]
    if spacing is None or unit is None or not all(per_unit) or not all(n for fraction in per_unit for n in fraction):
        return None
    return _angstrom([(spacing, unit), *((below / above, unit) for above, below in per_unit)])


def _angstrom(named: Sequence[tuple[Any, Any]]) -> tuple[float, float, float] | None:
    found = []
    for size, unit in named:
        # ImageJ writes the micro sign as an escape.
        name = _UNITS.get(str(unit).strip().lower().replace("\\u00b5", "µ"))
        if size is None or name is None:
            return None
        found.append(_six_digits(to_angstrom(float(size), name)))
    return found[0], found[1], found[2]


def _open_zarr(path: str, voxel_size: float | None) -> VolumeSource:
    """A zarr folder: level "0" of an OME-Zarr image, or a plain array."""
    import zarr
    from zarr.errors import NodeNotFoundError
    from zarr.storage import LocalStore

    from copick_core.volumes.levels import open_level, voxel_size_of

    if not any(os.path.exists(os.path.join(path, name)) for name in _ZARR_DOCUMENTS):
        raise InvalidDataError(source=path, reason="is a folder, but no zarr folder")
    store = LocalStore(path, read_only=True)
    try:
        size = voxel_size_of(store) if voxel_size is None else voxel_size
        try:
            array = zarr.open_array(store, mode="r")
        except NodeNotFoundError:
            array = open_level(store, "0", source=path)
    except LevelNotFoundError:
        raise
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        way_out = "" if voxel_size is not None else "; voxel_size (in angstrom) replaces the size that they tell"
        raise InvalidDataError(source=path, reason=f"its metadata cannot be used: {error}{way_out}") from error
    return ArraySource(array, path, None if size is None else (size, size, size))


def _six_digits(number: float) -> float:
    return float(f"{number:.6g}")


def _fill(file: Any, target: memoryview, name: str) -> None:
    done = 0
    while done < len(target):
        count = file.readinto(target[done:])
        if not count:
            raise InvalidDataError(source=name, reason="became shorter while it was read")
        done += count


def _require(package: str, feature: str) -> ModuleType:
    import importlib

    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise MissingDependencyError(feature=feature, install='pip install "copick-core[io]"') from error
