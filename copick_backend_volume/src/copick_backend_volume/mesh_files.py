"""The volume's mesh files, and their frame.

In the files the columns of a vertex are (z, y, x), in voxels of the full resolution, the centre of a voxel being its index;
triangles are outward in that frame. To be outward in (x, y, z), reversing the columns must go with reversing each triangle.
All arrays of triangles here are (n, 3 vertices, 3 columns).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from copick_backend_volume.places import combined_meshes, mesh_blocks
from copick_core.errors import InvalidDataError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from trimesh import Trimesh

    Triangles = NDArray[np.float32]

#: Beside the meshes that we make: says how they were made.
NOTE = "copick.json"
_RECORD = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attributes", "<u2")])
_HEADER = 80
#: Bytes in which the last line of an ASCII file has room.
_TAIL = 4096
_FACE = "f %d %d %d\n"
_VERTEX = "    vertex %.9g %.9g %.9g\n"
_FACET = f"facet normal %g %g %g\n  outer loop\n{3 * _VERTEX}  endloop\nendfacet\n"


def flip_frame(triangles: Triangles) -> Triangles:
    """Turn triangles from (z, y, x) to (x, y, z) or back, keeping outside outside."""
    return np.ascontiguousarray(triangles[:, ::-1, ::-1])


def signed_volume(triangles: Triangles) -> float:
    """Volume that triangles enclose; negative where they are inside out."""
    t = triangles.astype(np.float64)
    return float(np.einsum("ij,ij->", t[:, 0], np.cross(t[:, 1], t[:, 2])) / 6)


def read_stl(path: str) -> Triangles:
    """Read an STL file, binary or ASCII, as it is stored.

    Raises:
        InvalidDataError: It is neither.
    """
    with open(path, "rb") as file:
        data = file.read()
    if _is_whole_binary(data[: _HEADER + 4], len(data)):
        records = np.frombuffer(data, _RECORD, offset=_HEADER + 4)
        return np.ascontiguousarray(records["corners"])
    if not _is_whole_ascii(data, data):
        raise InvalidDataError(source=path, reason="it is not a whole STL file")
    lines = [line.split()[1:] for line in data.splitlines() if line.lstrip().startswith(b"vertex")]
    try:
        return np.array(lines, np.float32).reshape(-1, 3, 3)
    except ValueError as error:
        raise InvalidDataError(source=path, reason=f"it is not a whole STL file ({error})") from error


def is_whole_stl(path: str) -> bool:
    """Whether an STL file is whole; looks at its beginning, its end and its size only."""
    with open(path, "rb") as file:
        start = file.read(_HEADER + 4)
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL))
        return _is_whole_binary(start, size) or _is_whole_ascii(start, file.read())


def _is_whole_binary(start: bytes, size: int) -> bool:
    # ASCII files begin with "solid", but so may the header of a binary one; only the length is sure.
    count = int.from_bytes(start[_HEADER : _HEADER + 4], "little")
    return size >= _HEADER + 4 and size == _HEADER + 4 + count * _RECORD.itemsize


def _is_whole_ascii(start: bytes, end: bytes) -> bool:
    return start.lstrip().startswith(b"solid") and end.rstrip().rpartition(b"\n")[2].split()[:1] == [b"endsolid"]


def read_obj(path: str) -> Triangles:
    """Read the triangles of an OBJ file, as it is stored."""
    vertices, faces = [], []
    try:
        with open(path, "rb") as file:
            for line in file:
                if line.startswith(b"v "):
                    vertices.append(line.split()[1:4])
                elif line.startswith(b"f "):
                    faces.append([int(corner.split(b"/")[0]) - 1 for corner in line.split()[1:4]])
        return np.array(vertices, np.float32).reshape(-1, 3)[np.array(faces, np.intp).reshape(-1, 3)]
    except (ValueError, IndexError) as error:
        raise InvalidDataError(source=path, reason=f"it is not a whole OBJ file ({error})") from error


def read_mesh(folder: str, value: int) -> Triangles | None:
    """Read the whole mesh of a value as it is stored: binary STL, else OBJ, else the blocks; None where there is none."""
    combined = combined_meshes(folder).get(value, {})
    if "stl" in combined:
        return read_stl(combined["stl"])
    if "obj" in combined:
        return read_obj(combined["obj"])
    blocks = [read_stl(os.path.join(folder, b.file_name)) for b in mesh_blocks(folder) if b.value == value]
    return np.concatenate(blocks) if blocks else None


def downsampling(folder: str, configured: int | None) -> int | None:
    """The factor by which labels were pooled before meshing: as noted by us, else as configured; None if not known."""
    try:
        with open(os.path.join(folder, NOTE), "rb") as file:
            return int(json.load(file)["downsample"])
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        return configured


def to_trimesh(stored: Triangles, voxel_size: float, downsample: int | None) -> Trimesh:
    """A welded mesh in (x, y, z) and angstrom, of triangles as they are stored.

    The centre of voxel ``i`` is at ``i * voxel_size``, as in the files.

    Args:
        stored: Triangles.
        voxel_size: In angstrom.
        downsample: Factor by which labels were pooled before meshing; it has shifted the mesh by half of it.
    """
    from copick_core.volumes.surfaces import welded

    return welded(flip_frame(stored) + np.float32(((downsample or 1) - 1) / 2), voxel_size)


def ascii_stl(name: str, triangles: Triangles) -> bytes:
    """Triangles as an ASCII STL file."""
    normals = _normals(triangles)
    numbers = np.concatenate([normals, triangles.reshape(-1, 9)], axis=1)
    # One format for all of it: formatting number by number takes several times as long.
    return f"solid {name}\n{_formatted(_FACET, numbers)}endsolid {name}\n".encode()


def _formatted(row: str, numbers: NDArray[Any]) -> str:
    return (row * len(numbers)) % tuple(numbers.ravel().tolist())


def _normals(triangles: Triangles) -> Triangles:
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.asarray(normals / np.where(lengths == 0, 1, lengths), np.float32)


class CombinedWriter:
    """Writes the whole mesh of a value block by block, as binary STL and as OBJ.

    No file stays open between two blocks: a segmentation may have more values than a process may open files.

    Args:
        folder: Where; in staging.
        value: The value.
    """

    def __init__(self, folder: str, value: int) -> None:
        self.count = 0
        self._stl, self._obj = (os.path.join(folder, f"{value}.combined.{form}") for form in ("stl", "obj"))
        _append(self._stl, b"copick-backend-volume; columns z, y, x".ljust(_HEADER) + bytes(4))

    def add(self, triangles: Triangles) -> None:
        """Add the triangles of one block."""
        records = np.zeros(len(triangles), _RECORD)
        records["corners"] = triangles
        records["normal"] = _normals(triangles)
        _append(self._stl, records.tobytes())
        first = 3 * self.count + 1
        corners = np.arange(first, first + 3 * len(triangles)).reshape(-1, 3)
        vertices = _formatted("v %.9g %.9g %.9g\n", triangles.reshape(-1, 3))
        _append(self._obj, f"{vertices}{_formatted(_FACE, corners)}".encode())
        self.count += len(triangles)

    def close(self) -> None:
        """Finish both files and force them to disk."""
        with open(self._stl, "r+b") as stl, open(self._obj, "r+b") as obj:
            stl.seek(_HEADER)
            stl.write(self.count.to_bytes(4, "little"))
            stl.flush()
            for file in (stl, obj):
                os.fsync(file.fileno())


def _append(path: str, data: bytes) -> None:
    with open(path, "ab") as file:
        file.write(data)


def note(**fields: Any) -> bytes:
    """Content of :data:`NOTE`."""
    return json.dumps(fields, indent=4).encode()


def iter_blocks(folder: str, value: int) -> Iterator[tuple[Any, Triangles]]:
    """Blocks of the mesh of a value with their triangles as they are stored."""
    for block in mesh_blocks(folder):
        if block.value == value:
            yield block, read_stl(os.path.join(folder, block.file_name))
