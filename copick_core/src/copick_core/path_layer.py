"""A layer for any storage that keeps bytes under "/"-joined paths: file systems, object stores, archives.

A subclass supplies a few primitives on paths relative to the project's root; names, markers, staging, conflicts and errors are
dealt with here, once.
"""

from __future__ import annotations

import logging
import uuid
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from copick_core import layout
from copick_core.errors import NotFoundError
from copick_core.keys import Key, Kind, ParentKey, RunKey, VoxelSpacingKey
from copick_core.layers import ANY, Layer, Revision, _Any

if TYPE_CHECKING:
    from zarr.abc.store import Store

logger = logging.getLogger(__name__)

#: What a folder holds: name of each entry, and whether it is a folder.
Listing = dict[str, bool]


class PathLayer(Layer):
    """A layer in the on-disk layout (:mod:`copick_core.layout`) over byte-level primitives.

    To implement: :meth:`_list_folder`, :meth:`_path_exists`, :meth:`_read_bytes`, :meth:`_store`, and for writable layers
    :meth:`_write_bytes`, :meth:`_delete_path`, :meth:`_swap`. Paths are relative to the project's root and never start or
    end with "/".

    The listing of a run's folder and of a spacing's folder serves several kinds of entities; it is remembered until
    :meth:`forget`, so that each folder is asked once. Writes of this layer keep what is remembered up to date.
    """

    def __init__(self, name: str, *, read_only: bool = False) -> None:
        self.name = name
        self.read_only = read_only
        self._shared: dict[str, Listing] = {}

    # ------------------------------------------------------------------ primitives

    @abstractmethod
    def _list_folder(self, path: str) -> Listing:
        """Names in a folder, and whether each is a folder; nothing for a missing folder."""

    @abstractmethod
    def _path_exists(self, path: str) -> bool:
        """Whether a file or a folder is there now."""

    @abstractmethod
    def _read_bytes(self, path: str) -> tuple[bytes, Revision | None]:
        """Read a file, with its revision if that comes for free (else None).

        Raises:
            FileNotFoundError: There is none.
        """

    @abstractmethod
    def _store(self, path: str) -> Store:
        """A zarr store rooted at a path, read-only if the layer is; nothing is read or created by opening it."""

    def _write_bytes(self, path: str, data: bytes, key: Key, if_revision: Revision | None | _Any) -> Revision | None:
        """Write a file all or nothing, making missing folders; ConflictError as :meth:`Layer.write` says."""
        raise self._refusal(key)

    def _delete_path(self, path: str) -> None:
        """Delete a file, or a folder with all it holds; FileNotFoundError where there is none."""
        raise NotImplementedError(f"{type(self).__name__} does not delete")

    def _swap(self, staged: str, path: str) -> None:
        """Put a staged folder in the place of another one (or of nothing); the old one is gone afterwards."""
        raise NotImplementedError(f"{type(self).__name__} does not replace volumes")

    def _list_folders(self, paths: Sequence[str]) -> Mapping[str, Listing]:
        """List many folders; remote layers overlap their requests."""
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

    def list(self, kind: Kind, parent: ParentKey) -> Iterable[Key]:
        """List the entities of a kind below a parent."""
        return self.list_many(kind, [parent])[parent]

    def list_many(self, kind: Kind, parents: Sequence[ParentKey]) -> Mapping[ParentKey, Sequence[Key]]:
        """List the entities of a kind below many parents, asking each folder once."""
        wanted = {parent: [f for f in layout.folders(kind, parent) if self._may_exist(f)] for parent in parents}
        shared = kind in (Kind.VOXEL_SPACING, Kind.TOMOGRAM, Kind.FEATURES)
        missing = [f for fs in wanted.values() for f in fs if not (shared and f in self._shared)]
        listed = self._list_folders([*dict.fromkeys(missing)])
        if shared:
            self._shared.update(listed)
            listed = self._shared
        return {p: [*self._parsed(kind, p, {f: listed.get(f, {}) for f in fs})] for p, fs in wanted.items()}

    def _may_exist(self, folder: str) -> bool:
        """False if the remembered listing of the folder's parent shows that there is no such folder."""
        parent, _, name = folder.rpartition("/")
        return parent not in self._shared or name in self._shared[parent]

    def _parsed(self, kind: Kind, parent: ParentKey, listings: Mapping[str, Listing]) -> Iterator[Key]:
        folder_kind = layout.is_folder(kind)
        for folder, listing in listings.items():
            last = folder.rpartition("/")[2]
            for name, is_folder in listing.items():
                if is_folder is not folder_kind:
                    continue
                key = layout.parse(kind, parent, name, last)
                if key is not None:
                    yield key
                elif logger.isEnabledFor(logging.DEBUG):
                    logger.debug("layer %r: %s/%s is not a %s of copick; skipped", self.name, folder, name, kind.value)

    def forget(self, parent: ParentKey) -> None:
        """Drop the remembered listings of a parent and of everything below it."""
        if not isinstance(parent, RunKey | VoxelSpacingKey):
            if not hasattr(parent, "tomo_type"):
                self._shared.clear()
                return
            parent = parent.parent  # type: ignore[assignment, union-attr]
        here = layout.path(parent)  # type: ignore[arg-type]
        for path in [p for p in self._shared if p == here or p.startswith(f"{here}/")]:
            self._shared.pop(path, None)

    def _forget_around(self, key: Key) -> None:
        """Drop the remembered listings that a write or delete of an entity has made out of date."""
        path = layout.path(key)
        parts = path.split("/")
        for n in range(1, len(parts)):
            self._shared.pop("/".join(parts[:n]), None)
        for known in [p for p in self._shared if p == path or p.startswith(f"{path}/")]:
            self._shared.pop(known, None)

    # ------------------------------------------------------------------ reading

    def exists(self, key: Key) -> bool:
        """Whether an entity is stored now."""
        return self._path_exists(layout.path(key))

    def read(self, key: Key) -> bytes:
        """Read picks or a mesh."""
        return self.read_revised(key)[0]

    def read_revised(self, key: Key) -> tuple[bytes, Revision | None]:
        """Read picks or a mesh with their revision."""
        import hashlib

        try:
            data, revision = self._read_bytes(layout.path(key))
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise NotFoundError(key=key, layer=self.name, location=self.location(key)) from error
        return data, revision if revision is not None else hashlib.sha256(data).hexdigest()

    def revision(self, key: Key) -> Revision | None:
        """Token of what is stored now."""
        return self._path_revision(layout.path(key))

    def zarr(self, key: Key) -> Store:
        """Open a volume."""
        return self._store(layout.path(key))

    # ------------------------------------------------------------------ writing

    def write(self, key: Key, data: bytes, *, if_revision: Revision | None | _Any = ANY) -> Revision | None:
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
        if not self._path_exists(marker):
            self._write_bytes(marker, layout.MARKER_CONTENT, key, ANY)
        self._forget_around(key)

    @contextmanager
    def replace_zarr(self, key: Key) -> Iterator[Store]:
        """Fill a fresh store beside the entity's volume and swap it in."""
        self._check_writable(key)
        path = layout.path(key)
        folder = path.rpartition("/")[0]
        # The leading dot keeps it out of every listing, ours and that of copick 1.x; it does not end in ".zarr" either.
        staged = f"{folder}/.staged-{uuid.uuid4().hex}"
        store = self._store(staged)
        try:
            yield store
            self._swap(staged, path)
        except BaseException:
            if self._path_exists(staged):
                self._delete_path(staged)
            raise
        finally:
            store.close()
            self._forget_around(key)

    def delete(self, key: Key) -> None:
        """Delete an entity and everything below it."""
        self._check_writable(key)
        path = layout.path(key)
        try:
            self._delete_path(path)
        except FileNotFoundError as error:
            raise NotFoundError(key=key, layer=self.name, location=self.location(key)) from error
        finally:
            self._forget_around(key)
