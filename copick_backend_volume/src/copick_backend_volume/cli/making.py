"""``volume upload``, ``convert``, ``annotate``, ``publish`` and ``mesh``: what is made, beside the app or without it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from copick_backend_volume.cli.frame import (
    bar,
    confirm,
    dry_run_option,
    job_option,
    opened,
    run_of,
    say,
    say_json,
    yes_option,
)
from copick_core.cli.parameters import examples, json_option
from copick_core.cli.words import count
from copick_core.errors import CopickError

if TYPE_CHECKING:
    from copick_backend_volume.root import CopickRunVolume


def _voxel_size(ctx: click.Context, param: click.Parameter, text: str | None) -> float | Sequence[float] | None:
    if text is None:
        return None
    try:
        sizes = [float(part) for part in text.split(",")]
    except ValueError:
        sizes = []
    if len(sizes) not in (1, 3):
        raise click.BadParameter(f"{text!r} is neither one number nor three, Z,Y,X, in angstrom")
    return sizes if len(sizes) == 3 else sizes[0]


@examples(
    "copick-core volume upload volume scans/egg --title 'Egg, scan 2'",
    "copick-core volume upload volume stack.mrc --voxel-size 13.5",
    "copick-core volume upload volume --job 12E345 --replace part1.png better/part1.png",
)
@click.command
@click.argument("path")
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
@click.option("--title", metavar="TEXT", help="Title of the new job; the name of the first source by default.")
@click.option("--job", metavar="ID", help="Change the upload of this job, not converted yet, instead of making one.")
@click.option("--delete", "deleted", multiple=True, metavar="NAME", help="With --job: delete an uploaded file; repeatable.")
@click.option(
    "--replace",
    "replaced",
    multiple=True,
    nargs=2,
    metavar="NAME FILE",
    help="With --job: replace an uploaded file; repeatable.",
)
@click.option("--voxel-size", callback=_voxel_size, metavar="SIZE", help="Voxel size in angstrom: one number, or Z,Y,X.")
@click.option("--finish/--no-finish", default=True, help="Mark the upload as complete, so that it is converted.")
@click.option("--force", is_flag=True, help="Finish also if conversion would spoil some slices.")
@yes_option
@dry_run_option
@json_option
def upload(
    path: str,
    sources: tuple[str, ...],
    title: str | None,
    job: str | None,
    deleted: tuple[str, ...],
    replaced: tuple[tuple[str, str], ...],
    voxel_size: float | Sequence[float] | None,
    finish: bool,
    force: bool,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Upload slices as a job of the volume in folder PATH.

    SOURCE is a folder or a zip of images or DICOM, in the order of the numbers in their names, a TIFF of several pages, a
    volume file such as MRC, or an image; several are taken one after the other. Files keep their names.
    """
    from copick_backend_volume.stacks import stack_of

    if (deleted or replaced) and job is None:
        raise click.UsageError("--delete and --replace need --job")
    if not (sources or job):
        raise click.UsageError("name what is to be uploaded")
    stack = stack_of([os.path.expanduser(source) for source in sources]) if sources else None
    root = opened(path, write=True)
    changes = [f"delete {name}" for name in deleted] + [f"replace {name} by {file}" for name, file in replaced]
    changes += [f"add {count(stack.count, 'file')}"] if stack else []
    if dry_run:
        planned = {"job": job, "title": title, "changes": changes}
        if as_json:
            say_json(planned)
        else:
            say(f"would {', '.join(changes)} {f'of job {job}' if job else 'as a new job'}")
        return
    if deleted:
        confirm(f"Delete {', '.join(deleted)}?", yes=yes)
    name = os.path.basename(os.path.abspath(sources[0])) if sources else ""
    run = run_of(root, job) if job else root.new_job(title or os.path.splitext(name)[0])
    if job:
        _reopen(run)
    for old in deleted:
        run.delete_upload(old)
    for old, file in replaced:
        run.replace_upload(old, file)
    added: list[str] = []
    if stack:
        with bar(f"uploading {run.name}", "file") as progress:
            added = run.add_slices(stack, voxel_size=voxel_size, progress=progress)
    try:
        done = run.finish_upload(force=force) if finish else run.job
    except CopickError as error:
        again = f'copick-core volume upload "{path}" --job {run.name}'
        way_out = f"Job {run.name} stays UPLOADING; go on with {again} --replace NAME FILE, --delete NAME or --force"
        raise click.ClickException(f"{error}. {way_out}") from error
    status = done.status.name if done and done.status else "-"
    if as_json:
        say_json({"job": run.name, "status": status, "files": added, "changes": changes})
    else:
        say(f"{run.name}: {', '.join([*changes, status]).removeprefix('add ')}")


def _reopen(run: CopickRunVolume) -> None:
    """Go back to UPLOADING where conversion has not begun, or has failed."""
    from copick_backend_volume.status import JobStatus

    if run.job and run.job.status in (JobStatus.UPLOADED, JobStatus.CONVERT_ERROR):
        run.reopen_upload()


