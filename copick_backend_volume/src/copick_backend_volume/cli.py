"""The subcommand ``volume``: ``python -m copick_core volume doctor|jobs|convert|mesh PATH``.

Results go to standard output, progress and errors to standard error.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from copick_core.cli.words import count
from copick_core.errors import CopickError

if TYPE_CHECKING:
    from copick_backend_volume.root import CopickRootVolume, CopickRunVolume

Progress = Callable[[int, int], None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``volume``."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    for name, text, action in (
        ("doctor", "look for everything that is wrong; changes nothing; exit code 1 where there are errors", _doctor),
        ("jobs", "list the jobs; changes nothing", _jobs),
        ("convert", "convert the uploads of jobs that are UPLOADED", _convert),
        ("mesh", "mesh the latest segmentation of a job", _mesh),
    ):
        sub = actions.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        sub.add_argument("path", metavar="PATH", help="the volume's folder")
        sub.set_defaults(action=action)
        if name == "doctor":
            sub.add_argument("--stuck-hours", type=float, help="hours without an update that count as stuck")
        if name == "convert":
            sub.add_argument("--job", action="append", help="job id; all that are UPLOADED by default; may be repeated")
            sub.add_argument("--retry", action="store_true", help="with --job: also if it failed, or its process died")
        if name == "mesh":
            sub.add_argument("--job", required=True, help="job id")
            sub.add_argument("--segmentation", help="id of the segmentation; the latest by default")
            sub.add_argument("--retry", action="store_true", help="also if the process that meshed it died")


def run(args: argparse.Namespace) -> int:
    """Run one action; gives the exit code."""
    action: Callable[[argparse.Namespace], int] = args.action
    return action(args)


def _open(path: str, *, write: bool = False) -> CopickRootVolume:
    from copick_backend_volume.config import CopickConfigVolume
    from copick_backend_volume.opening import open_layers
    from copick_backend_volume.root import CopickRootVolume
    from copick_core.opening import validated

    if not os.path.isdir(os.path.expanduser(path)):
        raise NotADirectoryError(f"{path!r} is not a folder")
    content: dict[str, Any] = {"config_type": "compose_volume", "volume_root": path, "write_back": write}
    return CopickRootVolume(validated(CopickConfigVolume, content, path, None), open_layers)


def _doctor(args: argparse.Namespace) -> int:
    from copick_backend_volume.doctor import STUCK_HOURS, examine

    root = _open(args.path)
    hours = STUCK_HOURS if args.stuck_hours is None else args.stuck_hours
    with _bar("examining", "job") as progress:
        findings = examine(root.volume, root.volume_layer.jobs, stuck_hours=hours, progress=progress)
    for finding in findings:
        _say(f"{finding.severity:7}  {finding.job or '-':8}  {finding.code}: {finding.message}")
    errors = sum(f.severity == "error" for f in findings)
    _say(f"{count(errors, 'error')}, {count(len(findings) - errors, 'warning')}")
    return 1 if errors else 0


def _jobs(args: argparse.Namespace) -> int:
    jobs = _open(args.path).jobs()
    if not jobs:
        _say(f"there are no jobs in {args.path}", sys.stderr)
    for job in jobs:
        shape = "x".join(map(str, job.shape_zyx)) if job.shape_zyx else "-"
        status = job.status.name if job.status else job.status_text or "(not in the database)"
        updated = job.last_updated_at.isoformat(" ", "seconds") if job.last_updated_at else "-"
        _say(f"{job.id:8}  {status:22}  {shape:>16}  {updated:19}  {job.name or ''}".rstrip())
    return 0


def _convert(args: argparse.Namespace) -> int:
    from copick_backend_volume.status import JobStatus

    if args.retry and not args.job:
        _say("error: --retry needs --job: which one nobody works on any more", sys.stderr)
        return 2
    root = _open(args.path, write=True)
    wanted = args.job or [job.id for job in root.jobs() if job.status is JobStatus.UPLOADED]
    failed = 0
    for job_id in wanted:
        try:
            with _bar(f"converting {job_id}", "slice") as progress:
                job = _run(root, job_id).convert(retry=args.retry, progress=progress)
        except CopickError as error:
            _say(f"error: {job_id}: {error}", sys.stderr)
            failed += 1
        else:
            _say(f"{job.id}: shape (z, y, x) {job.shape_zyx}")
    if not wanted:
        _say("nothing is UPLOADED")
    return 1 if failed else 0


def _mesh(args: argparse.Namespace) -> int:
    root = _open(args.path, write=True)
    with _bar(f"meshing {args.job}", "block") as progress:
        meshes = _run(root, args.job).mesh(args.segmentation, retry=args.retry, progress=progress)
    for mesh in meshes:
        _say(f"{args.job}: {mesh.pickable_object_name} of segmentation {mesh.session_id}")
    return 0


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
