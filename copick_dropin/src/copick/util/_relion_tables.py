"""Particles and tomograms of RELION as tables of pandas, from and to arrays of copick."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from copick_core.errors import InvalidDataError
from copick_core.plugins.format_functions import PicksTable
from copick_core.projects.transfers import frame_of
from copick_formats import rotations as zyz
from copick_formats.relion import ANGLES, CENTERED, GROUP, IMPORTED, INSTANCE, PIXELS, RUN, TILT_SERIES_SIZE
from copick_formats.relion_helical import (
    FLIP_RATIO,
    HALF_SET,
    PRIORS,
    SUBTOMOGRAM,
    TRACK,
    with_half_sets,
    with_helical_columns,
)
from copick_formats.relion_tomograms import read_tomograms
from copick_formats.star import quoted, read_star, write_block

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from pandas import DataFrame

Centre = tuple[float, float, float]
COORDINATES = ("auto", "centered")
FILAMENT_ANGLES = ("frame", "pose")
_OPTICS = {
    "rlnVoltage": "voltage",
    "rlnSphericalAberration": "spherical_aberration",
    "rlnAmplitudeContrast": "amplitude_contrast",
}


@dataclass(frozen=True)
class RelionTomogram:
    """A tomogram of RELION's tomograms.star.

    Attributes:
        name: Its name.
        center_angstrom: Its middle as x, y, z in angstrom.
        tilt_series_pixel_size: Angstrom per pixel of the tilt series.
        voltage: In kilovolt; None if the file does not say.
        spherical_aberration: In millimetre; None if the file does not say.
        amplitude_contrast: None if the file does not say.
    """

    name: str
    center_angstrom: Centre
    tilt_series_pixel_size: float
    voltage: float | None = None
    spherical_aberration: float | None = None
    amplitude_contrast: float | None = None


def read_relion_tomograms(tomograms_star_path: str) -> dict[str, RelionTomogram]:
    """The tomograms of a tomograms.star, by name; sizes count pixels of the tilt series, whatever the binning is."""
    frames = read_tomograms(tomograms_star_path)
    optics: dict[str, dict[str, float]] = {}
    for block in read_star(tomograms_star_path):
        for index, name in enumerate(block.columns.get(RUN, ())):
            optics[name] = {
                field: float(block.columns[label][index]) for label, field in _OPTICS.items() if label in block.columns
            }
    made = {}
    for name, (shape, size) in frames.items():
        z, y, x = (edge / 2 * size for edge in shape)
        made[name] = RelionTomogram(name, (x, y, z), size, **optics.get(name, {}))
    return made


def read_relion5_tomogram_centers(tomograms_star_path: str) -> dict[str, Centre]:
    """The middles of the tomograms of a tomograms.star, as x, y, z in angstrom."""
    return {name: found.center_angstrom for name, found in read_relion_tomograms(tomograms_star_path).items()}


def get_tomogram_centers_from_copick(
    root: Any, run_names: Iterable[str], voxel_spacing: float | None, tomo_type: str | None = None
) -> dict[str, Centre]:
    """The middles of runs' tomograms, as x, y, z in angstrom; runs that have no such tomogram are left out.

    Args:
        root: The project.
        run_names: The runs.
        voxel_spacing: Voxel size of the tomograms; the smallest by default.
        tomo_type: Their type; any by default.
    """
    runs = {name: root.get_run(name) for name in run_names}
    found = {name: centre_of(run, voxel_spacing, tomo_type) for name, run in runs.items() if run is not None}
    return {name: centre for name, centre in found.items() if centre is not None}


def centre_of(run: Any, voxel_spacing: float | None = None, tomo_type: str | None = None) -> Centre | None:
    """The middle of a run's tomogram, as x, y, z in angstrom; None if it has none."""
    frame = frame_of(run, voxel_spacing, tomo_type)
    if frame is None:
        return None
    z, y, x = (edge / 2 * frame.voxel_size for edge in frame.shape)
    return x, y, z


