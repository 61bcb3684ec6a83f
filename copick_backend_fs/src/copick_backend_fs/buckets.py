"""What the files of all object stores have in common: conditional writes, and folders that are nothing but names."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from copick_backend_fs.files import RemoteFiles
from copick_core.layers.revisions import ANY, AnyRevision, Revision
from copick_core.layers.staged import staged_name

if TYPE_CHECKING:
    from copick_backend_fs.live import Live


class PreconditionFailedError(Exception):
    """What is stored is not what a conditional write expected."""

    def __init__(self, *, repeated: bool) -> None:
        super().__init__("precondition failed")
        #: Whether the request was sent more than once, so that the first one may have been the one that stored.
        self.repeated = repeated


class BucketFiles(RemoteFiles):
    """The files of a bucket, whose server gives each object a revision and writes on condition of one."""

    #: A revision that no object has.
    no_revision: Revision = f'"{hashlib.md5(b"none").hexdigest()}"'  # noqa: S324 - an ETag is one

    def __init__(self, protocol: str) -> None:
        super().__init__(protocol)
        self._conditions: bool | None = None

    @abstractmethod
    async def read_revised(self, live: Live, path: str) -> tuple[bytes, Revision]:
        """Read an object and its revision: one request."""

    @abstractmethod
    async def revision(self, live: Live, path: str) -> Revision | None:
        """Revision of an object, None where there is none: one request."""

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
        """Delete a folder, of which all objects below it are given."""
        await self.delete_files(live, below)
