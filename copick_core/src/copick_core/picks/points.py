"""Picks as point objects, for those who want one for each point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from copick_core.errors import InvalidDataError
from copick_core.picks.arrays import PicksArrays, checked_header, checked_picks, invalid
from copick_core.picks.columns import KEY, Columns, columns_of, rows_of
from copick_core.tree.schema import CopickLocation, CopickPoint


def points_of(arrays: PicksArrays) -> list[CopickPoint]:
    """Build the point objects of arrays."""
    points = []
    rows = zip(
        arrays.positions.tolist(),
        arrays.transforms.tolist(),
        arrays.instance_ids.tolist(),
        arrays.scores.tolist(),
        rows_of(arrays.columns, len(arrays)),
        strict=True,
    )
    for index, ((x, y, z), transform, instance_id, score, values) in enumerate(rows):
        extras = dict(arrays.point_extras.get(index, {}))
        if values:
            extras[KEY] = values
        location = {"x": x, "y": y, "z": z, **extras.pop("location", {})}
        points.append(
            CopickPoint.model_validate(
                {
                    "location": location,
                    "transformation_": transform,
                    "instance_id": instance_id,
                    "score": score,
                    **extras,
                }
            )
        )
    return points


def arrays_of(points: Sequence[CopickPoint], header: Mapping[str, Any], source: str) -> PicksArrays:
    """Arrays of point objects, checked; None as id or score takes the default.

    Args:
        points: The points.
        header: The file's other keys.
        source: What the picks are called in errors.

    Raises:
        InvalidDataError: As for ``encode``.
    """
    extras: dict[int, dict[str, Any]] = {}
    values: dict[int, dict[str, Any]] = {}
    for index, point in enumerate(points):
        if not isinstance(point, CopickPoint) or not isinstance(point.location, CopickLocation):
            raise invalid("is not a CopickPoint with a CopickLocation", source, index)
        unknown = dict(point.model_extra or {})
        if type(unknown.get(KEY)) is dict and unknown[KEY]:
            values[index] = unknown.pop(KEY)
        if point.location.model_extra:
            unknown["location"] = dict(point.location.model_extra)
        if unknown:
            extras[index] = unknown
    header = checked_header(header, source)
    columns = columns_of([values.get(index, {}) for index in range(len(points))]) if values else {}
    try:
        return _arrays_of(points, header, extras, columns, source)
    except InvalidDataError as error:
        if error.index is None:  # something that makes no column of numbers: find out where
            for index, point in enumerate(points):
                try:
                    _arrays_of([point], header, {}, {}, source)
                except InvalidDataError as culprit:
                    raise invalid(culprit.reason, source, index) from error
        raise


def _arrays_of(
    points: Sequence[CopickPoint],
    header: dict[str, Any],
    extras: dict[int, dict[str, Any]],
    columns: Columns,
    source: str,
) -> PicksArrays:
    return checked_picks(
        [(p.location.x, p.location.y, p.location.z) for p in points],
        [p.transformation_ for p in points],
        [0 if p.instance_id is None else p.instance_id for p in points],
        [1.0 if p.score is None else p.score for p in points],
        header=header,
        point_extras=extras,
        columns=columns,
        source=source,
    )
