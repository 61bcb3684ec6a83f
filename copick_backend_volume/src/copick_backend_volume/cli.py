"""The command ``volume``: ``python -m copick_core volume doctor|jobs|convert|mesh PATH``.

Results go to standard output, progress and errors to standard error.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from copick_core.cli.words import count
from copick_core.errors import CopickError

if TYPE_CHECKING:
    from copick_backend_volume.root import CopickRootVolume, CopickRunVolume

Progress = Callable[[int, int], None]


@click.group
def volume() -> None:
    """Examine, convert and mesh the shared volume of a segmentation web app."""


def _open(path: str, *, write: bool = False) -> CopickRootVolume:
    from copick_backend_volume.config import CopickConfigVolume
    from copick_backend_volume.opening import open_layers
    from copick_backend_volume.root import CopickRootVolume
    from copick_core.opening import validated

    if not os.path.isdir(os.path.expanduser(path)):
        raise NotADirectoryError(f"{path!r} is not a folder")
    content: dict[str, Any] = {"config_type": "compose_volume", "volume_root": path, "write_back": write}
    return CopickRootVolume(validated(CopickConfigVolume, content, path, None), open_layers)


@volume.command
@click.argument("path")
@click.option("--stuck-hours", type=float, help="Hours without an update that count as stuck.")
@click.pass_context
def doctor(context: click.Context, path: str, stuck_hours: float | None) -> None:
    """Look for everything that is wrong in the volume in folder PATH.

    Changes nothing. The exit code is 1 where there are errors.
    """
    from copick_backend_volume.doctor import STUCK_HOURS, examine

    root = _open(path)
    hours = STUCK_HOURS if stuck_hours is None else stuck_hours
    with _bar("examining", "job") as progress:
        findings = examine(root.volume, root.volume_layer.jobs, stuck_hours=hours, progress=progress)
    for finding in findings:
        _say(f"{finding.severity:7}  {finding.job or '-':8}  {finding.code}: {finding.message}")
    errors = sum(f.severity == "error" for f in findings)
    _say(f"{count(errors, 'error')}, {count(len(findings) - errors, 'warning')}")
    context.exit(1 if errors else 0)


@volume.command
@click.argument("path")
def jobs(path: str) -> None:
    """List the jobs of the volume in folder PATH; changes nothing."""
    found = _open(path).jobs()
    if not found:
        _say(f"there are no jobs in {path}", sys.stderr)
    for job in found:
        shape = "x".join(map(str, job.shape_zyx)) if job.shape_zyx else "-"
        status = job.status.name if job.status else job.status_text or "(not in the database)"
        updated = job.last_updated_at.isoformat(" ", "seconds") if job.last_updated_at else "-"
        _say(f"{job.id:8}  {status:22}  {shape:>16}  {updated:19}  {job.name or ''}".rstrip())


@volume.command
@click.argument("path")
@click.option("--job", multiple=True, metavar="ID", help="Only this job; repeatable. By default all UPLOADED.")
@click.option("--retry", is_flag=True, help="With --job: also if it failed, or its process died.")
@click.pass_context
def convert(context: click.Context, path: str, job: tuple[str, ...], retry: bool) -> None:
    """Convert the uploads of jobs that are UPLOADED, in the volume in folder PATH."""
    from copick_backend_volume.status import JobStatus

    if retry and not job:
        raise click.UsageError("--retry needs --job: which one nobody works on any more")
    root = _open(path, write=True)
    wanted = job or [found.id for found in root.jobs() if found.status is JobStatus.UPLOADED]
    failed = 0
    for job_id in wanted:
        try:
            with _bar(f"converting {job_id}", "slice") as progress:
                done = _run(root, job_id).convert(retry=retry, progress=progress)
        except CopickError as error:
            _say(f"error: {job_id}: {error}", sys.stderr)
            failed += 1
        else:
            _say(f"{done.id}: shape (z, y, x) {done.shape_zyx}")
    if not wanted:
        _say("nothing is UPLOADED")
    context.exit(1 if failed else 0)


@volume.command
@click.argument("path")
@click.option("--job", required=True, metavar="ID", help="The job.")
@click.option("--segmentation", metavar="ID", help="The segmentation; the latest by default.")
@click.option("--retry", is_flag=True, help="Also if the process that meshed it died.")
def mesh(path: str, job: str, segmentation: str | None, retry: bool) -> None:
    """Mesh the latest segmentation of a job, in the volume in folder PATH."""
    root = _open(path, write=True)
    with _bar(f"meshing {job}", "block") as progress:
        meshes = _run(root, job).mesh(segmentation, retry=retry, progress=progress)
    for made in meshes:
        _say(f"{job}: {made.pickable_object_name} of segmentation {made.session_id}")


def _run(root: CopickRootVolume, job_id: str) -> CopickRunVolume:
    from copick_backend_volume.root import CopickRunVolume
    from copick_core.errors import NotFoundError
    from copick_core.tree.keys import RunKey

    found = root.get_run(job_id)
    if not isinstance(found, CopickRunVolume):
        raise NotFoundError(key=RunKey(job_id), layer="volume", location=root.volume.root)
    return found


@contextmanager
def _bar(title: str, unit: str) -> Iterator[Progress | None]:
    """A progress bar on standard error, where that is a terminal and tqdm is installed."""
    try:
        from tqdm import tqdm  # type: ignore[import-untyped,unused-ignore]
    except ImportError:
        yield None
        return
    with tqdm(desc=title, unit=unit, file=sys.stderr, leave=False, disable=not sys.stderr.isatty()) as bar:

        def progress(done: int, total: int) -> None:
            if bar.total is None:
                bar.reset(total)
            bar.update(done - bar.n)

        yield progress


def _say(text: str, file: Any = None) -> None:
    # Titles and file names are anybody's: they must neither break lines nor command the terminal.
    (file or sys.stdout).write("".join(c if c.isprintable() else "?" for c in text) + "\n")
