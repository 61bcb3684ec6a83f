"""Publishing: segmentations from any tool, and requests to the app."""

from __future__ import annotations

import contextlib
import json
import os
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np

from copick_backend_volume import __version__
from copick_backend_volume.arrays import ArrayWriter, distinct, open_array, write_synced
from copick_backend_volume.jobs import JobStore
from copick_backend_volume.models import PUBLISHED_BY
from copick_backend_volume.places import Volume, is_label
from copick_backend_volume.records import Job
from copick_backend_volume.staging import hidden, staging, sync_folder
from copick_backend_volume.status import RESTING, JobStatus
from copick_core.errors import ConflictError, InvalidDataError
from copick_core.tree.keys import RunKey
from copick_core.tree.names import sanitize_name

#: Shape of a chunk of a segmentation; the app's.
CHUNKS = (256, 256, 256)
#: Seconds that publishing waits for an id, which are seconds, to be free.
_WAIT_FOR_ID = 5.0
#: Seconds that the app may need from taking an id to writing the file that shows it.
_APP_WRITES = 0.1
Progress = Callable[[int, int], None]


def new_job_id() -> str:
    """An id as the app makes them."""
    return uuid.uuid4().hex[:6].upper()


def publish_segmentation(
    volume: Volume,
    store: JobStore,
    job_id: str,
    segmentation: Any,
    tool: str,
    *,
    value: int | None = 255,
    from_tool: bool | None = None,
    provenance: dict[str, Any] | None = None,
    progress: Progress | None = None,
) -> str:
    """Put a segmentation from any tool into the volume, as the job's latest one.

    It becomes visible whole or not at all. The job's status becomes SEGMENTED if it rests. Ids are seconds, as the app's, so
    publishing several for one job takes a second each.

    Args:
        volume: The volume.
        store: Its database.
        job_id: The job; it has an image.
        segmentation: Labels (z, y, x): an array, a lazy one, or a copick segmentation.
        tool: What made it; shown as the user.
        value: What every label becomes; the app knows 255 only. None keeps the labels.
        from_tool: Whether a tool made it, and not a person; None: as the copick segmentation tells, and True for arrays.
        provenance: More to keep in the sidecar.
        progress: Called with (chunks done, all chunks).

    Returns:
        Its id.

    Raises:
        InvalidDataError: Its shape is not that of the image, it has labels that are not unsigned integers, the job has no
            complete image, or somebody converts it.
        ConflictError: The latest id lies more than 5 s in the future: the clocks of two computers differ.
    """
    store._check_writable()
    is_entity = hasattr(segmentation, "segmentation_type")
    labels = segmentation.view("0") if is_entity else segmentation
    if from_tool is None:
        from_tool = bool(segmentation.from_tool) if is_entity else True
    job = store.job(job_id)
    image = open_array(volume.chunks(job_id))
    source = f"segmentation for job {job_id!r}"
    if image is None or image.missing() or job.status is JobStatus.CONVERTING:
        raise InvalidDataError(source=source, reason="the job has no complete image")
    if tuple(labels.shape) != image.shape_zyx:
        reason = f"its shape is {tuple(labels.shape)}, the image's {image.shape_zyx} (z, y, x)"
        raise InvalidDataError(source=source, reason=reason)
    if np.dtype(labels.dtype).kind not in "bui":
        raise InvalidDataError(source=source, reason=f"labels are integers, not {labels.dtype}")
    if value is not None and not is_label(value):
        raise InvalidDataError(source=source, reason=f"value {value} is not possible; 1 to 2^63 - 1 are")
    tool = sanitize_name(tool, suppress_warnings=True)
    with staging(volume, "segmented") as staged:
        values = _write_labels(ArrayWriter(staged.folder, image.shape, CHUNKS, "<u8"), labels, value, source, progress)
        sidecar = {
            **(provenance or {}),
            "model_class": tool,
            "rf_kwargs": {},
            "published_by": PUBLISHED_BY,
            "from_tool": from_tool,
            "published_by_version": __version__,
            "values": values,
            "created_at": datetime.now(UTC).isoformat(),
        }
        with next_id(volume, store, job_id) as model_id:
            # First what tells where it is from, which nobody looks at without the segmentation.
            volume.make_folder("models", job_id)
            volume.make_folder("segmented", job_id)
            description = hidden(os.path.join(volume.root, "models"))
            write_synced(description, json.dumps(sidecar, indent=4).encode())
            os.rename(description, volume.sidecar(job_id, model_id))
            sync_folder(volume.folder("models", job_id))
            staged.publish(volume.segmentation(job_id, model_id))
    rest_with(store, job_id, JobStatus.SEGMENTED)
    return model_id


def rest_with(store: JobStore, job_id: str, wanted: JobStatus) -> None:
    """Set a status if the job rests; looks again where somebody else sets one at the same time."""
    while (status := store.job(job_id).status) in RESTING:
        with contextlib.suppress(ConflictError):
            store.update(job_id, status=wanted, expected=status)
            return


