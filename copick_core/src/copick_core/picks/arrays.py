"""The content of a picks file as arrays, and what may be written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from copick_core.errors import InvalidDataError
from copick_core.picks.columns import Columns, checked_columns

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]

#: The known keys of a point.
POINT_KEYS = frozenset({"location", "transformation_", "instance_id", "score"})
#: The known keys of its location.
AXES = frozenset({"x", "y", "z"})
# The file's known keys besides ``points``; those without a default must be there.
_HEADER_TYPES: dict[str, tuple[type, ...]] = {
    "pickable_object_name": (str,),
    "user_id": (str,),
    "session_id": (str,),
    "run_name": (str, type(None)),
    "voxel_spacing": (int, float, type(None)),
    "unit": (str,),
    "trust_orientation": (bool, type(None)),
}
_HEADER_DEFAULTS: dict[str, Any] = {
    "run_name": None,
    "voxel_spacing": None,
    "unit": "angstrom",
    "trust_orientation": True,
}
_LAST_ROW = np.eye(4)[3]

#: Unit of all lengths in memory.
ANGSTROM = "angstrom"
#: Angstroms in a unit of length, by its names in lower case.
_ANGSTROMS_IN = {
    **dict.fromkeys((ANGSTROM, "angstroms", "å", "a"), 1.0),
    **dict.fromkeys(("nm", "nanometer", "nanometre", "nanometers", "nanometres"), 10.0),
    **dict.fromkeys(("um", "µm", "\u03bcm", "micrometer", "micrometre", "micrometers", "micrometres"), 1e4),
    **dict.fromkeys(("pm", "picometer", "picometre", "picometers", "picometres"), 0.01),
}


@dataclass(slots=True)
class PicksArrays:
    """The content of one picks file.

    Attributes:
        positions: float64 (N, 3), the points' locations as x, y, z in angstrom; position / voxel size is the array index.
        transforms: float64 (N, 4, 4), object space to tomogram space; the translation is a shift in angstrom
            that is added to the position.
        instance_ids: int64 (N,), 0 where the file has none.
        scores: float64 (N,), 1.0 where the file has none.
        header: The file's other keys, known and unknown: ``pickable_object_name``, ``user_id``,
            ``session_id``, ``run_name``, ``voxel_spacing``, ``unit``, ``trust_orientation`` and the rest.
        point_extras: Unknown keys by point index; empty for almost every file. Those of a point's location
            stand under ``"location"``.
        columns: Further columns by name, arrays (N,): integers, floats (NaN where a point has no value), booleans, text, or
            objects (None where a point has no value). In the file they are the points' ``"metadata"``.
    """

    positions: FloatArray
    transforms: FloatArray
    instance_ids: IntArray
    scores: FloatArray
    header: dict[str, Any]
    point_extras: dict[int, dict[str, Any]] = field(default_factory=dict)
    columns: Columns = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.positions)


def from_arrays(
    positions: npt.ArrayLike,
    transforms: npt.ArrayLike | None = None,
    instance_ids: npt.ArrayLike | None = None,
    scores: npt.ArrayLike | None = None,
    *,
    columns: Mapping[str, Any] | None = None,
    header: Mapping[str, Any],
    source: str = "picks",
) -> PicksArrays:
    """Check a user's arrays and copy them.

    Args:
        positions: (N, 3) numbers of any real dtype, x, y, z in angstrom. A single point is [[x, y, z]].
        transforms: (N, 4, 4); None is the identity for each point.
        instance_ids: (N,) integers >= 0, floats without a fraction included; None is 0 for each point.
        scores: (N,); None is 1.0 for each point.
        columns: Further columns by name, each (N,) values that JSON can hold; NaN and None are not values.
        header: The file's other keys: ``pickable_object_name``, ``user_id`` and ``session_id`` at least.
        source: What the picks are called in errors.

    Returns:
        The picks, which share no memory with the arguments.

    Raises:
        InvalidDataError: As for ``encode``.

    Example:
        >>> header = {"pickable_object_name": "ribosome", "user_id": "ana", "session_id": "1"}
        >>> from_arrays([[10, 20, 30]], header=header).positions
        array([[10., 20., 30.]])
    """
    checked = checked_picks(
        positions, transforms, instance_ids, scores, header=header, point_extras={}, columns=columns, source=source
    )
    return PicksArrays(
        checked.positions.copy(),
        checked.transforms.copy(),
        checked.instance_ids.copy(),
        checked.scores.copy(),
        checked.header,
        columns={name: array.copy() for name, array in checked.columns.items()},
    )


def checked_picks(
    positions: npt.ArrayLike,
    transforms: npt.ArrayLike | None,
    instance_ids: npt.ArrayLike | None,
    scores: npt.ArrayLike | None,
    *,
    header: Mapping[str, Any],
    point_extras: dict[int, dict[str, Any]],
    columns: Mapping[str, Any] | None,
    source: str,
) -> PicksArrays:
    """The picks as they may be written; arrays of the right dtype are not copied."""
    located = _numbers(positions, (3,), None, "positions", source)
    n = len(located)
    if transforms is None:
        matrices = np.broadcast_to(np.eye(4), (n, 4, 4))
    else:
        matrices = _numbers(transforms, (4, 4), n, "transforms", source)
        check_last_rows(matrices, source)
    ids = np.zeros(n, np.int64) if instance_ids is None else _checked_ids(instance_ids, n, source)
    scored = np.ones(n) if scores is None else _numbers(scores, (), n, "scores", source)
    for index in point_extras:
        if type(index) is not int or not 0 <= index < n:
            raise invalid(f"point_extras has the key {index!r}, but there are {n} points", source)
    further = checked_columns(columns, n, source)
    return PicksArrays(located, matrices, ids, scored, checked_header(header, source), point_extras, further)


def checked_header(header: Mapping[str, Any], source: str) -> dict[str, Any]:
    """The header with defaults for what is missing, as a new dict."""
    checked = {**_HEADER_DEFAULTS, **header}
    if "points" in checked:
        raise invalid("the header has a key 'points'", source)
    for key, types in _HEADER_TYPES.items():
        if key not in checked:
            raise invalid(f"{key} is missing", source)
        if isinstance(value := checked[key], np.generic):
            checked[key] = value = value.item()
        if type(value) not in types:
            raise invalid(f"{key} is {value!r:.80}, expected {' or '.join(kind.__name__ for kind in types)}", source)
    if angstroms_in(checked["unit"]) is None:
        raise invalid(f"the unit {checked['unit']!r} is none of angstrom, nm, um and pm", source)
    return checked


def angstroms_in(unit: str) -> float | None:
    """Angstroms in a unit of length; None if it is none that is known."""
    return _ANGSTROMS_IN.get(unit.strip().lower())


def check_last_rows(transforms: FloatArray, source: str) -> None:
    """Refuse transforms as the released library does: a last element of exactly 1 and np.allclose for the last row."""
    rows = transforms[:, 3]
    right = np.isclose(rows, _LAST_ROW).all(axis=1) & (rows[:, 3] == 1.0)
    if not right.all():
        index = int(np.argmin(right))
        raise invalid(f"the last row of a transform must be 0, 0, 0, 1, not {rows[index].tolist()}", source, index)


def invalid(reason: str, source: str, index: int | None = None) -> InvalidDataError:
    """The error for picks, or for one point of them."""
    where = source if index is None else f"{source}: point {index}"
    return InvalidDataError(source=where, reason=reason, index=index)


def _checked_ids(values: npt.ArrayLike, n: int, source: str) -> IntArray:
    array = _array(values, "biuf", (), n, "instance_ids", source)
    if array.dtype.kind == "f":
        wrong = ~np.isfinite(array) | (np.trunc(array) != array) | (array < 0) | (array >= 2.0**63)
    else:
        wrong = (array < 0) | (array > np.iinfo(np.int64).max)
    if wrong.any():
        index = int(np.argmax(wrong))
        what = ">= 0" if array[index] < 0 else "integers of 64 bits"
        raise invalid(f"instance_ids must be {what}, not {array[index]}", source, index)
    return array.astype(np.int64, copy=False)


def _numbers(values: npt.ArrayLike, item: tuple[int, ...], n: int | None, name: str, source: str) -> FloatArray:
    array = _array(values, "iuf", item, n, name, source)
    with np.errstate(over="ignore"):  # a long double beyond float64 becomes infinite and is refused below
        array = array.astype(np.float64, copy=False)
    finite = np.isfinite(array)
    if not finite.all():
        index = int(np.argwhere(~finite)[0, 0])
        raise invalid(f"{name} must be finite, not {array[index]}", source, index)
    return array


def _array(
    values: npt.ArrayLike, kinds: str, item: tuple[int, ...], n: int | None, name: str, source: str
) -> npt.NDArray[Any]:
    expected = str(("N" if n is None else n, *item)).replace("'", "")
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise invalid(f"{name} is not an array of shape {expected}: {error}", source) from error
    if array.shape == (0,):
        array = array.reshape(0, *item)
    if array.ndim != 1 + len(item) or array.shape[1:] != item or (n is not None and len(array) != n):
        raise invalid(f"{name} must have shape {expected}, not {array.shape}", source)
    if array.dtype.kind not in kinds:
        raise invalid(f"{name} must hold numbers, not {array.dtype}", source)
    return array
