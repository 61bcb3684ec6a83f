"""Picks, filaments and meshes of many runs from and to files of any installed format."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, Unpack

from copick_core.projects.annotation_exports import ExportOptions, export_annotations
from copick_core.projects.annotation_imports import ImportOptions, import_annotations
from copick_core.projects.transfers import TransferReport

if TYPE_CHECKING:
    from copick_core.models import CopickFilaments, CopickMesh, CopickPicks
    from copick_core.overlay import CopickRootOverlay


def import_picks(
    root: CopickRootOverlay,
    files: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    session_id: str,
    object_name: str | None = None,
    user_id: str | None = None,
    *,
    run_regex: str | None = None,
    run_prefix: str = "",
    run_names: Mapping[str, str] | None = None,
    create_runs: bool = False,
    exist_ok: bool = False,
    resume: bool = False,
    voxel_size: float | None = None,
    tomo_type: str | None = None,
    file_format: str | None = None,
    read_options: Mapping[str, Any] | None = None,
    dry_run: bool = False,
    executor: str | Executor = "thread",
    workers: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> TransferReport:
    """Import picks from files, each of which may hold points of many runs and objects. Each file is read once.

    A file is checked as a whole before any of its points is stored. What fails is in the report, and the rest goes on.

    Args:
        root: The project.
        files: One file or several.
        session_id: Session of the new picks.
        object_name: Object of all points; what the files name by default.
        user_id: User of the new picks; that of the configuration by default.
        run_regex: Searched in the name that a file gives the run (or in the file's name without suffix, where it gives
            none); the first group, or all that matches, is the run.
        run_prefix: Put in front of that.
        run_names: Names of runs by the name that the file gives them, before all rules.
        create_runs: Make runs that the project does not have, instead of reporting them as failed.
        exist_ok: Replace picks that exist.
        resume: Leave out picks that exist with as many points.
        voxel_size: Voxel size of the tomograms that coordinates in voxels count in; the smallest of the run by default.
        tomo_type: Type of these tomograms.
        file_format: Name of the format; by content and suffix by default.
        read_options: Options of the format.
        dry_run: Only report what would be made.
        executor: As :func:`~copick_core.map_runs` has it.
        workers: As :func:`~copick_core.map_runs` has it.
        progress: Called after each run with its name, how many are finished, and how many there are.

    Returns:
        A row for each picks, and for each file that could not be read.

    Raises:
        ReadOnlyError: The project has no writable layer.
        InvalidDataError: ``run_regex`` is not a regular expression.
        InvalidNameError: There is no user, or a name cannot be stored.

    Example:
        >>> report = copick_core.import_picks(root, "run_data.star", "1", "ribosome", "relion")  # doctest: +SKIP
        >>> report.failed  # doctest: +SKIP
        []
    """
    options: ImportOptions = {
        "run_regex": run_regex,
        "run_prefix": run_prefix,
        "run_names": run_names,
        "create_runs": create_runs,
        "exist_ok": exist_ok,
        "resume": resume,
        "voxel_size": voxel_size,
        "tomo_type": tomo_type,
        "file_format": file_format,
        "read_options": read_options,
        "dry_run": dry_run,
        "executor": executor,
        "workers": workers,
        "progress": progress,
    }
    return import_annotations("picks", root, files, (session_id, user_id), object_name, options)


def export_picks(
    root: CopickRootOverlay,
    selection: str | Iterable[CopickPicks],
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    resume: bool = False,
    merge: bool = False,
    voxel_size: float | None = None,
    tomo_type: str | None = None,
    file_format: str | None = None,
    write_options: Mapping[str, Any] | None = None,
    dry_run: bool = False,
    executor: str | Executor = "thread",
    workers: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> TransferReport:
    """Export picks to one file, or to one for each run.

    Args:
        root: The project.
        selection: Address of the picks, such as ``"TS_*/ribosome:alice/1"``, or the picks. Of several layers, the overlay's
            are exported.
        path: The new file; ``{run}``, ``{object}``, ``{user}`` and ``{session}`` in it make several.
        overwrite: Replace files that exist.
        resume: Leave out files that exist.
        merge: Write picks of several objects, users or sessions into one file, which most formats cannot tell apart.
        voxel_size: Voxel size of the tomograms that coordinates in voxels count in; the smallest of the run by default.
        tomo_type: Type of these tomograms.
        file_format: Name of the format; by the suffix by default.
        write_options: Options of the format.
        dry_run: Only report what would be written.
        executor: As :func:`~copick_core.map_runs` has it, for files of different runs; a file of several runs is written here.
        workers: As :func:`~copick_core.map_runs` has it.
        progress: Called after each run, or each file of several runs, with its name, how many are finished, and how many there
            are.

    Returns:
        A row for each picks. What a format cannot hold, such as some columns, is named there and in a warning.

    Raises:
        UnknownFormatError: No installed format writes such a file.
        AddressError: The address cannot mean picks.
        InvalidDataError: Nothing matches, the path has an unknown field, or a file would mix picks, and not ``merge``.

    Example:
        >>> copick_core.export_picks(root, "*/ribosome:alice/1", "ribosomes.star")  # doctest: +SKIP
    """
    options: ExportOptions = {
        "overwrite": overwrite,
        "resume": resume,
        "merge": merge,
        "voxel_size": voxel_size,
        "tomo_type": tomo_type,
        "file_format": file_format,
        "write_options": write_options,
        "dry_run": dry_run,
        "executor": executor,
        "workers": workers,
        "progress": progress,
    }
    return export_annotations("picks", root, selection, path, options)


def import_filaments(
    root: CopickRootOverlay,
    files: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    session_id: str,
    object_name: str | None = None,
    user_id: str | None = None,
    **options: Unpack[ImportOptions],
) -> TransferReport:
    """Import filaments from files; arguments, result and errors are those of :func:`import_picks`.

    Points of a filament are its vertices. What a file keeps of points and a filament has no place for is named in a warning.

    Args:
        root: The project.
        files: One file or several.
        session_id: Session of the new filaments.
        object_name: Object of the imported entities; by default, the one that the files name.
        user_id: User of the new filaments.
        **options: The other arguments of :func:`import_picks`.

    Example:
        >>> copick_core.import_filaments(root, "TS_1.mod", "1", "microtubule", "imod")  # doctest: +SKIP
    """
    return import_annotations("filaments", root, files, (session_id, user_id), object_name, options)


def export_filaments(
    root: CopickRootOverlay,
    selection: str | Iterable[CopickFilaments],
    path: str | os.PathLike[str],
    **options: Unpack[ExportOptions],
) -> TransferReport:
    """Export filaments to one file, or to several; arguments, result and errors are those of :func:`export_picks`.

    Args:
        root: The project.
        selection: Address of the filaments, or the filaments.
        path: The new file, with ``{run}`` and other fields for several.
        **options: The other arguments of :func:`export_picks`.

    Example:
        >>> copick_core.export_filaments(
        ...     root, "*/microtubule:alice/1", "particles.star", write_options={"spacing": 82.0}
        ... )  # doctest: +SKIP
    """
    return export_annotations("filaments", root, selection, path, options)


def import_meshes(
    root: CopickRootOverlay,
    files: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    session_id: str,
    object_name: str | None = None,
    user_id: str | None = None,
    **options: Unpack[ImportOptions],
) -> TransferReport:
    """Import meshes, one file for each run; arguments, result and errors are those of :func:`import_picks`.

    Args:
        root: The project.
        files: One file or several, each named like its run, or named by the rules for runs.
        session_id: Session of the new meshes.
        object_name: Object of all.
        user_id: User of the new meshes.
        **options: The other arguments of :func:`import_picks`.

    Example:
        >>> copick_core.import_meshes(root, ["TS_1.stl", "TS_2.stl"], "1", "membrane", "amira")  # doctest: +SKIP
    """
    return import_annotations("mesh", root, files, (session_id, user_id), object_name, options)


def export_meshes(
    root: CopickRootOverlay,
    selection: str | Iterable[CopickMesh],
    path: str | os.PathLike[str],
    **options: Unpack[ExportOptions],
) -> TransferReport:
    """Export meshes, each to a file of its own; arguments, result and errors are those of :func:`export_picks`.

    Args:
        root: The project.
        selection: Address of the meshes, or the meshes.
        path: The new files, with ``{run}`` and what else sets them apart.
        **options: The other arguments of :func:`export_picks`.

    Example:
        >>> copick_core.export_meshes(root, "*/membrane", "meshes/{run}.stl")  # doctest: +SKIP
    """
    return export_annotations("mesh", root, selection, path, options)
