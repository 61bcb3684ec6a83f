"""``copick add``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from copick.cli import util
from copick.cli.files import for_each_file
from copick.cli.projects import one_line_errors, opened, options, runs_by_number


@click.group(no_args_is_help=True)
def add() -> None:
    """Add objects, volumes and picks to a project."""


_common = options(util.add_config_option, util.add_debug_option)
_picks_target = options(
    click.option("--object-name", required=True, help="Object of the points."), util.add_user_session_options
)


@add.command("tomogram", short_help="Add tomograms from files.")
@click.argument("path")
@_common
@util.add_run_options
@click.option("--tomo-type", default="wbp", show_default=True, help="Type of the tomograms.")
@click.option("--file-type", type=click.Choice(["mrc", "zarr", "tiff", "em"]), help="By content by default.")
@click.option("--voxel-size", type=float, help="In angstrom; that of the file by default.")
@util.add_pyramid_create_options
@util.add_volume_transform_options
@util.add_max_workers_option
@util.add_create_overwrite_options
@one_line_errors
def add_tomogram(
    path: str, config: str, debug: bool, run: str, run_regex: str, run_name_prefix: str, tomo_type: str, file_type: str | None,
    voxel_size: float | None, create_pyramid: bool, pyramid_levels: int, chunk_size: str, transpose: str | None,
    flip: str | None, max_workers: int, create: bool, overwrite: bool,
) -> None:  # fmt: skip
    """Add tomograms from the file or files (a pattern) in PATH, one for each run."""
    from copick.ops._files import tomogram_from_file

    root = opened(config)
    z, y, x = (int(n) for n in chunk_size.split(","))

    def work(file: str, name: str) -> None:
        tomogram_from_file(
            root, name, file, tomo_type, voxel_size, create, overwrite, create_pyramid, pyramid_levels, (z, y, x),
            transpose, flip, file_type,
        )  # fmt: skip

    for_each_file(path, run, run_regex, run_name_prefix, work)


@add.command("segmentation", short_help="Add segmentations from files.")
@click.argument("path")
@_common
@util.add_run_options
@click.option("--name", default="", help="Name of the segmentation, or of its object; needed.")
@click.option("--voxel-size", type=float, help="In angstrom; that of the file by default.")
@util.add_user_session_options
@click.option("--file-type", type=click.Choice(["mrc", "zarr", "tiff", "em"]), help="By content by default.")
@click.option(
    "--segmentation-type",
    type=click.Choice(["multilabel", "binary", "instance", "panoptic"]),
    default="multilabel",
    show_default=True,
    help="What voxels mean.",
)
@util.add_volume_transform_options
@util.add_max_workers_option
@util.add_create_overwrite_options
@one_line_errors
def add_segmentation(
    path: str, config: str, debug: bool, run: str, run_regex: str, run_name_prefix: str, name: str, voxel_size: float | None,
    user_id: str, session_id: str, file_type: str | None, segmentation_type: str, transpose: str | None, flip: str | None,
    max_workers: int, create: bool, overwrite: bool,
) -> None:  # fmt: skip
    """Add segmentations from the file or files (a pattern) in PATH, one for each run."""
    from copick.ops._files import segmentation_from_file

    if not name:
        raise click.UsageError("Give --name.")
    root = opened(config)

    def work(file: str, run: str) -> None:
        segmentation_from_file(
            root, run, file, voxel_size, name, user_id, session_id, create, overwrite, transpose, flip, segmentation_type,
            file_type,
        )  # fmt: skip

    for_each_file(path, run, run_regex, run_name_prefix, work)


@add.command("picks", short_help="Add picks from files.")
@click.argument("path")
@_common
@util.add_run_options
@_picks_target
@click.option("--voxel-size", type=float, help="Angstrom per voxel that coordinates count in.")
@click.option("--tilt-series-pixel-size", type=float, help="Angstrom per pixel of RELION's tilt series.")
@click.option("--tomograms-star", type=click.Path(exists=True), help="RELION's list of tomograms.")
@click.option("--file-type", type=click.Choice(["em", "star", "dynamo", "csv"]), help="By suffix by default.")
@util.add_max_workers_option
@util.add_create_overwrite_options
@one_line_errors
def add_picks(
    path: str, config: str, debug: bool, run: str, run_regex: str, run_name_prefix: str, object_name: str, user_id: str,
    session_id: str, voxel_size: float | None, tilt_series_pixel_size: float | None, tomograms_star: str | None,
    file_type: str | None, max_workers: int, create: bool, overwrite: bool,
) -> None:  # fmt: skip
    """Add picks from the file or files (a pattern) in PATH, one for each run; CSV files name their runs themselves."""
    from copick.ops._files import picks_from_file, picks_of_runs_from_file, picks_type_of

    root = opened(config)
    kind = picks_type_of(path, file_type)
    if kind == "csv" and not run:
        made = picks_of_runs_from_file(root, path, object_name, user_id, session_id, voxel_size, create, overwrite, kind)
        click.echo(f"{path}: added to {', '.join(made)}", err=True)
        return

    def work(file: str, name: str) -> None:
        picks_from_file(
            root, name, file, object_name, user_id, session_id, voxel_size, create, overwrite, kind,
            tilt_series_pixel_size=tilt_series_pixel_size, tomograms_star=tomograms_star,
        )  # fmt: skip

    for_each_file(path, run, run_regex, run_name_prefix, work)


def _grouped(path: str, config: str, kind: str, object_name: str, user_id: str, session_id: str, **options: Any) -> None:
    from copick.ops._files import picks_of_runs_from_file

    made = picks_of_runs_from_file(opened(config), path, object_name, user_id, session_id, file_type=kind, **options)
    click.echo(f"{path}: added to {', '.join(made)}", err=True)


@add.command("picks-relion", short_help="Add particles of RELION to their runs.")
@click.argument("path", type=click.Path(exists=True))
@_common
@_picks_target
@click.option("--voxel-size", type=float, help="Angstrom per voxel that coordinates count in.")
@click.option("--tilt-series-pixel-size", type=float, help="Angstrom per pixel of the tilt series.")
@click.option("--tomograms-star", type=click.Path(exists=True), help="List of tomograms.")
@click.option("--relion-version", type=click.Choice(["auto", "relion4", "relion5"]), default="auto", show_default=True)
@util.add_max_workers_option
@util.add_create_overwrite_options
@one_line_errors
def add_picks_relion(
    path: str, config: str, debug: bool, object_name: str, user_id: str, session_id: str, voxel_size: float | None,
    tilt_series_pixel_size: float | None, tomograms_star: str | None, relion_version: str, max_workers: int, create: bool,
    overwrite: bool,
) -> None:  # fmt: skip
    """Add particles of a STAR file to the runs in rlnTomoName."""
    from copick_formats.star import read_star

    labels = {label for block in read_star(path) for label in block.columns}
    wanted = {"relion5": "rlnCenteredCoordinateXAngst", "relion4": "rlnCoordinateX"}.get(relion_version)
    if wanted and wanted not in labels:
        raise click.ClickException(f"{path} has no column {wanted}, which files of {relion_version} have.")
    _grouped(
        path, config, "star", object_name, user_id, session_id, voxel_spacing=voxel_size, create=create, exist_ok=overwrite,
        tilt_series_pixel_size=tilt_series_pixel_size, tomograms_star=tomograms_star,
    )  # fmt: skip


@add.command("picks-em", short_help="Add a motive list to its runs.")
@click.argument("path", type=click.Path(exists=True))
@_common
@_picks_target
@click.option("--voxel-size", type=float, required=True, help="Angstrom per voxel that coordinates count in.")
@click.option("--index-map", type=click.Path(exists=True), help="A number and a run in each line.")
@click.option("--tomo-index-row", type=int, default=4, show_default=True, help="Row with the tomogram's number, from 0.")
@util.add_max_workers_option
@util.add_create_overwrite_options
@one_line_errors
def add_picks_em(
    path: str, config: str, debug: bool, object_name: str, user_id: str, session_id: str, voxel_size: float,
    index_map: str | None, tomo_index_row: int, max_workers: int, create: bool, overwrite: bool,
) -> None:  # fmt: skip
    """Add the particles of a motive list (EM file) to their runs."""
    _grouped(
        path, config, "em", object_name, user_id, session_id, voxel_spacing=voxel_size, create=create, exist_ok=overwrite,
        index_map=runs_by_number(index_map), tomogram_row=tomo_index_row,
    )  # fmt: skip


@add.command("picks-dynamo", short_help="Add a table of Dynamo to its runs.")
@click.argument("path", type=click.Path(exists=True))
@_common
@_picks_target
@click.option("--voxel-size", type=float, required=True, help="Angstrom per voxel that coordinates count in.")
@click.option("--index-map", type=click.Path(exists=True), help="A number and a run in each line.")
@click.option("--tomolist", type=click.Path(exists=True), help="A number and a tomogram in each line.")
@util.add_max_workers_option
@util.add_create_overwrite_options
@one_line_errors
def add_picks_dynamo(
    path: str, config: str, debug: bool, object_name: str, user_id: str, session_id: str, voxel_size: float,
    index_map: str | None, tomolist: str | None, max_workers: int, create: bool, overwrite: bool,
) -> None:  # fmt: skip
    """Add the particles of a table of Dynamo to their runs."""
    _grouped(
        path, config, "dynamo", object_name, user_id, session_id, voxel_spacing=voxel_size, create=create,
        exist_ok=overwrite, index_map=runs_by_number(index_map), tomolist=tomolist,
    )  # fmt: skip


def _listed_tomograms(
    config: str, files: dict[str, tuple[str, float | None]], tomo_type: str, create: bool, overwrite: bool, **options: Any
) -> None:
    from copick.ops._files import tomogram_from_file

    root = opened(config)
    failed = []
    for run, (file, size) in files.items():
        try:
            tomogram_from_file(root, run, file, tomo_type, size, create, overwrite, **options)
        except Exception as error:  # the others go on, and the exit code tells
            failed.append(f"{run}: {error}")
    if failed:
        raise click.ClickException("\n".join(failed))


_of_lists = options(
    click.option("--tomo-type", default="wbp", show_default=True, help="Type of the tomograms."),
    click.option("--voxel-size", type=float, help="In angstrom; that of the files by default."),
    click.option("--file-type", type=click.Choice(["mrc", "zarr", "tiff", "em"]), help="By content by default."),
    util.add_pyramid_create_options,
    util.add_volume_transform_options,
    util.add_max_workers_option,
    util.add_create_overwrite_options,
)


def _volume_options(given: dict[str, Any]) -> dict[str, Any]:
    z, y, x = (int(n) for n in given["chunk_size"].split(","))
    names = ("create_pyramid", "pyramid_levels", "transpose", "flip", "file_type")
    return {"chunks": (z, y, x), **{name: given[name] for name in names}}


@add.command("tomograms-dynamo", short_help="Add the tomograms in a list of Dynamo.")
@_common
@click.option("--tomolist", required=True, type=click.Path(exists=True), help="A number and a tomogram in each line.")
@click.option("--index-map", type=click.Path(exists=True), help="A number and a run in each line.")
@_of_lists
@one_line_errors
def add_tomograms_dynamo(
    config: str, debug: bool, tomolist: str, index_map: str | None, tomo_type: str, voxel_size: float | None, **given: Any
) -> None:
    """Add the tomograms that a list of Dynamo names."""
    names = runs_by_number(index_map) or {}
    paths = runs_by_number(tomolist) or {}
    files = {names.get(number, Path(path).stem): (path, voxel_size) for number, path in paths.items()}
    _listed_tomograms(config, files, tomo_type, given["create"], given["overwrite"], **_volume_options(given))


@add.command("tomograms-relion", short_help="Add the tomograms in a list of RELION.")
@_common
@click.option("--tomograms-star", required=True, type=click.Path(exists=True), help="List of tomograms.")
@click.option("--base-dir", required=True, type=click.Path(exists=True), help="Folder that paths in it start at.")
@click.option("--half", type=click.Choice(["half1", "half2"]), default="half1", show_default=True, help="Which half.")
@_of_lists
@one_line_errors
def add_tomograms_relion(
    config: str,
    debug: bool,
    tomograms_star: str,
    base_dir: str,
    half: str,
    tomo_type: str,
    voxel_size: float | None,
    **given: Any,
) -> None:
    """Add the reconstructed tomograms that a tomograms.star names."""
    from copick_formats.relion_tomograms import read_listed_tomograms

    found = read_listed_tomograms(tomograms_star, tomogram=half, folder=base_dir)
    files = {str(one.run): (one.path, one.voxel_size if voxel_size is None else voxel_size) for one in found}
    _listed_tomograms(config, files, tomo_type, given["create"], given["overwrite"], **_volume_options(given))


@add.command("object", short_help="Add an object to the configuration.")
@_common
@click.option("--name", required=True, help="Its name.")
@click.option(
    "--object-type",
    type=click.Choice(["particle", "segmentation", "filament"]),
    default="particle",
    show_default=True,
    help="What represents it.",
)
@click.option("--label", type=int, help="Its label; the next one by default.")
@click.option("--color", help="R,G,B,A, each 0 to 255.")
@click.option("--emdb-id", help="EMDB id.")
@click.option("--pdb-id", help="PDB id.")
@click.option("--identifier", help="Gene Ontology id, UniProtKB accession or the like.")
@click.option("--map-threshold", type=float, help="Threshold of its map.")
@click.option("--radius", type=float, default=50.0, show_default=True, help="In angstrom.")
@click.option("--polar/--apolar", default=None, help="Whether the ends of a filament differ.")
@click.option("--helical-rise", type=float, help="Rise of a filament in angstrom.")
@click.option("--helical-twist", type=float, help="Twist of a filament in degrees.")
@click.option("--metadata", help="Anything else, as JSON.")
@click.option("--volume", type=click.Path(exists=True), help="File with its density map.")
@click.option("--volume-format", type=click.Choice(["mrc", "zarr", "map"]), help="Type of that file.")
@click.option("--voxel-size", type=float, help="Voxel size of the map in angstrom; that of the file by default.")
@click.option("--exist-ok/--no-exist-ok", default=False, show_default=True, help="Update one that exists.")
@one_line_errors
def add_object(
    config: str, debug: bool, name: str, object_type: str, label: int | None, color: str | None, emdb_id: str | None,
    pdb_id: str | None, identifier: str | None, map_threshold: float | None, radius: float, polar: bool | None,
    helical_rise: float | None, helical_twist: float | None, metadata: str | None, volume: str | None,
    volume_format: str | None, voxel_size: float | None, exist_ok: bool,
) -> None:  # fmt: skip
    """Add an object to the configuration, and write it."""
    from copick.ops.add import add_object as add

    root = opened(config)
    spec = {"polar": polar, "helical_rise_a": helical_rise, "helical_twist_deg": helical_twist}
    given = {key: value for key, value in spec.items() if value is not None}
    if given and object_type != "filament":
        raise click.UsageError("--polar, --helical-rise and --helical-twist are for filaments.")
    rgba: Any = None
    if color:
        try:
            rgba = tuple(int(number) for number in color.split(","))
        except ValueError:
            rgba = ()
        if len(rgba) != 4:
            raise click.BadParameter("give four comma-separated values R,G,B,A, each 0 to 255", param_hint="--color")
    if metadata:
        try:
            json.loads(metadata)
        except ValueError as error:
            raise click.BadParameter(f"it is not in valid JSON format: {error}", param_hint="--metadata") from error
    made = add(
        root, name, object_type != "segmentation", label, rgba, emdb_id, pdb_id, identifier, map_threshold, radius,
        metadata=json.loads(metadata) if metadata else None, exist_ok=exist_ok, save_config=True, config_path=config,
        filament=given if object_type == "filament" else None,
    )  # fmt: skip
    if volume:
        _add_map(made, volume, volume_format, voxel_size)


@add.command("object-volume", short_help="Add the density map of an object.")
@_common
@click.option("--object-name", required=True, help="The object.")
@click.option("--volume-path", required=True, type=click.Path(exists=True), help="The file.")
@click.option("--volume-format", type=click.Choice(["mrc", "zarr"]), help="Its type.")
@click.option("--voxel-size", type=float, help="In angstrom; that of the file by default.")
@one_line_errors
def add_object_volume(
    config: str, debug: bool, object_name: str, volume_path: str, volume_format: str | None, voxel_size: float | None
) -> None:
    """Store the density map of an object."""
    found = opened(config).get_object(object_name)
    if found is None:
        raise click.ClickException(f"The project has no object {object_name!r}.")
    _add_map(found, volume_path, volume_format, voxel_size)


def _add_map(target: Any, path: str, file_type: str | None, voxel_size: float | None) -> None:
    from copick.ops._files import volume_format, voxel_size_of

    if not target.is_particle:
        raise click.ClickException(f"{target.name!r} is not a particle object: it has no density map.")
    size = voxel_size if voxel_size is not None else voxel_size_of(path, file_type)
    target.import_volume(path, voxel_size=size, file_format=volume_format(file_type))


object = add_object  # the name that scripts of copick import
