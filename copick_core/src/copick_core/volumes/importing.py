"""Streaming a volume into a zarr store, with its coarser levels, in little memory whatever its size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from copick_core.errors import InvalidDataError
from copick_core.volumes.format import FormatOptions, VolumeFormat
from copick_core.volumes.level_stream import Inspect, Progress
from copick_core.volumes.ome import write_bricks
from copick_core.volumes.orientation import orient
from copick_core.volumes.pyramid import Kind
from copick_core.volumes.reading import opened_volume

if TYPE_CHECKING:
    from zarr.abc.store import Store


class ImportOptions(FormatOptions, total=False):
    """Keyword arguments of `import_volume`, besides the format of the volume that is written.

    Attributes:
        voxel_size: Voxel size of the source in angstrom; replaces what it tells.
        transpose: The source's axes in their new order, z y x being 0 1 2: ``"2,1,0"`` or ``(2, 1, 0)``.
        flip: The axes that are to run backwards, after transposing: ``"0"`` or ``"0,2"``.
        progress: Called with (voxels written, all voxels) of the finest level.
        file_format: Name of the source's format, where its content does not tell, or several formats claim it.
        read_options: Options of that format, such as ``{"series": 1}``.
    """

    voxel_size: float | None
    transpose: str | Sequence[int] | None
    flip: str | Sequence[int] | None
    progress: Progress | None
    file_format: str | None
    read_options: Mapping[str, Any] | None


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
    inspect: Inspect | None = None,
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
        inspect: See `write_volume`.

    Returns:
        The voxel size that was stored, in angstrom.

    Raises:
        ValueError: (`InvalidDataError`) If no voxel size was given and the source tells none or voxels that are not cubes;
            and what `read_volume`, `orient` and `write_volume` raise.
    """
    with opened_volume(source, voxel_size=voxel_size) as whole:
        volume = orient(whole, transpose, flip)
        size = volume.voxel_size
        if size is None:
            raise InvalidDataError(source=volume.name, reason="does not tell its voxel size; give voxel_size (in angstrom)")
        options: Any = {"levels": levels, "kind": kind, "dtype": dtype, "format": format}
        write_bricks(store, [volume], size, progress=progress, inspect=inspect, **options)
        return size
