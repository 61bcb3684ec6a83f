"""Publishing: segmentations from any tool, slices of a new job, and requests to the app."""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np

from copick_backend_volume import __version__
from copick_backend_volume.arrays import ArrayWriter, copy_synced, distinct, open_array, write_synced
from copick_backend_volume.jobs import JobStore
from copick_backend_volume.models import PUBLISHED_BY
from copick_backend_volume.places import Volume, is_label
from copick_backend_volume.records import Job
from copick_backend_volume.staging import hidden, staging, sync_folder
from copick_backend_volume.status import RESTING, JobStatus
from copick_backend_volume.uploads import upload_names
from copick_core.errors import ConflictError, InvalidDataError, NotFoundError
from copick_core.tree.keys import RunKey
from copick_core.tree.names import sanitize_name

#: Shape of a chunk of a segmentation; the app's.
CHUNKS = (256, 256, 256)
#: Seconds that publishing waits for an id, which are seconds, to be free.
_WAIT_FOR_ID = 5.0
#: Seconds that the app may need from taking an id to writing the file that shows it.
_APP_WRITES = 0.1
_SLICE = re.compile(r"slice_(\d{6})(\.|$)")
Progress = Callable[[int, int], None]


def new_job_id() -> str:
    """An id as the app makes them."""
    return uuid.uuid4().hex[:6].upper()


def add_slices(volume: Volume, store: JobStore, job_id: str, slices: Any) -> list[str]:
    """Add slices to a job that is UPLOADING, after those that it has.

    Args:
        volume: The volume.
        store: Its database.
        job_id: The job.
        slices: An array (z, y, x), or paths of files in order, or one path: images, DICOM, and zips of them. Of arrays, bool
            becomes uint8, other integers int32 and reals float32 (rounded), which with uint8 and uint16 are the types that the
            app reads right.

    Returns:
        The names of the new files: zero-padded, so that text order is the order given.

    Raises:
        InvalidDataError: The job is not UPLOADING any more, the array is not (z, y, x) or has values that
            the app cannot read, or there are slices from elsewhere
            that would sort after these.
    """
    store._check_writable()
    _check_uploading(store, job_id)
    with staging(volume, "uploads") as staged:
        suffixes = []
        for number, (suffix, content) in enumerate(_encoded(slices)):
            path = os.path.join(staged.folder, str(number))
            if isinstance(content, bytes):
                write_synced(path, content)
            else:
                copy_synced(content, path)
            suffixes.append(suffix)
        # Under the lock, so that the slices of two callers do not mix, and none comes after the end of the upload.
        with store._locked():
            _check_uploading(store, job_id)
            folder = volume.make_folder("uploads", job_id)
            names = _next_names(job_id, os.listdir(folder), suffixes)
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
        if name not in upload_names(volume, job_id):
            location = volume.folder("uploads", job_id)
            raise NotFoundError(key=f"upload {name!r} of job {job_id!r}", layer="volume", location=location)
        yield os.path.join(volume.folder("uploads", job_id), name)


def _next_names(job_id: str, present: list[str], suffixes: list[str]) -> list[str]:
    """Names of further slices, which follow those that are there in text order."""
    ours = [int(match[1]) for name in present if (match := _SLICE.match(name))]
    first = max(ours, default=-1) + 1
    names = [f"slice_{number:06d}{suffix}" for number, suffix in enumerate(suffixes, start=first)]
    later = sorted(name for name in present if not name.startswith(".") and names and name >= names[0])
    if later:
        reason = f"{later[0]!r} is there, which sorts after {names[0]!r}; give one job slices from one source"
        raise InvalidDataError(source=f"uploads of job {job_id!r}", reason=reason)
    return names


