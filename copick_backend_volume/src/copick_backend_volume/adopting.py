"""Adopting: a job that has folders, but stands in no database and in no copy of one, is entered into it."""

from __future__ import annotations

import os
from datetime import datetime

from copick_backend_volume.arrays import StoredArray, is_whole, open_array
from copick_backend_volume.jobs import JobStore
from copick_backend_volume.places import JOB_FOLDERS, Volume
from copick_backend_volume.records import Job
from copick_backend_volume.status import JobStatus
from copick_core.errors import NotFoundError
from copick_core.tree.keys import RunKey


def adopt(volume: Volume, store: JobStore, job_id: str, title: str | None = None) -> Job:
    """Enter a job into the database; see :meth:`CopickRootVolume.adopt_job`."""
    if not volume.has_any(job_id):
        raise NotFoundError(key=RunKey(job_id), layer="volume", location=volume.root)
    image = _whole_image(volume, job_id)
    status = status_by_folders(volume, job_id)
    return store.adopt(job_id, title or job_id, status, _made(volume, job_id), image.shape if image else None)


def status_by_folders(volume: Volume, job_id: str) -> JobStatus:
    """The status of a job that nothing works on, by what it has: from UPLOADING without an image to MESHED."""
    if _whole_image(volume, job_id) is None:
        return JobStatus.UPLOADING
    segmentations = volume.segmentation_ids(job_id)
    if segmentations and segmentations[-1] in volume.mesh_ids(job_id):
        return JobStatus.MESHED
    if segmentations:
        return JobStatus.SEGMENTED
    if volume.model_ids(job_id):
        return JobStatus.TRAINED
    return JobStatus.ANNOTATED if volume.has("training", job_id) else JobStatus.CONVERTED


def _whole_image(volume: Volume, job_id: str) -> StoredArray | None:
    folder = volume.chunks(job_id)
    return open_array(folder) if is_whole(folder) else None


def _made(volume: Volume, job_id: str) -> datetime:
    """When the oldest of its folders was last changed, which is not before the job was made."""
    folders = [volume.folder(kind, job_id) for kind in JOB_FOLDERS if volume.has(kind, job_id)]
    return datetime.fromtimestamp(min(os.stat(folder).st_mtime for folder in folders))
