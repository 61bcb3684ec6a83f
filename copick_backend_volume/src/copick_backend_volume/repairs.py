"""Repairs of what the doctor finds, where it is certain what is right; everything else is told and left alone."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from copick_backend_volume.adopting import status_by_folders
from copick_backend_volume.arrays import ArrayWriter, StoredArray, is_whole, open_array
from copick_backend_volume.claims import is_abandoned
from copick_backend_volume.convert import write_slab
from copick_backend_volume.damage import broken_whole_meshes, damaged_chunks
from copick_backend_volume.jobs import JobStore
from copick_backend_volume.mesh_files import CombinedWriter, read_obj, read_stl
from copick_backend_volume.places import Volume, combined_meshes
from copick_backend_volume.sources import Opener
from copick_backend_volume.staging import staging, sync_folder
from copick_backend_volume.status import WITHOUT_IMAGE, JobStatus
from copick_backend_volume.uploads import Finding, UploadReport, preflight, read_slice
from copick_core.errors import InvalidDataError
from copick_core.layers import Problem, Repair
from copick_core.tree.keys import RunKey


def problem_of(volume: Volume, store: JobStore, finding: Finding) -> Problem:
    """A finding as a problem of the layer, with a repair where that guesses nothing and the project may write back."""
    place = ", ".join(finding.files) or (f"{volume.root}, job {finding.job}" if finding.job else volume.root)
    key = RunKey(finding.job) if finding.job else None
    # While the database is torn, the status of a job is not known: first it is repaired.
    find = (_REPAIRS | _NEED_STATUS if store.problem() is None else _REPAIRS).get(finding.code)
    repair = find(volume, store, finding) if find is not None and store.writable else None
    return Problem(finding.code, key, place, finding.severity, finding.message, repair)


def _deletion(volume: Volume, store: JobStore, finding: Finding) -> Repair:
    return Repair(f"delete {', '.join(finding.files)}", partial(_delete, finding.files))


def _delete(paths: Sequence[str]) -> None:
    for path in paths:
        shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)


def _lost_job(volume: Volume, store: JobStore, finding: Finding) -> Repair:
    job, source = str(finding.job), os.path.basename(finding.files[0])
    return Repair(f"put job {job} back as it stands in {source}", partial(_restore, store, [job]))


def _torn_database(volume: Volume, store: JobStore, finding: Finding) -> Repair | None:
    whole = [r.job.id for r in store.recoverable() if r.source == volume.database]
    what = f"move jobs.json aside and put back what is whole in it: {', '.join(whole)}"
    return Repair(what, partial(_restore, store, whole)) if whole else None


def _restore(store: JobStore, jobs: Sequence[str]) -> None:
    for job in jobs:
        store.restore(job)


def _junk(volume: Volume, store: JobStore, finding: Finding) -> Repair | None:
    loose = sorted({*finding.files} & {*volume.upload_names(str(finding.job))})  # others are inside zips
    paths = [os.path.join(volume.folder("uploads", str(finding.job)), name) for name in loose]
    return Repair(f"delete {', '.join(paths)}", partial(_delete, paths)) if paths else None


def _shape(volume: Volume, store: JobStore, finding: Finding) -> Repair | None:
    job, image = str(finding.job), open_array(volume.chunks(str(finding.job)))
    if image is None or image.missing():
        return None
    what = f"enter the shape of the image, {image.shape} (x, y, z), into the database for job {job}"
    return Repair(what, partial(_enter_shape, store, job, image.shape))


def _enter_shape(store: JobStore, job: str, shape: tuple[int, int, int]) -> None:
    store.update(job, shape=shape)


def _stuck(volume: Volume, store: JobStore, finding: Finding) -> Repair | None:
    """Of a job whose process of ours died, which its lock tells; of the app's processes nobody knows."""
    job, status = str(finding.job), store.job(str(finding.job)).status
    if status not in (JobStatus.CONVERTING, JobStatus.MESHING) or not is_abandoned(volume, job):
        return None
    after = JobStatus.UPLOADED if status is JobStatus.CONVERTING else status_by_folders(volume, job)
    return Repair(f"set job {job} back to {after.name}", partial(_set_back, volume, store, job, status, after))


def _set_back(volume: Volume, store: JobStore, job: str, working: JobStatus, after: JobStatus) -> None:
    store.update(job, status=after, expected=working, force=True)
    os.unlink(volume.claim(job))


def _mesh_again(volume: Volume, store: JobStore, finding: Finding) -> Repair | None:
    """From the segmentation, if that is whole: of stale blocks, unreadable ones, and meshing that was interrupted."""
    folder = finding.files[0] if finding.files[0].endswith(".zarr") else os.path.dirname(finding.files[0])
    job, model = str(finding.job), os.path.basename(folder).removesuffix(".zarr")
    if not is_whole(volume.segmentation(job, model)):
        return None
    return Repair(f"mesh segmentation {model} of job {job} again", partial(_mesh, volume, store, job, model))


