"""Picks files to arrays and back, without one Python object for each point.

A picks file is the JSON of the specification's ``CopickPicksFile``. ``decode`` reads the indented files of
the released copick library and the compact ones that ``encode`` writes; the arrays hold the same float64
values bit for bit. Keys that this version does not know, of the file, of a point and of its location,
survive ``encode(decode(data, source))``.

Reading is as tolerant as the files that exist: non-finite numbers (the released library writes the non-JSON
tokens ``NaN`` and ``Infinity``) and negative instance ids are read as they are. Writing is strict: ``encode``
and ``from_arrays`` refuse them, so that a broken file can be looked at and mended but is never produced.
"""

import functools
import gc
import importlib
import json
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic_core import from_json, to_json

from copick_core.errors import InvalidDataError

if TYPE_CHECKING:
    from copick_core.schema import CopickPoint

__all__ = ["PicksArrays", "arrays_of", "decode", "encode", "from_arrays", "points_of"]

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]

_IDENTITY = ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0))
_LAST_ROW = np.array(_IDENTITY[3])
_REQUIRED = ("pickable_object_name", "user_id", "session_id")
_DEFAULTS: dict[str, Any] = {
    "run_name": None,
    "voxel_spacing": None,
    "unit": "angstrom",
    "trust_orientation": True,
}
# Where the points stand among the header's keys in a file of the released library.
_BEFORE_POINTS = (*_REQUIRED, "run_name", "voxel_spacing", "unit")
_HEADER_TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(_REQUIRED, (str,)),
    "run_name": (str, type(None)),
    "voxel_spacing": (int, float, type(None)),
    "unit": (str,),
    "trust_orientation": (bool, type(None)),
}
_POINT_KEYS = frozenset({"location", "transformation_", "instance_id", "score"})
_AXES = frozenset({"x", "y", "z"})
# Bytes parsed in one go, about 500 points of the released library's files.
_PIECE = 1 << 19
_POINTS_OPENING = re.compile(rb'(?<!\\)"points"\s*:\s*\[(?=\s*\{)')
_BETWEEN_POINTS = re.compile(rb'\}\s*,(?=\s*\{\s*"location"\s*:)')
# Points formatted in one go: their text and objects fit the processor's cache (200 to 2000 measure the same).
_CHUNK = 500


