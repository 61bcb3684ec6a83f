"""Particles to STAR files of RELION 4 and 5."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from copick_core.errors import InvalidDataError
from copick_core.plugins.format_functions import PicksTable
from copick_formats.cells import Frames, all_columns, column_in, numbers, written
from copick_formats.options import stacked
from copick_formats.relion import (
    ANGLES,
    CENTERED,
    CENTRES,
    GROUP,
    IMPORTED,
    INSTANCE,
    ORIGINS,
    PIXELS,
    RUN,
    SCORE,
    TILT_SERIES_SIZE,
)
from copick_formats.relion_helical import MODES, SUBTOMOGRAM, centres, with_half_sets, with_helical_columns
from copick_formats.relion_tomograms import read_tomograms
from copick_formats.rotations import angles, matrices, rotations_in
from copick_formats.star import Block, quoted, read_star, write_block

_DECIMALS = 6
# Of coordinates in pixels: half a unit is 1e-7 Å for pixels of 20 Å.
_PIXEL_DECIMALS = 8


write_options = stacked(
    click.option(
        "--coordinates",
        type=click.Choice(["centered", "pixels"]),
        default="centered",
        help="As RELION 5, or 4, has them.",
    ),
    click.option(
        "--pixel-size", type=float, help="Angstrom per pixel of the tilt series; the tomogram's voxel size by default."
    ),
    click.option("--tomograms", type=click.Path(exists=True), help="tomograms.star with sizes and pixel sizes of tomograms."),
    click.option(
        "--optics", type=click.Path(exists=True), help="STAR file to copy optics groups from; particles keep theirs."
    ),
    click.option("--centre", type=click.Choice([*CENTRES]), default="size/2", help="Where centred coordinates count from."),
    click.option("--helical", type=click.Choice([*MODES]), help="Write the columns of helical processing."),
    click.option("--half-sets", type=click.Choice(["filament"]), help="Put each filament into one of two half sets."),
)


@write_options
def write_relion(
    path: str,
    tables: Iterable[PicksTable],
    *,
    frame: Frames,
    coordinates: str = "centered",
    pixel_size: float | None = None,
    tomograms: str | None = None,
    optics: str | None = None,
    centre: str = "size/2",
    helical: str | None = None,
    half_sets: str | None = None,
) -> list[str]:
    """Write particles: positions with the translations of their transforms, origins 0.

    Scores are written as ``rlnAutopickFigureOfMerit`` unless all are 1, instance ids as ``rlnHelicalTubeID`` unless all are 0.
    Particles with subtomogram poses keep them, and get the angles that give the same rotation.

    Args:
        path: The new file.
        tables: The particles, one table for each run.
        frame: Returns the frame of a run, where ``tomograms`` does not have it.
        coordinates: ``"centered"`` (RELION 5), or ``"pixels"`` of the tilt series (RELION 4).
        pixel_size: Angstrom per pixel of the tilt series; that of the frame by default.
        tomograms: Path of a tomograms.star.
        optics: Path of a STAR file whose optics groups are copied; particles keep ``rlnOpticsGroup``. By default there is one
            group for each run.
        centre: As in reading.
        helical: Write the columns of helical processing, with the pose as the subtomogram's (``"frame"``), or as the
            particle's (``"pose"``): priors, track lengths, and flip ratios (0.5 unless the points have others).
        half_sets: ``"filament"`` puts each filament into one of two half sets of about as many particles.

    Returns:
        Nothing: a STAR file has a place for every column.

    Raises:
        InvalidDataError: A run has no name, its centre or pixel size is not known, or a transform is not a rotation.
    """
    chosen = (coordinates, pixel_size, tomograms, optics, centre, helical, half_sets)
    _write(path, [*tables], frame, *chosen)
    return []


@write_options
@click.option("--prefix", help="The folder, as RELION finds it from its project; its own name by default.")
def write_relion_import(
    path: str, tables: Iterable[PicksTable], *, frame: Frames, prefix: str | None = None, **options: Any
) -> list[str]:
    """Write a folder for RELION's import of coordinates: a file for each run, and ``particles.star``, which names them.

    Args:
        path: The new folder.
        tables: The particles, one table for each run.
        frame: As for `write_relion`.
        prefix: The folder, as RELION finds it from its project; its own name by default.
        **options: As for `write_relion`; there are no optics groups.

    Returns:
        Nothing: a STAR file has a place for every column.

    Raises:
        InvalidDataError: As for `write_relion`, or two tables are of the same run.
    """
    tables = [*tables]
    runs = [str(table.run) for table in tables]
    if len({*runs}) != len(runs):
        raise InvalidDataError(source=path, reason="two tables are of the same run; export one object at a time")
    if options.get("optics") is not None:
        raise InvalidDataError(source=path, reason="files for RELION's import have no optics groups; leave out optics")
    given: dict[str, Any] = {
        "coordinates": "centered",
        "pixel_size": None,
        "tomograms": None,
        "optics": None,
        "centre": "size/2",
    }
    given |= {"helical": None, "half_sets": None, **options}
    if given["half_sets"] is not None:  # over all files
        tables, given["half_sets"] = with_half_sets(tables), None
    os.makedirs(os.path.join(path, "coordinates"))
    for run, table in zip(runs, tables, strict=True):
        _write(os.path.join(path, "coordinates", f"{run}.star"), [table], frame, *given.values(), with_optics=False)
    folder = os.path.basename(path) if prefix is None else prefix
    rows = [f"{quoted(run)}\t{quoted(f'{folder}/coordinates/{run}.star')}\n" for run in runs]
    with open(os.path.join(path, "particles.star"), "w", encoding="utf-8", newline="\n") as file:
        write_block(file, "coordinate_files", [RUN, IMPORTED], rows)
    return []


def _write(
    path: str,
    tables: list[PicksTable],
    frame: Frames,
    coordinates: str,
    pixel_size: float | None,
    tomograms: str | None,
    optics: str | None,
    centre: str,
    helical: str | None,
    half_sets: str | None,
    *,
    with_optics: bool = True,
) -> None:
    """Write a STAR file of particles; the arguments are those of `write_relion`."""
    choices = (
        ("coordinates", coordinates, ("centered", "pixels")),
        ("centre", centre, CENTRES),
        ("helical", helical, (None, *MODES)),
        ("half_sets", half_sets, (None, "filament")),
    )
    for name, value, allowed in choices:
        if value not in allowed:
            reason = f"{name} is {value!r}; choose one of {', '.join(map(str, filter(None, allowed)))}"
            raise InvalidDataError(source=path, reason=reason)
    tables = [table if helical is None else with_helical_columns(path, table, helical) for table in tables]
    if half_sets is not None:
        tables = with_half_sets(tables)
    known = read_tomograms(tomograms) if tomograms is not None else {}
    frames = {}
    for table in tables:
        if not table.run:
            raise InvalidDataError(source=path, reason="a table names no run")
        found = known.get(table.run) or frame(table.run)
        if found is None and (coordinates == "centered" or pixel_size is None):
            reason = f"size and voxel size of {table.run!r} are not known: give tomograms (a tomograms.star)"
            raise InvalidDataError(source=path, reason=reason)
        frames[table.run] = found
    copied = None if optics is None else _optics_of(optics)
    sizes: dict[str, float] = {}
    for run, found in frames.items():
        if pixel_size is not None:
            sizes[run] = pixel_size
        elif found is not None:
            sizes[run] = found.voxel_size
    numbered = {run: number for number, run in enumerate(frames, 1)}
    has_scores = any(table.scores is not None and bool((table.scores != 1).any()) for table in tables)
    has_ids = any(table.instance_ids is not None and bool(table.instance_ids.any()) for table in tables)
    located = CENTERED if coordinates == "centered" else PIXELS
    groups = [GROUP] if with_optics else []
    own = [RUN, *located, *ORIGINS, *ANGLES, *groups, *([SCORE] if has_scores else []), *([INSTANCE] if has_ids else [])]
    further = all_columns(tables, {*own, GROUP, *CENTERED, *PIXELS, "rlnPixelSize"})

    def rows() -> Iterator[str]:
        for table in tables:
            run = str(table.run)
            n = len(table.positions)
            if found := frames[run]:
                middle = (np.array(found.shape[::-1], float) / 2 - CENTRES[centre]) * found.voxel_size
            places = centres(table)
            places = places - middle if coordinates == "centered" else places / sizes[run]
            decimals = _DECIMALS if coordinates == "centered" else _PIXEL_DECIMALS
            rot, tilt, psi = _angles(path, table)
            cells = [[quoted(run)] * n]
            cells += [written(places[:, axis], decimals) for axis in range(3)]
            cells += [["0.000000"] * n] * 3
            cells += [written(values, _DECIMALS) for values in (rot, tilt, psi)]
            if with_optics:
                cells.append(column_in(table.columns, GROUP, n, "1") if copied is not None else [str(numbered[run])] * n)
            if has_scores:
                cells.append(written(np.ones(n) if table.scores is None else np.asarray(table.scores, float)))
            if has_ids:
                cells.append(written(np.zeros(n, int) if table.instance_ids is None else np.asarray(table.instance_ids)))
            cells += [_quoted(path, label, column_in(table.columns, label, n, "None")) for label in further]
            yield from ("\t".join(row) + "\n" for row in zip(*cells, strict=True))

    made = Block("optics", {
        GROUP: [*map(str, numbered.values())],
        "rlnOpticsGroupName": [f"opticsGroup{number}" for number in numbered.values()],
        TILT_SERIES_SIZE: [repr(float(sizes[run])) for run in numbered],
    })  # fmt: skip
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for block in ([made] if copied is None else [copied]) if with_optics else []:
            lines = ["\t".join(map(quoted, row)) + "\n" for row in zip(*block.columns.values(), strict=True)]
            write_block(file, "optics", [*block.columns], lines)
        write_block(file, "particles", [*own, *further], rows())


def _angles(path: str, table: PicksTable) -> list[npt.NDArray[np.float64]]:
    """Rot, tilt and psi."""
    rotations = rotations_in(f"{path}: {table.run}", table.transforms, len(table.positions))
    if all(label in table.columns for label in SUBTOMOGRAM):
        rot, tilt, psi = (numbers(path, label, written(table.columns[label])) for label in SUBTOMOGRAM)
        rotations = np.swapaxes(matrices(-psi, -tilt, -rot, "y"), 1, 2) @ rotations
    # A = Rz(-psi) Ry(-tilt) Rz(-rot), and its transpose is Rz(rot) Ry(tilt) Rz(psi).
    return [np.round(values, _DECIMALS) + 0.0 for values in angles(np.swapaxes(rotations, 1, 2), "y")]


def _quoted(path: str, label: str, values: list[str]) -> list[str]:
    if not label or any(c.isspace() for c in label):
        raise InvalidDataError(source=path, reason=f"a STAR file can have no column {label!r}")
    try:
        return [quoted(value) for value in values]
    except ValueError as error:
        raise InvalidDataError(source=path, reason=f"column {label}: {error}") from None


def _optics_of(path: str) -> Block:
    for block in read_star(path):
        if GROUP in block.columns and "rlnCoordinateX" not in block.columns and CENTERED[0] not in block.columns:
            return block
    raise InvalidDataError(source=path, reason=f"has no optics table: no block with {GROUP} and without coordinates")
