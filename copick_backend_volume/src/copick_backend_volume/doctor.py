"""Examining a volume: everything that is wrong in it, and nothing changed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import datetime

from copick_backend_volume.arrays import StoredArray, open_array
from copick_backend_volume.claims import is_abandoned
from copick_backend_volume.damage import broken_json, broken_whole_meshes, damaged_chunks, odd_places, stale_blocks
from copick_backend_volume.jobs import JobStore
from copick_backend_volume.models import unfinished_publications
from copick_backend_volume.places import (
    JOB_FOLDERS,
    Volume,
    combined_meshes,
    is_job_id,
    mesh_blocks,
)
from copick_backend_volume.records import Job
from copick_backend_volume.staging import remains
from copick_backend_volume.status import BUSY, WITHOUT_IMAGE, JobStatus
from copick_backend_volume.training import training_pairs, unpaired
from copick_backend_volume.uploads import Finding, preflight
from copick_core.cli.words import count
from copick_core.errors import InvalidDataError

#: Hours without an update after which a job that somebody works on counts as stuck.
STUCK_HOURS = 6.0
#: How to go on with a job that nothing works on any more.
_WAYS_OUT = {
    JobStatus.CONVERTING: 'python -m copick_core volume convert "{root}" --job {job} --retry',
    JobStatus.MESHING: 'python -m copick_core volume mesh "{root}" --job {job} --retry',
    JobStatus.SEGMENTING: 'python -m copick_core volume set-status "{root}" SEGMENT_ERROR --job {job}',
    JobStatus.TRAINING: 'python -m copick_core volume set-status "{root}" ANNOTATED --job {job} --force',
    JobStatus.TRAINING_QUEUED: (
        'start the app, or python -m copick_core volume set-status "{root}" ANNOTATED --job {job} --force'
    ),
    JobStatus.MESHING_QUEUED: (
        'start the app, or python -m copick_core volume set-status "{root}" SEGMENTED --job {job} --force'
    ),
}


def examine(
    volume: Volume,
    store: JobStore,
    *,
    stuck_hours: float = STUCK_HOURS,
    progress: Callable[[int, int], None] | None = None,
) -> list[Finding]:
    """Examine a volume.

    Args:
        volume: The volume.
        store: Its database.
        stuck_hours: Hours after which a job that somebody works on counts as stuck.
        progress: Called with (jobs done, all jobs).

    Returns:
        What was found, errors first.
    """
    found: list[Finding] = []
    torn = store.problem()
    if torn is None:
        document, jobs = store.document(), store.jobs()
    else:
        found.append(Finding("torn-database", "error", f"{volume.database}: {torn}", None, (volume.database,)))
        document, jobs = {}, {job: Job(job) for job in sorted(volume.job_folders())}
    unsafe = [name for name in document if not is_job_id(name)]
    found += [Finding("unsafe-id", "error", f"job id {name!r} is not a name of a folder") for name in unsafe]
    found += [Finding("link" if os.path.islink(p) else "odd-place", "error", why, None, (p,)) for p, why in odd_places(volume)]
    if not document and not any(os.path.isdir(os.path.join(volume.root, kind)) for kind in JOB_FOLDERS):
        message = f"{volume.root} has neither jobs.json nor any of the folders of a volume; is it the right one?"
        found.append(Finding("no-volume", "error", message))
    for done, job in enumerate(jobs.values(), start=1):
        for part in (_of_job, _of_image, _of_segmentations, _of_meshes, _of_descriptions, _of_training, _of_uploads):
            found += part(volume, job, stuck_hours)
        if progress:
            progress(done, len(jobs))
    for recoverable in store.recoverable():
        if recoverable.lost and recoverable.source != volume.database:  # what is in the torn one, that finding tells
            job_id, source = recoverable.job.id, os.path.basename(recoverable.source)
            way_out = f'python -m copick_core volume restore "{volume.root}" --job {job_id}'
            message = f"the app has lost it; {source} has it, and this puts it back: {way_out}"
            found.append(Finding("lost-job", "error", message, job_id, (recoverable.source,)))
    stuck = {finding.job for finding in found if finding.code == "stuck"}
    left = [path for path in remains(volume) if volume.claimed_job(path) not in stuck or volume.claimed_job(path) is None]
    if left:
        message = "writers died and left what nobody sees or uses; delete it, or the next writer after a week will: "
        found.append(Finding("remains", "warning", message + ", ".join(left), None, tuple(left)))
    return sorted(found, key=lambda f: (f.severity, f.job or "", f.code))


def _of_job(volume: Volume, job: Job, stuck_hours: float) -> Iterator[Finding]:
    if not job.in_database:
        way_out = f'python -m copick_core volume restore "{volume.root}" --job {job.id}'
        yield Finding("orphan", "warning", f"it has folders, but stands in no database: {way_out}", job.id)
    if job.problem:
        yield Finding("bad-entry", "error", f"{job.problem}; the app fails for all jobs on some of these", job.id)
    if job.status in BUSY and job.status is not None:
        updated = job.last_updated_at or datetime.now()
        hours = (datetime.now() - updated.replace(tzinfo=None)).total_seconds() / 3600
        died = job.status in (JobStatus.CONVERTING, JobStatus.MESHING) and is_abandoned(volume, job.id)
        if died or hours > stuck_hours:
            why = "the process that worked on it died" if died else f"no update for {hours:.0f} h"
            way_out = _WAYS_OUT[job.status].format(root=volume.root, job=job.id)
            yield Finding("stuck", "error", f"{job.status.name}, but {why}. If nothing works on it: {way_out}", job.id)
    for model in unfinished_publications(volume, job.id):
        path = volume.sidecar(job.id, model)
        message = f"a process that published segmentation {model} died before it appeared; publish it again, and delete {path}"
        yield Finding("unfinished-publication", "warning", message, job.id, (path,))


def _of_image(volume: Volume, job: Job, _: float) -> Iterator[Finding]:
    image, problem = _opened(volume.chunks(job.id)) if volume.has("chunks", job.id) else (None, None)
    if problem:
        yield Finding("broken-array", "error", problem, job.id)
    expected = job.status is not None and job.status not in WITHOUT_IMAGE | {JobStatus.PENDING, JobStatus.ERROR}
    if image is None:
        if expected:
            yield Finding("no-image", "error", f"it is {job.status_text}, but there is no image", job.id)
        return
    if image.missing() and job.status is not JobStatus.CONVERTING:
        yield Finding("incomplete-image", "error", f"{image.missing()} chunks of the image are missing", job.id)
    yield from _of_chunks(image, "the image", job.id)
    if job.shape is not None and job.shape != image.shape:
        message = f"the database says shape {job.shape} (x, y, z), the image has {image.shape}"
        yield Finding("shape-in-database", "error", message, job.id)


def _of_chunks(array: StoredArray, what: str, job: str) -> Iterator[Finding]:
    damaged = damaged_chunks(array)
    if damaged:
        message = f"{count(len(damaged), 'chunk')} of {what} are empty or cut off, such as {damaged[0]}; make it again"
        yield Finding("damaged-chunk", "error", message, job, tuple(damaged))


def _of_segmentations(volume: Volume, job: Job, _: float) -> Iterator[Finding]:
    image, _problem = _opened(volume.chunks(job.id))
    for model in volume.segmentation_ids(job.id):
        array, problem = _opened(volume.segmentation(job.id, model))
        if array is None:
            yield Finding("broken-array", "error", f"segmentation {model}: {problem or 'no array'}", job.id)
            continue
        yield from _of_chunks(array, f"segmentation {model}", job.id)
        if array.missing():
            message = f"{array.missing()} chunks of segmentation {model} are missing"
            yield Finding("incomplete-segmentation", "warning", message, job.id)
        if image is not None and array.shape != image.shape:
            message = f"segmentation {model} has shape {array.shape} (x, y, z), the image {image.shape}"
            yield Finding("shape-mismatch", "error", message, job.id)


def _of_meshes(volume: Volume, job: Job, _: float) -> Iterator[Finding]:
    for model in volume.mesh_ids(job.id):
        folder = volume.meshes(job.id, model)
        blocks = mesh_blocks(folder)
        broken = broken_whole_meshes(folder)
        again = f'Mesh it again: python -m copick_core volume mesh "{volume.root}" --job {job.id} --segmentation {model}'
        if broken:
            message = f"a whole mesh of {model} is cut off: {broken[0]}. {again}"
            yield Finding("broken-mesh", "error", message, job.id, tuple(broken))
        try:
            stale = stale_blocks(folder)
        except InvalidDataError as error:
            yield Finding(
                "broken-block", "error", f"a block of mesh {model} cannot be read: {error}. {again}", job.id, (folder,)
            )
            stale = []
        if stale:
            name = os.path.basename(stale[0])
            what = f"blocks of mesh {model} of an earlier block size, such as {name}; the whole mesh holds surfaces twice"
            message = f"{what}. {again}"
            yield Finding("stale-blocks", "error", message, job.id, tuple(stale))
        for value in sorted({b.value for b in blocks} - combined_meshes(folder).keys()):
            message = f"mesh {model} has blocks of {value}, but no whole mesh. {again}"
            yield Finding("no-combined-mesh", "warning", message, job.id, (folder,))


def _of_descriptions(volume: Volume, job: Job, _: float) -> Iterator[Finding]:
    for path, problem in broken_json(volume, job.id):
        message = f"{path}: {problem}. What it tells is unknown; put back a copy, or delete it"
        yield Finding("broken-description", "error", message, job.id, (path,))


def _of_training(volume: Volume, job: Job, _: float) -> Iterator[Finding]:
    alone = unpaired(volume, job.id)
    if alone:
        message = f"without their other half: {', '.join(alone[:3])}; the app of 2024 shifts all later pairs"
        yield Finding("unpaired", "warning", message, job.id, tuple(alone))
    for pair in training_pairs(volume, job.id):
        try:
            _read = pair.image, pair.mask
        except InvalidDataError as error:
            yield Finding("unreadable-pair", "error", str(error), job.id, (pair.image_path, pair.mask_path))


def _of_uploads(volume: Volume, job: Job, _: float) -> Iterator[Finding]:
    if volume.has("uploads", job.id):
        yield from (f for f in preflight(volume, job.id).findings if f.code != "empty")


def _opened(folder: str) -> tuple[StoredArray | None, str | None]:
    try:
        return open_array(folder), None
    except InvalidDataError as error:
        return None, str(error)
