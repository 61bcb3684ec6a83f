"""OME-Zarr as copick 2.0 reads and writes it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from copick._layout import preset
from copick_core.errors import InvalidDataError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from zarr import Group
    from zarr.abc.store import Store

DEFAULT_SPATIAL_CHUNKS = (128, 128, 128)

#: Uncompressed bytes from which on a shard is refused: object stores take no larger objects. Read at each write.
_SHARD_LIMIT_BYTES = 5 * 10**12
#: Uncompressed bytes from which on a shard draws a warning: it is made in memory.
_SHARD_WARNING_BYTES = 5 * 10**9


def check_shard_size(size: int) -> None:
    """Refuse shards that no object store takes, and warn of large ones.

    Args:
        size: Uncompressed bytes.

    Raises:
        ValueError: It is too large.
    """
    if size >= _SHARD_LIMIT_BYTES:
        raise InvalidDataError(source="shards", reason=f"a shard of {size} bytes is too large: it must be below 5 TB")
    if size > _SHARD_WARNING_BYTES:
        warnings.warn(f"A shard has {size} bytes before compression.", UserWarning, stacklevel=4)


def get_multiscales(zarr_group: Group) -> list[dict[str, Any]]:
    """The multiscale images of a group, as they are stored.

    Args:
        zarr_group: The group, of OME-Zarr 0.4 or 0.5.

    Raises:
        KeyError: It has no such metadata.
    """
    attributes = zarr_group.attrs
    if "multiscales" in attributes:
        return attributes["multiscales"]  # type: ignore[return-value]
    ome = attributes.get("ome")
    if isinstance(ome, Mapping) and "multiscales" in ome:
        return ome["multiscales"]  # type: ignore[return-value]
    raise KeyError("OME-Zarr multiscales metadata not found")


def get_level_path(zarr_group: Group, level: int) -> str:
    """The path of a level of the first multiscale image.

    Args:
        zarr_group: The group.
        level: Number of the level; 0 is the finest.

    Raises:
        KeyError: The group has no multiscales metadata.
        ValueError: There is no such level.
    """
    datasets = get_multiscales(zarr_group)[0]["datasets"]
    if not 0 <= level < len(datasets):
        raise ValueError(f"Level {level} not found: the largest one is {len(datasets) - 1}.")
    return str(datasets[level]["path"])


def get_voxel_size_from_zarr(zarr_group: Group) -> float:
    """The voxel size of the finest level in angstrom."""
    from copick_core.volumes.multiscales import to_angstrom

    image = get_multiscales(zarr_group)[0]
    transforms = image["datasets"][0]["coordinateTransformations"]
    size = float(next(t["scale"] for t in transforms if t["type"] == "scale")[-3])
    unit = next((axis.get("unit") for axis in image["axes"] if axis.get("type") == "space"), None)
    try:
        return to_angstrom(size, str(unit))
    except ValueError:
        return size


def write_ome_zarr_3d(
    store: Store | str,
    pyramid: Mapping[float, NDArray[Any]],
    chunk_size: Sequence[int] = DEFAULT_SPATIAL_CHUNKS,
    overwrite: bool = True,
    metadata: Mapping[str, Any] | None = None,
    shard_size: Sequence[int] | None = None,
) -> None:
    """Write a pyramid of volumes that was made elsewhere.

    Args:
        store: A zarr store, or a local path.
        pyramid: Arrays (z, y, x) by voxel size in angstrom, finest first.
        chunk_size: Chunk shape (z, y, x).
        overwrite: Replace what the store holds; without it, refuse to.
        metadata: Goes into the metadata of the multiscale image.
        shard_size: Shard shape; one shard for each level by default.

    Raises:
        ValueError: Arrays, chunks and shards do not fit together.
        TypeError: A type cannot be stored.
        FileExistsError: The store holds something, and not ``overwrite``.
    """
    from copick_core.volumes.ome import layout_of, write_pyramid

    arrays = {float(size): np.asanyarray(array) for size, array in pyramid.items()}
    if not arrays or any(array.ndim != 3 for array in arrays.values()):
        raise ValueError("a pyramid needs one array (z, y, x) or more")
    for name, sizes in (("chunk_size", chunk_size), ("shard_size", shard_size)):
        if sizes is not None and (len(sizes) != 3 or any(not isinstance(n, int | np.integer) or n < 1 for n in sizes)):
            raise ValueError(f"{name} must be three positive integers, not {sizes!r}")
    if any(array.dtype.kind not in "fiub" for array in arrays.values()):
        raise TypeError("only integers, floats and bool can be stored")
    if metadata is not None and not isinstance(metadata, Mapping):
        raise TypeError(f"metadata must be a mapping, not {metadata!r}")
    if not overwrite and _holds_something(store):
        raise FileExistsError("The store already holds a volume. Pass overwrite=True to replace it.")
    options: dict[str, Any] = {"format": preset(), "chunks": tuple(chunk_size)}
    if shard_size is not None:
        options["shards"] = tuple(shard_size)
    layout = layout_of(options)
    for array in arrays.values():
        if (shard := layout.shard_shape(array.shape)) is not None:
            check_shard_size(math.prod(shard) * array.dtype.itemsize)
    write_pyramid(_opened(store), arrays, format=layout, metadata=metadata)


def _opened(store: Store | str) -> Store:
    if not isinstance(store, str):
        return store
    from zarr.storage import LocalStore

    return LocalStore(store)


def _holds_something(store: Store | str) -> bool:
    from zarr import open_group

    try:
        group = open_group(_opened(store), mode="r")
    except (FileNotFoundError, KeyError):
        return False
    return bool(dict(group.attrs) or [*group])
