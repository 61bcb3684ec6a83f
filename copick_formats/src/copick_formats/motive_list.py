"""Motive lists of TOM, AV3 and STOPGAP: EM files of 20 rows (``.em``), and STAR files of the same (``.star``).

Coordinates count in voxels from 1, as MATLAB does; shifts become the translations of transforms. The rotation is
Rz(psi) Rx(theta) Rz(phi). Rows of an EM file, counted from 1: 1 score, 5 number of the tomogram, 8 to 10 coordinates, 11 to 13
shifts, 17 phi, 18 psi, 19 theta, 20 class.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from copick_core.errors import InvalidDataError
from copick_core.plugins.format_functions import PicksTable
from copick_formats.cells import Frames, column_in, groups, integers, left_out, numbers, texts, voxel_size_of, written
from copick_formats.em import em_header, read_em
from copick_formats.numbered_runs import names_beside, numbers_of
from copick_formats.options import stacked
from copick_formats.rotations import Floats, angles, matrices, rotations_in, transforms_of
from copick_formats.star import columns_with, quoted, write_block

_ROWS = 20
_COLUMNS = {
    2: "motl_2",
    3: "motl_3",
    4: "motl_4",
    6: "motl_6",
    7: "motl_7",
    14: "motl_14",
    15: "motl_15",
    16: "motl_16",
    20: "class",
}
"""Rows that are kept, by their names as columns."""
_STOPGAP = [
    "motl_idx",
    "tomo_num",
    "object",
    "subtomo_num",
    "halfset",
    "orig_x",
    "orig_y",
    "orig_z",
    "score",
    "x_shift",
    "y_shift",
    "z_shift",
    "phi",
    "psi",
    "the",
    "class",
]
_STOPGAP_INTERPRETED = {
    "tomo_num",
    "orig_x",
    "orig_y",
    "orig_z",
    "score",
    "x_shift",
    "y_shift",
    "z_shift",
    "phi",
    "psi",
    "the",
}
_STOPGAP_DEFAULTS = {"object": "1", "halfset": "A", "class": "1"}

_voxel_size = click.option(
    "--voxel-size", type=float, help="Voxel size that coordinates refer to, in angstrom; the tomogram's by default."
)
_read_options = stacked(
    _voxel_size,
    click.option("--doc", type=click.Path(exists=True), help="List of tomograms; the .doc file of the same name by default."),
)
_write_options = stacked(
    _voxel_size,
    click.option("--doc", type=click.Path(), help="List of tomograms; made where it does not exist."),
)


@_read_options
@click.option("--tomogram-row", type=int, default=5, help="Row with the number of the tomogram, counted from 1.")
def read_motive_list(
    path: str, *, frame: Frames, voxel_size: float | None = None, doc: str | None = None, tomogram_row: int = 5
) -> Iterator[PicksTable]:
    """Read the particles of an EM file; row 1 are the scores.

    Runs are named by their numbers, or as the ``.doc`` file says.

    Args:
        path: The file.
        frame: Returns the frame of a run, if ``voxel_size`` is not given.
        voxel_size: Angstrom per voxel.
        doc: Path of a list of tomograms: a number and a file in each line.
        tomogram_row: Row with the number of the tomogram, counted from 1.

    Raises:
        InvalidDataError: It has not 20 rows, or a value is not finite.
    """
    if tomogram_row not in range(1, _ROWS + 1):
        raise InvalidDataError(source=path, reason=f"tomogram_row is {tomogram_row}; rows are 1 to {_ROWS}")
    rows = _rows(path)
    names = names_beside(path, doc)
    tomograms = rows[tomogram_row - 1]
    if (wrong := (tomograms != np.round(tomograms)) | (tomograms < 0)).any():
        index = int(np.argmax(wrong))
        raise InvalidDataError(
            source=path, reason=f"particle {index + 1}: tomogram {tomograms[index]} is not a number", index=index
        )
    for number, which in groups([str(int(value)) for value in tomograms.tolist()]):
        part = rows[:, which]
        kept = {name: part[row - 1] for row, name in _COLUMNS.items() if row != tomogram_row}
        yield _table(
            path, frame, voxel_size, names.get(int(number), number), part[7:10], part[10:13], part[16:19], part[0], kept
        )


@_write_options
def write_motive_list(
    path: str, tables: Iterable[PicksTable], *, frame: Frames, voxel_size: float | None = None, doc: str | None = None
) -> list[str]:
    """Write an EM file of float32.

    Args:
        path: The new file.
        tables: The particles.
        frame: Returns the frame of a run, if ``voxel_size`` is not given.
        voxel_size: Angstrom per voxel.
        doc: Path of the list of tomograms; without it, runs of several must be named by numbers.

    Returns:
        What a motive list has no column for.

    Raises:
        InvalidDataError: A run has no number or no known voxel size, a transform is not a rotation, or a column holds text.
    """
    tables = [*tables]
    parts = [np.empty((_ROWS, 0))]
    for table, number, running, (places, shifts, euler) in _placed(path, tables, doc, frame, voxel_size):
        rows = np.zeros((_ROWS, len(running)))
        rows[3] = running
        for row, name in _COLUMNS.items():
            if name in table.columns:
                rows[row - 1] = numbers(path, name, written(table.columns[name]))
        rows[4] = number
        rows[7:10], rows[10:13], rows[16:19] = places.T, shifts.T, euler.T
        rows[0] = 0 if table.scores is None else table.scores
        parts.append(rows)
    content = np.ascontiguousarray(np.concatenate(parts, 1).T[None], "<f4")
    with open(path, "wb") as file:
        file.write(em_header(content.shape, content.dtype))
        file.write(content.tobytes())
    return left_out(tables, _COLUMNS.values())


def is_stopgap(path: str, head: bytes) -> bool:
    """Whether a file is a STOPGAP motive list."""
    return b"data_stopgap_motivelist" in head


@_read_options
def read_stopgap(path: str, *, frame: Frames, voxel_size: float | None = None, doc: str | None = None) -> Iterator[PicksTable]:
    """Read the particles of a STOPGAP motive list; all further columns are kept.

    Args:
        path: The file.
        frame: Returns the frame of a run, if ``voxel_size`` is not given.
        voxel_size: Angstrom per voxel.
        doc: Path of a list of tomograms: a number and a file in each line.

    Raises:
        InvalidDataError: A column is missing, or a cell cannot be read.
    """
    columns = columns_with(path, "motl_idx")
    if missing := [name for name in _STOPGAP if name in _STOPGAP_INTERPRETED and name not in columns]:
        raise InvalidDataError(source=path, reason=f"is not a STOPGAP motive list: it has no column {missing[0]}")
    cells = {name: numbers(path, name, columns[name]) for name in _STOPGAP if name in _STOPGAP_INTERPRETED}
    names = names_beside(path, doc)
    for number, rows in groups([*map(str, integers(path, "tomo_num", columns["tomo_num"]).tolist())]):
        places, shifts, euler = (
            np.stack([cells[name][rows] for name in triple])
            for triple in (("orig_x", "orig_y", "orig_z"), ("x_shift", "y_shift", "z_shift"), ("phi", "psi", "the"))
        )
        kept = {name: texts(values, rows) for name, values in columns.items() if name not in _STOPGAP_INTERPRETED}
        run = names.get(int(number), number)
        yield _table(path, frame, voxel_size, run, places, shifts, euler, cells["score"][rows], kept)


@_write_options
def write_stopgap(
    path: str, tables: Iterable[PicksTable], *, frame: Frames, voxel_size: float | None = None, doc: str | None = None
) -> list[str]:
    """Write a STOPGAP motive list, which has no columns but its own sixteen.

    Args:
        path: The new file.
        tables: The particles.
        frame: Returns the frame of a run, if ``voxel_size`` is not given.
        voxel_size: Angstrom per voxel.
        doc: Path of the list of tomograms; without it, runs of several must be named by numbers.

    Returns:
        What a motive list has no column for.

    Raises:
        InvalidDataError: A run has no number, its voxel size is not known, or a transform is not a rotation.
    """
    tables = [*tables]
    lines: list[str] = []
    for table, number, running, (places, shifts, euler) in _placed(path, tables, doc, frame, voxel_size):
        n = len(running)
        own = {"tomo_num": [str(number)] * n}
        own["score"] = ["0"] * n if table.scores is None else written(np.asarray(table.scores, float))
        for names, values in ((_STOPGAP[5:8], places), (_STOPGAP[9:12], shifts), (_STOPGAP[12:15], euler)):
            own |= {name: written(values[:, axis], 9) for axis, name in enumerate(names)}
        for name in ("motl_idx", "subtomo_num"):
            own[name] = column_in(table.columns, name, n, "0") if name in table.columns else [*map(str, running)]
        cells = [own.get(name) or column_in(table.columns, name, n, _STOPGAP_DEFAULTS.get(name, "0")) for name in _STOPGAP]
        lines += ["\t".join(map(quoted, row)) + "\n" for row in zip(*cells, strict=True)]
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        write_block(file, "stopgap_motivelist", _STOPGAP, lines)
    return left_out(tables, {*_STOPGAP} - _STOPGAP_INTERPRETED)


def _table(
    path: str,
    frame: Frames,
    voxel_size: float | None,
    run: str,
    places: Floats,
    shifts: Floats,
    euler: Floats,
    scores: Floats,
    columns: Mapping[str, npt.NDArray[Any]],
) -> PicksTable:
    """A table of arrays (3, n) as they stand in the file; angles are phi, psi, theta."""
    size = voxel_size_of(path, frame, run, voxel_size)
    phi, psi, theta = euler
    transforms = transforms_of(matrices(psi, theta, phi, "x"), shifts.T * size, places.shape[1])
    return PicksTable((places.T - 1) * size, transforms, scores=scores, run=run, columns=columns)


def _placed(
    path: str, tables: Sequence[PicksTable], doc: str | None, frame: Frames, voxel_size: float | None
) -> Iterator[tuple[PicksTable, int, range, tuple[Floats, Floats, Floats]]]:
    """Each table with its run's number, the numbers of its particles, and coordinates, shifts and angles as (n, 3)."""
    count = 1
    for table, number in zip(tables, numbers_of(path, tables, doc), strict=True):
        n = len(table.positions)
        size = voxel_size_of(path, frame, table.run, voxel_size)
        transforms = transforms_of(None, None, n) if table.transforms is None else np.asarray(table.transforms, float)
        psi, theta, phi = angles(rotations_in(f"{path}: {table.run}", transforms, n), "x")
        places = np.asarray(table.positions, float) / size + 1
        arrays = places, transforms[:, :3, 3] / size, np.stack([phi, psi, theta], 1)
        yield table, number, range(count, count + n), arrays
        count += n


def _rows(path: str) -> Floats:
    """The file as (20, n)."""
    with read_em(path) as volume:
        z, y, x = volume.shape
        if z == 1 and x == _ROWS:
            content = volume.data[0].T
        elif x == 1 and y == _ROWS:  # a list of one particle, turned
            content = volume.data[..., 0].T
        else:
            reason = f"is not a motive list: its sizes x, y, z are {x}, {y}, {z}, and x is not {_ROWS}"
            raise InvalidDataError(source=path, reason=reason)
    with np.errstate(invalid="ignore"):  # of NaN, which is refused below
        rows = np.asarray(content, np.float64)
    if not (finite := np.isfinite(rows)).all():
        row, index = (int(i) for i in np.argwhere(~finite)[0])
        reason = f"row {row + 1} of particle {index + 1} is not finite"
        raise InvalidDataError(source=path, reason=reason, index=index)
    return rows
