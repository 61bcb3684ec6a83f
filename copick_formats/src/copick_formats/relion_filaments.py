"""Filaments in STAR files of RELION 4 and 5: particles of the same ``rlnHelicalTubeID``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from copick_core.plugins.format_functions import FilamentsTable, PicksTable
from copick_formats.cells import Frames, numbers, written
from copick_formats.polylines import fields_left_out, filaments_in, points_of, spacing_option
from copick_formats.relion import ANGLES, INSTANCE, read_options, read_relion
from copick_formats.relion_helical import FLIP_RATIO, PRIORS, SUBTOMOGRAM, TRACK
from copick_formats.relion_writing import write_options, write_relion


@read_options
def read_relion_filaments(path: str, *, frame: Frames, **options: Any) -> Iterator[FilamentsTable]:
    """Read filaments: particles of the same tube, sorted by their track length where the file has it.

    What all particles of a filament have in common is kept as its metadata. Angles follow from the filament's direction and
    are not kept.

    Args:
        path: The file.
        frame: As for particles.
        **options: As for particles.

    Raises:
        InvalidDataError: A particle belongs to no tube, a tube has one particle only, or as for particles.
    """
    tables = []
    for table in read_relion(path, frame=frame, **options):
        columns = dict(table.columns)
        if FLIP_RATIO in columns:
            columns[FLIP_RATIO] = numbers(path, FLIP_RATIO, written(columns[FLIP_RATIO])) == 0
        tables.append(replace(table, columns=columns))
    yield from filaments_in(
        path, tables, id_name=INSTANCE, order=TRACK, polarity=FLIP_RATIO, derived=[*ANGLES, *SUBTOMOGRAM, *PRIORS]
    )


@write_options
@spacing_option
def write_relion_filaments(
    path: str,
    tables: Iterable[FilamentsTable],
    *,
    frame: Frames,
    spacing: float | None = None,
    helical: str = "frame",
    **options: Any,
) -> list[str]:
    """Write a particle for each vertex, or at equal distances along each filament, with the columns of helical processing.

    Args:
        path: The new file.
        tables: The filaments, one table for each run.
        frame: As for particles.
        spacing: Angstrom between particles of a filament, such as its helical rise; its vertices by default.
        helical: As for particles, but ``"frame"`` by default.
        **options: As for particles.

    Returns:
        What STAR files of RELION have no column for.

    Raises:
        InvalidDataError: As for particles, or the spacing is not a positive number.
    """
    points: list[PicksTable] = []
    lacking: dict[str, None] = {}
    for table in tables:
        known = table.polarity_known or [False] * len(table.polylines)
        made, lost = points_of(table, spacing, TRACK, {FLIP_RATIO: [0.0 if value else 0.5 for value in known]})
        points.append(made)
        lacking |= dict.fromkeys(lost)
        lacking |= dict.fromkeys(name for name in fields_left_out([table]) if name == "radius")
    lacking |= dict.fromkeys(write_relion(path, points, frame=frame, helical=helical, **options))
    return [*lacking]
