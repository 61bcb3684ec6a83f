"""Azure's blobs over the client of adlfs: ETags as revisions, conditional writes, and names taken as they are.

The file system of adlfs takes a "?" in a name for a version, and writes unconditionally; its client does neither.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from copick_backend_fs.buckets import MARK, BucketFiles
from copick_backend_fs.files import PreconditionFailedError, together
from copick_core.layers.path_layer import Listing
from copick_core.layers.revisions import ANY, AnyRevision, Revision

if TYPE_CHECKING:
    from copick_backend_fs.live import Live

#: What is repeated: answers that ask for it. Before each further attempt to connect its client waits 15 seconds and more.
_ATTEMPTS = {"retry_total": 2, "retry_connect": 0, "retry_read": 0, "retry_status": 2}


class AzureFiles(BucketFiles):
    """The blobs of a container.

    Args:
        protocol: Protocol of the location.
        seconds: How long one request may wait for a connection, or for the next part of an answer.
    """

    def __init__(self, protocol: str, seconds: float) -> None:
        super().__init__(protocol)
        self._options = {**_ATTEMPTS, "connection_timeout": seconds, "read_timeout": seconds}

    def _container(self, live: Live) -> tuple[Any, str]:
        name = live.root.partition("/")[0]
        return live.fs.service_client.get_container_client(name), name

    def _blob(self, live: Live, path: str) -> Any:
        container, name = self._container(live)
        return container.get_blob_client(path[len(name) + 1 :])

    # ------------------------------------------------------------------ reading

    async def list_folder(self, live: Live, folder: str) -> Listing:
        """Names in a folder, and whether each is a folder; one request for 5000 names."""
        container, name = self._container(live)
        prefix = folder[len(name) + 1 :]
        prefix = f"{prefix}/" if prefix else ""
        listing: Listing = {}
        with _told_as_usual(folder):
            async with live.slots:
                async for entry in container.walk_blobs(name_starts_with=prefix or None, delimiter="/", **self._options):
                    below = entry.name[len(prefix) :]
                    listing[below.rstrip("/")] = below.endswith("/")
        listing.pop("", None)  # a blob that stands for the folder itself
        return listing

    async def revisions_in(self, live: Live, folder: str) -> dict[str, Revision]:
        """Nothing: lists of Azure have ETags without the quotes that its other answers have."""
        return {}

    async def exists(self, live: Live, path: str, *, folder: bool) -> bool:
        """Whether there is a file, or a folder: one request."""
        if not folder:
            return await self.revision(live, path) is not None
        container, name = self._container(live)
        prefix = path[len(name) + 1 :]
        with _told_as_usual(path):
            async with live.slots:
                pages = container.list_blobs(
                    name_starts_with=f"{prefix}/" if prefix else None, results_per_page=1, **self._options
                )
                async for _ in pages:
                    return True
        return False

    async def first_below(self, live: Live, folder: str) -> list[str]:
        """The first of the names below a folder: one request."""
        container, name = self._container(live)
        prefix = f"{folder[len(name) + 1 :]}/"
        with _told_as_usual(folder):
            async with live.slots:
                pages = container.list_blobs(name_starts_with=prefix, results_per_page=1, **self._options)
                async for blob in pages:
                    return [blob.name[len(prefix) :]]
        return []

    async def find(self, live: Live, folder: str) -> list[str]:
        """Names of all blobs below a folder, relative to it."""
        container, name = self._container(live)
        prefix = folder[len(name) + 1 :]
        prefix = f"{prefix}/" if prefix else ""
        with _told_as_usual(folder):
            async with live.slots:
                names = container.list_blob_names(name_starts_with=prefix or None, **self._options)
                return [found[len(prefix) :] async for found in names if found != prefix]

    async def read(self, live: Live, path: str, start: int | None = None, end: int | None = None) -> bytes:
        """Read a blob or a part of it; the last bytes take a request more, for its length."""
        part: dict[str, int] = {}
        if start is not None or end is not None:
            first = start or 0
            if first < 0:
                first = max(0, await self.size(live, path) + first)
            part = {"offset": first} if end is None else {"offset": first, "length": end - first}
        return (await self._get(live, path, **part))[0]

    async def read_revised(self, live: Live, path: str) -> tuple[bytes, Revision]:
        """Read a blob and its ETag."""
        data, about = await self._get(live, path)
        return data, str(about.etag)

    async def read_versioned(self, live: Live, path: str) -> tuple[bytes, tuple[Hashable, ...]]:
        """Read a blob and its version."""
        data, about = await self._get(live, path)
        return data, _version(about)

    async def _get(self, live: Live, path: str, **part: int) -> tuple[bytes, Any]:
        with _told_as_usual(path):
            async with live.slots:
                answer = await self._blob(live, path).download_blob(**part, **self._options)
                return bytes(await answer.readall()), answer.properties

    async def _properties(self, live: Live, path: str) -> Any:
        with _told_as_usual(path):
            async with live.slots:
                return await self._blob(live, path).get_blob_properties(**self._options)

    async def revision(self, live: Live, path: str) -> Revision | None:
        """ETag of a blob, None where there is none: one request."""
        try:
            return str((await self._properties(live, path)).etag)
        except FileNotFoundError:
            return None

    async def version(self, live: Live, path: str) -> tuple[Hashable, ...] | None:
        """ETag, time and mark of a blob, None where there is none: one request."""
        try:
            return _version(await self._properties(live, path))
        except FileNotFoundError:
            return None

    async def size(self, live: Live, path: str) -> int:
        """Size of a blob in bytes."""
        return int((await self._properties(live, path)).size)

    # ------------------------------------------------------------------ writing

    async def put(self, live: Live, path: str, data: bytes, expected: Revision | AnyRevision | None) -> Revision:
        """Write a blob if its ETag is the expected one (None: if there is none).

        Raises:
            PreconditionFailedError: It is not.
        """
        return await self._put(live, path, data, expected)

    async def _put(
        self, live: Live, path: str, data: bytes, expected: Revision | AnyRevision | None, mark: str | None = None
    ) -> Revision:
        from azure.core import MatchConditions
        from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError

        condition: dict[str, Any] = {"overwrite": expected is not None}
        options: dict[str, Any] = dict(self._options)
        if expected is not None and expected is not ANY:
            condition |= {"etag": expected, "match_condition": MatchConditions.IfNotModified}
        if expected is not ANY:
            # A repeated write may fail its condition because the first one has stored: the caller asks, over a new connection.
            options |= {"retry_total": 0}
        try:
            with _told_as_usual(path):
                async with live.slots:
                    metadata = {MARK: mark} if mark else None
                    answer = await self._blob(live, path).upload_blob(data, metadata=metadata, **condition, **options)
        except Exception as error:
            refused = isinstance(error.__cause__, ResourceExistsError | ResourceModifiedError)
            gone = expected is not None and isinstance(error.__cause__, ResourceNotFoundError)
            if expected is not ANY and (refused or gone):
                raise PreconditionFailedError(repeated=False) from error
            raise
        return str(answer["etag"])

    async def write_marked(self, live: Live, path: str, data: bytes, mark: str) -> None:
        """Write a blob with a mark: one request."""
        await self._put(live, path, data, ANY, mark)

    async def write_file(self, live: Live, path: str, file: IO[bytes]) -> None:
        """Write a blob of any size from an open file, in blocks; it appears when the last one is stored."""
        length = file.seek(0, os.SEEK_END)
        file.seek(0)
        with _told_as_usual(path):
            async with live.slots:
                await self._blob(live, path).upload_blob(file, length=length, overwrite=True, **self._options)

    async def copy_marked(self, live: Live, source: str, target: str, mark: str) -> None:
        """Copy a small blob with a mark: two requests."""
        await self._put(live, target, await self.read(live, source), ANY, mark)

    async def copy(self, live: Live, pairs: Sequence[tuple[str, str]]) -> None:
        """Copy blobs inside the container, many at once; the server answers before it has copied, if it wants to."""

        async def one(source: str, target: str) -> None:
            blob = self._blob(live, target)
            with _told_as_usual(source):
                async with live.slots:
                    url = self._blob(live, source).url
                    answer = await blob.start_copy_from_url(url, **self._options)
                    status = answer["copy_status"]
                    while status == "pending":
                        await asyncio.sleep(0.1)
                        status = (await blob.get_blob_properties(**self._options)).copy.status
            if status != "success":
                raise OSError(errno.EIO, f"The server reports that the copy is {status}", source)

        await together(one(source, target) for source, target in pairs)

    async def delete_files(self, live: Live, paths: Sequence[str]) -> None:
        """Delete blobs, many at once."""

        async def one(path: str) -> None:
            with contextlib.suppress(FileNotFoundError), _told_as_usual(path):
                async with live.slots:
                    await self._blob(live, path).delete_blob(**self._options)

        await together(map(one, paths))


def _version(about: Any) -> tuple[Hashable, ...]:
    return str(about.etag), str(about.last_modified), (about.metadata or {}).get(MARK)


@contextmanager
def _told_as_usual(path: str) -> Iterator[None]:
    """Raise the errors of Azure's client as those that every file system raises."""
    from azure.core.exceptions import AzureError, HttpResponseError, ServiceRequestError, ServiceResponseError

    try:
        yield
    except AzureError as error:
        reason = str(error).partition("\n")[0]
        if isinstance(error, ServiceRequestError | ServiceResponseError):
            raise ConnectionError(reason) from error
        status = error.status_code if isinstance(error, HttpResponseError) else None
        if status == 404:
            if getattr(error, "error_code", "") == "ContainerNotFound":
                # A folder that is not there is an empty one, but nobody makes a container that is misspelled.
                raise FileNotFoundError(errno.ENOENT, "There is no such bucket", path.partition("/")[0]) from error
            raise FileNotFoundError(errno.ENOENT, "There is no such blob", path) from error
        raise (PermissionError if status in (401, 403) else OSError)(f"{path}: {reason}") from error
