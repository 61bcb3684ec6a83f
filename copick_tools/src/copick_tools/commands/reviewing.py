"""``review``: who works on which run, what is done, checked or rejected."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from copick_core.cli.parameters import examples, json_option, project_option
from copick_tools.commands.options import ADDRESS, opened

if TYPE_CHECKING:
    from copick_core.overlay import CopickRootOverlay
    from copick_core.projects.reviews import Review

#: Give a command ``--by``.
by_option = click.option("--by", metavar="NAME", help="User who sets the state; the config's by default.")


@click.group
def review() -> None:
    """Set and show who works on which run, what is done, checked or rejected, and why."""


@examples(
    "copick-core review set TS_001/ checked",
    "copick-core review set 'TS_*/ribosome' rejected --note 'drifted'",
)
@review.command("set")
@click.argument("address", type=ADDRESS)
@click.argument("state")
@project_option
@click.option("--note", default="", metavar="TEXT", help="Reason for the state.")
@by_option
@json_option
def review_set(address: str, state: str, config: str, note: str, by: str | None, as_json: bool) -> None:
    """Set the state of the runs that ADDRESS matches, or with RUN/OBJECT that of one object in them.

    States are open, taken, done, checked and rejected, unless "review_states" in the config lists others.
    """
    root = opened(config)
    runs, name = _meant(root, address)
    done = [root.reviews.set(run, state, name, note=note, by=by) for run in runs]
    if as_json:
        click.echo(json.dumps([one.to_json() for one in done], indent=2))
        return
    for one in done:
        click.echo(_line(one))


@examples(
    "copick-core review next",
    "copick-core review next 'TS_*/ribosome'",
)
@review.command("next")
@click.argument("address", default="*/", type=ADDRESS)
@project_option
@by_option
@json_option
def review_next(address: str, config: str, by: str | None, as_json: bool) -> None:
    """Take the next run that nobody has, and print it; with RUN/OBJECT or OBJECT, take it for that object only.

    Several people can do this at once: each gets a different run. The exit code is 1 if no run is left.
    """
    root = opened(config)
    runs, name = _meant(root, address)
    taken = root.reviews.next(name, by=by, runs=runs)
    if as_json:
        click.echo(json.dumps(taken and taken.to_json(), indent=2))
    elif taken is not None:
        click.echo(_line(taken))
    else:
        click.echo("No run is left: all are taken or finished.", err=True)
    if taken is None:
        click.get_current_context().exit(1)


@examples(
    "copick-core review summary",
)
@review.command("summary")
@click.argument("address", default="*/", type=ADDRESS)
@project_option
@json_option
def review_summary(address: str, config: str, as_json: bool) -> None:
    """Count runs by state, as a whole and for each object."""
    root = opened(config)
    runs, name = _meant(root, address)
    found = root.reviews.summary(runs)
    if name is not None:
        found = {name: found.get(name, found[""])}
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    wide = max(len(name or "whole run") for name in found)
    states = [*dict.fromkeys(state for counts in found.values() for state in counts)]
    click.echo("  ".join([" " * wide, *states]))
    for name, counts in found.items():
        numbers = [f"{counts.get(state, 0):>{len(state)}}" for state in states]
        click.echo("  ".join([f"{name or 'whole run':<{wide}}", *numbers]))


def _line(one: Review) -> str:
    """A review in one line, with its run."""
    from copick_core.tree.addresses import escaped

    return f"{escaped(one.run)}/  {one}"


def _meant(root: CopickRootOverlay, address: str) -> tuple[list[str], str | None]:
    """The runs that an address matches, and the object that it names."""
    from copick_core.errors import AddressError, NotFoundError
    from copick_core.tree.addresses import Address, parse
    from copick_core.tree.keys import RunKey

    parsed = parse(address)
    for part in ("user_id", "session_id", "voxel_size", "feature_type"):
        if getattr(parsed, part) is not None:
            reason = "a review is of a run or of an object in it, such as TS_001/ or TS_001/ribosome"
            raise AddressError(address=address, position=None, reason=reason)
    name = parsed.literal("name") if parsed.name is not None else None
    if parsed.name is not None and name is None:
        raise AddressError(address=address, position=None, reason="a review is of one object, which has no pattern")
    runs = root.select(Address(run=parsed.run, syntax=parsed.syntax) if parsed.run else "*/").keys()
    if not runs:
        raise NotFoundError(key=f"{address!r}", layer=", ".join(layer.name for layer in root.layers.all))
    return [key.name for key in runs if isinstance(key, RunKey)], name
