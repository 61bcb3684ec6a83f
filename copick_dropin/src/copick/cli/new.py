"""``copick new``."""

from __future__ import annotations

import click

from copick.cli import util
from copick.cli.projects import one_line_errors, opened


@click.group(no_args_is_help=True)
def new() -> None:
    """Make runs, voxel spacings and empty picks."""


@new.command("run", short_help="Make a run.")
@click.argument("name")
@util.add_config_option
@util.add_debug_option
@util.add_create_overwrite_options
@one_line_errors
def new_run(name: str, config: str, debug: bool, create: bool, overwrite: bool) -> None:
    """Make a run; --overwrite takes one that exists."""
    root = opened(config)
    if not create:
        if root.get_run(name) is None:
            raise click.ClickException(f"The project has no run {name!r}, and --no-create was given.")
        return
    root.new_run(name, exist_ok=overwrite)


@new.command("voxelspacing", short_help="Make a voxel spacing.")
@click.argument("voxel_spacing", type=float)
@util.add_config_option
@util.add_debug_option
@click.option("--run", required=True, help="Its run.")
@util.add_create_overwrite_options
@one_line_errors
def new_voxelspacing(voxel_spacing: float, config: str, debug: bool, run: str, create: bool, overwrite: bool) -> None:
    """Make a voxel spacing of a run; --create makes the run too."""
    from copick.ops.add import get_or_create_run

    get_or_create_run(opened(config), run, create).new_voxel_spacing(voxel_spacing, exist_ok=overwrite)


@new.command("picks", short_help="Make empty picks in all runs.")
@util.add_config_option
@util.add_debug_option
@click.option("--particle-name", required=True, help="Object of the picks.")
@click.option("--out-user", default="copick", show_default=True, help="User.")
@click.option("--out-session", default="0", show_default=True, help="Session.")
@click.option("--overwrite/--no-overwrite", default=False, show_default=True, help="Empty picks that exist.")
@one_line_errors
def new_picks(config: str, debug: bool, particle_name: str, out_user: str, out_session: str, overwrite: bool) -> None:
    """Make empty picks in every run."""
    root = opened(config)
    runs = root.runs
    taken = [r.name for r in runs if r.get_picks(particle_name, out_user, out_session)]
    if taken and not overwrite:
        raise click.ClickException(f"Runs {', '.join(taken)} have such picks: --overwrite empties them.")
    for run in runs:
        picks = run.new_picks(particle_name, out_session, out_user, exist_ok=overwrite)
        if run.name in taken:
            picks.from_numpy([])
