"""``cp``, ``mv``, ``rm``, ``prune``, ``sync``, ``merge`` and ``add``: commands that change a project."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from copick_core.cli.parameters import examples, json_option, project_option
from copick_core.errors import AlreadyExistsError
from copick_tools.commands.options import (
    ADDRESS,
    F,
    finish,
    kind_of,
    kind_option,
    opened,
    plan_options,
    provenance_option,
    save_objects,
    targets_option,
)

if TYPE_CHECKING:
    from copick_tools.plans import Plan


@examples(
    "copick-core cp 'TS_*/ribosome:alice/1' ribosome:bob/2 --kind picks",
    "copick-core cp 'ribosome:*/*' '*:{user}-old' --kind picks --dry-run",
    "copick-core cp '*/ribosome' '*' --kind picks --to other.json",
)
@click.command
@click.argument("address", type=ADDRESS)
@click.argument("target", type=ADDRESS)
@project_option
@kind_option
@click.option("--to", metavar="FILE", help="Config of the project to copy into.")
@targets_option("fail")
@click.option("--verify", is_flag=True, help="Compare every copy with its source, byte for byte.")
@provenance_option
@plan_options
def cp(
    address: str,
    target: str,
    config: str,
    kind: str | None,
    to: str | None,
    if_exists: str,
    verify: bool,
    provenance: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Copy what ADDRESS matches to TARGET.

    Parts that TARGET leaves out, or gives as *, stay as they are; {name}, {user}, {session}, {run} and {feature} stand for
    those of the source.
    """
    from copick_tools.transfers import plan_copy

    root = opened(config)
    other = opened(to) if to else root
    before = len(other.config.pickable_objects)
    selection = root.select(address, kind_of(kind))
    plan = plan_copy(selection, target, to=other, if_exists=if_exists, provenance=provenance)  # type: ignore[arg-type]
    finish(plan, dry_run=dry_run, as_json=as_json, verify=verify, found=selection)
    if to:
        save_objects(other, to, before)


