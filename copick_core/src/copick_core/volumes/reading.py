"""Volumes from files, zarr folders and arrays.

Arrays, dask and zarr are read here; every other kind of file is read by an installed format (see
`copick_core.plugins.Format`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from copick_core.errors import CopickError, InvalidDataError
from copick_core.plugins.choosing import format_that_reads, function_of
from copick_core.volumes.sources import ArraySource, VolumeSource
from copick_core.volumes.zarr_folders import is_zarr_folder, open_zarr


def read_volume(
    source: Any, *, voxel_size: float | None = None, file_format: str | None = None, **options: Any
) -> VolumeSource:
    """Open a volume without reading its voxels.

    Args:
        source: Path of a file or zarr folder, an array-like (z, y, x), or a `VolumeSource`, which is returned itself.
        voxel_size: In angstrom; replaces what the file tells, or the `VolumeSource` says.
        file_format: Name of the file's format, such as a row of ``copick-core plugins`` has it; by default the one that
            claims its content, or else its suffix.
        **options: Options of the format.

    Returns:
        The volume, a context manager. Most formats keep files closed between reads; packed files (gzip, bzip2) are
        unpacked into a temporary file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: (`InvalidDataError`) If the file is damaged, or holds no real-valued volume; `UnknownFormatError` if no
            installed format reads it (the message gives the line that installs one), or several claim it.
        ImportError: (`MissingDependencyError`) If the format needs a package that is not installed.
        TypeError: If the format has no such option.

    Example:
        >>> volume = read_volume(np.zeros((4, 5, 6), np.float32), voxel_size=10.0)
        >>> volume.shape, volume.voxel_size, volume.slabs(0, 2).shape
        ((4, 5, 6), 10.0, (2, 5, 6))
    """
    if isinstance(source, VolumeSource):
        volume = source
    elif isinstance(source, (str, os.PathLike)):
        volume = _open(os.fspath(source), voxel_size, file_format, options)
    else:
        volume = ArraySource(source if hasattr(source, "shape") and hasattr(source, "dtype") else np.asarray(source))
    if voxel_size is not None:
        volume.voxel_sizes = (float(voxel_size),) * 3
    return volume


@contextmanager
def opened_volume(source: Any, **arguments: Any) -> Iterator[VolumeSource]:
    """Open a volume as `read_volume` does, and close it afterwards if that opened it."""
    volume = read_volume(source, **arguments)
    try:
        yield volume
    finally:
        if volume is not source:
            volume.close()


def _open(path: str, voxel_size: float | None, file_format: str | None, options: Mapping[str, Any]) -> VolumeSource:
    """Open a file with the format that claims it, or a zarr folder."""
    if not os.path.exists(path):
        raise FileNotFoundError(f"There is no file {path}")
    if file_format is None and os.path.isdir(path) and is_zarr_folder(path):
        if options:
            raise TypeError(f"{path} is a zarr folder, which has no option {next(iter(options))!r}.")
        return open_zarr(path, voxel_size)
    chosen = format_that_reads(path, "volume", file_format)
    read = function_of(chosen, chosen.reads, "volume", options)
    try:
        volume: VolumeSource = read(path, **options)
    except (CopickError, FileNotFoundError, PermissionError, MemoryError):
        raise
    except Exception as error:
        reason = f"is not a readable file of the format {chosen.name!r} ({type(error).__name__}: {error})"
        raise InvalidDataError(source=path, reason=reason) from error
    return volume
