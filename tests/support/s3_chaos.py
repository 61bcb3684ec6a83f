"""Writers of a bucket that die after any of their requests, and what is left of what they did.

A writer is dead when the server answers nothing of it any more: its clean-up does not come through either.
"""

from __future__ import annotations

import json
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

import copick_core
from copick_core.errors import BeingReplacedError, LevelNotFoundError, NotFoundError

from .objects import OBJECTS
from .s3_server import S3Server

#: (z, y, x) of the volumes, two chunks of 4³ each, and the region that is written.
SHAPE, CHUNKS = (8, 4, 4), 4
OLD, NEW = 1, 2


def config(server: S3Server, obstore: bool) -> dict[str, Any]:
    """A project in the bucket."""
    fs_args = {"endpoint_url": server.url, "key": "someone", "secret": "secret"}
    common = {"config_type": "filesystem", "pickable_objects": OBJECTS, "user_id": "alice"}
    return {**common, "overlay_root": "s3://lab/project", "overlay_fs_args": fs_args, "obstore": obstore}


def volume(value: int) -> np.ndarray:
    """A volume of one value."""
    return np.full(SHAPE, value, "f4")


def _tomogram(project: dict[str, Any]) -> Any:
    run = copick_core.open(project).new_run("TS_1", exist_ok=True)
    return run.new_voxel_spacing(10.0, exist_ok=True).new_tomogram("wbp", exist_ok=True)


def _stored(project: dict[str, Any]) -> Any:
    run = copick_core.open(project).get_run("TS_1")
    spacing = None if run is None else run.get_voxel_spacing(10.0)
    return None if spacing is None else spacing.get_tomogram("wbp")


def write(project: dict[str, Any], value: int = NEW, zarr_format: Any = 2) -> None:
    """Write the volume, new or in the place of the old one."""
    _tomogram(project).from_numpy(volume(value), levels=1, chunks=CHUNKS, zarr_format=zarr_format)


def write_region(project: dict[str, Any]) -> None:
    """Write both chunks of the stored volume."""
    _stored(project).set_region(NEW)


def delete(project: dict[str, Any]) -> None:
    """Delete the volume, if it is there."""
    if (tomogram := _stored(project)) is not None:
        tomogram.delete()


def copy(project: dict[str, Any]) -> None:
    """Copy the volume from another project, with what is above it."""
    source = copick_core.open({"config_type": "memory", "pickable_objects": OBJECTS})
    tomogram = source.new_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp")
    tomogram.from_numpy(volume(NEW), levels=1, chunks=CHUNKS)
    copick_core.copy_project(source, copick_core.open(project), overwrite=True)


#: It was listed, and reading it said that it is not there: what a dead writer left of a new volume was removed.
GONE = "listed, but not there"
#: What is done, whether an old volume is there, and what may be found afterwards.
OPERATIONS: dict[str, tuple[Callable[[dict[str, Any]], None], bool, set[str]]] = {
    "replace": (write, True, {"old", "new"}),
    "new": (write, False, {"none", "new", GONE}),
    "region": (write_region, True, {"old", "new", "chunks"}),
    "delete": (delete, True, {"old", "none"}),
    "copy": (copy, False, {"none", "new", GONE}),
}
#: What is found after an operation that ended without an error.
DONE = {"replace": "new", "new": "new", "region": "new", "delete": "none", "copy": "new"}


def found(project: dict[str, Any]) -> str:
    """What a reader finds, who waits for and finishes what is left: old, new, none, or whole chunks of both."""
    tomogram = _stored(project)
    if tomogram is None:
        return "none"
    try:
        values = tomogram.numpy()
    except (LevelNotFoundError, NotFoundError):
        return GONE
    except BeingReplacedError:
        return "being replaced"
    if values.shape != SHAPE:
        return f"shape {values.shape}"
    chunks = [np.unique(values[at : at + CHUNKS]).tolist() for at in range(0, SHAPE[0], CHUNKS)]
    if chunks == [[OLD], [OLD]]:
        return "old"
    if chunks == [[NEW], [NEW]]:
        return "new"
    return "chunks" if all(chunk in ([OLD], [NEW]) for chunk in chunks) else f"values {chunks}"


def bury(server: S3Server) -> None:
    """Let the writers of all records be dead: they are of this process, which is not."""
    for key in server.keys("lab"):
        if "/.replacing-" in key:
            record = json.loads(server._backend.get_object("lab", key).value)
            server.put("lab", {key: json.dumps({**record, "host": "elsewhere", "renewed": 0.0}).encode()})


def kill_after_each_request(server: S3Server, operation: str, obstore: bool, zarr_format: int, every: int = 1) -> Counter[str]:
    """Kill an operation after each n-th of its requests, and look what is left, and whether it can be done again.

    Returns:
        How often what was found; what must never be is an AssertionError.
    """
    act, is_there, allowed = OPERATIONS[operation]
    project = config(server, obstore)

    def prepare() -> None:
        server.empty("lab")
        run = copick_core.open(project).new_run("TS_1")
        run.new_voxel_spacing(10.0)
        if is_there:
            write(project, OLD, zarr_format)
        server.forget()

    prepare()
    act(project)
    total = len(server.requests)
    outcomes: Counter[str] = Counter()
    for allows in range(0, total, every):
        prepare()
        server.allows = allows
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                act(project)
                told = False
            except Exception:
                told = True
        server.allows = None
        bury(server)
        left = found(project)
        case = f"{operation} after {allows} of {total} requests"
        assert left in allowed, f"{case}: {left}"
        assert told or left == DONE[operation], f"{case}: {left}, and nothing said so"
        outcomes[left] += 1
        if operation != "region" or left != "none":
            act(project)
        assert found(project) == DONE[operation], f"{case}: it cannot be done again"
        assert not [key for key in server.keys("lab") if "/.replacing-" in key], f"{case}: a record is left"
    return outcomes
