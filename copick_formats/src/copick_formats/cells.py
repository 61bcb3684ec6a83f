"""Cells of tables: from text to numbers, with errors that name file, row and column; and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from copick_core.errors import InvalidDataError
from copick_core.plugins.format_functions import Frame, PicksTable

_AT_ONCE = 1 << 16
_SPACIOUS = 4
"""How much larger than its cells an array of bytes may be: one long cell makes all of them long."""

Frames = Callable[[str | None], Frame | None]


class Cells(Sequence[str]):
    """Cells of a column as bytes: a fifth of what they take as text of Python, and text again where they are asked for."""

    def __init__(self) -> None:
        self._parts: list[npt.NDArray[np.bytes_] | list[bytes]] = []
        self._length = 0

    def extend(self, cells: Sequence[str]) -> None:
        """Add cells at the end."""
        for start in range(0, len(cells), _AT_ONCE):
            some = cells[start : start + _AT_ONCE]
            together = "\n".join(some).encode()
            part = together.split(b"\n")
            if len(part) != len(some):  # a cell has several lines
                part = [cell.encode() for cell in some]
            is_dense = max(map(len, part)) * len(part) <= _SPACIOUS * len(together) + _AT_ONCE
            is_dense = is_dense and b"\0" not in together  # NumPy drops these at the end of a cell
            self._parts.append(np.array(part) if is_dense else part)
            self._length += len(part)

    def append(self, other: Cells) -> None:
        """Add all cells of another column."""
        self._parts += other._parts
        self._length += other._length

    def floats(self) -> npt.NDArray[np.float64]:
        """All cells as numbers.

        Raises:
            ValueError: A cell is not a number.
        """
        return np.fromiter(map(float, self._bytes()), np.float64, self._length)

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[str]:
        return (cell.decode() for cell in self._bytes())

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            start, stop, step = index.indices(self._length)
            if step != 1:
                return [self[row] for row in range(start, stop, step)]
            return [cell.decode() for cell in self._between(start, stop)]
        row = range(self._length)[index]
        for part in self._parts:
            if row < len(part):
                return bytes(part[row]).decode()
            row -= len(part)
        raise IndexError(index)

    def _bytes(self) -> Iterator[bytes]:
        return self._between(0, self._length)

    def _between(self, start: int, stop: int) -> Iterator[bytes]:
        for part in self._parts:
            if start < len(part) and stop > 0:
                some = part[max(start, 0) : stop]
                yield from some if isinstance(some, list) else some.tolist()
            start, stop = start - len(part), stop - len(part)


def bad_cell(path: str, row: int, column: str, value: str) -> InvalidDataError:
    """The error for a cell; rows count from 1, without what stands above the table."""
    what = "is empty" if not value.strip() else f"holds {value!r:.60}, which is not a finite number"
    return InvalidDataError(source=path, reason=f"row {row}, column {column}: the cell {what}", index=row - 1)


def numbers(path: str, column: str, values: Sequence[str], first_row: int = 1) -> npt.NDArray[np.float64]:
    """Parse a column of finite numbers.

    Raises:
        InvalidDataError: A cell is empty, no number, NaN or infinite; names file, row and column.
    """
    try:
        array = values.floats() if isinstance(values, Cells) else np.fromiter(map(float, values), np.float64, len(values))
    except ValueError:
        for row, value in enumerate(values, first_row):
            try:
                float(value)
            except ValueError:
                raise bad_cell(path, row, column, value) from None
        raise
    finite = np.isfinite(array)
    if not finite.all():
        index = int(np.argmin(finite))
        raise bad_cell(path, first_row + index, column, values[index])
    return array


def integers(path: str, column: str, values: Sequence[str]) -> npt.NDArray[np.int64]:
    """Parse a column of integers from 0 on, which may be written as 3.000.

    Raises:
        InvalidDataError: A cell is no such integer; names file, row and column.
    """
    array = numbers(path, column, values)
    wrong = (array != np.floor(array)) | (array < 0) | (array >= 2**63)
    if wrong.any():
        index = int(np.argmax(wrong))
        reason = f"row {index + 1}, column {column}: {values[index]!r} is not an integer from 0 on"
        raise InvalidDataError(source=path, reason=reason, index=index)
    return array.astype(np.int64)


def groups(names: Sequence[str]) -> Iterator[tuple[str, slice | npt.NDArray[np.intp]]]:
    """Rows of each name, in the order in which names appear: a slice where they stand together."""
    numbered: dict[str, int] = {}
    codes = np.fromiter((numbered.setdefault(name, len(numbered)) for name in names), np.intp, len(names))
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=len(numbered))).tolist()
    start = 0
    for name, end in zip(numbered, ends, strict=True):
        rows = order[start:end]
        start = end
        together = int(rows[-1]) - int(rows[0]) == len(rows) - 1
        yield name, slice(int(rows[0]), int(rows[-1]) + 1) if together else rows


def texts(values: Sequence[str], rows: slice | npt.NDArray[np.intp]) -> npt.NDArray[Any]:
    """Some cells of a column that is not interpreted."""
    from copick_core.picks.columns import column_of

    return column_of(values[rows] if isinstance(rows, slice) else [values[row] for row in rows.tolist()])


def written(values: npt.NDArray[Any], decimals: int | None = None) -> list[str]:
    """A column as text: numbers exactly, or rounded to decimals; text as it is; nothing where there is no value."""
    kind = values.dtype.kind
    if kind == "f" and decimals is not None:
        template = f"%.{decimals}f"
        return [template % value for value in values.tolist()]
    return [
        value if type(value) is str else "" if value is None or value != value else str(value) for value in values.tolist()
    ]


def voxel_size_of(path: str, frame: Frames, run: str | None, given: float | None) -> float:
    """The voxel size that coordinates in voxels count in.

    Raises:
        InvalidDataError: It is not known.
    """
    if given is not None:
        if not given > 0 or not np.isfinite(given):
            raise InvalidDataError(source=path, reason=f"the voxel size {given} is not a positive number")
        return given
    known = frame(run)
    if known is None:
        why, way_out = "is not known", "give voxel_size (in angstrom)"
        if run is not None:
            why = f"of run {run!r} is not known: the project has no such run, or no tomogram of it"
            way_out = f"name runs with run_regex or run_names, or {way_out}"
        reason = f"its coordinates are in voxels, and the voxel size {why}; {way_out}"
        raise InvalidDataError(source=path, reason=reason)
    return known.voxel_size


def all_columns(tables: Iterable[PicksTable], own: Iterable[str | None]) -> list[str]:
    """Names of the further columns of tables, without those that the format writes itself."""
    taken = {*own}
    return [name for name in dict.fromkeys(name for table in tables for name in table.columns) if name not in taken]


def column_in(columns: Mapping[str, npt.NDArray[Any]], name: str, n: int, missing: str) -> list[str]:
    """A further column of a table as text; ``missing`` where there is no value."""
    if name not in columns:
        return [missing] * n
    return [text or missing for text in written(columns[name])]


def left_out(tables: Iterable[PicksTable], held: Iterable[str | None], *, instance_ids: bool = False) -> list[str]:
    """What a format cannot hold of points: further columns but those in ``held``, and instance ids.

    Args:
        tables: The points.
        held: Names of the columns that it holds.
        instance_ids: Whether it holds instance ids.
    """
    tables = [*tables]
    lacking = all_columns(tables, held)
    if not instance_ids and any(table.instance_ids is not None and np.any(table.instance_ids) for table in tables):
        lacking.append("instance_ids")
    return lacking