@examples(
    "copick-core mv ribosome:alice/1 '*:alice/reviewed' --kind picks",
)
@click.command
@click.argument("address", type=ADDRESS)
@click.argument("target", type=ADDRESS)
@project_option
@kind_option
@targets_option("fail")
@provenance_option
@plan_options
def mv(
    address: str,
    target: str,
    config: str,
    kind: str | None,
    if_exists: str,
    provenance: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Move what ADDRESS matches to TARGET, which is written as for cp.

    Each source is deleted after its copy was compared with it, byte for byte. The features of a tomogram move with it.
    """
    from copick_tools.transfers import plan_move

    selection = opened(config).select(address, kind_of(kind))
    plan = plan_move(selection, target, if_exists=if_exists, provenance=provenance)  # type: ignore[arg-type]
    finish(plan, dry_run=dry_run, as_json=as_json, found=selection)


@examples(
    "copick-core rm 'TS_*/ribosome:alice/test' --kind picks",
)
@click.command
@click.argument("address", type=ADDRESS)
@project_option
@kind_option
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@plan_options
def rm(address: str, config: str, kind: str | None, yes: bool, dry_run: bool, as_json: bool) -> None:
    """Delete what ADDRESS matches, after asking; if it matches several kinds, choose one with --kind."""
    from copick_tools.deletions import plan_delete

    selection = opened(config).select(address, kind_of(kind))
    plan = plan_delete(selection)
    _ask(plan, asked=not (yes or dry_run))
    finish(plan, dry_run=dry_run, as_json=as_json, found=selection)


def _ask(plan: Plan, *, asked: bool) -> None:
    """Print a plan that deletes, and ask whether to run it."""
    if not (plan.steps and asked):
        return
    click.echo(str(plan), err=True)
    if not sys.stdin.isatty():
        raise click.UsageError("Nothing was deleted, because there is no terminal to ask in: pass --yes")
    click.confirm("Delete?", abort=True, err=True)


@examples(
    "copick-core prune",
    "copick-core prune 'TS_*/ribosome:alice' --what empty --yes",
)
@click.command
@click.argument("address", required=False, type=ADDRESS)
@project_option
@click.option(
    "--what",
    type=click.Choice(["empty", "leftovers", "unknown"]),
    multiple=True,
    help="Delete only empty picks, what crashed programs have left, or files with names that are not valid; repeatable.",
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask; delete unknown files only with --what unknown.")
@plan_options
def prune(address: str | None, config: str, what: tuple[Any, ...], yes: bool, dry_run: bool, as_json: bool) -> None:
    """Delete from the overlay, after asking, what nobody needs: empty picks, leftovers and unknown files.

    With ADDRESS, only empty picks that it matches are deleted.
    """
    from copick_tools.pruning import plan_prune

    if address and {*what} - {"empty"}:
        raise click.UsageError("ADDRESS names picks: leave it out to delete leftovers and unknown files")
    chosen = what or (("empty",) if address else ("empty", "leftovers") if yes else ("empty", "leftovers", "unknown"))
    plan = plan_prune(opened(config), address or "*", what=chosen)
    _ask(plan, asked=not (yes or dry_run))
    finish(plan, dry_run=dry_run, as_json=as_json)


def _pairs(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for value in values:
        old, equals, new = value.partition("=")
        if not (equals and old and new):
            raise click.BadParameter(f"{value!r} is not OLD=NEW")
        pairs[old] = new
    return pairs


def _map_option(what: str, of: str) -> Callable[[F], F]:
    """Give a command ``--map-…``: names that something has in the target."""
    help_text = f"New name of {of} in the target; repeatable."
    return click.option(f"--map-{what}", f"{what}s", multiple=True, callback=_pairs, metavar="OLD=NEW", help=help_text)


@examples(
    "copick-core sync backup.json",
    "copick-core sync shared.json 'TS_*/ribosome:me' --map-user me=alice",
)
@click.command
@click.argument("target", metavar="TARGET_CONFIG")
@click.argument("address", required=False, type=ADDRESS)
@project_option
@kind_option
@_map_option("run", "a run")
@_map_option("object", "an object")
@_map_option("user", "a user")
@targets_option("skip")
@click.option("--delete", is_flag=True, help="Delete from the target what the project does not have.")
@click.option("--verify", is_flag=True, help="Compare every copy with its source, byte for byte.")
@provenance_option
@plan_options
def sync(
    target: str,
    address: str | None,
    config: str,
    kind: str | None,
    runs: dict[str, str],
    objects: dict[str, str],
    users: dict[str, str],
    if_exists: str,
    delete: bool,
    verify: bool,
    provenance: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Copy what the target lacks, or only what ADDRESS matches, into the project of TARGET_CONFIG.

    With --if-exists replace, entities that differ are replaced too. Nothing is deleted without --delete.
    """
    from copick_tools.transfers import plan_sync

    root, other = opened(config), opened(target)
    before = len(other.config.pickable_objects)
    plan = plan_sync(
        root,
        other,
        address,
        kind=kind_of(kind),
        runs=runs,
        objects=objects,
        users=users,
        if_exists=if_exists,  # type: ignore[arg-type]
        delete=delete,
        provenance=provenance,
    )
    finish(plan, dry_run=dry_run, as_json=as_json, verify=verify)
    save_objects(other, target, before)


@click.group
def add() -> None:
    """Add an object or a run to a project."""


@examples(
    "copick-core add run TS_001",
)
@add.command("run")
@click.argument("name")
@project_option
@json_option
def add_run(name: str, config: str, as_json: bool) -> None:
    """Add the run NAME."""
    try:
        run = opened(config).new_run(name)
    except AlreadyExistsError as error:
        raise click.ClickException(f"{error.key} already exists.") from error
    click.echo(json.dumps({"run": run.name}, indent=2) if as_json else f"Added run {run.name}.")


@examples(
    "copick-core add object ribosome --radius 150 --pdb-id 6QZP",
)
@add.command("object")
@click.argument("name")
@project_option
@click.option("--segmentation", is_flag=True, help="The object is segmented, not picked.")
@click.option("--label", type=int, help="Its voxel value in segmentations; the next free one by default.")
@click.option("--radius", type=float, metavar="ANGSTROM", help="Its radius, in angstrom.")
@click.option("--pdb-id", metavar="ID", help="Its PDB entry.")
@click.option("--emdb-id", metavar="ID", help="Its EMDB entry.")
@json_option
def add_object(
    name: str,
    config: str,
    segmentation: bool,
    label: int | None,
    radius: float | None,
    pdb_id: str | None,
    emdb_id: str | None,
    as_json: bool,
) -> None:
    """Add the object NAME to the config of a project."""
    root = opened(config)
    try:
        obj = root.new_object(name, not segmentation, label=label, radius=radius, pdb_id=pdb_id, emdb_id=emdb_id)
    except AlreadyExistsError as error:
        raise click.ClickException(f"{error.key} already exists.") from error
    root.save_config(config)
    facts = {"object": obj.name, "label": obj.label, "is_particle": obj.is_particle}
    click.echo(json.dumps(facts, indent=2) if as_json else f"Added object {obj.name} with label {obj.label}.")


@examples("copick-core merge 'TS_*/ribosome:*/1' '*:merged/1' --distance 60 --at-least 2")
@click.command
@click.argument("address", type=ADDRESS)
@click.argument("target", type=ADDRESS)
@project_option
@click.option(
    "--distance",
    type=float,
    required=True,
    metavar="ANGSTROM",
    help="Largest distance between two points that count as the same.",
)
@click.option("--at-least", type=click.IntRange(1), default=1, show_default=True, help="Leave out points that fewer found.")
@targets_option("fail")
@plan_options
def merge(
    address: str, target: str, config: str, distance: float, at_least: int, if_exists: str, dry_run: bool, as_json: bool
) -> None:
    """Merge the picks of several annotators, which ADDRESS matches, into the picks TARGET, run by run.

    The merged picks remember who found each point. --dry-run prints how many points were not found by everybody.
    """
    from copick_tools.merging import plan_merge

    selection = opened(config).select(address, "picks")
    plan = plan_merge(selection, target, distance, at_least=at_least, if_exists=if_exists)  # type: ignore[arg-type]
    finish(plan, dry_run=dry_run, as_json=as_json)
