"""Notes of voxel sizes, for which the app has no place: what the source of an upload told stays known in the volume."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Sequence
from typing import Any

from copick_backend_volume.arrays import ATTRIBUTES_FILE, write_synced
from copick_backend_volume.dicom import cube
from copick_backend_volume.places import Volume
from copick_backend_volume.staging import hidden, sync_folder
from copick_core.errors import InvalidDataError

Spacing = tuple[float, float, float]


def note_upload(volume: Volume, job: str, size: float | Sequence[float] | None) -> None:
    """Note the voxel size of an upload beside the volume's folders, where no conversion of the app deletes it.

    Args:
        volume: The volume.
        job: The job.
        size: In angstrom, one number or (z, y, x); None notes nothing.

    Raises:
        InvalidDataError: It is not positive.
    """
    if size is None:
        return
    spacing = tuple(map(float, size)) if isinstance(size, Sequence) else (float(size),) * 3
    if len(spacing) != 3 or not all(math.isfinite(n) and n > 0 for n in spacing):
        raise InvalidDataError(source=f"voxel size of job {job!r}", reason=f"{size} is not one positive number, or (z, y, x)")
    path = volume.voxel_note(job)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    temporary = hidden(os.path.dirname(path))
    write_synced(temporary, _document(spacing, "upload"))
    os.replace(temporary, path)
    sync_folder(os.path.dirname(path))


def noted_upload(volume: Volume, job: str) -> Spacing | None:
    """The voxel size (z, y, x) in angstrom that was noted when a job was uploaded."""
    with contextlib.suppress(OSError, ValueError, RecursionError), open(volume.voxel_note(job), "rb") as file:
        return spacing_in(json.load(file))
    return None


def note_image(folder: str, spacing: Spacing | None, source: str) -> None:
    """Note in an image's attributes what its source told of its voxels, which later depends on no upload and no reader."""
    if spacing is not None:
        write_synced(os.path.join(folder, ATTRIBUTES_FILE), _document(spacing, source))


def spacing_in(note: Any) -> Spacing | None:
    """The voxel size (z, y, x) in a note; None where it has none."""
    try:
        z, y, x = map(float, note["voxel_spacing_zyx"])
    except (KeyError, TypeError, ValueError):
        return None
    return z, y, x


def _document(spacing: Spacing, source: str) -> bytes:
    note: dict[str, Any] = {"voxel_spacing_zyx": spacing, "unit": "angstrom", "source": source}
    size = cube(spacing)
    if size is not None:
        note["voxel_size"] = size
    return json.dumps(note).encode()
