"""The command ``copick-core count``."""

from __future__ import annotations

import click

import copick_core


@click.command("count")
@click.argument("config")
@click.option("--run", "runs", multiple=True, help="Only this run; may be given several times.")
def count(config: str, runs: tuple[str, ...]) -> None:
    """Print how many picks, meshes and segmentations each run has.

    CONFIG is a configuration file.
    """
    root = copick_core.open(config)
    for run in root.runs:
        if not runs or run.name in runs:
            click.echo(f"{run.name}\t{len(run.picks)}\t{len(run.meshes)}\t{len(run.segmentations)}")
