"""CSV, TSV and Parquet tables with copick's columns: run_name, x, y, z, transform_00 to transform_33, score, instance_id.

Only x, y and z (in angstrom) are required; copick 1.x writes the same. Further columns are kept.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from copick_core.errors import InvalidDataError, MissingDependencyError
from copick_core.picks.frames import TRANSFORM_NAMES
from copick_core.plugins.format_functions import FilamentsTable, PicksTable
from copick_formats.cells import Frames, bad_cell, groups, integers, numbers, texts, written
from copick_formats.polylines import filaments_in, points_of

_OWN = ["run_name", "x", "y", "z", *TRANSFORM_NAMES, "score", "instance_id"]
_VERTEX = ["run_name", "x", "y", "z", "instance_id"]
_OF_FILAMENTS = ["score", "radius", "polarity_known"]


def is_csv(path: str, head: bytes) -> bool:
    """Whether the first line of a file names x, y and z between commas or tabs."""
    first = head.split(b"\n", 1)[0].decode("utf-8", "replace").strip().lstrip("\ufeff")
    return any({"x", "y", "z"} <= {cell.strip('"') for cell in first.split(comma)} for comma in ",\t")


@click.option("--run-column", default="run_name", help="Column with the name of the run.")
def read_csv(path: str, *, frame: Frames, run_column: str = "run_name") -> Iterator[PicksTable]:
    """Read points from a table with names in its first line, separated by commas or tabs.

    Args:
        path: The file.
        frame: Not needed: coordinates are in angstrom.
        run_column: Column with the name of the run; a table without it is one run's.

    Raises:
        InvalidDataError: A column is missing, a row is cut off, or a cell cannot be read.
    """
    columns: dict[str, Sequence[str]] = {}
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            rows = csv.reader(file, delimiter="\t" if "\t" in first and "," not in first else ",", strict=True)
            names = next(rows, [])
            if len({*names}) != len(names):
                raise InvalidDataError(source=path, reason="two columns have the same name")
            content = []
            for number, row in enumerate(rows, 1):
                if len(row) != len(names):
                    cut = names[min(len(row), len(names) - 1)] if names else ""
                    reason = f"row {number}, column {cut}: the row has {len(row)} cells, not {len(names)}"
                    raise InvalidDataError(source=path, reason=reason, index=number - 1)
                content.append(row)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidDataError(source=path, reason=f"is not a readable table: {error}") from error
    columns = {name: [row[index] for row in content] for index, name in enumerate(names)}
    yield from _tables(path, columns, run_column)


@click.option("--separator", type=click.Choice([",", "tab"]), help="A tab for files named .tsv, a comma otherwise.")
def write_csv(path: str, tables: Iterable[PicksTable], *, frame: Frames, separator: str | None = None) -> list[str]:
    """Write points, all digits of their numbers.

    Args:
        path: The new file.
        tables: The points.
        frame: Not needed.
        separator: ``","`` or ``"tab"``; by the file's name by default.

    Returns:
        Further columns with a name of copick's own columns, which the table cannot hold.
    """
    tables = [*tables]
    _write_csv(path, _OWN, [(_content(table), table.columns) for table in tables], separator)
    return _taken(tables)


@click.option("--separator", type=click.Choice([",", "tab"]), help="A tab for files named .tsv, a comma otherwise.")
def write_csv_filaments(
    path: str, tables: Iterable[FilamentsTable], *, frame: Frames, separator: str | None = None
) -> list[str]:
    """Write a row for each vertex, in order along each filament; ``score``, ``radius`` and the like are the filament's.

    Args:
        path: The new file.
        tables: The filaments.
        frame: Not needed.
        separator: As for points.

    Returns:
        Metadata that are neither numbers nor text, or have a name of copick's own columns.
    """
    points, lacking = _vertices(tables)
    contents = [(_content(table), table.columns) for table in points]
    _write_csv(path, [*_VERTEX, *_OF_FILAMENTS], contents, separator)
    return lacking


def _write_csv(
    path: str,
    own: Sequence[str],
    contents: Sequence[tuple[Mapping[str, npt.NDArray[Any]], Mapping[str, npt.NDArray[Any]]]],
    separator: str | None,
) -> None:
    """Write a table of columns that each part has, and the others that any of them has."""
    further = [name for name in dict.fromkeys(name for _, columns in contents for name in columns) if name not in _OWN]
    names = [*dict.fromkeys([*own, *further])]
    tab = separator == "tab" or (separator is None and ".tsv" in path.lower())
    with open(path, "w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, delimiter="\t" if tab else ",", lineterminator="\n")
        rows.writerow(names)
        for content, columns in contents:
            none = np.full(len(content["x"]), "")
            both = {**columns, **content}
            rows.writerows(zip(*(written(np.asarray(both.get(name, none))) for name in names), strict=True))


def _taken(tables: Iterable[PicksTable]) -> list[str]:
    """Names of further columns that are those of copick's own, so that a table cannot hold them."""
    return [name for name in dict.fromkeys(name for table in tables for name in table.columns) if name in _OWN]


