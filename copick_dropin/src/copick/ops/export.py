"""Writing picks, tomograms and segmentations to files of other programs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from copick.ops._files import PICKS_FORMATS, VOLUME_FORMATS
from copick.ops._project_export import SUFFIXES, export_project_picks, export_volume
from copick.ops._relion_export import (
    HelicalOptions,
    RelionExport,
    StarOptions,
    export_relion_particles,
    write_star,
    wrong,
)
from copick.ops.open import from_file
from copick.util.relion import FilamentPolarity
from copick.util.uri import resolve_copick_objects
from copick_core.errors import InvalidDataError

__all__ = [
    "FilamentPolarity",
    "RelionExport",
    "export",
    "export_picks",
    "export_picks_combined",
    "export_relion_particles",
    "export_run",
    "export_segmentation",
    "export_tomogram",
]


def _known_format(output_format: str, known: Mapping[str, str]) -> None:
    if output_format not in known:
        raise wrong("output_format", f"Unsupported output format {output_format!r}: it is none of {', '.join(known)}")


def export_picks(
    picks: Any,
    output_path: str,
    output_format: str,
    voxel_spacing: float | None = None,
    include_optics: bool = True,
    run_name: str | None = None,
    tomogram_index: int = 1,
    log: bool = False,
    tilt_series_pixel_size: float | None = None,
    tomograms_star: str | None = None,
    filament_columns: str = "auto",
    polarity_from_filaments: bool = True,
    filaments_uri: str | None = None,
    tomo_type: str | None = None,
    coordinates: str = "auto",
    filament_angles: str = "frame",
    half_sets: str | None = None,
) -> str:
    """Write picks to a file.

    Args:
        picks: The picks.
        output_path: The file.
        output_format: star, em, dynamo or csv.
        voxel_spacing: Voxel size of the tomogram that coordinates count in; needed by all but csv.
        include_optics: Write optics groups to star, where pixel sizes are known.
        run_name: Name that the file has for the run.
        tomogram_index: Number that em and dynamo have for it.
        log: Has no effect.
        tilt_series_pixel_size: As :func:`export_relion_particles` has it, as all that follow.
        tomograms_star: Tomograms of RELION.
        filament_columns: Columns of helical processing.
        polarity_from_filaments: Whether filaments say the polarity.
        filaments_uri: These filaments.
        tomo_type: Type of the tomogram.
        coordinates: Which coordinates.
        filament_angles: Poses.
        half_sets: Half sets.

    Returns:
        The file.

    Raises:
        ValueError: The format is unknown, or something that it needs is missing.
    """
    _known_format(output_format, PICKS_FORMATS)
    if output_format != "csv" and voxel_spacing is None:
        raise wrong("voxel_spacing", f"voxel_spacing is required for {output_format}")
    if output_format == "star":
        star = StarOptions(voxel_spacing, tilt_series_pixel_size, tomograms_star, tomo_type, coordinates, include_optics)
        helical = HelicalOptions(filament_columns, polarity_from_filaments, filaments_uri, filament_angles, half_sets)
        return write_star([picks], {run_name or picks.run.name: [picks]}, output_path, "particles", star, helical).path
    numbers = {str(tomogram_index): picks.run.name}
    export_project_picks(picks.run.root, [picks], output_path, output_format, None, voxel_spacing, numbers)
    return output_path


def export_picks_combined(
    config: Any,
    output_file: str,
    picks_uri: str,
    output_format: str,
    voxel_spacing: float | None = None,
    run_names: Iterable[str] | str | None = None,
    run_to_index: Mapping[str, int] | None = None,
    include_optics: bool = True,
    log: bool = False,
    tilt_series_pixel_size: float | None = None,
    tomograms_star: str | None = None,
    filament_columns: str = "auto",
    polarity_from_filaments: bool = True,
    filaments_uri: str | None = None,
    tomo_type: str | None = None,
    coordinates: str = "auto",
    star_layout: str = "particles",
    filament_angles: str = "frame",
    half_sets: str | None = None,
) -> str:
    """Write picks of several runs to one file.

    Args:
        config: The project's configuration, or the project.
        output_file: The file.
        picks_uri: Which picks.
        output_format: star, em, dynamo or csv.
        voxel_spacing: As :func:`export_picks` has it.
        run_names: Only those of these runs.
        run_to_index: Numbers of runs, which em and dynamo need.
        include_optics: As :func:`export_relion_particles` has it, as all that follow.
        log: Has no effect.
        tilt_series_pixel_size: Pixel size.
        tomograms_star: Tomograms of RELION.
        filament_columns: Columns of helical processing.
        polarity_from_filaments: Whether filaments say the polarity.
        filaments_uri: These filaments.
        tomo_type: Type of the tomograms.
        coordinates: Which coordinates.
        star_layout: Layout.
        filament_angles: Poses.
        half_sets: Half sets.

    Returns:
        The file.

    Raises:
        ValueError: Nothing matches, or something that the format needs is missing.
    """
    _known_format(output_format, PICKS_FORMATS)
    if output_format != "csv" and voxel_spacing is None:
        raise wrong("voxel_spacing", f"voxel_spacing is required for {output_format}")
    root = from_file(os.fspath(config)) if isinstance(config, str | os.PathLike) else config
    if output_format == "star":
        return export_relion_particles(
            root,
            picks_uri,
            output_file,
            voxel_spacing,
            run_names,
            star_layout,
            tomo_type,
            None,
            tilt_series_pixel_size,
            tomograms_star,
            coordinates,
            include_optics,
            filament_columns,
            polarity_from_filaments,
            filaments_uri,
            False,
            filament_angles,
            half_sets,
        ).path
    if output_format != "csv" and not run_to_index:
        raise wrong("run_to_index", f"run_to_index (an index map) is required for {output_format}")
    numbers = {str(number): run for run, number in (run_to_index or {}).items()}
    export_project_picks(root, picks_uri, output_file, output_format, run_names, voxel_spacing, numbers)
    return output_file


def export_tomogram(
    tomogram: Any,
    output_path: str,
    output_format: str,
    level: int = 0,
    compression: str | None = None,
    copy_all_levels: bool = True,
    log: bool = False,
) -> str:
    """Write a tomogram to a file, and return its path.

    Args:
        tomogram: The tomogram.
        output_path: The file; a folder for zarr.
        output_format: mrc, tiff, em or zarr.
        level: Level to write; 0 is the finest.
        compression: Of TIFF files.
        copy_all_levels: Write coarser levels to zarr too.
        log: Has no effect.

    Raises:
        ValueError: The format is unknown.
        FileExistsError: The zarr folder is not empty.
    """
    return export_volume(tomogram, output_path, output_format, level, compression, copy_all_levels, None)


def export_segmentation(
    segmentation: Any,
    output_path: str,
    output_format: str,
    level: int = 0,
    compression: str | None = None,
    copy_all_levels: bool = True,
    log: bool = False,
    channel: str | None = None,
) -> str:
    """Write a segmentation to a file; see :func:`export_tomogram`.

    Args:
        segmentation: The segmentation.
        output_path: The file.
        output_format: Format.
        level: Level.
        compression: Compression.
        copy_all_levels: Levels.
        log: Has no effect.
        channel: ``"label"`` or ``"instance"`` of a panoptic one, of which files of all formats but zarr have one.

    Raises:
        ValueError: The format has one channel and none is chosen, or cannot hold a label.
    """
    if len(segmentation.shape) == 4 and channel is None and output_format in VOLUME_FORMATS and output_format != "zarr":
        raise wrong(output_format, "it holds one channel: choose label or instance (--channel)")
    try:
        return export_volume(segmentation, output_path, output_format, level, compression, copy_all_levels, channel)
    except InvalidDataError as error:
        if output_format != "mrc" or "cannot be" in str(error):
            raise
        raise wrong(output_path, f"the labels cannot be written to MRC: {error}") from error


def export_run(
    run: Any,
    output_dir: str,
    picks_uri: str | None = None,
    segmentation_uri: str | None = None,
    tomogram_uri: str | None = None,
    output_format: str | None = None,
    voxel_spacing: float | None = None,
    level: int = 0,
    compression: str | None = None,
    include_optics: bool = True,
    run_to_index: Mapping[str, int] | None = None,
    log: bool = False,
    tilt_series_pixel_size: float | None = None,
    tomograms_star: str | None = None,
    filament_columns: str = "auto",
    channel: str | None = None,
    polarity_from_filaments: bool = True,
    filaments_uri: str | None = None,
    tomo_type: str | None = None,
    coordinates: str = "auto",
    filament_angles: str = "frame",
    half_sets: str | None = None,
) -> dict[str, Any]:
    """Write picks, segmentations and tomograms of a run, each to a file of its own.

    Args:
        run: The run.
        output_dir: Folder of the files.
        picks_uri: Which picks; none by default.
        segmentation_uri: Which segmentations; none by default.
        tomogram_uri: Which tomograms; none by default.
        output_format: Format of all.
        voxel_spacing: As :func:`export_picks` has it.
        level: As :func:`export_tomogram` has it.
        compression: As :func:`export_tomogram` has it.
        include_optics: As :func:`export_picks` has it, as what follows.
        run_to_index: Numbers of runs.
        log: Has no effect.
        tilt_series_pixel_size: Pixel size.
        tomograms_star: Tomograms of RELION.
        filament_columns: Columns of helical processing.
        channel: As :func:`export_segmentation` has it; both by default.
        polarity_from_filaments: Whether filaments say the polarity.
        filaments_uri: These filaments.
        tomo_type: Type of the tomogram.
        coordinates: Which coordinates.
        filament_angles: Poses.
        half_sets: Half sets.

    Returns:
        How many ``"picks"``, ``"segmentations"`` and ``"tomograms"`` were written, and ``"errors"``.
    """
    done: dict[str, Any] = {"picks": 0, "segmentations": 0, "tomograms": 0, "errors": []}
    suffix = SUFFIXES.get(output_format or "", str(output_format))

    def attempt(kind: str, what: Any, write: Any) -> None:
        try:
            write()
        except (ValueError, OSError) as error:
            done["errors"].append(f"{run.name}: {what}: {error}")
        else:
            done[kind] += 1

    for one in resolve_copick_objects(picks_uri, run.root, "picks", run.name) if picks_uri else []:
        name = f"{run.name}_{one.pickable_object_name}_{one.user_id}_{one.session_id}.{suffix}"
        index = (run_to_index or {}).get(run.name, 1)
        shape = (tilt_series_pixel_size, tomograms_star, filament_columns, polarity_from_filaments, filaments_uri, tomo_type)
        given = (str(Path(output_dir) / name), str(output_format), voxel_spacing, include_optics, None, index, log, *shape)
        poses = (coordinates, filament_angles, half_sets)
        attempt("picks", name, lambda one=one, given=given, poses=poses: export_picks(one, *given, *poses))
    for one in resolve_copick_objects(segmentation_uri, run.root, "segmentation", run.name) if segmentation_uri else []:
        name = f"{run.name}/{one.directory}/{one.name}_{one.user_id}_{one.session_id}.{suffix}"
        written = (str(Path(output_dir) / name), str(output_format), level, compression, True, channel)
        attempt("segmentations", name, lambda one=one, written=written: export_volume(one, *written))
    for one in resolve_copick_objects(tomogram_uri, run.root, "tomogram", run.name) if tomogram_uri else []:
        name = f"{run.name}/VoxelSpacing{one.voxel_spacing.voxel_size:.3f}/{one.tomo_type}.{suffix}"
        written = (str(Path(output_dir) / name), str(output_format), level, compression, True, None)
        attempt("tomograms", name, lambda one=one, written=written: export_volume(one, *written))
    return done


def export(
    config: Any,
    output_dir: str,
    run_names: Iterable[str] | str | None = None,
    picks_uri: str | None = None,
    segmentation_uri: str | None = None,
    tomogram_uri: str | None = None,
    output_format: str | None = None,
    voxel_spacing: float | None = None,
    level: int = 0,
    compression: str | None = None,
    include_optics: bool = True,
    run_to_index: Mapping[str, int] | None = None,
    n_workers: int = 8,
    log: bool = False,
    tilt_series_pixel_size: float | None = None,
    tomograms_star: str | None = None,
    filament_columns: str = "auto",
    channel: str | None = None,
    polarity_from_filaments: bool = True,
    filaments_uri: str | None = None,
    tomo_type: str | None = None,
    coordinates: str = "auto",
    filament_angles: str = "frame",
    half_sets: str | None = None,
) -> dict[str, dict[str, Any]]:
    """Write picks, segmentations and tomograms of several runs, each to a file of its own.

    Args:
        config: The project's configuration, or the project.
        output_dir: Folder of the files.
        run_names: Only these runs; all by default.
        picks_uri: As :func:`export_run` has it, as all that follow but ``n_workers``.
        segmentation_uri: Which segmentations.
        tomogram_uri: Which tomograms.
        output_format: Format of all.
        voxel_spacing: Voxel size.
        level: Level.
        compression: Compression.
        include_optics: Optics groups.
        run_to_index: Numbers of runs.
        n_workers: Threads.
        log: Has no effect.
        tilt_series_pixel_size: Pixel size.
        tomograms_star: Tomograms of RELION.
        filament_columns: Columns of helical processing.
        channel: Channel of panoptic segmentations.
        polarity_from_filaments: Whether filaments say the polarity.
        filaments_uri: These filaments.
        tomo_type: Type of the tomogram.
        coordinates: Which coordinates.
        filament_angles: Poses.
        half_sets: Half sets.

    Returns:
        What :func:`export_run` returns, by run.
    """
    from copick.ops.run import map_runs

    root = from_file(os.fspath(config)) if isinstance(config, str | os.PathLike) else config
    names = [run_names] if isinstance(run_names, str) else [*(run_names or (run.name for run in root.runs))]
    which = (picks_uri, segmentation_uri, tomogram_uri, output_format, voxel_spacing, level, compression)
    how = (include_optics, run_to_index, log, tilt_series_pixel_size, tomograms_star, filament_columns, channel)
    poses = (polarity_from_filaments, filaments_uri, tomo_type, coordinates, filament_angles, half_sets)
    return map_runs(lambda run: export_run(run, output_dir, *which, *how, *poses), root, names, workers=n_workers)
