"""Adding picks to a project from files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from copick.models import CopickRoot
from copick.ops import _files as files


def add_picks_from_file(
    root: CopickRoot,
    run_name: str,
    file_path: str,
    object_name: str,
    user_id: str,
    session_id: str,
    voxel_spacing: float | None = None,
    file_type: str | None = None,
    create: bool = True,
    exist_ok: bool = False,
    overwrite: bool = False,
    log: bool = False,
    tilt_series_pixel_size: float | None = None,
    tomograms_star: str | None = None,
    relion_version: str | None = None,
) -> Any:
    """Add all points of a file to one run, whatever runs it names.

    Args:
        root: The project.
        run_name: Name of the run.
        file_path: The file.
        object_name: Object of the points.
        user_id: User.
        session_id: Session.
        voxel_spacing: Angstrom per voxel that coordinates count in.
        file_type: star, em, dynamo or csv; by the suffix by default.
        create: Make the run if it is missing.
        exist_ok: Replace picks that exist.
        overwrite: The same.
        log: Has no effect.
        tilt_series_pixel_size: Angstrom per pixel of RELION's tilt series.
        tomograms_star: RELION's list of tomograms.
        relion_version: Has no effect: the columns of the file say it.

    Returns:
        The picks.

    Raises:
        ValueError: The type of the file is not known, or it cannot be read.
    """
    options: dict[str, Any] = {"tilt_series_pixel_size": tilt_series_pixel_size, "tomograms_star": tomograms_star}
    replace = exist_ok or overwrite
    who = (object_name, user_id, session_id, voxel_spacing, create, replace, file_type)
    return files.picks_from_file(root, run_name, file_path, *who, **options)


def add_picks_grouped_from_file(
    root: CopickRoot,
    file_path: str,
    object_name: str,
    user_id: str,
    session_id: str,
    voxel_spacing: float | None,
    index_to_run: Mapping[int, str],
    file_type: str | None = None,
    tomo_index_row: int = 4,
    create: bool = True,
    exist_ok: bool = False,
    overwrite: bool = False,
    log: bool = False,
    tomogram_centers: Mapping[str, tuple[float, float, float]] | None = None,
    relion_version: str | None = None,
    tilt_series_pixel_size: float | None = None,
    tomograms: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Add the points of a file to the runs that it names.

    Args:
        root: The project.
        file_path: The file.
        object_name: Object of the points.
        user_id: User.
        session_id: Session.
        voxel_spacing: Angstrom per voxel that coordinates count in.
        index_to_run: Names of runs by the numbers in the file.
        file_type: star, em, dynamo or csv; by the suffix by default.
        tomo_index_row: Row of a motive list with the number of the tomogram, counted from 0.
        create: Make runs that are missing.
        exist_ok: Replace picks that exist.
        overwrite: The same.
        log: Has no effect.
        tomogram_centers: Middles of tomograms by run, as x, y, z in angstrom, instead of the project's.
        relion_version: Has no effect: the columns of the file say it.
        tilt_series_pixel_size: Angstrom per pixel of RELION's tilt series.
        tomograms: Tomograms of RELION by run, for what the two before do not say.

    Returns:
        Picks by run.

    Raises:
        ValueError: The type of the file is not known, or it cannot be read.
    """
    kind = files.picks_type_of(file_path, file_type)
    known = {name: one.center_angstrom for name, one in (tomograms or {}).items()} | dict(tomogram_centers or {})
    options: dict[str, Any] = {"tomogram_row": tomo_index_row} if kind == "em" else {}
    if kind == "star":
        sizes = {one.tilt_series_pixel_size for one in (tomograms or {}).values()}
        options["tilt_series_pixel_size"] = tilt_series_pixel_size or (sizes.pop() if len(sizes) == 1 else None)
        options["centres"] = known
    replace = exist_ok or overwrite
    who = (object_name, user_id, session_id, voxel_spacing, create, replace, kind)
    names = {str(number): run for number, run in index_to_run.items()}
    return files.picks_of_runs_from_file(root, file_path, *who, names, **options)


def add_picks(
    root: CopickRoot,
    run_name: str,
    path: str,
    object_name: str,
    user_id: str,
    session_id: str,
    voxel_spacing: float | None,
    file_type: str | None = None,
    tomogram_dimensions: Any = None,
    create: bool = True,
    exist_ok: bool = False,
    overwrite: bool = False,
    log: bool = False,
) -> Any:
    """Add picks from a file; see :func:`add_picks_from_file`. The sizes of tomograms are those of the project."""
    who = (object_name, user_id, session_id, voxel_spacing, file_type, create, exist_ok, overwrite)
    return add_picks_from_file(root, run_name, path, *who)
