"""How a volume is laid out in storage: zarr format, chunks, shards, compression."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

DEFAULT_CHUNK = 128
"""Voxels along each edge of a chunk: 8 MiB of float32, fits a core's cache and was the fastest for writing
and regions."""

BLOSC_LZ4 = {"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1, "blocksize": 0}
"""The compressor that copick 1.x writes."""

_NAMED_COMPRESSORS: dict[str, dict[str, Any]] = {
    "blosc": BLOSC_LZ4,
    "zstd": {"id": "zstd", "level": 1},
    "gzip": {"id": "gzip", "level": 5},
    "shuffle-zstd": {"id": "shuffle-zstd", "level": 3},
}
_ZARR3_COMPRESSORS = tuple(_NAMED_COMPRESSORS)

Preset = Literal["copick-1", "copick-2", "ome-0.5"]
"""A layout by the name of who reads it best."""

PRESETS: Mapping[Preset, Mapping[str, Any]] = {
    "copick-1": {},
    "copick-2": {
        "zarr_format": 3,
        "compressor": "shuffle-zstd",
        "shards": "level",
        "key_encoding": "v2",
        "clipped": False,
        "feature_axis": "feature",
    },
    "ome-0.5": {"zarr_format": 3, "shards": (512, 512, 512)},
}
"""What each preset sets of a `VolumeFormat`; the rest is as by default.

