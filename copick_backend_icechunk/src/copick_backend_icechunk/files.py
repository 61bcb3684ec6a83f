"""Files in a repository: each is an array of bytes in one chunk, so that zarr alone can read it.

An array ``uint8`` of the file's size; ``zarr.open_array(store, path=path)[:].tobytes()`` gives the bytes.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from icechunk import IcechunkStore

_LEVEL = 3
"""Level of zstd: JSON of points becomes a tenth, at 200 MB/s."""

_CODECS: list[dict[str, Any]] = [
    {"name": "bytes"},
    {"name": "zstd", "configuration": {"level": _LEVEL, "checksum": False}},
]


def _document(size: int) -> bytes:
    document = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [size],
        "data_type": "uint8",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [max(1, size)]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": _CODECS,
        "attributes": {},
    }
    return json.dumps(document).encode()


async def write_file(store: IcechunkStore, path: str, data: bytes) -> None:
    """Store a file in a session, in the place of what is there."""
    from numcodecs import Zstd  # type: ignore[import-untyped]
    from zarr.core.buffer import default_buffer_prototype

    buffer = default_buffer_prototype().buffer.from_bytes
    await store.set(f"{path}/zarr.json", buffer(_document(len(data))))
    if data:
        await store.set(f"{path}/c/0", buffer(bytes(Zstd(_LEVEL).encode(data))))


async def read_file(store: IcechunkStore, path: str) -> bytes:
    """Read a file.

    Raises:
        FileNotFoundError: There is none.
        IsADirectoryError: There is a group.
    """
    from numcodecs import Zstd
    from zarr.core.buffer import default_buffer_prototype

    prototype = default_buffer_prototype()
    found = await store.get(f"{path}/zarr.json", prototype)
    if found is None:
        raise FileNotFoundError(path)
    document = json.loads(found.to_bytes())
    if document["node_type"] != "array":
        raise IsADirectoryError(path)
    if not document["shape"][0]:
        return b""
    if document["codecs"] != _CODECS or document["chunk_grid"]["configuration"]["chunk_shape"] != document["shape"]:
        return await _decoded_by_zarr(store, path)
    chunk = await store.get(f"{path}/c/0", prototype)
    return bytes(document["shape"][0]) if chunk is None else bytes(Zstd(_LEVEL).decode(chunk.to_bytes()))


async def _decoded_by_zarr(store: IcechunkStore, path: str) -> bytes:
    """Read a file that another program stored in its own way."""
    import numpy as np
    import zarr.api.asynchronous as zarr

    array = await zarr.open_array(store=store, path=path, mode="r")
    return np.asarray(await array.getitem(slice(None))).tobytes()
