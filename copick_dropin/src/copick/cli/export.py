"""``copick export``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from copick.cli import util
from copick.cli.projects import one_line_errors, opened, options, runs_by_number
from copick.cli.types import CopickURI


@click.group(no_args_is_help=True)
def export() -> None:
    """Write picks and volumes to files."""


_common = options(util.add_config_option, util.add_debug_option, util.add_run_names_option)


@export.command("picks", short_help="Write picks to files.")
@_common
@click.option("--picks-uri", required=True, type=CopickURI("picks"), help="The picks, such as ribosome:alice/1.")
@click.option("--output-dir", type=click.Path(file_okay=False), help="Folder: one file for each set of picks.")
@click.option("--output-file", type=click.Path(dir_okay=False), help="One file for all.")
@click.option("--output-format", type=click.Choice(["em", "star", "dynamo", "csv"]), required=True, help="Format.")
@click.option("--voxel-size", type=float, help="Angstrom per voxel that coordinates count in.")
@click.option("--index-map", type=click.Path(exists=True), help="File with a number and a run in each line.")
@click.option("--include-optics/--no-include-optics", default=True, hidden=True)
@click.option("--tilt-series-pixel-size", type=float, help="Angstrom per pixel of RELION's tilt series.")
@click.option("--tomograms-star", type=click.Path(exists=True), help="RELION's list of tomograms.")
@click.option("--star-layout", type=click.Choice(["particles", "import"]), default="particles", show_default=True)
@click.option("--tomo-type", help="Type of the tomograms whose sizes count.")
@click.option("--coordinates", type=click.Choice(["auto", "centered"]), default="auto", show_default=True)
@click.option("--filament-columns", type=click.Choice(["auto", "on", "off"]), default="auto", show_default=True)
@click.option("--polarity-from-filaments/--no-polarity-from-filaments", default=True, hidden=True)
@click.option("--filaments-uri", type=CopickURI("filaments", "reference"), hidden=True)
@click.option("--filament-angles", type=click.Choice(["frame", "pose"]), default="frame", show_default=True)
@click.option(
    "--half-sets",
    type=click.Choice(["none", "filament"]),
    default="none",
    show_default=True,
    help="Put each filament into one of two half sets.",
)
@util.add_max_workers_option
@one_line_errors
def export_picks(
    config: str,
    picks_uri: str,
    output_dir: str | None,
    output_file: str | None,
    output_format: str,
    voxel_size: float | None,
    index_map: str | None,
    **given: Any,
) -> None:
    """Write picks to files of other programs."""
    from copick.ops._project_export import SUFFIXES, export_project_picks

    if (output_dir is None) == (output_file is None):
        raise click.UsageError("Give --output-dir or --output-file.")
    if output_format != "csv" and voxel_size is None:
        raise click.UsageError(f"--voxel-size is needed for {output_format}.")
    root = opened(config)
    runs = util.resolve_run_names(given["run_names"])
    if output_format == "star":
        files = _star(root, picks_uri, output_dir, output_file, voxel_size, runs, given)
    else:
        path = output_file or str(Path(str(output_dir)) / f"{{run}}_{{object}}_{{user}}_{{session}}.{SUFFIXES[output_format]}")
        numbers = runs_by_number(index_map)
        files = export_project_picks(root, picks_uri, path, output_format, runs, voxel_size, numbers)
    for file in files:
        click.echo(f"{file}: written", err=True)


def _star(
    root: Any, uri: str, folder: str | None, file: str | None, voxel_size: float | None, runs: Any, given: dict[str, Any]
) -> list[str]:
    """Write RELION's particles: to one file, or to a file for each set of picks."""
    from copick.ops.export import export_picks, export_relion_particles
    from copick.util.uri import resolve_copick_objects

    given["half_sets"] = None if given["half_sets"] == "none" else given["half_sets"]
    if given["filaments_uri"] and not given["polarity_from_filaments"]:
        raise click.UsageError("--filaments-uri says the polarity; leave out --no-polarity-from-filaments.")
    if given["half_sets"] and given["filament_columns"] == "off":
        raise click.UsageError(
            "--half-sets filament assigns half sets by rlnHelicalTubeID, which --filament-columns off leaves out."
        )
    layout = given.pop("star_layout")
    names = ("tilt_series_pixel_size", "tomograms_star", "filament_columns", "polarity_from_filaments", "filaments_uri")
    shape = {name: given[name] for name in (*names, "tomo_type", "coordinates", "filament_angles", "half_sets")}
    shape |= {"voxel_spacing": voxel_size, "include_optics": given["include_optics"]}
    if file is not None:
        made = export_relion_particles(root, uri, file, run_names=runs or None, layout=layout, **shape)
        return [made.path, *made.files.values()]
    if layout == "import":
        raise click.UsageError("--star-layout import writes a list of files: give --output-file.")
    selected = [picks for run in runs or [None] for picks in resolve_copick_objects(uri, root, "picks", run)]
    if not selected:
        raise click.ClickException(f"Nothing matches {uri}.")
    paths = []
    for picks in selected:
        name = f"{picks.run.name}_{picks.pickable_object_name}_{picks.user_id}_{picks.session_id}.star"
        paths.append(export_picks(picks, str(Path(str(folder)) / name), "star", **shape))
    return paths


@export.command("tomogram", short_help="Write tomograms to files.")
@_common
@click.option("--tomogram-uri", required=True, type=CopickURI("tomogram"), help="The tomograms, such as wbp@10.0.")
@util.add_export_common_options
@click.option("--output-format", type=click.Choice(["mrc", "tiff", "zarr"]), required=True, help="Format.")
@util.add_pyramid_export_options
@util.add_max_workers_option
@one_line_errors
def export_tomogram(config: str, tomogram_uri: str, output_dir: str, output_format: str, **given: Any) -> None:
    """Write tomograms to files."""
    from copick.ops._project_export import export_tomograms

    runs = util.resolve_run_names(given["run_names"])
    shape = given["level"], given["compression"], given["copy_all_levels"]
    for file in export_tomograms(opened(config), tomogram_uri, output_dir, output_format, runs, *shape):
        click.echo(f"{file}: written", err=True)


@export.command("segmentation", short_help="Write segmentations to files.")
@_common
@click.option("--segmentation-uri", required=True, type=CopickURI("segmentation"), help="Such as membrane:alice/1@10.0.")
@util.add_export_common_options
@click.option("--output-format", type=click.Choice(["mrc", "tiff", "zarr", "em"]), required=True, help="Format.")
@util.add_pyramid_export_options
@click.option("--channel", type=click.Choice(["label", "instance"]), help="Channel of panoptic ones; both by default.")
@util.add_max_workers_option
@one_line_errors
def export_segmentation(
    config: str, segmentation_uri: str, output_dir: str, output_format: str, channel: str | None, **given: Any
) -> None:
    """Write segmentations to files."""
    from copick.ops._project_export import export_segmentations

    runs = util.resolve_run_names(given["run_names"])
    shape = given["level"], given["compression"], given["copy_all_levels"]
    for file in export_segmentations(opened(config), segmentation_uri, output_dir, output_format, runs, *shape, channel):
        click.echo(f"{file}: written", err=True)
