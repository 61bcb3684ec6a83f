"""Opening the levels of a volume: what its metadata say, in as few requests as possible.

Documents are read directly, and what may be needed is asked for at the same time: the finest level of a volume in zarr v2
takes three requests (its group's ``.zattrs``, the array's ``.zarray`` and ``.zattrs``), in v3 two. Going through zarr's
groups takes two to three times as many.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from copick_core.errors import InvalidDataError, LevelNotFoundError
from copick_core.volumes.image import Image, parse_image, spatial
from copick_core.volumes.multiscales import one_voxel_size, to_angstrom

if TYPE_CHECKING:
    from zarr import Array
    from zarr.abc.store import Store

Version = Literal[2, 3]

#: Stands for metadata that have not been read yet, where None says that there are none.
UNREAD: Any = object()

_BIOFORMATS = "bioformats2raw.layout"
"""Attribute of a group whose images lie one group further down (OME-NGFF 0.4, section "bf2raw")."""


def open_level(store: Store, level: str | int = "0", zarr_format: Version = 2, *, source: str = "the volume") -> Array[Any]:
    """Open one resolution level (or any array of the volume) without listing the store.

    Keep the array: opening costs more than a small read.

    Args:
        store: The volume.
        level: Which level: the n-th one, or one by the path of its array; ``"0"`` is the finest.
        zarr_format: The format to look for first.
        source: What the store holds, for messages.

    Returns:
        The array as it is stored, writable if the store is.

    Raises:
        KeyError: (`LevelNotFoundError`) If there is no such level; the message lists those that exist.
        ValueError: (`InvalidDataError`) If the metadata are malformed.
    """
    return open_with_image(store, level, zarr_format, source=source)[0]


def open_with_image(
    store: Store,
    level: str | int = "0",
    zarr_format: Version = 2,
    *,
    source: str = "the volume",
    image: Image | None = UNREAD,
    attributes: bool = True,
) -> tuple[Array[Any], Image | None]:
    """Open a level, and read the metadata of its image in the same go.

    Args:
        store: The volume.
        level: As for `open_level`.
        zarr_format: The format to look for first.
        source: What the store holds, for messages.
        image: The metadata, if they are known already.
        attributes: Whether to read the array's own attributes, which zarr v2 keeps in a document of their own.

    Returns:
        The array, and the metadata of the image; None for a volume without.

    Raises:
        KeyError: As `open_level`.
        ValueError: As `open_level`.
    """
    from zarr import Array
    from zarr.core.sync import sync

    opened, image = sync(_open(store, level, _both(zarr_format), source, image, attributes))
    if opened is None:
        raise LevelNotFoundError(level=str(level), levels=levels(store, source=source), source=source)
    return Array(opened), image


def read_image(store: Store, *, source: str = "the volume") -> Image | None:
    """Read the multiscales metadata of a volume.

    Returns:
        What they say; None if there are none, as for features of any dimensionality and stores that are empty.

    Raises:
        ValueError: (`InvalidDataError`) If they are malformed, or the store holds several images.
    """
    from zarr.core.sync import sync

    async def read() -> Image | None:
        for version in _both(2):
            image = await _image(store, await _attributes(store, "", version), version, source)
            if image is not None:
                return image
        return None

    return sync(read())


def levels(store: Store, *, source: str = "the volume") -> list[str]:
    """The paths of a volume's levels, finest first; for a volume without metadata, of its arrays.

    An empty store, or one whose writing has not finished, may have none.
    """
    image = read_image(store, source=source)
    if image is not None:
        return image.paths
    from zarr.core.sync import sync

    async def arrays() -> list[str]:
        if not store.supports_listing:
            return []
        names = [entry.strip("/") async for entry in store.list_dir("")]
        return [name for name in names if await _array(store, name, 2) or await _array(store, name, 3)]

    return sorted(sync(arrays()), key=lambda name: (not name.isdigit(), int(name) if name.isdigit() else 0, name))


def voxel_size_of(store: Store, *, source: str = "OME metadata") -> float | None:
    """The voxel size of a volume's finest level, in angstrom, from its OME metadata.

    Returns:
        The size, or None if the volume has no OME metadata, no scale, or a scale without a unit.

    Raises:
        ValueError: (`InvalidDataError`) If the sizes along z, y and x differ, or a unit is not a unit of length.
    """
    image = read_image(store, source=source)
    if image is None or not image.datasets or not image.axes:
        return None
    finest = image.datasets[0]
    if finest.problem:
        raise InvalidDataError(source=source, reason=f"level {finest.path!r} has {finest.problem}")
    at, scale = spatial(image.axes), finest.scale
    units = [image.axes[i].unit for i in at or ()]
    if at is None or not scale or not all(units):
        return None
    sizes = [to_angstrom(scale[i], str(unit)) for i, unit in zip(at, units, strict=True)]
    return one_voxel_size(sizes, source)


def expect_numcodecs() -> None:
    """Keep zarr from warning of each array with the codec ``numcodecs.shuffle``, which copick 2.0 writes."""
    import warnings

    from zarr.errors import ZarrUserWarning

    warnings.filterwarnings("ignore", "Numcodecs codecs are not in the Zarr version 3", ZarrUserWarning)


def _both(first: Version) -> tuple[Version, Version]:
    return (2, 3) if first == 2 else (3, 2)


async def _open(
    store: Store, level: str | int, formats: tuple[Version, Version], source: str, image: Image | None, attributes: bool
) -> tuple[Any, Image | None]:
    name = str(level).strip("/")
    guess = name if name and not {"", ".", ".."} & set(name.split("/")) else None
    if image is not UNREAD:
        path = guess if image is None else image.path(level) or guess
        for version in formats:
            if path is not None and (document := await _array(store, path, version, attributes)) is not None:
                return await _opened(store, path, document), image
        return None, image
    known: Image | None = None
    for version in formats:
        described, document = await asyncio.gather(
            _attributes(store, "", version), _array(store, guess, version, attributes) if guess else _nothing()
        )
        image = await _image(store, described, version, source)
        known = known or image
        path = guess if image is None else image.path(level) or guess
        if path != guess:
            document = None if path is None else await _array(store, path, version, attributes)
        if path is not None and document is not None:
            return await _opened(store, path, document), known
    return None, known


async def _opened(store: Store, path: str, document: dict[str, Any]) -> Any:
    from zarr import AsyncArray
    from zarr.storage import StorePath

    if document["zarr_format"] == 2 and "dimension_separator" not in document:
        document["dimension_separator"] = await _separator(store, path)
    if "numcodecs." in str(document.get("codecs")):
        expect_numcodecs()
    return AsyncArray.from_dict(StorePath(store, path), document)


async def _separator(store: Store, path: str) -> str:
    """What separates chunk indices in a zarr v2 array whose metadata leave it out: folders had it so before zarr 2.8."""
    if store.supports_listing:
        async for entry in store.list_dir(path):
            name = entry.strip("/")
            if name.isdigit():
                return "/"
            if name and not name.startswith("."):
                return "."
    return "."


async def _image(store: Store, attributes: Mapping[str, Any] | None, version: Version, source: str) -> Image | None:
    """The image of a group's attributes, or of the one group below it that bioformats2raw made."""
    image = parse_image(attributes, source)
    described = {**((attributes or {}).get("ome") or {}), **(attributes or {})}
    if image is not None or _BIOFORMATS not in described:
        return image
    images = []
    for number in range(2):
        below = await _attributes(store, f"{number}/", version)
        if (found := parse_image(below, source, f"{number}/")) is not None:
            images.append(found)
    if len(images) > 1:
        reason = "it holds several images (written by bioformats2raw); store the one that is meant in a volume of its own"
        raise InvalidDataError(source=source, reason=reason)
    return images[0] if images else None


