"""Filaments as points, which is how most formats keep them: vertices in order, with the filament's id, and the reverse."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from copick_core.callers import warn_caller
from copick_core.errors import InvalidDataError
from copick_core.plugins.format_functions import FilamentsTable, PicksTable
from copick_formats.rotations import Floats, matrices, transforms_of

spacing_option = click.option(
    "--spacing", type=float, help="Angstrom between points along a filament; its vertices by default."
)


def filaments_in(
    path: str,
    tables: Iterable[PicksTable],
    *,
    id_name: str,
    order: str | None = None,
    polarity: str | None = None,
    radius: str | None = None,
    derived: Iterable[str] = (),
) -> Iterator[FilamentsTable]:
    """Group points by their instance ids.

    Scores, radii, polarities and further columns belong to a filament if all its points have the same. Those that differ
    within a filament have no place in it, and a warning names them.

    Args:
        path: The file.
        tables: Its points.
        id_name: What the file calls the ids.
        order: Column by which the points of a filament are sorted, where the tables have it; as the file has them by default.
        polarity: Column that tells whether the polarity is known: true, or not.
        radius: Column with radii in angstrom.
        derived: Columns that follow from the vertices.

    Raises:
        InvalidDataError: A point has no id, a filament one point only, or a cell cannot be read.
    """
    lost: list[str] = []
    for table in tables:
        n = len(table.positions)
        ids = np.zeros(n, np.int64) if table.instance_ids is None else np.asarray(table.instance_ids)
        of_run = f" of run {table.run!r}" if table.run else ""
        if (free := np.flatnonzero(ids == 0)).size:
            reason = f"{free.size} points{of_run} belong to no filament ({id_name} is missing or 0); import them as picks"
            raise InvalidDataError(source=path, reason=reason, index=int(free[0]))
        keys = [ids] if order is None or order not in table.columns else [_floats(path, order, table.columns[order]), ids]
        sequence = np.lexsort(keys)
        found, starts, lengths = np.unique(ids[sequence], return_index=True, return_counts=True)
        if (short := np.flatnonzero(lengths < 2)).size:
            number = int(found[short[0]])
            reason = f"the filament {number}{of_run} ({id_name}) has one point; a filament has at least two"
            raise InvalidDataError(source=path, reason=reason, index=int(sequence[starts[short[0]]]))
        positions = _centres(table)[sequence]
        columns = {name: np.asarray(values)[sequence] for name, values in table.columns.items()}
        if table.scores is not None:
            columns["score"] = np.asarray(table.scores, float)[sequence]
        constant = {name: values[starts] for name, values in columns.items() if _is_constant(values, starts, lengths)}
        skipped = {*derived, *([order] if order else [])}
        lost += [name for name in columns if name not in constant and name not in skipped and name not in lost]
        known = constant.pop(polarity, None) if polarity else None
        radii = constant.pop(radius, None) if radius else None
        scores = constant.pop("score", None) if table.scores is not None else None
        kept = {name: values.tolist() for name, values in constant.items() if name not in skipped}
        yield FilamentsTable(
            np.split(positions, starts[1:]),
            found.tolist(),
            None if known is None else [_is_true(path, str(polarity), value) for value in known.tolist()],
            None if scores is None else scores.tolist(),
            None if radii is None else _radii(path, str(radius), radii),
            [{name: values[i] for name, values in kept.items() if values[i] is not None} for i in range(len(found))],
            table.run,
            table.object_name,
        )
    if lost:
        warn_caller(f"{path}: {', '.join(lost)} differ within a filament; filaments have no place for them.")


def points_of(
    table: FilamentsTable,
    spacing: float | None = None,
    length: str | None = None,
    further: Mapping[str, Sequence[Any]] | None = None,
) -> tuple[PicksTable, list[str]]:
    """The points of filaments: their vertices, or points at equal distances along them.

    The +z axis of a point's transform is the filament's direction; its x axis lies in the plane of z and that direction.

    Args:
        table: The filaments.
        spacing: Angstrom between points along a filament; its vertices by default.
        length: Name of the column for the distance from the filament's beginning, in angstrom; none by default.
        further: Further columns, with an entry for each filament.

    Returns:
        The points, with ids, scores, and metadata as columns; and the names of metadata that are not columns.

    Raises:
        InvalidDataError: The spacing is not a positive number.
    """
    if spacing is not None and not 0 < spacing < float("inf"):
        raise InvalidDataError(source="spacing", reason=f"{spacing} is not a positive number")
    parts = [_along(np.asarray(polyline, float), spacing) for polyline in table.polylines]
    counts = [len(points) for points, _, _ in parts]
    n = sum(counts)
    points = np.concatenate([part[0] for part in parts]) if parts else np.zeros((0, 3))
    directions = np.concatenate([part[1] for part in parts]) if parts else np.zeros((0, 3))
    ids = np.asarray(table.instance_ids if table.instance_ids is not None else range(1, len(parts) + 1), np.int64)
    scores = None if table.scores is None else np.repeat(np.asarray(table.scores, float), counts)
    columns: dict[str, npt.NDArray[Any]] = {}
    if length is not None:
        columns[length] = np.concatenate([part[2] for part in parts]) if parts else np.zeros(0)
    columns |= {name: np.repeat(np.asarray(values), counts) for name, values in (further or {}).items()}
    of_filaments, lacking = metadata_columns(table)
    for name, values in of_filaments.items():
        columns.setdefault(name, np.repeat(values, counts))
    azimuth = np.rad2deg(np.arctan2(directions[:, 1], directions[:, 0]))
    polar = np.rad2deg(np.arctan2(np.hypot(directions[:, 0], directions[:, 1]), directions[:, 2]))
    transforms = transforms_of(matrices(azimuth, polar, np.zeros(n), "y"), None, n)
    return PicksTable(points, transforms, np.repeat(ids, counts), scores, table.run, table.object_name, columns), lacking


def fields_left_out(tables: Iterable[FilamentsTable], *, radius: bool = False) -> list[str]:
    """Fields of filaments that a format cannot hold, where there are any: the polarity, and radii unless it holds these."""
    tables = [*tables]
    lacking = []
    if any(any(table.polarity_known or ()) for table in tables):
        lacking.append("polarity_known")
    if not radius and any(value is not None for table in tables for value in table.radii or ()):
        lacking.append("radius")
    return lacking


def metadata_columns(table: FilamentsTable) -> tuple[dict[str, npt.NDArray[Any]], list[str]]:
    """Metadata of filaments as columns (None: no value), and the names of those that are neither numbers nor text."""
    from copick_core.picks.columns import column_of

    rows: Sequence[Mapping[str, Any]] = table.metadata or []
    names = dict.fromkeys(name for row in rows for name in row)
    plain = (str, int, float, bool, type(None))
    simple = [name for name in names if all(type(row.get(name)) in plain for row in rows)]
    columns = {name: column_of([row.get(name) for row in rows]) for name in simple}
    return columns, [name for name in names if name not in columns]


def _along(polyline: Floats, spacing: float | None) -> tuple[Floats, Floats, Floats]:
    """Points of a polyline, their directions (of length 1), and how far along it they are."""
    steps = np.diff(polyline, axis=0)
    lengths = np.linalg.norm(steps, axis=1)
    along = np.concatenate([[0.0], np.cumsum(lengths)])
    if spacing is None:
        chords = np.concatenate([steps[:1], polyline[2:] - polyline[:-2], steps[-1:]])
        places, points = along, polyline
    else:
        places = np.arange(np.floor(along[-1] / spacing * (1 + 1e-12)) + 1) * spacing
        points = np.stack([np.interp(places, along, polyline[:, axis]) for axis in range(3)], 1)
        chords = steps[np.clip(np.searchsorted(along, places, "right") - 1, 0, len(steps) - 1)]
    norms = np.linalg.norm(chords, axis=1, keepdims=True)
    return points, np.where(norms > 0, chords / np.where(norms > 0, norms, 1), [0.0, 0.0, 1.0]), places


def _centres(table: PicksTable) -> Floats:
    positions = np.asarray(table.positions, float)
    return positions if table.transforms is None else positions + np.asarray(table.transforms, float)[:, :3, 3]


def _is_constant(values: npt.NDArray[Any], starts: npt.NDArray[np.intp], lengths: npt.NDArray[np.intp]) -> bool:
    """Whether all points of each filament have the same value; no value equals no value."""
    first = np.repeat(values[starts], lengths)
    return bool(((values == first) | ((values != values) & (first != first))).all())


def _floats(path: str, name: str, values: npt.NDArray[Any]) -> Floats:
    from copick_formats.cells import numbers, written

    return numbers(path, name, written(np.asarray(values)))


def _radii(path: str, name: str, values: npt.NDArray[Any]) -> list[float | None]:
    texts = [str(value) for value in values.tolist()]
    empty = {"", "None", "nan"}
    radii = [None if text in empty else float(_floats(path, name, np.array([text]))[0]) for text in texts]
    for index, radius in enumerate(radii):
        if radius is not None and not radius > 0:
            raise InvalidDataError(source=path, reason=f"column {name}: the radius {radius} is not positive", index=index)
    return radii


def _is_true(path: str, name: str, value: Any) -> bool:
    text = str(value).strip().lower()
    if text in ("true", "1", "1.0"):
        return True
    if text in ("false", "0", "0.0", "", "none"):
        return False
    raise InvalidDataError(source=path, reason=f"column {name}: {value!r:.60} is neither true nor false")
