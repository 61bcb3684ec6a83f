"""What the files of all object stores have in common: conditional writes, and folders that are nothing but names."""

from __future__ import annotations

import asyncio
import hashlib
from abc import abstractmethod
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from copick_backend_fs.documents import is_metadata
from copick_backend_fs.files import PreconditionFailedError, RemoteFiles
from copick_core.layers.revisions import ANY, AnyRevision, Revision
from copick_core.layers.staged import staged_name

if TYPE_CHECKING:
    from copick_backend_fs.live import Live


#: Objects that one request deletes.
_AT_ONCE = 1000

#: Name of the user metadata that mark the documents of a volume; Azure wants letters only.
MARK = "copickvolume"


class Page(NamedTuple):
    """A page of a list of all objects below a folder.

    Attributes:
        names: Names relative to the folder, in order, with revisions.
        is_last: Whether nothing comes after it.
    """

    names: Sequence[tuple[str, Revision | None]]
    is_last: bool


class BucketFiles(RemoteFiles):
    """The files of a bucket, whose server gives each object a revision and writes on condition of one."""

    #: A revision that no object has.
    no_revision: Revision = f'"{hashlib.md5(b"none").hexdigest()}"'  # noqa: S324 - an ETag is one

    def __init__(self, protocol: str) -> None:
        super().__init__(protocol)
        self._conditions: bool | None = None

    @property
    def keeps_writers_apart(self) -> bool:
        """Whether the server heeds conditions, as far as it was asked for any."""
        return self._conditions is not False

    @abstractmethod
    async def first_below(self, live: Live, folder: str) -> list[str]:
        """The first of the names below a folder, relative to it; nothing where there is none: one request."""

    @abstractmethod
    async def read_revised(self, live: Live, path: str) -> tuple[bytes, Revision]:
        """Read an object and its revision: one request."""

    @abstractmethod
    async def revision(self, live: Live, path: str) -> Revision | None:
        """Revision of an object, None where there is none: one request."""

    @abstractmethod
    async def revisions_in(self, live: Live, folder: str) -> dict[str, Revision]:
        """Revisions of the objects in a folder, by name: as many requests as its list."""

    #: Whether :meth:`page_after` is there: the server begins a list after a name.
    lists_after = False

    async def page_after(self, live: Live, folder: str, after: str) -> Page:
        """The first thousand objects below a folder whose names come after a name: one request."""
        raise NotImplementedError(f"{type(self).__name__} has no lists that begin after a name")

    async def revisions_in_all(self, live: Live, folders: Sequence[str]) -> dict[str, dict[str, Revision]]:
        """Revisions of the objects in several folders."""
        return dict(zip(folders, await asyncio.gather(*(self.revisions_in(live, f) for f in folders)), strict=True))

    @abstractmethod
    async def read_versioned(self, live: Live, path: str) -> tuple[bytes, tuple[Hashable, ...]]:
        """Read an object and its version: one request."""

    @abstractmethod
    async def version(self, live: Live, path: str) -> tuple[Hashable, ...] | None:
        """Version of an object, None where there is none: one request.

        Unlike the revision, which is a checksum on some servers, it differs between equal objects of different replacements.
        """

    @abstractmethod
    async def write_marked(self, live: Live, path: str, data: bytes, mark: str) -> None:
        """Write an object with a mark, which becomes part of its version: one request."""

    @abstractmethod
    async def copy_marked(self, live: Live, source: str, target: str, mark: str) -> None:
        """Copy a small object with a mark, which becomes part of its version."""

    @abstractmethod
    async def put(self, live: Live, path: str, data: bytes, expected: Revision | AnyRevision | None) -> Revision:
        """Write an object if its revision is the expected one (None: if there is none): one request.

        Raises:
            PreconditionFailedError: It is not.
        """

    async def write(self, live: Live, path: str, data: bytes) -> None:
        """Write an object: one request."""
        await self.put(live, path, data, ANY)

    async def write_if(self, live: Live, path: str, data: bytes, expected: Revision | AnyRevision | None) -> Revision:
        """Write an object if its revision is the expected one (None: if there is none), also where the server cannot.

        Raises:
            PreconditionFailedError: It is not.
        """
        if expected is not ANY and not await self._knows_conditions(live):
            # The best that such a server offers: whoever writes between these two requests is overwritten.
            if await self.revision(live, path) != expected:
                raise PreconditionFailedError(repeated=False)
            expected = ANY
        return await self.put(live, path, data, expected)

    async def _knows_conditions(self, live: Live) -> bool:
        if self._conditions is None:
            self._conditions = await self._honours_conditions(live)
        return self._conditions

    async def _honours_conditions(self, live: Live) -> bool:
        """Whether server and client keep the promise of a condition: try with a write that must fail."""
        probe = f"{live.root}/{staged_name()}"
        try:
            await self.put(live, probe, b"", self.no_revision)
        except PreconditionFailedError:
            return True
        await self.delete_files(live, [probe])
        return False

    async def delete(self, live: Live, path: str) -> None:
        """Delete an object, or all below a folder."""
        below = [f"{path}/{name}" for name in await self.find(live, path)]
        if below:
            await self._delete_folder(live, path, below)
        elif await self.exists(live, path, folder=False):
            await self.delete_files(live, [path])
        else:
            raise FileNotFoundError(path)

    async def _delete_folder(self, live: Live, path: str, below: Sequence[str]) -> None:
        """Delete a folder, of which all objects below it are given: metadata first, so that half of it is not a volume."""
        documents = [name for name in below if is_metadata(name)]
        documents.sort(key=lambda name: (name.count("/"), name))
        others = [name for name in below if not is_metadata(name)]
        if documents and len(below) > _AT_ONCE:
            await self.delete_files(live, documents)
            await self.delete_files(live, others)
        else:
            await self.delete_files(live, [*documents, *others])
