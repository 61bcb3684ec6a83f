"""Everything else that fsspec reaches: object stores, servers, archives."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from copick_backend_fs import aside, locks
from copick_backend_fs.config import Limits
from copick_backend_fs.connection import Connection
from copick_backend_fs.documents import DOCUMENTS
from copick_backend_fs.files import PreconditionFailedError, RemoteFiles
from copick_backend_fs.live import NAME_THEM
from copick_backend_fs.locks import LockLostError, Owner
from copick_backend_fs.records import PREFIX, Record, RecordTakenError, decode, record_of, volume_of
from copick_backend_fs.replacing import Replacement
from copick_core.callers import warn_caller
from copick_core.errors import BeingReplacedError, ConfigError, InvalidNameError, NotFoundError, redacted
from copick_core.layers.path_layer import Listing, PathLayer
from copick_core.layers.revisions import ANY, AnyRevision, FileChangedError, FolderTakenError, Revision
from copick_core.layers.staged import ASIDE, aside_of, is_staged
from copick_core.tree import layout
from copick_core.tree.keys import Key, Kind, RunKey

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem
    from zarr.abc.store import Store

    from copick_backend_fs.buckets import BucketFiles
    from copick_backend_fs.live import Live
    from copick_backend_fs.walking import Tree
    from copick_core.layers.problems import OfWriters, Problem, Severity

#: Protocols whose files lie in an archive, which lies somewhere else.
_ARCHIVES = {"tar", "zip"}
#: Protocols that cannot be written to.
_WEB = {"http", "https"}
_READ_ONLY = {*_WEB, *_ARCHIVES}
#: Protocols whose servers write on condition, over fsspec too.
_CONDITIONAL = {"abfs", "abfss", "az", "s3", "s3a"}
#: Protocols that the tests try with a real server or archive.
_TRIED = {"abfs", "az", "file", "http", "https", "local", "memory", "s3", "s3a", "sftp", "smb", "ssh", "tar", "zip"}
#: Protocols and places that a warning was given of.
_announced: set[Hashable] = set()
_VOLUMES = {Kind.TOMOGRAM, Kind.FEATURES, Kind.SEGMENTATION, Kind.OBJECT}
#: Seconds to wait for another writer who replaces a volume.
_PATIENCE = 5.0
_CUT_OFF = "reading it with a project that may write it finishes the work."
_UNFINISHED = (
    "somebody began to replace it and died: until that is finished it cannot be read. The new volume is complete beside it"
)
_ASIDE = "somebody began to replace it and died: the old volume is whole beside it, and is put back when it is read or written"
_GIVEN_UP = "somebody began to write it and died before it was complete; nobody sees or uses what there is of it"
_PROCESS_BOUND = (
    "memory:// keeps files in the memory of this process. Copy it to a folder with copick_core.copy_project(root, target), "
    "and open that in the other process."
)


def open_remote(
    name: str, url: str, fs_args: Mapping[str, Any], *, read_only: bool, obstore: bool = True, limits: Limits | None = None
) -> FsspecLayer:
    """Open a URL as a layer; nothing is connected to before the first call.

    Args:
        name: Name of the layer.
        url: The location.
        fs_args: Arguments of its fsspec file system.
        read_only: Refuse writes.
        obstore: Go over obstore where it is installed and the arguments can be translated for it.
        limits: How long to wait for the server.

    Raises:
        MissingDependencyError: The protocol needs a package that is not installed.
        ConfigError: There is no such protocol, it cannot be written to, or its archive is missing.
    """
    store = _store_connection(url, fs_args, limits) if obstore else None
    connection = store or Connection(url, fs_args, limits)
    if connection.protocol in _ARCHIVES and "::" not in url:
        form = f"{connection.protocol}://::ARCHIVE, or {connection.protocol}://FOLDER::ARCHIVE for a folder in it"
        raise ConfigError(source=redacted(url), reason=f"write the location of an archive as {form}")
    if connection.protocol in _READ_ONLY and not read_only:
        raise ConfigError(source=redacted(url), reason=f"{connection.protocol}:// cannot be written to; use it as static_root")
    if not {*connection.protocols} <= _TRIED | _announced:
        _announced.update(connection.protocols)
        untried = ", ".join(f"{protocol}://" for protocol in connection.protocols if protocol not in _TRIED)
        warn_caller(
            f"copick-core was never tried with a server of {untried} (location {redacted(url)}). Check that what you write "
            "is there when you open the project again, and report what is not."
        )
    cls = BucketLayer if store or connection.protocol in _CONDITIONAL else FsspecLayer
    return cls(name, connection, read_only=read_only)


def _store_connection(url: str, fs_args: Mapping[str, Any], limits: Limits | None) -> Connection | None:
    """A connection over obstore, if it is installed and can do what the arguments say."""
    from importlib.util import find_spec

    if find_spec("obstore") is None:
        return None
    from copick_backend_fs.object_store import StoreConnection
    from copick_backend_fs.store_arguments import translate

    return StoreConnection(url, fs_args, limits) if translate(url, fs_args) else None


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
        #: Staged folders that replacements which were cut off will be finished from.
        self._needed: set[str] = set()
        #: The document of each volume that was last found to make it one.
        self._documents: dict[str, str] = {}
        #: Whether a web server lists folders; None while nobody knows.
        self._lists_folders: bool | None = None
        self.versions_take_requests = connection.protocol not in _READ_ONLY
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
        if self._connection.protocol not in _READ_ONLY:
            for path, listing in found.items():
                self._add_replaced(path, listing)
        return found

    def _asked(self, paths: Sequence[str]) -> dict[str, Listing]:
        """Listings of folders as the server gives them."""
        full = [self.full_path(path) for path in paths]
        listings = self._connection.ask(self._files.list_folders, full)
        if self._connection.protocol in _WEB:
            self._notice_missing_listings(listings)
        return {path: listings[f] for path, f in zip(paths, full, strict=True)}

    def _add_replaced(self, folder: str, listing: Listing) -> None:
        """List volumes of which nothing is in its place while another one is put there, or since a writer died at that."""
        for name in [name for name in listing if name.startswith(self._marks)]:
            volume = name[len(self._marks) :]
            if volume not in listing and (self._marks == ASIDE or self._is_replaced(f"{folder}/{volume}")):
                listing[volume] = True

    @property
    def _marks(self) -> str:
        """What the names begin with that tell of replacements."""
        return PREFIX if self._files.writes_whole else ASIDE

    def _is_replaced(self, path: str) -> bool:
        """Whether there is a volume, of which nothing may be in its place, where a record was seen."""
        record = self._record(path)
        if record is None:  # its writer is done
            return self.path_exists(path, folder=True)
        return record.kind == "replace"

    def exists(self, key: Key) -> bool:
        """Whether an entity is stored now; a volume is while another one is put in its place."""
        return super().exists(key) or self._is_listed(key)

    def _is_listed(self, key: Key) -> bool:
        """Whether a volume of which nothing was found is listed all the same: a replacement begins with taking it away."""
        if key.kind not in _VOLUMES or self._connection.protocol in _READ_ONLY or not layout.is_listable(key):
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
            target = _full(live, path)

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
        is_volume = key.kind in _VOLUMES and not self.read_only
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
                await self._files.delete(live, _full(live, path))
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
            await self._files.swap(live, _full(live, staged), _full(live, path), again=attempts > 1)

        self._connection.ask(swap)

    def _replace_by_copies(self, staged: str, path: str) -> None:
        replacement = self._replacement(path)
        try:
            replacement.run(self.full_path(staged))
        except RecordTakenError as error:
            raise FolderTakenError(error.record.since if error.record else None) from error
        except BaseException:
            if replacement.began:
                self._needed.add(staged)
            raise

    def _replacement(self, path: str) -> Replacement:
        return Replacement(self._connection, self._files, self.full_path(path))

    def discard_staged(self, staged: str) -> None:
        """Delete something staged, unless a replacement that was cut off is to be finished from it."""
        if staged not in self._needed:
            super().discard_staged(staged)

    def sweep_names(self, folder: str, names: Iterable[str]) -> None:
        """Finish what dead writers have left, then remove what they had staged."""
        for name in names:
            if name.startswith(PREFIX):
                self._replacement(volume_of(f"{folder}/{name}")).finish()
            elif name.startswith(ASIDE):
                self._sweep_aside(aside.place_of(f"{folder}/{name}"))
            elif name.startswith(locks.PREFIX):
                self._connection.ask(self._files.remove_dead_lock, self.full_path(f"{folder}/{name}"))
        super().sweep_names(folder, names)

    def _sweep_aside(self, path: str) -> None:
        """Put back what a dead writer has moved aside, or delete it if something else is in its place."""
        if self._put_back(path) is None:
            with suppress(FileNotFoundError):
                self._connection.ask(self._files.put_back, self.full_path(path))

    def problems_of_writers(self, folder: str, listing: Listing, key_of: Callable[[str], Key | None]) -> OfWriters:
        """Find replacements that were not finished, and new volumes that were given up."""
        from copick_core.layers.problems import OfWriters, Problem, Repair

        problems, needed = [], set()
        for name in sorted(name for name in listing if name.startswith(PREFIX)):
            volume = volume_of(f"{folder}/{name}")
            replacement = self._replacement(volume)
            record, _ = replacement.stored()
            if record is None:
                continue
            needed |= {name, record.staged}
            if not record.is_abandoned:
                continue
            what, description, message = (
                ("abandoned-new-volume", f"remove what there is of {volume}, unless it is complete", _GIVEN_UP)
                if record.kind == "new"
                else ("unfinished-replacement", f"finish replacing {volume}", _UNFINISHED)
            )
            repair = None if self.read_only else Repair(description, partial(_finish, replacement))
            key = key_of(volume.rpartition("/")[2])
            problems.append(Problem(what, key, f"layer {self.name!r}, {volume}", "error", message, repair))
        for name in sorted(name for name in listing if name.startswith(ASIDE)):
            needed.add(name)
            volume = aside.place_of(f"{folder}/{name}")
            cut_off = self._is_cut_off(volume)
            if not (cut_off or self.path_exists(f"{folder}/{name}", folder=True)):
                continue  # its writer is done
            description, message = (
                (f"put back {volume}", _ASIDE) if cut_off else (f"delete {folder}/{name}", "a writer that died has left it")
            )
            repair = None if self.read_only else Repair(description, partial(self._sweep_aside, volume))
            what, key = ("unfinished-replacement" if cut_off else "replaced-leftover"), key_of(volume.rpartition("/")[2])
            severity: Severity = "error" if cut_off else "warning"
            problems.append(Problem(what, key, f"layer {self.name!r}, {volume}", severity, message, repair))
        return OfWriters(problems, needed)

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
                if name == DOCUMENTS[-1] and self._files.writes_whole and self._record(path) is not None:
                    return None  # the first step of a replacement takes the other one away
                if name != DOCUMENTS[-1]:  # which may be there a moment before what makes the volume one
                    self._documents[path] = name
                return (name, *version)
        return None

    def _record(self, path: str) -> Record | None:
        """The record of a volume: one request."""
        try:
            return decode(self._connection.ask(self._files.read, self.full_path(record_of(path))))
        except FileNotFoundError:
            return None

    def _settled(self, key: Key) -> Hashable | None:
        """Wait until nobody replaces a volume that cannot be opened.

        Returns:
            The record of a replacement that has ended meanwhile; None if there was none.

        Raises:
            BeingReplacedError: Somebody still does, or it was cut off and this layer may not write.
        """
        if not self._files.writes_whole:
            try:
                return self._put_back(self.path_of(key))
            except FolderTakenError as error:
                raise BeingReplacedError(key=key, layer=self.name, way_out=aside.WAY_OUT) from error
        replacement = self._replacement(self.path_of(key))
        before = replacement.stored()[0]
        patience = time.monotonic() + _PATIENCE
        while before is not None:
            found = replacement.stored()[0] if self.read_only else replacement.finish()
            if found is None:
                break
            if time.monotonic() > patience or (self.read_only and found.is_abandoned):
                cut = f"It was cut off: {_CUT_OFF}" if found.is_abandoned else None
                raise BeingReplacedError(key=key, layer=self.name, since=found.since or None, way_out=cut)
            time.sleep(0.2)
        return before

    def _put_back(self, path: str) -> Hashable | None:
        """Wait for a writer that has moved a volume aside, and put it back if nothing follows.

        Returns:
            What is not None if there was one.

        Raises:
            FolderTakenError: Nothing follows, and this layer may not write.
        """
        cut_off = self._is_cut_off(path)
        if cut_off and self.read_only:
            raise FolderTakenError(None)
        if cut_off:
            self._connection.ask(self._files.put_back, self.full_path(path))
        return cut_off

    def _is_cut_off(self, path: str) -> bool | None:
        """Whether a volume that was moved aside stays there, and nothing takes its place; None if none is aside."""
        waited, patience = None, time.monotonic() + _PATIENCE
        while self.path_exists(aside_of(path), folder=True) and not self.path_exists(path, folder=True):
            if time.monotonic() > patience:
                return True
            waited = False
            time.sleep(0.2)
        return waited


class BucketLayer(FsspecLayer):
    """A layer in a bucket whose server writes on condition, as S3 does.

    A volume that is new is not staged: its values are put in place and its metadata last, as
    :mod:`copick_backend_fs.making` says.

    Reading a file is one request, and so is writing one; its revision is its ETag. ``if_revision`` is a condition of the
    write itself, so that of several writers that know one revision exactly one wins. Servers that do not know conditional
    writes are found out once, and asked for the ETag before the write instead.
    """

    if TYPE_CHECKING:

        @property
        def _files(self) -> BucketFiles:
            """The files of the bucket."""

    def __init__(self, name: str, connection: Connection, *, read_only: bool = False) -> None:
        super().__init__(name, connection, read_only=read_only)
        #: Volumes that this layer is making.
        self._made: set[str] = set()
        #: What is known of runs that are listed as wholes, in the thread that does.
        self._ahead = threading.local()
        #: Whether lists of folders were found to take fewer requests than those of all objects.
        self._has_many_objects = False

    @property
    def requests(self) -> int:  # type: ignore[override]
        """How many requests this layer has sent."""
        return self._connection.requests

    # ------------------------------------------------------------------ whole runs

    @contextmanager
    def listing_runs(self, runs: Sequence[RunKey]) -> Iterator[None]:
        """List everything below runs by pages of a thousand objects, if that takes fewer requests than their folders."""
        before, self._ahead.tree = self._tree, self._walked(runs)
        try:
            yield
        finally:
            self._ahead.tree = before

    @property
    def _tree(self) -> Tree | None:
        return getattr(self._ahead, "tree", None)

    def _walked(self, runs: Sequence[RunKey]) -> Tree | None:
        if not runs or self._has_many_objects or not self._files.lists_after:
            return None
        from copick_backend_fs.walking import walk

        names = [layout.path(run).rpartition("/")[2] for run in runs]
        try:
            tree = self._connection.ask(walk, self._files, self.full_path(layout.RUNS_FOLDER), names)
        except OSError:
            return None  # the lists of folders tell which of them fails
        self._has_many_objects = tree.takes_more
        return tree

    def _asked(self, paths: Sequence[str]) -> dict[str, Listing]:
        """Listings of folders, of runs that are listed as wholes from what is known."""
        tree = self._tree
        if tree is None:
            return super()._asked(paths)
        known = {path: listing for path in paths if (listing := tree.listing(path)) is not None}
        rest = [path for path in paths if path not in known]
        return {**known, **(super()._asked(rest) if rest else {})}

    # ------------------------------------------------------------------ volumes that are being made

    def list_folders(self, paths: Sequence[str]) -> Mapping[str, Listing]:
        """List many folders at once, without new volumes that are not complete."""
        listings = super().list_folders(paths)
        for path, listing in listings.items():
            for name in [name for name in listing if name.startswith(PREFIX)]:
                volume = volume_of(name)[1:]
                if volume in listing and self._is_made(f"{path}/{volume}"):
                    del listing[volume]
        return listings

    def exists(self, key: Key) -> bool:
        """Whether an entity is stored now; a new volume is not before it is complete."""
        if key.kind not in _VOLUMES or not layout.is_listable(key):
            return super().exists(key)
        path = self.path_of(key)
        if path in self._made:
            return False
        names = self._connection.ask(self._files.first_below, self.full_path(path))
        if not names:
            return self._is_listed(key) or self._find_old(key)
        # One that is being made has no documents yet, and those of zarr v2 come first in every listing.
        return any(name in DOCUMENTS for name in names) or not self._is_made(path)

    def _is_made(self, path: str) -> bool:
        """Whether the record of a volume says that it is new, and it is not complete."""
        if path in self._made:
            return True
        record = self._record(path)
        if record is None or record.kind != "new":
            return False
        return not (record.last and self.path_exists(f"{path}/{record.last}", folder=False))

    @contextmanager
    def replace_zarr(self, key: Key) -> Iterator[Store]:
        """Fill the place of a new volume, or a store beside one that is there and swap it in."""
        from copick_backend_fs.making import Making, NewVolume

        self.check_writable(key)
        path = self.path_of(key)
        self.sweep_staged(path.rpartition("/")[0])
        making = Making(self._connection, self._files, self.full_path(path))
        try:
            is_new = making.begin()
        except RecordTakenError as error:
            raise BeingReplacedError(key=key, layer=self.name, since=error.record.since if error.record else None) from error
        if not is_new:
            with super().replace_zarr(key) as staged:
                yield staged
            return
        self._made.add(path)
        store = NewVolume(self._connection, path, making=making, written=set(), documents=self._documents)
        try:
            yield store
            making.publish(store.held)
        except BaseException as error:
            making.discard()
            if isinstance(error, RecordTakenError):
                raise BeingReplacedError(key=key, layer=self.name) from error
            raise
        finally:
            self._made.discard(path)
            store.close()
            self._forget_around(key)

    # ------------------------------------------------------------------ revisions

    def revisions(self, keys: Sequence[Key]) -> Mapping[Key, Revision]:
        """Tokens of many files: the folders that they are in are listed."""
        tree = self._tree
        known = {key: path for key in keys if tree is not None and tree.knows((path := layout.path(key)).rpartition("/")[0])}
        listed = {key: tree.revision(path) for key, path in known.items()} if tree is not None else {}
        paths = {key: layout.path(key).rpartition("/") for key in keys if key not in known}
        folders = {folder: self.full_path(folder) for folder, _, _ in paths.values()}
        found = self._connection.ask(self._files.revisions_in_all, [*folders.values()]) if folders else {}
        told = listed | {key: found[folders[folder]].get(name) for key, (folder, _, name) in paths.items()}
        return {key: revision for key, revision in told.items() if revision is not None}

    def read_file(self, path: str) -> tuple[bytes, Revision | None]:
        """Read a file with its revision."""
        return self._connection.ask(self._files.read_revised, self.full_path(path))

    def modified_time(self, path: str, *, folder: bool) -> float | None:
        """When a file, or the newest file below a folder, was written; None where the server does not tell."""
        target = self.full_path(path)
        try:
            found = [*self.fs.find(target, detail=True).values()] if folder else [self.fs.info(target)]
        except FileNotFoundError:
            return None
        times = [_seconds(info.get(name)) for info in found for name in _TIMES if info.get(name) is not None]
        return max((one for one in times if one is not None), default=None)

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

        stored = self._connection.ask(write)
        self._announce_races()  # whether the server heeds conditions is known by now
        return stored


def _finish(replacement: Replacement) -> None:
    """Finish what a dead writer has left.

    Raises:
        RecordTakenError: Another writer is at it now.
    """
    if (living := replacement.finish()) is not None:
        raise RecordTakenError(living)


def _full(live: Live, path: str) -> str:
    """Path in the file system of a path below the root; refuses one that leads out of it."""
    if path.startswith("/") or "/../" in f"/{path}/":
        raise InvalidNameError(what="path", name=path, reason=f"it leads out of {redacted(live.root)}")
    return f"{live.root.rstrip('/')}/{path}" if live.root else path


def _checksum(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


#: What file systems of fsspec call the time at which a file was last written.
_TIMES = ("LastModified", "last_modified", "mtime", "modified", "updated", "created")


def _seconds(value: object) -> float | None:
    """A time of fsspec as seconds since 1970."""
    from datetime import datetime

    if isinstance(value, datetime):
        return value.timestamp()
    return float(value) if isinstance(value, int | float) else None
