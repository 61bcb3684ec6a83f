"""Adding runs, volumes, picks and objects to a project."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from copick.models import CopickRoot, CopickRun
from copick_core.errors import InvalidDataError
from copick_core.plugins.format_functions import Frame, PicksTable
from copick_core.projects.transfers import frame_of

logger = logging.getLogger(__name__)

#: Names of file types as copick has them, and the formats that read and write them.
PICKS_FORMATS = {"star": "relion", "em": "em", "dynamo": "dynamo", "csv": "csv"}
VOLUME_FORMATS = {"mrc": "mrc", "zarr": "ome-zarr", "tiff": "tiff", "em": "em"}
_SUFFIXES = {".star": "star", ".em": "em", ".tbl": "dynamo", ".csv": "csv"}
_CHUNKS = (128, 128, 128)


def _missing(what: str) -> ValueError:
    return InvalidDataError(source=what, reason="the project has none of that name, and it is not to be made")


def add_run(root: CopickRoot, name: str, exist_ok: bool = False, log: bool = False) -> Any:
    """Make a run."""
    return root.new_run(name, exist_ok=exist_ok)


def get_or_create_run(root: CopickRoot, name: str, create: bool = True, log: bool = False) -> Any:
    """The run of a name; made if it is missing.

    Raises:
        ValueError: It is missing, and not ``create``.
    """
    run = root.get_run(name)
    if run is None:
        if not create:
            raise _missing(f"run {name!r}")
        run = root.new_run(name, exist_ok=True)
    return run


def add_voxelspacing(
    root: CopickRoot, run: str, voxel_spacing: float, create: bool = True, exist_ok: bool = False, log: bool = False
) -> Any:
    """Make a voxel spacing."""
    return get_or_create_run(root, run, create).new_voxel_spacing(voxel_spacing, exist_ok=exist_ok)


def get_or_create_voxelspacing(run: CopickRun, voxel_spacing: float, create: bool = True, log: bool = False) -> Any:
    """The voxel spacing of a size; made if it is missing.

    Raises:
        ValueError: It is missing, and not ``create``.
    """
    spacing = run.get_voxel_spacing(voxel_spacing)
    if spacing is None:
        if not create:
            raise _missing(f"voxel spacing {voxel_spacing}")
        spacing = run.new_voxel_spacing(voxel_spacing, exist_ok=True)
    return spacing


def add_tomogram(
    root: CopickRoot,
    run: str,
    tomo_type: str,
    volume: Any,
    voxel_spacing: float | None = None,
    create: bool = True,
    exist_ok: bool = False,
    overwrite: bool = False,
    create_pyramid: bool = True,
    pyramid_levels: int = 3,
    chunks: tuple[int, int, int] = _CHUNKS,
    transpose: str | None = None,
    flip: str | None = None,
    meta: Mapping[str, Any] | None = None,
    log: bool = False,
) -> Any:
    """Add a tomogram.

    Args:
        root: The project.
        run: Name of its run.
        tomo_type: Its type.
        volume: (z, y, x), or a pyramid of arrays by their voxel size in angstrom.
        voxel_spacing: Voxel size in angstrom; of a pyramid, its smallest one.
        create: Make what is missing above it.
        exist_ok: Whether it may exist.
        overwrite: Replace what is stored.
        create_pyramid: Write coarser levels.
        pyramid_levels: Number of levels.
        chunks: Chunk shape (z, y, x).
        transpose: New order of the axes, such as ``"2,1,0"``.
        flip: Axes that run backwards after that, such as ``"0"``.
        meta: Goes into the metadata of the multiscale image.
        log: Has no effect.

    Raises:
        ValueError: There is no voxel size, or something is missing and not ``create``.
        FileExistsError: Data are stored, and ``exist_ok`` without ``overwrite``.
    """
    from copick.util.ome import get_multiscales, write_ome_zarr_3d

    pyramid = {float(k): np.asarray(v) for k, v in volume.items()} if isinstance(volume, Mapping) else None
    size = min(pyramid) if pyramid else voxel_spacing
    if size is None:
        raise InvalidDataError(source="voxel_spacing", reason="it is needed for an array")
    if pyramid and voxel_spacing is not None and float(voxel_spacing) not in pyramid:
        raise InvalidDataError(source="voxel_spacing", reason=f"{voxel_spacing} is not found in the pyramid {[*pyramid]}")
    spacing = get_or_create_voxelspacing(get_or_create_run(root, run, create), size, create)
    known = spacing.get_tomograms(tomo_type)
    tomogram = spacing.new_tomogram(tomo_type, exist_ok=exist_ok)
    if known and tomogram._is_stored() and not overwrite:
        raise FileExistsError(f"Tomogram {tomo_type!r} of run {run!r} is not empty: pass overwrite=True to replace it.")
    if pyramid:
        turned = {s: oriented(array, transpose, flip) for s, array in sorted(pyramid.items())}
        with tomogram._replace_store() as store:
            write_ome_zarr_3d(store, turned, chunks, metadata=meta)
        return tomogram
    levels = pyramid_levels if create_pyramid else 1
    tomogram.from_numpy(oriented(np.asarray(volume), transpose, flip), levels=levels, chunks=tuple(chunks))
    if meta:
        import zarr

        group = zarr.open_group(tomogram.zarr(), mode="r+")
        images = get_multiscales(group)
        images[0]["metadata"] = dict(meta)
        if "ome" in group.attrs:
            group.attrs["ome"] = {**group.attrs["ome"], "multiscales": images}  # type: ignore[dict-item]
        else:
            group.attrs["multiscales"] = images
    return tomogram


def oriented(array: Any, transpose: str | None, flip: str | None) -> Any:
    """An array with its axes in a new order, some of them backwards.

    Args:
        array: (z, y, x).
        transpose: Such as ``"2,1,0"``.
        flip: Such as ``"0,2"``; after ``transpose``.
    """
    if transpose:
        array = np.transpose(array, [int(axis) for axis in transpose.split(",")])
    return np.flip(array, tuple(int(axis) for axis in flip.split(","))) if flip else array


def add_features(
    root: CopickRoot,
    run: str,
    voxel_spacing: float,
    tomo_type: str,
    feature_type: str,
    features_vol: Any,
    create: bool = True,
    exist_ok: bool = False,
    overwrite: bool = False,
    chunks: tuple[int, ...] | None = None,
    meta: Mapping[str, Any] | None = None,
    log: bool = False,
    shards: tuple[int, ...] | None = None,
) -> Any:
    """Add a feature map to a tomogram; see :meth:`copick.models.CopickFeatures.from_numpy`.

    Raises:
        ValueError: There is no such tomogram.
    """
    spacing = get_or_create_voxelspacing(get_or_create_run(root, run, create), voxel_spacing, create)
    tomograms = spacing.get_tomograms(tomo_type)
    if not tomograms:
        raise _missing(f"tomogram {tomo_type!r} at {voxel_spacing}")
    features = tomograms[0].new_features(feature_type, exist_ok=exist_ok)
    features.from_numpy(features_vol, chunks=chunks, shards=shards, metadata=meta, overwrite=overwrite or not exist_ok)
    return features


def add_segmentation(
    root: CopickRoot,
    run: str,
    path: str,
    voxel_spacing: float | None = None,
    name: str = "",
    user_id: str = "copick",
    session_id: str = "1",
    create: bool = True,
    exist_ok: bool = False,
    overwrite: bool = False,
    transpose: str | None = None,
    flip: str | None = None,
    log: bool = False,
    segmentation_type: str = "multilabel",
    file_type: str | None = None,
) -> Any:
    """Add a segmentation from a file that a format reads; see :func:`add_segmentation_from_file`."""
    return add_segmentation_from_file(
        root, run, path, voxel_spacing, name, user_id, session_id, create, exist_ok or overwrite, transpose, flip,
        segmentation_type=segmentation_type, file_type=file_type,
    )  # fmt: skip


def add_segmentation_from_file(
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
    log: bool = False,
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
        log: Has no effect.

    Raises:
        ValueError: The file cannot be read, or tells no voxel size and none is given.
    """
    kinds = {f"is_{kind}": segmentation_type == kind for kind in ("multilabel", "instance", "panoptic")}
    size = voxel_spacing if voxel_spacing is not None else voxel_size_of(path, file_type)
    target = get_or_create_run(root, run, create)
    segmentation = target.new_segmentation(size, name, session_id, user_id=user_id, exist_ok=exist_ok, **kinds)
    segmentation.import_volume(
        path, voxel_size=size, transpose=transpose, flip=flip, file_format=_volume_format(file_type), levels=1
    )
    return segmentation


