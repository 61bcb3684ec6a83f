"""A layer for any storage that keeps bytes under "/"-joined paths: file systems, object stores, archives.

A subclass supplies a few primitives on paths relative to the project's root; names, markers, staging, conflicts and errors are
dealt with here, once.
"""

from __future__ import annotations

import builtins
import logging
import re
import threading
import time
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from copick_core.errors import NotFoundError
from copick_core.layers.layer import Layer
from copick_core.layers.revisions import ANY, Revision, _Any
from copick_core.tree import layout
from copick_core.tree.keys import CONTAINER_KINDS, Key, Kind, ParentKey, RunKey, TomogramKey, VoxelSpacingKey

if TYPE_CHECKING:
    from zarr.abc.store import Store

logger = logging.getLogger(__name__)

#: What a folder holds: name of each entry, and whether it is a folder.
Listing = dict[str, bool]

#: Kinds that are listed from folders that other kinds are listed from too.
_SHARING = frozenset({Kind.VOXEL_SPACING, Kind.TOMOGRAM, Kind.FEATURES})

#: Seconds after which something staged belongs to a writer that died; a week is longer than any volume takes to write.
STAGED_SECONDS = 7 * 24 * 3600
_STAGED = re.compile(r"\.staged-([0-9a-f]+)-[0-9a-f]{32}")


def staged_name() -> str:
    """Name for a file or folder that is being staged.

    Its leading dot keeps it out of every listing, ours and that of copick 1.x; it tells when it was made.
    """
    import uuid

    return f".staged-{int(time.time()):x}-{uuid.uuid4().hex}"


def is_staged(name: str) -> bool:
    """Whether a name is that of something that is being staged."""
    return _STAGED.fullmatch(name) is not None


def is_abandoned(name: str) -> bool:
    """Whether a name is that of something staged by a writer that must have died."""
    match = _STAGED.fullmatch(name)
    return match is not None and time.time() - int(match[1], 16) > STAGED_SECONDS


def _present(folders: Sequence[str], run: str, there: Listing) -> Sequence[str]:
    """Those of several folders of a run that there are: most runs have one of three, and one question tells which."""
    return [folder for folder in folders if folder[len(run) + 1 :] in there]


