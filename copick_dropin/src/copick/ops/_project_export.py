"""Writing picks and volumes of a project to files; :mod:`copick.ops.export` has what writes one entity."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import copick_core
from copick.models import CopickRoot
from copick.ops._files import PICKS_FORMATS, VOLUME_FORMATS
from copick.util.uri import resolve_copick_objects
from copick_core.errors import InvalidDataError

SUFFIXES = {"star": "star", "em": "em", "dynamo": "tbl", "csv": "csv", "mrc": "mrc", "tiff": "tiff", "zarr": "zarr"}


def _selected(root: CopickRoot, uri: str, object_type: str, run_names: Iterable[str] | str | None) -> list[Any]:
    if not run_names:
        return resolve_copick_objects(uri, root, object_type)
    names = [run_names] if isinstance(run_names, str) else [*run_names]
    return [entity for name in names for entity in resolve_copick_objects(uri, root, object_type, name)]


def raise_failures(report: Any) -> None:
    failed = [f"{row.file}: {row.error}" for row in report.failed]
    if failed:
        raise InvalidDataError(source="export", reason="; ".join(failed))


def export_project_picks(
    root: CopickRoot,
    picks_uri: str,
    output_dir: str | os.PathLike[str] | None = None,
    output_format: str = "star",
    run_names: Iterable[str] | str | None = None,
    output_file: str | os.PathLike[str] | None = None,
    voxel_size: float | None = None,
    **write_options: Any,
) -> list[str]:
    """Write picks to a file for each set of picks, or all of them to one file.

    Args:
        root: The project.
        picks_uri: Which.
        output_dir: Folder of the files; their names are ``run_object_user_session``.
        output_format: star, em, dynamo or csv.
        run_names: Only those of these runs.
        output_file: One file for all.
        voxel_size: Voxel size of the tomograms that coordinates in voxels count in.
        **write_options: Options of the format.

    Returns:
        The files.

    Raises:
        ValueError: Nothing matches, or a file cannot be written; everything that can be is.
    """
    if output_format not in PICKS_FORMATS:
        raise InvalidDataError(source="output_format", reason=f"{output_format!r} is none of {', '.join(PICKS_FORMATS)}")
    found = _selected(root, picks_uri, "picks", run_names)
    name = f"{{run}}_{{object}}_{{user}}_{{session}}.{SUFFIXES[output_format]}"
    path = Path(output_file) if output_file is not None else Path(output_dir or ".") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    options: dict[str, Any] = {key: value for key, value in write_options.items() if value is not None}
    if voxel_size is not None and output_format in ("em", "dynamo"):
        options["voxel_size"] = voxel_size
    report = copick_core.export_picks(
        root,  # type: ignore[arg-type]
        found,
        path,
        overwrite=True,
        merge=output_file is not None,
        voxel_size=voxel_size if output_format == "star" else None,
        file_format=PICKS_FORMATS[output_format],
        write_options=options,
    )
    raise_failures(report)
    files = [*dict.fromkeys(row.file for row in report.rows)]
    if output_format == "star" and not {"pixel_size", "tomograms", "optics"} & options.keys():
        for file in files:
            _drop_what_nobody_gave(file)
    return files


def _drop_what_nobody_gave(path: str) -> None:
    """Leave out optics groups, whose pixel size would be that of the tomograms, and origins, which are 0: as in copick."""
    from copick_formats.relion import GROUP, ORIGINS
    from copick_formats.star import quoted, read_star, write_block

    (particles,) = [block for block in read_star(path) if block.name == "particles"]
    columns = {label: cells for label, cells in particles.columns.items() if label not in (GROUP, *ORIGINS)}
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        rows = ("\t".join(map(quoted, row)) + "\n" for row in zip(*columns.values(), strict=True))
        write_block(file, "particles", [*columns], rows)


def export_tomograms(
    root: CopickRoot,
    tomogram_uri: str,
    output_dir: str | os.PathLike[str],
    output_format: str = "mrc",
    run_names: Iterable[str] | str | None = None,
    level: int = 0,
    compression: str | None = None,
    copy_all_levels: bool = True,
) -> list[str]:
    """Write tomograms to ``run/VoxelSpacing10.000/type``.

    Args:
        root: The project.
        tomogram_uri: Which.
        output_dir: Folder of the files.
        output_format: mrc, tiff, em or zarr.
        run_names: Only those of these runs.
        level: Level to write; 0 is the finest.
        compression: Of TIFF files.
        copy_all_levels: Write coarser levels to zarr too.

    Returns:
        The files.

    Raises:
        ValueError: Nothing matches, or a file cannot be written.
        FileExistsError: A zarr folder exists.
    """
    targets = {
        f"{t.voxel_spacing.run.name}/VoxelSpacing{t.voxel_spacing.voxel_size:.3f}/{t.tomo_type}": t
        for t in _selected(root, tomogram_uri, "tomogram", run_names)
    }
    return _export_volumes(root, tomogram_uri, targets, output_dir, output_format, level, compression, copy_all_levels)


def export_segmentations(
    root: CopickRoot,
    segmentation_uri: str,
    output_dir: str | os.PathLike[str],
    output_format: str = "mrc",
    run_names: Iterable[str] | str | None = None,
    level: int = 0,
    compression: str | None = None,
    copy_all_levels: bool = True,
    channel: str | None = None,
) -> list[str]:
    """Write segmentations to ``run/Segmentations/name_user_session``; see :func:`export_tomograms`.

    Those that would get one file, since they differ by voxel size or type only, have both in their names.

    Args:
        root: As :func:`export_tomograms` has it, as all that follow.
        segmentation_uri: Which.
        output_dir: Folder.
        output_format: Format.
        run_names: Runs.
        level: Level.
        compression: Compression.
        copy_all_levels: Levels.
        channel: ``"label"`` or ``"instance"`` of panoptic ones; both by default.
    """
    found = _selected(root, segmentation_uri, "segmentation", run_names)
    plain = [f"{s.run.name}/{s.directory}/{s.name}_{s.user_id}_{s.session_id}" for s in found]
    targets = {
        name if plain.count(name) == 1 else f"{name}_{s.voxel_size:.3f}_{s.segmentation_type}": s
        for name, s in zip(plain, found, strict=True)
    }
    return _export_volumes(
        root, segmentation_uri, targets, output_dir, output_format, level, compression, copy_all_levels, channel
    )


def _export_volumes(
    root: CopickRoot,
    uri: str,
    targets: Mapping[str, Any],
    output_dir: str | os.PathLike[str],
    output_format: str,
    level: int,
    compression: str | None,
    copy_all_levels: bool,
    channel: str | None = None,
) -> list[str]:
    if not targets:
        raise InvalidDataError(source=uri, reason="nothing matches, so there is nothing to export")
    if output_format not in VOLUME_FORMATS:
        raise InvalidDataError(source="output_format", reason=f"{output_format!r} is none of {', '.join(VOLUME_FORMATS)}")
    written: list[str] = []
    for name, entity in targets.items():
        path = Path(output_dir) / f"{name}.{SUFFIXES[output_format]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if output_format == "zarr":
            if path.exists() and any(path.iterdir()):
                raise FileExistsError(f"{path} is not empty: delete it, or choose another folder.")
            copy_zarr(entity, path, level, copy_all_levels)
        else:
            write_array(entity, path, output_format, level, compression, channel)
        written.append(str(path))
    return written


def root_of(volume: Any) -> Any:
    """The project of a tomogram or segmentation."""
    return (volume.run if hasattr(volume, "run") else volume.voxel_spacing.run).root


def write_array(
    entity: Any, path: Path, output_format: str, level: int = 0, compression: str | None = None, channel: str | None = None
) -> None:
    """Write one level of a volume to a file of another program, each channel of a panoptic one to a file of its own."""
    if level or channel or len(entity.shape) == 4:
        _write_arrays(entity, path, output_format, level, compression, channel)
        return
    options = {"compression": compression.lower()} if compression and output_format == "tiff" else {}
    report = copick_core.export_volumes(
        root_of(entity), [entity], path, overwrite=True, file_format=VOLUME_FORMATS[output_format], write_options=options
    )
    raise_failures(report)


def copy_zarr(entity: Any, path: Path, level: int, copy_all_levels: bool) -> None:
    """Copy a volume with all its levels, byte for byte, or write one level anew."""
    from zarr.storage import LocalStore

    from copick.util.ome import write_ome_zarr_3d
    from copick_core.volumes.ome import levels

    store = entity.zarr()
    if copy_all_levels and not level:
        from zarr.core.buffer import default_buffer_prototype
        from zarr.core.sync import sync

        async def copy() -> None:
            target = LocalStore(path)
            async for key in store.list():
                data = await store.get(key, default_buffer_prototype())
                if data is not None:
                    await target.set(key, data)

        sync(copy())
        return
    name = levels(store)[level]
    size = entity.voxel_size if hasattr(entity, "voxel_size") else entity.voxel_spacing.voxel_size
    write_ome_zarr_3d(str(path), {size * 2**level: entity.numpy(name)})


def _write_arrays(
    entity: Any, path: Path, output_format: str, level: int, compression: str | None, channel: str | None
) -> None:
    """Write one level, and each channel of a panoptic segmentation to a file of its own."""
    from copick_core.volumes.sources import ArraySource
    from copick_formats.volume_writing import write_em, write_mrc, write_tiff

    size = entity.voxel_size if hasattr(entity, "voxel_size") else entity.voxel_spacing.voxel_size
    channels: list[str | None] = [None]
    if len(entity.shape) == 4:
        channels = [channel] if channel else ["label", "instance"]
    for one in channels:
        data = entity.numpy(str(level)) if one is None else entity.numpy(str(level), channel=one)
        source = ArraySource(data, str(entity.key), (size * 2**level,) * 3)
        target = str(path if one is None or channel else path.with_name(f"{path.stem}_{one}{path.suffix}"))
        if output_format == "tiff":
            write_tiff(target, source, compression=(compression or "none").lower())
        else:
            (write_mrc if output_format == "mrc" else write_em)(target, source)
