"""``copick-core export``: picks, filaments, meshes and volumes to files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from copick_core.cli.parameters import examples, if_exists_option, project_option
from copick_formats.commands.report import (
    as_json_option,
    dry_run_option,
    format_option,
    format_options,
    formats_option,
    in_options,
    options_argument,
    progress,
    show,
    workers_options,
)
from copick_formats.options import stacked

_arguments = stacked(click.argument("address"), click.argument("path"), project_option)
_common = stacked(
    format_option,
    options_argument,
    if_exists_option("fail", "skip", "replace", what="files that exist"),
    dry_run_option,
    workers_options,
    as_json_option,
)
_of_annotations = stacked(
    click.option("--voxel-size", type=float, help="Voxel size of the tomograms that coordinates refer to, in angstrom."),
    click.option("--tomo-type", help="Type of these tomograms."),
    click.option("--merge", is_flag=True, help="Write several objects, users or sessions into one file."),
)


@click.group(name="export")
def exports() -> None:
    """Export what a project holds to files of other programs."""


@examples(
    "copick-core export picks 'TS_*/ribosome:alice/1' particles.star -O tomograms=tomograms.star",
    "copick-core export picks '*/ribosome' 'picks/{run}_{user}.csv'",
)
@exports.command
@_arguments
@_of_annotations
@_common
@formats_option("picks", "writes")
@click.pass_context
def picks(context: click.Context, /, **given: Any) -> None:
    """Export the picks that ADDRESS matches to PATH.

    With {run}, {object}, {user} or {session} in PATH, there are several files. The exit code is 1 if one could not be written.
    """
    from copick_core.projects.annotation_files import export_picks

    _export(context, export_picks, "picks", given)


@examples("copick-core export filaments 'TS_*/microtubule:alice/1' microtubules.star")
@exports.command
@_arguments
@_of_annotations
@_common
@formats_option("filaments", "writes")
@click.pass_context
def filaments(context: click.Context, /, **given: Any) -> None:
    """Export the filaments that ADDRESS matches to PATH.

    With {run}, {object}, {user} or {session} in PATH, there are several files. The exit code is 1 if one could not be written.
    """
    from copick_core.projects.annotation_files import export_filaments

    _export(context, export_filaments, "filaments", given)


@examples("copick-core export meshes 'TS_*/membrane:alice/1' 'meshes/{run}.stl'")
@exports.command
@_arguments
@_common
@formats_option("mesh", "writes")
@click.pass_context
def meshes(context: click.Context, /, **given: Any) -> None:
    """Export the meshes that ADDRESS matches to PATH, which contains {run}.

    The exit code is 1 if a file could not be written.
    """
    from copick_core.projects.annotation_files import export_meshes

    _export(context, export_meshes, "mesh", given)


@examples("copick-core export volumes 'TS_*/wbp@10.0' 'tomograms/{run}.mrc' --kind tomogram")
@exports.command
@_arguments
@click.option("--kind", help="tomogram, segmentation, features or object, where the address can mean several.")
@_common
@formats_option("volume", "writes")
@click.pass_context
def volumes(context: click.Context, /, **given: Any) -> None:
    """Export the volumes that ADDRESS matches to PATH, which contains {run}.

    The exit code is 1 if a file could not be written.
    """
    from copick_core.projects.volume_files import export_volumes

    _export(context, export_volumes, "volume", given)


def _export(context: click.Context, export: Callable[..., Any], kind: str, given: dict[str, Any]) -> None:
    from copick_core.opening import from_file
    from copick_core.plugins.choosing import format_that_writes

    config, address, path = (given.pop(name) for name in ("config", "address", "path"))
    as_json, if_exists = given.pop("as_json"), given.pop("if_exists")
    given |= {"overwrite": if_exists == "replace", "resume": if_exists == "skip"}
    with in_options(kind):
        chosen = format_that_writes(path, kind, given["file_format"])
        options = format_options(chosen, chosen.writes, kind, given.pop("options"))
        report = export(from_file(config), address, path, write_options=options, progress=progress(), **given)
    show(context, report, as_json, kind)