@examples("copick-core volume convert volume", "copick-core volume convert volume --job 12E345 --retry")
@click.command
@click.argument("path")
@click.option("--job", multiple=True, metavar="ID", help="Only this job; repeatable. By default all UPLOADED.")
@click.option("--retry", is_flag=True, help="With --job: convert it even if it failed before, or its process died.")
@json_option
@click.pass_context
def convert(context: click.Context, path: str, job: tuple[str, ...], retry: bool, as_json: bool) -> None:
    """Convert the uploads of jobs that are UPLOADED, in the volume in folder PATH."""
    from copick_backend_volume.status import JobStatus

    if retry and not job:
        raise click.UsageError("--retry needs --job: which one nobody works on any more")
    root = opened(path, write=True)
    wanted = job or [found.id for found in root.jobs() if found.status is JobStatus.UPLOADED]
    rows: list[dict[str, Any]] = []
    for job_id in wanted:
        try:
            with bar(f"converting {job_id}", "slice") as progress:
                done = run_of(root, job_id).convert(retry=retry, progress=progress)
        except CopickError as error:
            say(f"error: {job_id}: {error}", sys.stderr)
            rows.append({"job": job_id, "error": str(error)})
        else:
            rows.append({"job": done.id, "status": done.status.name if done.status else None, "shape_zyx": done.shape_zyx})
            if not as_json:
                say(f"{done.id}: shape (z, y, x) {done.shape_zyx}")
    if as_json:
        say_json(rows)
    elif not wanted:
        say("nothing is UPLOADED")
    context.exit(1 if any("error" in row for row in rows) else 0)


_value_option = click.option(
    "--value",
    type=click.IntRange(1),
    default=255,
    show_default=True,
    help="Value to write for every label; the app expects 255.",
)
_keep_labels_option = click.option("--keep-labels", is_flag=True, help="Keep the labels as they are.")
_project_option = click.option(
    "--project", metavar="FILE", help="Config of a project in which SOURCE is the address of a segmentation."
)


@examples(
    "copick-core volume publish volume prediction.mrc --job CC7651 --tool nnU-Net",
    "copick-core volume publish volume CC7651/bone:ana/1@65000 --project project.json --job CC7651 --tool ana",
)
@click.command
@click.argument("path")
@click.argument("source")
@job_option
@click.option("--tool", required=True, metavar="NAME", help="Tool or person that made it; shown as the user.")
@click.option("--person", is_flag=True, help="--tool names a person, not a tool.")
@_value_option
@_keep_labels_option
@_project_option
@json_option
def publish(
    path: str,
    source: str,
    job: str,
    tool: str,
    person: bool,
    value: int,
    keep_labels: bool,
    project: str | None,
    as_json: bool,
) -> None:
    """Put a segmentation into the volume in folder PATH, as the latest one of a job.

    SOURCE is a file of any installed format, such as MRC or TIFF, or with --project the address of a segmentation.
    """
    run = run_of(opened(path, write=True), job)
    with _labels(source, project) as labels, bar(f"publishing {job}", "chunk") as progress:
        made = run.publish_segmentation(
            labels, tool, value=None if keep_labels else value, from_tool=False if person else None, progress=progress
        )
    if as_json:
        say_json({"job": job, "segmentation": made.session_id, "object": made.name, "tool": made.user_id})
    else:
        say(f"{job}: {made.name} of segmentation {made.session_id}")


@examples("copick-core volume annotate volume corrected.tif --job CC7651 --slice 3 --slice 8")
@click.command
@click.argument("path")
@click.argument("source")
@job_option
@click.option("--slice", "slices", type=int, multiple=True, required=True, metavar="Z", help="An annotated slice; repeatable.")
@_value_option
@_keep_labels_option
@_project_option
@json_option
def annotate(
    path: str,
    source: str,
    job: str,
    slices: tuple[int, ...],
    value: int,
    keep_labels: bool,
    project: str | None,
    as_json: bool,
) -> None:
    """Give the app training pairs from masks that were made elsewhere, so that its next model learns from them.

    SOURCE is as for publish. All pixels of the slices count as annotated.
    """
    run = run_of(opened(path, write=True), job)
    with _labels(source, project) as labels, bar(f"annotating {job}", "pair") as progress:
        made = run.add_training_pairs(labels, slices, value=None if keep_labels else value, progress=progress)
    if as_json:
        say_json({"job": job, "pairs": [pair.id for pair in made]})
    else:
        say(f"{job}: {count(len(made), 'training pair')}")


@examples("copick-core volume mesh volume --job CC7651", "copick-core volume mesh volume --job CC7651 --reduction 10")
@click.command
@click.argument("path")
@job_option
@click.option("--segmentation", metavar="ID", help="The segmentation; the latest by default.")
@click.option("--reduction", type=float, metavar="N", help="Simplify to one triangle in N; 50 by default, 1 keeps all.")
@click.option("--max-error", type=float, metavar="VOXELS", help="How far simplification may move a surface; 10 by default.")
@click.option("--downsample", type=int, default=1, metavar="N", help="Pool labels by this factor first.")
@click.option("--retry", is_flag=True, help="Mesh it even if meshing failed before, or its process died.")
@json_option
def mesh(
    path: str,
    job: str,
    segmentation: str | None,
    reduction: float | None,
    max_error: float | None,
    downsample: int,
    retry: bool,
    as_json: bool,
) -> None:
    """Mesh the latest segmentation of a job, in the volume in folder PATH."""
    root = opened(path, write=True)
    with bar(f"meshing {job}", "block") as progress:
        meshes = run_of(root, job).mesh(
            segmentation, reduction=reduction, max_error=max_error, downsample=downsample, retry=retry, progress=progress
        )
    if as_json:
        say_json([{"job": job, "segmentation": made.session_id, "object": made.pickable_object_name} for made in meshes])
        return
    for made in meshes:
        say(f"{job}: {made.pickable_object_name} of segmentation {made.session_id}")


@contextmanager
def _labels(source: str, project: str | None) -> Iterator[Any]:
    """The segmentation that SOURCE names, or the labels in a file."""
    from copick_backend_volume.label_files import opened_labels
    from copick_core.opening import open as open_project

    if project is not None:
        yield open_project(project).entity(source, "segmentation")
        return
    with opened_labels(os.path.expanduser(source)) as labels:
        yield labels
