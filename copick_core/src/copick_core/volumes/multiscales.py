"""The documents of a volume that is written, and units of length.

OME-NGFF 0.4 keeps `multiscales` in ``.zattrs`` (zarr v2), 0.5 under ``ome`` in the attributes of
``zarr.json`` (zarr v3). Documents are written directly: going through zarr's groups takes two to three times the
requests. `copick_core.volumes.levels` reads them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from copick_core.errors import InvalidDataError

if TYPE_CHECKING:
    from zarr.abc.store import Store

_SI = {
    "yocto": -24, "zepto": -21, "atto": -18, "femto": -15, "pico": -12, "nano": -9, "micro": -6, "milli": -3,
    "centi": -2, "deci": -1, "": 0, "hecto": 2, "kilo": 3, "mega": 6, "giga": 9, "tera": 12, "peta": 15,
    "exa": 18, "zetta": 21, "yotta": 24,
}  # fmt: skip
_ANGSTROM: dict[str, float] = {
    "angstrom": 1.0,
    **{f"{prefix}meter": float(f"1e{power + 10}") for prefix, power in _SI.items()},
    "inch": 2.54e8,
    "foot": 3.048e9,
    "yard": 9.144e9,
    "mile": 1.609344e13,
    "parsec": 3.0856775814913673e26,
}
"""Angstrom in one of each unit of length that OME-NGFF 0.4 names (section "axes" metadata, the UDUNITS-2
list)."""

_ANISOTROPY = 1e-3
"""Largest relative difference between voxel sizes along z, y and x that still counts as one size (file
headers round)."""


def to_angstrom(length: float, unit: str) -> float:
    """Convert a length to angstrom.

    Args:
        length: The length.
        unit: A name that OME-NGFF uses, such as ``"nanometer"``.

    Returns:
        Angstrom, freed of the noise of binary fractions (1.052 nm is 10.52, not 10.520000000000001).

    Raises:
        ValueError: (`InvalidDataError`) If the unit is not a known unit of length.
    """
    factor = _ANGSTROM.get(unit)
    if factor is None:
        raise InvalidDataError(source="voxel size", reason=f"unknown unit of length {unit!r} (known: {', '.join(_ANGSTROM)})")
    return length if factor == 1 else float(f"{length * factor:.12g}")


def multiscales(
    voxel_sizes: Sequence[float],
    channel_axis: str | None,
    name: str,
    metadata: Mapping[str, Any] | None,
    version: Literal["0.4", "0.5"],
) -> dict[str, Any]:
    """The group's attributes: OME-NGFF 0.4 or 0.5, section "multiscales" metadata."""
    axes: list[dict[str, str]] = [{"name": axis, "type": "space", "unit": "angstrom"} for axis in "zyx"]
    lead: list[float] = []
    if channel_axis:
        axes = [{"name": channel_axis, **({"type": "channel"} if channel_axis == "c" else {})}, *axes]
        lead = [1.0]
    image: dict[str, Any] = {
        "axes": axes,
        "datasets": [
            {
                "coordinateTransformations": [{"scale": [*lead, *[size] * 3], "type": "scale"}],
                "path": str(level),
            }
            for level, size in enumerate(voxel_sizes)
        ],
        "metadata": dict(metadata or {}),
        "name": name,
    }
    if version == "0.5":
        if not metadata:
            del image["metadata"]  # as copick 2.0 leaves it out
        return {"ome": {"version": "0.5", "multiscales": [image]}}
    return {"multiscales": [{**image, "version": "0.4"}]}


def one_voxel_size(sizes: Sequence[float], source: Any) -> float:
    """The one voxel size of a volume whose file tells three.

    Args:
        sizes: In angstrom, along z, y and x.
        source: Where they are from, for the message.

    Returns:
        The size along z.

    Raises:
        ValueError: (`InvalidDataError`) If they differ by more than a thousandth, or are not positive numbers.
    """
    if not all(math.isfinite(size) and size > 0 for size in sizes):
        raise InvalidDataError(source=source, reason=f"voxel sizes (z, y, x) {tuple(sizes)} are not positive numbers")
    if max(sizes) - min(sizes) > _ANISOTROPY * max(sizes):
        raise InvalidDataError(
            source=source,
            reason=f"voxels are not cubes: sizes (z, y, x) are {tuple(sizes)} angstrom; resample the volume first",
        )
    return sizes[0]


def clear(store: Store) -> None:
    """Delete all that a store holds, metadata first: what an interrupted deletion leaves is not a volume."""
    from zarr.core.sync import sync

    async def delete() -> None:
        if await store.is_empty(""):
            return
        for key in (".zattrs", "zarr.json"):
            await store.delete(key)
        await store.delete_dir("")

    sync(delete())


def write_group(store: Store, attributes: dict[str, Any], version: Literal["0.4", "0.5"]) -> None:
    """Write a group's documents: the last step of writing a volume.

    The documents are written directly, as zarr would first look for what is there.
    """
    documents: dict[str, dict[str, Any]]
    if version == "0.4":
        documents = {".zgroup": {"zarr_format": 2}}
        if attributes:
            documents[".zattrs"] = attributes
    else:
        documents = {"zarr.json": {"zarr_format": 3, "node_type": "group", "attributes": attributes}}
    put_json(store, documents)


def put_json(store: Store, documents: Mapping[str, Mapping[str, Any]]) -> None:
    """Store some documents, in their order."""
    from zarr.core.buffer import default_buffer_prototype
    from zarr.core.sync import sync

    async def put() -> None:
        for key, document in documents.items():
            text = json.dumps(document, indent=4, allow_nan=False)
            await store.set(key, default_buffer_prototype().buffer.from_bytes(text.encode()))

    sync(put())