class PathLayer(Layer):
    """A layer in the on-disk layout (:mod:`copick_core.tree.layout`) over byte-level primitives.

    To implement: :meth:`_list_folder`, :meth:`_path_exists`, :meth:`_read_bytes`, :meth:`_store`, and for writable layers
    :meth:`_write_bytes`, :meth:`_delete_path`, :meth:`_swap`. Paths are relative to the project's root and never start or
    end with "/".

    The listing of a run's folder and of a spacing's folder serves several kinds of entities; it is remembered until
    :meth:`forget`, so that each folder is asked once. Writes of this layer keep what is remembered up to date.

    Whatever a writer that died has left staged is removed after a week, when this layer first stages something in the
    same folder.
    """

    def __init__(self, name: str, *, read_only: bool = False) -> None:
        self.name = name
        self.read_only = read_only
        self._shared: dict[str, Listing] = {}
        self._shared_lock = threading.Lock()
        self._forgotten = 0
        self._swept: set[str] = set()

    # ------------------------------------------------------------------ primitives

    @abstractmethod
    def _list_folder(self, path: str) -> Listing:
        """Names in a folder, and whether each is a folder; nothing for a missing folder."""

    @abstractmethod
    def _path_exists(self, path: str, *, folder: bool) -> bool:
        """Whether a file, or a folder, is there now."""

    @abstractmethod
    def _read_bytes(self, path: str) -> tuple[bytes, Revision | None]:
        """Read a file, with its revision if that comes for free (else None).

        Raises:
            FileNotFoundError: There is none.
        """

    @abstractmethod
    def _store(self, path: str) -> Store:
        """A zarr store rooted at a path, read-only if the layer is; nothing is read or created by opening it."""

    def _write_bytes(self, path: str, data: bytes, key: Key, if_revision: Revision | _Any | None) -> Revision | None:
        """Write a file all or nothing, making missing folders; ConflictError as :meth:`Layer.write` says."""
        raise self._refusal(key)

    def _delete_path(self, path: str) -> None:
        """Delete a file, or a folder with all it holds; FileNotFoundError where there is none. A link loses only itself."""
        raise NotImplementedError(f"{type(self).__name__} does not delete")

    def _swap(self, staged: str, path: str) -> None:
        """Put a staged folder in the place of another one (or of nothing); the old one is gone afterwards.

        The staged folder may be missing if nothing was written into it.
        """
        raise NotImplementedError(f"{type(self).__name__} does not replace volumes")

    def _list_folders(self, paths: Sequence[str]) -> Mapping[str, Listing]:
        """List many folders; remote layers overlap their requests. A single folder is asked by :meth:`_list_folder`."""
        return {path: self._list_folder(path) for path in paths}

    def _path_revision(self, path: str) -> Revision | None:
        """Revision of a file without reading it, or None where there is none; by default its content tells."""
        import hashlib

        try:
            data, revision = self._read_bytes(path)
        except FileNotFoundError:
            return None
        return revision if revision is not None else hashlib.sha256(data).hexdigest()

    # ------------------------------------------------------------------ listing

    def list(self, kind: Kind, parent: ParentKey) -> Sequence[Key]:
        """List the entities of a kind below a parent."""
        folders = layout.folders(kind, parent)
        if len(folders) > 1:
            run = folders[0].rpartition("/")[0]
            folders = _present(folders, run, self._listing(run))
        if len(folders) != 1:
            return self._all_keys(kind, parent, folders, self._list_folders(folders))
        folder = folders[0]
        if kind in _SHARING:
            return self._keys(kind, parent, folder, self._shared.get(folder) or self._listing(folder))
        return self._keys(kind, parent, folder, self._list_folder(folder))

    def list_many(self, kind: Kind, parents: Sequence[ParentKey]) -> Mapping[ParentKey, Sequence[Key]]:
        """List the entities of a kind below many parents, asking each folder once."""
        wanted = {parent: layout.folders(kind, parent) for parent in parents}
        if kind is Kind.SEGMENTATION:
            runs = {parent: folders[0].rpartition("/")[0] for parent, folders in wanted.items() if folders}
            there = self._listings([*runs.values()])
            wanted.update({parent: _present(wanted[parent], run, there.get(run, {})) for parent, run in runs.items()})
        folders = [*dict.fromkeys(folder for folders in wanted.values() for folder in folders)]
        listed = self._listings(folders) if kind in _SHARING else self._list_folders(folders)
        return {parent: self._all_keys(kind, parent, folders, listed) for parent, folders in wanted.items()}

    def _listing(self, folder: str) -> Listing:
        """List a folder that serves several kinds, once until :meth:`forget`."""
        listing = self._shared.get(folder)
        if listing is None:
            forgotten = self._forgotten
            listing = self._list_folder(folder)
            self._remember({folder: listing}, forgotten)
        return listing

    def _listings(self, folders: Sequence[str]) -> Mapping[str, Listing]:
        """List folders that serve several kinds, each one once until :meth:`forget`."""
        known = {folder: listing for folder in folders if (listing := self._shared.get(folder)) is not None}
        if len(known) == len(folders):
            return known
        forgotten = self._forgotten
        listed = self._list_folders([folder for folder in folders if folder not in known])
        self._remember(listed, forgotten)
        return {**known, **listed}

    def _remember(self, listed: Mapping[str, Listing], forgotten: int) -> None:
        with self._shared_lock:
            # What was listed before somebody forgot or wrote may be out of date already.
            if self._forgotten == forgotten:
                self._shared.update(listed)

    def _all_keys(self, kind: Kind, parent: ParentKey, folders: Sequence[str], listed: Mapping[str, Listing]) -> Sequence[Key]:
        """Read the listings of some folders."""
        return [key for folder in folders for key in self._keys(kind, parent, folder, listed.get(folder, {}))]

    def _keys(self, kind: Kind, parent: ParentKey, folder: str, listing: Listing) -> builtins.list[Key]:
        """Read the listing of a folder."""
        keys = layout.parse_all(kind, parent, listing, folder)
        if len(keys) != len(listing) and logger.isEnabledFor(logging.DEBUG):
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

    def forget(self, parent: ParentKey) -> None:
        """Drop the remembered listings of a parent and of everything below it."""
        if isinstance(parent, TomogramKey):
            parent = parent.parent
        if isinstance(parent, RunKey | VoxelSpacingKey):
            self._drop(layout.path(parent))
        else:
            self._drop("")

    def reconnect(self) -> None:
        """Drop the remembered listings; a subclass with a connection drops that as well."""
        self._drop("")

    def _drop(self, *paths: str, below: bool = True) -> None:
        """Drop the remembered listings of some folders and of what is below them; "" is the project."""
        with self._shared_lock:
            self._forgotten += 1
            if "" in paths:
                self._shared.clear()
                return
            for path in paths:
                self._shared.pop(path, None)
                if below:
                    for known in [p for p in self._shared if p.startswith(f"{path}/")]:
                        del self._shared[known]

    def _forget_around(self, key: Key) -> None:
        """Drop the remembered listings that a write or delete of an entity has made out of date."""
        path = layout.path(key)
        parts = path.split("/")
        self._drop(*("/".join(parts[:n]) for n in range(1, len(parts))), below=False)
        if key.kind in CONTAINER_KINDS:
            self._drop(path)

    # ------------------------------------------------------------------ reading

    def exists(self, key: Key) -> bool:
        """Whether an entity is stored now."""
        # A foreign file may well lie where an odd key leads: "wbp_sobel_features" is no tomogram.
        return layout.is_listable(key) and self._path_exists(layout.path(key), folder=layout.is_folder(key.kind))

    def read(self, key: Key) -> bytes:
        """Read picks or a mesh."""
        return self.read_revised(key)[0]

    def read_revised(self, key: Key) -> tuple[bytes, Revision | None]:
        """Read picks or a mesh with their revision."""
        import hashlib

        with self._finding(key):
            data, revision = self._read_bytes(layout.path(key))
        return data, revision if revision is not None else hashlib.sha256(data).hexdigest()

    @contextmanager
    def _finding(self, key: Key) -> Iterator[None]:
        """Raise NotFoundError for errors that say that the file of an entity is not there."""
        try:
            yield
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise NotFoundError(key=key, layer=self.name, location=self.location(key)) from error

    def revision(self, key: Key) -> Revision | None:
        """Token of what is stored now."""
        return self._path_revision(layout.path(key))

    def zarr(self, key: Key) -> Store:
        """Open a volume."""
        return self._store(layout.path(key))

    # ------------------------------------------------------------------ writing

    def write(self, key: Key, data: bytes, *, if_revision: Revision | _Any | None = ANY) -> Revision | None:
        """Store picks or a mesh, all or nothing."""
        self._check_writable(key)
        try:
            return self._write_bytes(layout.path(key), data, key, if_revision)
        finally:
            self._forget_around(key)

    def ensure(self, key: Key) -> None:
        """Make a container with its marker."""
        self._check_writable(key)
        marker = layout.marker(key)
        if marker is None:
            raise ValueError(f"{key} is not a container; only runs and voxel spacings are made without content")
        try:
            if not self._path_exists(marker, folder=False):
                self._write_bytes(marker, layout.MARKER_CONTENT, key, ANY)
        finally:
            self._forget_around(key)

    @contextmanager
    def replace_zarr(self, key: Key) -> Iterator[Store]:
        """Fill a fresh store beside the entity's volume and swap it in."""
        self._check_writable(key)
        path = layout.path(key)
        folder = path.rpartition("/")[0]
        self._sweep(folder)
        staged = f"{folder}/{staged_name()}"
        store = self._store(staged)
        try:
            yield store
            self._swap(staged, path)
        except BaseException:
            self._discard(staged)
            raise
        finally:
            store.close()
            self._forget_around(key)

    def _discard(self, staged: str) -> None:
        """Delete something staged; where that fails, it stays hidden and :meth:`_sweep` gets it later."""
        try:
            self._delete_path(staged)
        except FileNotFoundError:
            pass
        except Exception as error:
            logger.warning("layer %r: %s could not be removed: %s", self.name, staged, error)

    def _sweep(self, folder: str) -> None:
        """Remove what writers that died have left in a folder, once for each folder."""
        if folder in self._swept:
            return
        self._swept.add(folder)
        for name in self._list_folder(folder):
            if is_abandoned(name):
                self._discard(f"{folder}/{name}")

    def delete(self, key: Key) -> None:
        """Delete an entity and everything below it."""
        self._check_writable(key)
        path = layout.path(key)
        try:
            if isinstance(key, TomogramKey) and self.exists(key):
                # They lie beside their tomogram, not in it. They go first, so that none is ever left without it.
                self.forget(key)
                for features in self.list(Kind.FEATURES, key):
                    with suppress(FileNotFoundError):  # gone already; the tomogram is not
                        self._delete_path(layout.path(features))
            self._delete_path(path)
        except FileNotFoundError as error:
            raise NotFoundError(key=key, layer=self.name, location=self.location(key)) from error
        finally:
            self._forget_around(key)