def add_tomogram_from_file(
    root: CopickRoot,
    run: str,
    path: str,
    tomo_type: str = "wbp",
    voxel_spacing: float | None = None,
    create: bool = True,
    overwrite: bool = False,
    create_pyramid: bool = True,
    pyramid_levels: int = 3,
    chunks: tuple[int, int, int] = _CHUNKS,
    transpose: str | None = None,
    flip: str | None = None,
    file_type: str | None = None,
    log: bool = False,
) -> Any:
    """Add a tomogram from a file, piece by piece; see :func:`add_tomogram`."""
    size = voxel_spacing if voxel_spacing is not None else voxel_size_of(path, file_type)
    spacing = get_or_create_voxelspacing(get_or_create_run(root, run, create), size, create)
    tomogram = spacing.new_tomogram(tomo_type, exist_ok=overwrite)
    tomogram.import_volume(
        path,
        levels=pyramid_levels if create_pyramid else 1,
        voxel_size=size,
        transpose=transpose,
        flip=flip,
        file_format=_volume_format(file_type),
        chunks=tuple(chunks),
    )
    return tomogram


def voxel_size_of(path: str, file_type: str | None = None) -> float:
    """The voxel size that a file tells, in angstrom.

    Raises:
        ValueError: It tells none.
    """
    from copick_core.volumes.reading import opened_volume

    with opened_volume(path, file_format=_volume_format(file_type)) as volume:
        size = volume.voxel_size
    if size is None:
        raise InvalidDataError(source=path, reason="the file tells no voxel size: give one")
    return float(size)


