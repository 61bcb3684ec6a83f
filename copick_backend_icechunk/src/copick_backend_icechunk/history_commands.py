"""The commands ``log``, ``diff``, ``restore``, ``tag``, ``branch`` and ``gc``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import click

from copick_core.cli.parameters import examples, json_option, project_option

if TYPE_CHECKING:
    from copick_backend_icechunk.history import Change, Commit
    from copick_backend_icechunk.root import CopickRootIcechunk
    from copick_core.tree.keys import Key

#: Letters of an id that are printed, and that are enough to name a commit.
SHORT = 8
#: Changes of a commit that are printed.
_PRINTED = 5

_MOMENT = "a tag, a branch, a commit id or its first characters, or a time such as 2026-03-01T12:00."
_WHEN = f"A{_MOMENT[1:]}"


@examples("copick-core log TS_001/ -n 5", "copick-core log 'TS_*/ribosome:alice/1' --json")
@click.command
@click.argument("address", required=False)
@project_option
@click.option("-n", "--number", type=click.IntRange(1), metavar="N", help="List only the newest N commits.")
@json_option
def log(address: str | None, config: str, number: int | None, as_json: bool) -> None:
    """List the commits of a project, newest first; with ADDRESS those that changed what it matches."""
    root = opened(config)
    commits = root.history(address, number)
    if as_json:
        click.echo(json.dumps([_commit(commit) for commit in commits], indent=2))
        return
    tags = {snapshot: name for name, snapshot in root.tags().items()}
    for commit in commits:
        tag = f"  [{tags[commit.id]}]" if commit.id in tags else ""
        click.echo(f"{commit.id[:SHORT]}  {commit.time.astimezone():%Y-%m-%d %H:%M}  {commit.message}{tag}")
        if len(commit.changes) > 1:
            _print(commit.changes, "            ")


@examples("copick-core diff monday", "copick-core diff monday 2026-03-01T12:00 --json")
@click.command(help=f"List what changed from BEFORE to AFTER, or to the newest commit.\n\nBEFORE and AFTER are each {_MOMENT}")
@click.argument("before")
@click.argument("after", required=False)
@project_option
@json_option
def diff(before: str, after: str | None, config: str, as_json: bool) -> None:
    """List what changed."""
    changes = opened(config).diff(before, after)
    if as_json:
        click.echo(json.dumps([_change(change) for change in changes], indent=2))
    else:
        _print(changes, "", every=True)


@examples("copick-core restore TS_001/ribosome:alice/1 --as-of monday", "copick-core restore --all --as-of 2026-03-01T12:00")
@click.command
@click.argument("address", required=False)
@project_option
@click.option("--as-of", "as_of", required=True, metavar="WHEN", help=_WHEN)
@click.option("--all", "everything", is_flag=True, help="Restore the whole project.")
@click.option("-m", "--message", metavar="TEXT", help="Message of the commit.")
@json_option
def restore(address: str | None, config: str, as_of: str, everything: bool, message: str | None, as_json: bool) -> None:
    """Restore what ADDRESS matches, and everything below it, to an earlier state, in one commit."""
    if (address is None) is not everything:
        raise click.UsageError("name either ADDRESS or --all")
    root = opened(config)
    changes = root.restore(address, as_of, message)
    if as_json:
        click.echo(json.dumps([_change(change) for change in changes], indent=2))
        return
    _print(changes, "", every=True)
    if not changes:
        is_known = address is None or next(iter(root.select(address)), None) is not None
        click.echo("Nothing differs." if is_known else f"Nothing matches {address!r}, neither now nor as of {as_of}.")


@examples("copick-core tag", "copick-core tag monday", "copick-core tag first --at 7K2M4QXA")
@click.command
@click.argument("name", required=False)
@project_option
@click.option("--at", metavar="WHEN", help=f"What to tag; the newest commit by default. {_WHEN}")
@click.option("--delete", is_flag=True, help="Delete the tag.")
@json_option
def tag(name: str | None, config: str, at: str | None, delete: bool, as_json: bool) -> None:
    """List the tags, or give a commit the tag NAME; gc keeps tagged commits."""
    root = opened(config)
    if name is None:
        if delete or at:
            raise click.UsageError("name the tag")
        if as_json:
            click.echo(json.dumps([{"tag": known, "commit": commit} for known, commit in root.tags().items()], indent=2))
            return
        for known, snapshot in root.tags().items():
            click.echo(f"{snapshot[:SHORT]}  {known}")
        return
    if delete:
        root.delete_tag(name)
    else:
        root.new_tag(name, at)
    if as_json:
        click.echo(json.dumps({"tag": name, "commit": root.tags().get(name)}))


@click.group(invoke_without_command=True)
@click.pass_context
def branch(context: click.Context) -> None:
    """List, make, delete and merge branches.

    A project is on the branch that "branch" in its config names, main by default.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@examples("copick-core branch list")
