"""Making whole folders appear in one step, so that nothing half-made is ever seen, whenever a writer dies."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
import uuid
from collections.abc import Iterator

from copick_backend_volume.places import STAGING, entries

#: Seconds after which something staged belongs to a writer that died.
ABANDONED = 7 * 24 * 3600


class Staged:
    """A hidden folder that is being filled.

    Attributes:
        folder: Where to write.
    """

    def __init__(self, kind_folder: str) -> None:
        self._kind_folder = kind_folder
        self.folder = _hidden(kind_folder)
        os.mkdir(self.folder)

    def publish(self, target: str, *, replace: bool = False) -> None:
        """Make the folder appear as the target, whole.

        Args:
            target: Its new path.
            replace: Replace a target that exists; otherwise that is a FileExistsError.
        """
        _sync(self.folder)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if os.path.lexists(target) and not replace:
            raise FileExistsError(target)
        aside = _hidden(self._kind_folder)
        with contextlib.suppress(FileNotFoundError):
            os.rename(target, aside)
        os.rename(self.folder, target)
        _sync(os.path.dirname(target))
        shutil.rmtree(aside, ignore_errors=True)


@contextlib.contextmanager
def staging(kind_folder: str) -> Iterator[Staged]:
    """Stage a folder beneath ``chunks``, ``segmented`` or ``meshed``; what is not published is removed."""
    os.makedirs(kind_folder, exist_ok=True)
    sweep(kind_folder)
    staged = Staged(kind_folder)
    try:
        yield staged
    finally:
        shutil.rmtree(staged.folder, ignore_errors=True)


def abandoned(kind_folder: str, age: float = ABANDONED) -> list[str]:
    """Paths of what writers that died have left staged."""
    found = []
    for name, _ in entries(kind_folder):
        parts = name.removeprefix(STAGING).split("-")
        if name.startswith(STAGING) and parts[0].isdecimal() and time.time() - int(parts[0]) > age:
            found.append(os.path.join(kind_folder, name))
    return found


def sweep(kind_folder: str) -> None:
    """Remove what writers that died a week ago have left."""
    for path in abandoned(kind_folder):
        shutil.rmtree(path, ignore_errors=True)


def _hidden(kind_folder: str) -> str:
    return os.path.join(kind_folder, f"{STAGING}{int(time.time())}-{uuid.uuid4().hex}")


def _sync(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
