"""Tables and volumes of other programs, as functions of arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from copick.util._relion_tables import (
    Centre,
    RelionTomogram,
    build_relion_particles_df,
    build_relion_star_tables,
    centre_of,
    check_relion_filament_options,
    get_tomogram_centers_from_copick,
    half_sets_of,
    read_relion5_tomogram_centers,
    read_relion_tomograms,
    write_relion_import_bundle,
    write_star_particles,
)
from copick_core.errors import InvalidDataError
from copick_core.plugins.format_functions import PicksTable
from copick_formats import rotations as zyz
from copick_formats.copick_tables import write_csv

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike, NDArray
    from pandas import DataFrame

__all__ = [
    "Centre",
    "RelionTomogram",
    "build_relion_particles_df",
    "build_relion_star_tables",
    "centre_of",
    "check_relion_filament_options",
    "euler_to_matrix",
    "get_tomogram_centers_from_copick",
    "half_sets_of",
    "matrix_to_euler",
    "read_em_volume",
    "read_picks_csv",
    "read_relion5_tomogram_centers",
    "read_relion_tomograms",
    "read_tiff_volume",
    "write_em_volume",
    "write_picks_csv",
    "write_relion_import_bundle",
    "write_star_particles",
    "write_tiff_volume",
]


def _axis(convention: str) -> tuple[str, bool]:
    """The axis of the middle angle, and whether the axes turn along (capital letters)."""
    if convention.upper() not in ("ZYZ", "ZXZ"):
        raise InvalidDataError(source="convention", reason=f"{convention!r} is neither ZYZ nor ZXZ")
    return convention[1].lower(), convention.isupper()


def euler_to_matrix(angles: ArrayLike, convention: str = "ZYZ", degrees: bool = True) -> NDArray[np.float64]:
    """Rotations of triples of angles.

    Args:
        angles: (n, 3).
        convention: ``"ZYZ"`` or ``"ZXZ"``; in small letters the axes do not turn along.
        degrees: Whether they are degrees, or radians.

    Returns:
        (n, 3, 3).
    """
    axis, along = _axis(convention)
    given = np.asarray(angles, float).reshape(-1, 3)
    first, second, third = (given if degrees else np.rad2deg(given)).T
    return zyz.matrices(first, second, third, axis) if along else zyz.matrices(third, second, first, axis)


def matrix_to_euler(matrices: ArrayLike, convention: str = "ZYZ", degrees: bool = True) -> NDArray[np.float64]:
    """The angles (n, 3) of rotations (n, 3, 3); see :func:`euler_to_matrix`."""
    axis, along = _axis(convention)
    found = np.stack(zyz.angles(np.asarray(matrices, float).reshape(-1, 3, 3), axis), axis=1)
    found = found if along else found[:, ::-1]
    return found if degrees else np.deg2rad(found)


def read_picks_csv(path: str) -> DataFrame:
    """Picks of a CSV file as a table."""
    import pandas as pd

    return pd.read_csv(path)


def write_picks_csv(
    path: str,
    run_name: str,
    positions: ArrayLike,
    transforms: ArrayLike,
    scores: ArrayLike | None = None,
    instance_ids: ArrayLike | None = None,
) -> str:
    """Write points of a run to a CSV file, and return its path."""
    points = np.asarray(positions, float)
    table = PicksTable(
        points,
        np.asarray(transforms, float),
        np.zeros(len(points), int) if instance_ids is None else np.asarray(instance_ids),
        np.ones(len(points)) if scores is None else np.asarray(scores, float),
        run_name,
    )
    write_csv(path, [table], frame=lambda run: None)
    return path


def read_tiff_volume(path: str) -> NDArray[Any]:
    """A TIFF file as an array (z, y, x)."""
    import tifffile

    return tifffile.imread(path)


def write_tiff_volume(path: str, volume: ArrayLike, compression: str | None = None) -> str:
    """Write an array (z, y, x) to a TIFF file, and return its path."""
    from copick_core.volumes.sources import ArraySource
    from copick_formats.volume_writing import write_tiff

    write_tiff(path, ArraySource(np.asarray(volume), path, None), compression=(compression or "none").lower())
    return path


def read_em_volume(path: str) -> NDArray[Any]:
    """An EM file as an array (z, y, x)."""
    from copick_formats.em import read_em

    return read_em(path).box(*[slice(None)] * 3)


def write_em_volume(path: str, volume: ArrayLike, dtype: DTypeLike = np.float32) -> str:
    """Write an array (z, y, x) to an EM file, and return its path."""
    from copick_core.volumes.sources import ArraySource
    from copick_formats.volume_writing import write_em

    write_em(path, ArraySource(np.asarray(volume, dtype), path, None))
    return path