def _encoded(slices: Any) -> Iterable[tuple[str, bytes | os.PathLike[str]]]:
    """Suffix and content of each file, or the path of what is to be copied."""
    if hasattr(slices, "shape") and hasattr(slices, "dtype"):
        if len(slices.shape) != 3 or np.dtype(slices.dtype).kind not in "buif":
            reason = f"shape {slices.shape} of {slices.dtype} is not (z, y, x) of numbers"
            raise InvalidDataError(source="slices", reason=reason)
        for z in range(slices.shape[0]):
            yield _encode(np.asarray(slices[z]))
        return
    for path in [slices] if isinstance(slices, str | os.PathLike) else slices:
        yield os.path.splitext(os.fspath(path))[1].lower(), Path(path)


def _encode(plane: np.ndarray[Any, Any]) -> tuple[str, bytes]:
    """A slice as a file that the app, which reads with Pillow, gives back with the same values."""
    import io

    from PIL import Image

    buffer = io.BytesIO()
    stored = _as_the_app_reads(plane)
    suffix = ".png" if stored.dtype in (np.uint8, np.uint16) else ".tif"
    Image.fromarray(np.ascontiguousarray(stored)).save(buffer, "png" if suffix == ".png" else "tiff")
    return suffix, buffer.getvalue()


def _as_the_app_reads(plane: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The same values in one of the four types that go through the app unchanged: uint8, uint16, int32 and float32.

    Raises:
        InvalidDataError: No such type holds them.
    """
    kind, size = plane.dtype.kind, plane.dtype.itemsize
    if kind == "b" or (kind == "u" and size == 1):
        return plane.astype(np.uint8, copy=False)
    if kind == "u" and size == 2:
        return plane.astype("<u2", copy=False)
    target = np.dtype("<f4" if kind == "f" else "<i4")
    with np.errstate(over="ignore"):
        stored = plane.astype(target, copy=False)
    changed = np.isfinite(plane) & ~np.isfinite(stored) if kind == "f" else stored != plane
    if changed.any():
        reason = f"{plane.dtype} has the value {plane[changed].flat[0]}, which the app's {target.name} does not hold"
        raise InvalidDataError(source="slices", reason=reason)
    return stored


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
        InvalidDataError: Its shape is not that of the image, it has labels that are no unsigned integers, the job has no
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
        with _next_id(volume, store, job_id) as model_id:
            # First what tells where it is from, which nobody looks at without the segmentation.
            volume.make_folder("models", job_id)
            volume.make_folder("segmented", job_id)
            description = hidden(os.path.join(volume.root, "models"))
            write_synced(description, json.dumps(sidecar, indent=4).encode())
            os.rename(description, volume.sidecar(job_id, model_id))
            sync_folder(volume.folder("models", job_id))
            staged.publish(volume.segmentation(job_id, model_id))
    _rest_segmented(store, job_id)
    return model_id


def _rest_segmented(store: JobStore, job_id: str) -> None:
    """Set SEGMENTED if the job rests; looks again where somebody else sets a status at the same time."""
    while (status := store.job(job_id).status) in RESTING:
        with contextlib.suppress(ConflictError):
            store.update(job_id, status=JobStatus.SEGMENTED, expected=status)
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
def _next_id(volume: Volume, store: JobStore, job_id: str) -> Iterator[str]:
    """Hold the lock, with an id that is later than every existing one and will not be taken by the app.

    The app's ids are the second that it is. Ours is one that has just passed, so no two can be the same, and none lies in the
    future, where it would be the latest for too long and the app would come upon it.

    Raises:
        ConflictError: An id lies so far in the future that its second does not pass while we wait.
    """
    deadline = time.monotonic() + _WAIT_FOR_ID
    while True:
        with store._locked():
            largest = _largest_id(volume, job_id)
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
    if latest is None or (model_id is not None and model_id != latest):
        reason = f"the app meshes the latest segmentation, which is {latest!r}, not {model_id!r}"
        raise InvalidDataError(source=source, reason=reason)
    array = open_array(volume.segmentation(job_id, latest))
    if array is None or array.missing():
        raise InvalidDataError(source=source, reason=f"its latest segmentation {latest!r} is not complete")
    return store.update(job_id, status=JobStatus.MESHING_QUEUED, expected=status)


__all__ = ["add_slices", "new_job_id", "publish_segmentation", "request"]
