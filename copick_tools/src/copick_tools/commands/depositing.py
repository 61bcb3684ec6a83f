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
@click.option("--copy", is_flag=True, help="Copy instead of linking, as what is not in local folders needs.")
@click.option(
    "--run-prefix", metavar="TEXT", help="What names of runs begin with; for runs of a portal, their dataset and name."
)
@click.option(
    "--run-regex", metavar="REGEX", help="Keep of the names of runs only the first group of this, or all it matches."
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
    """Make in FOLDER a tree of links to what each ADDRESS matches, or to all runs, as the CryoET Data Portal takes it.

    Several deposits may go into one folder; links and copies that are right already are skipped. Where a run gets another
    name, its picks and filaments are copied, since they hold the name.
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
