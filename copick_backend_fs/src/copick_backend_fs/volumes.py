"""zarr stores that keep two promises which zarr's own do not: looking makes nothing, and read-only means all of it.

In a module of its own because it imports zarr, and because stores are pickled into the processes of a cluster by name.
"""

from __future__ import annotations

from typing import Any

from zarr.abc.store import Store
from zarr.storage import LocalStore


class LocalVolume(LocalStore):
    """The files of one volume. Its folder is made by the first write; zarr's store makes it when it is read."""

    async def _open(self, *, mode: Any = None) -> None:
        await Store._open(self)

    def _ensure_open_sync(self) -> None:
        self._is_open = True

    async def clear(self) -> None:
        """Delete everything in the volume."""
        await self.delete_dir("")
