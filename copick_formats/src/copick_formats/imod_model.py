"""The chunks of an IMOD model (``.mod``, https://bio3d.colorado.edu/imod/doc/binspec.html), read and written."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from copick_core.errors import InvalidDataError

Floats = npt.NDArray[np.float64]

MAGIC = b"IMODV1.2"
OPEN = 1 << 3
"""Flag of an object, and of a contour: contours are open lines."""
SCATTERED = 1 << 9
"""Flag of an object: points that no line connects."""
_END_OF_LIST, _END_OF_POLYGON = -1, -22
_PAIRS, _VERTICES = -23, -25
"""Commands of a mesh: triangles follow, as pairs of normal and vertex, or as vertices (each normal behind its vertex)."""
_HEADER = struct.Struct(">128s4iI4i6f5ifii3f")
_OBJECT = struct.Struct(">64s16I2I2i3fi8B2i")
_CONTOUR = struct.Struct(">iIii")
_MESH = struct.Struct(">iiIhh")
_ANGSTROM = {3: 1e13, 1: 1e10, -2: 1e8, -3: 1e7, -6: 1e4, -9: 10.0, -10: 1.0, -12: 0.01}
"""Angstrom in a unit, by the header's code for it; 0 are pixels."""


@dataclass
class Contour:
    """A contour: points (n, 3) in pixels, the number of its surface, and sizes of its points in pixels, NaN for none."""

    points: Floats
    surface: int = 0
    sizes: Floats | None = None
    is_open: bool = False


@dataclass
class Object:
    """An object: its name, flags, contours and meshes.

    Attributes:
        meshes: Vertices and normals (n, 3), the list of drawing commands, and the flag of each mesh.
    """

    name: str
    flags: int = 0
    contours: list[Contour] = field(default_factory=list)
    meshes: list[tuple[Floats, npt.NDArray[np.int32], int]] = field(default_factory=list)


@dataclass
class Model:
    """A model.

    Attributes:
        pixel_size: Angstrom per pixel; None where the model does not say.
        z_scale: The pixel's length along z over that along x.
        objects: In their order.
    """

    pixel_size: float | None
    z_scale: float
    objects: list[Object]


class _Reader:
    """The bytes of a file, from front to back."""

    def __init__(self, path: str) -> None:
        self.path = path
        with open(path, "rb") as file:
            self.data = file.read()
        self.at = 0

    def take(self, size: int) -> bytes:
        if size < 0 or self.at + size > len(self.data):
            reason = f"is cut off: byte {self.at} begins {size} bytes, and the file has {len(self.data)}"
            raise InvalidDataError(source=self.path, reason=reason)
        self.at += size
        return self.data[self.at - size : self.at]

    def unpack(self, layout: struct.Struct) -> tuple[Any, ...]:
        return layout.unpack(self.take(layout.size))

    def floats(self, n: int) -> npt.NDArray[np.float64]:
        if n < 0:
            raise InvalidDataError(source=self.path, reason=f"byte {self.at}: a count is {n}")
        return _doubles(np.frombuffer(self.take(4 * n), ">f4"))


def _doubles(values: npt.NDArray[Any]) -> Floats:
    with np.errstate(invalid="ignore"):  # of NaN, which is refused later
        return values.astype(np.float64)


