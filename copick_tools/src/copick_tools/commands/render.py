"""``render``: the picture of a run, and of all runs on one page."""

from __future__ import annotations

import json
from typing import Any

import click

from copick_core.cli.parameters import as_of_option, examples, json_option, project_option
from copick_core.cli.words import count
from copick_tools.commands.options import ADDRESS, opened


@examples(
    "copick-core render TS_001/wbp@10.0 -o TS_001.png",
    "copick-core render --run TS_001 --plane picks --side-by-side -o annotators.png",
    "copick-core render -o all.html",
)
@click.command
@click.argument("address", required=False, type=ADDRESS)
@project_option
@click.option("--run", "runs", multiple=True, metavar="RUN", help="Draw this run; repeatable. All runs by default.")
@click.option("--user", "users", multiple=True, metavar="NAME", help="Only what this user made; repeatable.")
@click.option(
    "--plane",
    type=click.Choice(["z", "y", "x", "picks"]),
    default="z",
    show_default=True,
    help="The middle slice across an axis, or the plane that fits the picks best.",
)
@click.option("--side-by-side", is_flag=True, help="Draw the slice once for each user, side by side.")
@as_of_option
@click.option("-o", "--output", required=True, metavar="FILE", help="PNG for one run, HTML for all that are drawn.")
@json_option
def render(
    address: str | None,
    config: str,
    runs: tuple[str, ...],
    users: tuple[str, ...],
    plane: Any,
    side_by_side: bool,
    as_of: str | None,
    output: str,
    as_json: bool,
) -> None:
    """Draw the tomogram ADDRESS, or a run's finest one, with the run's picks, segmentations and meshes.

    FILE is a picture (PNG) of one run, or one page (HTML) with all of them.
    """
    from copick_tools.pictures import contact_sheet, picture

    root = opened(config, as_of)
    if address and runs:
        raise click.UsageError("name either ADDRESS or --run")
    tomograms = root.select(address, "tomogram") if address else None
    how: dict[str, Any] = {"users": users, "plane": plane, "side_by_side": side_by_side}
    if output.endswith(".html"):
        names = runs or (tuple(run.name for run in root.runs) if tomograms is None else ())
        drawn = contact_sheet(root, output, names, tomograms=None if tomograms is None else [*tomograms], **how)
        facts = {"file": output, "pictures": drawn}
        click.echo(json.dumps(facts, indent=2) if as_json else f"{output}: {count(drawn, 'picture')}")
        return
    if address is None and len(runs) != 1:
        raise click.UsageError("a picture shows one run: name it with --run, or write a page that ends in .html")
    made = picture(root, root.entity(address, "tomogram") if address else runs[0], **how)
    made.save(output, optimize=True)
    facts = {"file": output, "pictures": 1, "width": made.width, "height": made.height}
    click.echo(json.dumps(facts, indent=2) if as_json else output)