def _vertices(tables: Iterable[FilamentsTable]) -> tuple[list[PicksTable], list[str]]:
    """The vertices of filaments, with what a filament has as columns; and what no table can hold."""
    points: list[PicksTable] = []
    lacking: list[str] = []
    for table in tables:
        n = len(table.polylines)
        fields: dict[str, Sequence[Any]] = {
            "radius": [np.nan if radius is None else radius for radius in table.radii or [None] * n],
            "polarity_known": [*(table.polarity_known or [False] * n)],
        }
        made, lost = points_of(table, further=fields)
        points.append(replace(made, transforms=None))
        lacking += [*lost, *_taken([made])]
    return points, [*dict.fromkeys(lacking)]


@click.option("--run-column", default="run_name", help="Column with the name of the run.")
def read_csv_filaments(path: str, *, frame: Frames, run_column: str = "run_name") -> Iterator[FilamentsTable]:
    """Read filaments: the rows of each ``instance_id`` are its vertices, in their order.

    ``score``, ``radius``, ``polarity_known`` and further columns are the filament's where all its rows have the same.

    Args:
        path: The file.
        frame: Not needed: coordinates are in angstrom.
        run_column: Column with the name of the run; a table without it is one run's.

    Raises:
        InvalidDataError: A row has no filament, a filament one row only, or as for points.
    """
    tables = read_csv(path, frame=frame, run_column=run_column)
    return filaments_in(path, tables, id_name="instance_id", polarity="polarity_known", radius="radius")


@click.option("--run-column", default="run_name", help="Column with the name of the run.")
def read_parquet_filaments(path: str, *, frame: Frames, run_column: str = "run_name") -> Iterator[FilamentsTable]:
    """Read filaments; arguments and errors are those of CSV files.

    Args:
        path: The file.
        frame: Not needed: coordinates are in angstrom.
        run_column: Column with the name of the run.

    Raises:
        InvalidDataError: As for CSV files.
        MissingDependencyError: pyarrow is not installed.
    """
    tables = read_parquet(path, frame=frame, run_column=run_column)
    return filaments_in(path, tables, id_name="instance_id", polarity="polarity_known", radius="radius")


@click.option("--run-column", default="run_name", help="Column with the name of the run.")
def read_parquet(path: str, *, frame: Frames, run_column: str = "run_name") -> Iterator[PicksTable]:
    """Read points from a Parquet file; arguments and errors are those of CSV files.

    Args:
        path: The file.
        frame: Not needed: coordinates are in angstrom.
        run_column: Column with the name of the run.

    Raises:
        InvalidDataError: It is not a Parquet file, a column is missing, or a value is not finite.
        MissingDependencyError: pyarrow is not installed.
    """
    parquet = _pyarrow()
    import pyarrow

    try:
        table = parquet.read_table(path)
        columns = {name: table[name].to_pylist() for name in table.column_names}
    except (FileNotFoundError, PermissionError):
        raise
    except (pyarrow.ArrowException, OSError, ValueError, KeyError) as error:  # OSError is also that of a damaged file
        raise InvalidDataError(source=path, reason=f"is not a readable Parquet file: {error}") from error
    yield from _tables(path, columns, run_column)


def write_parquet(path: str, tables: Iterable[PicksTable], *, frame: Frames) -> list[str]:
    """Write points to a Parquet file.

    Args:
        path: The new file.
        tables: The points.
        frame: Not needed.

    Returns:
        As for CSV files.

    Raises:
        InvalidDataError: A column holds values of several kinds.
        MissingDependencyError: pyarrow is not installed.
    """
    tables = [*tables]
    _write_parquet(path, _OWN, [(_content(table), table.columns) for table in tables])
    return _taken(tables)


