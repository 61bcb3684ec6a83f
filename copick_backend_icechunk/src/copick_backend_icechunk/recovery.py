"""The last good commit of a repository whose newest files are missing or damaged.

Icechunk does not flush what it stores on local disk, so a power cut may take the files of the last seconds, in any order.
Object stores keep what they have confirmed; there somebody must have deleted or overwritten them.
"""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING, Any

from copick_backend_icechunk.history import paths_changed
from copick_backend_icechunk.objects import FIRST
from copick_backend_icechunk.tree import volume_of

if TYPE_CHECKING:
    import icechunk

    from copick_backend_icechunk.objects import Objects

LOST, UNMADE = "lost", "unmade"

#: How many entities of a commit, and values of a volume, are read to see whether they are there.
_ENTITIES = 8
_VALUES = 64


def restore_ref(objects: Objects, branch: str) -> str | None:
    """Make the file of a branch that is missing or cut off point to the newest snapshot there is.

    Call it while nobody else can commit to a local repository.

    Returns:
        ``LOST``, if commits are there that the branch had; ``UNMADE``, if who made the repository died before its end, or is
        not done yet; None where nothing is missing.
    """
    try:
        if "snapshot" in json.loads(objects.read_branch(branch) or b""):
            return None
    except (ValueError, TypeError):
        pass
    snapshots = objects.snapshots()
    if not snapshots:
        return None
    newest = next((snapshot for snapshot in snapshots if snapshot != FIRST), None)
    objects.write_branch(branch, json.dumps({"snapshot": newest or FIRST}).encode())
    return UNMADE if newest is None else LOST


def last_good(
    repository: icechunk.Repository, objects: Objects, branch: str, tip: str, *, guessed: bool, deep: bool
) -> str | None:
    """The newest commit of a branch whose files are all there; None if there is none.

    Args:
        repository: The repository.
        objects: Its files.
        branch: The branch.
        tip: The commit that the branch points to.
        guessed: Whether :func:`restore_ref` says so, which cannot tell branches apart, nor commits of one second.
        deep: Read what the tip changed too, not only what it lists.
    """
    if not guessed and (_is_whole(repository, tip) if deep else _info(repository, tip) is not None):
        return tip
    known: list[Any] = []
    for snapshot in objects.snapshots():
        info = _info(repository, snapshot)
        if info is not None and (info.metadata.get("branch", branch) == branch or info.parent_id is None):
            known.append(info)
    for info in sorted(known, key=lambda info: info.written_at, reverse=True):
        if _is_whole(repository, info.id):
            found: str = info.id
            return found
    return None


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
