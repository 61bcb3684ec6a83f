"""The bytes of a picks file to arrays: tolerant of what exists, exact about what is wrong."""

from __future__ import annotations

import re
import sys
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np
from pydantic_core import from_json

from copick_core.picks.arrays import (
    ANGSTROM,
    AXES,
    POINT_KEYS,
    FloatArray,
    IntArray,
    PicksArrays,
    angstroms_in,
    check_last_rows,
    checked_header,
    invalid,
)
from copick_core.picks.collector import collector_paused
from copick_core.picks.columns import KEY, Columns, columns_of, joined

#: Bytes parsed in one go, about 500 points of the released library's files.
PIECE_BYTES = 1 << 19

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_POINTS_OPENING = re.compile(rb'(?<!\\)"points"\s*:\s*\[(?=\s*\{)')
_BETWEEN_POINTS = re.compile(rb'\}\s*,(?=\s*\{\s*"location"\s*:)')


def decode(data: bytes, source: str) -> PicksArrays:
    """Read a picks file.

    Missing keys take the specification's defaults (``transformation_`` the identity, ``instance_id`` 0,
    ``score`` 1.0), as do a null ``instance_id`` and a null ``score``. Null or missing ``points`` are none. Other units of
    length are converted to angstrom. A byte order mark is skipped.

    Args:
        data: The bytes of the file, UTF-8 JSON.
        source: What the bytes are called in errors, such as the file's path.

    Returns:
        The arrays, which own their memory.

    Raises:
        InvalidDataError: The bytes are not JSON or no picks file, a number is not finite, or the unit is unknown. The message
            names the source and, where there is one, the first point at fault.
    """
    data = data.removeprefix(_BYTE_ORDER_MARK)
    with collector_paused():
        read = _decode_in_pieces(data, source)
        if read is None:
            read = _decode_whole(data, source)
    _check_finite(read, source)
    _convert_to_angstrom(read)
    return read


def _check_finite(read: PicksArrays, source: str) -> None:
    for name, values in (("location", read.positions), ("transformation_", read.transforms), ("score", read.scores)):
        if not np.isfinite(values).all():
            index = int(np.argwhere(~np.isfinite(values))[0, 0])
            raise invalid(f"{name} holds a value that is not finite", source, index)


def _convert_to_angstrom(read: PicksArrays) -> None:
    factor = angstroms_in(read.header["unit"]) or 1.0
    if factor != 1.0:
        read.positions *= factor
        read.transforms[:, :3, 3] *= factor
    read.header["unit"] = ANGSTROM


def _decode_in_pieces(data: bytes, source: str) -> PicksArrays | None:
    """Parse a long file a few hundred points at a time, which saves most of the memory and half the time.

    The text is cut where one object ends and the next begins with a location; JSON has no such bytes inside
    a string. Each piece must parse as a list by itself, so each cut lies between two points; what is left is
    the file with its last points only. None for any file where this does not hold or a point is at fault:
    reading it whole decides, and names the point by its index.
    """
    opening = _POINTS_OPENING.search(data, 0, PIECE_BYTES)
    if opening is None or len(data) < 2 * PIECE_BYTES:
        return None
    # The list must be the file's own and not one of an unknown key.
    head = data[: opening.end()]
    if head.count(b"{") != 1 or head.count(b"[") != 1:
        return None
    start = opening.end()
    parts: list[PicksArrays] = []
    try:
        while cut := _BETWEEN_POINTS.search(data, start + PIECE_BYTES):
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
        joined([(len(part), part.columns) for part in parts]),
    )


def _decode_whole(data: bytes, source: str) -> PicksArrays:
    try:
        document = from_json(data)
    except ValueError as error:
        raise invalid(f"not valid JSON: {error}", source) from error
    if type(document) is not dict:
        raise invalid("not a picks file: the JSON is not an object", source)
    points = document.pop("points", None)
    header = checked_header(document, source)
    if points is None:
        points = []
    if type(points) is not list:
        raise invalid("points is not a list", source)
    return _decode_points(points, header, source)


def _decode_points(points: list[Any], header: dict[str, Any], source: str) -> PicksArrays:
    _require_type(points, dict, "is not an object", source)
    locations = _column(points, "location", None)
    _require_type(locations, dict, "has no location with x, y and z", source)
    transforms = _column(points, "transformation_", np.eye(4).tolist())
    n = len(points)

    positions = np.empty((n, 3))
    for axis, name in enumerate("xyz"):
        positions[:, axis] = _floats(_column(locations, name, None), 1, f"location.{name}", source)

    _require_lists_of_4(transforms, 1, source)
    rows = list(chain.from_iterable(transforms))
    _require_lists_of_4(rows, 4, source)
    matrices = _floats(list(chain.from_iterable(rows)), 16, "transformation_", source).reshape(n, 4, 4)
    check_last_rows(matrices, source)

    extras, columns = _unknown_keys(points, locations)
    return PicksArrays(
        positions,
        matrices,
        _instance_ids(_column(points, "instance_id", 0), source),
        _floats(_nulls_as(1.0, _column(points, "score", 1.0)), 1, "score", source),
        header,
        extras,
        columns,
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
        raise invalid(reason, source, index)


def _require_lists_of_4(values: list[Any], per_point: int, source: str) -> None:
    if not (set(map(type, values)) <= {list} and set(map(len, values)) <= {4}):
        index = next(i for i, value in enumerate(values) if type(value) is not list or len(value) != 4)
        raise invalid("transformation_ is no 4 x 4 matrix", source, index // per_point)


def _floats(values: list[Any], per_point: int, name: str, source: str) -> FloatArray:
    # NumPy would read null, true and "1.5" as numbers.
    if not set(map(type, values)) <= {float, int}:
        index = next(i for i, value in enumerate(values) if type(value) not in (float, int))
        raise invalid(f"{name} holds {values[index]!r:.40}, which is not a number", source, index // per_point)
    try:
        return np.fromiter(values, np.float64, len(values))
    except OverflowError:
        index = next(i for i, value in enumerate(values) if abs(value) > sys.float_info.max)
        raise invalid(f"{name} is too large an integer", source, index // per_point) from None


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
            raise invalid(f"instance_id is {value!r:.40}, which is no 64-bit integer", source, index)
    return np.fromiter(map(int, values), np.int64, len(values))


def _unknown_keys(points: list[dict[str, Any]], locations: list[dict[str, Any]]) -> tuple[dict[int, dict[str, Any]], Columns]:
    """What is unknown of each point, and the columns."""
    extras: dict[int, dict[str, Any]] = {}
    columns: Columns = {}
    unknown_keys = _all_keys(points) - POINT_KEYS
    if KEY in unknown_keys:
        values = _column(points, KEY, None)
        columns = columns_of([value if type(value) is dict else {} for value in values])
        if all(values) and set(map(type, values)) == {dict}:
            unknown_keys.remove(KEY)
    if unknown_keys:
        for index, point in enumerate(points):
            unknown = {key: value for key, value in point.items() if key not in POINT_KEYS}
            if type(value := unknown.get(KEY)) is dict and value:
                del unknown[KEY]
            if unknown:
                extras[index] = unknown
    if _all_keys(locations) - AXES:
        for index, location in enumerate(locations):
            if unknown := {key: value for key, value in location.items() if key not in AXES}:
                extras.setdefault(index, {})["location"] = unknown
    return extras, columns


def _all_keys(records: list[dict[str, Any]]) -> set[str]:
    return set(chain.from_iterable(set(map(tuple, records))))
