"""``copick-core split``: divide the runs of a project into splits, and show them."""

from __future__ import annotations

import json

import click

from copick_core.cli.parameters import examples, json_option, project_option


@examples(
    "copick-core split --share train=0.8 --share validation=0.1 --share test=0.1",
    "copick-core split --assign test=TS_001,TS_002",
    "copick-core split",
)
@click.command
@project_option
@click.option(
    "--share",
    "shares",
    multiple=True,
    metavar="NAME=SHARE",
    help="Share of the runs that the split NAME gets, of the sum of all shares, drawn at random; repeatable.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the random order.")
@click.option("--assign", "assigned", multiple=True, metavar="NAME=RUN,RUN", help="Put runs into a split; repeatable.")
@click.option("--clear", is_flag=True, help="Remove all splits first.")
@json_option
def split(config: str, shares: tuple[str, ...], seed: int, assigned: tuple[str, ...], clear: bool, as_json: bool) -> None:
    """Divide the runs into splits, which are kept in the config; without options, list them."""
    from copick_core import opening
    from copick_train.splits import divided, set_splits, splits

    root = opening.open(config)
    names = [run.name for run in root.runs]
    found = {} if clear else splits(root)
    if shares:
        found = divided(names, {name: _number(text) for name, text in map(_pair, shares)}, seed)
    for name, text in map(_pair, assigned):
        runs = text.split(",")
        unknown = sorted({*runs} - {*names})
        if unknown:
            raise click.UsageError(f"There is no run {unknown[0]!r} in the project.")
        found = {other: [run for run in kept if run not in runs] for other, kept in found.items()}
        found[name] = [*found.get(name, []), *runs]
    if shares or assigned or clear:
        set_splits(root, found)
        root.save_config(config)
    if as_json:
        click.echo(json.dumps(splits(root), indent=2))
        return
    for name, kept in splits(root).items():
        number = f"{len(kept)} {'run' if len(kept) == 1 else 'runs'}"
        click.echo(f"{name}: {number}: {' '.join(kept[:_SHOWN])}{' …' if len(kept) > _SHOWN else ''}")


#: Runs of a split that are printed.
_SHOWN = 5


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals or not value:
        raise click.BadParameter(f"{text!r} is not of the form NAME=VALUE")
    return name, value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a number") from None
