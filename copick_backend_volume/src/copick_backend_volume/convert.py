"""Conversion of uploads to an image, as the app does it but for its silent zeros; slices stream through one slab of chunks."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from copick_backend_volume.arrays import ArrayWriter
from copick_backend_volume.claims import claimed
from copick_backend_volume.jobs import JobStore
from copick_backend_volume.places import Volume
from copick_backend_volume.records import Job
from copick_backend_volume.sources import Opener
from copick_backend_volume.staging import staging
from copick_backend_volume.status import JobStatus
from copick_backend_volume.uploads import UploadReport, preflight, read_slice
from copick_backend_volume.voxel_notes import note_image, noted_upload
from copick_core.errors import InvalidDataError

#: Shape (x, y, z) of a chunk: that of the app since 2026.
CHUNKS = (512, 512, 64)
#: Seconds between two writes of the progress.
_PROGRESS_SECONDS = 1.0

Progress = Callable[[int, int], None]


def convert(
    volume: Volume,
    store: JobStore,
    job_id: str,
    *,
    chunks: tuple[int, int, int] = CHUNKS,
    retry: bool = False,
    progress: Progress | None = None,
) -> Job:
    """Convert the uploads of a job that is UPLOADED, here instead of in the app.

    The job is claimed first (CONVERTING), so that the app does not take it too. The image becomes visible whole or not at
    all. Memory holds one slab: ``width * height * chunks[2]`` voxels.

    Args:
        volume: The volume.
        store: Its database.
        job_id: The job.
        chunks: Shape (x, y, z) of a chunk.
        retry: Take a job also if it failed, or if whoever worked on it died (CONVERTING).
        progress: Called with (slices done, all slices).

    Returns:
        The job, CONVERTED; a status that the app has set meanwhile stays.

    Raises:
        InvalidDataError: Conversion would lose something, see ``run.uploads``, or the chunks have no voxels, and the job stays
            UPLOADED; or it is not.
        ConflictError: Another process converts it.
        MissingDependencyError: The uploads are DICOM, and the extra ``dicom`` is not installed.
    """
    if len(chunks) != 3 or min(chunks) < 1:
        raise InvalidDataError(source="chunks", reason=f"{tuple(chunks)} is not a shape (x, y, z) of a chunk")
    if store.job(job_id).status is JobStatus.UPLOADING:  # what is added while the report is made would not be in it
        raise InvalidDataError(source=f"job {job_id!r}", reason="it is UPLOADING; finish_upload() comes before")
    report = preflight(volume, job_id)
    report.check()
    starts, failed = {JobStatus.UPLOADED}, JobStatus.CONVERT_ERROR
    with claimed(volume, store, job_id, JobStatus.CONVERTING, starts=starts, failed=failed, retry=retry):
        shape = _write(volume, store, report, chunks, progress)
        source_type = report.source_type if report.source_type == "dicom" else None
        fields = {"shape": shape, "progress": 0.0, "source_type": source_type}
        return store.release(job_id, JobStatus.CONVERTING, JobStatus.CONVERTED, **fields)


def _write(
    volume: Volume, store: JobStore, report: UploadReport, chunks: tuple[int, int, int], progress: Progress | None
) -> tuple[int, int, int]:
    if report.shape_zyx is None or report.dtype is None:
        raise InvalidDataError(source=f"uploads of job {report.job!r}", reason="there is no readable slice")
    depth, height, width = report.shape_zyx
    updated = time.monotonic()
    with staging(volume, "chunks") as staged, Opener() as opener:
        writer = ArrayWriter(staged.folder, (width, height, depth), chunks, report.dtype)
        slab = np.zeros((min(chunks[2], depth), height, width), report.dtype)
        for start in range(0, depth, chunks[2]):
            stop = min(start + chunks[2], depth)
            for z in range(start, stop):
                slab[z - start] = read_slice(report.slices[z], opener)
                if progress:
                    progress(z + 1, depth)
                if time.monotonic() - updated > _PROGRESS_SECONDS:
                    store.update(report.job, progress=z / depth)
                    updated = time.monotonic()
            write_slab(writer, slab[: stop - start], start // chunks[2])
        told, noted = report.spacing_zyx, noted_upload(volume, report.job)
        note_image(staged.folder, told or noted, "dicom" if told else "upload")
        writer.finish()
        staged.publish(volume.chunks(report.job), replace=True)
    return width, height, depth


def write_slab(writer: ArrayWriter, slab: np.ndarray[Any, Any], k: int) -> None:
    """Write one slab (z, y, x), a chunk deep, as the chunks ``(i, j, k)``."""
    a, b, _ = writer.array.chunks
    _, height, width = slab.shape
    for i in range(-(-width // a)):
        for j in range(-(-height // b)):
            part = slab[:, j * b : (j + 1) * b, i * a : (i + 1) * a]
            writer.write((i, j, k), part.transpose(2, 1, 0))
