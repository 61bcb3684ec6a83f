"""Training pairs from masks that were made elsewhere, in the app's own files, so that its next model learns from them."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from copick_backend_volume.arrays import StoredArray, open_array, write_synced
from copick_backend_volume.jobs import JobStore
from copick_backend_volume.places import Volume
from copick_backend_volume.publish import next_id, rest_with
from copick_backend_volume.staging import staging, sync_folder
from copick_backend_volume.status import JobStatus
from copick_backend_volume.training import training_pairs
from copick_core.errors import InvalidDataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Pixels of a side of the app's training images, and slices around them that it keeps as context.
SIDE, DEPTH = 512, 11
#: Percentiles that the app shows as black and white.
_SHOWN = (1.0, 99.5)
Progress = Callable[[int, int], None]


def add_training_pairs(
    volume: Volume,
    store: JobStore,
    job_id: str,
    masks: Any,
    slices: Sequence[int],
    *,
    value: int | None = 255,
    progress: Progress | None = None,
) -> list[str]:
    """Give the app annotated slices, each with its image, from masks that were made elsewhere.

    Each slice becomes tiles of :data:`SIDE` pixels, whole ones where the image is at least as large, as the app cuts them.
    Ids are the seconds of the app's pairs, with the slice; so each tile of a slice takes a second. The status becomes
    ANNOTATED if the job rests.

    Args:
        volume: The volume.
        store: Its database.
        job_id: The job; it has a complete image.
        masks: Labels (z, y, x) of the image's shape: an array, a lazy one, or a copick segmentation.
        slices: Which slices (z) are annotated, all of their pixels.
        value: What every label becomes; the app knows 255 only. None keeps the labels, up to 255.
        progress: Called with (pairs done, all pairs).

    Returns:
        Ids of the pairs.

    Raises:
        InvalidDataError: The masks are not of the image's shape or no labels, a slice is outside, or the job has no complete
            image.
        ConflictError: The latest id lies more than 5 s in the future: the clocks of two computers differ.
    """
    store._check_writable()
    labels = masks.view("0") if hasattr(masks, "segmentation_type") else masks
    image = open_array(volume.chunks(job_id))
    source = f"masks for job {job_id!r}"
    if image is None or image.missing():
        raise InvalidDataError(source=source, reason="the job has no complete image")
    if tuple(labels.shape) != image.shape_zyx or np.dtype(labels.dtype).kind not in "bui":
        reason = f"shape {tuple(labels.shape)} of {labels.dtype} are not labels of the image's {image.shape_zyx} (z, y, x)"
        raise InvalidDataError(source=source, reason=reason)
    wanted = sorted({int(z) for z in slices})
    if not wanted or wanted[0] < 0 or wanted[-1] >= image.shape[2]:
        raise InvalidDataError(source=source, reason=f"slices {wanted} are not between 0 and {image.shape[2] - 1}")
    store.job(job_id)
    tiles = [*_tiles(image.shape)]
    made: list[str] = []
    with staging(volume, "training") as staged:
        for number, (x, y) in enumerate(tiles):
            files = []
            for z in wanted:
                mask = _encoded_mask(labels, (z, y, x), image.shape, value, source)
                files.append((z, _encoded_image(image, z, y, x), mask, _meta(image.shape, z, y, x)))
                if progress:
                    progress(number * len(wanted) + len(files), len(tiles) * len(wanted))
            made += _put(volume, store, job_id, staged.folder, files)
    rest_with(store, job_id, JobStatus.ANNOTATED)
    return made


def _tiles(shape: tuple[int, int, int]) -> Iterator[tuple[int, int]]:
    """First column and row of each tile: the last ones end with the image, and overlap those before."""
    for y in _starts(shape[1]):
        for x in _starts(shape[0]):
            yield x, y


def _starts(length: int) -> list[int]:
    return [min(start, max(0, length - SIDE)) for start in range(0, length, SIDE)]


def _put(
    volume: Volume, store: JobStore, job_id: str, staged: str, files: list[tuple[int, bytes, bytes, dict[str, Any]]]
) -> list[str]:
    """Put some slices of one tile into the folder, under the id of a second that nothing has."""
    ids = []
    with next_id(volume, store, job_id, lambda: _latest_pair(volume, job_id)) as stamp:
        folder = volume.make_folder("training", job_id)
        for z, picture, mask, meta in files:
            stem = f"{stamp}-z{z:02d}"
            names = {"meta": f"meta{stem}.json", "seg": f"seg{stem}.png", "img": f"img{stem}.png"}
            meta = {**meta, "timestamp": int(stamp), "job_id": job_id, "annotation_source": "legacy_raster"}
            meta |= {"image_filename": names["img"], "mask_filename": names["seg"], "metadata_filename": names["meta"]}
            contents = {"meta": json.dumps(meta, indent=4).encode(), "seg": mask, "img": picture}
            for part, name in names.items():  # the image last: with it the pair counts
                write_synced(os.path.join(staged, name), contents[part])
                os.rename(os.path.join(staged, name), os.path.join(folder, name))
            ids.append(stem)
        sync_folder(folder)
    return ids


def _latest_pair(volume: Volume, job_id: str) -> int:
    """The last second in which something was annotated."""
    return max((pair.timestamp for pair in training_pairs(volume, job_id)), default=0)


def _meta(shape: tuple[int, int, int], z: int, y: int, x: int) -> dict[str, Any]:
    """Where a tile lies, in the app's words; where the image is smaller than a tile, padding surrounds it."""
    depth = min(DEPTH, shape[2])
    first = min(max(0, z - DEPTH // 2), shape[2] - depth)
    cutout = [min(SIDE, shape[0]), min(SIDE, shape[1]), depth]
    requested = [SIDE, SIDE, DEPTH]
    before = [(r - c) // 2 for r, c in zip(requested[:2], cutout[:2], strict=True)] + [0]
    return {
        "cutout_origin_xyz": [x, y, first],
        "cutout_shape_xyz": cutout,
        "requested_shape_xyz": requested,
        "padding_before_xyz": before,
        "padding_after_xyz": [r - c - b for r, c, b in zip(requested, cutout, before, strict=True)],
        "annotated_local_z_index": z - first,
        "annotated_global_z_index": z,
    }


def _encoded_image(image: StoredArray, z: int, y: int, x: int) -> bytes:
    """A tile as the app shows it: grey of 8 bits between two percentiles, opaque."""
    width, height, _ = image.shape
    plane = image.read_box((x, y, z), (min(x + SIDE, width), min(y + SIDE, height), z + 1))[:, :, 0].T
    low, high = np.percentile(plane.astype(np.float64), _SHOWN)
    grey = np.clip((plane.astype(np.float64) - low) / ((high - low) or 1) * 255, 0, 255).astype(np.uint8)
    grey = _padded(grey)
    return _png([grey, grey, grey, np.full_like(grey, 255)])


def _encoded_mask(
    labels: Any, place: tuple[int, int, int], shape: tuple[int, int, int], value: int | None, source: str
) -> bytes:
    """A tile of labels as the app stores masks: the class in red and in alpha."""
    z, y, x = place
    block = np.asarray(labels[z : z + 1, y : min(y + SIDE, shape[1]), x : min(x + SIDE, shape[0])])[0]
    if value is None and block.size and (int(block.min()) < 0 or int(block.max()) > 255):
        raise InvalidDataError(source=source, reason="masks hold labels from 0 to 255; give value to make all of them one")
    red = _padded(block.astype(np.uint8) if value is None else (block != 0) * np.uint8(value))
    zero = np.zeros_like(red)
    return _png([red, zero, zero, red])


def _padded(tile: NDArray[np.uint8]) -> NDArray[np.uint8]:
    before = [(SIDE - n) // 2 for n in tile.shape]
    return np.pad(tile, [(b, SIDE - n - b) for b, n in zip(before, tile.shape, strict=True)])


def _png(channels: list[NDArray[np.uint8]]) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.stack(channels, axis=-1)).save(buffer, "png")
    return buffer.getvalue()
