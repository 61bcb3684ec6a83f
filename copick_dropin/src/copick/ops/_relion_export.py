"""Writing picks as particles of RELION, with what filaments and tomograms say about them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

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


def wrong(source: str, reason: str) -> ValueError:
    return InvalidDataError(source=source, reason=reason)


@dataclass(frozen=True)
class StarOptions:
    """How coordinates are written."""

    voxel_spacing: float | None = None
    pixel_size: float | Mapping[str, float] | None = None
    tomograms_star: str | None = None
    tomo_type: str | None = None
    coordinates: str = "auto"
    include_optics: bool = True
    centres: Mapping[str, Centre] = field(default_factory=dict)


@dataclass(frozen=True)
class HelicalOptions:
    """How filaments are written."""

    columns: str = "auto"
    polarity_from_filaments: bool = True
    filaments_uri: str | None = None
    angles: str = "frame"
    half_sets: str | None = None

    def check(self) -> None:
        check_relion_filament_options(self.angles, self.half_sets)
        if self.half_sets is not None and self.columns == "off":
            raise wrong("half_sets", "it cannot be combined with filament_columns='off': half sets are those of filaments")
        if self.filaments_uri is not None and not self.polarity_from_filaments:
            raise wrong("filaments_uri", "it says the polarity, but polarity_from_filaments is False")


def write_star(
    found: Sequence[Any], runs: Mapping[str, Sequence[Any]], path: str, layout: str, star: StarOptions, helical: HelicalOptions
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
        raise wrong("layout", f"layout must be one of {', '.join(LAYOUTS)}, not {layout!r}")
    project = from_file(os.fspath(root)) if isinstance(root, str | os.PathLike) else root
    names = [run_names] if isinstance(run_names, str) else None if run_names is None else [*run_names]
    if names is None:
        names = [run.name for run in project.runs]
    elif unknown := [name for name in names if project.get_run(name) is None]:
        raise wrong("run_names", f"Unknown runs: {', '.join(unknown)}")
    by_run = {name: resolve_copick_objects(picks_uri, project, "picks", name) for name in names}
    found = [picks for entities in by_run.values() for picks in entities]
    if not found and not allow_empty:
        raise wrong(picks_uri, "No picks found to export")
    star = StarOptions(
        voxel_spacing, tilt_series_pixel_size, tomograms_star, tomo_type, coordinates, include_optics, tomogram_centers or {}
    )
    helical = HelicalOptions(filament_columns, polarity_from_filaments, filaments_uri, filament_angles, half_sets)
    helical.check()
    if half_sets is not None and found and not all(is_filament_export(picks, filament_columns) for picks in found):
        raise wrong("half_sets", "these picks are exported without filament columns, which half sets need (rlnHelicalTubeID)")
    return write_star(found, by_run, output_path, layout, star, helical)
