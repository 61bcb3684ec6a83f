"""Read and write points as text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from copick_core.errors import InvalidDataError
from copick_core.plugins.format_functions import PicksTable


def read(path: str, /, *, frame: Any = None) -> Iterator[PicksTable]:
    """Read a file: one table, without the names of a run or an object.

    Raises:
        InvalidDataError: A line is not three numbers.
    """
    import numpy as np

    rows = []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                x, y, z = (float(word) for word in line.split())
            except ValueError as error:
                raise InvalidDataError(source=path, reason=f"line {number} is not three numbers: {line.strip()!r}") from error
            rows.append((x, y, z))
    yield PicksTable(np.array(rows, float).reshape(-1, 3))


def write(path: str, tables: Iterable[PicksTable], /, *, frame: Any = None) -> None:
    """Write a file.

    Raises:
        InvalidDataError: There are points of several runs or objects, which a file of this format cannot tell apart.
    """
    one, *others = tables
    if others:
        raise InvalidDataError(source=path, reason=f"a .xyz file holds one run and one object, not {1 + len(others)}")
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(f"{x!r} {y!r} {z!r}\n" for x, y, z in one.positions.tolist())
