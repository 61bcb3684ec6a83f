"""``deposit``: a tree of links or copies for the CryoET Data Portal."""

from __future__ import annotations

import click

from copick_core.cli.parameters import examples, project_option
from copick_tools.commands.options import ADDRESS, finish, kind_of, kind_option, opened, plan_options, targets_option


@examples(
    "copick-core deposit deposition '*/wbp@10.0' '*/ribosome:alice/1'",
    "copick-core deposit deposition 'TS_*/membrane' --kind segmentation --run-prefix 2026-01_ --dry-run",
)
@click.command
@click.argument("target", metavar="FOLDER")
@click.argument("addresses", nargs=-1, metavar="[ADDRESS]...", type=ADDRESS)
@project_option
@kind_option
@click.option("--copy", is_flag=True, help="Copy instead of linking; needed for data that are not in local folders.")
@click.option(
    "--run-prefix",
    metavar="TEXT",
    help="Text to put before the names of runs; by default, for runs of a portal, their dataset and name.",
)
@click.option(
    "--run-regex", metavar="REGEX", help="Keep only a part of the names of runs: the first group, or all that this matches."
)
@targets_option("fail")
@click.option("--verify", is_flag=True, help="Compare every link and every copy with its source, byte for byte.")
@plan_options
def deposit(
    target: str,
    addresses: tuple[str, ...],
    config: str,
    kind: str | None,
    copy: bool,
    run_prefix: str | None,
    run_regex: str | None,
    if_exists: str,
    verify: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Make a tree of links in FOLDER to what each ADDRESS matches, or to all runs, in the layout of the CryoET Data Portal.

    Several deposits may go into one folder; links and copies that are right already are skipped. Where a run gets another
    name, its picks and filaments are copied, since they contain the name.
    """
    from copick_tools.deposits import CONTENTS, plan_deposit

    plan = plan_deposit(
        opened(config),
        target,
        addresses or CONTENTS,
        kind=kind_of(kind),
        copy=copy,
        run_prefix=run_prefix,
        run_regex=run_regex,
        if_exists=if_exists,  # type: ignore[arg-type]
    )
    finish(plan, dry_run=dry_run, as_json=as_json, verify=verify)
