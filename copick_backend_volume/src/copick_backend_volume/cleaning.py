"""Deleting what is not needed any more, each part only where it is asked for; what anything is made from stays."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from copick_backend_volume.arrays import is_whole
from copick_backend_volume.jobs import JobStore
from copick_backend_volume.models import PUBLISHED_BY, read_sidecar
from copick_backend_volume.places import Volume, size_of
from copick_backend_volume.records import Job
from copick_backend_volume.staging import hidden, remains
from copick_backend_volume.status import BUSY, WITHOUT_IMAGE
from copick_core.errors import InvalidDataError

#: What can be cleaned up.
PARTS = ("remains", "caches", "databases", "segmentations", "uploads")
#: Folder of zips and pictures that the app has made for downloads, and makes again.
_CACHES = "download_cache"


@dataclass(frozen=True)
class Removal:
    """Something that a clean-up deletes.

    Attributes:
        part: One of :data:`PARTS`.
        path: File or folder.
        size: Bytes that it takes.
        why: Why nothing needs it.
        job: The job that it belongs to.
    """

    part: str
    path: str
    size: int
    why: str
    job: str | None = None


def plan_cleanup(
    volume: Volume, store: JobStore, parts: Collection[str], *, jobs: Collection[str] = (), keep: int = 1
) -> list[Removal]:
    """List what a clean-up would delete; deletes nothing.

    Args:
        volume: The volume.
        store: Its database.
        parts: Some of :data:`PARTS`. ``remains``: what writers that died have left. ``caches``: the app's downloads.
            ``databases``: copies of ``jobs.json`` that hold no job that is lost. ``segmentations``: but the latest ones, and
            those with the latest meshes; with their meshes. ``uploads``: of jobs whose image is complete, which cannot be
            converted again then.
        jobs: Only of these jobs; all by default.
        keep: How many of the latest complete segmentations stay.

    Raises:
        InvalidDataError: There is no such part, or ``keep`` is less than 1.
        NotFoundError: There is no such job.
    """
    unknown = [part for part in parts if part not in PARTS]
    if unknown or keep < 1:
        reason = f"{unknown[0]!r} is none of {', '.join(PARTS)}" if unknown else f"keep is at least 1, not {keep}"
        raise InvalidDataError(source="clean-up", reason=reason)
    of_jobs = [store.job(job) for job in jobs] if jobs else [*store.jobs().values()]
    found: list[Removal] = []
    if not jobs:
        found += _of_volume(volume, store, parts)
    for job in of_jobs:
        # What somebody works on, or is not in the database, may need what looks superfluous.
        if job.in_database and job.status is not None and job.status not in BUSY:
            found += _of_job(volume, job, parts, keep)
    return found


def clean_up(
    volume: Volume, store: JobStore, planned: list[Removal], progress: Callable[[int, int], None] | None = None
) -> list[Removal]:
    """Delete what :func:`plan_cleanup` has listed, but for jobs that somebody has begun to work on since.

    A folder disappears in one step.

    Args:
        volume: The volume.
        store: Its database.
        planned: What is to be deleted.
        progress: Called with (deleted, all).

    Returns:
        What was deleted.

    Raises:
        ReadOnlyError: The project does not write back.
    """
    store._check_writable()
    done = []
    with store._locked():
        for number, removal in enumerate(planned, start=1):
            if progress:
                progress(number, len(planned))
            if removal.job is not None and store.job(removal.job).status in BUSY:
                continue
            with contextlib.suppress(FileNotFoundError):
                _delete(volume, removal.path)
                done.append(removal)
    return done


def _of_volume(volume: Volume, store: JobStore, parts: Collection[str]) -> Iterator[Removal]:
    if "remains" in parts:
        for path in remains(volume):
            if volume.claimed_job(path) is None:  # those tell the doctor which jobs are stuck
                yield Removal("remains", path, size_of(path), "a writer that died has left it")
    caches = os.path.join(volume.root, _CACHES)
    if "caches" in parts and os.path.isdir(caches) and not os.path.islink(caches):
        yield Removal("caches", caches, size_of(caches), "the app makes its downloads again")
    if "databases" in parts and store.problem() is None:
        lost = {r.source for r in store.recoverable() if r.lost}
        for path in store.moved_aside():
            if path not in lost:
                yield Removal("databases", path, size_of(path), "every job in it stands in the database")


def _of_job(volume: Volume, job: Job, parts: Collection[str], keep: int) -> Iterator[Removal]:
    if "segmentations" in parts:
        yield from _old_segmentations(volume, job, keep)
    if "uploads" in parts and job.status not in WITHOUT_IMAGE and is_whole(volume.chunks(job.id)):
        for name in volume.upload_names(job.id):
            path = os.path.join(volume.folder("uploads", job.id), name)
            yield Removal("uploads", path, size_of(path), "its image is complete", job.id)


def _old_segmentations(volume: Volume, job: Job, keep: int) -> Iterator[Removal]:
    ids, meshed = volume.segmentation_ids(job.id), volume.mesh_ids(job.id)
    whole = [model for model in ids if is_whole(volume.segmentation(job.id, model))]
    kept = {*whole[-keep:], *ids[-1:], *[model for model in meshed if model in ids][-1:]}
    for model in ids:
        if model in kept:
            continue
        why = f"a later one, {max(kept)}, is there"
        if model in meshed:
            meshes = volume.meshes(job.id, model)
            yield Removal("segmentations", meshes, size_of(meshes), f"meshes of a segmentation; {why}", job.id)
        # Its description before it: without the segmentation, that would look like a publication that was cut off.
        if read_sidecar(volume, job.id, model).get("published_by") == PUBLISHED_BY:
            sidecar = volume.sidecar(job.id, model)
            yield Removal("segmentations", sidecar, size_of(sidecar), f"describes a segmentation; {why}", job.id)
        path = volume.segmentation(job.id, model)
        yield Removal("segmentations", path, size_of(path), f"a segmentation; {why}", job.id)


def _delete(volume: Volume, path: str) -> None:
    if not os.path.isdir(path) or os.path.islink(path):
        os.unlink(path)
        return
    aside = hidden(volume.root)
    os.rename(path, aside)
    shutil.rmtree(aside)
