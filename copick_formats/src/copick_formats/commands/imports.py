"""``copick-core import``: picks, filaments, meshes and tomograms from files."""

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

_arguments = stacked(click.argument("files", nargs=-1, required=True, type=click.Path(exists=True)), project_option)
_common = stacked(
    click.option(
        "--run-regex", metavar="REGEX", help="Pattern that finds the run in a name: its first group, or all that it matches."
    ),
    click.option("--run-prefix", default="", metavar="TEXT", help="Text to put before the names of runs."),
    click.option("--run-name", "run_names", multiple=True, metavar="NAME=RUN", help="Run that a name stands for; repeatable."),
    click.option("--voxel-size", type=float, help="Voxel size of the tomograms, in angstrom."),
    format_option,
    options_argument,
    if_exists_option("fail", "replace", what="entities that the project has already"),
    click.option("--resume", is_flag=True, help="Skip what was imported before."),
    dry_run_option,
    workers_options,
    as_json_option,
)
_of_annotations = stacked(
    click.option("--session", "session_id", required=True, help="Session of the imported entities."),
    click.option("--object", "object_name", help="Object of the imported entities; by default, the one that the files name."),
    click.option("--user", "user_id", help="User of the imported entities; the config's by default."),
    click.option("--create-runs", is_flag=True, help="Create runs that the project lacks."),
)
_tomo_type = click.option("--tomo-type", help="Type of the tomograms that coordinates refer to.")


@click.group(name="import")
def imports() -> None:
    """Import files of other programs into a project."""


@examples(
    "copick-core import picks run_data.star --session 1 --object ribosome --user relion -O tomograms=tomograms.star",
    "copick-core import picks TS_*.csv --session 1 --object ribosome",
)
@imports.command
@_arguments
@_of_annotations
@_tomo_type
@_common
@formats_option("picks", "reads")
@click.pass_context
def picks(context: click.Context, /, **given: Any) -> None:
    """Import points from FILES.

    The exit code is 1 if a file or some of its points could not be imported; the rest is imported.
    """
    from copick_core.projects.annotation_files import import_picks

    _import(context, import_picks, "picks", given)


@examples("copick-core import filaments microtubules.star --session 1 --object microtubule")
@imports.command
@_arguments
@_of_annotations
@_tomo_type
@_common
@formats_option("filaments", "reads")
@click.pass_context
def filaments(context: click.Context, /, **given: Any) -> None:
    """Import filaments from FILES.

    The exit code is 1 if a file or some of its filaments could not be imported; the rest is imported.
    """
    from copick_core.projects.annotation_files import import_filaments

    _import(context, import_filaments, "filaments", given)


@examples("copick-core import meshes meshes/*.stl --session 1 --object membrane")
@imports.command
@_arguments
@_of_annotations
@_common
@formats_option("mesh", "reads")
@click.pass_context
def meshes(context: click.Context, /, **given: Any) -> None:
    """Import meshes from FILES, one for each run.

    The exit code is 1 if a file could not be imported; the others are imported.
    """
    from copick_core.projects.annotation_files import import_meshes

    _import(context, import_meshes, "mesh", given)


@examples(
    "copick-core import tomograms tomograms/*.mrc --type wbp --run-regex 'TS_[0-9]+'",
    "copick-core import tomograms Tomograms/job006/tomograms.star --type wbp -O tomogram=half1",
)
@imports.command
@_arguments
@click.option("--type", "tomo_type", required=True, help="Type of the tomograms, such as wbp.")
@click.option("--levels", default=3, show_default=True, help="Number of resolution levels.")
@click.option("--dtype", default="float32", show_default=True, help="Data type to store; 'file' keeps that of the file.")
@_common
@formats_option("volume", "reads", "tomograms")
@click.pass_context
def tomograms(context: click.Context, /, **given: Any) -> None:
    """Import tomograms from FILES, one for each run.

    A file may also list tomograms, as a tomograms.star does. The exit code is 1 if a file could not be imported; the
    others are imported.
    """
    from copick_core.projects.volume_files import import_tomograms

    given["dtype"] = None if given["dtype"] == "file" else given["dtype"]
    _import(context, import_tomograms, "volume", given)


def _import(context: click.Context, function: Callable[..., Any], kind: str, given: dict[str, Any]) -> None:
    """Call a function with the options of its command as arguments."""
    from copick_core.opening import from_file
    from copick_core.plugins.choosing import format_that_lists, format_that_reads

    config, files, as_json = given.pop("config"), given.pop("files"), given.pop("as_json")
    pairs = [text.partition("=") for text in given.pop("run_names")]
    if wrong := [name for name, equals, _ in pairs if not equals]:
        raise click.UsageError(f"--run-name is {wrong[0]!r}; write it as NAME=RUN")
    options = given.pop("options")
    read_options = {}
    with in_options(kind):
        if options:
            listing = format_that_lists(files[0], given["file_format"]) if kind == "volume" else None
            chosen = listing or format_that_reads(files[0], kind, given["file_format"])
            read_options = format_options(chosen, chosen.reads, "tomograms" if listing else kind, options)
        report = function(
            from_file(config),
            files,
            run_names={name: run for name, _, run in pairs},
            exist_ok=given.pop("if_exists") == "replace",
            read_options=read_options,
            progress=progress(),
            **given,
        )
    show(context, report, as_json, kind)
