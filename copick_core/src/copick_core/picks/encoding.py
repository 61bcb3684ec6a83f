"""Arrays to the bytes of a picks file."""

from __future__ import annotations

import functools
import importlib
import json
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic_core import to_json

from copick_core.picks.arrays import AXES, POINT_KEYS, PicksArrays, checked_picks, invalid
from copick_core.picks.collector import collector_paused
from copick_core.picks.columns import KEY, texts_of

#: Points formatted in one go: their text and objects fit the processor's cache (200 to 2000 measure the same).
CHUNK_POINTS = 500

# Where the points stand among the header's keys in a file of the released library.
_BEFORE_POINTS = ("pickable_object_name", "user_id", "session_id", "run_name", "voxel_spacing", "unit")


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
    checked = checked_picks(
        arrays.positions,
        arrays.transforms,
        arrays.instance_ids,
        arrays.scores,
        header=arrays.header,
        point_extras=arrays.point_extras,
        columns=arrays.columns,
        source=source,
    )
    header = dict(checked.header)
    head = {key: header.pop(key) for key in _BEFORE_POINTS}
    opening = _strict_json(head, source)[:-1] + b',"points":['
    ending = b"]," + _strict_json(header, source)[1:]
    extras = _extras_json(checked.point_extras, source, {*checked.columns})
    with collector_paused():
        return b"".join([opening, *_point_chunks(checked, extras, source), ending])


def _point_chunks(arrays: PicksArrays, extras: Mapping[int, tuple[bytes, bytes]], source: str) -> Iterator[bytes]:
    """The text between the brackets of ``points``.

    Arrays become text in one call each; splitting it at the commas gives the numbers, and joining them with
    the constant text between them gives the points. That is a quarter faster than a dict for each point.
    """
    write = _array_writer()
    between = (b',"y":', b',"z":', b'},"transformation_":[[', b']],"instance_id":', b',"score":', b"}")
    template = [b',{"location":{"x":', *chain.from_iterable((b"", text) for text in between)]
    width = len(template)
    n = len(arrays)
    for start in range(0, n, CHUNK_POINTS):
        count = min(CHUNK_POINTS, n - start)
        chunk = slice(start, start + count)
        parts = template * count
        coordinates = write(np.ascontiguousarray(arrays.positions[chunk]).ravel())[1:-1].split(b",")
        parts[1::width], parts[3::width], parts[5::width] = (coordinates[axis::3] for axis in range(3))
        parts[7::width] = write(np.ascontiguousarray(arrays.transforms[chunk]))[3:-3].split(b"]],[[")
        parts[9::width] = write(np.ascontiguousarray(arrays.instance_ids[chunk]))[1:-1].split(b",")
        parts[11::width] = write(np.ascontiguousarray(arrays.scores[chunk]))[1:-1].split(b",")
        if arrays.columns:
            texts = texts_of({name: array[chunk] for name, array in arrays.columns.items()}, write, source, start)
            parts[12::width] = [text + parts[12] for text in texts]
        if start == 0:
            parts[0] = parts[0][1:]
        for index in extras.keys() & range(start, start + count) if extras else ():
            of_location, of_point = extras[index]
            offset = (index - start) * width
            parts[offset + 6] = of_location + parts[offset + 6]
            parts[offset + 12] = of_point + parts[offset + 12]
        yield b"".join(parts)


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


def _extras_json(point_extras: Mapping[int, dict[str, Any]], source: str, columns: set[str]) -> dict[int, tuple[bytes, bytes]]:
    """Unknown keys as text that goes behind the last known key: of the location and of the point."""
    texts = {}
    for index in sorted(point_extras):
        of_point = dict(point_extras[index])
        of_location = of_point.pop("location", {})
        if columns:
            of_point.pop(KEY, None)  # the columns' values take its place
        if not isinstance(of_location, dict) or of_location.keys() & AXES or of_point.keys() & POINT_KEYS:
            raise invalid("point_extras may hold unknown keys only", source, index)
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
        raise invalid(f"{what} cannot be written as JSON: {error}", source, index) from error
