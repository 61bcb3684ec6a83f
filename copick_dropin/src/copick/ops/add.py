"""Adding runs, volumes, picks and objects to a project."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from copick.models import CopickRoot
from copick.ops import _files as files
from copick.ops._add_picks import add_picks, add_picks_from_file, add_picks_grouped_from_file
from copick.ops._files import CHUNKS, get_or_create_run, get_or_create_voxelspacing, missing
from copick_core.errors import InvalidDataError

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


def add_run(root: CopickRoot, name: str, exist_ok: bool = False, log: bool = False) -> Any:
    """Make a run."""
    return root.new_run(name, exist_ok=exist_ok)


def add_voxelspacing(
    root: CopickRoot, run: str, voxel_spacing: float, create: bool = True, exist_ok: bool = False, log: bool = False
) -> Any:
    """Make a voxel spacing."""
    return get_or_create_run(root, run, create).new_voxel_spacing(voxel_spacing, exist_ok=exist_ok)


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
    chunks: tuple[int, int, int] = CHUNKS,
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
        raise InvalidDataError(source="voxel_spacing", reason="Voxel spacing must be provided for an array")
    if pyramid and voxel_spacing is not None and float(voxel_spacing) not in pyramid:
        raise InvalidDataError(source="voxel_spacing", reason=f"{voxel_spacing} not found in provided pyramid {[*pyramid]}")
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
    spacing = get_or_create_voxelspacing(get_or_create_run(root, run), voxel_spacing)
    tomograms = spacing.get_tomograms(tomo_type)
    if not tomograms:
        raise missing(f"tomogram {tomo_type!r} at {voxel_spacing}")
    features = tomograms[0].new_features(feature_type, exist_ok=exist_ok)
    features.from_numpy(features_vol, chunks=chunks, shards=shards, metadata=meta, overwrite=overwrite or not exist_ok)
    return features


def add_segmentation(
    root: CopickRoot,
    run: str,
    mask_path: str,
    voxel_spacing: float | None,
    name: str,
    user_id: str,
    session_id: str,
    multilabel: bool = False,
    instance: bool = False,
    panoptic: bool = False,
    transpose: str | None = None,
    flip: str | None = None,
    create: bool = True,
    exist_ok: bool = False,
    overwrite: bool = False,
    log: bool = False,
) -> Any:
    """Add a segmentation, binary by default, from a file; see :func:`add_segmentation_from_file`."""
    kinds = {"multilabel": multilabel, "instance": instance, "panoptic": panoptic}
    return _segmentation(
        root, run, mask_path, voxel_spacing, name, user_id, session_id, kinds, transpose, flip, create, exist_ok or overwrite
    )


def _segmentation(
    root: CopickRoot, run: str, path: str, voxel_spacing: float | None, name: str, user_id: str, session_id: str,
    kinds: Mapping[str, bool], transpose: str | None, flip: str | None, create: bool, replace: bool,
    file_type: str | None = None,
) -> Any:  # fmt: skip
    from copick.util.segmentation import segmentation_type

    kind = segmentation_type(**{f"is_{name}": given for name, given in kinds.items()})
    return files.segmentation_from_file(
        root, run, path, voxel_spacing, name, user_id, session_id, create, replace, transpose, flip, kind, file_type
    )


def add_segmentation_from_file(
    root: CopickRoot,
    run_name: str,
    file_path: str,
    voxel_spacing: float | None,
    name: str,
    user_id: str,
    session_id: str,
    file_type: str | None = None,
    multilabel: bool | None = None,
    instance: bool = False,
    panoptic: bool = False,
    transpose: str | None = None,
    flip: str | None = None,
    create: bool = True,
    exist_ok: bool = False,
    overwrite: bool = False,
    log: bool = False,
) -> Any:
    """Add a segmentation from a file.

    Args:
        root: The project.
        run_name: Name of its run.
        file_path: The file.
        voxel_spacing: Voxel size in angstrom; that of the file if it is None.
        name: Name of the segmentation, or of its object.
        user_id: User.
        session_id: Session.
        file_type: mrc, zarr, tiff or em; by content by default.
        multilabel: Whether it is a multilabel one; by default it is, unless it is of the following types.
        instance: Whether it is an instance segmentation.
        panoptic: Whether it is a panoptic one.
        transpose: New order of the axes.
        flip: Axes that run backwards after that.
        create: Make a run that is missing.
        exist_ok: Replace one that exists.
        overwrite: The same.
        log: Has no effect.

    Raises:
        ValueError: The file cannot be read, or tells no voxel size and none is given.
    """
    several = not (instance or panoptic) if multilabel is None else multilabel
    kinds = {"multilabel": several, "instance": instance, "panoptic": panoptic}
    replace = exist_ok or overwrite
    given = (kinds, transpose, flip, create, replace, file_type)
    return _segmentation(root, run_name, file_path, voxel_spacing, name, user_id, session_id, *given)


def add_tomogram_from_file(
    root: CopickRoot,
    run_name: str,
    tomo_type: str,
    file_path: str,
    voxel_spacing: float | None = None,
    file_type: str | None = None,
    create_pyramid: bool = True,
    pyramid_levels: int = 3,
    chunks: tuple[int, int, int] = CHUNKS,
    transpose: str | None = None,
    flip: str | None = None,
    create: bool = True,
    exist_ok: bool = False,
    overwrite: bool = False,
    log: bool = False,
) -> Any:
    """Add a tomogram from a file, piece by piece; see :func:`add_tomogram`."""
    replace = exist_ok or overwrite
    shape = (create_pyramid, pyramid_levels, chunks, transpose, flip, file_type)
    return files.tomogram_from_file(root, run_name, file_path, tomo_type, voxel_spacing, create, replace, *shape)


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
        raise InvalidDataError(source="voxel_size", reason="voxel_size must be provided with a volume")
    if volume is not None and not is_particle:
        raise InvalidDataError(source=f"object {name!r}", reason="not a particle object: only particles have a density map")
    if save_config and not config_path:
        raise InvalidDataError(source="config_path", reason="config_path must be provided to save the configuration")
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
        ValueError: There is no such object, it is not a particle, or the voxel size is missing.
    """
    found = root.get_object(object_name)
    if found is None:
        raise InvalidDataError(source=f"object {object_name!r}", reason="not found in root configuration")
    if not found.is_particle:
        raise InvalidDataError(source=f"object {object_name!r}", reason="not a particle object: it has no density map")
    if voxel_size is None:
        raise InvalidDataError(source="voxel_size", reason="voxel_size must be provided with a volume")
    found.from_numpy(volume, voxel_size)
    return found
