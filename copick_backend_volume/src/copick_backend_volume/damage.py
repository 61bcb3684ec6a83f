"""Files of a volume that are damaged, found by looking at their ends and headers, not by reading all of them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import numpy as np

from copick_backend_volume.arrays import StoredArray
from copick_backend_volume.mesh_files import is_whole_stl, read_stl
from copick_backend_volume.places import JOB_FOLDERS, Volume, combined_meshes, entries, mesh_blocks

#: Bytes of the header of a chunk that Blosc has compressed; the last four are its whole length.
_BLOSC_HEADER = 16
_TAIL = 4096
#: Voxels by which simplification may let two neighbouring blocks overlap.
_TOLERANCE = 1.5


def damaged_chunks(array: StoredArray) -> list[str]:
    """Paths of chunks that are empty, or shorter than their header says."""
    compressor = array.document.get("compressor")
    is_blosc = isinstance(compressor, dict) and compressor.get("id") == "blosc" and not array.document.get("filters")
    raw = int(np.prod(array.chunks)) * array.dtype.itemsize if compressor is None else None
    found = []
    for index in array.indices():
        path = os.path.join(array.folder, array.chunk_name(index))
        try:
            with open(path, "rb") as file:
                header, size = file.read(_BLOSC_HEADER), os.fstat(file.fileno()).st_size
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            continue
        expected = raw
        if is_blosc and len(header) == _BLOSC_HEADER:
            expected = int.from_bytes(header[12:], "little")
        too_short = len(header) < _BLOSC_HEADER if is_blosc else not size
        if too_short or (expected is not None and size < expected):
            found.append(path)
    return found


def broken_json(volume: Volume, job: str) -> Iterator[tuple[str, str]]:
    """Paths of descriptions of models and of training pairs that are not JSON objects, and why."""
    for kind, prefix in (("models", ""), ("training", "meta")):
        folder = volume.folder(kind, job)
        for name, is_folder in sorted(entries(folder)) if volume.has(kind, job) else ():
            if is_folder or not (name.startswith(prefix) and name.endswith(".json")):
                continue
            path = os.path.join(folder, name)
            try:
                with open(path, "rb") as file:
                    content = json.load(file)
            except (ValueError, RecursionError) as error:
                yield path, f"it is not valid JSON ({error})"
            else:
                if not isinstance(content, dict):
                    yield path, f"it holds no object but {type(content).__name__}"


def broken_whole_meshes(folder: str) -> list[str]:
    """Paths of whole meshes that are cut off."""
    found = []
    for files in combined_meshes(folder).values():
        stl, obj = files.get("stl"), files.get("obj")
        if stl and not is_whole_stl(stl):
            found.append(stl)
            stl = None
        if obj and not _is_whole_obj(obj, stl):
            found.append(obj)
    return sorted(found)


def _is_whole_obj(path: str, stl: str | None) -> bool:
    """Whether an OBJ file ends with a face; beside a whole STL file, with the last of as many faces as that has."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL))
        tail = file.read()
    if stl is not None and os.path.getsize(stl) == 84:
        return True  # no triangle at all
    words = tail.rsplit(b"\n", 2)[-2].split() if tail.endswith(b"\n") and tail.count(b"\n") else []
    if len(words) < 4 or words[0] != b"f":
        return False
    try:
        last = max(int(word.split(b"/")[0]) for word in words[1:])
    except ValueError:
        return False
    count = 0
    if stl is not None:
        with open(stl, "rb") as file:
            file.seek(80)
            count = int.from_bytes(file.read(4), "little")
            if os.path.getsize(stl) != 84 + 50 * count:
                count = 0  # ASCII
    # Every triangle has vertices of its own in the app's files and in ours.
    return last % 3 != 0 or last >= 3 * count


def stale_blocks(folder: str) -> list[str]:
    """Paths of blocks that were left over from meshing with another block size.

    Blocks tile the volume, so the surfaces of two of them never overlap, but for what simplification moves. Of two that do,
    the one that was written earlier is stale.

    Raises:
        InvalidDataError: A block cannot be read.
    """
    found: set[str] = set()
    for value in {block.value for block in mesh_blocks(folder)}:
        boxes = []
        for block in mesh_blocks(folder):
            path = os.path.join(folder, block.file_name)
            if block.value == value and len(triangles := read_stl(path)):
                corners = triangles.reshape(-1, 3)[:, ::-1]
                written = os.stat(path).st_mtime_ns
                boxes.append((written, block.start, corners.min(axis=0), corners.max(axis=0), path))
        boxes.sort(key=lambda box: box[0], reverse=True)
        lows, highs = np.array([b[2] for b in boxes]).reshape(-1, 3), np.array([b[3] for b in boxes]).reshape(-1, 3)
        for number in range(1, len(boxes)):
            low, high = lows[number] + _TOLERANCE, highs[number] - _TOLERANCE
            newer_low, newer_high = lows[:number], highs[:number]
            # Along every axis they overlap by more than the tolerance, or one is inside the other.
            across = (newer_low < high) & (newer_high > low)
            inside = (newer_low < lows[number] + _TOLERANCE) & (newer_high > highs[number] - _TOLERANCE)
            if ((across | inside).all(axis=1)).any():
                found.add(boxes[number][4])
    return sorted(found)


def odd_places(volume: Volume) -> Iterator[tuple[str, str]]:
    """Paths that are not what they should be, and why: files instead of folders, and links, which are not followed."""
    for kind in JOB_FOLDERS:
        top = os.path.join(volume.root, kind)
        if os.path.islink(top) or (os.path.lexists(top) and not os.path.isdir(top)):
            what = "a link, which is not followed" if os.path.islink(top) else "no folder"
            yield top, f"{kind} is {what}; put a folder there"
            continue
        yield from _links(top, kind)
        for job, is_folder in sorted(entries(top)):
            if is_folder:
                yield from _links(os.path.join(top, job), f"{kind}/{job}")
            elif not job.startswith("."):
                yield os.path.join(top, job), f"{kind}/{job} is a file, where a job has its folder"


def _links(folder: str, shown: str) -> Iterator[tuple[str, str]]:
    if os.path.isdir(folder):
        known = {name for name, _ in entries(folder)}
        for name in sorted({*os.listdir(folder)} - known):
            yield os.path.join(folder, name), f"{shown}/{name} is a link; it is not followed"
