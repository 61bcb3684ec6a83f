"""IMOD models (``.mod``, https://bio3d.colorado.edu/imod/doc/binspec.html): points of contours, in pixels of the image.

The centre of the first voxel lies at (0.5, 0.5, 0), as 3dmod places points and MatTomo describes it; ``voxel_centre`` says
otherwise. Points are pixels of the whole image also where the image has an origin. Orientations and scores have no place in a
model.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from copick_core.callers import warn_caller
from copick_core.errors import InvalidDataError
from copick_core.plugins.format_functions import PicksTable
from copick_formats.cells import Frames, voxel_size_of

_MAGIC = b"IMODV1.2"
_HEADER = struct.Struct(">128s4iI4i6f5ifii3f")
_OBJECT = struct.Struct(">64s16I2I2i3fi8B2i")
_CONTOUR = struct.Struct(">iIii")
_MESH = struct.Struct(">iiIhh")
_ANGSTROM = {3: 1e13, 1: 1e10, -2: 1e8, -3: 1e7, -6: 1e4, -9: 10.0, -10: 1.0, -12: 0.01}
"""Angstrom in a unit, by the header's code for it; 0 are pixels."""
_SCATTERED = 1 << 9
VOXEL_CENTRE = (0.5, 0.5, 0.0)


@dataclass
class _Object:
    name: str
    contours: list[npt.NDArray[np.float64]] = field(default_factory=list)
    sizes: dict[int, npt.NDArray[np.float64]] = field(default_factory=dict)
    """Sizes of points, by the contour's index."""


def is_imod(path: str, head: bytes) -> bool:
    """Whether a file is an IMOD model: its first four bytes."""
    return head[:4] == _MAGIC[:4]


_voxel_centre = click.option(
    "--voxel-centre", type=float, nargs=3, default=VOXEL_CENTRE, help="Where the centre of the first voxel lies, in pixels."
)


@click.option("--voxel-size", type=float, help="Angstrom per pixel, instead of the model's.")
@_voxel_centre
def read_imod(
    path: str,
    *,
    frame: Frames,
    voxel_size: float | None = None,
    voxel_centre: tuple[float, float, float] = VOXEL_CENTRE,
) -> Iterator[PicksTable]:
    """Read the points of each object; ``contour`` (from 0 on) and ``size`` (in pixels, where there are any) are columns.

    Args:
        path: The file.
        frame: Returns the frame of the run, if neither the model nor ``voxel_size`` has a size.
        voxel_size: Angstrom per pixel; that of the model by default.
        voxel_centre: Where the centre of the first voxel lies, as x, y, z in pixels.

    Raises:
        InvalidDataError: It is no model, is cut off, or a coordinate is not finite.
    """
    pixel, z_scale, objects = _parse(path)
    given = voxel_size if voxel_size is not None else pixel
    for item in objects:
        if not item.contours:
            continue
        points = np.concatenate(item.contours)
        size = voxel_size_of(path, frame, None, given)
        lengths = [*map(len, item.contours)]
        columns: dict[str, npt.NDArray[Any]] = {"contour": np.repeat(np.arange(len(lengths)), lengths)}
        if item.sizes:
            unset = [np.full(n, np.nan) for n in lengths]
            columns["size"] = np.concatenate([item.sizes.get(index, none) for index, none in enumerate(unset)])
        located = (points - voxel_centre) * (size * np.array([1.0, 1.0, z_scale]))
        yield PicksTable(located, object_name=item.name or None, columns=columns)


