"""Volumes and picks of a project from files of other programs: what commands and :mod:`copick.ops.add` have in common."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from copick.models import CopickRoot, CopickRun
from copick_core.errors import InvalidDataError
from copick_core.plugins.format_functions import Frame, PicksTable
from copick_core.projects.transfers import frame_of

#: Names of file types as copick has them, and the formats that read and write them.
PICKS_FORMATS = {"star": "relion", "em": "em", "dynamo": "dynamo", "csv": "csv"}
VOLUME_FORMATS = {"mrc": "mrc", "zarr": "ome-zarr", "tiff": "tiff", "em": "em"}
_SUFFIXES = {".star": "star", ".em": "em", ".tbl": "dynamo", ".csv": "csv"}
CHUNKS = (128, 128, 128)


def missing(what: str) -> ValueError:
    """The error for something that does not exist."""
    return InvalidDataError(source=what, reason=f"Could not find {what}: the project has none, and it is not to be made")


def get_or_create_run(root: CopickRoot, name: str, create: bool = True, log: bool = False) -> Any:
    """The run of a name; made if it is missing.

    Raises:
        ValueError: It is missing, and not ``create``.
    """
    run = root.get_run(name)
    if run is None:
        if not create:
            raise missing(f"run {name!r}")
        run = root.new_run(name, exist_ok=True)
    return run


def get_or_create_voxelspacing(run: CopickRun, voxel_size: float, create: bool = True, log: bool = False) -> Any:
    """The voxel spacing of a size; made if it is missing.

    Raises:
        ValueError: It is missing, and not ``create``.
    """
    spacing = run.get_voxel_spacing(voxel_size)
    if spacing is None:
        if not create:
            raise missing(f"voxel spacing {voxel_size}")
        spacing = run.new_voxel_spacing(voxel_size, exist_ok=True)
    return spacing


def segmentation_from_file(
    root: CopickRoot,
    run: str,
    path: str,
    voxel_spacing: float | None = None,
    name: str = "",
    user_id: str = "copick",
    session_id: str = "1",
    create: bool = True,
    exist_ok: bool = False,
    transpose: str | None = None,
    flip: str | None = None,
    segmentation_type: str = "multilabel",
    file_type: str | None = None,
) -> Any:
    """Add a segmentation from a file.

    Args:
        root: The project.
        run: Name of its run.
        path: The file.
        voxel_spacing: Voxel size in angstrom; that of the file by default.
        name: Name of the segmentation, or of its object.
        user_id: User.
        session_id: Session.
        create: Make a run that is missing.
        exist_ok: Replace one that exists.
        transpose: New order of the axes.
        flip: Axes that run backwards after that.
        segmentation_type: binary, multilabel, instance or panoptic.
        file_type: mrc, zarr, tiff or em; by content by default.

    Raises:
        ValueError: The file cannot be read, or tells no voxel size and none is given.
    """
    kinds = {f"is_{kind}": segmentation_type == kind for kind in ("multilabel", "instance", "panoptic")}
    size = voxel_spacing if voxel_spacing is not None else voxel_size_of(path, file_type)
    target = get_or_create_run(root, run, create)
    segmentation = target.new_segmentation(size, name, session_id, user_id=user_id, exist_ok=exist_ok, **kinds)
    segmentation.import_volume(
        path, voxel_size=size, transpose=transpose, flip=flip, file_format=volume_format(file_type), levels=1
    )
    return segmentation


def tomogram_from_file(
    root: CopickRoot,
    run: str,
    path: str,
    tomo_type: str = "wbp",
    voxel_spacing: float | None = None,
    create: bool = True,
    overwrite: bool = False,
    create_pyramid: bool = True,
    pyramid_levels: int = 3,
    chunks: tuple[int, int, int] = CHUNKS,
    transpose: str | None = None,
    flip: str | None = None,
    file_type: str | None = None,
) -> Any:
    """Add a tomogram from a file, piece by piece; see :func:`copick.ops.add.add_tomogram`."""
    size = voxel_spacing if voxel_spacing is not None else voxel_size_of(path, file_type)
    spacing = get_or_create_voxelspacing(get_or_create_run(root, run, create), size, create)
    tomogram = spacing.new_tomogram(tomo_type, exist_ok=overwrite)
    tomogram.import_volume(
        path,
        levels=pyramid_levels if create_pyramid else 1,
        voxel_size=size,
        transpose=transpose,
        flip=flip,
        file_format=volume_format(file_type),
        chunks=tuple(chunks),
    )
    return tomogram


def voxel_size_of(path: str, file_type: str | None = None) -> float:
    """The voxel size that a file tells, in angstrom.

    Raises:
        ValueError: It tells none.
    """
    from copick_core.volumes.reading import opened_volume

    with opened_volume(path, file_format=volume_format(file_type)) as volume:
        size = volume.voxel_size
    if size is None:
        raise InvalidDataError(source=path, reason="the file tells no voxel size: give one")
    return float(size)


def volume_format(file_type: str | None) -> str | None:
    # A zarr folder is known by what is in it, and is not a file that a format reads.
    return None if file_type in (None, "zarr") else VOLUME_FORMATS[{"map": "mrc"}.get(file_type, file_type.lower())]


def picks_type_of(path: str, file_type: str | None = None) -> str:
    """The type of a file with picks, by its suffix if it is not given.

    Raises:
        ValueError: The suffix is that of no type.
    """
    found = file_type or _SUFFIXES.get(os.path.splitext(path)[1].lower())
    if found is None or found.lower() not in PICKS_FORMATS:
        known = ", ".join(PICKS_FORMATS)
        what = "Could not determine file type" if found is None else f"Unsupported file type {found!r}"
        raise InvalidDataError(source=path, reason=f"{what}: choose one of {known}")
    return found.lower()


def read_picks(
    root: CopickRoot,
    path: str,
    file_type: str,
    *,
    voxel_spacing: float | None = None,
    run_of: Callable[[str | None], str | None] = lambda name: name,
    tilt_series_pixel_size: float | None = None,
    tomograms_star: str | None = None,
    tomogram_row: int | None = None,
    tomolist: str | None = None,
    centres: Mapping[str, tuple[float, float, float]] | None = None,
    tomogram: str | None = None,
) -> Iterator[PicksTable]:
    """The points in a file, one table for each run that it names.

    Args:
        root: The project, whose tomograms tell what coordinates count in.
        path: The file.
        file_type: star, em, dynamo or csv.
        voxel_spacing: Angstrom per voxel that coordinates count in.
        run_of: The run of the project, by the name that the file has for it.
        tilt_series_pixel_size: Angstrom per pixel of RELION's tilt series.
        tomograms_star: RELION's list of tomograms.
        tomogram_row: Row of a motive list with the number of the tomogram, counted from 0.
        tomolist: Dynamo's list of tomograms.
        centres: Middles of tomograms by run, as x, y, z in angstrom, instead of the project's.
        tomogram: Tomogram of particles of RELION that name none.
    """

    def frame(name: str | None) -> Frame | None:
        if centres and name is not None and name in centres:
            x, y, z = (2 * part for part in centres[name])
            return Frame((z, y, x), 1.0)  # type: ignore[arg-type]  # in voxels of 1 Å: not all are whole
        run = root.get_run(str(run_of(name)))
        return None if run is None else frame_of(run, voxel_spacing)

    options: dict[str, Any] = {"frame": frame}
    reader: Callable[..., Iterable[PicksTable]]
    if file_type == "star":
        from copick_formats.relion import read_relion as reader

        size = tilt_series_pixel_size
        if size is None and tomograms_star is None and not star_tells_pixels(path):
            size = voxel_spacing
        options.update(pixel_size=size, tomograms=tomograms_star, tomogram=tomogram)
        yield from map(_in_order, reader(path, **options))
        return
    if file_type == "csv":
        from copick_formats.copick_tables import read_csv as reader
    elif file_type == "dynamo":
        from copick_formats.dynamo import read_dynamo as reader

        options.update(voxel_size=voxel_spacing, doc=tomolist)
    else:
        from copick_formats.motive_list import read_motive_list as reader

        options.update(voxel_size=voxel_spacing, doc=tomolist)
        if tomogram_row is not None:
            options["tomogram_row"] = tomogram_row + 1
    yield from reader(path, **options)


def _in_order(table: PicksTable) -> PicksTable:
    """Particles in the order of their filaments, and along each."""
    from copick_formats.relion_helical import TRACK

    if table.instance_ids is None or TRACK not in table.columns:
        return table
    rows = np.lexsort((np.asarray(table.columns[TRACK], float), table.instance_ids))
    parts: dict[str, Any] = {name: getattr(table, name) for name in ("positions", "transforms", "instance_ids", "scores")}
    ordered: dict[str, Any] = {name: None if value is None else np.asarray(value)[rows] for name, value in parts.items()}
    return replace(table, **ordered, columns={name: np.asarray(cells)[rows] for name, cells in table.columns.items()})


def star_tells_pixels(path: str) -> bool:
    """Whether a STAR file tells its pixel size, or has centred coordinates, which need none."""
    from copick_formats.star import read_star

    labels = {label for block in read_star(path) for label in block.columns}
    return bool(labels & {"rlnTomoTiltSeriesPixelSize", "rlnImagePixelSize", "rlnPixelSize", "rlnCenteredCoordinateXAngst"})


def store_picks(
    root: CopickRoot,
    run: str,
    object_name: str,
    user_id: str,
    session_id: str,
    tables: Sequence[PicksTable],
    create: bool = True,
    exist_ok: bool = False,
) -> Any:
    """Store points as the picks of one run; tables are joined.

    Raises:
        ValueError: The picks exist, and not ``exist_ok``.
    """

    def joined(field: str, default: Callable[[int], Any]) -> Any:
        values = [getattr(t, field) for t in tables]
        counts = [len(t.positions) for t in tables]
        if not tables or all(v is None for v in values):
            return None
        return np.concatenate([default(n) if v is None else np.asarray(v) for v, n in zip(values, counts, strict=True)])

    target = get_or_create_run(root, run, create)
    picks = target.new_picks(object_name, session_id, user_id, exist_ok=exist_ok)
    positions = np.concatenate([np.asarray(t.positions, float) for t in tables]) if tables else np.zeros((0, 3))
    picks.from_numpy(
        positions,
        joined("transforms", lambda n: np.tile(np.eye(4), (n, 1, 1))),
        instance_ids=joined("instance_ids", lambda n: np.zeros(n, int)),
        scores=joined("scores", np.ones),
    )
    return picks


def picks_from_file(
    root: CopickRoot,
    run: str,
    path: str,
    object_name: str,
    user_id: str = "copick",
    session_id: str = "1",
    voxel_spacing: float | None = None,
    create: bool = True,
    exist_ok: bool = False,
    file_type: str | None = None,
    **options: Any,
) -> Any:
    """Add all points of a file to one run, whatever runs it names.

    Args:
        root: The project.
        run: Name of the run.
        path: The file.
        object_name: Object of the points.
        user_id: User.
        session_id: Session.
        voxel_spacing: Angstrom per voxel that coordinates count in.
        create: Make the run if it is missing.
        exist_ok: Replace picks that exist.
        file_type: star, em, dynamo or csv; by the suffix by default.
        **options: As :func:`read_picks` takes them.
    """
    kind = picks_type_of(path, file_type)
    given = {"run_of": lambda name: run, "tomogram": run, **options}
    tables = [*read_picks(root, path, kind, voxel_spacing=voxel_spacing, **given)]
    return store_picks(root, run, object_name, user_id, session_id, tables, create, exist_ok)


def picks_of_runs_from_file(
    root: CopickRoot,
    path: str,
    object_name: str,
    user_id: str = "copick",
    session_id: str = "1",
    voxel_spacing: float | None = None,
    create: bool = True,
    exist_ok: bool = False,
    file_type: str | None = None,
    index_map: Mapping[str, str] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Add the points of a file to the runs that it names.

    Args:
        root: The project.
        path: The file.
        object_name: Object of the points.
        user_id: User.
        session_id: Session.
        voxel_spacing: Angstrom per voxel that coordinates count in.
        create: Make runs that are missing.
        exist_ok: Replace picks that exist.
        file_type: star, em, dynamo or csv; by the suffix by default.
        index_map: Names of runs by the numbers in the file.
        **options: As :func:`read_picks` takes them.

    Returns:
        Picks by run.
    """
    names = {str(number): str(run) for number, run in (index_map or {}).items()}

    def run_of(name: str | None) -> str | None:
        return names.get(str(name), name)

    kind = picks_type_of(path, file_type)
    by_run: dict[str, list[PicksTable]] = {}
    for table in read_picks(root, path, kind, voxel_spacing=voxel_spacing, run_of=run_of, **options):
        run = run_of(table.run)
        if run is None:
            raise InvalidDataError(source=path, reason="it names no runs")
        by_run.setdefault(run, []).append(table)
    made = {}
    for run, tables in by_run.items():
        made[run] = store_picks(root, run, object_name, user_id, session_id, tables, create, exist_ok)
    return made
