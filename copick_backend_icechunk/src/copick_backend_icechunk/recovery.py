"""The last good commit of a local repository whose newest files are missing, as a power cut may leave it.

Icechunk does not flush what it stores on local disk, so the machine may lose the files of the last seconds, in any order.
Object stores keep what they have confirmed.
"""

from __future__ import annotations

import json
import os
from itertools import islice
from typing import TYPE_CHECKING, Any

from copick_backend_icechunk.history import paths_changed
from copick_backend_icechunk.tree import volume_of

if TYPE_CHECKING:
    import icechunk

#: How many entities of a commit, and values of a volume, are read to see whether they are there.
_ENTITIES = 8
_VALUES = 64


def restore_ref(folder: str, branch: str) -> bool:
    """Make the file of a branch that is missing or cut off point to the newest snapshot there is.

    Call it while nobody else can commit.

    Returns:
        Whether it had to.
    """
    path = os.path.join(folder, "refs", f"branch.{branch}", "ref.json")
    try:
        with open(path, "rb") as file:
            if "snapshot" in json.load(file):
                return False
    except (FileNotFoundError, ValueError, TypeError):
        pass
    snapshots = _snapshots(folder)
    if not snapshots:
        return False
    os.makedirs(os.path.dirname(path), exist_ok=True)
    temporary = f"{path}.tmp"
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump({"snapshot": snapshots[0]}, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    return True


def last_good(repository: icechunk.Repository, folder: str, branch: str, tip: str, *, guessed: bool) -> str | None:
    """The newest commit of a branch whose files are all there; None if there is none.

    Args:
        repository: The repository.
        folder: Where it lies.
        branch: The branch.
        tip: The commit that the branch points to.
        guessed: Whether :func:`restore_ref` says so, which cannot tell branches apart.
    """
    info = _info(repository, tip)
    mine = not guessed or info is None or info.metadata.get("branch", branch) == branch
    if mine and _is_whole(repository, tip):
        return tip
    known: list[Any] = []
    for snapshot in _snapshots(folder):
        info = _info(repository, snapshot)
        if info is not None and (info.metadata.get("branch", branch) == branch or info.parent_id is None):
            known.append(info)
    for info in sorted(known, key=lambda info: info.written_at, reverse=True):
        if _is_whole(repository, info.id):
            found: str = info.id
            return found
    return None


def _snapshots(folder: str) -> list[str]:
    """The ids of the snapshots whose files are there, newest first."""
    place = os.path.join(folder, "snapshots")
    try:
        found = [(entry.stat().st_mtime_ns, entry.name) for entry in os.scandir(place) if entry.stat().st_size]
    except FileNotFoundError:
        return []
    return [name for _, name in sorted(found, reverse=True)]


def _info(repository: icechunk.Repository, snapshot: str) -> Any:
    import icechunk

    try:
        return next(iter(repository.ancestry(snapshot_id=snapshot)))
    except icechunk.IcechunkError:
        return None


def _is_whole(repository: icechunk.Repository, snapshot: str) -> bool:
    """Whether a commit can be opened, and what it changed can be read."""
    import icechunk
    from zarr.core.sync import sync

    info = _info(repository, snapshot)
    if info is None:
        return False
    try:
        store = repository.readonly_session(snapshot_id=snapshot).store
        changed = (path for path, sign in paths_changed(repository, info).items() if sign != "-")
        for path in islice(changed, _ENTITIES):
            sync(_read(store, path))
    except (icechunk.IcechunkError, FileNotFoundError):
        return False
    return True


async def _read(store: icechunk.IcechunkStore, path: str) -> None:
    from zarr.core.buffer import default_buffer_prototype

    from copick_backend_icechunk.files import read_file
    from copick_backend_icechunk.volumes import names_below

    if volume_of(path) is None:
        await read_file(store, path)
        return
    for name in islice(await names_below(store, path), _VALUES):
        await store.get(name, default_buffer_prototype())