def read_model(path: str) -> Model:
    """Read a model.

    Raises:
        InvalidDataError: It is not a model, is cut off, or a coordinate is not finite.
    """
    reader = _Reader(path)
    if reader.take(8) != MAGIC:
        raise InvalidDataError(source=path, reason="is not an IMOD model of version 1.2")
    header = reader.unpack(_HEADER)
    x_scale, z_scale, pixel, units = header[13], header[15], header[21], header[22]
    size = pixel * x_scale * _ANGSTROM[units] if units in _ANGSTROM else None
    if size is not None and not (math.isfinite(size) and size > 0):
        size = None
    size = None if size is None else float(f"{size:.7g}")  # the header has float32
    model = Model(size, z_scale / x_scale if x_scale > 0 and z_scale > 0 else 1.0, [])
    while True:
        chunk = reader.take(4)
        if chunk == b"IEOF":
            return model
        if chunk == b"OBJT":
            fields = reader.unpack(_OBJECT)
            name = fields[0].split(b"\0", 1)[0].decode("utf-8", "replace").strip()
            model.objects.append(Object(name, fields[18]))
        elif chunk == b"CONT" and model.objects:
            n, flags, _, surface = reader.unpack(_CONTOUR)
            points = reader.floats(3 * n).reshape(-1, 3)
            item = model.objects[-1]
            _check_finite(path, points, f"contour {len(item.contours) + 1} of object {item.name!r}")
            item.contours.append(Contour(points, surface, is_open=bool(flags & OPEN)))
        elif chunk == b"MESH" and model.objects:
            vertices, indices, flags, *_ = reader.unpack(_MESH)
            points = reader.floats(3 * vertices).reshape(-1, 3)
            item = model.objects[-1]
            _check_finite(path, points, f"mesh {len(item.meshes) + 1} of object {item.name!r}")
            if indices < 0:
                raise InvalidDataError(source=path, reason=f"byte {reader.at}: a count is {indices}")
            commands = np.frombuffer(reader.take(4 * indices), ">i4").astype(np.int32)
            item.meshes.append((points, commands, flags))
        else:
            content = reader.take(struct.unpack(">i", reader.take(4))[0])
            if chunk == b"SIZE" and model.objects and model.objects[-1].contours:
                contour = model.objects[-1].contours[-1]
                sizes = _doubles(np.frombuffer(content, ">f4", len(content) // 4))
                if len(sizes) == len(contour.points):
                    contour.sizes = np.where(sizes < 0, np.nan, sizes)


def triangles(path: str, vertices: Floats, commands: npt.NDArray[np.int32]) -> tuple[Floats, npt.NDArray[np.int64]]:
    """The triangles that the commands of a mesh draw.

    Args:
        path: The file, for errors.
        vertices: Vertices and normals (n, 3).
        commands: The mesh's list.

    Returns:
        Vertices (m, 3), and triangles (k, 3) as indices of them.

    Raises:
        InvalidDataError: The list draws something else than triangles, or one has an index that is not a vertex.
    """
    faces: list[npt.NDArray[np.int64]] = []
    at = 0
    ends = np.flatnonzero(commands == _END_OF_POLYGON)
    while at < len(commands) and commands[at] != _END_OF_LIST:
        command = int(commands[at])
        later = ends[ends > at]
        if command not in (_PAIRS, _VERTICES) or not len(later):
            reason = f"a mesh has the drawing command {command}, which makes no triangles; make it again with imodmesh"
            raise InvalidDataError(source=path, reason=reason)
        indices = commands[at + 1 : later[0]].astype(np.int64)
        indices = indices[1::2] if command == _PAIRS else indices
        if len(indices) % 3 or (len(indices) and not 0 <= indices.min() <= indices.max() < len(vertices)):
            raise InvalidDataError(
                source=path, reason="a mesh is damaged: an index is not a vertex, or a triangle is not whole"
            )
        faces.append(indices.reshape(-1, 3))
        at = int(later[0]) + 1
    every = np.concatenate(faces) if faces else np.zeros((0, 3), np.int64)
    used, numbered = np.unique(every, return_inverse=True)
    return vertices[used], numbered.reshape(-1, 3)


def write_model(path: str, objects: Sequence[Object], shape: Sequence[int], pixel_size: float) -> None:
    """Write a model.

    Args:
        path: The new file.
        objects: Its objects, without meshes.
        shape: Of the image, as x, y, z.
        pixel_size: Angstrom per pixel.

    Raises:
        InvalidDataError: A name is too long.
    """
    x, y, z = shape
    numbers = (x, y, z, len(objects), 1 << 13, 1, 0, 0, 255, 0, 0, 0, 1, 1, 1, 0, -1, -1, 3, 128, pixel_size, -10, 0, 0, 0, 0)
    parts = [MAGIC, _HEADER.pack(b"copick", *numbers)]
    for item in objects:
        name = item.name.encode()
        if len(name) > 63:
            raise InvalidDataError(source=path, reason=f"the object's name {item.name!r} is longer than 63 bytes")
        surfaces = max((contour.surface for contour in item.contours), default=0)
        look = (0, 1, 0.0, 1.0, 0.0, 5, 1, 3, 1, 1, 0, 0, 0, 0, 0, surfaces)
        parts.append(b"OBJT" + _OBJECT.pack(name, *[0] * 16, len(item.contours), item.flags, *look))
        for contour in item.contours:
            parts.append(b"CONT" + _CONTOUR.pack(len(contour.points), 0, 0, contour.surface))
            parts.append(contour.points.astype(">f4").tobytes())
            if contour.sizes is not None:
                sizes = np.where(np.isnan(contour.sizes), -1.0, contour.sizes).astype(">f4").tobytes()
                parts.append(b"SIZE" + struct.pack(">i", len(sizes)) + sizes)
    parts.append(b"MINX" + struct.pack(">i18f", 72, *[1.0] * 3, *[0.0] * 6, *[pixel_size] * 3, *[0.0] * 6))
    with open(path, "wb") as file:
        file.writelines([*parts, b"IEOF"])


def _check_finite(path: str, points: Floats, where: str) -> None:
    finite = np.isfinite(points).all(1)
    if not finite.all():
        index = int(np.argmin(finite))
        raise InvalidDataError(source=path, reason=f"point {index + 1} of {where} is not finite", index=index)