@branch.command("list")
@project_option
@json_option
def branch_list(config: str, as_json: bool) -> None:
    """List the branches; * marks the one that the project is on."""
    root = opened(config)
    if as_json:
        rows = [{"branch": n, "commit": commit, "current": n == root.branch} for n, commit in root.branches().items()]
        click.echo(json.dumps(rows, indent=2))
        return
    for name, snapshot in root.branches().items():
        click.echo(f"{'*' if name == root.branch else ' '} {snapshot[:SHORT]}  {name}")


@examples("copick-core branch new trial", "copick-core branch new trial --at monday")
@branch.command("new")
@click.argument("name")
@project_option
@click.option("--at", metavar="WHEN", help=f"Where the branch starts; the newest commit by default. {_WHEN}")
@json_option
def branch_new(name: str, config: str, at: str | None, as_json: bool) -> None:
    """Make the branch NAME."""
    root = opened(config)
    root.new_branch(name, at)
    if as_json:
        click.echo(json.dumps({"branch": name, "commit": root.branches()[name]}))


@examples("copick-core branch delete trial")
@branch.command("delete")
@click.argument("name")
@project_option
@json_option
def branch_delete(name: str, config: str, as_json: bool) -> None:
    """Delete the branch NAME; the next gc removes the commits that only it had."""
    opened(config).delete_branch(name)
    if as_json:
        click.echo(json.dumps({"branch": name, "commit": None}))


@examples("copick-core branch merge trial --dry-run")
@branch.command("merge")
@click.argument("name")
@project_option
@click.option(
    "--prefer",
    type=click.Choice(["ours", "theirs"]),
    help="Version to keep where both changed an entity: ours is the project's branch, theirs is NAME.",
)
@click.option("-n", "--dry-run", is_flag=True, help="Only list what would be done, and the conflicts.")
@json_option
@click.pass_context
def branch_merge(
    context: click.Context, name: str, config: str, prefer: Literal["ours", "theirs"] | None, dry_run: bool, as_json: bool
) -> None:
    """Bring what the branch NAME changed into the one that the project is on, in one commit.

    Picks that changed on both branches are merged point by point.
    """
    merge = opened(config).merge(name, prefer=prefer, dry_run=dry_run)
    if as_json:
        facts = {name: [_change(change) for change in getattr(merge, name)] for name in ("taken", "combined")}
        click.echo(json.dumps({**facts, "conflicts": [_address(key) for key in merge.conflicts]}, indent=2))
    else:
        _print(merge.taken, "", every=True)
        for change in merge.combined:
            click.echo(f"combined {change.key}")
        for key in merge.conflicts:
            click.echo(f"conflict {key}{'' if prefer is None else f': {prefer} is taken'}")
    if merge.conflicts and prefer is None:
        context.exit(1)


@examples("copick-core gc --older-than 2026-01-01", "copick-core gc --older-than 2026-01-01 --delete")
@click.command
@project_option
@click.option(
    "--older-than",
    required=True,
    metavar="TIME",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]),
    help="Local time, such as 2026-01-01 or 2026-01-01T12:00.",
)
@click.option("--delete", is_flag=True, help="Delete them. Without this, only print what would be deleted.")
@json_option
def gc(config: str, older_than: datetime, delete: bool, as_json: bool) -> None:
    """Forget commits older than TIME, and delete what nothing refers to any more.

    The newest commit of each branch, and tagged ones, stay. Run it while nobody writes.
    """
    found = opened(config).expire(older_than, dry_run=not delete)
    if as_json:
        facts = {"deleted": delete, "commits": [*found.commits], "objects": found.objects, "bytes": found.size}
        click.echo(json.dumps(facts, indent=2))
        return
    verb = "forgot" if delete else "would forget"
    click.echo(f"{verb} {len(found.commits)} commits; {found.objects} objects ({found.size} bytes) {_garbage(delete)}")


def _garbage(delete: bool) -> str:
    return "deleted" if delete else "are garbage already"


def opened(config: str) -> CopickRootIcechunk:
    """Open a project with a history."""
    from copick_backend_icechunk.root import CopickRootIcechunk
    from copick_core import opening

    root = opening.open(config)
    if not isinstance(root, CopickRootIcechunk):
        raise click.UsageError(
            f'the project of {config} has no history: only a writable layer with "config_type": "icechunk" keeps one'
        )
    return root


def _print(changes: Sequence[Change], indent: str, *, every: bool = False) -> None:
    shown = changes if every else changes[:_PRINTED]
    for change in shown:
        click.echo(f"{indent}{change}")
    if len(changes) > len(shown):
        click.echo(f"{indent}… and {len(changes) - len(shown)} more")


def _commit(commit: Commit) -> dict[str, Any]:
    changes = [_change(change) for change in commit.changes]
    fields = {"id": commit.id, "time": commit.time.isoformat(), "author": commit.author, "message": commit.message}
    return {**fields, "changes": changes}


def _address(key: Key) -> dict[str, str]:
    from copick_core.tree.addresses import address_of

    return {"kind": key.kind.value, "address": str(address_of(key))}


def _change(change: Change) -> dict[str, Any]:
    found: dict[str, Any] = {"what": change.what, **_address(change.key)}
    if change.points is not None:
        points = change.points
        found["points"] = {"added": points.added, "moved": points.moved, "removed": points.removed}
    return found
