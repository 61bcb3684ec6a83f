"""Buckets: object stores whose server writes on condition."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from copick_backend_fs.connection import Connection
from copick_backend_fs.documents import DOCUMENTS
from copick_backend_fs.files import PreconditionFailedError
from copick_backend_fs.records import PREFIX, RecordTakenError, volume_of
from copick_backend_fs.remote import FsspecLayer
from copick_core.errors import BeingReplacedError
from copick_core.layers.path_layer import Listing
from copick_core.layers.revisions import ANY, AnyRevision, FileChangedError, Revision
from copick_core.tree import layout
from copick_core.tree.keys import VOLUME_KINDS, Key, RunKey

if TYPE_CHECKING:
    from zarr.abc.store import Store

    from copick_backend_fs.buckets import BucketFiles
    from copick_backend_fs.live import Live
    from copick_backend_fs.walking import Tree


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
        if not runs or self._has_many_objects or not self._files.lists_after or self._is_directory_bucket:
            return None
        from copick_backend_fs.walking import walk

        names = [layout.path(run).rpartition("/")[2] for run in runs]
        try:
            tree = self._connection.ask(walk, self._files, self.full_path(layout.RUNS_FOLDER), names)
        except OSError:
            return None  # the lists of folders tell which of them fails
        self._has_many_objects = tree.takes_more
        return tree

    @property
    def _is_directory_bucket(self) -> bool:
        """Whether it is one of S3's directory buckets, which list in no order and after no name."""
        return self.full_path("").partition("/")[0].endswith("--x-s3")

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
        if key.kind not in VOLUME_KINDS or not layout.is_listable(key):
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
        record = self._writers.record(path)
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
            target = live.full_path(path)
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


#: What file systems of fsspec call the time at which a file was last written.
_TIMES = ("LastModified", "last_modified", "mtime", "modified", "updated", "created")


def _seconds(value: object) -> float | None:
    """A time of fsspec as seconds since 1970."""
    from datetime import datetime

    if isinstance(value, datetime):
        return value.timestamp()
    return float(value) if isinstance(value, int | float) else None