def check_relion_filament_options(filament_angles: str, half_sets: str | None) -> None:
    """Refuse options that RELION's tables do not have.

    Raises:
        ValueError: One is unknown.
    """
    for name, value, known in (
        ("filament_angles", filament_angles, FILAMENT_ANGLES),
        ("half_sets", half_sets, (None, "filament")),
    ):
        if value not in known:
            raise InvalidDataError(source=str(value), reason=f"{name} must be one of {', '.join(map(str, known))}")


def build_relion_particles_df(
    positions: ArrayLike,
    transforms: ArrayLike,
    tomo_name: str | None = None,
    tomogram_center: Centre | None = None,
    tilt_series_pixel_size: float | None = None,
    legacy_voxel_spacing: float | None = None,
    instance_ids: ArrayLike | None = None,
    filament: bool = False,
    polarity_known: bool | ArrayLike = False,
    coordinates: str = "auto",
    filament_angles: str = "frame",
    half_sets: str | None = None,
) -> DataFrame:
    """Points of one run as RELION's particles, with the translations of their transforms in the coordinates.

    Args:
        positions: (n, 3) in angstrom.
        transforms: (n, 4, 4).
        tomo_name: Name of the tomogram.
        tomogram_center: Its middle as x, y, z in angstrom: centred coordinates are written.
        tilt_series_pixel_size: Angstrom per pixel: coordinates in pixels are written.
        legacy_voxel_spacing: Angstrom per voxel that coordinates count in where neither is known.
        instance_ids: (n,) numbers of filaments.
        filament: Write the columns of helical processing.
        polarity_known: For all points, or (n,).
        coordinates: ``"auto"`` writes what is known, ``"centered"`` nothing but centred coordinates.
        filament_angles: ``"frame"`` or ``"pose"``: see :mod:`copick_formats.relion_helical`.
        half_sets: ``"filament"`` puts each filament into one of two half sets.

    Raises:
        ValueError: An option is unknown, or nothing tells where coordinates count from.
    """
    import pandas as pd

    check_relion_filament_options(filament_angles, half_sets)
    if coordinates not in COORDINATES:
        raise InvalidDataError(source=coordinates, reason=f"coordinates must be one of {', '.join(COORDINATES)}")
    table = _table(positions, transforms, instance_ids, tomo_name)
    n = len(table.positions)
    places = table.positions
    columns: dict[str, Any] = {} if tomo_name is None else {RUN: [tomo_name] * n}
    if coordinates == "centered" and tomogram_center is None:
        raise InvalidDataError(source=str(tomo_name), reason="No tomogram center is known, which centred coordinates need")
    size = tilt_series_pixel_size
    if size is None and tomogram_center is None:
        size = legacy_voxel_spacing
        if size is None:
            reason = "coordinates need the tomogram's center, or the pixel size of its tilt series"
            raise InvalidDataError(source=str(tomo_name or "particles"), reason=reason)
    if size is not None and coordinates == "auto":
        columns |= dict(zip(PIXELS, (places / size).T, strict=True))
    angles = zyz.angles(np.swapaxes(np.asarray(table.transforms)[:, :3, :3], 1, 2), "y")
    columns |= _filament_columns(table, filament_angles, polarity_known) if filament else {}
    if not (filament and filament_angles == "frame"):
        columns |= dict(zip(ANGLES, angles, strict=True))
    if tomogram_center is not None:
        columns |= dict(zip(CENTERED, (places - np.array(tomogram_center)).T, strict=True))
    made = pd.DataFrame(columns)
    if half_sets is not None:
        made[HALF_SET] = half_sets_of(made)
    return made


def _table(positions: ArrayLike, transforms: ArrayLike, ids: ArrayLike | None, run: str | None) -> PicksTable:
    """Points whose positions have the translations of their transforms in them."""
    points = np.asarray(positions, float).reshape(-1, 3)
    poses = np.array(transforms, float).reshape(-1, 4, 4)
    points = points + poses[:, :3, 3]
    poses[:, :3, 3] = 0
    return PicksTable(points, poses, None if ids is None else np.asarray(ids), None, run)