def _write_labels(writer: ArrayWriter, labels: Any, value: int | None, source: str, progress: Progress | None) -> list[int]:
    found: set[int] = set()
    array = writer.array
    indices = [*array.indices()]
    for done, (i, j, k) in enumerate(indices, start=1):
        a, b, c = array.chunks
        box = (slice(k * c, (k + 1) * c), slice(j * b, (j + 1) * b), slice(i * a, (i + 1) * a))
        block = np.asarray(labels[box])
        if block.dtype.kind == "i" and block.size and block.min() < 0:
            raise InvalidDataError(source=source, reason="labels are at least 0")
        stored = block.astype("<u8") if value is None else (block != 0) * np.uint64(value)
        if stored.size and int(stored.max()) >= 1 << 63:
            raise InvalidDataError(source=source, reason="labels are less than 2^63")
        found |= distinct(stored)
        writer.write((i, j, k), stored.transpose(2, 1, 0))
        if progress:
            progress(done, len(indices))
    writer.finish()
    return sorted(found - {0})


@contextlib.contextmanager
def next_id(volume: Volume, store: JobStore, job_id: str, also_after: Callable[[], int] = lambda: 0) -> Iterator[str]:
    """Hold the lock, with an id that is later than every existing one and will not be taken by the app.

    The app's ids are the second that it is. Ours is one that has just passed, so no two can be the same, and none lies in the
    future, where it would be the latest for too long and the app would come upon it.

    Args:
        volume: The volume.
        store: Its database.
        job_id: The job.
        also_after: Gives a further second that the id is to be later than.

    Raises:
        ConflictError: An id lies so far in the future that its second does not pass while we wait.
    """
    deadline = time.monotonic() + _WAIT_FOR_ID
    while True:
        with store._locked():
            largest = max(_largest_id(volume, job_id), also_after())
            passed = int(time.time() - _APP_WRITES) - 1
            if passed > largest:
                yield str(passed)
                return
        ahead = largest + 2 + _APP_WRITES - time.time()
        if time.monotonic() + ahead > deadline:
            reason = (
                f"id {largest} of job {job_id!r} lies {largest - time.time():.0f} s in the future of this computer's clock, "
                "so nothing published now would be the latest. Set the clocks of all computers that use the volume, or wait"
            )
            raise ConflictError(key=RunKey(job_id), layer="volume", expected=passed, found=largest, reason=reason)
        time.sleep(max(ahead, 0.01))


def _largest_id(volume: Volume, job_id: str) -> int:
    """The latest second that is an id: the app sorts ids as text and means the last one."""
    ids = {*volume.segmentation_ids(job_id), *volume.model_ids(job_id), *volume.mesh_ids(job_id)}
    return max((int(i) for i in ids if i.isdecimal() and i.isascii() and len(i) <= 10), default=0)


def request(
    volume: Volume, store: JobStore, job_id: str, what: Literal["segment", "mesh"], model_id: str | None = None
) -> Job:
    """Ask the app to segment (it trains a new model first) or to mesh (the latest segmentation).

    Args:
        volume: The volume.
        store: Its database.
        job_id: The job; it rests.
        what: Which.
        model_id: The segmentation that is to be meshed, refused if it is not the latest; None is the latest.

    Raises:
        InvalidDataError: The job does not rest, or what is to be meshed is missing, incomplete or not the latest.
        ConflictError: Somebody else took the job at the same time.
    """
    store._check_writable()
    source = f"job {job_id!r}"
    status = store.job(job_id).status
    if what not in ("segment", "mesh"):
        raise InvalidDataError(source=source, reason=f"{what!r} cannot be requested; 'segment' and 'mesh' can")
    if status not in RESTING or status is None:
        now = "not in the database" if status is None else status.name
        raise InvalidDataError(source=source, reason=f"it is {now}; requests are made of jobs that rest")
    if what == "segment":
        return store.update(job_id, status=JobStatus.TRAINING_QUEUED, expected=status)
    ids = volume.segmentation_ids(job_id)
    latest = ids[-1] if ids else None
    if latest is None:
        raise InvalidDataError(
            source=source, reason="it has no segmentation that could be meshed; request('segment') makes one"
        )
    if model_id is not None and model_id != latest:
        reason = f"the app meshes the latest segmentation, which is {latest!r}, not {model_id!r}"
        raise InvalidDataError(source=source, reason=reason)
    array = open_array(volume.segmentation(job_id, latest))
    if array is None or array.missing():
        raise InvalidDataError(source=source, reason=f"its latest segmentation {latest!r} is not complete")
    return store.update(job_id, status=JobStatus.MESHING_QUEUED, expected=status)


__all__ = ["new_job_id", "publish_segmentation", "request"]
