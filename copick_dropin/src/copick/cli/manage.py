"""``copick cp``, ``mv``, ``rm`` and ``deposit``."""

from __future__ import annotations

from typing import Any

import click

from copick.cli import util
from copick.cli.projects import listed, one_line_errors, opened, options
from copick.cli.types import CopickURI

_TYPES = click.Choice(["picks", "filaments", "mesh", "segmentation", "tomogram", "feature"])
_common = options(
    util.add_config_option,
    util.add_debug_option,
    click.option("-r", "--run", default=None, help="Only this run."),
    click.option("-w", "--workers", type=int, default=8, hidden=True),
)
_overwrite = click.option("--overwrite/--no-overwrite", default=False, show_default=True, help="Replace what exists.")


def _fail(done: dict[str, Any]) -> None:
    """End the command with what could not be done."""
    if done["errors"]:
        raise click.ClickException("\n".join(done["errors"]))


@click.command(short_help="Copy entities.")
@click.argument("object_type", type=_TYPES)
@click.argument("source_uri", type=CopickURI("any"))
@click.argument("target_uri", type=CopickURI("any", "output"))
@_common
@_overwrite
@one_line_errors
def cp(
    object_type: str, source_uri: str, target_uri: str, config: str, run: str | None, overwrite: bool, **others: Any
) -> None:
    """Copy entities; {object_name}, {user_id} and {session_id} in TARGET_URI stand for those of each source."""
    from copick.ops.manage import copy_copick_objects

    done = copy_copick_objects(opened(config), object_type, source_uri, target_uri, run, overwrite)
    _fail(done)
    click.echo(f"Copied {done['copied']}.", err=True)


@click.command(short_help="Move entities.")
@click.argument("object_type", type=_TYPES)
@click.argument("source_uri", type=CopickURI("any"))
@click.argument("target_uri", type=CopickURI("any", "output"))
@_common
@_overwrite
@one_line_errors
def mv(
    object_type: str, source_uri: str, target_uri: str, config: str, run: str | None, overwrite: bool, **others: Any
) -> None:
    """Move entities; see cp. Each source is deleted after its copy was compared with it."""
    from copick.ops.manage import move_copick_objects

    done = move_copick_objects(opened(config), object_type, source_uri, target_uri, run, overwrite)
    _fail(done)
    click.echo(f"Moved {done['moved']}.", err=True)


@click.command(short_help="Delete entities.")
@click.argument("object_type", type=_TYPES)
@click.argument("uri", type=CopickURI("any"))
@_common
@click.option("--dry-run", is_flag=True, help="Show what would be deleted.")
@click.option("--force", is_flag=True, help="Needed for patterns.")
@one_line_errors
def rm(object_type: str, uri: str, config: str, run: str | None, dry_run: bool, force: bool, **others: Any) -> None:
    """Delete entities; patterns, and parts that are left out, need --force."""
    from copick.ops.manage import is_wide, remove_copick_objects
    from copick.util.uri import parse_copick_uri

    parts = parse_copick_uri(uri, object_type)
    if "?" in uri and object_type != "segmentation":
        raise click.ClickException(f"'?' is not a pattern in {uri!r}: use * or [ab].")
    wide = is_wide(uri) or any(value == "*" for name, value in parts.items() if name not in ("object_type", "pattern_type"))
    if wide and not (force or dry_run):
        raise click.ClickException(f"{uri!r} is a pattern: look with --dry-run, then delete with --force.")
    done = remove_copick_objects(opened(config), object_type, uri, run, dry_run)
    _fail(done)
    for key in done["keys"]:
        click.echo(key)
    click.echo(f"{'Would delete' if dry_run else 'Deleted'} {done['removed']}.", err=True)


@click.command(short_help="Link files of a project into a folder.")
@util.add_config_option
@util.add_debug_option
@click.option("--target-dir", required=True, type=click.Path(file_okay=False), help="The folder.")
@click.option("--run-names", default="", help="Runs, with commas; all by default.")
@click.option("--run-name-prefix", default="", help="Goes before every run's name.")
@click.option("--run-name-regex", default=None, help="Its first group, in a run's name, is the name there.")
@click.option("--picks", multiple=True, type=CopickURI("picks"), help="Picks; may be repeated.")
@click.option("--meshes", multiple=True, type=CopickURI("mesh"), help="Meshes; may be repeated.")
@click.option("--segmentations", multiple=True, type=CopickURI("segmentation"), help="The same.")
@click.option("--tomograms", multiple=True, type=CopickURI("tomogram"), help="The same.")
@click.option("--features", multiple=True, type=CopickURI("feature"), help="The same.")
@click.option("--max-workers", type=int, default=8, hidden=True)
@one_line_errors
def deposit(config: str, target_dir: str, run_names: str, max_workers: int, debug: bool, **given: Any) -> None:
    """Make a folder of links to what URIs name, laid out as a project."""
    from copick.ops.deposit import deposit as link

    uris = {f"{name}_uris": given.pop(name) for name in ("picks", "meshes", "segmentations", "tomograms", "features")}
    made = link(opened(config), target_dir, listed(run_names), **uris, **given)
    click.echo(f"{made} links.", err=True)
