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
from copick_core.plugins.format_functions import PicksTable
from copick_formats.cells import Frames, column_in, groups, integers, numbers, texts, voxel_size_of, written
from copick_formats.numbered_runs import names_beside, numbers_of
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
_INTERPRETED = {"dx", "dy", "dz", "tdrot", "tilt", "narot", "cc", "tomo", "x", "y", "z"}
_DEFAULTS = {"aligned": "1", "ftype": "1", "ymintilt": "-60", "ymaxtilt": "60"}


@click.option("--voxel-size", type=float, help="Angstrom per voxel that coordinates count in; the tomogram's by default.")
@click.option("--doc", type=click.Path(exists=True), help="List of tomograms; the .doc file of the same name by default.")
@click.option("--matlab", is_flag=True, help="Coordinates count from 1.")
def read_dynamo(
    path: str, *, frame: Frames, voxel_size: float | None = None, doc: str | None = None, matlab: bool = False
) -> Iterator[PicksTable]:
    """Read particles; shifts become the translations of their transforms, ``cc`` the scores.

    Runs are named in the ``.doc`` file, or by their numbers without it.

    Args:
        path: The file.
        frame: Returns the frame of a run, if ``voxel_size`` is not given.
        voxel_size: Angstrom per voxel.
        doc: Path of the list of tomograms.
        matlab: Whether coordinates count from 1.

    Raises:
        InvalidDataError: A line has fewer than 26 cells or another number than the first, or a cell cannot be read.
    """
    columns = _columns(path)
    cells = {name: numbers(path, name, columns[name]) for name in _INTERPRETED}
    tomograms = integers(path, "tomo", columns["tomo"])
    names = names_beside(path, doc)
    kept = [name for name in columns if name not in _INTERPRETED]
    rotations = matrices(-cells["tdrot"], -cells["tilt"], -cells["narot"], "x")
    places, shifts = (np.stack([cells[prefix + axis] for axis in "xyz"], 1) for prefix in ("", "d"))
    for number, rows in groups([*map(str, tomograms.tolist())]):
        run = names.get(int(number), number)
        size = voxel_size_of(path, frame, run, voxel_size)
        located = (places[rows] - matlab) * size
        yield PicksTable(
            located,
            transforms_of(rotations[rows], shifts[rows] * size, len(located)),
            scores=cells["cc"][rows],
            run=run,
            columns={name: texts(columns[name], rows) for name in kept},
        )


@click.option("--voxel-size", type=float, help="Angstrom per voxel that coordinates count in; the tomogram's by default.")
@click.option("--doc", type=click.Path(), help="List of tomograms; made where it does not exist.")
@click.option("--matlab", is_flag=True, help="Coordinates count from 1.")
def write_dynamo(
    path: str,
    tables: Iterable[PicksTable],
    *,
    frame: Frames,
    voxel_size: float | None = None,
    doc: str | None = None,
    matlab: bool = False,
) -> None:
    """Write particles; further columns with names of Dynamo's take their places, others cannot be written.

    Args:
        path: The new file.
        tables: The particles.
        frame: Returns the frame of a run, if ``voxel_size`` is not given.
        voxel_size: Angstrom per voxel.
        doc: Path of the list of tomograms; without it, runs of several must be named by numbers.
        matlab: Whether coordinates count from 1.

    Raises:
        InvalidDataError: A run has no number, its voxel size is not known, or a transform is no rotation.
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


def _digits(values: Any) -> list[str]:
    """Numbers with twelve digits: more than Dynamo's own, and without the noise of dividing by a voxel size."""
    return [f"{value:.12g}" for value in (np.asarray(values) + 0.0).tolist()]


def _columns(path: str) -> dict[str, Sequence[str]]:
    try:
        with open(path, encoding="utf-8") as file:
            rows = [cells for line in file if (cells := line.split())]
    except UnicodeDecodeError as error:
        raise InvalidDataError(source=path, reason=f"is no text file: {error}") from error
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