async def _attributes(store: Store, prefix: str, version: Version) -> dict[str, Any] | None:
    if version == 2:
        return await _json(store, f"{prefix}.zattrs")
    attributes = (await _json(store, f"{prefix}zarr.json") or {}).get("attributes")
    if not isinstance(attributes, dict | None):
        reason = f"its attributes are a JSON {type(attributes).__name__}, not an object"
        raise InvalidDataError(source=f"{prefix}zarr.json", reason=reason)
    return attributes


async def _array(store: Store, path: str, version: Version, attributes: bool = False) -> dict[str, Any] | None:
    """The metadata of an array, its attributes included; None where there is none."""
    if version == 3:
        document = await _json(store, f"{path}/zarr.json")
        return document if document is not None and document.get("node_type", "array") == "array" else None
    document, own = await asyncio.gather(
        _json(store, f"{path}/.zarray"), _json(store, f"{path}/.zattrs") if attributes else _nothing()
    )
    return None if document is None else {"zarr_format": 2, **document, "attributes": own or {}}


async def _nothing() -> None:
    return None


async def _json(store: Store, key: str) -> dict[str, Any] | None:
    from zarr.core.buffer import default_buffer_prototype

    found = await store.get(key, default_buffer_prototype())
    if found is None:
        return None
    try:
        document = json.loads(found.to_bytes())
    except (ValueError, RecursionError) as error:
        raise InvalidDataError(source=key, reason=f"not valid JSON ({error})") from error
    if not isinstance(document, dict):
        raise InvalidDataError(source=key, reason=f"it is a JSON {type(document).__name__}, not an object")
    return document