@dataclass(slots=True)
class PicksArrays:
    """The content of one picks file.

    Attributes:
        positions: float64 (N, 3), the points' locations as x, y, z in angstrom from the tomogram's corner.
        transforms: float64 (N, 4, 4), object space to tomogram space; the translation is a shift in angstrom
            that is added to the position.
        instance_ids: int64 (N,), 0 where the file has none.
        scores: float64 (N,), 1.0 where the file has none.
        header: The file's other keys, known and unknown: ``pickable_object_name``, ``user_id``,
            ``session_id``, ``run_name``, ``voxel_spacing``, ``unit``, ``trust_orientation`` and the rest.
        point_extras: Unknown keys by point index; empty for almost every file. Those of a point's location
            stand under ``"location"``.
    """

    positions: FloatArray
    transforms: FloatArray
    instance_ids: IntArray
    scores: FloatArray
    header: dict[str, Any]
    point_extras: dict[int, dict[str, Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.positions)


def decode(data: bytes, source: str) -> PicksArrays:
    """Read a picks file.

    Missing keys take the specification's defaults (``transformation_`` the identity, ``instance_id`` 0,
    ``score`` 1.0), as do a null ``instance_id`` and a null ``score``. Null or missing ``points`` are none.

    Args:
        data: The bytes of the file, UTF-8 JSON.
        source: What the bytes are called in errors, such as the file's path.

    Returns:
        The arrays, which own their memory.

    Raises:
        InvalidDataError: The bytes are no JSON or no picks file. The message names the source and, where there is
            one, the first point at fault.
    """
    with _collector_paused():
        if (read := _decode_in_pieces(data, source)) is not None:
            return read
        return _decode_whole(data, source)


def encode(arrays: PicksArrays, source: str = "picks") -> bytes:
    """Write a picks file: compact JSON in the released library's key order, floats exact.

    Everything is checked before the first byte is made.

    Args:
        arrays: The content. It may be edited by hand, or built without ``from_arrays``.
        source: What the picks are called in errors.

    Returns:
        UTF-8 JSON that the released library reads.

    Raises:
        InvalidDataError: An array has a wrong shape or length, a value is not finite, an instance id is negative
            or no integer, a transform's last row is not 0, 0, 0, 1, or the header or an unknown key holds
            something that JSON cannot say. The message names the first point at fault.
    """
    checked = _checked(
        arrays.positions,
        arrays.transforms,
        arrays.instance_ids,
        arrays.scores,
        header=arrays.header,
        point_extras=arrays.point_extras,
        source=source,
    )
    header = dict(checked.header)
    head = {key: header.pop(key) for key in _BEFORE_POINTS}
    opening = _strict_json(head, source)[:-1] + b',"points":['
    ending = b"]," + _strict_json(header, source)[1:]
    extras = _extras_json(checked.point_extras, source)
    with _collector_paused():
        return b"".join([opening, *_point_chunks(checked, extras), ending])


def from_arrays(
    positions: npt.ArrayLike,
    transforms: npt.ArrayLike | None = None,
    instance_ids: npt.ArrayLike | None = None,
    scores: npt.ArrayLike | None = None,
    *,
    header: Mapping[str, Any],
    source: str = "picks",
) -> PicksArrays:
    """Check a user's arrays and copy them.

    Args:
        positions: (N, 3) numbers of any real dtype, x, y, z in angstrom. A single point is [[x, y, z]].
        transforms: (N, 4, 4); None is the identity for each point.
        instance_ids: (N,) integers >= 0, floats without a fraction included; None is 0 for each point.
        scores: (N,); None is 1.0 for each point.
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
    checked = _checked(positions, transforms, instance_ids, scores, header=header, point_extras={}, source=source)
    return PicksArrays(
        checked.positions.copy(),
        checked.transforms.copy(),
        checked.instance_ids.copy(),
        checked.scores.copy(),
        checked.header,
    )


def points_of(arrays: PicksArrays) -> list["CopickPoint"]:
    """Build the point objects of arrays."""
    from copick_core.schema import CopickPoint

    points = []
    rows = zip(
        arrays.positions.tolist(),
        arrays.transforms.tolist(),
        arrays.instance_ids.tolist(),
        arrays.scores.tolist(),
        strict=True,
    )
    for index, ((x, y, z), transform, instance_id, score) in enumerate(rows):
        extras = dict(arrays.point_extras.get(index, {}))
        location = {"x": x, "y": y, "z": z, **extras.pop("location", {})}
        points.append(
            CopickPoint.model_validate(
                {
                    "location": location,
                    "transformation_": transform,
                    "instance_id": instance_id,
                    "score": score,
                    **extras,
                }
            )
        )
    return points


def arrays_of(points: "Sequence[CopickPoint]", header: Mapping[str, Any], source: str) -> PicksArrays:
    """Arrays of point objects, checked; None as id or score takes the default.

    Args:
        points: The points.
        header: The file's other keys.
        source: What the picks are called in errors.

    Raises:
        InvalidDataError: As for ``encode``.
    """
    from copick_core.schema import CopickLocation, CopickPoint

    extras: dict[int, dict[str, Any]] = {}
    for index, point in enumerate(points):
        if not isinstance(point, CopickPoint) or not isinstance(point.location, CopickLocation):
            raise _error("is not a CopickPoint with a CopickLocation", source, index)
        unknown = dict(point.model_extra or {})
        if point.location.model_extra:
            unknown["location"] = dict(point.location.model_extra)
        if unknown:
            extras[index] = unknown
    header = _checked_header(header, source)
    try:
        return _columns_of(points, header, extras, source)
    except InvalidDataError as error:
        if error.index is None:  # something that makes no column of numbers: find out where
            for index, point in enumerate(points):
                try:
                    _columns_of([point], header, {}, source)
                except InvalidDataError as culprit:
                    raise _error(culprit.reason, source, index) from error
        raise


def _columns_of(
    points: "Sequence[CopickPoint]", header: dict[str, Any], extras: dict[int, dict[str, Any]], source: str
) -> PicksArrays:
    n = len(points)
    return _checked(
        np.array([(p.location.x, p.location.y, p.location.z) for p in points]).reshape(n, 3),
        [p.transformation_ for p in points] if n else np.empty((0, 4, 4)),
        [0 if p.instance_id is None else p.instance_id for p in points] if n else np.empty(0, np.int64),
        [1.0 if p.score is None else p.score for p in points] if n else np.empty(0),
        header=header,
        point_extras=extras,
        source=source,
    )


def _error(reason: str, source: str, index: int | None = None) -> InvalidDataError:
    where = source if index is None else f"{source}: point {index}"
    return InvalidDataError(source=where, reason=reason, index=index)


_pause_lock = threading.Lock()
_pauses = 0
_resume_collector = False


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Keep the garbage collector from walking millions of short-lived numbers (it doubles the time).

    The collector belongs to the process: the first of several threads pauses it and the last one resumes it.
    """
    global _pauses, _resume_collector
    with _pause_lock:
        if _pauses == 0:
            _resume_collector = gc.isenabled()
            gc.disable()
        _pauses += 1
    try:
        yield
    finally:
        with _pause_lock:
            _pauses -= 1
            if _pauses == 0 and _resume_collector:
                gc.enable()


# Reading


def _decode_whole(data: bytes, source: str) -> PicksArrays:
    try:
        document = from_json(data)
    except ValueError as error:
        raise _error(f"not valid JSON: {error}", source) from error
    if type(document) is not dict:
        raise _error("not a picks file: the JSON is no object", source)
    points = document.pop("points", None)
    header = _checked_header({**_DEFAULTS, **document}, source)
    if points is None:
        points = []
    if type(points) is not list:
        raise _error("points is no list", source)
    return _decode_points(points, header, source)


def _decode_in_pieces(data: bytes, source: str) -> PicksArrays | None:
    """Parse a long file a few hundred points at a time, which saves most of the memory and half the time.

    The text is cut where one object ends and the next begins with a location; JSON has no such bytes inside
    a string. Each piece must parse as a list by itself, so each cut lies between two points; what is left is
    the file with its last points only. None for any file where this does not hold or a point is at fault:
    reading it whole decides, and names the point by its index.
    """
    opening = _POINTS_OPENING.search(data, 0, _PIECE)
    if opening is None or len(data) < 2 * _PIECE:
        return None
    # The list must be the file's own and not one of an unknown key.
    head = data[: opening.end()]
    if head.count(b"{") != 1 or head.count(b"[") != 1:
        return None
    start = opening.end()
    parts: list[PicksArrays] = []
    try:
        while cut := _BETWEEN_POINTS.search(data, start + _PIECE):
            points = from_json(b"[" + data[start : cut.start() + 1] + b"]")
            parts.append(_decode_points(points, {}, source))
            start = cut.end()
        if data.find(b'"points"', start) >= 0:
            return None
        parts.append(_decode_whole(head + data[start:], source))
    except ValueError:
        return None
    extras: dict[int, dict[str, Any]] = {}
    first = 0
    for part in parts:
        extras.update((first + index, unknown) for index, unknown in part.point_extras.items())
        first += len(part)
    return PicksArrays(
        np.concatenate([part.positions for part in parts]),
        np.concatenate([part.transforms for part in parts]),
        np.concatenate([part.instance_ids for part in parts]),
        np.concatenate([part.scores for part in parts]),
        parts[-1].header,
        extras,
    )


def _decode_points(points: list[Any], header: dict[str, Any], source: str) -> PicksArrays:
    _require_type(points, dict, "is no object", source)
    locations = _column(points, "location", None)
    _require_type(locations, dict, "has no location with x, y and z", source)
    transforms = _column(points, "transformation_", list(map(list, _IDENTITY)))
    n = len(points)

    positions = np.empty((n, 3))
    for axis, name in enumerate("xyz"):
        positions[:, axis] = _floats(_column(locations, name, None), 1, f"location.{name}", source)

    _require_lists_of_4(transforms, 1, source)
    rows = list(chain.from_iterable(transforms))
    _require_lists_of_4(rows, 4, source)
    matrices = _floats(list(chain.from_iterable(rows)), 16, "transformation_", source).reshape(n, 4, 4)
    _check_last_rows(matrices, source)

    return PicksArrays(
        positions,
        matrices,
        _instance_ids(_column(points, "instance_id", 0), source),
        _floats(_nulls_as(1.0, _column(points, "score", 1.0)), 1, "score", source),
        header,
        _unknown_keys(points, locations),
    )


def _column(records: list[dict[str, Any]], key: str, default: object) -> list[Any]:
    try:
        return list(map(itemgetter(key), records))
    except KeyError:
        return [record.get(key, default) for record in records]


def _nulls_as(default: object, values: list[Any]) -> list[Any]:
    return [default if value is None else value for value in values] if None in values else values


def _require_type(values: list[Any], expected: type, reason: str, source: str) -> None:
    if not set(map(type, values)) <= {expected}:
        index = next(i for i, value in enumerate(values) if type(value) is not expected)
        raise _error(reason, source, index)


def _require_lists_of_4(values: list[Any], per_point: int, source: str) -> None:
    if not (set(map(type, values)) <= {list} and set(map(len, values)) <= {4}):
        index = next(i for i, value in enumerate(values) if type(value) is not list or len(value) != 4)
        raise _error("transformation_ is no 4 x 4 matrix", source, index // per_point)


def _floats(values: list[Any], per_point: int, name: str, source: str) -> FloatArray:
    # NumPy would read null, true and "1.5" as numbers.
    if not set(map(type, values)) <= {float, int}:
        index = next(i for i, value in enumerate(values) if type(value) not in (float, int))
        raise _error(f"{name} holds {values[index]!r:.40}, which is no number", source, index // per_point)
    try:
        return np.fromiter(values, np.float64, len(values))
    except OverflowError:
        index = next(i for i, value in enumerate(values) if abs(value) > sys.float_info.max)
        raise _error(f"{name} is too large an integer", source, index // per_point) from None


def _instance_ids(values: list[Any], source: str) -> IntArray:
    values = _nulls_as(0, values)
    if set(map(type, values)) <= {int}:
        try:
            return np.fromiter(values, np.int64, len(values))
        except OverflowError:
            pass
    # 3.0 is an integer to the released library too.
    bounds = np.iinfo(np.int64)
    for index, value in enumerate(values):
        is_integer = type(value) is int or (type(value) is float and value.is_integer())
        if not is_integer or not bounds.min <= value <= bounds.max:
            raise _error(f"instance_id is {value!r:.40}, which is no 64-bit integer", source, index)
    return np.fromiter(map(int, values), np.int64, len(values))


def _unknown_keys(points: list[dict[str, Any]], locations: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    extras: dict[int, dict[str, Any]] = {}
    if _all_keys(points) - _POINT_KEYS:
        for index, point in enumerate(points):
            if unknown := {key: value for key, value in point.items() if key not in _POINT_KEYS}:
                extras[index] = unknown
    if _all_keys(locations) - _AXES:
        for index, location in enumerate(locations):
            if unknown := {key: value for key, value in location.items() if key not in _AXES}:
                extras.setdefault(index, {})["location"] = unknown
    return extras


def _all_keys(records: list[dict[str, Any]]) -> set[str]:
    return set(chain.from_iterable(set(map(tuple, records))))


# Checking


def _checked(
    positions: npt.ArrayLike,
    transforms: npt.ArrayLike | None,
    instance_ids: npt.ArrayLike | None,
    scores: npt.ArrayLike | None,
    *,
    header: Mapping[str, Any],
    point_extras: dict[int, dict[str, Any]],
    source: str,
) -> PicksArrays:
    """The picks as they may be written; arrays of the right dtype are not copied."""
    located = _numbers(positions, (3,), None, "positions", source)
    n = len(located)
    if transforms is None:
        matrices = np.broadcast_to(np.array(_IDENTITY), (n, 4, 4))
    else:
        matrices = _numbers(transforms, (4, 4), n, "transforms", source)
        _check_last_rows(matrices, source)
    ids = np.zeros(n, np.int64) if instance_ids is None else _checked_ids(instance_ids, n, source)
    scored = np.ones(n) if scores is None else _numbers(scores, (), n, "scores", source)
    for index in point_extras:
        if type(index) is not int or not 0 <= index < n:
            raise _error(f"point_extras has the key {index!r}, but there are {n} points", source)
    return PicksArrays(located, matrices, ids, scored, _checked_header(header, source), point_extras)


def _array(
    values: npt.ArrayLike, kinds: str, item: tuple[int, ...], n: int | None, name: str, source: str
) -> npt.NDArray[Any]:
    expected = ("N" if n is None else n, *item)
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise _error(f"{name} is no array of shape {expected}: {error}", source) from error
    if array.shape == (0,):
        array = array.reshape(0, *item)
    if array.ndim != 1 + len(item) or array.shape[1:] != item or (n is not None and len(array) != n):
        raise _error(f"{name} must have the shape {expected}, not {array.shape}", source)
    if array.dtype.kind not in kinds:
        raise _error(f"{name} must hold numbers, not {array.dtype}", source)
    return array


def _numbers(values: npt.ArrayLike, item: tuple[int, ...], n: int | None, name: str, source: str) -> FloatArray:
    array = _array(values, "iuf", item, n, name, source)
    with np.errstate(over="ignore"):  # a long double beyond float64 becomes infinite and is refused below
        array = array.astype(np.float64, copy=False)
    finite = np.isfinite(array)
    if not finite.all():
        index = int(np.argwhere(~finite)[0, 0])
        raise _error(f"{name} holds a value that is not finite", source, index)
    return array


def _checked_ids(values: npt.ArrayLike, n: int, source: str) -> IntArray:
    array = _array(values, "biuf", (), n, "instance_ids", source)
    if array.dtype.kind == "f":
        wrong = ~np.isfinite(array) | (np.trunc(array) != array) | (array < 0) | (array >= 2.0**63)
    else:
        wrong = (array < 0) | (array > np.iinfo(np.int64).max)
    if wrong.any():
        index = int(np.argmax(wrong))
        raise _error(f"instance_id {array[index]} is no 64-bit integer >= 0", source, index)
    return array.astype(np.int64, copy=False)


def _check_last_rows(transforms: FloatArray, source: str) -> None:
    # The released library's rule: a last element of exactly 1 and np.allclose for the row.
    rows = transforms[:, 3]
    right = np.isclose(rows, _LAST_ROW).all(axis=1) & (rows[:, 3] == 1.0)
    if not right.all():
        index = int(np.argmin(right))
        raise _error(f"the last row of a transform must be 0, 0, 0, 1, not {rows[index].tolist()}", source, index)


def _checked_header(header: Mapping[str, Any], source: str) -> dict[str, Any]:
    checked = {**_DEFAULTS, **header}
    if "points" in checked:
        raise _error("the header has a key 'points'", source)
    for key, types in _HEADER_TYPES.items():
        if key not in checked:
            raise _error(f"{key} is missing", source)
        if isinstance(value := checked[key], np.generic):
            checked[key] = value = value.item()
        if type(value) not in types:
            raise _error(f"{key} is {value!r:.80}, expected {' or '.join(kind.__name__ for kind in types)}", source)
    return checked


# Writing


@functools.cache
def _array_writer() -> Callable[[npt.NDArray[Any]], bytes]:
    """The fastest exact writer of a contiguous number array as compact nested JSON lists.

    orjson (extra ``fast``) reads the array's memory and takes about half the time; the two may spell an
    exponent differently (5e-5 and 0.00005), never a value.
    """
    try:
        orjson = importlib.import_module("orjson")
    except ImportError:
        return lambda array: to_json(array.tolist())
    return functools.partial(orjson.dumps, option=orjson.OPT_SERIALIZE_NUMPY)


def _point_chunks(arrays: PicksArrays, extras: Mapping[int, tuple[bytes, bytes]]) -> Iterator[bytes]:
    """The text between the brackets of ``points``.

    Arrays become text in one call each; splitting it at the commas gives the numbers, and joining them with
    the constant text between them gives the points. That is a quarter faster than a dict for each point.
    """
    write = _array_writer()
    between = (b',"y":', b',"z":', b'},"transformation_":[[', b']],"instance_id":', b',"score":', b"}")
    template = [b',{"location":{"x":', *chain.from_iterable((b"", text) for text in between)]
    width = len(template)
    n = len(arrays)
    for start in range(0, n, _CHUNK):
        count = min(_CHUNK, n - start)
        chunk = slice(start, start + count)
        parts = template * count
        coordinates = write(np.ascontiguousarray(arrays.positions[chunk]).ravel())[1:-1].split(b",")
        parts[1::width], parts[3::width], parts[5::width] = (coordinates[axis::3] for axis in range(3))
        parts[7::width] = write(np.ascontiguousarray(arrays.transforms[chunk]))[3:-3].split(b"]],[[")
        parts[9::width] = write(np.ascontiguousarray(arrays.instance_ids[chunk]))[1:-1].split(b",")
        parts[11::width] = write(np.ascontiguousarray(arrays.scores[chunk]))[1:-1].split(b",")
        if start == 0:
            parts[0] = parts[0][1:]
        for index in extras.keys() & range(start, start + count) if extras else ():
            of_location, of_point = extras[index]
            offset = (index - start) * width
            parts[offset + 6] = of_location + parts[offset + 6]
            parts[offset + 12] = of_point + parts[offset + 12]
        yield b"".join(parts)


def _extras_json(point_extras: Mapping[int, dict[str, Any]], source: str) -> dict[int, tuple[bytes, bytes]]:
    """Unknown keys as text that goes behind the last known key: of the location and of the point."""
    texts = {}
    for index in sorted(point_extras):
        of_point = dict(point_extras[index])
        of_location = of_point.pop("location", {})
        if not isinstance(of_location, dict) or of_location.keys() & _AXES or of_point.keys() & _POINT_KEYS:
            raise _error("point_extras may hold unknown keys only", source, index)
        texts[index] = (_members(of_location, source, index), _members(of_point, source, index))
    return texts


def _members(extras: dict[str, Any], source: str, index: int) -> bytes:
    return b"," + _strict_json(extras, source, index)[1:-1] if extras else b""


def _strict_json(value: dict[str, Any], source: str, index: int | None = None) -> bytes:
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
        return text.encode()
    except (ValueError, TypeError, RecursionError) as error:
        what = "the header" if index is None else "an unknown key"
        raise _error(f"{what} cannot be written as JSON: {error}", source, index) from error
