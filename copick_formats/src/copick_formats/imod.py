"""IMOD models (``.mod``, https://bio3d.colorado.edu/imod/doc/binspec.html): contours and meshes, in pixels of the image.

The centre of the first voxel lies at (0.5, 0.5, 0), as 3dmod places points and MatTomo describes it; ``voxel_centre`` says
otherwise. Points are pixels of the whole image also where the image has an origin. Orientations and scores have no place in a
model. Contours of open objects are filaments; meshes are those that ``imodmesh`` makes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click
import numpy as np
import numpy.typing as npt

from copick_core.callers import warn_caller
from copick_core.errors import InvalidDataError
from copick_core.plugins.format_functions import FilamentsTable, Frame, PicksTable
from copick_formats.cells import Frames, left_out, voxel_size_of
from copick_formats.imod_model import MAGIC, OPEN, SCATTERED, Contour, Floats, Object, read_model, triangles, write_model
from copick_formats.options import stacked
from copick_formats.polylines import metadata_columns

if TYPE_CHECKING:
    from trimesh.parent import Geometry

VOXEL_CENTRE = (0.5, 0.5, 0.0)


def is_imod(path: str, head: bytes) -> bool:
    """Whether a file is an IMOD model: its first four bytes."""
    return head[:4] == MAGIC[:4]


_voxel_centre = click.option(
    "--voxel-centre", type=float, nargs=3, default=VOXEL_CENTRE, help="Where the centre of the first voxel lies, in pixels."
)


_read_options = stacked(
    click.option("--voxel-size", type=float, help="Angstrom per pixel, instead of the model's."),
    _voxel_centre,
    click.option("--object-number", type=int, help="Number of the object in the model, from 1 on; all by default."),
)
_write_options = stacked(
    click.option("--voxel-size", type=float, help="Angstrom per pixel; the tomogram's by default."), _voxel_centre
)


@_read_options
def read_imod(
    path: str,
    *,
    frame: Frames,
    voxel_size: float | None = None,
    voxel_centre: tuple[float, float, float] = VOXEL_CENTRE,
    object_number: int | None = None,
) -> Iterator[PicksTable]:
    """Read the points of each object; ``contour`` (from 0 on) and ``size`` (in pixels, where there are any) are columns.

    Args:
        path: The file.
        frame: Returns the frame of the run, if neither the model nor ``voxel_size`` has a size.
        voxel_size: Angstrom per pixel; that of the model by default.
        voxel_centre: Where the centre of the first voxel lies, as x, y, z in pixels.
        object_number: The object to read, counted from 1; all by default.

    Raises:
        InvalidDataError: It is not a model, is cut off, has no such object, or a coordinate is not finite.
    """
    model = read_model(path)
    for item in _objects(path, model.objects, object_number):
        if not item.contours:
            continue
        scale = _scale(path, frame, model.pixel_size, model.z_scale, voxel_size)
        points = np.concatenate([contour.points for contour in item.contours])
        lengths = [len(contour.points) for contour in item.contours]
        columns: dict[str, npt.NDArray[Any]] = {"contour": np.repeat(np.arange(len(lengths)), lengths)}
        if any(contour.sizes is not None for contour in item.contours):
            columns["size"] = np.concatenate(
                [np.full(len(c.points), np.nan) if c.sizes is None else c.sizes for c in item.contours]
            )
        yield PicksTable((points - voxel_centre) * scale, object_name=item.name or None, columns=columns)


@_read_options
def read_imod_filaments(
    path: str,
    *,
    frame: Frames,
    voxel_size: float | None = None,
    voxel_centre: tuple[float, float, float] = VOXEL_CENTRE,
    object_number: int | None = None,
) -> Iterator[FilamentsTable]:
    """Read the open contours of each object: a filament for each.

    Numbers of surfaces are the filaments' ids where they are all different, and 1, 2, … otherwise. Sizes of points are the
    radius where all of a contour are the same.

    Args:
        path: The file.
        frame: As for points.
        voxel_size: As for points.
        voxel_centre: As for points.
        object_number: As for points.

    Raises:
        InvalidDataError: It has no open contours, an open contour has one point, or as for points.
    """
    model = read_model(path)
    skipped: list[str] = []
    tables: list[FilamentsTable] = []
    lost = False
    for item in _objects(path, model.objects, object_number):
        lines = [c for c in item.contours if len(c.points) and (item.flags & OPEN or c.is_open) and not item.flags & SCATTERED]
        if len(lines) < sum(len(contour.points) > 0 for contour in item.contours):
            skipped.append(repr(item.name) if item.name else "an object without a name")
        if not lines:
            continue
        if short := [number for number, contour in enumerate(lines, 1) if len(contour.points) < 2]:
            reason = f"open contour {short[0]} of object {item.name!r} has one point; a filament has at least two"
            raise InvalidDataError(source=path, reason=reason, index=short[0] - 1)
        scale = _scale(path, frame, model.pixel_size, model.z_scale, voxel_size)
        surfaces = [contour.surface for contour in lines]
        numbered = len({*surfaces}) == len(surfaces) and min(surfaces) > 0
        radii = [_radius(contour) for contour in lines]
        lost = lost or any(r is None and c.sizes is not None for r, c in zip(radii, lines, strict=True))
        tables.append(
            FilamentsTable(
                [(contour.points - voxel_centre) * scale for contour in lines],
                surfaces if numbered else [*range(1, len(lines) + 1)],
                radii=[None if radius is None else radius * float(scale[0]) for radius in radii],
                object_name=item.name or None,
            )
        )
    if not tables:
        closed = f"; the contours of {', '.join(skipped)} are closed or scattered points" if skipped else ""
        raise InvalidDataError(source=path, reason=f"has no open contours{closed}")
    if skipped:
        warn_caller(f"{path}: contours of {', '.join(skipped)} are closed or scattered points, which are not filaments.")
    if lost:
        warn_caller(f"{path}: sizes of points differ within a contour; filaments have no place for them.")
    yield from tables


@_read_options
def read_imod_mesh(
    path: str,
    *,
    voxel_size: float | None = None,
    voxel_centre: tuple[float, float, float] = VOXEL_CENTRE,
    object_number: int | None = None,
) -> Geometry:
    """Read the meshes of a model's objects: one mesh, or a scene of one for each object that has any.

    Args:
        path: The file.
        voxel_size: As for points; the model must have a size otherwise.
        voxel_centre: As for points.
        object_number: As for points.

    Raises:
        InvalidDataError: It has no meshes, one does not consist of triangles, the size of its pixels is not known, or as for
            points.
    """
    import trimesh

    model = read_model(path)
    found: dict[str, Any] = {}
    for number, item in enumerate(_objects(path, model.objects, object_number), object_number or 1):
        scale = _scale(path, lambda _: None, model.pixel_size, model.z_scale, voxel_size)
        parts = [triangles(path, vertices, commands) for vertices, commands, _ in item.meshes]
        meshes = [
            trimesh.Trimesh((vertices - voxel_centre) * scale, faces, process=False) for vertices, faces in parts if len(faces)
        ]
        if meshes:
            name = item.name or f"object {number}"
            found[name if name not in found else f"{name} {number}"] = trimesh.util.concatenate(meshes)
    if not found:
        raise InvalidDataError(source=path, reason="has no meshes; make them with imodmesh")
    mesh: Geometry = next(iter(found.values())) if len(found) == 1 else trimesh.Scene(found)
    return mesh


@_write_options
def write_imod(
    path: str,
    tables: Iterable[PicksTable],
    *,
    frame: Frames,
    voxel_size: float | None = None,
    voxel_centre: tuple[float, float, float] = VOXEL_CENTRE,
) -> list[str]:
    """Write a model of one run: an object for each table, one contour or those of the column ``contour``.

    Args:
        path: The new file.
        tables: Points of one run.
        frame: Returns the frame of the run.
        voxel_size: Angstrom per pixel; that of the frame by default.
        voxel_centre: Where the centre of the first voxel lies, as x, y, z in pixels.

    Returns:
        What a model has no place for.

    Raises:
        InvalidDataError: There are several runs, the voxel size is not known, or a name is too long.
    """
    tables = [*tables]
    size, shape = _written_size(path, frame, [table.run for table in tables], voxel_size)
    objects = []
    lacking = left_out(tables, ["contour"])
    for table in tables:
        places = np.asarray(table.positions, float)
        if table.transforms is not None:
            transforms = np.asarray(table.transforms, float)
            places = places + transforms[:, :3, 3]
            if not np.array_equal(transforms[:, :3, :3], np.broadcast_to(np.eye(3), (len(places), 3, 3))):
                lacking.append("orientations")
        if table.scores is not None and np.any(np.asarray(table.scores) != 1):
            lacking.append("scores")
        contours = [Contour(points) for points in _contours(places / size + voxel_centre, table)]
        objects.append(Object(table.object_name or "", SCATTERED, contours))
    write_model(path, objects, shape, size)
    return [*dict.fromkeys(lacking)]


@_write_options
def write_imod_filaments(
    path: str,
    tables: Iterable[FilamentsTable],
    *,
    frame: Frames,
    voxel_size: float | None = None,
    voxel_centre: tuple[float, float, float] = VOXEL_CENTRE,
) -> list[str]:
    """Write a model of one run: an open object for each table, a contour for each filament.

    A filament's id is the number of its contour's surface, its radius the size of its points.

    Args:
        path: The new file.
        tables: Filaments of one run.
        frame: As for points.
        voxel_size: As for points.
        voxel_centre: As for points.

    Returns:
        What a model has no place for.

    Raises:
        InvalidDataError: As for points, or an id is larger than 32 bits can hold.
    """
    tables = [*tables]
    size, shape = _written_size(path, frame, [table.run for table in tables], voxel_size)
    objects = []
    lacking: list[str] = []
    for table in tables:
        ids = table.instance_ids or [*range(1, len(table.polylines) + 1)]
        if wrong := [number for number in ids if number >= 2**31]:
            raise InvalidDataError(source=path, reason=f"the id {wrong[0]} is larger than a model can hold")
        contours = []
        for polyline, number, radius in zip(table.polylines, ids, table.radii or [None] * len(table.polylines), strict=True):
            points = np.asarray(polyline, float) / size + voxel_centre
            contours.append(Contour(points, number, None if radius is None else np.full(len(points), radius / size)))
        objects.append(Object(table.object_name or "", OPEN, contours))
        columns, others = metadata_columns(table)
        lacking += [*columns, *others]
        if any(table.polarity_known or ()):
            lacking.append("polarity_known")
        if any(score != 1 for score in table.scores or ()):
            lacking.append("scores")
    write_model(path, objects, shape, size)
    return [*dict.fromkeys(lacking)]


def _objects(path: str, objects: Sequence[Object], number: int | None) -> Sequence[Object]:
    """All objects of a model, or the one of a number."""
    if number is None:
        return objects
    if not 1 <= number <= len(objects):
        raise InvalidDataError(source=path, reason=f"has no object {number}, but {len(objects)}, counted from 1")
    return objects[number - 1 : number]


def _scale(path: str, frame: Frames, pixel: float | None, z_scale: float, given: float | None) -> Floats:
    """Angstrom per pixel along x, y, z."""
    return voxel_size_of(path, frame, None, given if given is not None else pixel) * np.array([1.0, 1.0, z_scale])


def _written_size(
    path: str, frame: Frames, runs: Iterable[str | None], voxel_size: float | None
) -> tuple[float, tuple[int, int, int]]:
    """Angstrom per pixel, and the shape x, y, z of the image."""
    distinct = [*dict.fromkeys(runs)]
    if len(distinct) > 1:
        reason = f"a model holds one run, and these are {len(distinct)}; write one file for each"
        raise InvalidDataError(source=path, reason=reason)
    run = distinct[0] if distinct else None
    size = voxel_size_of(path, frame, run, voxel_size)
    z, y, x = (frame(run) or Frame((0, 0, 0), size)).shape
    return size, (x, y, z)


def _radius(contour: Contour) -> float | None:
    """The size that all points of a contour have, in pixels."""
    sizes = contour.sizes
    if sizes is None or not np.isfinite(sizes).all() or not (sizes == sizes[0]).all() or not sizes[0] > 0:
        return None
    return float(sizes[0])


def _contours(points: Floats, table: PicksTable) -> list[Floats]:
    if "contour" not in table.columns or not len(points):
        return [points] if len(points) else []
    numbers = [*dict.fromkeys(table.columns["contour"].tolist())]
    return [points[np.asarray(table.columns["contour"]) == number] for number in numbers]
