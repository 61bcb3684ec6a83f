"""``copick info`` and ``copick browse``."""

from __future__ import annotations

import sys

import click

from copick._version import __version__
from copick.cli import util
from copick.cli.projects import one_line_errors, opened


@click.command(short_help="Show versions, and the commands of plugins.")
@one_line_errors
def info() -> None:
    """Show versions, and which distribution brings each command of a plugin."""
    import copick_core
    from copick.cli.ext import get_plugin_command_sources

    click.echo(f"copick {__version__} over copick-core {copick_core.__version__}")
    for words, distribution in sorted(get_plugin_command_sources().items()):
        click.echo(f"{' '.join(words)}\t{distribution}")


@click.command(short_help="Show what a project has.")
@util.add_config_option
@util.add_debug_option
@click.option("-ds", "--dataset-ids", type=int, multiple=True, help="A dataset of the portal; may be repeated.")
@one_line_errors
def browse(config: str | None, debug: bool, dataset_ids: tuple[int, ...]) -> None:
    """Show what a project has, as a tree to walk through; the whole tree as text where there is no terminal."""
    from copick.ops.open import from_czcdp_datasets
    from copick_tools.tree import project_tree

    if (config is None) == (not dataset_ids):
        raise click.UsageError("Give --config or --dataset-ids.")
    if dataset_ids:
        import tempfile

        root = from_czcdp_datasets([*dataset_ids], tempfile.mkdtemp(prefix="copick-browse-"))
    else:
        root = opened(config)
    if sys.stdin.isatty() and sys.stdout.isatty():
        from copick.ops.browser import launch_app

        launch_app(copick_root=root)
    else:
        click.echo("\n".join(project_tree(root)))
