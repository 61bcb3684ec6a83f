"""CETS, the cryoET standards' JSON (version 0.1, experimental): points, splines and meshes of regions, read.

A region is a run, the name of an annotation its object. Coordinates are taken where the file says what they mean: an
annotation's coordinate system is in angstrom, or its transformations and those of the region's tomogram lead to one that is.
CETS does not say yet what the rotations of points turn into what, so the reader must be told. It is not written, since
published versions of its models differ in the names of fields.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click
import numpy as np
import numpy.typing as npt

from copick_core.callers import warn_caller
from copick_core.errors import InvalidDataError
from copick_core.plugins.format_functions import FilamentsTable, PicksTable
from copick_formats.cells import Frames
from copick_formats.rotations import Floats, transforms_of

if TYPE_CHECKING:
    from trimesh.parent import Geometry

_POINTS = ("point_set_3d", "point_vector_set_3d", "point_matrix_set_3d")
_SPLINE, _MESH = "spline_3d", "tri_mesh"
_ANGSTROM = {"angstrom", "angstroms", "å"}
ROTATIONS = ("object-to-tomogram", "tomogram-to-object")

Json = Mapping[str, Any]


def is_cets(path: str, head: bytes) -> bool:
    """Whether a file is a CETS dataset: JSON with regions."""
    return head.lstrip()[:1] == b"{" and b'"regions"' in head


@click.option("--rotation", type=click.Choice(ROTATIONS), help="What the rotation matrices of points turn into what.")
def read_cets(path: str, *, frame: Frames, rotation: str | None = None) -> Iterator[PicksTable]:
    """Read sets of points; direction vectors are the columns ``vector_x``, ``vector_y`` and ``vector_z``.

    Args:
        path: The file.
        frame: Not needed.
        rotation: ``"object-to-tomogram"`` or ``"tomogram-to-object"``; needed where points have rotation matrices.

    Raises:
        InvalidDataError: It is no such file, holds no points, or does not say what a coordinate or a rotation means.
    """
    tables: list[PicksTable] = []
    for region, annotation, name in _annotations(path, _POINTS, "points"):
        points = _points(path, region, annotation, name)
        transforms, columns = None, {}
        if "matrix3D" in annotation:
            if rotation not in ROTATIONS:
                reason = f"{name}: it has rotation matrices, and CETS does not say what they turn into what; "
                raise InvalidDataError(source=path, reason=f"{reason}give rotation ({' or '.join(ROTATIONS)})")
            matrices = _array(path, annotation, "matrix3D", name, (len(points), 3, 3))
            turned = matrices if rotation == ROTATIONS[0] else np.swapaxes(matrices, 1, 2)
            transforms = transforms_of(turned, None, len(points))
        if "vector3D" in annotation:
            vectors = _array(path, annotation, "vector3D", name, (len(points), 3))
            columns = {f"vector_{axis}": vectors[:, index] for index, axis in enumerate("xyz")}
        tables.append(PicksTable(points, transforms, run=_run(region), object_name=_text(annotation, "name"), columns=columns))
    yield from tables


def read_cets_filaments(path: str, *, frame: Frames) -> Iterator[FilamentsTable]:
    """Read splines: the points of a spline are the vertices of a filament.

    Args:
        path: The file.
        frame: Not needed.

    Raises:
        InvalidDataError: It is no such file, holds no splines, one has a single point, or a coordinate's meaning is not told.
    """
    found: dict[tuple[str | None, str | None], list[Floats]] = {}
    for region, annotation, name in _annotations(path, (_SPLINE,), "splines"):
        points = _points(path, region, annotation, name)
        if len(points) < 2:
            raise InvalidDataError(source=path, reason=f"{name}: the spline has one point; a filament has at least two")
        found.setdefault((_run(region), _text(annotation, "name")), []).append(points)
    for (run, object_name), polylines in found.items():
        yield FilamentsTable(polylines, run=run, object_name=object_name)


@click.option("--name", help="Name of the annotation, where there are several meshes.")
def read_cets_mesh(path: str, *, name: str | None = None) -> Geometry:
    """Read the mesh that the file refers to; the format of the mesh's own file must be installed, its unit be angstrom.

    Args:
        path: The file.
        name: Name of the annotation, where there are several meshes.

    Raises:
        InvalidDataError: It refers to no mesh, or to several and ``name`` does not tell which, or the file is missing.
    """
    from copick_core.plugins.choosing import format_that_reads, function_of

    meshes = [item for _, item, _ in _annotations(path, (_MESH,), "meshes") if name in (None, _text(item, "name"))]
    if len(meshes) != 1:
        names = ", ".join(repr(_text(item, "name") or item.get("path")) for item in meshes) or "none"
        raise InvalidDataError(source=path, reason=f"it refers to {len(meshes)} such meshes ({names}); give name")
    written = _text(meshes[0], "path")
    file = os.path.join(os.path.dirname(os.path.abspath(path)), written or "")
    if not written or not os.path.isfile(file):
        raise InvalidDataError(source=path, reason=f"there is no file {written!r}, which it refers to")
    chosen = format_that_reads(file, "mesh")
    mesh: Geometry = function_of(chosen, chosen.reads, "mesh", {})(file)
    return mesh


def _annotations(path: str, types: Sequence[str], what: str) -> Iterator[tuple[Json, Json, str]]:
    """The region and content of each annotation of some types, and what it is called in errors."""
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except (ValueError, RecursionError) as error:
        raise InvalidDataError(source=path, reason=f"is no readable JSON: {error}") from error
    regions = content.get("regions") if isinstance(content, dict) else None
    if not isinstance(regions, list):
        raise InvalidDataError(source=path, reason="is no CETS dataset: it has no regions")
    others: dict[str, None] = {}
    count = 0
    for number, region in enumerate(regions):
        for index, annotation in enumerate(_dicts(region, "annotations")):
            kind = str(annotation.get("annotation_type", annotation.get("type"))).lower()
            if kind in types:
                count += 1
                yield region, annotation, f"regions[{number}].annotations[{index}]"
            else:
                others[kind] = None
    if not count:
        raise InvalidDataError(source=path, reason=f"holds no {what}, but {', '.join(others) or 'no annotations'}")
    if lost := [
        kind for kind in others if kind not in (*_POINTS, _SPLINE, _MESH, "segmentation_mask_3d", "probability_map_3d")
    ]:
        warn_caller(f"{path}: annotations of the types {', '.join(lost)} cannot be read and were left out.")


def _points(path: str, region: Json, annotation: Json, name: str) -> Floats:
    """The points of an annotation in angstrom."""
    points = _array(path, annotation, "origin3D", name, (None, 3))
    systems: dict[str, Json] = {}
    steps: list[Json] = []
    for holder in (annotation, *_dicts(region, "tomograms")):
        for system in _dicts(holder, "coordinate_systems"):
            systems.setdefault(str(system.get("name")), system)
        steps += _dicts(holder, "coordinate_transformations")
    own = _dicts(annotation, "coordinate_systems")
    first = next((str(step.get("input")) for step in _dicts(annotation, "coordinate_transformations")), None)
    at = first if first is not None else str(own[0].get("name")) if len(own) == 1 else None
    if at is None:
        reason = f"{name}: it has no coordinate system, so what its coordinates mean is not certain"
        raise InvalidDataError(source=path, reason=reason)
    seen = {at}
    while not _is_angstrom(systems.get(at)):
        onward = [step for step in steps if step.get("input") == at and step.get("output") not in seen]
        distinct = {json.dumps(step, sort_keys=True): step for step in onward}
        if len(distinct) != 1:
            count = "no transformation" if not distinct else f"{len(distinct)} transformations"
            reason = f"{name}: the coordinate system {at!r} is not in angstrom, and {count} leads on from it"
            raise InvalidDataError(source=path, reason=reason)
        (step,) = distinct.values()
        points = _transformed(path, points, step, name)
        at = str(step.get("output"))
        seen.add(at)
    axes = [str(axis.get("name")).lower() for axis in _dicts(systems[at], "axes")]
    if axes != ["x", "y", "z"]:
        raise InvalidDataError(source=path, reason=f"{name}: the axes of {at!r} are {', '.join(axes)}, not x, y, z")
    return points


def _transformed(path: str, points: Floats, step: Json, name: str) -> Floats:
    kind = str(step.get("transformation_type", step.get("type"))).lower()
    if kind == "identity":
        return points
    if kind == "scale":
        return points * _array(path, step, "scale", name, (3,))
    if kind == "translation":
        return points + _array(path, step, "translation", name, (3,))
    if kind == "affine":
        turned: Floats = points @ _array(path, step, "affine", name, (3, 3)).T
        return turned
    if kind == "sequence":
        for part in _dicts(step, "sequence"):
            points = _transformed(path, points, part, name)
        return points
    raise InvalidDataError(source=path, reason=f"{name}: a transformation of the type {kind!r} cannot be applied")


def _array(path: str, holder: Json, key: str, name: str, shape: tuple[int | None, ...]) -> Floats:
    """An array of finite numbers, of a shape in which None is any length."""
    try:
        array: npt.NDArray[np.float64] = np.array(holder.get(key), np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        raise InvalidDataError(source=path, reason=f"{name}: {key} is no array of numbers") from error
    if array.ndim != len(shape) or any(wanted not in (None, n) for wanted, n in zip(shape, array.shape, strict=True)):
        expected = " x ".join("n" if n is None else str(n) for n in shape)
        raise InvalidDataError(source=path, reason=f"{name}: {key} has the shape {array.shape}, not {expected}")
    if not (finite := np.isfinite(array).reshape(len(array), -1).all(1)).all():
        row = int(np.argmin(finite))
        raise InvalidDataError(source=path, reason=f"{name}: row {row + 1}, {key}: a value is not finite", index=row)
    return array


def _is_angstrom(system: Json | None) -> bool:
    axes = [] if system is None else _dicts(system, "axes")
    return bool(axes) and all(str(axis.get("axis_unit")).lower() in _ANGSTROM for axis in axes)


def _dicts(holder: Any, key: str) -> list[Json]:
    items = holder.get(key) if isinstance(holder, Mapping) else None
    return [item for item in items if isinstance(item, Mapping)] if isinstance(items, list) else []


def _run(region: Json) -> str | None:
    return _text(region, "id") or _text(region, "name")


def _text(holder: Json, key: str) -> str | None:
    value = holder.get(key)
    return value if isinstance(value, str) and value else None