``copick-1`` is OME-Zarr 0.4 in zarr v2, ``copick-2`` what copick 2.0 writes (OME-Zarr 0.5, each level one shard),
``ome-0.5`` OME-Zarr 0.5 in shards of at most 512 voxels along each edge, of which few are written again for a region.
"""
_BLOSC_SHUFFLES: tuple[Literal["noshuffle", "shuffle", "bitshuffle"], ...] = (
    "noshuffle",
    "shuffle",
    "bitshuffle",
)


class FormatOptions(TypedDict, total=False):
    """Keyword arguments of whatever writes a whole volume; those left out are as the project is configured.

    They mean what the attributes of `VolumeFormat` of the same names mean.
    """

    format: Preset
    zarr_format: Literal[2, 3]
    chunks: int | tuple[int, ...]
    compressor: str | Mapping[str, Any] | None
    shards: int | tuple[int, ...] | Literal["level"] | None


def layout_of(*options: Mapping[str, Any]) -> VolumeFormat:
    """The format that some options describe; later ones replace earlier ones, and ``format`` all that came before it.

    Raises:
        ValueError: If they do not fit together, or there is no such preset.
    """
    chosen: dict[str, Any] = {}
    for given in options:
        preset = given.get("format")
        if preset is not None:
            if preset not in PRESETS:
                raise ValueError(f"format must be one of {', '.join(map(repr, PRESETS))}, not {preset!r}.")
            chosen = dict(PRESETS[preset])
        chosen.update({name: value for name, value in given.items() if name != "format"})
    return VolumeFormat(**chosen)


@dataclass(frozen=True)
class VolumeFormat:
    """How arrays are laid out in storage.

    The default is what copick 1.x reads: zarr v2, Blosc lz4, in chunks of 128 voxels along each edge.

    Attributes:
        zarr_format: 2 (OME-NGFF 0.4) or 3 (OME-NGFF 0.5).
        chunks: Chunk size in voxels: one number for all axes, or one for each of the last axes (z, y, x).
            Axes before those (channels) get chunks of 1; no chunk is larger than its array.
        compressor: ``"blosc"`` (lz4, level 5, byte shuffle), ``"zstd"``, ``"gzip"``, a numcodecs config such
            as ``{"id": "blosc", "cname": "zstd", "clevel": 3, "shuffle": 2}``, or None. Zarr v3 knows blosc,
            zstd and gzip, and ``"shuffle-zstd"``: zstd (level 3), of floats after a byte shuffle.
        shards: Zarr v3 only: size of the files that hold several chunks each, multiples of ``chunks``; ``"level"``
            for one file for each level.
        key_encoding: Zarr v3 only: how chunks are named, ``"default"`` (``c/0/0/0``) or ``"v2"`` (``0/0/0``).
        clipped: Whether chunks are no larger than the array.
        feature_axis: Name of the first axis of features (feature, z, y, x).

    Raises:
        ValueError: If the values do not fit together.
    """

    zarr_format: Literal[2, 3] = 2
    chunks: int | tuple[int, ...] = (DEFAULT_CHUNK,) * 3
    compressor: str | Mapping[str, Any] | None = "blosc"
    shards: int | tuple[int, ...] | Literal["level"] | None = None
    key_encoding: Literal["default", "v2"] = "default"
    clipped: bool = True
    feature_axis: str = "c"

    def __post_init__(self) -> None:
        if self.zarr_format not in (2, 3):
            raise ValueError(f"zarr_format must be 2 or 3, not {self.zarr_format!r}.")
        for name, sizes in (("chunks", self.chunks), ("shards", self.shards)):
            if sizes is not None and sizes != "level" and (not _as_tuple(sizes) or any(n < 1 for n in _as_tuple(sizes))):
                raise ValueError(f"{name} must be one or more sizes of at least one voxel, not {sizes!r}.")
        identifier = self.compressor_config.get("id")
        if self.compressor is not None and not isinstance(identifier, str):
            raise ValueError(f"compressor needs an 'id' such as 'blosc', not {self.compressor!r}.")
        if self.zarr_format == 2 and identifier == "shuffle-zstd":
            raise ValueError("compressor 'shuffle-zstd' exists in zarr v3 only: set zarr_format=3, or another one.")
        if self.zarr_format == 3 and self.compressor is not None and identifier not in _ZARR3_COMPRESSORS:
            raise ValueError(
                f"Zarr v3 stores compressors {', '.join(_ZARR3_COMPRESSORS)} or None, not {identifier!r}; "
                "use zarr_format=2 for others."
            )
        if self.shards is not None:
            self._check_shards(self.shards)

    def _check_shards(self, shards: int | tuple[int, ...] | Literal["level"]) -> None:
        if self.zarr_format != 3:
            raise ValueError("Shards exist in zarr v3 only: set zarr_format=3, or shards=None.")
        if shards == "level":
            return
        shard, chunk = _as_tuple(shards), _as_tuple(self.chunks)
        if len(shard) > 1 and len(chunk) > 1 and len(shard) != len(chunk):
            raise ValueError(f"shards {shards} and chunks {self.chunks} must have the same number of axes.")
        if any(s % c for s, c in _zip_broadcast(shard, chunk)):
            raise ValueError(f"shards {shards} must be multiples of chunks {self.chunks}.")

    @property
    def compressor_config(self) -> dict[str, Any]:
        """The numcodecs config of the compressor; empty for none."""
        if self.compressor is None:
            return {}
        if isinstance(self.compressor, str):
            return dict(_NAMED_COMPRESSORS.get(self.compressor, {"id": self.compressor}))
        return dict(self.compressor)

    def codec(self) -> Any:
        """The numcodecs codec; None for no compression, and for codecs of zarr v3 that numcodecs does not have as one.

        Raises:
            ValueError: If numcodecs knows no such compressor, or not such settings.
        """
        if self.compressor is None or self.compressor_config["id"] == "shuffle-zstd":
            return None
        import numcodecs  # type: ignore[import-untyped]

        try:
            return numcodecs.get_codec(self.compressor_config)
        except (ValueError, TypeError) as error:
            raise ValueError(f"Compressor {self.compressor!r} cannot be used: {error}") from error

    def nominal(self, ndim: int) -> tuple[int, ...]:
        """Size of a chunk on a large array with ``ndim`` axes: what is made at once."""
        return _trailing(self.chunks, ndim)

    def chunk_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The chunks of an array: as configured, but (if ``clipped``) no larger than the array (1 on an empty axis)."""
        if not self.clipped:
            return _trailing(self.chunks, len(shape))
        return tuple(min(c, max(1, n)) for c, n in zip(_trailing(self.chunks, len(shape)), shape, strict=True))

    def shard_shape(self, shape: Sequence[int]) -> tuple[int, ...] | None:
        """The shards of an array: as configured, but no larger than its chunks need."""
        if self.shards is None:
            return None
        chunks = self.chunk_shape(shape)
        if self.shards == "level":
            return tuple(math.ceil(max(1, n) / c) * c for c, n in zip(chunks, shape, strict=True))
        shards = _trailing(self.shards, len(shape))
        return tuple(min(s // c * c, math.ceil(max(1, n) / c) * c) for s, c, n in zip(shards, chunks, shape, strict=True))

    def zarr_compressors(self, dtype: Any) -> Any:
        """The compressors as `zarr.create_array` takes them for zarr v3."""
        if self.compressor is not None and self.compressor_config["id"] == "shuffle-zstd":
            from zarr.codecs import ZstdCodec
            from zarr.codecs.numcodecs import Shuffle

            zstd = ZstdCodec(level=self.compressor_config["level"], checksum=False)
            return [Shuffle(elementsize=dtype.itemsize), zstd] if dtype.kind == "f" else [zstd]
        return self._zarr_compressor(dtype.itemsize)

    def _zarr_compressor(self, itemsize: int) -> Any:
        codec = self.codec()
        if codec is None:
            return None
        from zarr.codecs import BloscCodec, GzipCodec, ZstdCodec

        config = codec.get_config()
        if config["id"] == "gzip":
            return GzipCodec(level=config["level"])
        if config["id"] == "zstd":
            return ZstdCodec(level=config["level"], checksum=bool(config.get("checksum", False)))
        shuffle = config["shuffle"]
        if shuffle < 0:  # numcodecs' AUTOSHUFFLE
            shuffle = 2 if itemsize == 1 else 1
        return BloscCodec(
            typesize=itemsize,
            cname=config["cname"],
            clevel=config["clevel"],
            shuffle=_BLOSC_SHUFFLES[shuffle],
            blocksize=config["blocksize"],
        )


def _as_tuple(sizes: int | tuple[int, ...]) -> tuple[int, ...]:
    return (sizes,) if isinstance(sizes, int) else tuple(sizes)


def _zip_broadcast(a: tuple[int, ...], b: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    length = max(len(a), len(b))
    return zip(a * (length // len(a)), b * (length // len(b)), strict=True)


def _trailing(sizes: int | tuple[int, ...], ndim: int) -> tuple[int, ...]:
    """Sizes for ``ndim`` axes: they belong to the last ones, axes before get 1."""
    sizes = (sizes,) * min(ndim, 3) if isinstance(sizes, int) else sizes[-ndim:] if ndim else ()
    return (1,) * (ndim - len(sizes)) + tuple(sizes)
