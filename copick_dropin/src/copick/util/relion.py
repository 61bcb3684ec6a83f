"""Tables of RELION."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from copick_core.errors import InvalidDataError
from copick_core.plugins.format_functions import PicksTable
from copick_core.projects.transfers import frame_of
from copick_formats.relion import read_relion
from copick_formats.relion_helical import track_lengths
from copick_formats.relion_writing import write_relion
from copick_formats.star import quoted, read_star, write_block

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from pandas import DataFrame


def filament_track_lengths(positions: ArrayLike, instance_ids: ArrayLike) -> NDArray[np.float64]:
    """How far along its filament each point is.

    Args:
        positions: (n, 3) in angstrom.
        instance_ids: (n,) ids of the filaments; points of one need not be neighbours, and are in its order.

    Returns:
        (n,) in angstrom; 0 at the first point of each filament.
    """
    return track_lengths(positions, instance_ids)


def check_format(format: str) -> None:
    """Refuse tables of other programs.

    Raises:
        ValueError: It is another format.
    """
    if format != "relion":
        raise InvalidDataError(source="format", reason=f"{format!r} is unknown; tables of picks are those of 'relion'")


def picks_to_df_relion(picks: Any, **options: Any) -> DataFrame:
    """Picks as the particles of a STAR file, with centred coordinates if the run has a tomogram and else with pixels.

    Args:
        picks: The picks.
        **options: As :func:`copick_formats.relion_writing.write_relion` takes them.

    Returns:
        One row for each particle; columns are RELION's labels.
    """
    import pandas as pd

    positions, transforms = picks.numpy()
    table = PicksTable(positions, transforms, picks.instance_ids(), picks.scores(), picks.run.name, picks.pickable_object_name)
    frame = frame_of(picks.run)
    if frame is None:
        options = {"coordinates": "pixels", "pixel_size": picks.meta.voxel_spacing or 1.0, **options}
    with TemporaryDirectory() as folder:
        path = os.path.join(folder, "particles.star")
        write_relion(path, [table], frame=lambda run: frame, **options)
        particles = next(block for block in read_star(path) if block.name == "particles")
    columns = {label: [*cells] for label, cells in particles.columns.items()}
    made = pd.DataFrame(columns)
    for label in made.columns:
        if label != "rlnTomoName":
            made[label] = pd.to_numeric(made[label])
    return made


def relion_df_to_picks(picks: Any, df: DataFrame, **options: Any) -> None:
    """Replace picks by the particles of a table, and store them.

    Args:
        picks: The picks.
        df: Rows of particles; columns are RELION's labels. Rows of other runs are left out.
        **options: As :func:`copick_formats.relion.read_relion` takes them.
    """
    name = picks.run.name
    df = df[df["rlnTomoName"] == name] if "rlnTomoName" in df else df.assign(rlnTomoName=name)
    if df.empty:
        picks.from_numpy(np.zeros((0, 3)))
        return
    with TemporaryDirectory() as folder:
        path = Path(folder) / "particles.star"
        with path.open("w", encoding="utf-8") as file:
            rows = ("\t".join(quoted(str(cell)) for cell in row) + "\n" for row in df.itertuples(index=False))
            write_block(file, "particles", [str(label) for label in df.columns], rows)
        sizes: dict[str, Any] = {
            "pixel_size": None if "rlnCenteredCoordinateXAngst" in df else picks.meta.voxel_spacing or 1.0
        }
        (table,) = read_relion(str(path), frame=lambda run: frame_of(picks.run), **{**sizes, **options})
    picks.from_numpy(table.positions, table.transforms, instance_ids=table.instance_ids, scores=table.scores)
