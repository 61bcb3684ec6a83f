"""Meshes of a segmentation in the volume, in the app's files: as small as the app's, and watertight."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import Any

from copick_backend_volume import __version__
from copick_backend_volume.arrays import StoredArray, open_array, write_synced
from copick_backend_volume.claims import claimed
from copick_backend_volume.jobs import JobStore
from copick_backend_volume.mesh_files import NOTE, CombinedWriter, ascii_stl, flip_frame, note
from copick_backend_volume.places import Block, Volume
from copick_backend_volume.staging import staging
from copick_backend_volume.status import RESTING, JobStatus
from copick_core.errors import InvalidDataError
from copick_core.volumes.surfaces import BLOCK, block_surfaces, check_options, library

#: One triangle of so many is left, and a surface is moved by at most so many voxels: as in the app, for meshes of its size.
REDUCTION, MAX_ERROR = 50.0, 10.0


def mesh_segmentation(
    volume: Volume,
    store: JobStore,
    job_id: str,
    model_id: str,
    *,
    reduction: float = REDUCTION,
    max_error: float = MAX_ERROR,
    downsample: int = 1,
    block: int = BLOCK,
    retry: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[int]:
    """Mesh every value of a segmentation, in the place of any meshes that it has.

    The job must rest, or wait to be meshed; it is claimed (MESHING) and left MESHED, unless the app has set another status
    meanwhile. Names, column order and units are the app's, so its viewer
    shows the meshes. They become visible all together.

    Args:
        volume: The volume.
        store: Its database.
        job_id: The job.
        model_id: The segmentation.
        reduction: Simplify to one triangle in so many; 1 keeps all, which are 10 to 50 times as many.
        max_error: How far simplification may move a surface, in voxels.
        downsample: Pool labels by this factor first, as the app of 2024 did by 4; surfaces grow by up to ``downsample - 1``
            voxels.
        block: Voxels along each side of a block.
        retry: Take a job also if whoever meshed it died (MESHING).
        progress: Called with (blocks done, all blocks).

    Returns:
        The values that were meshed.

    Raises:
        InvalidDataError: The segmentation is missing or incomplete, the job does not rest, or an option is out of its
            range.
        ConflictError: Another process meshes it.
        MissingDependencyError: zmesh is not installed.
    """
    library()
    options: dict[str, Any] = {"block": block, "reduction": reduction, "max_error": max_error, "downsample": downsample}
    check_options(**options)
    array = open_array(volume.segmentation(job_id, model_id))
    if array is None or array.missing():
        reason = "there is none" if array is None else f"{array.missing()} chunks are not written yet"
        raise InvalidDataError(source=f"segmentation {model_id!r} of job {job_id!r}", reason=reason)
    if array.dtype.kind not in "bui":
        raise InvalidDataError(source=array.folder, reason=f"labels are integers, not {array.dtype}")
    starts, failed = RESTING | {JobStatus.MESHING_QUEUED}, JobStatus.MESH_ERROR
    with claimed(volume, store, job_id, JobStatus.MESHING, starts=starts, failed=failed, retry=retry):
        values = _write(volume, array, job_id, model_id, options, progress)
        store.release(job_id, JobStatus.MESHING, JobStatus.MESHED)
    return values


def _write(
    volume: Volume,
    array: StoredArray,
    job_id: str,
    model_id: str,
    options: dict[str, Any],
    progress: Callable[[int, int], None] | None,
) -> list[int]:
    def read(low: Sequence[int], high: Sequence[int]) -> Any:
        return array.read_box(low[::-1], high[::-1]).T

    writers: dict[int, CombinedWriter] = {}
    # In the files a pooled voxel is where its first voxel is, as the app has it; the note tells readers the factor.
    shift = (options["downsample"] - 1) / 2
    volume.make_folder("meshed", job_id)
    target = volume.meshes(job_id, model_id)
    with staging(volume, "meshed") as staged:
        folder = staged.folder
        for (z, y, x), meshes in block_surfaces(read, array.shape_zyx, **options, progress=progress):
            for value, surface in meshes.items():
                triangles = flip_frame(surface - shift)
                if value not in writers:
                    writers[value] = CombinedWriter(folder, value)
                writers[value].add(triangles)
                name = Block(value, (x, y, z)).file_name
                write_synced(os.path.join(folder, name), ascii_stl(name, triangles))
        for writer in writers.values():
            writer.close()
        library = f"zmesh {metadata.version('zmesh')}"
        how = note(**options, columns="zyx", library=library, package_version=__version__)
        write_synced(os.path.join(folder, NOTE), how)
        staged.publish(target, replace=True)
    return sorted(writers)
