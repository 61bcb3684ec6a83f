"""A layer for any storage that keeps bytes under "/"-joined paths: file systems, object stores, archives.

A subclass supplies a few primitives on paths relative to the project's root; names, markers, staging, conflicts and errors are
dealt with here, once.
"""

from __future__ import annotations

import builtins
import threading
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from copick_core.callers import warn_caller
from copick_core.errors import BeingReplacedError, ConflictError, NotFoundError
from copick_core.layers.layer import Layer, PartialListing
from copick_core.layers.revisions import ANY, AnyRevision, FileChangedError, FolderTakenError, Revision
from copick_core.layers.staged import is_abandoned, staged_name
from copick_core.tree import layout
from copick_core.tree.keys import CONTAINER_KINDS, KINDS, Key, Kind, ParentKey, RunKey, TomogramKey, VoxelSpacingKey

if TYPE_CHECKING:
    from zarr.abc.store import Store

    from copick_core.layers.problems import OfWriters, Problem
    from copick_core.tree.schema import CopickConfig

#: What a folder holds: name of each entry, and whether it is a folder.
Listing = dict[str, bool]

#: Kinds that are listed from folders that other kinds are listed from too.
_SHARING = frozenset({Kind.VOXEL_SPACING, Kind.TOMOGRAM, Kind.FEATURES})
_SPARSE = frozenset(kind for kind, facts in KINDS.items() if facts.sparse)


def _present(folders: Sequence[str], run: str, there: Listing) -> Sequence[str]:
    """Those of some folders of a run that there are: most runs lack them, and one question tells for all kinds."""
    return [folder for folder in folders if folder[len(run) + 1 :] in there]


