"""Volumes as the viewer in the page can draw them, whatever is stored.

The page's viewer (neuroglancer) reads OME-Zarr itself: integers of 8 to 64 bits and float32, compressed by what
browsers decode. Such a volume is passed on as it is stored. Anything else is decoded here, chunk by chunk as it is
asked for, and passed on as an uncompressed zarr v2 volume. In both cases the metadata of the image are made up, so that
voxels lie where copick says that they lie (:mod:`copick_view.viewer.placement`).
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from zarr.abc.store import ByteRequest, Store

from copick_core.errors import InvalidDataError
from copick_core.layers.byte_ranges import limits
from copick_view.viewer.placement import Level, Pyramid, place_levels

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from zarr.core.buffer import Buffer, BufferPrototype

    from copick_core.models.volume import Volume
    from copick_core.volumes.ome import LevelView

#: Data types that are drawn: integers and float32.
_DRAWN = frozenset({"int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32"})
#: Codecs that the viewer decodes, by zarr format.
_CODECS_2 = frozenset({"zlib", "gzip", "zstd", "blosc"})
_CODECS_3 = frozenset({"bytes", "transpose", "gzip", "zstd", "blosc", "crc32c", "sharding_indexed"})
#: Most voxels of a chunk that is decoded here; larger ones are cut into cubes.
_MOST_VOXELS = 1 << 22
_CUBE = 64
#: Threads that decode. They wait for zarr, whose own threads (those of its loop) must be free meanwhile.
_decoders = ThreadPoolExecutor(4, thread_name_prefix="copick-view-decode")


class PageVolume(Store):
    """A volume as the page reads it: a read-only zarr store.

    Args:
        volume: Tomogram, segmentation, or feature map with the axes z, y and x.
        voxel_size: In angstrom.
        labels: Whether voxels are labels.
        first_level: Leave out this many of the finest levels.
        channel: Which channel of a panoptic segmentation; None for volumes without.

    Attributes:
        levels: Where each level lies.
        views: The levels.
        zarr_format: Of what the page reads, 2 or 3.
        reencoded: Why the volume is decoded here; None where it is passed on as it is stored.

    Raises:
        InvalidDataError: The volume has values that nothing can draw, or other axes.
        LevelNotFoundError: Nothing has been written yet.
    """

    supports_writes = False
    supports_deletes = False
    supports_listing = False

    def __init__(
        self, volume: Volume[Any], voxel_size: float, *, labels: bool, first_level: int = 0, channel: int | None = None
    ) -> None:
        super().__init__(read_only=True)
        self._is_open = True
        views = [volume.view(name) for name in volume.levels]
        if not views:
            volume.view("0")  # raises the error that says so
        pyramid: Pyramid = "nearest" if labels else "mean"
        placed = place_levels(views, voxel_size, pyramid)
        first = min(first_level, len(views) - 1)
        self._volume = volume
        self._channel = channel
        self._labels = labels
        self.views = views[first:]
        self.levels: list[Level] = placed[first:]
        self.reencoded = next((reason for view in self.views if (reason := _obstacle(view, labels))), None)
        self.zarr_format: Literal[2, 3] = 2 if self.reencoded else self.views[0].array.metadata.zarr_format
        self._documents = self._decoded_documents() if self.reencoded else self._passed_documents()
        self._inner = None if self.reencoded else volume.zarr()

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    # ------------------------------------------------------------------ what the page asks for

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """Read the value of a key; None where there is none."""
        if key in self._documents:
            return prototype.buffer.from_bytes(self._documents[key][slice(*limits(byte_range))])
        if self._inner is not None:
            return await self._inner.get(key, prototype, byte_range)
        data = await asyncio.get_running_loop().run_in_executor(_decoders, self._decoded_chunk, key)
        return None if data is None else prototype.buffer.from_bytes(data[slice(*limits(byte_range))])

    async def getsize(self, key: str) -> int:
        """Bytes of a value, of stored ones without reading them.

        Raises:
            FileNotFoundError: There is none.
        """
        if key in self._documents:
            return len(self._documents[key])
        if self._inner is not None:
            return await self._inner.getsize(key)
        found = self._chunk_of(key)
        if found is None:
            raise FileNotFoundError(key)
        number, _ = found
        return math.prod(self._cubes[number]) * self._served_dtype(self.views[number].dtype).itemsize

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Read parts of values."""
        return [await self.get(key, prototype, byte_range) for key, byte_range in key_ranges]

    async def exists(self, key: str) -> bool:
        """Whether a key has a value."""
        if key in self._documents:
            return True
        return await self._inner.exists(key) if self._inner is not None else self._chunk_of(key) is not None

    async def set(self, key: str, value: Any) -> None:
        """Refuse: the page only reads."""
        self._check_writable()

    async def delete(self, key: str) -> None:
        """Refuse: the page only reads."""
        self._check_writable()

    async def list(self) -> AsyncIterator[str]:
        """List the metadata; chunks are asked for by name."""
        for key in self._documents:
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """List the metadata whose keys begin with a prefix."""
        for key in self._documents:
            if key.startswith(prefix):
                yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """List the names of metadata directly below a prefix."""
        start = f"{prefix.rstrip('/')}/" if prefix else ""
        for name in dict.fromkeys(key[len(start) :].partition("/")[0] for key in self._documents if key.startswith(start)):
            yield name

    # ------------------------------------------------------------------ metadata

    def _multiscales(self, version: str) -> dict[str, Any]:
        datasets = [
            {
                "path": level.path,
                "coordinateTransformations": [
                    {"type": "scale", "scale": [*level.scale]},
                    {"type": "translation", "translation": [*level.origin]},
                ],
            }
            for level in self.levels
        ]
        axes = [{"name": axis, "type": "space", "unit": "angstrom"} for axis in "zyx"]
        image: dict[str, Any] = {"axes": axes, "datasets": datasets}
        if version == "0.5":
            return {"ome": {"version": version, "multiscales": [image]}}
        return {"multiscales": [{**image, "version": version}]}

    def _passed_documents(self) -> dict[str, bytes]:
        if self.zarr_format == 3:
            group = {"zarr_format": 3, "node_type": "group", "attributes": self._multiscales("0.5")}
            return {"zarr.json": json.dumps(group).encode()}
        return {".zgroup": b'{"zarr_format": 2}', ".zattrs": json.dumps(self._multiscales("0.4")).encode()}

    def _decoded_documents(self) -> dict[str, bytes]:
        documents = {".zgroup": b'{"zarr_format": 2}', ".zattrs": json.dumps(self._multiscales("0.4")).encode()}
        self._cubes = [_cube(view) for view in self.views]
        for level, view, cube in zip(self.levels, self.views, self._cubes, strict=True):
            array = {
                "zarr_format": 2,
                "shape": [*level.shape],
                "chunks": [*cube],
                "dtype": self._served_dtype(view.dtype).str,
                "compressor": None,
                "filters": None,
                "fill_value": 0,
                "order": "C",
                "dimension_separator": ".",
            }
            documents[f"{level.path}/.zarray"] = json.dumps(array).encode()
        return documents

    # ------------------------------------------------------------------ what is decoded here

    def _served_dtype(self, dtype: np.dtype[Any]) -> np.dtype[Any]:
        if dtype.kind == "b":
            return np.dtype("u1")
        if dtype.kind == "f":
            return np.dtype("<u4" if self._labels else "<f4")
        return dtype.newbyteorder("<")

    def _chunk_of(self, key: str) -> tuple[int, tuple[int, ...]] | None:
        """The level and the chunk that a key names."""
        path, _, name = key.rpartition("/")
        number = next((n for n, level in enumerate(self.levels) if level.path == path), None)
        parts = name.split(".")
        if number is None or len(parts) != 3 or not all(part.isascii() and part.isdecimal() for part in parts):
            return None
        index = tuple(int(part) for part in parts)
        starts = zip(index, self._cubes[number], self.levels[number].shape, strict=True)
        return (number, index) if all(i * size < length for i, size, length in starts) else None

    def _decoded_chunk(self, key: str) -> bytes | None:
        found = self._chunk_of(key)
        if found is None:
            return None
        number, index = found
        view, cube, shape = self.views[number], self._cubes[number], self.levels[number].shape
        box = [slice(i * size, min((i + 1) * size, length)) for i, size, length in zip(index, cube, shape, strict=True)]
        region: tuple[Any, ...] = (*box,) if self._channel is None else (self._channel, *box)
        values = view[region]
        chunk = np.zeros(cube, self._served_dtype(view.dtype))
        chunk[tuple(slice(0, n) for n in values.shape)] = _as_labels(values) if self._labels else values
        return chunk.tobytes()


