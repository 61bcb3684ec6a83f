"""Copies of volumes in another format: OME-Zarr 0.4 in zarr v2 to 0.5 in zarr v3 and back, all arrays and groups of them.

What a volume says stays: values, dtypes, fill values, levels, names, attributes. Byte order, chunks and compression become
those of the format.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from copick_core.volumes.format import VolumeFormat

if TYPE_CHECKING:
    from zarr import Array
    from zarr.abc.store import Store

#: What OME-NGFF 0.5 keeps under ``ome``, and 0.4 in the attributes themselves.
_OME = ("multiscales", "omero", "labels", "image-label", "plate", "well", "bioformats2raw.layout")
#: Parts that carry their own version in 0.4.
_VERSIONED = ("multiscales", "image-label", "plate", "well")

#: Voxels that are copied at once: 64 MiB of float32.
_AT_ONCE = 2**24


def reencode(source: Store, target: Store, format: VolumeFormat) -> bool:
    """Copy a volume into an empty store.

    Args:
        source: The volume, in zarr v2 or v3.
        target: Where to.
        format: Its format there; arrays keep their dtype and attributes.

    Returns:
        Whether there was a volume, and still was one in the end.
    """
    from copick_core.volumes.multiscales import put_json

    found = _nodes(source)
    if not found:
        return False
    for path, document in found.items():
        if document["node_type"] == "array":
            _copy_array(source, target, path, format)
    groups = [path for path, document in found.items() if document["node_type"] == "group"]
    for path in sorted(groups, key=lambda path: (-path.count("/"), path == "", path)):
        prefix = f"{path}/" if path else ""
        attributes = _as_version(found[path]["attributes"], format.zarr_format)
        if format.zarr_format == 3:
            put_json(target, {f"{prefix}zarr.json": {"zarr_format": 3, "node_type": "group", "attributes": attributes}})
            continue
        documents: dict[str, Mapping[str, Any]] = {f"{prefix}.zgroup": {"zarr_format": 2}}
        put_json(target, documents | ({f"{prefix}.zattrs": attributes} if attributes else {}))
    return {*_nodes(source)} == {*found}


def same_volume(first: Store, second: Store) -> bool:
    """Whether two volumes say the same, whatever their formats are."""
    nodes, others = _nodes(first), _nodes(second)
    if {*nodes} != {*others}:
        return False
    for path, document in nodes.items():
        other = others[path]
        if document["node_type"] != other["node_type"]:
            return False
        if _as_version(document["attributes"], 3) != _as_version(other["attributes"], 3):
            return False
        if document["node_type"] == "array" and not _same_array(_open(first, path), _open(second, path)):
            return False
    return True


def _same_array(first: Array[Any], second: Array[Any]) -> bool:
    if first.shape != second.shape or first.dtype.newbyteorder("=") != second.dtype.newbyteorder("="):
        return False
    equal_nan = first.dtype.kind in "fc"
    return all(np.array_equal(first[part], second[part], equal_nan=equal_nan) for part in _parts(first.shape, first.chunks))


def _copy_array(source: Store, target: Store, path: str, format: VolumeFormat) -> None:
    import zarr

    from copick_core.volumes.levels import expect_numcodecs

    array = _open(source, path)
    dtype = array.dtype.newbyteorder("<")
    codec = format.codec()
    v3 = format.zarr_format == 3
    names = getattr(array.metadata, "dimension_names", None)
    expect_numcodecs()
    copy: Array[Any] = zarr.create_array(
        target,
        name=path,
        shape=array.shape,
        dtype=dtype,
        chunks=format.chunk_shape(array.shape),
        shards=format.shard_shape(array.shape) if v3 else None,
        compressors=format.zarr_compressors(dtype) if v3 else codec,
        fill_value=array.fill_value,
        zarr_format=format.zarr_format,
        attributes=dict(array.attrs),
        chunk_key_encoding={"name": format.key_encoding if v3 else "v2", "separator": "/"},
        dimension_names=names if v3 else None,
        config={"write_empty_chunks": False, "order": "C"},
    )
    for part in _parts(copy.shape, copy.shards or copy.chunks):
        copy[part] = array[part]


def _parts(shape: tuple[int, ...], block: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """Cut an array into parts of whole blocks along its first axes, of a bounded number of voxels where blocks allow it."""
    sizes = list(shape)
    for axis, edge in enumerate(block):
        below = int(np.prod(sizes[axis + 1 :]))
        sizes[axis] = min(sizes[axis], max(1, _AT_ONCE // max(1, below * edge)) * edge)
        if below * edge <= _AT_ONCE:
            break
    starts = [range(0, n, max(1, size)) for n, size in zip(shape, sizes, strict=True)]
    for corner in itertools.product(*starts):
        yield tuple(slice(k, min(k + max(1, s), n)) for k, s, n in zip(corner, sizes, shape, strict=True))


def _open(store: Store, path: str) -> Array[Any]:
    from copick_core.volumes.levels import open_with_image

    return open_with_image(store, path, source=path, image=None)[0]


def _nodes(store: Store) -> dict[str, dict[str, Any]]:
    """The groups and arrays of a store by their paths, each with ``node_type`` and ``attributes``; "" is the root."""
    from zarr.core.buffer import default_buffer_prototype
    from zarr.core.sync import sync

    async def read() -> dict[str, dict[str, Any]]:
        async def document(name: str) -> dict[str, Any]:
            data = await store.get(name, default_buffer_prototype())
            found: dict[str, Any] = {} if data is None else json.loads(data.to_bytes())
            return found

        nodes: dict[str, dict[str, Any]] = {}
        names = {name async for name in store.list()}
        for name in sorted(names):
            path, _, last = name.rpartition("/")
            if last == "zarr.json":
                found = await document(name)
                nodes[path] = {"node_type": found.get("node_type", "array"), "attributes": found.get("attributes") or {}}
            elif last in (".zarray", ".zgroup"):
                attributes = f"{path}/.zattrs" if path else ".zattrs"
                own = await document(attributes) if attributes in names else {}
                nodes[path] = {"node_type": "array" if last == ".zarray" else "group", "attributes": own}
        return nodes

    return sync(read())


def _as_version(attributes: Mapping[str, Any], zarr_format: int) -> dict[str, Any]:
    """The attributes of a group, with OME metadata as its zarr format has them."""
    plain = {name: value for name, value in attributes.items() if name != "ome"}
    ome = {**attributes.get("ome", {}), **{name: plain.pop(name) for name in _OME if name in plain}}
    ome.pop("version", None)
    if not ome:
        return plain
    if zarr_format == 3:
        return {**plain, "ome": {"version": "0.5", **{name: _without_version(part) for name, part in ome.items()}}}
    return {**plain, **{n: _with_version(part) if n in _VERSIONED else part for n, part in ome.items()}}


def _without_version(part: Any) -> Any:
    if isinstance(part, list):
        return [_without_version(item) for item in part]
    return {n: value for n, value in part.items() if n != "version"} if isinstance(part, dict) else part


def _with_version(part: Any) -> Any:
    if isinstance(part, list):
        return [_with_version(item) for item in part]
    return {**part, "version": "0.4"} if isinstance(part, dict) else part
