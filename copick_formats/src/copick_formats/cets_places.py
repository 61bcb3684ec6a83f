"""Where the coordinates of a CETS file lie: from an annotation's coordinate system to angstrom from a tomogram's first voxel.

An annotation leads to its tomogram, and the tomogram says how its voxels become angstrom; published versions put the origin
of these into the centre of the volume, or at its first voxel. A project's position is index x voxel size, so the scale of the
tomogram is kept and its translation taken off.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from copick_core.errors import InvalidDataError
from copick_formats.cells import Frames
from copick_formats.rotations import Floats

_ANGSTROM = {"angstrom", "angstroms", "å", "ångstrom"}

Json = Mapping[str, Any]


@np.errstate(over="ignore", invalid="ignore")
def place_of(path: str, region: Json, annotation: Json, name: str) -> Floats | None:
    """What turns an annotation's coordinates into positions of a project, as a matrix (4, 4).

    Args:
        path: The file, for errors.
        region: The region of the annotation.
        annotation: The annotation.
        name: What errors call it.

    Returns:
        None where its coordinates are in angstrom, and no tomogram says where these begin.

    Raises:
        InvalidDataError: No transformation leads to angstrom, several different ones do, or one cannot be applied.
    """
    own = systems_of(annotation)
    steps = [*dicts(annotation, "coordinate_transformations")]
    at = str(steps[0].get("input")) if steps else next(iter(own)) if len(own) == 1 else None
    if at is None:
        reason = f"{name}: it has no coordinate system, so what its coordinates mean is not certain"
        raise InvalidDataError(source=path, reason=reason)
    matrix: Floats = np.eye(4)
    while step := _only(path, name, at, [one for one in steps if one.get("input") == at]):
        steps = [one for one in steps if one != step]
        matrix = _matrix(path, step, name) @ matrix
        left, at = at, str(step.get("output"))
        if at not in own or at == left:
            break  # it has led to the tomogram's system of this name
    tomograms = _tomograms(path, region, annotation, name)
    found = [one for tomogram in tomograms if (one := _in_tomogram(path, tomogram, at, name)) is not None]
    if not found and is_angstrom(own.get(at)):
        return None
    if not found:
        reason = f"{name}: the coordinate system {at!r} is not in angstrom, and no transformation leads on from it"
        raise InvalidDataError(source=path, reason=reason)
    if any(not np.array_equal(one, found[0]) for one in found):
        reason = f"{name}: {len(found)} tomograms place {at!r} differently, and source_tomogram_id does not say which counts"
        raise InvalidDataError(source=path, reason=reason)
    place: Floats = found[0] @ matrix
    if not np.isfinite(place).all():
        raise InvalidDataError(source=path, reason=f"{name}: its transformations lead to numbers that are not finite")
    return place


@np.errstate(over="ignore", invalid="ignore")
def placed(path: str, points: Floats, matrix: Floats, name: str) -> Floats:
    """Points (n, 3) moved by a matrix (4, 4).

    Raises:
        InvalidDataError: A place is not finite.
    """
    moved: Floats = points @ matrix[:3, :3].T + matrix[:3, 3]
    if not (finite := np.isfinite(moved).all(1)).all():
        row = int(np.argmin(finite))
        raise InvalidDataError(source=path, reason=f"{name}: row {row + 1}: the place is not finite", index=row)
    return moved


def centre_of(path: str, frame: Frames, run: str | None) -> Floats:
    """The centre of a run's tomogram as x, y, z in angstrom: half its size from the centre of its first voxel.

    Raises:
        InvalidDataError: The size is not known.
    """
    known = frame(run)
    if known is None:
        of_run = f" of run {run!r}" if run is not None else ""
        raise InvalidDataError(source=path, reason=f"the size of the tomogram{of_run}, whose centre counts, is not known")
    centre: Floats = np.array(known.shape[::-1], float) / 2 * known.voxel_size
    return centre


def keeps_axes(matrix: Floats) -> bool:
    """Whether a matrix (4, 4) neither turns nor flips, nor stretches axes differently."""
    linear = matrix[:3, :3]
    return bool(linear[0, 0] > 0 and np.allclose(linear, linear[0, 0] * np.eye(3), rtol=1e-6, atol=0))


def array_in(path: str, holder: Json, key: str, name: str, *shapes: tuple[int | None, ...]) -> Floats:
    """An array of finite numbers, of one of some shapes, in which None is any length.

    Raises:
        InvalidDataError: It is none; names file, annotation and row.
    """
    try:
        array: npt.NDArray[np.float64] = np.array(holder.get(key), np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        raise InvalidDataError(source=path, reason=f"{name}: {key} is not an array of numbers") from error
    if not any(_fits(array.shape, shape) for shape in shapes):
        expected = " or ".join(" x ".join("n" if n is None else str(n) for n in shape) for shape in shapes)
        raise InvalidDataError(source=path, reason=f"{name}: {key} has the shape {array.shape}, not {expected}")
    if not (finite := np.isfinite(array).reshape(len(array), -1).all(1)).all():
        row = int(np.argmin(finite))
        raise InvalidDataError(source=path, reason=f"{name}: row {row + 1}, {key}: a value is not finite", index=row)
    return array


def systems_of(holder: Json) -> dict[str, Json]:
    """The coordinate systems of an entity by name."""
    return {str(system.get("name")): system for system in dicts(holder, "coordinate_systems")}


def is_angstrom(system: Json | None) -> bool:
    """Whether all axes of a coordinate system are in angstrom."""
    axes = [] if system is None else dicts(system, "axes")
    return bool(axes) and all(str(axis.get("axis_unit")).lower() in _ANGSTROM for axis in axes)


def dicts(holder: Any, key: str) -> list[Json]:
    """The objects in a list of an object, if there is one."""
    items = holder.get(key) if isinstance(holder, Mapping) else None
    return [item for item in items if isinstance(item, Mapping)] if isinstance(items, list) else []


def _fits(shape: Sequence[int], wanted: Sequence[int | None]) -> bool:
    return len(shape) == len(wanted) and all(b in (None, a) for a, b in zip(shape, wanted, strict=True))


def _only(path: str, name: str, at: str, steps: Sequence[Json]) -> Json | None:
    """The one transformation of some, None if there is none."""
    distinct = {json.dumps(step, sort_keys=True): step for step in steps}
    if len(distinct) > 1:
        reason = f"{name}: {len(distinct)} different transformations of {at!r} are given, so which counts is not certain"
        raise InvalidDataError(source=path, reason=reason)
    return next(iter(distinct.values()), None)


def _tomograms(path: str, region: Json, annotation: Json, name: str) -> list[Json]:
    """The tomogram that an annotation names, or all of its region."""
    tomograms = dicts(region, "tomograms")
    source = annotation.get("source_tomogram_id")
    if source is None:
        return tomograms
    named = [tomogram for tomogram in tomograms if tomogram.get("id") == source]
    if not named:
        reason = f"{name}: source_tomogram_id is {source!r}, and the region has no such tomogram"
        raise InvalidDataError(source=path, reason=reason)
    return named


def _in_tomogram(path: str, tomogram: Json, at: str, name: str) -> Floats | None:
    """From a coordinate system of a tomogram to index x voxel size; None if the tomogram does not say."""
    systems, steps = systems_of(tomogram), dicts(tomogram, "coordinate_transformations")
    backwards = is_angstrom(systems.get(at))
    here, there = ("output", "input") if backwards else ("input", "output")
    matrix: Floats = np.eye(4)
    end, seen = at, {at}
    while is_angstrom(systems.get(end)) == backwards:
        near = [step for step in steps if step.get(here) == end and str(step.get(there)) not in seen]
        step = _only(path, name, end, near)
        if step is None:
            return None
        turned = _matrix(path, step, name)
        matrix = matrix @ turned if backwards else turned @ matrix
        end = str(step.get(there))
        seen.add(end)
    physical = systems[at if backwards else end]
    axes = [str(axis.get("name")).lower() for axis in dicts(physical, "axes")]
    if axes != ["x", "y", "z"]:
        reason = f"{name}: the axes of {physical.get('name')!r} are {', '.join(axes)}, not x, y, z"
        raise InvalidDataError(source=path, reason=reason)
    scale = np.diag(matrix)[:3]
    if not np.array_equal(matrix[:3, :3], np.diag(scale)) or not (scale > 0).all():
        reason = f"{name}: the tomogram's angstrom are turned or flipped against its voxels, which cannot be read"
        raise InvalidDataError(source=path, reason=reason)
    place: Floats = np.eye(4)
    if backwards:
        place[:3, 3] = -matrix[:3, 3]
    else:
        place[:3, :3] = np.diag(scale)
    return place


def _matrix(path: str, step: Json, name: str) -> Floats:
    """A transformation as a matrix (4, 4)."""
    kind = str(step.get("transformation_type", step.get("type"))).lower()
    matrix: Floats = np.eye(4)
    if kind == "scale":
        matrix[:3, :3] = np.diag(array_in(path, step, "scale", name, (3,)))
    elif kind == "translation":
        matrix[:3, 3] = array_in(path, step, "translation", name, (3,))
    elif kind == "affine":
        given = array_in(path, step, "affine", name, (3, 3), (4, 4))
        if len(given) == 4 and not np.array_equal(given[3], [0, 0, 0, 1]):
            raise InvalidDataError(source=path, reason=f"{name}: the last row of an affine matrix is not 0, 0, 0, 1")
        matrix[: len(given), : len(given)] = given
    elif kind == "sequence":
        for part in dicts(step, "sequence"):
            matrix = _matrix(path, part, name) @ matrix
    elif kind != "identity":
        raise InvalidDataError(source=path, reason=f"{name}: a transformation of the type {kind!r} cannot be applied")
    return matrix