def _filament_columns(table: PicksTable, mode: str, polarity_known: bool | ArrayLike) -> dict[str, Any]:
    """The columns of helical processing."""
    n = len(table.positions)
    ids = np.zeros(n, int) if table.instance_ids is None else np.asarray(table.instance_ids)
    if free := int((ids == 0).sum()):
        where = f" in {table.run}" if table.run else ""
        raise InvalidDataError(source="particles", reason=f"{free} of {n} picks{where} have no filament ID: they are 0")
    known = np.asarray(polarity_known, bool)
    if known.ndim and known.shape != (n,):
        raise InvalidDataError(source="polarity_known", reason=f"it needs one value per pick, which are {n}, not {known.size}")
    helical = with_helical_columns("particles", table, mode).columns
    columns: dict[str, Any] = {}
    if mode == "frame":
        columns |= {label: helical[label] for label in SUBTOMOGRAM}
        columns |= dict(zip(ANGLES, (np.zeros(n), np.full(n, 90.0), np.zeros(n)), strict=True))
        columns |= {label: helical[label] for label in PRIORS}
    columns |= {INSTANCE: ids, TRACK: helical[TRACK], FLIP_RATIO: np.where(known, 0.0, 0.5) * np.ones(n)}
    return columns


def half_sets_of(particles: DataFrame) -> NDArray[np.int64]:
    """A half set, 1 or 2, for each particle: whole filaments, the largest first to the smaller half.

    Args:
        particles: One row for each particle; filaments are told apart by tomogram and ``rlnHelicalTubeID``.

    Raises:
        ValueError: There is no such column.
    """
    if INSTANCE not in particles:
        reason = f"half sets are keyed by {INSTANCE}, which these {len(particles)} particles do not have"
        raise InvalidDataError(source="particles", reason=reason)
    made = np.zeros(len(particles), np.int64)
    runs = particles[RUN] if RUN in particles else [""] * len(particles)
    rows = sorted(range(len(particles)), key=[*zip(runs, particles[INSTANCE], strict=True)].__getitem__)
    if not rows:
        return made
    names = np.asarray(runs, object)[rows]
    ids = np.asarray(particles[INSTANCE])[rows]
    tables = [PicksTable(np.zeros((int((names == name).sum()), 3)), None, ids[names == name]) for name in dict.fromkeys(names)]
    made[rows] = np.concatenate([table.columns[HALF_SET] for table in with_half_sets(tables)])
    return made


