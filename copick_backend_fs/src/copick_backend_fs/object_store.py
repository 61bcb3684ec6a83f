"""Buckets over obstore: the same requests as over fsspec, sent and answered in a fraction of the time."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import IO, TYPE_CHECKING, Any

from copick_backend_fs.buckets import MARK, BucketFiles, Page
from copick_backend_fs.config import Limits
from copick_backend_fs.connection import Connection, server
from copick_backend_fs.files import PIECE, PreconditionFailedError, together
from copick_backend_fs.live import PAGE, Live, Slots
from copick_backend_fs.store_arguments import StoreArguments, translate
from copick_core.errors import ConfigError, redacted
from copick_core.layers.ending import end_after_threads, waiting
from copick_core.layers.path_layer import Listing
from copick_core.layers.revisions import ANY, AnyRevision, Revision

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

#: The process that has started obstore's threads, which a forked child of it does not have.
_started_by: int | None = None

#: Keys that obstore refuses, or takes for others: with empty names, "." or "..", or control characters.
_REFUSED = re.compile(r"(^|/)\.{0,2}(/|$)|[\x00-\x1f\x7f]")


class StoreConnection(Connection):
    """A connection over obstore; each process makes its own.

    Where obstore cannot work, in a forked child of a process that has used it or with names that it refuses, the question
    goes to fsspec's file system of the same location.
    """

    def __init__(self, url: str, fs_args: Mapping[str, Any], limits: Limits | None = None) -> None:
        super().__init__(url, fs_args, limits)
        self._plain: Connection | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_plain": None}

    @property
    def plain(self) -> Connection:
        """A connection to the same location over fsspec."""
        if self._plain is None:
            self._plain = Connection(self.url, self._args, self._limits)
        return self._plain

    @property
    def fs(self) -> AbstractFileSystem:
        """The file system of fsspec, for others to use."""
        return self.plain.live.fs

    @property
    def requests(self) -> int:
        """How many requests were sent, over fsspec too."""
        return self.sent + (0 if self._plain is None else self._plain.sent)

    def renew(self) -> None:
        """Make a new connection on the next call, over fsspec too."""
        super().renew()
        if self._plain is not None:
            self._plain.renew()

    def _find_place(self) -> tuple[str, ...]:
        arguments = translate(self.url, self._args)
        path = self.url.partition("://")[2]
        return (arguments.filesystem if arguments else self.protocol, path, *server(self._args))

    def _connect(self) -> Live:
        global _started_by
        arguments = translate(self.url, self._args)
        if arguments is None or _started_by not in (None, os.getpid()):
            if self.protocol not in ("s3", "s3a"):
                raise ConfigError(
                    source=redacted(self.url),
                    reason="obstore cannot be used in this process, which was forked from one that has used it or has another "
                    'environment, and revisions would be others without it; start processes with "spawn" or '
                    '"forkserver", or set "obstore": false',
                )
            return self.plain.live
        from fsspec.asyn import get_loop

        _started_by = os.getpid()
        end_after_threads(get_loop())
        root = self.url.partition("://")[2]
        files = StoreFiles(arguments, self)
        return Live(None, root, Slots(arguments.connections, self), files, os.getpid())


class StoreFiles(BucketFiles):
    """The files of a bucket, over a store of obstore.

    Args:
        arguments: What to open the store with.
        connection: Whose files they are.
    """

    def __init__(self, arguments: StoreArguments, connection: StoreConnection) -> None:
        super().__init__(connection.protocol)
        self._connection = connection
        self._bucket = arguments.bucket
        self._arguments = arguments
        self._store = arguments.open()
        self._tag = "version" if arguments.store == "GCSStore" else "e_tag"
        if self._tag == "version":
            self.no_revision = "1"

    @cached_property
    def _once(self) -> Any:
        """A store that repeats nothing: a repeated write may fail its condition because the first one has stored."""
        return self._arguments.open(retries=0)

    def _key(self, path: str) -> str:
        return path[len(self._bucket) + 1 :]

    # ------------------------------------------------------------------ reading

    async def list_folder(self, live: Live, folder: str) -> Listing:
        """Names in a folder, and whether each is a folder; one request for 1000 names."""
        found = await self._listed(live, folder)
        if found is None:
            plain = self._connection.plain.live
            return await plain.files.list_folder(plain, folder)
        objects, folders = found
        return dict.fromkeys(objects, False) | {path.rpartition("/")[2]: True for path in folders}

    async def revisions_in(self, live: Live, folder: str) -> dict[str, Revision]:
        """Revisions of the objects in a folder, by name; one request for 1000 names. Azure spells them otherwise."""
        if self._arguments.store == "AzureStore":
            return {}
        found = await self._listed(live, folder)
        objects = {} if found is None else found[0]
        return {name: tag for name, entry in objects.items() if (tag := entry.get(self._tag)) is not None}

    async def _listed(self, live: Live, folder: str) -> tuple[dict[str, Any], Sequence[str]] | None:
        """Objects in a folder by name, and the folders in it; None where the store refuses its name, such as "a//b"."""
        from obstore.exceptions import InvalidPathError

        prefix = self._key(folder)
        try:
            with _told_as_usual(self._bucket):
                async with live.slots:
                    found = await self._store.list_with_delimiter_async(prefix or None)
                    live.slots.count_pages(len(found["objects"]) + len(found["common_prefixes"]))
        except InvalidPathError:
            return None
        # An object that stands for the folder itself has its name.
        objects = {entry["path"].rpartition("/")[2]: entry for entry in found["objects"] if entry["path"] != prefix}
        return objects, found["common_prefixes"]

    lists_after = True

    async def page_after(self, live: Live, folder: str, after: str) -> Page:
        """The first thousand objects below a folder that come after a name, on Azure five thousand: one request."""
        from obstore.exceptions import InvalidPathError

        prefix = self._key(folder)
        # Azure spells revisions otherwise in lists.
        tag, size = ("", 5 * PAGE) if self._arguments.store == "AzureStore" else (self._tag, PAGE)
        try:
            with _told_as_usual(self._bucket):
                async with live.slots:
                    async for page in self._store.list(prefix, offset=f"{prefix}/{after}", chunk_size=size):
                        names = [(entry["path"][len(prefix) + 1 :], entry.get(tag)) for entry in page]
                        return Page(names, len(names) < size)
        except InvalidPathError as error:
            raise OSError(errno.EINVAL, str(error), folder) from error
        return Page((), is_last=True)

    async def exists(self, live: Live, path: str, *, folder: bool) -> bool:
        """Whether there is a file, or a folder: one request."""
        if folder:
            return bool(await self._below(live, path, all_pages=False))
        return await self.revision(live, path) is not None

    async def first_below(self, live: Live, folder: str) -> list[str]:
        """The first thousand names below a folder: one request."""
        return await self._below(live, folder, all_pages=False)

    async def read(self, live: Live, path: str, start: int | None = None, end: int | None = None) -> bytes:
        """Read an object or a part of it: one request."""
        part: Any = None
        if start is not None or end is not None:
            first = start or 0
            if first < 0 and self._arguments.store == "AzureStore":  # which has no such requests
                first = max(0, await self.size(live, path) + first)
            part = {"suffix": -first} if first < 0 else {"offset": first} if end is None else (first, end)
        return (await self._get(live, path, part))[0]

    async def read_revised(self, live: Live, path: str) -> tuple[bytes, Revision]:
        """Read an object and its revision: one request."""
        return await self._get(live, path, None)

    async def _get(self, live: Live, path: str, part: Any) -> tuple[bytes, Revision]:
        with _told_as_usual(path):
            async with live.slots:
                answer = await self._store.get_async(self._key(path), options={"range": part} if part else None)
                return bytes(await answer.bytes_async()), answer.meta[self._tag]

    async def read_versioned(self, live: Live, path: str) -> tuple[bytes, tuple[Hashable, ...]]:
        """Read an object and its version: one request."""
        with _told_as_usual(path):
            async with live.slots:
                answer = await self._store.get_async(self._key(path))
                return bytes(await answer.bytes_async()), self._version(answer)

    async def version(self, live: Live, path: str) -> tuple[Hashable, ...] | None:
        """Revision, time and mark of an object, None where there is none: one request."""
        try:
            with _told_as_usual(path):
                async with live.slots:
                    return self._version(await self._store.get_async(self._key(path), options={"head": True}))
        except FileNotFoundError:
            return None

    def _version(self, answer: Any) -> tuple[Hashable, ...]:
        return str(answer.meta[self._tag]), str(answer.meta["last_modified"]), answer.attributes.get(MARK)

    async def write_marked(self, live: Live, path: str, data: bytes, mark: str) -> None:
        """Write an object with a mark: one request."""
        with _told_as_usual(path):
            async with live.slots:
                await self._store.put_async(self._key(path), data, attributes={MARK: mark}, use_multipart=False)

    async def copy_marked(self, live: Live, source: str, target: str, mark: str) -> None:
        """Copy a small object with a mark: two requests, as a copy takes none."""
        await self.write_marked(live, target, await self.read(live, source), mark)

    async def revision(self, live: Live, path: str) -> Revision | None:
        """Revision of an object, None where there is none: one request."""
        try:
            return str((await self._head(live, path))[self._tag])
        except FileNotFoundError:
            return None

    async def ask_something(self, live: Live) -> None:
        """Ask for an object that need not be there, past the limit of requests."""
        with _told_as_usual(live.root), contextlib.suppress(FileNotFoundError):
            await self._once.head_async(self._key(f"{live.root}/.alive"))

    async def size(self, live: Live, path: str) -> int:
        """Size of an object in bytes."""
        return int((await self._head(live, path))["size"])

    async def _head(self, live: Live, path: str) -> Any:
        with _told_as_usual(path):
            async with live.slots:
                return await self._store.head_async(self._key(path))

    async def _below(self, live: Live, folder: str, *, all_pages: bool = True) -> list[str]:
        from obstore.exceptions import InvalidPathError

        prefix = self._key(folder)
        names: list[str] = []
        try:
            with _told_as_usual(self._bucket):
                async with live.slots:
                    async for page in self._store.list(prefix or None, chunk_size=1000):
                        names += [entry["path"].removeprefix(prefix).lstrip("/") for entry in page]
                        if not all_pages:
                            break
                    live.slots.count_pages(len(names))
        except InvalidPathError:
            plain = self._connection.plain.live
            return await plain.files.find(plain, folder)
        return names

    async def find(self, live: Live, folder: str) -> list[str]:
        """Keys of all objects below a folder, relative to it."""
        return [name for name in await self._below(live, folder) if name]

    # ------------------------------------------------------------------ writing

    async def put(self, live: Live, path: str, data: bytes, expected: Revision | AnyRevision | None) -> Revision:
        """Write an object if its revision is the expected one (None: if there is none): one request.

        Raises:
            PreconditionFailedError: It is not.
        """
        from obstore.exceptions import AlreadyExistsError, GenericError, PreconditionError

        mode: Any = "overwrite" if expected is ANY else "create" if expected is None else {self._tag: expected}
        store, repeats = (self._store, 0) if expected is ANY else (self._once, self._arguments.retries)
        attempt = 0
        while True:
            try:
                with _told_as_usual(path):
                    async with live.slots:
                        answer = await store.put_async(self._key(path), data, mode=mode, use_multipart=False)
                return str(answer[self._tag])
            except (AlreadyExistsError, PreconditionError, FileNotFoundError) as error:
                if expected is ANY or (expected is None and isinstance(error, FileNotFoundError)):
                    raise
                raise PreconditionFailedError(repeated=attempt > 0) from error
            except OSError as error:
                if attempt == repeats or not isinstance(error.__cause__, GenericError):
                    raise
            await asyncio.sleep(0.1 * 2**attempt)
            attempt += 1

    async def write_file(self, live: Live, path: str, file: IO[bytes]) -> None:
        """Write an object of any size from an open file, in parts; it appears when the last one is stored."""
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        with _told_as_usual(path):
            async with live.slots:
                await self._store.put_async(
                    self._key(path), file, chunk_size=max(PIECE, -(-size // 10_000)), max_concurrency=4
                )

    async def copy(self, live: Live, pairs: Sequence[tuple[str, str]]) -> None:
        """Copy objects inside the bucket, many at once, one request each."""

        async def one(source: str, target: str) -> None:
            with _told_as_usual(source):
                async with live.slots:
                    await self._store.copy_async(self._key(source), self._key(target))

        await together(one(source, target) for source, target in pairs)

    async def delete_files(self, live: Live, paths: Sequence[str]) -> None:
        """Delete objects, as many as the server takes with each request."""
        odd = [path for path in paths if _REFUSED.search(self._key(path))]
        if odd:
            plain = self._connection.plain.live
            await plain.files.delete_files(plain, odd)
        with _told_as_usual(self._bucket), contextlib.suppress(FileNotFoundError):
            async with live.slots:
                await self._store.delete_async([self._key(path) for path in paths if path not in odd])

    async def _delete_folder(self, live: Live, path: str, below: Sequence[str]) -> None:
        """Delete a folder, of which all objects below it are given."""
        await super()._delete_folder(live, path, below)
        if await self.exists(live, path, folder=True):  # an object that stands for a folder, whose name obstore shortens
            plain = self._connection.plain.live
            await plain.files.delete(plain, path)


#: What obstore says of a server that does not answer; it has no class for that.
_UNANSWERED = re.compile(r"error sending request|operation timed out|error decoding response body", re.IGNORECASE)


@contextmanager
def _told_as_usual(path: str) -> Iterator[None]:
    """Raise the errors of obstore as those that every file system raises."""
    from obstore.exceptions import GenericError, InvalidPathError, PermissionDeniedError, UnauthenticatedError

    try:
        with waiting():
            yield
    except ValueError as error:
        if "Could not parse path" not in str(error):
            raise
        raise InvalidPathError(str(error)) from error  # obstore has that class, and does not raise it
    except (FileNotFoundError, GenericError, PermissionDeniedError, UnauthenticatedError) as error:
        reason = str(error).partition("\n\nDebug source")[0]
        if "NoSuchBucket" in reason or "NoSuchContainer" in reason or "ContainerNotFound" in reason:
            # A folder that is not there is an empty one, but nobody makes a bucket that is misspelled.
            raise FileNotFoundError(errno.ENOENT, "There is no such bucket", path.partition("/")[0]) from error
        if isinstance(error, FileNotFoundError):
            raise
        if _UNANSWERED.search(reason):
            raise ConnectionError("the server does not answer, or refuses connections") from error
        refused = not isinstance(error, GenericError) or re.search(r"status code: 40[13]\b", reason)
        raise (PermissionError if refused else OSError)(f"{path}: {reason}") from error