def _mesh(volume: Volume, store: JobStore, job: str, model: str) -> None:
    from copick_backend_volume.meshing import mesh_segmentation

    mesh_segmentation(volume, store, job, model)


def _whole_mesh(volume: Volume, store: JobStore, finding: Finding) -> Repair | None:
    """From its other format, if that is whole, which has the same triangles; else from the segmentation."""
    folder = os.path.dirname(finding.files[0])
    broken = broken_whole_meshes(folder)
    values = [value for value, files in combined_meshes(folder).items() if {*files.values()} & {*broken}]
    sources = {v: next((p for p in combined_meshes(folder)[v].values() if p not in broken), None) for v in values}
    whole = {value: path for value, path in sources.items() if path is not None}
    if len(whole) < len(sources):
        return _mesh_again(volume, store, finding)
    names = ", ".join(os.path.basename(path) for path in whole.values())
    return Repair(f"write {', '.join(broken)} again from {names}", partial(_write_whole, volume, folder, whole))


def _write_whole(volume: Volume, folder: str, whole: dict[int, str]) -> None:
    with staging(volume, "meshed") as staged:
        for value, path in whole.items():
            writer = CombinedWriter(staged.folder, value)
            writer.add(read_stl(path) if path.endswith(".stl") else read_obj(path))
            writer.close()
            for name in os.listdir(staged.folder):
                if os.path.join(folder, name) != path:
                    os.replace(os.path.join(staged.folder, name), os.path.join(folder, name))
    sync_folder(folder)


def _image(volume: Volume, store: JobStore, finding: Finding) -> Repair | None:
    """From the uploads, if there are any; that they are what the image was made from is looked at when it is done."""
    job = str(finding.job)
    array = open_array(volume.chunks(job))
    if array is None or store.job(job).status in WITHOUT_IMAGE or not volume.upload_names(job):
        return None
    if any(os.path.dirname(path) != array.folder for path in finding.files):  # of a segmentation
        return None
    if array.document.get("filters") or (array.document.get("compressor") or {}).get("id") != "blosc":
        return None  # not written by the app
    what = f"write the chunks of job {job} that are damaged or missing again from its uploads"
    return Repair(what, partial(_fill, volume, job))


def _fill(volume: Volume, job: str) -> None:
    """Write damaged and missing chunks again, where all others of their slabs are what the uploads give.

    Raises:
        InvalidDataError: The uploads are not what the image was made from.
    """
    array = open_array(volume.chunks(job))
    report = preflight(volume, job)
    report.check()
    if array is None or (report.shape_zyx, report.dtype) != (array.shape_zyx, array.dtype):
        raise _other_uploads(job)
    damaged = {os.path.basename(path) for path in damaged_chunks(array)}
    wanted = [i for i in array.indices() if _lacks(array, i) or array.chunk_name(i) in damaged]
    with staging(volume, "chunks") as staged, Opener() as opener:
        writer = ArrayWriter(staged.folder, array.shape, array.chunks, array.dtype)
        for k in sorted({index[2] for index in wanted}):
            write_slab(writer, _slab(report, opener, k * array.chunks[2], array.chunks[2]), k)
        made = [index for index in array.indices() if not _lacks(writer.array, index)]
        for index in made:
            stored, given = array.read_chunk(index) if index not in wanted else None, writer.array.read_chunk(index)
            if stored is not None and given is not None and not np.array_equal(stored, given):
                raise _other_uploads(job)
        for index in wanted:
            name = array.chunk_name(index)
            os.replace(os.path.join(staged.folder, writer.array.chunk_name(index)), os.path.join(array.folder, name))
        sync_folder(array.folder)


def _slab(report: UploadReport, opener: Opener, start: int, depth: int) -> np.ndarray:
    return np.stack([read_slice(upload, opener) for upload in report.slices[start : start + depth]])


def _lacks(array: StoredArray, index: Sequence[int]) -> bool:
    return not os.path.exists(os.path.join(array.folder, array.chunk_name(index)))


def _other_uploads(job: str) -> InvalidDataError:
    return InvalidDataError(source=f"uploads of job {job!r}", reason="they are not what its image was made from")


_Finder = Callable[[Volume, JobStore, Finding], Repair | None]
_REPAIRS: dict[str, _Finder] = {
    "remains": _deletion,
    "unfinished-publication": _deletion,
    "lost-job": _lost_job,
    "torn-database": _torn_database,
    "junk": _junk,
}
_NEED_STATUS: dict[str, _Finder] = {
    "shape-in-database": _shape,
    "stuck": _stuck,
    "stale-blocks": _mesh_again,
    "no-combined-mesh": _mesh_again,
    "broken-block": _mesh_again,
    "broken-mesh": _whole_mesh,
    "damaged-chunk": _image,
    "incomplete-image": _image,
}
