"""Picks as pandas DataFrames and back; pandas is imported when one is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from copick_core.errors import InvalidDataError, MissingDependencyError
from copick_core.picks.arrays import PicksArrays
from copick_core.picks.columns import column_of

if TYPE_CHECKING:
    from pandas import DataFrame

#: Names of the cells of a transform, row by row; copick's CSV files have the same.
TRANSFORM_NAMES = [f"transform_{row}{column}" for row in range(4) for column in range(4)]
_OWN = ["x", "y", "z", *TRANSFORM_NAMES, "score", "instance_id"]


def frame_of(arrays: PicksArrays, source: str) -> DataFrame:
    """A table with a row for each point.

    Raises:
        InvalidDataError: A further column has the name of one of the table's own.
        MissingDependencyError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingDependencyError(feature="A DataFrame of picks", install="pip install pandas") from error
    if clash := [name for name in arrays.columns if name in _OWN]:
        raise InvalidDataError(source=source, reason=f"the column {clash[0]!r} has a name that the table needs itself")
    content: dict[str, Any] = {name: arrays.positions[:, axis] for axis, name in enumerate("xyz")}
    cells = arrays.transforms.reshape(-1, 16)
    content.update({name: cells[:, index] for index, name in enumerate(TRANSFORM_NAMES)})
    content.update(score=arrays.scores, instance_id=arrays.instance_ids)
    return pd.DataFrame({name: values.copy() for name, values in (content | arrays.columns).items()})


def arrays_in(frame: DataFrame, source: str) -> dict[str, Any]:
    """The arguments of :meth:`CopickPicks.from_numpy` in a table.

    Raises:
        InvalidDataError: It has no x, y or z, or only some of the cells of transforms.
    """
    if missing := [name for name in "xyz" if name not in frame]:
        raise InvalidDataError(source=source, reason=f"the table has no column {missing[0]!r}")
    found: dict[str, Any] = {"positions": np.stack([frame[name].to_numpy() for name in "xyz"], 1)}
    cells = [name for name in TRANSFORM_NAMES if name in frame]
    if cells:
        if len(cells) < 12 or cells[:12] != TRANSFORM_NAMES[:12] or len(cells) not in (12, 16):
            lacking = next(name for name in TRANSFORM_NAMES if name not in cells)
            raise InvalidDataError(source=source, reason=f"the table has {cells[0]!r}, but no column {lacking!r}")
        transforms = np.tile(np.eye(4), (len(frame), 1, 1))
        for name in cells:
            transforms[:, int(name[-2]), int(name[-1])] = frame[name].to_numpy()
        found["transforms"] = transforms
    if "score" in frame:
        found["scores"] = frame["score"].to_numpy()
    if "instance_id" in frame:
        found["instance_ids"] = frame["instance_id"].to_numpy()
    found["columns"] = {str(name): _column(frame[name]) for name in frame.columns if name not in _OWN}
    return found


def _column(series: Any) -> Any:
    if isinstance(series.dtype, np.dtype) and series.dtype.kind in "biuf":
        return series.to_numpy()
    return column_of([None if missing else value for value, missing in zip(series.tolist(), series.isna(), strict=True)])