def _volume_format(file_type: str | None) -> str | None:
    return None if file_type is None else VOLUME_FORMATS[file_type.lower()]


# --------------------------------------------------------------------------- picks


def picks_type_of(path: str, file_type: str | None = None) -> str:
    """The type of a file with picks, by its suffix if it is not given.

    Raises:
        ValueError: The suffix is that of no type.
    """
    found = file_type or _SUFFIXES.get(os.path.splitext(path)[1].lower())
    if found is None or found.lower() not in PICKS_FORMATS:
        raise InvalidDataError(
            source=path, reason=f"the type of the file is not known: choose one of {', '.join(PICKS_FORMATS)}"
        )
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
    """

    def frame(name: str | None) -> Frame | None:
        run = root.get_run(str(run_of(name)))
        return None if run is None else frame_of(run, voxel_spacing)

    options: dict[str, Any] = {"frame": frame}
    reader: Callable[..., Iterable[PicksTable]]
    if file_type == "star":
        from copick_formats.relion import read_relion as reader

        size = tilt_series_pixel_size
        if size is None and tomograms_star is None and not star_tells_pixels(path):
            size = voxel_spacing
        options.update(pixel_size=size, tomograms=tomograms_star)
    elif file_type == "csv":
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


def add_picks_from_file(
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
    log: bool = False,
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
        log: Has no effect.
        **options: As :func:`read_picks` takes them.
    """
    kind = picks_type_of(path, file_type)
    tables = [*read_picks(root, path, kind, voxel_spacing=voxel_spacing, run_of=lambda name: run, **options)]
    return store_picks(root, run, object_name, user_id, session_id, tables, create, exist_ok)


def add_picks_grouped_from_file(
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
    log: bool = False,
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
        log: Has no effect.
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


def add_picks(root: CopickRoot, run: str, path: str, *args: Any, **options: Any) -> Any:
    """Add picks from a file; :func:`add_picks_from_file` describes the arguments."""
    return add_picks_from_file(root, run, path, *args, **options)


# --------------------------------------------------------------------------- objects


def add_object(
    root: CopickRoot,
    name: str,
    is_particle: bool,
    label: int | None = None,
    color: tuple[int, int, int, int] | None = None,
    emdb_id: str | None = None,
    pdb_id: str | None = None,
    identifier: str | None = None,
    map_threshold: float | None = None,
    radius: float | None = None,
    volume: Any = None,
    voxel_size: float | None = None,
    metadata: dict[str, Any] | None = None,
    exist_ok: bool = False,
    save_config: bool = False,
    config_path: str | None = None,
    log: bool = False,
    filament: Any = None,
) -> Any:
    """Add an object to the configuration; see :meth:`copick.models.CopickRoot.new_object`.

    Args:
        root: The project.
        name: Name of the object.
        is_particle: Whether points represent it.
        label: Its label; the next one by default.
        color: RGBA.
        emdb_id: EMDB id.
        pdb_id: PDB id.
        identifier: Ontology id.
        map_threshold: Threshold of its map.
        radius: In angstrom.
        volume: Its density map (z, y, x).
        voxel_size: Voxel size of the map in angstrom.
        metadata: Anything else.
        exist_ok: Update one that exists.
        save_config: Write the configuration.
        config_path: File to write it to.
        log: Has no effect.
        filament: Declares it a filament.

    Raises:
        ValueError: There is a volume without a voxel size or of no particle, or ``save_config`` without a file.
    """
    if volume is not None and voxel_size is None:
        raise InvalidDataError(source="voxel_size", reason="a volume needs one")
    if volume is not None and not is_particle:
        raise InvalidDataError(source=f"object {name!r}", reason="only particles have a density map")
    if save_config and not config_path:
        raise InvalidDataError(source="config_path", reason="saving the configuration needs a file")
    made = root.new_object(
        name, is_particle, label, color, emdb_id, pdb_id, identifier, map_threshold, radius, metadata, exist_ok, filament
    )
    if volume is not None and voxel_size is not None:
        made.from_numpy(volume, voxel_size)
    if save_config and config_path:
        root.save_config(config_path, overwrite=True)
    return made


def add_object_volume(root: CopickRoot, object_name: str, volume: Any, voxel_size: float | None, log: bool = False) -> Any:
    """Store the density map of an object.

    Raises:
        ValueError: There is no such object, it is no particle, or the voxel size is missing.
    """
    found = root.get_object(object_name)
    if found is None:
        raise _missing(f"object {object_name!r}")
    if voxel_size is None:
        raise InvalidDataError(source="voxel_size", reason="a volume needs one")
    found.from_numpy(volume, voxel_size)
    return found


__all__ = [
    "add_features",
    "add_object",
    "add_object_volume",
    "add_picks",
    "add_picks_from_file",
    "add_picks_grouped_from_file",
    "add_run",
    "add_segmentation",
    "add_segmentation_from_file",
    "add_tomogram",
    "add_tomogram_from_file",
    "add_voxelspacing",
    "get_or_create_run",
    "get_or_create_voxelspacing",
]