def build_relion_star_tables(
    runs: Mapping[str, Sequence[Any]],
    voxel_spacing: float | None = None,
    tomogram_centers: Mapping[str, Centre] | None = None,
    tilt_series_pixel_size: float | Mapping[str, float] | None = None,
    tomograms: Mapping[str, RelionTomogram] | None = None,
    include_optics: bool = True,
    instance_ids: Mapping[str, ArrayLike] | None = None,
    filament: bool = False,
    polarity_known: bool | Mapping[str, Any] = False,
    coordinates: str = "auto",
    filament_angles: str = "frame",
    half_sets: str | None = None,
) -> tuple[DataFrame, DataFrame | None]:
    """Points of several runs as RELION's particles and optics groups, one group for each run.

    Args:
        runs: Positions and transforms by name of the run.
        voxel_spacing: As ``legacy_voxel_spacing`` of :func:`build_relion_particles_df`.
        tomogram_centers: Middles of tomograms by run.
        tilt_series_pixel_size: For all runs, or by run.
        tomograms: Tomograms of RELION by run: what is not given comes from them.
        include_optics: Whether optics groups are wanted.
        instance_ids: By run.
        filament: As in :func:`build_relion_particles_df`, as the rest.
        polarity_known: For all, or by run.
        coordinates: Which coordinates: those that all runs have.
        filament_angles: Poses.
        half_sets: Half sets.

    Returns:
        Particles, and optics groups; None where a run's pixel size is not known, or none are wanted.

    Raises:
        ValueError: As :func:`build_relion_particles_df`.
    """
    import pandas as pd

    known = tomograms or {}
    centres = {name: one.center_angstrom for name, one in known.items()} | dict(tomogram_centers or {})
    sizes = {name: one.tilt_series_pixel_size for name, one in known.items()}
    given = tilt_series_pixel_size
    sizes |= dict(given) if isinstance(given, Mapping) else {} if given is None else dict.fromkeys(runs, float(given))
    if without := [name for name in runs if name not in centres]:
        if coordinates == "centered":
            names = ", ".join(without)
            raise InvalidDataError(source="coordinates", reason=f"No tomogram center for {len(without)} run(s): {names}")
        centres = {}
    if any(name not in sizes for name in runs):
        sizes = {}
    parts = [
        build_relion_particles_df(
            points[0],
            points[1],
            name,
            centres.get(name),
            sizes.get(name),
            voxel_spacing,
            None if instance_ids is None else instance_ids.get(name),
            filament,
            polarity_known.get(name, False) if isinstance(polarity_known, Mapping) else polarity_known,
            coordinates,
            filament_angles,
            None,
        )
        for name, points in runs.items()
    ]
    check_relion_filament_options(filament_angles, half_sets)
    particles = (
        pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({label: [] for label in (RUN, *ANGLES, *CENTERED)})
    )
    if half_sets is not None:
        particles[HALF_SET] = half_sets_of(particles)
    if not (include_optics and sizes and runs):
        return particles, None
    numbers = {name: number for number, name in enumerate(runs, 1)}
    particles[GROUP] = [numbers[name] for name in particles[RUN]]
    optics = {
        GROUP: [*numbers.values()],
        "rlnOpticsGroupName": [*numbers],
        TILT_SERIES_SIZE: [sizes[name] for name in numbers],
    }
    for label, field in _OPTICS.items():
        values = [getattr(known.get(name), field, None) for name in numbers]
        if None not in values:
            optics[label] = values
    return particles, pd.DataFrame(optics)


def write_star_particles(path: str, df: DataFrame, optics_group: DataFrame | None = None) -> str:
    """Write RELION's particles, and its optics groups if there are any, and return the path."""
    blocks = [] if optics_group is None else [("optics", optics_group)]
    _write_star(path, [*blocks, ("particles", df)])
    return path


def _write_star(path: str, blocks: Iterable[tuple[str, DataFrame]]) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for name, table in blocks:
            rows = ("\t".join(map(_cell, row)) + "\n" for row in table.itertuples(index=False))
            write_block(file, name, [str(label) for label in table.columns], rows)


def _cell(value: Any) -> str:
    return f"{value:.6f}" if isinstance(value, float) else quoted(str(value))


def write_relion_import_bundle(
    index_path: str, particles: DataFrame, coordinates_dir: str | None = None
) -> tuple[str, dict[str, str]]:
    """Write particles for RELION's import of coordinates: a file for each run, and a list of these.

    Args:
        index_path: The list.
        particles: Particles of all runs.
        coordinates_dir: Folder of the files; ``coordinates`` beside the list by default.

    Returns:
        The list's path, and the files by run.

    Raises:
        ValueError: A run's name can be no name of a file.
    """
    import pandas as pd

    folder = coordinates_dir or os.path.join(os.path.dirname(index_path), "coordinates")
    files: dict[str, str] = {}
    for name in dict.fromkeys(particles[RUN]):
        if name in ("", ".", "..") or "/" in name or os.sep in name:
            raise InvalidDataError(source=str(name), reason="it cannot name a coordinate file")
        files[name] = Path(folder, f"{name}.star").as_posix()
    for name, file in files.items():
        own = particles[particles[RUN] == name]
        _write_star(file, [("particles", own.drop(columns=[GROUP], errors="ignore"))])
    _write_star(index_path, [("coordinate_files", pd.DataFrame({RUN: [*files], IMPORTED: [*files.values()]}))])
    return index_path, files