def write_parquet_filaments(path: str, tables: Iterable[FilamentsTable], *, frame: Frames) -> list[str]:
    """Write a row for each vertex, as into CSV files.

    Args:
        path: The new file.
        tables: The filaments.
        frame: Not needed.

    Returns:
        As for CSV files.

    Raises:
        InvalidDataError: A column holds values of several kinds.
        MissingDependencyError: pyarrow is not installed.
    """
    points, lacking = _vertices(tables)
    _write_parquet(path, [*_VERTEX, *_OF_FILAMENTS], [(_content(table), table.columns) for table in points])
    return lacking


def _write_parquet(
    path: str,
    own: Sequence[str],
    contents: Sequence[tuple[Mapping[str, npt.NDArray[Any]], Mapping[str, npt.NDArray[Any]]]],
) -> None:
    parquet = _pyarrow()
    import pyarrow

    further = [name for name in dict.fromkeys(name for _, columns in contents for name in columns) if name not in _OWN]
    columns = {}
    for name in dict.fromkeys([*own, *further]):
        values: list[Any] = []
        for content, others in contents:
            both = {**others, **content}
            values += both[name].tolist() if name in both else [None] * len(content["x"])
        try:
            columns[name] = pyarrow.array(values, from_pandas=True)  # NaN is not a value
        except pyarrow.ArrowException as error:
            raise InvalidDataError(source=path, reason=f"column {name}: {error}") from error
    parquet.write_table(pyarrow.table(columns), path)


def is_parquet(path: str, head: bytes) -> bool:
    """Whether a file is Parquet: its first four bytes."""
    return head[:4] == b"PAR1"


def _tables(path: str, columns: Mapping[str, Sequence[Any]], run_column: str) -> Iterator[PicksTable]:
    for name in "xyz":
        if name not in columns:
            raise InvalidDataError(source=path, reason=f"has no column {name}; it has {', '.join(columns) or 'none'}")
    n = len(columns["x"])
    positions = np.stack([_numbers(path, name, columns[name]) for name in "xyz"], 1)
    transforms = None
    if cells := [name for name in TRANSFORM_NAMES if name in columns]:
        transforms = np.tile(np.eye(4), (n, 1, 1))
        for name in cells:
            transforms[:, int(name[-2]), int(name[-1])] = _numbers(path, name, columns[name])
    scores = _numbers(path, "score", columns["score"]) if "score" in columns else None
    ids = integers(path, "instance_id", [*map(str, columns["instance_id"])]) if "instance_id" in columns else None
    kept = [name for name in columns if name not in _OWN and name != run_column]
    runs: Sequence[str | None] = columns.get(run_column, [None] * n)
    for row, run in enumerate(runs, 1):
        if run_column in columns and (run is None or not str(run).strip()):
            raise bad_cell(path, row, run_column, "")
    for name, rows in groups(["" if run is None else str(run) for run in runs]):
        yield PicksTable(
            positions[rows],
            None if transforms is None else transforms[rows],
            None if ids is None else ids[rows],
            None if scores is None else scores[rows],
            name or None,
            columns={label: texts(columns[label], rows) for label in kept},
        )


def _numbers(path: str, name: str, values: Sequence[Any]) -> npt.NDArray[np.float64]:
    return numbers(path, name, ["" if value is None else value if type(value) is str else repr(value) for value in values])


def _content(table: PicksTable) -> dict[str, npt.NDArray[Any]]:
    """The columns that every table has."""
    n = len(table.positions)
    positions = np.asarray(table.positions, float)
    cells = np.broadcast_to(np.eye(4), (n, 4, 4)) if table.transforms is None else np.asarray(table.transforms, float)
    content: dict[str, npt.NDArray[Any]] = {"run_name": np.full(n, table.run or "")}
    content |= {name: positions[:, axis] for axis, name in enumerate("xyz")}
    content |= {name: cells[:, int(name[-2]), int(name[-1])] for name in TRANSFORM_NAMES}
    content["score"] = np.ones(n) if table.scores is None else np.asarray(table.scores, float)
    content["instance_id"] = np.zeros(n, np.int64) if table.instance_ids is None else np.asarray(table.instance_ids)
    return content


def _pyarrow() -> Any:
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        install = 'pip install "copick-formats[tables]"'
        raise MissingDependencyError(feature="A Parquet file", install=install) from error
    return parquet