@click.option("--voxel-size", type=float, help="Angstrom per pixel; the tomogram's by default.")
@_voxel_centre
def write_imod(
    path: str,
    tables: Iterable[PicksTable],
    *,
    frame: Frames,
    voxel_size: float | None = None,
    voxel_centre: tuple[float, float, float] = VOXEL_CENTRE,
) -> None:
    """Write a model of one run: an object for each table, one contour or those of the column ``contour``.

    Args:
        path: The new file.
        tables: Points of one run.
        frame: Returns the frame of the run.
        voxel_size: Angstrom per pixel; that of the frame by default.
        voxel_centre: Where the centre of the first voxel lies, as x, y, z in pixels.

    Raises:
        InvalidDataError: There are several runs, the voxel size is not known, or a name is too long.
    """
    tables = [*tables]
    runs = [*dict.fromkeys(table.run for table in tables)]
    if len(runs) > 1:
        raise InvalidDataError(
            source=path, reason=f"a model holds one run, and these are {len(runs)}; write one file for each"
        )
    run = runs[0] if runs else None
    size = voxel_size_of(path, frame, run, voxel_size)
    known = frame(run)
    z, y, x = known.shape if known is not None else (0, 0, 0)
    parts = [_MAGIC]
    header = (
        b"copick",
        x,
        y,
        z,
        len(tables),
        1 << 13,
        1,
        0,
        0,
        255,
        0,
        0,
        0,
        1,
        1,
        1,
        0,
        -1,
        -1,
        3,
        128,
        size,
        -10,
        0,
        0,
        0,
        0,
    )
    parts.append(_HEADER.pack(*header))
    for table in tables:
        name = (table.object_name or "").encode()
        if len(name) > 63:
            raise InvalidDataError(source=path, reason=f"the object's name {table.object_name!r} is longer than 63 bytes")
        if table.transforms is not None and not np.array_equal(np.asarray(table.transforms)[:, :3, :3], _identities(table)):
            warn_caller(
                f"{path}: an IMOD model holds no orientations; those of {table.object_name or 'the points'} are left out."
            )
        places = np.asarray(table.positions, float)
        if table.transforms is not None:
            places = places + np.asarray(table.transforms, float)[:, :3, 3]
        contours = _contours(places / size + voxel_centre, table)
        colors = (0.0, 1.0, 0.0)
        parts.append(
            b"OBJT" + _OBJECT.pack(name, *[0] * 16, len(contours), _SCATTERED, 0, 1, *colors, 5, 1, 3, 1, 1, 0, 0, 0, 0, 0, 0)
        )
        parts += [b"CONT" + _CONTOUR.pack(len(points), 0, 0, 0) + points.astype(">f4").tobytes() for points in contours]
    parts.append(b"MINX" + struct.pack(">i18f", 72, *[1.0] * 3, *[0.0] * 6, *[size] * 3, *[0.0] * 6))
    with open(path, "wb") as file:
        file.writelines([*parts, b"IEOF"])


def _identities(table: PicksTable) -> npt.NDArray[np.float64]:
    return np.broadcast_to(np.eye(3), (len(table.positions), 3, 3))


def _contours(points: npt.NDArray[np.float64], table: PicksTable) -> list[npt.NDArray[np.float64]]:
    if "contour" not in table.columns or not len(points):
        return [points] if len(points) else []
    numbers = [*dict.fromkeys(table.columns["contour"].tolist())]
    return [points[np.asarray(table.columns["contour"]) == number] for number in numbers]


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


def _doubles(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    with np.errstate(invalid="ignore"):  # of NaN, which is refused later
        return values.astype(np.float64)


def _parse(path: str) -> tuple[float | None, float, list[_Object]]:
    """Angstrom per pixel (None: the model does not say), the pixel's length along z over that along x, and the objects."""
    reader = _Reader(path)
    if reader.take(8) != _MAGIC:
        raise InvalidDataError(source=path, reason="is no IMOD model of version 1.2")
    header = reader.unpack(_HEADER)
    x_scale, z_scale, pixel, units = header[13], header[15], header[21], header[22]
    size = pixel * x_scale * _ANGSTROM[units] if units in _ANGSTROM else None
    if size is not None and not (math.isfinite(size) and size > 0):
        size = None
    size = None if size is None else float(f"{size:.7g}")  # the header has float32
    ratio = z_scale / x_scale if x_scale > 0 and z_scale > 0 else 1.0
    objects: list[_Object] = []
    while True:
        chunk = reader.take(4)
        if chunk == b"IEOF":
            return size, ratio, objects
        if chunk == b"OBJT":
            name = reader.unpack(_OBJECT)[0]
            objects.append(_Object(name.split(b"\0", 1)[0].decode("utf-8", "replace").strip()))
        elif chunk == b"CONT" and objects:
            n = reader.unpack(_CONTOUR)[0]
            points = reader.floats(3 * n).reshape(-1, 3)
            _check_finite(path, points, objects[-1])
            objects[-1].contours.append(points)
        elif chunk == b"MESH":
            vertices, indices, *_ = reader.unpack(_MESH)
            reader.take(12 * vertices)
            reader.take(4 * indices)
        else:
            content = reader.take(struct.unpack(">i", reader.take(4))[0])
            if chunk == b"SIZE" and objects and objects[-1].contours:
                sizes = _doubles(np.frombuffer(content, ">f4", len(content) // 4))
                if len(sizes) == len(objects[-1].contours[-1]):
                    objects[-1].sizes[len(objects[-1].contours) - 1] = np.where(sizes < 0, np.nan, sizes)


def _check_finite(path: str, points: npt.NDArray[np.float64], item: _Object) -> None:
    finite = np.isfinite(points).all(1)
    if not finite.all():
        index = int(np.argmin(finite))
        where = f"point {index + 1} of contour {len(item.contours) + 1} of object {item.name!r}"
        raise InvalidDataError(source=path, reason=f"{where} is not finite", index=index)
