"""Writing picks, tomograms and segmentations to files of other programs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import copick_core
from copick.ops._files import PICKS_FORMATS, VOLUME_FORMATS
from copick.ops._project_export import SUFFIXES, copy_zarr, export_project_picks, raise_failures, write_array
from copick.ops.open import from_file
from copick.util.formats import (
    Centre,
    build_relion_star_tables,
    check_relion_filament_options,
    read_relion_tomograms,
    write_relion_import_bundle,
    write_star_particles,
)
from copick.util.relion import FilamentPolarity, copick_tomogram_center, filament_polarity, is_filament_export
from copick.util.uri import resolve_copick_objects
from copick_core.errors import InvalidDataError
from copick_formats.relion_helical import HALF_SET

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

LAYOUTS = ("particles", "import")


@dataclass(frozen=True)
class RelionExport:
    """What an export to RELION wrote.

    Attributes:
        path: The particles, or the list of files for RELION's import.
        layout: ``"particles"`` or ``"import"``.
        files: With ``"import"``: the file of each run.
        rows: Particles of each run that was looked at.
        filament: Whether there are the columns of helical processing.
        polarity: Where the polarity of each run's filaments comes from.
        half_sets: Particles in each half set.
    """

    path: str
    layout: str
    files: dict[str, str] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    filament: bool = False
    polarity: dict[str, FilamentPolarity] = field(default_factory=dict)
    half_sets: dict[int, int] = field(default_factory=dict)


def _wrong(source: str, reason: str) -> ValueError:
    return InvalidDataError(source=source, reason=reason)


def _known_format(output_format: str, known: Mapping[str, str]) -> None:
    if output_format not in known:
        raise _wrong("output_format", f"Unsupported output format {output_format!r}: it is none of {', '.join(known)}")


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
        raise _wrong("voxel_spacing", f"voxel_spacing is required for {output_format}")
    if output_format == "star":
        star = _Star(voxel_spacing, tilt_series_pixel_size, tomograms_star, tomo_type, coordinates, include_optics)
        helical = _Helical(filament_columns, polarity_from_filaments, filaments_uri, filament_angles, half_sets)
        return _write_star([picks], {run_name or picks.run.name: [picks]}, output_path, "particles", star, helical).path
    Path(output_path).parent.mkdir(parents=True, exist_ok=True)
    options: dict[str, Any] = {} if output_format == "csv" else {"voxel_size": voxel_spacing}
    with TemporaryDirectory() as folder:
        if output_format != "csv":
            doc = Path(folder) / "runs.doc"
            doc.write_text(f"{tomogram_index} {picks.run.name}.mrc\n", encoding="utf-8")
            options["doc"] = str(doc)
        report = copick_core.export_picks(
            picks.run.root,
            [picks],
            output_path,
            overwrite=True,
            file_format=PICKS_FORMATS[output_format],
            write_options=options,
        )
    raise_failures(report)
    return output_path


@dataclass(frozen=True)
class _Star:
    """How coordinates are written."""

    voxel_spacing: float | None = None
    pixel_size: float | Mapping[str, float] | None = None
    tomograms_star: str | None = None
    tomo_type: str | None = None
    coordinates: str = "auto"
    include_optics: bool = True
    centres: Mapping[str, Centre] = field(default_factory=dict)


@dataclass(frozen=True)
class _Helical:
    """How filaments are written."""

    columns: str = "auto"
    polarity_from_filaments: bool = True
    filaments_uri: str | None = None
    angles: str = "frame"
    half_sets: str | None = None

    def check(self) -> None:
        check_relion_filament_options(self.angles, self.half_sets)
        if self.half_sets is not None and self.columns == "off":
            raise _wrong("half_sets", "it cannot be combined with filament_columns='off': half sets are those of filaments")
        if self.filaments_uri is not None and not self.polarity_from_filaments:
            raise _wrong("filaments_uri", "it says the polarity, but polarity_from_filaments is False")


def _write_star(
    found: Sequence[Any], runs: Mapping[str, Sequence[Any]], path: str, layout: str, star: _Star, helical: _Helical
) -> RelionExport:
    """Write picks by the name that the file has for their run."""
    helical.check()
    filament = bool(found) and all(is_filament_export(picks, helical.columns) for picks in found)
    tomograms = {} if star.tomograms_star is None else read_relion_tomograms(star.tomograms_star)
    points, ids, known, polarity = {}, {}, {}, {}
    centres = {name: one.center_angstrom for name, one in tomograms.items()} | dict(star.centres)
    for name, entities in runs.items():
        if not entities:
            continue
        arrays = [picks.numpy() for picks in entities]
        points[name] = tuple(np.concatenate(parts) for parts in zip(*arrays, strict=True))
        ids[name] = np.concatenate([picks.instance_ids() for picks in entities])
        if filament and helical.polarity_from_filaments:
            found_in = [filament_polarity(picks, helical.filaments_uri) for picks in entities]
            known[name] = np.concatenate([flags for _, flags in found_in])
            reports = [report for report, _ in found_in]
            source = next((report.source for report in reports if report.source is not None), None)
            polarity[name] = FilamentPolarity(source, sum(r.known for r in reports), sum(r.unknown for r in reports))
        if name not in centres:
            centre = copick_tomogram_center(entities[0], star.voxel_spacing, star.tomo_type)
            if centre is not None:
                centres[name] = centre
    particles, optics = build_relion_star_tables(
        points,
        star.voxel_spacing,
        centres,
        star.pixel_size,
        tomograms,
        star.include_optics,
        ids,
        filament,
        known,
        star.coordinates,
        helical.angles,
        helical.half_sets,
    )
    files: dict[str, str] = {}
    if layout == "import":
        path, files = write_relion_import_bundle(path, particles)
    else:
        write_star_particles(path, particles, optics)
    halves = particles[HALF_SET].value_counts().to_dict() if HALF_SET in particles else {}
    rows = {name: len(points[name][0]) if name in points else 0 for name in runs}
    return RelionExport(path, layout, files, rows, filament, polarity, dict(sorted(halves.items())))


def export_relion_particles(
    root: Any,
    picks_uri: str,
    output_path: str,
    voxel_spacing: float | None = None,
    run_names: Iterable[str] | str | None = None,
    layout: str = "particles",
    tomo_type: str | None = None,
    tomogram_centers: Mapping[str, Centre] | None = None,
    tilt_series_pixel_size: float | Mapping[str, float] | None = None,
    tomograms_star: str | None = None,
    coordinates: str = "auto",
    include_optics: bool = True,
    filament_columns: str = "auto",
    polarity_from_filaments: bool = True,
    filaments_uri: str | None = None,
    allow_empty: bool = False,
    filament_angles: str = "frame",
    half_sets: str | None = None,
) -> RelionExport:
    """Write picks of several runs as RELION's particles.

    Args:
        root: The project, or its configuration.
        picks_uri: Which picks.
        output_path: The STAR file.
        voxel_spacing: Voxel size of the tomograms that they are in.
        run_names: Only those of these runs.
        layout: ``"particles"``: one table; ``"import"``: a file for each run, and a list of them, for RELION's import.
        tomo_type: Type of the tomograms.
        tomogram_centers: Middles of tomograms by run, as x, y, z in angstrom, instead of the project's.
        tilt_series_pixel_size: Angstrom per pixel, for all runs or by run: coordinates in pixels, and optics groups.
        tomograms_star: Tomograms of RELION: their middles and pixel sizes.
        coordinates: ``"auto"`` writes what is known, ``"centered"`` nothing but centred coordinates.
        include_optics: Write optics groups where pixel sizes are known.
        filament_columns: ``"on"``, ``"off"``, or ``"auto"``, which is on for objects that are filaments.
        polarity_from_filaments: Filaments say whether the polarity is known.
        filaments_uri: These; those of the picks' own URI by default.
        allow_empty: Write a file without particles where nothing matches.
        filament_angles: ``"frame"`` or ``"pose"``: see :mod:`copick_formats.relion_helical`.
        half_sets: ``"filament"`` puts each filament into one of two half sets.

    Raises:
        ValueError: A run or an option is unknown, or nothing matches.
    """
    if layout not in LAYOUTS:
        raise _wrong("layout", f"layout must be one of {', '.join(LAYOUTS)}, not {layout!r}")
    project = from_file(os.fspath(root)) if isinstance(root, str | os.PathLike) else root
    names = [run_names] if isinstance(run_names, str) else None if run_names is None else [*run_names]
    if names is None:
        names = [run.name for run in project.runs]
    elif unknown := [name for name in names if project.get_run(name) is None]:
        raise _wrong("run_names", f"Unknown runs: {', '.join(unknown)}")
    by_run = {name: resolve_copick_objects(picks_uri, project, "picks", name) for name in names}
    found = [picks for entities in by_run.values() for picks in entities]
    if not found and not allow_empty:
        raise _wrong(picks_uri, "No picks found to export")
    star = _Star(
        voxel_spacing, tilt_series_pixel_size, tomograms_star, tomo_type, coordinates, include_optics, tomogram_centers or {}
    )
    helical = _Helical(filament_columns, polarity_from_filaments, filaments_uri, filament_angles, half_sets)
    helical.check()
    if half_sets is not None and found and not all(is_filament_export(picks, filament_columns) for picks in found):
        raise _wrong("half_sets", "these picks are exported without filament columns, which half sets need (rlnHelicalTubeID)")
    return _write_star(found, by_run, output_path, layout, star, helical)


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
        raise _wrong("voxel_spacing", f"voxel_spacing is required for {output_format}")
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
        raise _wrong("run_to_index", f"run_to_index (an index map) is required for {output_format}")
    with TemporaryDirectory() as folder:
        options = {}
        if run_to_index:
            doc = Path(folder) / "runs.doc"
            doc.write_text("".join(f"{number} {run}.mrc\n" for run, number in run_to_index.items()), encoding="utf-8")
            options = {"doc": str(doc)} if output_format != "csv" else {}
        export_project_picks(root, picks_uri, None, output_format, run_names, output_file, voxel_spacing, **options)
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
    return _export_volume(tomogram, output_path, output_format, level, compression, copy_all_levels, None)


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
        raise _wrong(output_format, "it holds one channel: choose label or instance (--channel)")
    try:
        return _export_volume(segmentation, output_path, output_format, level, compression, copy_all_levels, channel)
    except InvalidDataError as error:
        if output_format != "mrc" or "cannot be" in str(error):
            raise
        raise _wrong(output_path, f"the labels cannot be written to MRC: {error}") from error


def _export_volume(
    entity: Any, path: str, output_format: str, level: int, compression: str | None, all_levels: bool, channel: str | None
) -> str:
    _known_format(output_format, VOLUME_FORMATS)
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    if output_format == "zarr":
        if target.exists() and any(target.iterdir()):
            raise FileExistsError(f"{path} is not empty: delete it, or choose another folder.")
        copy_zarr(entity, target, level, all_levels)
    else:
        write_array(entity, target, output_format, level, compression, channel)
    return path


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
        attempt("segmentations", name, lambda one=one, written=written: _export_volume(one, *written))
    for one in resolve_copick_objects(tomogram_uri, run.root, "tomogram", run.name) if tomogram_uri else []:
        name = f"{run.name}/VoxelSpacing{one.voxel_spacing.voxel_size:.3f}/{one.tomo_type}.{suffix}"
        written = (str(Path(output_dir) / name), str(output_format), level, compression, True, None)
        attempt("tomograms", name, lambda one=one, written=written: _export_volume(one, *written))
    return done


def export(
    config: Any, output_dir: str, run_names: Iterable[str] | str | None = None, *given: Any, n_workers: int = 8, **options: Any
) -> dict[str, dict[str, Any]]:
    """Write picks, segmentations and tomograms of several runs; see :func:`export_run`.

    Args:
        config: The project's configuration, or the project.
        output_dir: Folder of the files.
        run_names: Only these runs.
        *given: Arguments of :func:`export_run` from ``picks_uri`` on.
        n_workers: Threads.
        **options: Further arguments of :func:`export_run`.

    Returns:
        What :func:`export_run` returns, by run.
    """
    from copick.ops.run import map_runs

    root = from_file(os.fspath(config)) if isinstance(config, str | os.PathLike) else config
    names = [run_names] if isinstance(run_names, str) else [*(run_names or (run.name for run in root.runs))]
    return map_runs(lambda run: export_run(run, output_dir, *given, **options), root, names, workers=n_workers)
