"""Meshes of a segmentation by marching cubes, block by block, and watertight over all blocks.

A block is read with one voxel more at its end, so that every cell of eight voxels belongs to just one block, and the volume
is taken to be surrounded by zeros. Neighbouring blocks then make the same vertices on their common face.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np

from copick_backend_volume import __version__
from copick_backend_volume.arrays import StoredArray, distinct, open_array, write_synced
from copick_backend_volume.claims import claimed
from copick_backend_volume.jobs import JobStore
from copick_backend_volume.mesh_files import NOTE, CombinedWriter, ascii_stl, flip_frame, note
from copick_backend_volume.places import Block, Volume
from copick_backend_volume.staging import staging
from copick_backend_volume.status import RESTING, JobStatus
from copick_core.errors import InvalidDataError, MissingDependencyError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from copick_backend_volume.mesh_files import Triangles

#: Voxels along each side of a block: bounds memory.
BLOCK = 256


def mesh_segmentation(
    volume: Volume,
    store: JobStore,
    job_id: str,
    model_id: str,
    *,
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
        block: Voxels along each side of a block.
        retry: Take a job also if whoever meshed it died (MESHING).
        progress: Called with (blocks done, all blocks).

    Returns:
        The values that were meshed.

    Raises:
        InvalidDataError: The segmentation is missing or incomplete, the job does not rest, or the block has no voxels.
        ConflictError: Another process meshes it.
        MissingDependencyError: zmesh is not installed.
    """
    _library()
    if block < 1:
        raise InvalidDataError(source="block", reason=f"{block} is no number of voxels; at least 1 is")
    array = open_array(volume.segmentation(job_id, model_id))
    if array is None or array.missing():
        reason = "there is none" if array is None else f"{array.missing()} chunks are not written yet"
        raise InvalidDataError(source=f"segmentation {model_id!r} of job {job_id!r}", reason=reason)
    if array.dtype.kind not in "bui":
        raise InvalidDataError(source=array.folder, reason=f"labels are integers, not {array.dtype}")
    starts, failed = RESTING | {JobStatus.MESHING_QUEUED}, JobStatus.MESH_ERROR
    with claimed(volume, store, job_id, JobStatus.MESHING, starts=starts, failed=failed, retry=retry):
        values = _write(volume, array, job_id, model_id, block, progress)
        store.release(job_id, JobStatus.MESHING, JobStatus.MESHED)
    return values


def _write(
    volume: Volume,
    array: StoredArray,
    job_id: str,
    model_id: str,
    block: int,
    progress: Callable[[int, int], None] | None,
) -> list[int]:
    writers: dict[int, CombinedWriter] = {}
    volume.make_folder("meshed", job_id)
    target = volume.meshes(job_id, model_id)
    with staging(volume, "meshed") as staged:
        folder = staged.folder
        for start, meshes in blocks(array, block, progress):
            for value, triangles in meshes.items():
                if value not in writers:
                    writers[value] = CombinedWriter(folder, value)
                writers[value].add(triangles)
                name = Block(value, start).file_name
                write_synced(os.path.join(folder, name), ascii_stl(name, triangles))
        for writer in writers.values():
            writer.close()
        library = f"zmesh {metadata.version('zmesh')}"
        how = note(downsample=1, block=block, columns="zyx", library=library, package_version=__version__)
        write_synced(os.path.join(folder, NOTE), how)
        staged.publish(target, replace=True)
    return sorted(writers)


def blocks(
    array: StoredArray, block: int, progress: Callable[[int, int], None] | None = None
) -> Iterator[tuple[tuple[int, int, int], dict[int, Triangles]]]:
    """The meshes of all blocks: first voxel (x, y, z), and triangles by value, in the frame of the files."""
    grid = [range(0, n, block) for n in array.shape]
    total = len(grid[0]) * len(grid[1]) * len(grid[2])
    for done, (x, y, z) in enumerate(itertools.product(*grid), start=1):
        start = (x, y, z)
        # Cells from one voxel before the volume to one after it; a block has the cells that begin in it.
        low = [-1 if s == 0 else s for s in start]
        high = [min(s + block, n) + 1 for s, n in zip(start, array.shape, strict=True)]
        box = _padded(array, low, high)
        meshes = _march(box, np.array(low))
        if meshes:
            yield start, meshes
        if progress:
            progress(done, total)


def _padded(array: StoredArray, low: list[int], high: list[int]) -> NDArray[Any]:
    inner_low = [max(a, 0) for a in low]
    inner_high = [min(b, n) for b, n in zip(high, array.shape, strict=True)]
    inside = array.read_box(inner_low, inner_high)
    margins = [(a - c, d - b) for a, b, c, d in zip(inner_low, inner_high, low, high, strict=True)]
    return np.pad(inside, margins)


def _march(box: NDArray[Any], offset: NDArray[Any]) -> dict[int, Triangles]:
    values = sorted(distinct(box) - {0})
    if not values:
        return {}
    if values[0] < 0:
        raise InvalidDataError(source="segmentation", reason=f"it has the value {values[0]}; labels are at least 0")
    # zmesh takes labels of a few types only: number the values from 1.
    labels = np.searchsorted(np.array([0, *values], np.uint64), box.astype(np.uint64)).astype(
        np.uint8 if len(values) < 256 else np.uint32
    )
    mesher = _library().Mesher((1, 1, 1))
    mesher.mesh(np.asfortranarray(labels), close=False)
    meshes = {}
    for label in mesher.ids():
        mesh = mesher.get(int(label), normals=False, reduction_factor=0, max_error=0)
        triangles = np.asarray(mesh.vertices + offset, np.float32)[mesh.faces]
        if len(triangles):
            meshes[values[int(label) - 1]] = flip_frame(triangles)
    return meshes


def _library() -> Any:
    try:
        import zmesh  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError as error:
        raise MissingDependencyError(feature="Meshing", install='pip install "copick-backend-volume[mesh]"') from error
    return zmesh