def _obstacle(view: LevelView, labels: bool) -> str | None:
    """Why the page's viewer cannot read a level as it is stored; None if it can.

    Raises:
        InvalidDataError: Nothing can draw its values.
    """
    array, metadata = view.array, view.array.metadata
    if view.dtype.kind not in "biuf":
        raise InvalidDataError(source=array.name or "volume", reason=f"values of type {view.dtype} cannot be drawn")
    if view.ndim != array.ndim or view.order != tuple(range(array.ndim)) or array.ndim != 3:
        return "its axes are not z, y, x"
    if view.dtype.name not in _DRAWN or (labels and view.dtype.kind == "f"):
        return f"its values are {view.dtype}"
    if metadata.zarr_format == 2:
        if metadata.filters:
            return "it has filters"
        compressor = metadata.compressor
        name = None if compressor is None else compressor.codec_id
        return None if name is None or name in _CODECS_2 else f"it is compressed by {name}"
    unknown = sorted({name for name in _codec_names(metadata.codecs) if name not in _CODECS_3})
    return f"it is compressed by {', '.join(unknown)}" if unknown else None


def _codec_names(codecs: Sequence[Any]) -> list[str]:
    """Names of codecs, those inside of shards too."""
    names: list[str] = []
    for codec in codecs:
        document = codec.to_dict()
        names.append(document["name"])
        names += _codec_names(getattr(codec, "codecs", ()))
        names += _codec_names(getattr(codec, "index_codecs", ()))
    return names


def _cube(view: LevelView) -> tuple[int, ...]:
    """Shape of the chunks that are passed on: those that are stored, or cubes where they are large."""
    stored, shape = view.inner[-3:], view.shape[-3:]
    if math.prod(stored) <= _MOST_VOXELS:
        return tuple(stored)
    return tuple(min(_CUBE, n) for n in shape)


def _as_labels(values: NDArray[Any]) -> NDArray[Any]:
    """Labels that were stored as floats, as integers; what is none becomes background."""
    if values.dtype.kind != "f":
        return values
    with np.errstate(invalid="ignore"):
        good = (values >= 0) & (values < 2.0**32)
    return np.where(good, np.rint(np.where(good, values, 0)), 0).astype("<u4")
