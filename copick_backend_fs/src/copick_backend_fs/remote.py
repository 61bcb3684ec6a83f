"""Everything else that fsspec reaches: object stores, servers, archives."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from copick_backend_fs.buckets import PreconditionFailedError
from copick_backend_fs.connection import Connection
from copick_backend_fs.files import RemoteFiles
from copick_core.errors import ConfigError, InvalidNameError, redacted
from copick_core.layers.path_layer import Listing, PathLayer
from copick_core.layers.revisions import ANY, AnyRevision, FileChangedError, Revision
from copick_core.layers.staged import is_staged
from copick_core.tree import layout
from copick_core.tree.keys import Key

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem
    from zarr.abc.store import Store

    from copick_backend_fs.buckets import BucketFiles
    from copick_backend_fs.live import Live

#: Protocols whose files lie in an archive, which lies somewhere else.
_ARCHIVES = {"tar", "zip"}
#: Protocols that cannot be written to.
_READ_ONLY = {"http", "https", *_ARCHIVES}
_PROCESS_BOUND = (
    "memory:// keeps files in the memory of this process. Copy it to a folder with copick_core.copy_project(root, target), "
    "and open that in the other process."
)


def open_remote(name: str, url: str, fs_args: Mapping[str, Any], *, read_only: bool, obstore: bool = True) -> FsspecLayer:
    """Open a URL as a layer; nothing is connected to before the first call.

    Args:
        name: Name of the layer.
        url: The location.
        fs_args: Arguments of its fsspec file system.
        read_only: Refuse writes.
        obstore: Go over obstore where it is installed and the arguments can be translated for it.

    Raises:
        MissingDependencyError: The protocol needs a package that is not installed.
        ConfigError: There is no such protocol, it cannot be written to, or its archive is missing.
    """
    store = _store_connection(url, fs_args) if obstore else None
    connection = store or Connection(url, fs_args)
    if connection.protocol in _ARCHIVES and "::" not in url:
        form = f"{connection.protocol}://::ARCHIVE, or {connection.protocol}://FOLDER::ARCHIVE for a folder in it"
        raise ConfigError(source=redacted(url), reason=f"write the location of an archive as {form}")
    if connection.protocol in _READ_ONLY and not read_only:
        raise ConfigError(source=redacted(url), reason=f"{connection.protocol}:// cannot be written to; use it as static_root")
    cls = BucketLayer if store or connection.protocol in ("s3", "s3a") else FsspecLayer
    return cls(name, connection, read_only=read_only)


def _store_connection(url: str, fs_args: Mapping[str, Any]) -> Connection | None:
    """A connection over obstore, if it is installed and can do what the arguments say."""
    from importlib.util import find_spec

    if find_spec("obstore") is None:
        return None
    from copick_backend_fs.object_store import StoreConnection
    from copick_backend_fs.store_arguments import translate

    return StoreConnection(url, fs_args) if translate(url, fs_args) else None


class FsspecLayer(PathLayer):
    """A layer on a file system of fsspec.

    Each folder is listed by one call, nothing is remembered by fsspec, and many folders are listed at once. The revision of
    a file is a checksum of its content, so that ``if_revision`` reads the file before it is written; whoever writes between
    the two is overwritten. Volumes are replaced by renaming where the server renames; object stores copy the staged keys
    over, metadata last, and for that while the volume is neither the old one nor the new one.

    Args:
        name: Name of the layer.
        connection: The location.
        read_only: Refuse writes.
    """

    def __init__(self, name: str, connection: Connection, *, read_only: bool = False) -> None:
        super().__init__(name, read_only=read_only)
        self._connection = connection
        if "memory" in connection.protocols:
            self.process_bound = _PROCESS_BOUND

    @property
    def _files(self) -> RemoteFiles:
        return self._connection.live.files

    @property
    def fs(self) -> AbstractFileSystem:
        """The fsspec file system; a new one after the connection was renewed."""
        return self._connection.fs

    @property
    def root(self) -> str:
        """Path of the project in :attr:`fs`."""
        return self._connection.live.root

    @property
    def place(self) -> tuple[str, ...]:
        """What is equal for two layers that keep their entities in the same place."""
        return self._connection.place

    def full_path(self, path: str) -> str:
        """Path in :attr:`fs` of a path below the root.

        Raises:
            InvalidNameError: It would lead out of the root.
        """
        return _full(self._connection.live, path)

    def location(self, key: Key) -> str:
        """URL of an entity, without secrets."""
        first, chain, rest = redacted(self._connection.url).partition("::")
        return f"{first}/{layout.path(key)}{chain}{rest}"

    def reconnect(self) -> None:
        """Make a new connection on the next call, and forget what was listed."""
        self._connection.renew()
        self.drop_listings("")

    # ------------------------------------------------------------------ reading

    def list_folder(self, path: str) -> Listing:
        """List a folder."""
        return self.list_folders([path])[path]

    def list_folders(self, paths: Sequence[str]) -> Mapping[str, Listing]:
        """List many folders at once."""
        if not paths:
            return {}
        full = [self.full_path(path) for path in paths]
        listings = self._connection.ask(self._files.list_folders, full)
        return {path: listings[f] for path, f in zip(paths, full, strict=True)}

    def path_exists(self, path: str, *, folder: bool) -> bool:
        """Whether there is a file, or a folder."""
        return self._connection.ask(self._files.exists, self.full_path(path), folder=folder)

    def read_file(self, path: str) -> tuple[bytes, Revision | None]:
        """Read a file with its revision."""
        data = self._connection.ask(self._files.read, self.full_path(path))
        return data, _checksum(data)

    def open_store(self, path: str) -> Store:
        """Open a volume."""
        from copick_backend_fs.volumes import RemoteVolume

        written: set[str] | None = set() if is_staged(path.rpartition("/")[2]) else None
        return RemoteVolume(self._connection, path, read_only=self.read_only, written=written)

    # ------------------------------------------------------------------ writing

    def write_file(self, path: str, data: bytes, if_revision: Revision | AnyRevision | None = ANY) -> Revision | None:
        """Write a file, all or nothing."""
        if not self._files.writes_whole:
            self.sweep_staged(path.rpartition("/")[0])
        attempts = 0

        async def write(live: Live) -> None:
            nonlocal attempts
            attempts += 1
            target = _full(live, path)
            if if_revision is not ANY:
                try:
                    found = _checksum(await self._files.read(live, target))
                except FileNotFoundError:
                    found = None
                if found != if_revision:
                    if attempts > 1 and found == _checksum(data):
                        return  # stored before the connection broke
                    raise FileChangedError(found)
            await self._files.replace(live, target, data)

        self._connection.ask(write)
        return _checksum(data)

    def delete_path(self, path: str) -> None:
        """Delete a file, a folder or a link."""
        attempts = 0

        async def delete(live: Live) -> None:
            nonlocal attempts
            attempts += 1
            try:
                await self._files.delete(live, _full(live, path))
            except FileNotFoundError:
                if attempts == 1:  # else it was deleted before the connection broke
                    raise

        self._connection.ask(delete)

    def replace_folder(self, staged: str, path: str) -> None:
        """Put a staged folder in its place."""
        attempts = 0

        async def swap(live: Live) -> list[str]:
            nonlocal attempts
            attempts += 1
            return await self._files.swap(live, _full(live, staged), _full(live, path), again=attempts > 1)

        left = self._connection.ask(swap)
        try:
            self._connection.ask(self._files.delete_files, left)
        except Exception:  # the new volume is in its place, and an error would say that the old one is
            self.discard_staged(staged)


class BucketLayer(FsspecLayer):
    """A layer in a bucket whose server writes on condition, as S3 does.

    Reading a file is one request, and so is writing one; its revision is its ETag. ``if_revision`` is a condition of the
    write itself, so that of several writers that know one revision exactly one wins. Servers that do not know conditional
    writes are found out once, and asked for the ETag before the write instead.
    """

    if TYPE_CHECKING:

        @property
        def _files(self) -> BucketFiles:
            """The files of the bucket."""

    def read_file(self, path: str) -> tuple[bytes, Revision | None]:
        """Read a file with its revision."""
        return self._connection.ask(self._files.read_revised, self.full_path(path))

    def file_revision(self, path: str) -> Revision | None:
        """Revision of a file, without reading it."""
        return self._connection.ask(self._files.revision, self.full_path(path))

    def write_file(self, path: str, data: bytes, if_revision: Revision | AnyRevision | None = ANY) -> Revision | None:
        """Write a file, all or nothing."""
        attempts = 0

        async def write(live: Live) -> Revision | None:
            nonlocal attempts
            attempts += 1
            target = _full(live, path)
            try:
                return await self._files.write_if(live, target, data, if_revision)
            except PreconditionFailedError as error:
                found = await self._files.revision(live, target)
                if found is not None and (error.repeated or attempts > 1):
                    # The first of several requests may have stored it although its answer was lost.
                    stored, revision = await self._files.read_revised(live, target)
                    if stored == data:
                        return revision
                raise FileChangedError(found) from error

        return self._connection.ask(write)


def _full(live: Live, path: str) -> str:
    """Path in the file system of a path below the root; refuses one that leads out of it."""
    if path.startswith("/") or "/../" in f"/{path}/":
        raise InvalidNameError(what="path", name=path, reason=f"it leads out of {redacted(live.root)}")
    return f"{live.root.rstrip('/')}/{path}" if live.root else path


def _checksum(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
