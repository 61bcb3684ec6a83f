"""``copick-core import picks`` and ``import tomograms``."""

from __future__ import annotations

from collections.abc import Callable
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


@click.group(name="import")
def imports() -> None:
    """Import files of other programs into a project."""


def _common(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that all imports have."""
    for option in reversed((
        click.option("--run-regex", metavar="REGEX", help="The run is the first group, or all that matches, in a name."),
        click.option("--run-prefix", default="", metavar="TEXT", help="Put in front of the names of runs."),
        click.option("--run-name", "run_names", multiple=True, metavar="NAME=RUN", help="The run of a name; repeatable."),
        click.option("--voxel-size", type=float, help="Voxel size of the tomograms, in angstrom."),
        format_option,
        options_argument,
        click.option("--overwrite", is_flag=True, help="Replace what exists."),
        click.option("--resume", is_flag=True, help="Leave out what was imported before."),
        dry_run_option,
        click.option("--workers", type=int, help="How many runs are worked on at the same time."),
        as_json_option,
    )):  # fmt: skip
        function = option(function)
    return function


@imports.command
@click.argument("config")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True))
@click.option("--session", required=True, help="Session of the picks.")
@click.option("--object", "object_name", help="Object of the points; what the files name by default.")
@click.option("--user", help="User of the picks; that of the configuration by default.")
@click.option("--tomo-type", help="Type of the tomograms that coordinates count in.")
@click.option("--create-runs", is_flag=True, help="Make runs that the project does not have.")
@_common
@click.pass_context
def picks(
    context: click.Context,
    /,
    config: str,
    files: tuple[str, ...],
    session: str,
    object_name: str | None,
    user: str | None,
    tomo_type: str | None,
    create_runs: bool,
    **options: Any,
) -> None:
    """Import points from FILES into the project of the configuration file CONFIG.

    The exit code is 1 if a file or some of its points could not be imported; the rest is.
    """
    from copick_core.opening import from_file
    from copick_core.projects.picks_files import import_picks

    as_json, given = options.pop("as_json"), _arguments(options, files, "picks")
    report = import_picks(
        from_file(config), files, session, object_name, user,
        tomo_type=tomo_type, create_runs=create_runs, progress=progress(), **given,
    )  # fmt: skip
    show(context, report, as_json)


@imports.command
@click.argument("config")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True))
@click.option("--type", "tomo_type", required=True, help="Type of the tomograms, such as wbp.")
@click.option("--levels", default=3, show_default=True, help="Number of resolution levels.")
@click.option("--dtype", default="float32", show_default=True, help="Type to store; 'file' for that of the file.")
@_common
@click.pass_context
def tomograms(
    context: click.Context, /, config: str, files: tuple[str, ...], tomo_type: str, levels: int, dtype: str, **options: Any
) -> None:
    """Import tomograms from FILES, one for each run, into the project of the configuration file CONFIG.

    The exit code is 1 if a file could not be imported; the others are.
    """
    from copick_core.opening import from_file
    from copick_core.projects.volume_files import import_tomograms

    as_json, given = options.pop("as_json"), _arguments(options, files, "volume")
    stored = None if dtype == "file" else dtype
    report = import_tomograms(from_file(config), files, tomo_type, levels=levels, dtype=stored, progress=progress(), **given)
    show(context, report, as_json)


def _arguments(options: dict[str, Any], files: tuple[str, ...], kind: str) -> dict[str, Any]:
    """The options of the command as arguments of the function."""
    from copick_core.plugins.choosing import format_that_reads

    pairs = [text.partition("=") for text in options.pop("run_names")]
    if wrong := [name for name, equals, _ in pairs if not equals]:
        raise click.UsageError(f"--run-name is {wrong[0]!r}; write it as NAME=RUN")
    given = options.pop("options")
    read_options = {}
    if given:
        chosen = format_that_reads(files[0], kind, options["file_format"])
        read_options = format_options(chosen, chosen.reads, kind, given)
    names = {name: run for name, _, run in pairs}
    replace = options.pop("overwrite")
    return {**options, "exist_ok": replace, "run_names": names, "read_options": read_options}
