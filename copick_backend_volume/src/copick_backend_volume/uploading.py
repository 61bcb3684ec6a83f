"""Uploading: slices of a job that is UPLOADING are added, replaced and deleted."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from copick_backend_volume.arrays import copy_synced, write_synced
from copick_backend_volume.jobs import JobStore
from copick_backend_volume.places import Volume
from copick_backend_volume.stacks import Stack, app_name, stack_of
from copick_backend_volume.staging import staging, sync_folder
from copick_backend_volume.status import JobStatus
from copick_backend_volume.voxel_notes import note_upload
from copick_core.errors import InvalidDataError, NotFoundError

_SLICE = re.compile(r"slice_(\d{6})(_|\.|$)")
Progress = Callable[[int, int], None]


def add_slices(
    volume: Volume,
    store: JobStore,
    job_id: str,
    slices: Any,
    *,
    voxel_size: float | Sequence[float] | None = None,
    progress: Progress | None = None,
) -> list[str]:
    """Add slices to a job that is UPLOADING, after those that it has.

    Args:
        volume: The volume.
        store: Its database.
        job_id: The job.
        slices: What :func:`~copick_backend_volume.stacks.stack_of` takes: an array (z, y, x), paths of files in order, or one
            path of an image, a folder, a zip, a TIFF of several pages, or a volume file such as MRC. Of arrays, bool
            becomes uint8, other integers int32 and reals float32 (rounded), which with uint8 and uint16 are the types that
            the app reads right.
        voxel_size: In angstrom, one number or (z, y, x); by default what the source tells. It is noted in the volume.
        progress: Called with (files done, all files).

    Returns:
        The names of the new files. Files keep theirs, as the app would store them, if their text order is the order
        given; otherwise they are numbered, with their names after the number.

    Raises:
        FileNotFoundError: A path leads nowhere.
        InvalidDataError: The job is not UPLOADING any more, the array is not (z, y, x) or has values that
            the app cannot read, the voxel size is not positive, or there are slices from elsewhere
            that would sort after these.
        UnknownFormatError: No installed format reads a volume file.
    """
    store._check_writable()
    _check_uploading(store, job_id)
    return add_stack(volume, store, job_id, slices if isinstance(slices, Stack) else stack_of(slices), voxel_size, progress)


def add_stack(
    volume: Volume,
    store: JobStore,
    job_id: str,
    stack: Stack,
    voxel_size: float | Sequence[float] | None = None,
    progress: Progress | None = None,
) -> list[str]:
    """Add what :func:`~copick_backend_volume.stacks.stack_of` has looked at; see :func:`add_slices`."""
    with staging(volume, "uploads") as staged:
        wanted = []
        for number, (name, content) in enumerate(stack.files()):
            path = os.path.join(staged.folder, str(number))
            if isinstance(content, bytes):
                write_synced(path, content)
            else:
                copy_synced(content, path)
            wanted.append(name)
            if progress:
                progress(number + 1, stack.count)
        # Under the lock, so that the slices of two callers do not mix, and none comes after the end of the upload.
        with store._locked():
            _check_uploading(store, job_id)
            folder = volume.make_folder("uploads", job_id)
            names = _next_names(job_id, os.listdir(folder), wanted)
            note_upload(volume, job_id, stack.voxel_sizes if voxel_size is None else voxel_size)
            for number, name in enumerate(names):
                os.rename(os.path.join(staged.folder, str(number)), os.path.join(folder, name))
            sync_folder(folder)
    return names


def _check_uploading(store: JobStore, job_id: str) -> None:
    status = store.job(job_id).status
    if status is not JobStatus.UPLOADING:
        now = "not in the database" if status is None else status.name
        raise InvalidDataError(source=f"job {job_id!r}", reason=f"it is {now}; slices are added while it is UPLOADING")


def delete_upload(volume: Volume, store: JobStore, job_id: str, name: str) -> None:
    """Delete an uploaded file of a job that is UPLOADING; see :meth:`CopickRunVolume.delete_upload`."""
    with _upload_locked(volume, store, job_id, name) as path:
        os.unlink(path)


def replace_upload(volume: Volume, store: JobStore, job_id: str, name: str, file: str | os.PathLike[str]) -> None:
    """Replace an uploaded file of a job that is UPLOADING; see :meth:`CopickRunVolume.replace_upload`."""
    kinds = [os.path.splitext(os.fspath(n))[1].lower() for n in (name, file)]
    if kinds[0] != kinds[1]:
        reason = f"{os.fspath(file)!r} is of another kind by its name: {kinds[1] or 'no suffix'}, not {kinds[0] or 'none'}"
        raise InvalidDataError(source=f"upload {name!r} of job {job_id!r}", reason=reason)
    with staging(volume, "uploads") as staged:
        copy = os.path.join(staged.folder, "copy")
        copy_synced(Path(file), copy)
        with _upload_locked(volume, store, job_id, name) as path:
            os.replace(copy, path)
            sync_folder(os.path.dirname(path))


@contextlib.contextmanager
def _upload_locked(volume: Volume, store: JobStore, job_id: str, name: str) -> Iterator[str]:
    """Path of an uploaded file, while nobody of ours ends the upload."""
    store._check_writable()
    with store._locked():
        _check_uploading(store, job_id)
        if name not in volume.upload_names(job_id):
            location = volume.folder("uploads", job_id)
            raise NotFoundError(key=f"upload {name!r} of job {job_id!r}", layer="volume", location=location)
        yield os.path.join(volume.folder("uploads", job_id), name)


def _next_names(job_id: str, present: list[str], wanted: list[str]) -> list[str]:
    """Names of further slices, which follow those that are there in text order."""
    last = max((name for name in present if not name.startswith(".")), default="")
    own = [app_name(name) for name in wanted]
    if not any(name.startswith(".") for name in own) and all(a < b for a, b in itertools.pairwise([last, *own])):
        return own
    ours = [int(match[1]) for name in present if (match := _SLICE.match(name))]
    first = max(ours, default=-1) + 1
    # Planes of an array have no name but a suffix.
    names = [f"slice_{n:06d}{'' if name.startswith('.') else '_'}{name}" for n, name in enumerate(own, start=first)]
    if names and last >= names[0]:
        reason = f"{last!r} is there, which sorts after {names[0]!r}; give one job slices from one source"
        raise InvalidDataError(source=f"uploads of job {job_id!r}", reason=reason)
    return names
