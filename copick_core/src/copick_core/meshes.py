"""Meshes as GLB bytes (binary glTF 2.0), vertices in angstrom in x, y, z."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any, BinaryIO

from copick_core.errors import InvalidDataError

if TYPE_CHECKING:
    from trimesh import Scene
    from trimesh.parent import Geometry

_BYTES = {5120: 1, 5121: 1, 5122: 2, 5123: 2, 5125: 4, 5126: 4}
"""Of a number, by the componentType of an accessor (glTF 2.0, section 3.6.2.2)."""
_NUMBERS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
"""Of an element, by the type of an accessor."""


def decode_mesh(data: bytes | BinaryIO, source: str) -> Scene:
    """Read GLB bytes.

    Args:
        data: The file's bytes, or the open file, whose bytes are then not copied first.
        source: What the bytes are, for messages.

    Returns:
        The scene, vertices in angstrom (x, y, z); an empty one where the file holds no geometry.

    Raises:
        InvalidDataError: The bytes are not GLB.
    """
    import trimesh

    file = io.BytesIO(data) if isinstance(data, bytes) else data
    try:
        _check_counts(file)
        return trimesh.load_scene(file, file_type="glb", process=False)
    except Exception as error:
        raise InvalidDataError(source=source, reason=f"not a readable GLB mesh ({error})") from error


def _check_counts(file: BinaryIO) -> None:
    """Refuse what cannot be in the file: parts, for which memory would be taken, and arrays (glTF 2.0, section 3.6.2).

    Trimesh would make the arrays up, of zeros.
    """
    size = file.seek(0, 2)
    at = 12
    while at + 8 <= size:
        file.seek(at)
        length = int.from_bytes(file.read(4), "little")
        at += 8 + length
        if at > size:
            raise ValueError(f"it claims a part of {length:,} bytes, the whole file has {size:,}")
    file.seek(12)
    length = int.from_bytes(file.read(4), "little")
    file.seek(20)
    document = json.loads(file.read(length))
    file.seek(0)
    for accessor in document.get("accessors", []):
        claimed = accessor["count"] * _NUMBERS.get(accessor["type"], 1) * _BYTES.get(accessor["componentType"], 1)
        if claimed > size:
            raise ValueError(f"it claims an array of {claimed:,} bytes, the whole file has {size:,}")


def encode_mesh(mesh: Geometry, source: str) -> bytes:
    """Write a mesh or scene as GLB bytes; every geometry that trimesh exports is possible.

    Raises:
        InvalidDataError: It cannot be exported, has vertices that are not finite, or faces of vertices that it lacks.
    """
    import numpy as np
    import trimesh

    geometries = mesh.geometry.values() if isinstance(mesh, trimesh.Scene) else [mesh]
    for geometry in geometries:
        vertices = np.asarray(getattr(geometry, "vertices", ()))
        finite = np.isfinite(vertices)
        if not finite.all():
            raise InvalidDataError(
                source=source, reason="vertices must be finite numbers", index=int(np.argwhere(~finite)[0][0])
            )
        faces = np.asarray(getattr(geometry, "faces", ()))
        absent = (faces < 0) | (faces >= len(vertices))
        if absent.any():
            face = int(np.argwhere(absent)[0][0])
            reason = f"face {faces[face].tolist()} names a vertex that is not there; there are {len(vertices)}"
            raise InvalidDataError(source=source, reason=reason, index=face)
    try:
        scene = mesh if isinstance(mesh, trimesh.Scene) else trimesh.Scene(mesh)
        # An empty scene has nothing to export; copick writes a scene that holds an empty mesh instead.
        if not scene.geometry:
            scene = trimesh.Scene(trimesh.Trimesh())
        data = scene.export(file_type="glb")  # type: ignore[no-untyped-call]
    except Exception as error:
        raise InvalidDataError(source=source, reason=f"the mesh cannot be exported as GLB ({error})") from error
    return bytes(data)


#: Header of the JSON chunk of a GLB file: 12 bytes of the file's header, then length and type of the chunk.
_JSON_BEGINS = 20


def extras_of(data: bytes) -> dict[str, Any]:
    """The extras of the asset of a GLB file: what programs say of it that is not geometry (glTF 2.0, section 3.2)."""
    extras = _document(data).get("asset", {}).get("extras", {})
    return extras if isinstance(extras, dict) else {}


def with_extras(data: bytes, **extras: Any) -> bytes:
    """A GLB file with more extras of its asset; all else stays as it is, byte for byte."""
    document = _document(data)
    asset = document.setdefault("asset", {"version": "2.0"})
    asset["extras"] = {**extras_of(data), **extras}
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    rest = data[_JSON_BEGINS + int.from_bytes(data[12:16], "little") :]
    size = _JSON_BEGINS + len(text) + len(rest)
    return data[:8] + size.to_bytes(4, "little") + len(text).to_bytes(4, "little") + data[16:20] + text + rest


def _document(data: bytes) -> dict[str, Any]:
    """The JSON chunk of a GLB file, which is its first one."""
    length = int.from_bytes(data[12:16], "little")
    document = json.loads(data[_JSON_BEGINS : _JSON_BEGINS + length])
    return document if isinstance(document, dict) else {}
