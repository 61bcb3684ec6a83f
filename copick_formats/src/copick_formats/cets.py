"""CETS, the cryoET standards' JSON (version 0.1, experimental), read: points, splines, and the meshes and masks it refers to.

A region is a run, the name of an annotation its object. Coordinates are taken where the file says what they mean:
transformations lead to the voxels or the angstrom of a tomogram, and the tomogram says how these belong together.
CETS does not say yet what the rotations of points turn into what, so the reader must be told.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click
import numpy as np

from copick_core.callers import warn_caller
from copick_core.errors import InvalidDataError
from copick_core.plugins.format_functions import FilamentsTable, PicksTable
from copick_formats.cells import Frames
from copick_formats.cets_places import Json, array_in, centre_of, dicts, keeps_axes, place_of, placed
from copick_formats.json_files import json_object
from copick_formats.rotations import Floats, transforms_of

if TYPE_CHECKING:
    from trimesh.parent import Geometry

    from copick_core.plugins import Format
    from copick_core.volumes.sources import VolumeSource

_POINTS = ("point_set_3d", "point_vector_set_3d", "point_matrix_set_3d")
_SPLINE = "spline_3d"
_MESHES = ("tri_mesh", "trimesh")
_MASKS = ("segmentation_mask_3d", "probability_map_3d")
ORIGINS = ("corner", "centre")
ROTATIONS = ("object-to-tomogram", "tomogram-to-object")

_name_option = click.option("--name", help="Name or id of the annotation, if the file has several.")
_origin_option = click.option("--origin", type=click.Choice(ORIGINS), help="Where angstrom begin that no tomogram explains.")


def is_cets(path: str, head: bytes) -> bool:
    """Whether a file is a CETS dataset: JSON with regions."""
    return head.lstrip()[:1] == b"{" and b'"regions"' in head


@click.option("--rotation", type=click.Choice(ROTATIONS), help="Direction of the rotation matrices of points.")
@_origin_option
@_name_option
def read_cets(
    path: str, *, frame: Frames, rotation: str | None = None, origin: str | None = None, name: str | None = None
) -> Iterator[PicksTable]:
    """Read sets of points; direction vectors are the columns ``vector_x``, ``vector_y`` and ``vector_z``.

    Args:
        path: The file.
        frame: Returns the frame of a region's run; needed with the origin ``"centre"``.
        rotation: ``"object-to-tomogram"`` or ``"tomogram-to-object"``; needed where points have rotation matrices.
        origin: Where coordinates in angstrom begin, if the file has no tomogram to say it: ``"corner"``, the centre of the
            first voxel, or ``"centre"``, half the tomogram's size from there.
        name: Name or id of the annotations to read; all by default.

    Raises:
        InvalidDataError: It is no such file, holds no points, or does not say what a coordinate or a rotation means.
    """
    tables: list[PicksTable] = []
    for region, annotation, called in _annotations(path, _POINTS, "points", name):
        points, matrix = _points(path, region, annotation, called, frame, origin)
        transforms, columns = None, {}
        if not keeps_axes(matrix) and ("matrix3D" in annotation or "vector3D" in annotation):
            reason = f"{called}: its coordinates are turned against the tomogram, and so would be its directions"
            raise InvalidDataError(source=path, reason=reason)
        if "matrix3D" in annotation:
            if rotation not in ROTATIONS:
                reason = f"{called}: it has rotation matrices, and CETS does not say what they turn into what; "
                raise InvalidDataError(source=path, reason=f"{reason}give rotation ({' or '.join(ROTATIONS)})")
            matrices = array_in(path, annotation, "matrix3D", called, (len(points), 3, 3))
            turned = matrices if rotation == ROTATIONS[0] else np.swapaxes(matrices, 1, 2)
            transforms = transforms_of(turned, None, len(points))
        if "vector3D" in annotation:
            vectors = array_in(path, annotation, "vector3D", called, (len(points), 3))
            columns = {f"vector_{axis}": vectors[:, index] for index, axis in enumerate("xyz")}
        tables.append(PicksTable(points, transforms, run=_run(region), object_name=_text(annotation, "name"), columns=columns))
    yield from tables


@_origin_option
@_name_option
def read_cets_filaments(
    path: str, *, frame: Frames, origin: str | None = None, name: str | None = None
) -> Iterator[FilamentsTable]:
    """Read splines: the points of a spline are the vertices of a filament.

    Args:
        path: The file.
        frame: As for points.
        origin: As for points.
        name: As for points.

    Raises:
        InvalidDataError: It is no such file, holds no splines, one has a single point, or a coordinate's meaning is not told.
    """
    found: dict[tuple[str | None, str | None], list[Floats]] = {}
    for region, annotation, called in _annotations(path, (_SPLINE,), "splines", name):
        points, _ = _points(path, region, annotation, called, frame, origin)
        if len(points) < 2:
            raise InvalidDataError(source=path, reason=f"{called}: the spline has one point; a filament has at least two")
        found.setdefault((_run(region), _text(annotation, "name")), []).append(points)
    for (run, object_name), polylines in found.items():
        yield FilamentsTable(polylines, run=run, object_name=object_name)


@_name_option
def read_cets_mesh(path: str, *, name: str | None = None) -> Geometry:
    """Read the mesh that the file refers to; the format of the mesh's own file must be installed.

    Its unit is angstrom, unless its coordinate system leads to a tomogram as that of points does.

    Args:
        path: The file.
        name: Name of the annotation, where there are several meshes.

    Raises:
        InvalidDataError: It refers to no mesh, or to several and ``name`` does not tell which, or the file is missing, or its
            coordinates lead nowhere.
    """
    from copick_core.plugins.choosing import function_of

    region, annotation, called, file = _referred(path, _MESHES, "meshes", name)
    chosen = _format_of(path, file, "mesh")
    mesh: Geometry = function_of(chosen, chosen.reads, "mesh", {})(file)
    if dicts(annotation, "coordinate_systems") and (matrix := place_of(path, region, annotation, called)) is not None:
        mesh.apply_transform(matrix)
    return mesh


@_name_option
def read_cets_volume(path: str, *, name: str | None = None) -> VolumeSource:
    """Open the mask or probability map that the file refers to; the format of its own file must be installed.

    Args:
        path: The file.
        name: Name of the annotation, where there are several volumes.

    Raises:
        InvalidDataError: It refers to no volume, or to several and ``name`` does not tell which, or the file is missing.
    """
    from copick_core.volumes.reading import read_volume

    *_, file = _referred(path, _MASKS, "masks", name)
    return read_volume(file, file_format=None if os.path.isdir(file) else _format_of(path, file, "volume").name)


def _format_of(path: str, file: str, kind: str) -> Format:
    """The format of a file that is referred to."""
    from copick_core.plugins.choosing import format_that_reads

    chosen = format_that_reads(file, kind)
    if chosen.name == "cets":
        raise InvalidDataError(source=path, reason=f"it refers to {os.path.basename(file)!r}, which only refers to others")
    return chosen


def _referred(path: str, types: Sequence[str], what: str, name: str | None) -> tuple[Json, Json, str, str]:
    """The one annotation of some types, what errors call it, and the file that it refers to."""
    found = [item for item in _annotations(path, types, what) if name in (None, *_names(item[1]))]
    if len(found) != 1:
        names = ", ".join(repr(_text(item, "name") or item.get("path")) for _, item, _ in found) or "none"
        raise InvalidDataError(source=path, reason=f"it refers to {len(found)} such {what} ({names}); give name")
    region, annotation, called = found[0]
    written = _text(annotation, "path")
    file = os.path.join(os.path.dirname(os.path.abspath(path)), written or "")
    if not written or not os.path.exists(file):
        raise InvalidDataError(source=path, reason=f"there is no file {written!r}, which it refers to")
    return region, annotation, called, file


def _names(annotation: Json) -> tuple[str | None, str | None]:
    return _text(annotation, "name"), _text(annotation, "id")


def _annotations(path: str, types: Sequence[str], what: str, name: str | None = None) -> Iterator[tuple[Json, Json, str]]:
    """The region and content of each annotation of some types (and a name or id), and what it is called in errors."""
    regions = json_object(path).get("regions")
    if not isinstance(regions, list):
        raise InvalidDataError(source=path, reason="is not a CETS dataset: it has no regions")
    others: dict[str, None] = {}
    count = chosen = 0
    for number, region in enumerate(regions):
        for index, annotation in enumerate(dicts(region, "annotations")):
            kind = str(annotation.get("annotation_type", annotation.get("type"))).lower()
            if kind in types:
                count += 1
                if name not in (None, *_names(annotation)):
                    continue
                chosen += 1
                yield region, annotation, f"regions[{number}].annotations[{index}]"
            else:
                others[kind] = None
    if not count:
        raise InvalidDataError(source=path, reason=f"holds no {what}, but {', '.join(others) or 'no annotations'}")
    if not chosen:
        raise InvalidDataError(source=path, reason=f"holds {what}, but none of the name or id {name!r}")
    if lost := [kind for kind in others if kind not in (*_POINTS, _SPLINE, *_MESHES, *_MASKS)]:
        warn_caller(f"{path}: annotations of the types {', '.join(lost)} cannot be read and were left out.")


def _points(path: str, region: Json, annotation: Json, name: str, frame: Frames, origin: str | None) -> tuple[Floats, Floats]:
    """The points of an annotation in angstrom, and the matrix (4, 4) that took them there."""
    empty = annotation.get("origin3D") is None and annotation.get("path") is None
    points = np.zeros((0, 3)) if empty else array_in(path, annotation, "origin3D", name, (None, 3))
    matrix = place_of(path, region, annotation, name)
    if matrix is None:
        matrix = np.eye(4)
        matrix[:3, 3] = _origin(path, frame, _run(region), name, origin)
    return placed(path, points, matrix, name), matrix


def _origin(path: str, frame: Frames, run: str | None, name: str, origin: str | None) -> Floats:
    """Where the angstrom of a file begin that has no tomogram to say it."""
    if origin not in ORIGINS:
        reason = f"{name}: no tomogram says where its angstrom begin; give origin ({' or '.join(ORIGINS)})"
        raise InvalidDataError(source=path, reason=reason)
    if origin == "corner":
        return np.zeros(3)
    return centre_of(path, frame, run)


def _run(region: Json) -> str | None:
    return _text(region, "id") or _text(region, "name")


def _text(holder: Json, key: str) -> str | None:
    value = holder.get(key)
    return value if isinstance(value, str) and value else None
