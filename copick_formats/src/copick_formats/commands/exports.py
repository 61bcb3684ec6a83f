"""``copick-core export picks`` and ``export volumes``."""

from __future__ import annotations

from typing import Any

import click

from copick_formats.commands.report import (
    as_json_option,
    dry_run_option,
    format_option,
    format_options,
    options_argument,
    progress,
    show,
)


@click.group(name="export")
def exports() -> None:
    """Export what a project holds to files of other programs."""


@exports.command
@click.argument("config")
@click.argument("address")
@click.argument("path")
@click.option("--voxel-size", type=float, help="Voxel size of the tomograms that coordinates count in.")
@click.option("--tomo-type", help="Type of these tomograms.")
@click.option("--merge", is_flag=True, help="Write picks of several objects, users or sessions into one file.")
@format_option
@options_argument
@click.option("--overwrite", is_flag=True, help="Replace files that exist.")
@click.option("--resume", is_flag=True, help="Leave out files that exist.")
@dry_run_option
@as_json_option
@click.pass_context
def picks(context: click.Context, /, config: str, address: str, path: str, as_json: bool, **given: Any) -> None:
    """Export the picks that ADDRESS matches, such as "TS_*/ribosome:alice/1", to PATH.

    With {run}, {object}, {user} or {session} in PATH, there are several files. The exit code is 1 if one could not be written.
    """
    from copick_core.opening import from_file
    from copick_core.projects.picks_files import export_picks

    options = _write_options(path, "picks", given["file_format"], given.pop("options"))
    report = export_picks(from_file(config), address, path, write_options=options, progress=progress(), **given)
    show(context, report, as_json)


@exports.command
@click.argument("config")
@click.argument("address")
@click.argument("path")
@click.option("--kind", help="tomogram, segmentation or features, where the address can mean several.")
@format_option
@options_argument
@click.option("--overwrite", is_flag=True, help="Replace files that exist.")
@click.option("--resume", is_flag=True, help="Leave out files that exist.")
@dry_run_option
@as_json_option
@click.pass_context
def volumes(context: click.Context, /, config: str, address: str, path: str, as_json: bool, **given: Any) -> None:
    """Export the volumes that ADDRESS matches, such as "TS_*/wbp@10.0", to PATH, which names {run}.

    The exit code is 1 if a file could not be written.
    """
    from copick_core.opening import from_file
    from copick_core.projects.volume_files import export_volumes

    options = _write_options(path, "volume", given["file_format"], given.pop("options"))
    report = export_volumes(from_file(config), address, path, write_options=options, progress=progress(), **given)
    show(context, report, as_json)


def _write_options(path: str, kind: str, file_format: str | None, given: tuple[str, ...]) -> dict[str, Any]:
    from copick_core.plugins.choosing import format_that_writes

    chosen = format_that_writes(path, kind, file_format)
    return format_options(chosen, chosen.writes, kind, given)
