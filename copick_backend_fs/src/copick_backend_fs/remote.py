"""Everything else that fsspec reaches: object stores, servers, archives."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from copick_backend_fs import protocols
from copick_backend_fs.connection import Connection
from copick_backend_fs.documents import DOCUMENTS
from copick_backend_fs.live import NAME_THEM
from copick_backend_fs.locks import LockLostError, Owner
from copick_backend_fs.other_writers import OtherWriters
from copick_backend_fs.records import RecordTakenError
from copick_core.callers import warn_caller
from copick_core.errors import InvalidNameError, NotFoundError, redacted
from copick_core.layers.path_layer import Listing, PathLayer
from copick_core.layers.revisions import ANY, AnyRevision, FileChangedError, FolderTakenError, Revision
from copick_core.layers.staged import is_staged
from copick_core.tree import layout
from copick_core.tree.keys import VOLUME_KINDS, Key

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem
    from zarr.abc.store import Store

    from copick_backend_fs.files import RemoteFiles
    from copick_backend_fs.live import Live
    from copick_core.layers.problems import OfWriters, Problem

#: Places that a warning was given of.
_announced: set[tuple[str, ...]] = set()
_PROCESS_BOUND = (
    "memory:// keeps files in the memory of this process. Copy it to a folder with copick_core.copy_project(root, target), "
    "and open that in the other process."
)


class FsspecLayer(PathLayer):
    """A layer on a file system of fsspec.

    Each folder is listed by one call, nothing is remembered by fsspec, and many folders are listed at once. The revision of
    a file is a checksum of its content, so that ``if_revision`` reads the file before it is written; whoever writes between
    the two is overwritten. Volumes are replaced by renaming where the server renames, and on object stores as
    :mod:`copick_backend_fs.replacing` says: for a while there is none, and the next one who may finishes what is cut off.

    Args:
        name: Name of the layer.
        connection: The location.
        read_only: Refuse writes.
    """

    def __init__(self, name: str, connection: Connection, *, read_only: bool = False) -> None:
        super().__init__(name, read_only=read_only)
        self._connection = connection
        self._writers = OtherWriters(name, connection)
        #: Staged folders that replacements which were cut off will be finished from.
        self._needed: set[str] = set()
        #: The document of each volume that was last found to make it one.
        self._documents: dict[str, str] = {}
        #: Whether a web server lists folders; None while nobody knows.
        self._lists_folders: bool | None = None
        self.versions_take_requests = connection.protocol not in protocols.READ_ONLY
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
        return self._connection.live.full_path(path)

    def location(self, key: Key) -> str:
        """URL of an entity, without secrets."""
        first, chain, rest = redacted(self._connection.url).partition("::")
        return f"{first}/{self.path_of(key)}{chain}{rest}"

    def place_id(self) -> str | None:
        """Protocol, server and path; None in the memory of this process."""
        return None if "memory" in self._connection.protocols else redacted(" ".join(self._connection.place))

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
        found = self._asked(paths)
        if self._connection.protocol not in protocols.READ_ONLY:
            for path, listing in found.items():
                self._writers.add_replaced(path, listing)
        return found

    def _asked(self, paths: Sequence[str]) -> dict[str, Listing]:
        """Listings of folders as the server gives them."""
        full = [self.full_path(path) for path in paths]
        listings = self._connection.ask(self._files.list_folders, full)
        if self._connection.protocol in protocols.WEB:
            self._notice_missing_listings(listings)
        return {path: listings[f] for path, f in zip(paths, full, strict=True)}

    def exists(self, key: Key) -> bool:
        """Whether an entity is stored now; a volume is while another one is put in its place."""
        return super().exists(key) or self._is_listed(key)

    def _is_listed(self, key: Key) -> bool:
        """Whether a volume of which nothing was found is listed all the same: a replacement begins with taking it away."""
        if key.kind not in VOLUME_KINDS or self._connection.protocol in protocols.READ_ONLY or not layout.is_listable(key):
            return False
        folder, _, name = self.path_of(key).rpartition("/")
        return self.list_folder(folder).get(name, False)

    def _notice_missing_listings(self, listings: Mapping[str, Listing]) -> None:
        """Warn where folders seem empty because a web server lists none: nothing tells that from folders that are missing."""
        runs = self.full_path(layout.RUNS_FOLDER)
        where = f"Layer {self.name!r}: {redacted(self._connection.url)}"
        if runs in listings:
            self._lists_folders = bool(listings[runs])
            if not self._lists_folders:
                warn_caller(f"{where} lists no runs. Check the address; if the server lists no folders, {NAME_THEM}.")
        elif self._lists_folders is None and not all(listings.values()):
            try:
                self._lists_folders = any(self._connection.ask(self._files.list_folders, [runs]).values())
            except PermissionError:  # a server that refuses to list what is there says of all else that it is missing
                self._lists_folders = True
            if not self._lists_folders:
                warn_caller(
                    f"{where} lists no folders: what the configuration does not name is not found there, "
                    "such as picks, meshes, filaments and segmentations."
                )

    def problems(self) -> Sequence[Problem]:
        """What is wrong in this place; a web server that lists nothing is named."""
        from copick_core.layers.problems import Problem

        problems = [*super().problems()]
        if self._lists_folders is False:
            place = f"layer {self.name!r}, {redacted(self._connection.url)}"
            message = f"it lists no folders, so nobody knows what is there; check the address, or {NAME_THEM}"
            problems.append(Problem("unlisted-folder", None, place, "error", message))
        return problems

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
        return RemoteVolume(self._connection, path, read_only=self.read_only, written=written, documents=self._documents)

    # ------------------------------------------------------------------ writing

    def check_writable(self, key: Key) -> None:
        """Refuse if the layer is read-only, and names that the place does not take as they are."""
        super().check_writable(key)
        if self._connection.protocol == "smb":
            from copick_backend_fs.smb import refused_part

            name = refused_part(layout.path(key))
            if name is not None:
                reason = 'Windows shares take no < > : " | ? * \\ in names, and no blank or dot at their ends'
                raise InvalidNameError(what="file name", name=name, reason=reason)

    def write_file(self, path: str, data: bytes, if_revision: Revision | AnyRevision | None = ANY) -> Revision | None:
        """Write a file, all or nothing."""
        if not self._files.writes_whole:
            self.sweep_staged(path.rpartition("/")[0])
        self._announce_races()
        attempts = 0
        owner = Owner()

        async def write(live: Live) -> None:
            nonlocal attempts
            attempts += 1
            target = live.full_path(path)

            async def check() -> None:
                found = await self._stored_checksum(live, target)
                if found != if_revision:
                    raise FileChangedError(found)

            try:
                await self._files.replace(live, target, data, owner, None if if_revision is ANY else check)
            except LockLostError:
                raise FileChangedError(await self._stored_checksum(live, target)) from None
            except FileChangedError as error:
                if attempts == 1 or error.found != _checksum(data):
                    raise  # else it was stored before the connection broke

        self._connection.ask(write)
        return _checksum(data)

    async def _stored_checksum(self, live: Live, target: str) -> Revision | None:
        try:
            return _checksum(await self._files.read(live, target))
        except FileNotFoundError:
            return None

    def _announce_races(self) -> None:
        """Warn, once, that writers at once may overwrite each other."""
        if not self._files.keeps_writers_apart and self._connection.place not in _announced:
            _announced.add(self._connection.place)
            warn_caller(
                f"{redacted(self._connection.url)}: let one process at a time write to this place. It has no conditional "
                "writes that this library can use: of two writers of one file, the last overwrites the other."
            )

    def delete(self, key: Key) -> None:
        """Delete an entity and everything below it.

        Raises:
            BeingReplacedError: Somebody replaces the volume, and would put another one there afterwards.
        """
        is_volume = key.kind in VOLUME_KINDS and not self.read_only
        if is_volume and self._files.writes_whole:
            self._settled(key)
        try:
            super().delete(key)
        except NotFoundError:
            if not is_volume or self._files.writes_whole or self._settled(key) is None:
                raise
            super().delete(key)

    def delete_path(self, path: str) -> None:
        """Delete a file, a folder or a link."""
        attempts = 0

        async def delete(live: Live) -> None:
            nonlocal attempts
            attempts += 1
            try:
                await self._files.delete(live, live.full_path(path))
            except FileNotFoundError:
                if attempts == 1:  # else it was deleted before the connection broke
                    raise

        self._connection.ask(delete)

    def replace_folder(self, staged: str, path: str) -> None:
        """Put a staged folder in its place."""
        if self._files.writes_whole:
            self._replace_by_copies(staged, path)
            return
        attempts = 0

        async def swap(live: Live) -> None:
            nonlocal attempts
            attempts += 1
            await self._files.swap(live, live.full_path(staged), live.full_path(path), again=attempts > 1)

        self._connection.ask(swap)

    def _replace_by_copies(self, staged: str, path: str) -> None:
        replacement = self._writers.replacement(path)
        try:
            replacement.run(self.full_path(staged))
        except RecordTakenError as error:
            raise FolderTakenError(error.record.since if error.record else None) from error
        except BaseException:
            if replacement.began:
                self._needed.add(staged)
            raise

    def discard_staged(self, staged: str) -> None:
        """Delete something staged, unless a replacement that was cut off is to be finished from it."""
        if staged not in self._needed:
            super().discard_staged(staged)

    def sweep_names(self, folder: str, names: Iterable[str]) -> None:
        """Finish what dead writers have left, then remove what they had staged."""
        for name in names:
            self._writers.finish(f"{folder}/{name}", read_only=self.read_only)
        super().sweep_names(folder, names)

    def problems_of_writers(self, folder: str, listing: Listing, key_of: Callable[[str], Key | None]) -> OfWriters:
        """Find replacements that were not finished, and new volumes that were given up."""
        return self._writers.problems(folder, listing, key_of, read_only=self.read_only)

    def volume_version(self, key: Key) -> Hashable | None:
        """What the place tells of the document that makes a volume one: one request once it is known which that is.

        In a bucket ETag, time and mark, where each replacement marks its own: two volumes may have equal documents. Elsewhere
        what fsspec knows, such as a generation or a time. It is None for web servers and archives, which are not written to.
        """
        if not self.versions_take_requests:
            return None
        path = self.path_of(key)
        found = self._version(path)
        replaced = found is None
        while found is None and replaced:  # of writers that come one after another, none makes this "there is no volume"
            replaced = self._settled(key) is not None
            found = self._version(path)  # also if nobody is at it: a replacement may just have ended
        return found

    def _version(self, path: str) -> Hashable | None:
        known = self._documents.get(path, DOCUMENTS[0])
        for name in (known, *(name for name in DOCUMENTS if name != known)):
            version = self._connection.ask(self._files.version, self.full_path(f"{path}/{name}"))
            if version is not None:
                if name == DOCUMENTS[-1] and self._files.writes_whole and self._writers.record(path) is not None:
                    return None  # the first step of a replacement takes the other one away
                if name != DOCUMENTS[-1]:  # which may be there a moment before what makes the volume one
                    self._documents[path] = name
                return (name, *version)
        return None

    def _settled(self, key: Key) -> Hashable | None:
        """Wait until nobody replaces a volume that cannot be opened; what is not None if somebody did."""
        return self._writers.settle(key, self.path_of(key), read_only=self.read_only)


def _checksum(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
