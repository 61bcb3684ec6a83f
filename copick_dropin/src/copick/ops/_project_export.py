"""Writing picks and volumes of a project to files; :mod:`copick.ops._relion_export` has the particles of RELION."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
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


def _raise_failures(report: Any) -> None:
    failed = [f"{row.file}: {row.error}" for row in report.failed]
    if failed:
        raise InvalidDataError(source="export", reason="; ".join(failed))


@contextmanager
def listed_runs(numbers: Mapping[str, Any] | None) -> Iterator[dict[str, str]]:
    """The option of formats that only number their runs: a file with a number and a run in each line.

    Args:
        numbers: Runs by their number; None or nothing if the format is to number them itself.
    """
    if not numbers:
        yield {}
        return
    with TemporaryDirectory() as folder:
        doc = Path(folder) / "runs.doc"
        doc.write_text("".join(f"{number} {run}.mrc\n" for number, run in numbers.items()), encoding="utf-8")
        yield {"doc": str(doc)}


def export_project_picks(
    root: CopickRoot,
    picks: str | Sequence[Any],
    path: str | os.PathLike[str],
    output_format: str,
    run_names: Iterable[str] | str | None = None,
    voxel_size: float | None = None,
    runs_by_number: Mapping[str, Any] | None = None,
) -> list[str]:
    """Write picks to a file for each set of picks, or all of them to one file.

    Args:
        root: The project.
        picks: Their URI, or the picks.
        path: The file of all, or with ``{run}``, ``{object}``, ``{user}`` and ``{session}`` that of each.
        output_format: em, dynamo or csv.
        run_names: Only those of these runs.
        voxel_size: Voxel size of the tomograms that coordinates of em and dynamo count in.
        runs_by_number: Runs by the numbers that em and dynamo have for them.

    Returns:
        The files.

    Raises:
        ValueError: Nothing matches, or a file cannot be written; everything that can be is.
    """
    found = _selected(root, picks, "picks", run_names) if isinstance(picks, str) else picks
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    options: dict[str, Any] = {} if voxel_size is None or output_format == "csv" else {"voxel_size": voxel_size}
    with listed_runs(None if output_format == "csv" else runs_by_number) as listed:
        report = copick_core.export_picks(
            root,  # type: ignore[arg-type]
            found,
            path,
            overwrite=True,
            merge="{" not in os.fspath(path),
            file_format=PICKS_FORMATS[output_format],
            write_options=options | listed,
        )
    _raise_failures(report)
    return [*dict.fromkeys(row.file for row in report.rows)]


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
    written: list[str] = []
    for name, entity in targets.items():
        path = str(Path(output_dir) / f"{name}.{SUFFIXES[output_format]}")
        written.append(export_volume(entity, path, output_format, level, compression, copy_all_levels, channel))
    return written


def export_volume(
    entity: Any,
    path: str,
    output_format: str,
    level: int = 0,
    compression: str | None = None,
    copy_all_levels: bool = True,
    channel: str | None = None,
) -> str:
    """Write a tomogram or segmentation to a file, or to a folder of zarr, and return its path.

    Raises:
        ValueError: The format is unknown, or cannot hold the values.
        FileExistsError: The zarr folder is not empty.
    """
    if output_format not in VOLUME_FORMATS:
        known = ", ".join(VOLUME_FORMATS)
        reason = f"Unsupported output format {output_format!r}: it is none of {known}"
        raise InvalidDataError(source="output_format", reason=reason)
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    if output_format != "zarr":
        _write_array(entity, target, output_format, level, compression, channel)
    elif target.exists() and any(target.iterdir()):
        raise FileExistsError(f"{path} is not empty: delete it, or choose another folder.")
    else:
        _copy_zarr(entity, target, level, copy_all_levels)
    return path


def _root_of(volume: Any) -> Any:
    """The project of a tomogram or segmentation."""
    return (volume.run if hasattr(volume, "run") else volume.voxel_spacing.run).root


def _write_array(
    entity: Any, path: Path, output_format: str, level: int = 0, compression: str | None = None, channel: str | None = None
) -> None:
    """Write one level of a volume to a file of another program, each channel of a panoptic one to a file of its own."""
    if level or channel or len(entity.shape) == 4:
        _write_arrays(entity, path, output_format, level, compression, channel)
        return
    options = {"compression": compression.lower()} if compression and output_format == "tiff" else {}
    report = copick_core.export_volumes(
        _root_of(entity), [entity], path, overwrite=True, file_format=VOLUME_FORMATS[output_format], write_options=options
    )
    _raise_failures(report)


def _copy_zarr(entity: Any, path: Path, level: int, copy_all_levels: bool) -> None:
    """Copy a volume with all its levels, byte for byte, or write one level anew."""
    from zarr.storage import LocalStore

    from copick.util.ome import write_ome_zarr_3d
    from copick_core.projects.copying import copy_store
    from copick_core.volumes.ome import levels

    store = entity.zarr()
    if copy_all_levels and not level:
        copy_store(store, LocalStore(path))
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
