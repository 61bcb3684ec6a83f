"""What the commands share: opening a volume, its jobs, progress, and lines that do no harm to a terminal."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from copick_backend_volume.records import Job
    from copick_backend_volume.root import CopickRootVolume, CopickRunVolume

F = TypeVar("F", bound=Callable[..., Any])
Progress = Callable[[int, int], None]


def job_option(command: F) -> F:
    """Give a command ``--job`` for the one job that it is about, as ``job``."""
    return click.option("--job", required=True, metavar="ID", help="Id of the job.")(command)


def dry_run_option(command: F) -> F:
    """Give a command ``-n/--dry-run``."""
    return click.option("-n", "--dry-run", is_flag=True, help="Only print what would be done.")(command)


def yes_option(command: F) -> F:
    """Give a command ``-y/--yes``."""
    return click.option("-y", "--yes", is_flag=True, help="Do not ask.")(command)


def opened(path: str, *, write: bool = False) -> CopickRootVolume:
    """Open a volume by its folder.

    Raises:
        NotADirectoryError: It is not a folder.
        ConfigError: It is not a volume.
    """
    from copick_backend_volume.config import CopickConfigVolume
    from copick_backend_volume.opening import open_layers
    from copick_backend_volume.root import CopickRootVolume
    from copick_core.opening import validated

    if not os.path.isdir(os.path.expanduser(path)):
        raise NotADirectoryError(f"{path!r} is not a folder")
    content: dict[str, Any] = {"config_type": "compose_volume", "volume_root": path, "write_back": write}
    return CopickRootVolume(validated(CopickConfigVolume, content, path, None), open_layers)


def run_of(root: CopickRootVolume, job_id: str) -> CopickRunVolume:
    """The run of a job.

    Raises:
        NotFoundError: There is no such job.
    """
    from copick_backend_volume.root import CopickRunVolume
    from copick_core.errors import NotFoundError
    from copick_core.tree.keys import RunKey

    found = root.get_run(job_id)
    if not isinstance(found, CopickRunVolume):
        raise NotFoundError(key=RunKey(job_id), layer="volume", location=root.volume.root)
    return found


def confirm(question: str, *, yes: bool) -> None:
    """Ask on standard error before something is deleted, unless the answer was given.

    Raises:
        click.UsageError: Nobody can be asked.
        click.Abort: The answer is no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("nothing was deleted: pass --yes where there is no terminal to ask in")
    click.confirm(question, abort=True, err=True)


@contextmanager
def bar(title: str, unit: str) -> Iterator[Progress | None]:
    """A progress bar on standard error, where that is a terminal and tqdm is installed."""
    try:
        from tqdm import tqdm  # type: ignore[import-untyped,unused-ignore]
    except ImportError:
        yield None
        return
    with tqdm(desc=title, unit=unit, file=sys.stderr, leave=False, disable=not sys.stderr.isatty()) as shown:

        def progress(done: int, total: int) -> None:
            if shown.total is None:
                shown.reset(total)
            shown.update(done - shown.n)

        yield progress


def say(text: str, file: Any = None) -> None:
    """Print one line: titles and file names are anybody's, and must neither break lines nor command the terminal."""
    (file or sys.stdout).write("".join(c if c.isprintable() else "?" for c in text) + "\n")


def say_json(content: Any) -> None:
    """Print JSON."""
    sys.stdout.write(json.dumps(content, indent=2) + "\n")


def job_as_json(job: Job) -> dict[str, Any]:
    """A job, as fields for JSON."""
    return {
        "job": job.id,
        "title": job.name,
        "status": job.status.name if job.status else job.status_text,
        "shape_zyx": job.shape_zyx,
        "progress": job.progress,
        "created_at": job.created_at.isoformat() if job.created_at else None,
        "last_updated_at": job.last_updated_at.isoformat() if job.last_updated_at else None,
        "in_database": job.in_database,
        "problem": job.problem,
    }


def bytes_text(size: int) -> str:
    """A number of bytes for people: ``3.2 MB``."""
    amount, units = float(size), ["bytes", "kB", "MB", "GB", "TB"]
    while amount >= 1000 and len(units) > 1:
        amount, units = amount / 1000, units[1:]
    return f"{amount:.0f} {units[0]}" if units[0] == "bytes" else f"{amount:.1f} {units[0]}"
