"""``run``: a function for each run or entity, on this computer or on a cluster."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from copick_core.cli.parameters import examples, json_option, project_option
from copick_core.cli.words import count
from copick_tools.commands.options import ADDRESS, kind_of, kind_option, opened


def _pairs(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, Any]:
    pairs: dict[str, Any] = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not (equals and name):
            raise click.BadParameter(f"{value!r} is not NAME=VALUE")
        try:
            pairs[name] = json.loads(text)
        except ValueError:
            pairs[name] = text
    return pairs


@examples(
    "copick-core run my_tools:segment --arg threshold=0.5",
    "copick-core run my_tools:denoise 'TS_*/wbp@10.0' --kind tomogram --if-needed --plan",
    "copick-core run my_tools:segment --executor slurm --workers 20 --slurm partition=gpu --report done.jsonl",
)
@click.command
@click.argument("function", metavar="MODULE:FUNCTION")
@click.argument("addresses", nargs=-1, metavar="[ADDRESS]...", type=ADDRESS)
@project_option
@kind_option
@click.option(
    "--arg",
    "arguments",
    multiple=True,
    callback=_pairs,
    metavar="NAME=VALUE",
    help="Argument of the function, as JSON or text; repeatable.",
)
@click.option(
    "--executor",
    type=click.Choice(["process", "thread", "dask", "slurm"]),
    default="process",
    show_default=True,
    help="How to make the calls.",
)
@click.option("--workers", type=click.IntRange(1), help="Processes, threads or jobs at once.")
@click.option("--scheduler", metavar="ADDRESS", help="Scheduler of a dask cluster; a local one by default.")
@click.option(
    "--slurm", "slurm", multiple=True, callback=_pairs, metavar="NAME=VALUE", help="Parameter of the SLURM jobs; repeatable."
)
@click.option(
    "--jobs-folder", metavar="FOLDER", default="slurm-jobs", show_default=True, help="Folder for the logs of SLURM jobs."
)
@click.option("--report", metavar="FILE", help="Write a line for each call to FILE; skip the calls that it lists as done.")
@click.option("--if-needed", is_flag=True, help="Call only where outputs are missing or inputs have changed.")
@click.option("--plan", "only_plan", is_flag=True, help="Only print what would be run, and why.")
@json_option
def run(
    function: str,
    addresses: tuple[str, ...],
    config: str,
    kind: str | None,
    arguments: dict[str, Any],
    executor: str,
    workers: int | None,
    scheduler: str | None,
    slurm: dict[str, Any],
    jobs_folder: str,
    report: str | None,
    if_needed: bool,
    only_plan: bool,
    as_json: bool,
) -> None:
    """Call FUNCTION(entity, ...) for each run, or for each entity that an ADDRESS matches.

    Entities that it stores record which function made them. Modules in the working folder can be imported. The exit code is
    1 if a call failed.
    """
    from copick_tools.progress import progress
    from copick_tools.running import plan_run

    root = opened(config)
    plan = plan_run(
        function, root, addresses or ("*/",), kind=kind_of(kind), arguments=arguments, if_needed=if_needed, report=report
    )
    if only_plan:
        click.echo(json.dumps(plan.to_json(), indent=2) if as_json else str(plan))
        return
    runs = len({call.run for call in plan.calls})
    with progress(runs, "Run") as advance, _executor(executor, workers, scheduler, slurm, jobs_folder) as (pool, chunksize):
        outcomes = plan.run(
            executor=pool,
            workers=workers if isinstance(pool, str) else None,
            chunksize=chunksize,
            report=report,
            progress=lambda name, done, total: advance(name),
        )
    failed = [one for one in outcomes if one.state == "failed"]
    if as_json:
        rows = [one.to_json() for one in outcomes]
        click.echo(json.dumps({"outcomes": rows, "skipped": plan.to_json()["skipped"]}, indent=2))
    else:
        for one in failed:
            click.echo(f"{one.address}: {one.error}", err=True)
        parts = [f"{count(len(outcomes) - len(failed), 'call')} done"]
        parts += [f"{len(failed)} failed"] if failed else []
        parts += [f"{len(plan.skipped)} skipped"] if plan.skipped else []
        click.echo(f"{', '.join(parts)}.")
    if failed:
        click.get_current_context().exit(1)


@contextmanager
def _executor(
    name: str, workers: int | None, scheduler: str | None, slurm: dict[str, Any], folder: str
) -> Iterator[tuple[Any, int | None]]:
    """What the option means, and how many runs a job gets (None: as many as map_runs thinks)."""
    if name == "slurm":
        from copick_tools.slurm import SlurmExecutor

        with SlurmExecutor(folder, workers or 16, slurm) as pool:
            yield pool, 1
    elif name == "dask":
        from copick_core.errors import MissingDependencyError

        try:
            from distributed import Client
        except ImportError as error:
            raise MissingDependencyError(feature="dask", install='pip install "copick-core[dask]"') from error
        with tempfile.TemporaryDirectory() as temporary:
            given = {"address": scheduler} if scheduler else {"n_workers": workers, "local_directory": temporary}
            made: Any = Client
            with made(**given, **({} if scheduler else {"dashboard_address": None})) as client:
                yield client, None
    else:
        yield name, None
