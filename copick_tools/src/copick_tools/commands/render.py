"""``render``: the picture of a run, and of all runs on one page."""

from __future__ import annotations

import click

from copick_core.cli.parameters import as_of_option, examples, project_option
from copick_tools.commands.options import ADDRESS, opened


@examples(
    "copick-core render TS_001/wbp@10.0 -o TS_001.png",
    "copick-core render -o all.html",
)
@click.command
@click.argument("address", required=False, type=ADDRESS)
@project_option
@click.option("--run", "runs", multiple=True, metavar="RUN", help="A run; repeatable. All runs if none is named.")
@click.option("--user", "users", multiple=True, metavar="NAME", help="Only what this user made; repeatable.")
@as_of_option
@click.option("-o", "--output", required=True, metavar="FILE", help="PNG for one run, HTML for all that are drawn.")
def render(
    address: str | None, config: str, runs: tuple[str, ...], users: tuple[str, ...], as_of: str | None, output: str
) -> None:
    """Draw the tomogram ADDRESS, or a run's finest one, with the run's picks, segmentations and meshes.

    FILE is a picture (PNG) of one run, or one page (HTML) with all of them.
    """
    from copick_tools.pictures import contact_sheet, picture

    root = opened(config, as_of)
    if address and runs:
        raise click.UsageError("name either ADDRESS or --run")
    tomograms = root.select(address, "tomogram") if address else None
    if output.endswith(".html"):
        names = runs or (tuple(run.name for run in root.runs) if tomograms is None else ())
        drawn = contact_sheet(root, output, names, tomograms=None if tomograms is None else [*tomograms], users=users)
        click.echo(f"{output}: {drawn} pictures")
        return
    if address is None and len(runs) != 1:
        raise click.UsageError("a PNG shows one run: name it with --run, or write an .html file")
    picture(root, root.entity(address, "tomogram") if address else runs[0], users).save(output, optimize=True)
    click.echo(output)
