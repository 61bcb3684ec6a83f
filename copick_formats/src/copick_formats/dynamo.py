"""Dynamo tables (``.tbl``): a particle in each line, in columns that have fixed meanings.

The position in voxels is x, y, z plus dx, dy, dz; it is taken as it is, voxel 0 at 0. ``matlab=True`` counts from 1;
RELION's importer takes 1 off and adds half a voxel. The rotation is Rz(-tdrot) Rx(-tilt) Rz(-narot).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import click
import numpy as np

from copick_core.errors import InvalidDataError
from copick_core.plugins.format_functions import FilamentsTable, PicksTable
from copick_formats.cells import Frames, column_in, groups, integers, left_out, numbers, texts, voxel_size_of, written
from copick_formats.numbered_runs import names_beside, numbers_of
from copick_formats.options import stacked
from copick_formats.polylines import fields_left_out, filaments_in, points_of, spacing_option
from copick_formats.rotations import angles, matrices, rotations_in, transforms_of

NAMES = [
    "tag",
    "aligned",
    "averaged",
    "dx",
    "dy",
    "dz",
    "tdrot",
    "tilt",
    "narot",
    "cc",
    "cc2",
    "cpu",
    "ftype",
    "ymintilt",
    "ymaxtilt",
    "xmintilt",
    "xmaxtilt",
    "fs1",
    "fs2",
    "tomo",
    "reg",
    "class",
    "annotation",
    "x",
    "y",
    "z",
    "dshift",
    "daxis",
    "dnarot",
    "dcc",
    "otag",
    "npar",
    "_33",
    "ref",
    "sref",
    "apix",
    "def",
    "_38",
    "_39",
    "eig1",
    "eig2",
]
"""Names of the 41 columns, in their order; Dynamo keeps three of them for itself."""
_REQUIRED = 26
_FILAMENT_COLUMNS = ["reg", "annotation", "class", "npar", "ref", "sref"]
FILAMENT_COLUMN = "reg"
_INTERPRETED = {"dx", "dy", "dz", "tdrot", "tilt", "narot", "cc", "tomo", "x", "y", "z"}
_DEFAULTS = {"aligned": "1", "ftype": "1", "ymintilt": "-60", "ymaxtilt": "60"}


_voxel_size = click.option(
    "--voxel-size", type=float, help="Voxel size that coordinates refer to, in angstrom; the tomogram's by default."
)
_matlab = click.option("--matlab", is_flag=True, help="Coordinates count from 1.")
_filament_column = click.option(
    "--filament-column", type=click.Choice(_FILAMENT_COLUMNS), help="Column with the number of the filament."
)
_read_options = stacked(
    _voxel_size,
    click.option("--doc", type=click.Path(exists=True), help="List of tomograms; the .doc file of the same name by default."),
    _matlab,
    _filament_column,
)
_write_options = stacked(
    _voxel_size,
    click.option("--doc", type=click.Path(), help="List of tomograms; made where it does not exist."),
    _matlab,
    _filament_column,
)


@_read_options
def read_dynamo(
    path: str,
    *,
    frame: Frames,
    voxel_size: float | None = None,
    doc: str | None = None,
    matlab: bool = False,
    filament_column: str | None = None,
) -> Iterator[PicksTable]:
    """Read particles; shifts become the translations of their transforms, ``cc`` the scores.

    Runs are named in the ``.doc`` file, or by their numbers without it.

    Args:
        path: The file.
        frame: Returns the frame of a run, if ``voxel_size`` is not given.
        voxel_size: Angstrom per voxel.
        doc: Path of the list of tomograms.
        matlab: Whether coordinates count from 1.
        filament_column: Column whose numbers become instance ids, such as ``"reg"``; it is a further column otherwise.

    Raises:
        InvalidDataError: A line has fewer than 26 cells or another number than the first, or a cell cannot be read.
    """
    columns = _columns(path)
    cells = {name: numbers(path, name, columns[name]) for name in _INTERPRETED}
    tomograms = integers(path, "tomo", columns["tomo"])
    names = names_beside(path, doc)
    kept = [name for name in columns if name not in _INTERPRETED and name != filament_column]
    ids = None if filament_column is None else integers(path, filament_column, columns[filament_column])
    rotations = matrices(-cells["tdrot"], -cells["tilt"], -cells["narot"], "x")
    places, shifts = (np.stack([cells[prefix + axis] for axis in "xyz"], 1) for prefix in ("", "d"))
    for number, rows in groups([*map(str, tomograms.tolist())]):
        run = names.get(int(number), number)
        size = voxel_size_of(path, frame, run, voxel_size)
        located = (places[rows] - matlab) * size
        yield PicksTable(
            located,
            transforms_of(rotations[rows], shifts[rows] * size, len(located)),
            None if ids is None else ids[rows],
            cells["cc"][rows],
            run,
            columns={name: texts(columns[name], rows) for name in kept},
        )


@_read_options
def read_dynamo_filaments(
    path: str, *, frame: Frames, filament_column: str = FILAMENT_COLUMN, **options: Any
) -> Iterator[FilamentsTable]:
    """Read filaments: particles with the same number in a column are one, in the order of the file.

    Dynamo has no column that is always the filament's. ``reg``, which numbers regions of a tomogram, is the default.

    Args:
        path: The file.
        frame: As for particles.
        filament_column: ``"reg"``, ``"annotation"`` or another of Dynamo's columns that users may fill.
        **options: As for particles.

    Raises:
        InvalidDataError: A particle belongs to no filament, a filament has one particle only, or as for particles.
    """
    column = filament_column or FILAMENT_COLUMN
    tables = read_dynamo(path, frame=frame, filament_column=column, **options)
    return filaments_in(path, tables, id_name=column, derived=["tag", "otag"])


@_write_options
@spacing_option
def write_dynamo_filaments(
    path: str,
    tables: Iterable[FilamentsTable],
    *,
    frame: Frames,
    spacing: float | None = None,
    filament_column: str | None = None,
    **options: Any,
) -> list[str]:
    """Write a particle for each vertex, or at equal distances along each filament, with its number in a column.

    Args:
        path: The new file.
        tables: The filaments.
        frame: As for particles.
        spacing: Angstrom between particles of a filament; its vertices by default.
        filament_column: Where its number goes; ``"reg"`` by default.
        **options: As for particles.

    Returns:
        What a Dynamo table has no column for.

    Raises:
        InvalidDataError: As for particles, or the spacing is not a positive number.
    """
    tables = [*tables]
    made = [points_of(table, spacing) for table in tables]
    column = filament_column or FILAMENT_COLUMN
    lacking = write_dynamo(path, [points for points, _ in made], frame=frame, filament_column=column, **options)
    lacking += [name for _, lost in made for name in lost] + fields_left_out(tables)
    return [*dict.fromkeys(lacking)]


@_write_options
def write_dynamo(
    path: str,
    tables: Iterable[PicksTable],
    *,
    frame: Frames,
    voxel_size: float | None = None,
    doc: str | None = None,
    matlab: bool = False,
    filament_column: str | None = None,
) -> list[str]:
    """Write particles; further columns with names of Dynamo's take their places, others cannot be written.

    Args:
        path: The new file.
        tables: The particles.
        frame: Returns the frame of a run, if ``voxel_size`` is not given.
        voxel_size: Angstrom per voxel.
        doc: Path of the list of tomograms; without it, runs of several must be named by numbers.
        matlab: Whether coordinates count from 1.
        filament_column: Column for instance ids, such as ``"reg"``; they cannot be written otherwise.

    Returns:
        What a Dynamo table has no column for.

    Raises:
        InvalidDataError: A run has no number, its voxel size is not known, or a transform is not a rotation.
    """
    tables = [*tables]
    width = 41 if any(name in table.columns for table in tables for name in NAMES[35:]) else 35
    tag = 0
    lines: list[str] = []
    for table, number in zip(tables, numbers_of(path, tables, doc), strict=True):
        n = len(table.positions)
        size = voxel_size_of(path, frame, table.run, voxel_size)
        transforms = transforms_of(None, None, n) if table.transforms is None else np.asarray(table.transforms, float)
        rotations = rotations_in(f"{path}: {table.run}", transforms, n)
        # The transposed matrix is Rz(narot) Rx(tilt) Rz(tdrot).
        narot, tilt, tdrot = angles(np.swapaxes(rotations, 1, 2), "x")
        places, shifts = np.asarray(table.positions, float) / size + matlab, transforms[:, :3, 3] / size
        own: dict[str, list[str]] = {"tdrot": _digits(tdrot), "tilt": _digits(tilt), "narot": _digits(narot)}
        own["cc"] = ["0"] * n if table.scores is None else written(np.asarray(table.scores, float))
        own["tomo"] = [str(number)] * n
        if filament_column is not None:
            ids = np.zeros(n, int) if table.instance_ids is None else np.asarray(table.instance_ids)
            own[filament_column] = written(ids)
        for axis, name in enumerate("xyz"):
            own[name], own["d" + name] = _digits(places[:, axis]), _digits(shifts[:, axis])
        own["tag"] = (
            column_in(table.columns, "tag", n, "0") if "tag" in table.columns else [*map(str, range(tag + 1, tag + n + 1))]
        )
        tag += n
        cells = [own.get(name) or column_in(table.columns, name, n, _DEFAULTS.get(name, "0")) for name in NAMES[:width]]
        lines += [" ".join(row) + "\n" for row in zip(*cells, strict=True)]
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.writelines(lines)
    held = {*NAMES} - _INTERPRETED - {filament_column}
    return left_out(tables, held, instance_ids=filament_column is not None)


def _digits(values: Any) -> list[str]:
    """Numbers with twelve digits: more than Dynamo's own, and without the noise of dividing by a voxel size."""
    return [f"{value:.12g}" for value in (np.asarray(values) + 0.0).tolist()]


def _columns(path: str) -> dict[str, Sequence[str]]:
    try:
        with open(path, encoding="utf-8") as file:
            rows = [cells for line in file if (cells := line.split())]
    except UnicodeDecodeError as error:
        raise InvalidDataError(source=path, reason=f"is not text file: {error}") from error
    if not rows:
        return {name: [] for name in NAMES[:35]}
    width = len(rows[0])
    if width < _REQUIRED:
        raise InvalidDataError(
            source=path, reason=f"row 1 has {width} cells; a Dynamo table has at least {_REQUIRED}", index=0
        )
    for index, row in enumerate(rows):
        if len(row) != width:
            column = _name(min(len(row), width))
            reason = f"row {index + 1}, column {column}: the row has {len(row)} cells, not {width} as the first one"
            raise InvalidDataError(source=path, reason=reason, index=index)
    return {_name(index): [*cells] for index, cells in enumerate(zip(*rows, strict=True))}


def _name(index: int) -> str:
    return NAMES[index] if index < len(NAMES) else f"_{index + 1}"
