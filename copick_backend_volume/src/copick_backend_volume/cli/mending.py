"""``volume restore``, ``set-status``, ``rename`` and ``cleanup``: what repairs a database, and what deletes."""

from __future__ import annotations

from typing import Any

import click

from copick_backend_volume.cli.frame import (
    bar,
    bytes_text,
    confirm,
    dry_run_option,
    job_as_json,
    job_option,
    opened,
    run_of,
    say,
    say_json,
    yes_option,
)
from copick_core.cli.parameters import examples, json_option

#: Parts of a clean-up that nothing needs, which is what is deleted where none is named.
_SAFE_PARTS = ("remains", "caches", "databases")


@examples("copick-core volume restore volume", "copick-core volume restore volume --job CC7651 --dry-run")
@click.command
@click.argument("path")
@click.option("--job", "wanted", multiple=True, metavar="ID", help="Only this job; repeatable.")
@click.option(
    "--orphans", is_flag=True, help="Also restore jobs that have folders, but are in no database and no copy of one."
)
@dry_run_option
@json_option
def restore(path: str, wanted: tuple[str, ...], orphans: bool, dry_run: bool, as_json: bool) -> None:
    """Put jobs that the app has lost back into the database of the volume in folder PATH.

    A torn database is kept beside the new one. Jobs that have only folders get the status that these suggest.
    """
    from copick_core.errors import NotFoundError

    root = opened(path, write=not dry_run)
    lost = {r.job.id: r.source for r in root.recoverable_jobs() if r.lost}
    folders = [job.id for job in root.jobs() if not job.in_database and job.id not in lost]
    chosen = [*wanted] or [*lost, *(folders if orphans else [])]
    for job_id in chosen:
        if job_id not in lost and job_id not in folders:
            known = root.volume_layer.jobs.find(job_id)
            where = "stands in the database" if known else "has neither a folder nor an entry in any copy of the database"
            raise click.ClickException(f"there is nothing to restore: job {job_id} {where}")
    rows: list[dict[str, Any]] = []
    for job_id in chosen:
        source = lost.get(job_id)
        row = {"job": job_id, "from": source or "its folders"}
        if not dry_run:
            try:
                job = root.restore_job(job_id) if source else root.adopt_job(job_id)
            except NotFoundError:  # somebody has taken the copy away meanwhile
                job = root.adopt_job(job_id)
            row["status"] = job.status.name if job.status else "-"
        rows.append(row)
        if not as_json:
            done = f"would restore {job_id}" if dry_run else f"{job_id}: {row['status']}"
            say(f"{done} from {row['from']}")
    if as_json:
        say_json(rows)
    elif not rows:
        left = f"; {len(folders)} with folders only: see --orphans" if folders else ""
        say(f"no job is lost{left}")


@examples("copick-core volume set-status volume SEGMENT_ERROR --job CC7651")
@click.command("set-status")
@click.argument("path")
@click.argument("status")
@job_option
@click.option("--force", is_flag=True, help="Set it in any case, to free a job that is stuck.")
@json_option
def set_status(path: str, status: str, job: str, force: bool, as_json: bool) -> None:
    """Set the status of a job of the volume in folder PATH, if the present one allows it."""
    done = run_of(opened(path, write=True), job).set_status(status, force=force)
    if as_json:
        say_json(job_as_json(done))
    else:
        say(f"{job}: {done.status.name if done.status else '-'}")


@examples("copick-core volume rename volume 'Egg, scan 2' --job 4F09A2")
@click.command
@click.argument("path")
@click.argument("title")
@job_option
@json_option
def rename(path: str, title: str, job: str, as_json: bool) -> None:
    """Give a job of the volume in folder PATH another title."""
    done = run_of(opened(path, write=True), job).rename(title)
    if as_json:
        say_json(job_as_json(done))
    else:
        say(f"{job}: {done.name}")


@examples(
    "copick-core volume cleanup volume --dry-run",
    "copick-core volume cleanup volume --segmentations --keep 2 --uploads",
)
@click.command
@click.argument("path")
@click.option("--job", "jobs", multiple=True, metavar="ID", help="Clean up only this job; repeatable.")
@click.option("--segmentations", is_flag=True, help="Also delete all but the latest segmentations, with their meshes.")
@click.option("--keep", type=click.IntRange(1), default=1, show_default=True, help="Number of latest segmentations to keep.")
@click.option(
    "--uploads",
    is_flag=True,
    help="Also delete uploads of jobs whose image is complete, which then cannot be converted again.",
)
@yes_option
@dry_run_option
@json_option
def cleanup(
    path: str,
    jobs: tuple[str, ...],
    segmentations: bool,
    keep: int,
    uploads: bool,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Delete what the volume in folder PATH does not need any more, after asking.

    It deletes files left by crashed writers, downloads of the app, and copies of the database that hold no lost job; more only
    with --segmentations or --uploads. What somebody is working on is kept.
    """
    root = opened(path, write=not dry_run)
    parts = {*_SAFE_PARTS, *(["segmentations"] if segmentations else []), *(["uploads"] if uploads else [])}
    planned = root.plan_cleanup(parts, jobs=jobs, keep=keep)
    total = sum(removal.size for removal in planned)
    if planned and not as_json:
        for removal in planned:
            say(f"{removal.part:13}  {removal.job or '-':8}  {bytes_text(removal.size):>9}  {removal.path} ({removal.why})")
    if planned and not dry_run:
        confirm(f"Delete {bytes_text(total)}?", yes=yes)
        with bar("deleting", "item") as progress:
            planned = root.clean_up(planned, progress)
        total = sum(removal.size for removal in planned)
    if as_json:
        rows = [{"part": r.part, "job": r.job, "path": r.path, "bytes": r.size, "why": r.why} for r in planned]
        say_json({"deleted": not dry_run, "bytes": total, "removals": rows})
    else:
        say(f"{'would delete' if dry_run else 'deleted'} {bytes_text(total)}")
