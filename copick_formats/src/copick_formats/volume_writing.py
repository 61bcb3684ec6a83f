"""Volumes to MRC, EM, TIFF, NRRD and OME-Zarr, slab by slab. Integers are written without change, or not at all."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from copick_core.errors import InvalidDataError, MissingDependencyError
from copick_core.volumes.sources import VolumeSource
from copick_formats.em import em_header
from copick_formats.exact import exact_dtype, slabs

_MRC_MODES = {"int8": 0, "int16": 1, "uint16": 6, "float32": 2}
_EM_TYPES = ["int8", "int16", "int32", "float32", "float64"]
_TIFF_TYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"]
_NRRD_TYPES = {
    "uint8": "uint8", "int8": "int8", "uint16": "uint16", "int16": "int16", "uint32": "uint32", "int32": "int32",
    "uint64": "uint64", "int64": "int64", "float32": "float", "float64": "double",
}  # fmt: skip
"""Names of types in NRRD headers."""
_ZARR_TYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float16", "float32", "float64"]

_dtype = click.option("--dtype", help="Data type in the file: fractions are rounded to it, integers never change.")


@_dtype
def write_mrc(path: str, volume: VolumeSource, *, dtype: str | None = None) -> None:
    """Write an MRC2014 file: int8, int16, uint16 or float32, with statistics in its header.

    Args:
        path: The new file.
        volume: The volume; its voxel size is written, 0 where it has none.
        dtype: The type in the file.

    Raises:
        InvalidDataError: No type holds the values without change.
    """
    from mrcfile.dtypes import HEADER_DTYPE

    stored = exact_dtype(path, volume, [*_MRC_MODES], dtype)
    header = np.zeros((), HEADER_DTYPE.newbyteorder("<"))
    header["nz"], header["ny"], header["nx"] = header["mz"], header["my"], header["mx"] = volume.shape
    header["mode"] = _MRC_MODES[stored.name]
    sizes = volume.voxel_sizes or (0.0, 0.0, 0.0)
    header["cella"]["z"], header["cella"]["y"], header["cella"]["x"] = (
        n * s for n, s in zip(volume.shape, sizes, strict=True)
    )
    for angle in ("alpha", "beta", "gamma"):
        header["cellb"][angle] = 90.0
    header["mapc"], header["mapr"], header["maps"] = 1, 2, 3
    header["ispg"] = 1
    header["nversion"] = 20141
    header["map"] = b"MAP "
    header["machst"] = [0x44, 0x44, 0, 0]
    low, high, total, squares, count = math.inf, -math.inf, 0.0, 0.0, 0
    with open(path, "wb") as file:
        file.write(header.tobytes())
        for slab in slabs(volume, stored.newbyteorder("<")):
            file.write(slab.data)
            values = slab.astype(np.float64)
            low, high = min(low, float(values.min())), max(high, float(values.max()))
            total, squares, count = total + float(values.sum()), squares + float(np.square(values).sum()), count + values.size
        if count and math.isfinite(total):
            mean = total / count
            header["dmin"], header["dmax"], header["dmean"] = low, high, mean
            header["rms"] = math.sqrt(max(squares / count - mean * mean, 0.0))
        file.seek(0)
        file.write(header.tobytes())


@_dtype
def write_em(path: str, volume: VolumeSource, *, dtype: str | None = None) -> None:
    """Write an EM file: int8, int16, int32, float32 or float64. It has no voxel size.

    Args:
        path: The new file.
        volume: The volume.
        dtype: The type in the file.

    Raises:
        InvalidDataError: No type holds the values without change.
    """
    stored = exact_dtype(path, volume, _EM_TYPES, dtype)
    with open(path, "wb") as file:
        file.write(em_header(volume.shape, stored))
        for slab in slabs(volume, stored.newbyteorder("<")):
            file.write(slab.data)


@_dtype
@click.option("--compression", type=click.Choice(["none", "zlib", "lzw"]), default="none", help="How pages are compressed.")
def write_tiff(path: str, volume: VolumeSource, *, dtype: str | None = None, compression: str = "none") -> None:
    """Write an OME-TIFF with a page for each plane, and the voxel size in its metadata.

    Args:
        path: The new file.
        volume: The volume.
        dtype: The type in the file; as the volume has it by default.
        compression: ``"none"``, ``"zlib"``, or ``"lzw"`` (needs the extra ``copick-formats[tiff]``).

    Raises:
        InvalidDataError: No type holds the values without change.
        MissingDependencyError: The compression needs a package that is not installed.
    """
    import tifffile

    stored = exact_dtype(path, volume, _TIFF_TYPES, dtype)
    metadata: dict[str, Any] = {"axes": "ZYX"}
    if volume.voxel_sizes is not None:
        for axis, size in zip("ZYX", volume.voxel_sizes, strict=True):
            metadata |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": "Å"}
    if compression not in ("none", "zlib", "lzw"):
        raise InvalidDataError(source=path, reason=f"there is no compression {compression!r}; choose none, zlib or lzw")
    if compression == "lzw":
        try:
            import imagecodecs  # noqa: F401 - tifffile needs it
        except ImportError as error:
            install = 'pip install "copick-formats[tiff]"'
            raise MissingDependencyError(feature="LZW compression", install=install) from error
    # 4 GB are the limit of plain TIFF.
    large = math.prod(volume.shape) * stored.itemsize > 3 << 30
    with tifffile.TiffWriter(path, bigtiff=large, ome=True) as tiff:
        tiff.write(
            _planes(volume, stored),
            shape=volume.shape,
            dtype=stored,
            compression=None if compression == "none" else compression,
            photometric="minisblack",
            metadata=metadata,
        )


@_dtype
def write_nrrd(path: str, volume: VolumeSource, *, dtype: str | None = None) -> None:
    """Write an NRRD file, not compressed, with the voxel size in angstrom along x, y and z and the origin 0.

    Args:
        path: The new file.
        volume: The volume.
        dtype: The type in the file; as the volume has it by default.

    Raises:
        InvalidDataError: No type holds the values without change.
    """
    stored = exact_dtype(path, volume, [*_NRRD_TYPES], dtype)
    z, y, x = volume.shape
    lines = ["NRRD0005", f"type: {_NRRD_TYPES[stored.name]}", "dimension: 3", f"sizes: {x} {y} {z}", "encoding: raw"]
    if stored.itemsize > 1:
        lines.append("endian: little")
    if volume.voxel_sizes is not None:
        directions = np.diag(volume.voxel_sizes[::-1]).tolist()
        lines += [
            "space dimension: 3",
            'space units: "angstrom" "angstrom" "angstrom"',
            "space directions: " + " ".join(f"({','.join(map(repr, row))})" for row in directions),
            "space origin: (0,0,0)",
        ]
    with open(path, "wb") as file:
        file.write(("\n".join(lines) + "\n\n").encode())
        for slab in slabs(volume, stored.newbyteorder("<")):
            file.write(slab.data)


@_dtype
@click.option("--levels", type=click.IntRange(min=1), default=1, show_default=True, help="Number of resolution levels.")
@click.option("--zarr-format", type=click.Choice(["2", "3"]), default="2", help="2 for OME-Zarr 0.4, 3 for 0.5.")
def write_ome_zarr(
    path: str, volume: VolumeSource, *, dtype: str | None = None, levels: int = 1, zarr_format: str | int = 2
) -> None:
    """Write an OME-Zarr folder; levels of integers are made of the nearest voxels, others of means.

    Args:
        path: The new folder.
        volume: The volume.
        dtype: The type to store; as the volume has it by default.
        levels: Number of resolution levels.
        zarr_format: 2 for OME-Zarr 0.4, 3 for 0.5.

    Raises:
        InvalidDataError: No type holds the values without change, or the voxel size is not known.
    """
    from zarr.storage import LocalStore

    from copick_core.volumes.format import VolumeFormat
    from copick_core.volumes.ome import write_bricks

    size = volume.voxel_size
    if size is None:
        raise InvalidDataError(source=volume.name, reason="does not tell its voxel size, which OME-Zarr needs")
    if str(zarr_format) not in ("2", "3"):
        raise InvalidDataError(source=path, reason=f"zarr_format is {zarr_format!r}; choose 2 or 3")
    stored = exact_dtype(path, volume, _ZARR_TYPES, dtype)
    layout = VolumeFormat(zarr_format=3 if str(zarr_format) == "3" else 2)
    kind: Any = "nearest" if stored.kind in "iub" else "mean"
    write_bricks(LocalStore(path), [volume], size, levels=levels, kind=kind, dtype=stored, format=layout)


def _planes(volume: VolumeSource, dtype: np.dtype[Any]) -> Iterator[npt.NDArray[Any]]:
    for slab in slabs(volume, dtype):
        yield from slab