class PathLayer(Layer):
    """A layer in the on-disk layout (:mod:`copick_core.tree.layout`) over primitives that know only paths and bytes.

    Subclasses implement :meth:`list_folder`, :meth:`path_exists` and :meth:`read_file`, and for writable layers
    :meth:`write_file`, :meth:`delete_path` and :meth:`replace_folder`. These are enough. Override :meth:`read_part`,
    :meth:`list_folders`, :meth:`file_revision` and :meth:`open_store` where the storage has a faster way, and
    :meth:`modified_time` where it knows.

    Rules for all primitives:

    * A path is relative to the project's root, has "/" between its parts, and never starts or ends with "/"; ``""`` is the
      root. Parts are taken as they are: no character is a pattern or an escape. Several threads may call at once.
    * A folder exists as long as something lies in it; whether an empty one exists is up to the storage.
    * Each call asks the storage. This class remembers what it may remember: the listings of a run's and a spacing's folder,
      which serve several kinds of entities, until :meth:`forget`. Writes of this layer keep them up to date.
    * Every call may take a request to a server: none is made that could be avoided, and independent values of a volume are
      read and written by several threads at once. :meth:`list_folders` is where overlapping many requests pays.

    How a volume is replaced (:meth:`replace_zarr`):

    1. A store is opened at ``<folder of the volume>/<staged name>``. Names of :func:`staged_name` start with a dot and are
       never listed as entities.
    2. Values are set in it. When copick-core fills a store (:func:`~copick_core.volumes.ome.write_volume`, copies of
       entities), it sets each value once, many at a time and in any order, and the documents of the root group (``.zgroup``,
       ``.zattrs``, ``zarr.json``: names without "/") last, one after another, when all other values are stored. (zarr sets
       a ``zarr.json`` of an empty group before that.) A store without these documents is not a volume. Users who fill a store
       on their own may choose another order.
    3. :meth:`replace_folder` is called once, after the last value is stored. If step 2 or 3 fails, :meth:`delete_path`
       removes what was staged.
    4. If a writer dies, its staged folder stays, hidden. It is removed after a week, when this layer next stages something
       in the same folder (:meth:`sweep_staged`).
    """

    def __init__(self, name: str, *, read_only: bool = False) -> None:
        self.name = name
        self.read_only = read_only
        self._shared: dict[str, Listing] = {}
        #: Folders in folders, as far as listings below them are remembered: projects have too many to look at each.
        self._below: dict[str, set[str]] = {}
        self._shared_lock = threading.Lock()
        self._forgotten = 0
        self._swept: set[str] = set()
        #: Folders that were warned of, by what was listed.
        self._told: set[tuple[Kind, str]] = set()
        self._config: CopickConfig | None = None
        #: Paths of entities that have an old name, as they were found.
        self._old_paths: Mapping[Key, str] = {}

    # ------------------------------------------------------------------ primitives

    @abstractmethod
    def list_folder(self, path: str) -> Listing:
        """List a folder: the name of each entry, and whether it is a folder (or a link to one).

        A missing folder, or a file at the path, gives an empty listing. Names that are staged may be in it.
        """

    @abstractmethod
    def path_exists(self, path: str, *, folder: bool) -> bool:
        """Whether there is a file, or a folder, at a path now. A file is not a folder, and a folder no file."""

    @abstractmethod
    def read_file(self, path: str) -> tuple[bytes, Revision | None]:
        """Read a file whole: the bytes of one write, never of two.

        Returns:
            The bytes, and their revision if the same request tells it (an ETag, a modification time with size); else None,
            and a checksum of the bytes is the revision.

        Raises:
            FileNotFoundError: There is none.
        """

    def write_file(self, path: str, data: bytes, if_revision: Revision | AnyRevision | None = ANY) -> Revision | None:
        """Write a file, making folders that are missing.

        All or nothing: whoever reads meanwhile, and whoever reads after this process was killed, gets the old bytes or the
        new ones. The file is stored when this returns.

        Args:
            path: The file.
            data: Its new content.
            if_revision: Write only if the stored file has this revision; None: only if there is none. Check and write should
                be one step of the storage, so that of several writers with one revision exactly one succeeds.

        Returns:
            The revision that :meth:`read_file` will give; None where that gives None.

        Raises:
            FileChangedError: Another revision is stored. Nothing was written.
        """
        raise NotImplementedError(f"{type(self).__name__} has no write_file(); open it with read_only=True")

    def delete_path(self, path: str) -> None:
        """Delete a file, or a folder with all that lies below it. Of a link, only the link is deleted.

        May be slow for a folder, and need not be one step. What is deleted first decides what a killed deletion leaves:
        rename the folder to a :func:`staged_name` first, or delete its metadata (names without "/" below it) first.

        Raises:
            FileNotFoundError: There is none.
        """
        raise NotImplementedError(f"{type(self).__name__} has no delete_path(); open it with read_only=True")

    def replace_folder(self, staged: str, path: str) -> None:
        """Move a staged folder to a path. What was there is gone afterwards, links included.

        Should be one step: whoever reads meanwhile, or after this process was killed, finds the old folder or the new one.
        Storage that cannot rename copies all values but the root's documents first, then these, then deletes old values
        that the new volume does not have, then the staged ones; say so in the docstring of the layer.

        Args:
            staged: The staged folder; missing if nothing was written into it, which makes an empty volume.
            path: Its place, in the same parent folder; it may hold a folder or nothing.
        """
        raise NotImplementedError(f"{type(self).__name__} has no replace_folder(); open it with read_only=True")

    # ------------------------------------------------------------------ primitives with a default

    def read_part(self, path: str, start: int | None, stop: int | None) -> bytes:
        """Read a part of a file, as the slice ``data[start:stop]`` of its bytes; by default, read it whole.

        Raises:
            FileNotFoundError: There is none.
        """
        return self.read_file(path)[0][start:stop]

    def list_folders(self, paths: Sequence[str]) -> Mapping[str, Listing]:
        """List many folders, each path with its listing; remote layers overlap their requests here.

        A single folder is listed by :meth:`list_folder`.
        """
        return {path: self.list_folder(path) for path in paths}

    def file_revision(self, path: str) -> Revision | None:
        """Revision of a file, or None where there is none; by default the file is read."""
        import hashlib

        try:
            data, revision = self.read_file(path)
        except FileNotFoundError:
            return None
        return revision if revision is not None else hashlib.sha256(data).hexdigest()

    def modified_time(self, path: str, *, folder: bool) -> float | None:
        """When a file, or the newest file below a folder, was written, in seconds since 1970; by default None: not known."""
        return None

    def open_store(self, path: str) -> Store:
        """Open a zarr store rooted at a folder, read-only if the layer is; reads and creates nothing.

        By default a :class:`~copick_core.layers.path_store.PathStore`, which reads and writes each value by the primitives
        of this class.
        """
        from copick_core.layers.path_store import PathStore

        return PathStore(self, path, read_only=self.read_only)

    # ------------------------------------------------------------------ listing

    def list(self, kind: Kind, parent: ParentKey) -> Sequence[Key]:
        """List the entities of a kind below a parent."""
        folders = layout.folders(kind, parent)
        if folders and kind in _SPARSE:
            run = folders[0].rpartition("/")[0]
            folders = _present(folders, run, self._listing(run))
        if len(folders) != 1:
            return self._all_keys(kind, parent, folders, self.list_folders(folders))
        folder = folders[0]
        if kind in _SHARING:
            return self._keys(kind, parent, folder, self._shared.get(folder) or self._listing(folder))
        return self._keys(kind, parent, folder, self.list_folder(folder))

    def list_many(self, kind: Kind, parents: Sequence[ParentKey]) -> Mapping[ParentKey, Sequence[Key]]:
        """List the entities of a kind below many parents, asking each folder once.

        Returns:
            What each parent holds; a :class:`~copick_core.layers.layer.PartialListing` where some cannot be listed.
        """
        from copick_core.layers.partial import list_what_can_be

        wanted = {parent: layout.folders(kind, parent) for parent in parents}
        failures: dict[str, OSError] = {}
        if kind in _SPARSE:
            runs = {parent: folders[0].rpartition("/")[0] for parent, folders in wanted.items() if folders}
            there, failures = list_what_can_be([*runs.values()], self._listings)
            for parent, run in runs.items():
                wanted[parent] = [run] if run in failures else _present(wanted[parent], run, there.get(run, {}))
        folders = [*dict.fromkeys(folder for folders in wanted.values() for folder in folders if folder not in failures)]
        listed, failed = list_what_can_be(folders, self._listings if kind in _SHARING else self.list_folders)
        failures = {**failures, **failed}
        if not failures:
            return {parent: self._all_keys(kind, parent, folders, listed) for parent, folders in wanted.items()}
        broken = {parent: errors[0] for parent, at in wanted.items() if (errors := [failures[f] for f in at if f in failures])}
        partial = PartialListing(
            {parent: self._all_keys(kind, parent, at, listed) for parent, at in wanted.items() if parent not in broken}
        )
        partial.failures = broken
        return partial

    def _listing(self, folder: str) -> Listing:
        """List a folder that serves several kinds, once until :meth:`forget`."""
        listing = self._shared.get(folder)
        if listing is None:
            forgotten = self._forgotten
            listing = self.list_folder(folder)
            self._remember({folder: listing}, forgotten)
        return listing

    def _listings(self, folders: Sequence[str]) -> Mapping[str, Listing]:
        """List folders that serve several kinds, each one once until :meth:`forget`."""
        known = {folder: listing for folder in folders if (listing := self._shared.get(folder)) is not None}
        if len(known) == len(folders):
            return known
        forgotten = self._forgotten
        listed = self.list_folders([folder for folder in folders if folder not in known])
        self._remember(listed, forgotten)
        return {**known, **listed}

    def _remember(self, listed: Mapping[str, Listing], forgotten: int) -> None:
        with self._shared_lock:
            # What was listed before somebody forgot or wrote may be out of date already.
            if self._forgotten == forgotten:
                self._shared.update(listed)
                for path in listed:
                    while above := path.rpartition("/")[0]:
                        self._below.setdefault(above, set()).add(path)
                        path = above

    def _all_keys(self, kind: Kind, parent: ParentKey, folders: Sequence[str], listed: Mapping[str, Listing]) -> Sequence[Key]:
        """Read the listings of some folders."""
        return [key for folder in folders for key in self._keys(kind, parent, folder, listed.get(folder, {}))]

    def _keys(self, kind: Kind, parent: ParentKey, folder: str, listing: Listing) -> builtins.list[Key]:
        """Read the listing of a folder."""
        keys = layout.parse_all(kind, parent, listing, folder)
        if len(keys) == len(listing):
            if self._old_paths:
                self._note_old(folder, {})
            return keys
        if kind in layout.WITH_PARTS:
            keys += self._old_keys(kind, parent, folder, listing)
        import logging

        logger = logging.getLogger(__name__)
        if logger.isEnabledFor(logging.DEBUG):
            for name, is_folder in listing.items():
                kept = (
                    is_folder is not layout.is_folder(kind)
                    or layout.is_hidden(name)
                    or layout.parse(kind, parent, name, folder)
                    or layout.is_of_another_kind(kind, name)
                )
                if not kept:
                    logger.debug("layer %r: %s/%s is not a %s of copick; skipped", self.name, folder, name, kind.value)
        return keys

    # ------------------------------------------------------------------ old names

    def know_objects(self, config: CopickConfig) -> None:
        """Take note of the project's objects."""
        self._config = config

    def path_of(self, key: Key) -> str:
        """Path of an entity: that of :func:`copick_core.tree.layout.path`, or an old one under which it was found.

        Raises:
            InvalidNameError: The key cannot be stored.
        """
        return (self._old_paths and self._old_paths.get(key)) or layout.path(key)

    def parse_old(self, kind: Kind, parent: ParentKey, folder: str, listing: Listing) -> dict[Key, str]:
        """Read the old names in a folder that can only mean one thing, and whose entity has no file of its usual name.

        Returns:
            Their names, by the keys.
        """
        found: dict[Key, str] = {}
        objects = {obj.name for obj in self._config.pickable_objects} if self._config is not None else ()
        for name, is_folder in listing.items():
            if is_folder is layout.is_folder(kind) and objects:
                key = layout.parse_old(kind, parent, name, folder, objects)
                if key is not None and layout.file_name(key) not in listing:
                    found.setdefault(key, name)
        return found

    def _old_keys(self, kind: Kind, parent: ParentKey, folder: str, listing: Listing) -> builtins.list[Key]:
        """Read the old names in a folder; warn, once for each folder, of those that cannot be read without doubt."""
        names = [
            name
            for name, is_folder in listing.items()
            if is_folder is layout.is_folder(kind) and layout.is_doubtful(kind, name)
        ]
        found = self.parse_old(kind, parent, folder, listing) if names else {}
        if found or self._old_paths:
            self._note_old(folder, found)
        doubtful = {*names} - {*found.values()}
        if doubtful and (kind, folder) not in self._told:
            self._told.add((kind, folder))
            what = KINDS[kind].plural.replace("_", " ")
            warn_caller(
                f"Layer {self.name!r}, {folder}: {len(doubtful)} {what} have underscores in parts of their names, such as "
                f"{min(doubtful)!r}, and are not listed: nobody knows where one part ends. Rename them; copick-core doctor "
                "lists them."
            )
        return [*found]

    def _note_old(self, folder: str, names: Mapping[Key, str]) -> None:
        """Remember the old names in a folder that was listed."""
        elsewhere = {key: path for key, path in self._old_paths.items() if path.rpartition("/")[0] != folder}
        self._old_paths = elsewhere | {key: f"{folder}/{name}" for key, name in names.items()}

    def _forget_old(self, key: Key) -> None:
        self._old_paths = {other: path for other, path in self._old_paths.items() if other != key}

    def _find_old(self, key: Key) -> bool:
        """Whether an entity that has no file of its usual name has an old one."""
        path = layout.old_path(key) if self._config is not None else None
        if path is None:
            return False
        folder, _, name = path.rpartition("/")
        is_folder = layout.is_folder(key.kind)
        if key not in self.parse_old(key.kind, key.parent, folder, {name: is_folder}):
            return False
        if not self.path_exists(path, folder=is_folder):
            return False
        self._old_paths = {**self._old_paths, key: path}
        return True

    def problems(self) -> Sequence[Problem]:
        """Find what dead writers have left, names that are never listed, features without tomogram, and folders that fail."""
        from copick_core.layers.path_problems import problems_of

        return [*problems_of(self)]

    def problems_of_writers(self, folder: str, listing: Listing, key_of: Callable[[str], Key | None]) -> OfWriters:
        """Examine what writers have left in a folder, where they leave more than what is staged.

        Args:
            folder: The folder.
            listing: What it holds.
            key_of: The key of what has a name in it.
        """
        from copick_core.layers.problems import OfWriters

        return OfWriters()

    def problems_in_volume(self, path: str, key: Key | None) -> Iterable[Problem]:
        """Examine the folder of a volume, where writers leave something in it."""
        return ()

    def forget(self, parent: ParentKey) -> None:
        """Drop the remembered listings of a parent and of everything below it."""
        if isinstance(parent, TomogramKey):
            parent = parent.parent
        if isinstance(parent, RunKey | VoxelSpacingKey):
            self.drop_listings(layout.path(parent))
        else:
            self.drop_listings("")

    def reconnect(self) -> None:
        """Drop the remembered listings; a subclass with a connection drops that as well."""
        self.drop_listings("")

    def drop_listings(self, *paths: str, below: bool = True) -> None:
        """Drop the remembered listings of some folders and of what is below them; "" is the project."""
        with self._shared_lock:
            self._forgotten += 1
            if "" in paths:
                self._shared.clear()
                self._below.clear()
                return
            dropped = [*paths]
            while dropped:
                path = dropped.pop()
                self._shared.pop(path, None)
                if below:
                    dropped += self._below.pop(path, ())

    def _forget_around(self, key: Key) -> None:
        """Drop the remembered listings that a write or delete of an entity has made out of date."""
        path = layout.path(key)
        parts = path.split("/")
        self.drop_listings(*("/".join(parts[:n]) for n in range(1, len(parts))), below=False)
        if key.kind in CONTAINER_KINDS:
            self.drop_listings(path)

    # ------------------------------------------------------------------ reading

    def exists(self, key: Key) -> bool:
        """Whether an entity is stored now."""
        # A foreign file may well lie where an odd key leads: "wbp_sobel_features" is not a tomogram.
        if not layout.is_listable(key):
            return False
        if not self.path_exists(layout.path(key), folder=layout.is_folder(key.kind)):
            return self._find_old(key)
        if key in self._old_paths:
            self._forget_old(key)
        return True

    def read(self, key: Key) -> bytes:
        """Read a file."""
        return self.read_revised(key)[0]

    def read_revised(self, key: Key) -> tuple[bytes, Revision | None]:
        """Read a file with its revision."""
        import hashlib

        with self.finding(key):
            try:
                data, revision = self.read_file(self.path_of(key))
            except FileNotFoundError:
                if not self._find_old(key):
                    raise
                data, revision = self.read_file(self.path_of(key))
        return data, revision if revision is not None else hashlib.sha256(data).hexdigest()

    @contextmanager
    def finding(self, key: Key) -> Iterator[None]:
        """Raise NotFoundError for errors that say that the file of an entity is not there."""
        try:
            yield
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise NotFoundError(key=key, layer=self.name, location=self.location(key)) from error

    keeps_records = True

    def read_record(self, run: RunKey, name: str) -> tuple[bytes, Revision | None]:
        """Read a record of a run: a hidden file in its folder."""
        import hashlib

        try:
            data, revision = self.read_file(layout.record(run, name))
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise self.no_record(run, name) from error
        return data, revision if revision is not None else hashlib.sha256(data).hexdigest()

    def revision(self, key: Key) -> Revision | None:
        """Token of what is stored now."""
        return self.file_revision(self.path_of(key))

    def modified(self, key: Key) -> float | None:
        """When a file or volume was last written."""
        return self.modified_time(self.path_of(key), folder=layout.is_folder(key.kind))

    def zarr(self, key: Key) -> Store:
        """Open a volume."""
        return self.open_store(self.path_of(key))

    # ------------------------------------------------------------------ writing

    def write(self, key: Key, data: bytes, *, if_revision: Revision | AnyRevision | None = ANY) -> Revision | None:
        """Store a file, all or nothing."""
        self.check_writable(key)
        try:
            return self.write_file(self.path_of(key), data, if_revision)
        except FileChangedError as error:
            raise ConflictError(key=key, layer=self.name, expected=if_revision, found=error.found) from error
        finally:
            self._forget_around(key)

    def write_record(
        self, run: RunKey, name: str, data: bytes, *, if_revision: Revision | AnyRevision | None = ANY
    ) -> Revision | None:
        """Store a record of a run, all or nothing."""
        self.check_writable(run)
        try:
            return self.write_file(layout.record(run, name), data, if_revision)
        except FileChangedError as error:
            raise ConflictError(
                key=f"The {name} of {run}", layer=self.name, expected=if_revision, found=error.found
            ) from error
        finally:
            self._forget_around(run)

    def ensure(self, key: Key) -> None:
        """Make a container with its marker."""
        self.check_writable(key)
        marker = layout.marker(key)
        if marker is None:
            raise ValueError(f"{key} is not a container; only runs and voxel spacings are made without content")
        try:
            if not self.path_exists(marker, folder=False):
                self.write_file(marker, layout.MARKER_CONTENT)
        finally:
            self._forget_around(key)

    @contextmanager
    def replace_zarr(self, key: Key) -> Iterator[Store]:
        """Fill a fresh store beside the entity's volume and swap it in."""
        self.check_writable(key)
        path = self.path_of(key)
        folder = path.rpartition("/")[0]
        self.sweep_staged(folder)
        staged = f"{folder}/{staged_name()}"
        store = self.open_store(staged)
        try:
            yield store
            self.replace_folder(staged, path)
        except BaseException as error:
            self.discard_staged(staged)
            if isinstance(error, FolderTakenError):
                raise BeingReplacedError(key=key, layer=self.name, since=error.since) from error
            raise
        finally:
            store.close()
            self._forget_around(key)

    def discard_staged(self, staged: str) -> None:
        """Delete something staged; where that fails, it stays hidden and :meth:`sweep_staged` gets it later."""
        try:
            self.delete_path(staged)
        except FileNotFoundError:
            pass
        except Exception as error:
            import logging

            logging.getLogger(__name__).warning("layer %r: %s could not be removed: %s", self.name, staged, error)

    def sweep_staged(self, folder: str) -> None:
        """Remove what writers that died have left in a folder, once for each folder."""
        if folder in self._swept:
            return
        self._swept.add(folder)
        self.sweep_names(folder, self.list_folder(folder))

    def sweep_names(self, folder: str, names: Iterable[str]) -> None:
        """Remove what writers that died have left, by the names that a folder holds."""
        for name in names:
            if is_abandoned(name):
                self.discard_staged(f"{folder}/{name}")

    def delete(self, key: Key) -> None:
        """Delete an entity and everything below it."""
        self.check_writable(key)
        path = self.path_of(key)
        # They lie beside their tomogram, not in it, and go after it: none that is cut off leaves a tomogram without them.
        beside: Sequence[Key] = ()
        try:
            if isinstance(key, TomogramKey):
                self.forget(key)
                beside = [*self.list(Kind.FEATURES, key)]
            self.delete_path(path)
            for features in beside:
                self.discard_staged(layout.path(features))
        except FileNotFoundError as error:
            raise NotFoundError(key=key, layer=self.name, location=self.location(key)) from error
        finally:
            self._forget_old(key)
            self._forget_around(key)
