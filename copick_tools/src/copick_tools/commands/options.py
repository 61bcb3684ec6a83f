"""What the commands share: the project, addresses that complete themselves, and how a plan is shown and run."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from copick_core.cli.parameters import if_exists_option, json_option
from copick_core.tree.keys import Kind

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from copick_core.overlay import CopickRootOverlay
    from copick_core.projects.selection import Selection
    from copick_tools.plans import Plan

F = TypeVar("F", bound=Callable[..., Any])

#: Kinds as options name them.
KINDS = tuple("spacing" if kind is Kind.VOXEL_SPACING else kind.value for kind in Kind)
#: Most addresses that completion offers.
_OFFERED = 500


class AddressType(click.ParamType[str]):
    """An address; the shell completes it from the project."""

    name = "address"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Addresses of the project that begin like what was typed: first runs, then what is in one."""
        from click.shell_completion import CompletionItem

        from copick_core.tree.addresses import address_of

        config = ctx.params.get("config") or os.environ.get("COPICK_CONFIG")
        if not config:
            return []
        try:
            root = opened(config)
            run, slash, _ = incomplete.partition("/")
            wanted = (f"{run}/*", f"{run}/*@*:*") if slash else ("*/",)
            found = [str(address_of(key)) for text in wanted for key, _ in root.select(text).rows()]
        except Exception:
            return []
        return [CompletionItem(text) for text in dict.fromkeys(found) if text.startswith(incomplete)][:_OFFERED]


ADDRESS = AddressType()


def kind_option(command: F) -> F:
    """Give a command ``--kind``."""
    return click.option("--kind", type=click.Choice(KINDS), help="Kind of entity, where the address can mean several.")(
        command
    )


def plan_options(command: F) -> F:
    """Give a command what all commands with a plan have."""
    command = json_option(command)
    return click.option("-n", "--dry-run", is_flag=True, help="Only print what would be changed.")(command)


def targets_option(default: str) -> Callable[[F], F]:
    """Give a command with a plan ``--if-exists``."""
    return if_exists_option("fail", "skip", "replace", "newer", what="targets that exist with other content", default=default)


def provenance_option(command: F) -> F:
    """Give a command ``--no-provenance``."""
    help_text = "Do not record in each run what made the copies, and from what."
    return click.option("--no-provenance", "provenance", flag_value=False, default=True, type=bool, help=help_text)(command)


def opened(config: str, as_of: str | None = None) -> CopickRootOverlay:
    """Open a project, as it was at a moment of its history if one is named."""
    from copick_core import opening

    root = opening.open(config)
    return root if as_of is None else root.as_of(as_of)


def kind_of(kind: str | None) -> str | None:
    """The kind of an option, as the library calls it."""
    return "voxel spacing" if kind == "spacing" else kind


def finish(plan: Plan, *, dry_run: bool, as_json: bool, verify: bool = False, found: Selection | None = None) -> None:
    """Run a plan with progress on standard error, and print its report; with ``dry_run`` only print the plan.

    Args:
        plan: The plan.
        dry_run: Only print it.
        as_json: Print JSON.
        verify: Compare what is written with its source.
        found: What the plan was made for; a plan without steps then says that nothing matches its address.
    """
    if found is not None and not as_json and not plan.steps and not plan.skipped:
        click.echo(nothing_matches(found))
        return
    if dry_run:
        click.echo(json.dumps(plan.to_json(), indent=2) if as_json else str(plan))
        return
    from copick_tools.progress import progress

    with progress(len(plan.steps), plan.title) as advance:
        report = plan.run(verify=verify, progress=lambda name, done, total: advance(name))
    click.echo(json.dumps(report.to_json(), indent=2) if as_json else str(report))


def nothing_matches(found: Selection) -> str:
    """What to print where an address matches nothing, with the name that may have been meant."""
    from copick_core.errors import closest
    from copick_core.tree.addresses import Address

    root, run, name = found.root, found.address.literal("run"), found.address.literal("name")
    text = f"Nothing matches {str(found.address)!r}."
    if run is None and name is None:
        return text
    runs = [one.name for one in root.runs]
    if run is not None:
        return text if run in runs else f"{text} There is no run {run!r}.{closest(run, runs)}"
    if name in runs:
        return f"{text} Did you mean the run, {str(Address(run=name))!r}?"
    objects = [one.name for one in root.pickable_objects]
    return text if name in objects else text + closest(str(name), objects)


def save_objects(root: CopickRootOverlay, config: str, before: int) -> None:
    """Save the config of a project to which objects were added."""
    if len(root.config.pickable_objects) != before and root.config._file is not None:
        root.save_config(config)
