"""Further columns of points, such as half set or class: arrays in memory, one small object for each point in the file.

A point of the file keeps its values under ``"metadata"``, as a filament does, so they stay with the point whoever sorts or
filters the points. Readers that do not know the key skip it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from json.encoder import encode_basestring
from operator import itemgetter
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from copick_core.errors import InvalidDataError

Columns: TypeAlias = dict[str, npt.NDArray[Any]]

#: The key of a point that holds its values.
KEY = "metadata"
# Integers up to here are exact as float64.
_EXACT = 2**53


def checked_columns(columns: Mapping[str, Any] | None, n: int, source: str) -> Columns:
    """The columns as they may be written; arrays are not copied.

    Args:
        columns: Sequences of length n by name.
        n: The number of points.
        source: What the picks are called in errors.

    Raises:
        InvalidDataError: A name is not text, a length differs, or a value can be no JSON.
    """
    checked: Columns = {}
    for name, values in (columns or {}).items():
        if not isinstance(name, str) or not name:
            raise InvalidDataError(source=source, reason=f"a column's name is {name!r}; it must be text")
        array = column_of(values) if isinstance(values, (list, tuple)) else np.asarray(values)
        if array.shape != (n,):
            reason = f"the column {name!r} must have the shape ({n},), not {array.shape}"
            raise InvalidDataError(source=source, reason=reason)
        if array.dtype.kind == "T":  # NumPy's strings of any length
            array = column_of(array.tolist())
        if array.dtype.kind not in "biufUO":
            reason = f"the column {name!r} must hold numbers or text, not {array.dtype}"
            raise InvalidDataError(source=source, reason=reason)
        if array.dtype.kind == "f" and (infinite := np.isinf(array)).any():
            index = int(np.argmax(infinite))
            reason = f"the column {name!r} holds an infinite value"
            raise InvalidDataError(source=f"{source}: point {index}", reason=reason, index=index)
        checked[name] = array
    return checked


def column_of(values: Sequence[Any]) -> npt.NDArray[Any]:
    """The narrowest array that holds values without change.

    None is a missing value: NaN among numbers with fractions; any other column that has one is an array of objects.
    """
    types = {*map(type, values)}
    try:
        if types == {int}:
            return np.fromiter(values, np.int64, len(values))
        if types == {bool}:
            return np.array(values)
        if float in types and types <= {float, int, type(None)}:
            if int not in types or max(abs(v) for v in values if type(v) is int) <= _EXACT:
                return np.array([np.nan if v is None else v for v in values], np.float64)
        elif types == {str} and _is_dense(values):
            return np.array(values)
    except OverflowError:  # of an integer beyond 64 bits
        pass
    return np.fromiter(values, object, len(values))


def _is_dense(texts: Sequence[str]) -> bool:
    """Whether texts fit an array of equal lengths: not wastefully long, and no NUL at an end, which NumPy would drop."""
    lengths = [*map(len, texts)]
    return max(lengths) * len(lengths) <= 8 * sum(lengths) + 64 * len(lengths) and not any(t.endswith("\0") for t in texts)


def columns_of(rows: Sequence[Mapping[str, Any]]) -> Columns:
    """Columns of the values of each point, in the order in which names appear."""
    keys = {*map(tuple, rows)}
    if len(keys) == 1:
        return {name: column_of([*map(itemgetter(name), rows)]) for name in next(iter(keys))}
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: column_of([row.get(name) for row in rows]) for name in names}


def rows_of(columns: Mapping[str, npt.NDArray[Any]], n: int) -> Iterator[dict[str, Any]]:
    """The values of each point; what is missing is left out."""
    if not columns:
        yield from ({} for _ in range(n))
        return
    values = [array.tolist() for array in columns.values()]
    for row in zip(*values, strict=True):
        yield {name: value for name, value in zip(columns, row, strict=True) if value is not None and value == value}


def joined(parts: Sequence[tuple[int, Columns]]) -> Columns:
    """Columns of the points of several lists in their order, each with its number of points."""
    names = dict.fromkeys(name for _, columns in parts for name in columns)
    result: Columns = {}
    for name in names:
        pieces = [columns.get(name) for _, columns in parts]
        present = [piece for piece in pieces if piece is not None]
        if len(present) == len(pieces) and len({piece.dtype.kind for piece in present}) == 1 and present[0].dtype != object:
            result[name] = np.concatenate(present)
            continue
        values: list[Any] = []
        for (n, _), piece in zip(parts, pieces, strict=True):
            values += [None] * n if piece is None else piece.tolist()
        result[name] = column_of(values)
    return result


def texts_of(
    columns: Mapping[str, npt.NDArray[Any]], write: Callable[[npt.NDArray[Any]], bytes], source: str, first: int
) -> list[bytes]:
    """What stands behind the last known key of each point: nothing, or ``,"metadata":{…}``.

    Args:
        columns: Checked columns of some points.
        write: Writes a contiguous array of numbers as a JSON list.
        source: What the picks are called in errors.
        first: The index of the first of these points.
    """
    cells = [_cells(name, array, write, source, first) for name, array in columns.items()]
    names = [json.dumps(name, ensure_ascii=False).encode() + b":" for name in columns]
    if not any(None in column for column in cells):
        members = b",".join(name.replace(b"%", b"%%") + b"%b" for name in names)
        template = b',"' + KEY.encode() + b'":{' + members + b"}"
        return [template % row for row in zip(*cells, strict=True)]
    texts = []
    for row in zip(*cells, strict=True):
        members = b",".join([name + cell for name, cell in zip(names, row, strict=True) if cell is not None])
        texts.append(b',"' + KEY.encode() + b'":{' + members + b"}" if members else b"")
    return texts


def _cells(
    name: str, array: npt.NDArray[Any], write: Callable[[npt.NDArray[Any]], bytes], source: str, first: int
) -> list[bytes | None]:
    """Each value as JSON, None for a missing one."""
    kind = array.dtype.kind
    if kind == "f":
        missing = np.isnan(array)
        cells: list[bytes | None] = [*write(np.where(missing, 0.0, array).astype(np.float64))[1:-1].split(b",")]
        for index in np.flatnonzero(missing).tolist():
            cells[index] = None
        return cells
    if kind in "iu":
        return [*write(np.ascontiguousarray(array).astype(array.dtype.newbyteorder("="), copy=False))[1:-1].split(b",")]
    values = array.tolist()
    if kind == "b":
        return [b"true" if value else b"false" for value in values]
    found: list[bytes | None] = []
    for index, value in enumerate(values, first):
        try:
            found.append(_cell(value))
        except (ValueError, TypeError, RecursionError) as error:
            reason = f"the value {value!r:.80} of the column {name!r} cannot be written as JSON: {error}"
            raise InvalidDataError(source=f"{source}: point {index}", reason=reason, index=index) from error
    return found


def _cell(value: Any) -> bytes | None:
    if type(value) is str:
        return encode_basestring(value).encode()
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value != value:
        return None
    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()
