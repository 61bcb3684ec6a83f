"""Local folders: plain calls of the operating system, nothing between them and the layer."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import cache, cached_property, partial
from typing import TYPE_CHECKING, Any

from copick_core.errors import BeingReplacedError, InvalidNameError, ReadOnlyError
from copick_core.layers.atomic import check_regular, locked, where_possible
from copick_core.layers.path_layer import Listing, PathLayer
from copick_core.layers.revisions import (
    ANY,
    AnyRevision,
    FileChangedError,
    Revision,
    checksum,
    is_still,
    stamp,
)
from copick_core.layers.staged import ASIDE, aside_of, is_staged, staged_name
from copick_core.tree import layout
from copick_core.tree.keys import VOLUME_KINDS, Key, Kind, RootKey, RunKey

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem
    from trimesh.parent import Geometry
    from zarr.abc.store import Store

    from copick_backend_fs.mounts import MountLayer
    from copick_core.layers.problems import OfWriters, Problem

_BINARY = getattr(os, "O_BINARY", 0)
#: What "there is no such file" looks like, depending on what is in the way.
_MISSING = (FileNotFoundError, NotADirectoryError)
#: Nanoseconds within which two changes of a folder may have one time: file systems count in steps of up to two seconds.
_SAME_MOMENT = 3 * 10**9
#: How often a write makes its folder again while others delete it.
_ATTEMPTS = 100
#: Seconds to wait for a writer that has moved a volume aside.
_PATIENCE = 1.0
#: Errors of kernels and file systems that cannot exchange two folders.
_UNEXCHANGEABLE = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM}


class LocalLayer(PathLayer):
    """A layer in a local folder; the folder and what is missing in it are made on the first write.

    A file is written beside the one it replaces, forced to disk, and renamed over it. Between the check of a revision and
    the rename its folder is locked (``flock`` on the folder itself, no lock file), so that of several writers that know one
    revision exactly one wins, across processes. On file systems that cannot lock a folder (Windows, old NFS) that holds
    only to the width of the moment between check and rename.

    A volume is exchanged with the staged one in one step of the kernel (Linux, ``renameat2``); where that is not possible
    the old one is renamed away first, under a name from which it is put back if the writer dies
    (:mod:`copick_backend_fs.aside`).

    Links are followed: a run's folder may be one, unless it leads into a folder of the project that is read-only. Deleting or
    writing an entity that is a link removes or replaces the link only, and regions of a linked volume cannot be written: what
    it leads to stays.

    Args:
        name: Name of the layer.
        root: The project's folder.
        read_only: Refuse writes.
    """

    def __init__(self, name: str, root: str | os.PathLike[str], *, read_only: bool = False) -> None:
        super().__init__(name, read_only=read_only)
        self.root = os.path.abspath(os.fspath(root))
        #: Real paths of folders that this layer never writes to, though a link of its own may lead there.
        self.protected: Sequence[str] = ()
        self._prefix = self.root if self.root.endswith(os.sep) else self.root + os.sep

    @property
    def fs(self) -> AbstractFileSystem:
        """An fsspec filesystem that takes the paths of :meth:`full_path`; this layer itself does without."""
        from fsspec.implementations.local import LocalFileSystem

        return LocalFileSystem(auto_mkdir=True)

    def full_path(self, path: str) -> str:
        """Absolute path of a path below the root ("" is the root).

        Raises:
            InvalidNameError: It would lead out of the root.
        """
        if path[:1] == "/" or (".." in path and "/../" in f"/{path}/") or (os.sep == "\\" and "\\" in path):
            raise InvalidNameError(what="path", name=path, reason=f"it leads out of layer {self.name!r}")
        return self._prefix + path

    def location(self, key: Key) -> str:
        """Absolute path of an entity."""
        return self.full_path(self.path_of(key))

    def listing_version(self, parent: RunKey | RootKey) -> Hashable | None:
        """Times of the folders that the lists of a run, or of the project, are read from."""
        try:
            if isinstance(parent, RunKey):
                run = self.full_path(layout.path(parent))
                folders = [(".", run)]
                with os.scandir(run) as scan:
                    folders += sorted((entry.name, entry.path) for entry in scan if entry.is_dir())
            else:
                paths = [path for kind in (Kind.RUN, Kind.OBJECT) for path in layout.folders(kind, parent)]
                folders = [(path, self.full_path(path)) for path in paths]
            stats = [(name, _stat_or_none(path)) for name, path in folders]
        except OSError:
            return None
        times = [(name, 0, 0) if found is None else (name, found.st_ino, found.st_mtime_ns) for name, found in stats]
        recent = time.time_ns() - _SAME_MOMENT
        return None if any(changed > recent for _, _, changed in times) else tuple(times)

    def place_id(self) -> str:
        """The folder, without links."""
        return f"file://{os.path.realpath(self.root)}"

    # ------------------------------------------------------------------ reading

    def list_folder(self, path: str) -> Listing:
        """List a folder."""
        folder = self.full_path(path)
        try:
            with os.scandir(folder) as scan:
                listing = {entry.name: entry.is_dir() for entry in scan}  # no system call but for links
            return _with_replaced(listing) if _holds_volumes(path) else listing
        except FileNotFoundError:
            return {}
        except OSError:
            pass
        return _list_with_odd_links(folder)

    def path_exists(self, path: str, *, folder: bool) -> bool:
        """Whether there is a file, or a folder."""
        import stat

        try:
            mode = os.stat(self.full_path(path)).st_mode
        except (*_MISSING, ValueError):  # also for a name that no file can have
            return False
        return stat.S_ISDIR(mode) is folder

    def exists(self, key: Key) -> bool:
        """Whether an entity is stored now; a volume is while another one is put in its place."""
        return super().exists(key) or (key.kind in VOLUME_KINDS and layout.is_listable(key) and self._settled(key))

    def _settled(self, key: Key) -> bool:
        """Whether there is a volume of which nothing was found: it lies aside, and is put back if its writer died.

        Where this layer may not write, it stays where it is.
        """
        place = self.location(key)
        if os.path.lexists(aside_of(place)):
            from copick_backend_fs.aside import is_waiting, put_back

            if is_waiting(place, _PATIENCE):
                if self.read_only:
                    return True
                put_back(place)
        return os.path.isdir(place)

    def read_file(self, path: str) -> tuple[bytes, Revision | None]:
        """Read a file with its revision."""
        from copick_backend_fs.local_reading import read_whole

        return read_whole(self.full_path(path))

    def load_mesh(self, key: Key) -> tuple[Geometry, Revision | None]:
        """Read a mesh from its open file: there is no second copy of its bytes."""
        from copick_backend_fs.local_reading import read_mesh

        with self.finding(key):
            return read_mesh(self.location(key), str(key))

    def file_revision(self, path: str) -> Revision | None:
        """Revision of a file, without reading it."""
        return _revision_or_none(self.full_path(path))

    def revisions(self, keys: Sequence[Key]) -> Mapping[Key, Revision]:
        """Tokens of many files: a stat for each."""
        told = {key: _revision_or_none(self.location(key)) for key in keys}
        return {key: revision for key, revision in told.items() if revision is not None}

    def modified_time(self, path: str, *, folder: bool) -> float | None:
        """When a file, or the newest file below a folder, was written."""
        target = self.full_path(path)
        if not folder:
            return _mtime(target)
        times = [_mtime(os.path.join(place, name)) for place, _, names in os.walk(target) for name in names]
        return max((found for found in times if found is not None), default=None)

    def open_store(self, path: str) -> Store:
        """Open a volume."""
        from copick_backend_fs.volumes import LocalVolume

        target = self.full_path(path)
        if is_staged(path.rpartition("/")[2]):
            self._refuse_links(target)
        # What is written to a volume that is a link would change what it leads to.
        read_only = self.read_only or os.path.islink(target) or self._leads_out(target)
        return LocalVolume(target, read_only=read_only)

    def _leads_out(self, target: str) -> bool:
        """Whether a path leads through links into a folder that must not change."""
        if not self.protected:
            return False
        folder = os.path.realpath(os.path.dirname(target)) + os.sep
        return any(folder.startswith(root + os.sep) for root in self.protected)

    def _refuse_links(self, target: str) -> None:
        if self._leads_out(target):
            raise ReadOnlyError(
                subject=target,
                reason=f"it leads through a link into {os.path.realpath(os.path.dirname(target))}, which is read-only in this "
                "project. Replace the link by a folder",
            )

    def _sweep_above(self, path: str) -> None:
        """Sweep the folder that holds a path, and the one above, where deletions of that folder would have left something."""
        folder = path.rpartition("/")[0]
        for swept in {folder, folder.rpartition("/")[0]} - {""}:
            self.sweep_staged(swept)

    def problems_in_volume(self, path: str, key: Key | None) -> Iterable[Problem]:
        """Find what writers that died a week ago or earlier have left of values that they were writing."""
        from copick_backend_fs.leftovers import partial_files
        from copick_core.layers.problems import Problem, Removal, Repair

        for file in partial_files(self.full_path(path)):
            message = "a writer that died has left this part of a value; nobody uses it"
            inside, delete = os.path.relpath(file, self.root), partial(os.unlink, file)
            repair = None if self.read_only else Repair(f"delete {file}", delete)
            removal = None if self.read_only else Removal(inside, delete)
            yield Problem("partial-file", key, f"layer {self.name!r}, {inside}", "warning", message, repair, removal)

    def volume_version(self, key: Key) -> Hashable | None:
        """Identity of a volume's folder. Its number may be given to another folder once it is deleted; its times are not."""
        folder = self.location(key)
        found = _stat_or_none(folder)
        if found is None and os.path.lexists(aside_of(folder)):
            if self._settled(key) and not os.path.lexists(folder):
                from copick_backend_fs.aside import WAY_OUT

                raise BeingReplacedError(key=key, layer=self.name, way_out=WAY_OUT)
            found = _stat_or_none(folder)
        if found is None:
            return None
        version = (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns)
        if os.major(found.st_dev) == 0 and _is_fuse(found.st_dev):  # disks have a number
            return (*version, *self._by_files.settled(key, folder))
        return version

    @cached_property
    def _by_files(self) -> MountLayer:
        """This place where its mount renames no folders."""
        from copick_backend_fs.mounts import MountLayer

        return MountLayer(self.name, self.root, read_only=self.read_only)

    def sweep_names(self, folder: str, names: Iterable[str]) -> None:
        """Remove what writers that died have left, and finish what they did file by file."""
        from copick_backend_fs.records import PREFIX

        names = [*names]
        if records := [name for name in names if name.startswith(PREFIX)]:
            self._by_files.sweep_names(folder, records)
        for name in names:
            if name.startswith(ASIDE):
                self._sweep_aside(f"{folder}/{name.removeprefix(ASIDE)}")
        super().sweep_names(folder, names)

    def _sweep_aside(self, path: str) -> None:
        """Put back a volume that a dead writer has moved aside, or delete it if another one is in its place."""
        from copick_backend_fs.aside import is_waiting, put_back

        place = self.full_path(path)
        if is_waiting(place, _PATIENCE):
            put_back(place)
        if os.path.lexists(aside_of(place)):
            self.discard_staged(aside_of(path))

    def discard_staged(self, staged: str) -> None:
        """Delete something staged, unless a replacement that was cut off is to be finished from it."""
        if not ("_by_files" in self.__dict__ and self._by_files.needs(staged)):
            super().discard_staged(staged)

    def problems_of_writers(self, folder: str, listing: Listing, key_of: Callable[[str], Key | None]) -> OfWriters:
        """Find replacements file by file that were not finished."""
        from copick_backend_fs.records import PREFIX

        if any(name.startswith((PREFIX, ASIDE)) for name in listing):
            return self._by_files.problems_of_writers(folder, listing, key_of)
        return super().problems_of_writers(folder, listing, key_of)

    # ------------------------------------------------------------------ writing

    def write_file(self, path: str, data: bytes, if_revision: Revision | AnyRevision | None = ANY) -> Revision | None:
        """Write a file, all or nothing."""
        self._sweep_above(path)
        target = self.full_path(path)
        self._refuse_links(target)
        if if_revision is not ANY and if_revision is not None and _revision_or_none(target) is None:
            # Now, and not under the lock: there may be no folder to lock, and none is made for a conflict.
            raise FileChangedError(None)
        for _ in range(_ATTEMPTS - 1):
            # makedirs says "exists" of a folder that another process deletes just after it was found there.
            with contextlib.suppress(FileNotFoundError, FileExistsError):
                return _write_once(target, data, if_revision)
        return _write_once(target, data, if_revision)

    def delete_path(self, path: str) -> None:
        """Delete a file, a folder or a link."""
        target = self.full_path(path)
        if path.endswith(".zarr") and os.path.lexists(aside_of(target)):
            self._sweep_aside(path)  # or it would be put back where this one was
        # Under a hidden name first: nobody lists half of it, and a delete that is killed is not seen either.
        hidden = os.path.join(os.path.dirname(target), staged_name())
        try:
            os.rename(target, hidden)
        except NotADirectoryError as error:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), target) from error
        except OSError as error:
            if not _moves_no_folder(error, target):
                raise
            _remove_where_it_is(target)
            self._sweep_above(path)
            return
        # It is deleted now, and an error would say that it is not.
        try:
            if os.path.islink(hidden) or not os.path.isdir(hidden):
                os.unlink(hidden)
            else:
                _remove_folder(hidden)
        except OSError as error:
            import logging

            logging.getLogger(__name__).warning(
                "layer %r: %s is deleted, but %s could not be removed: %s", self.name, target, hidden, error
            )
        self._sweep_above(path)

    def replace_folder(self, staged: str, path: str) -> None:
        """Put a staged folder in its place."""
        new, target = self.full_path(staged), self.full_path(path)
        self._refuse_links(target)
        os.makedirs(new, exist_ok=True)
        try:
            self._swap(staged, new, target)
        except OSError as error:
            if not _moves_no_folder(error, new):
                raise
            self._by_files.replace_folder(staged, path)
            _remove_folder(new)  # folders without files

    def _swap(self, staged: str, new: str, target: str) -> None:
        while True:
            if os.path.lexists(target):
                if _exchange(new, target) or _exchange_by_renames(new, target):
                    self.discard_staged(staged)
                    return
            else:
                try:
                    os.rename(new, target)
                except OSError as error:
                    if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                        raise
                else:
                    return
            # Somebody else has put a volume there, or deleted it, since we looked: look again.


def _write_once(target: str, data: bytes, if_revision: Revision | AnyRevision | None) -> Revision | None:
    """Write a file; FileNotFoundError or FileExistsError where its folder is deleted in the meantime."""
    folder = os.path.dirname(target)
    staged = os.path.join(folder, staged_name())
    os.makedirs(folder, exist_ok=True)
    try:
        revision = _write_synced(staged, data)
        with locked(folder) as fd:
            found = _stat_or_none(target)
            known = stamp(found) if found else None
            if found:
                check_regular(found, target)
            if if_revision is not ANY and not (is_still(if_revision, known, target) if known else if_revision is None):
                raise FileChangedError(known)
            if found:
                writable = os.access(target, os.W_OK, effective_ids=os.access in os.supports_effective_ids)
                if not writable and os.path.exists(target):  # nobody may write what was deleted meanwhile
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), target)
                mode = found.st_mode & 0o7777
                where_possible("chmod", staged, lambda: os.chmod(staged, mode))
            os.replace(staged, target)
            if fd is not None:
                where_possible("fsync", target, lambda: os.fsync(fd))
        return revision
    except BaseException as error:
        if isinstance(error, OSError) and error.filename is None:
            error.filename = target  # a full disk says nothing of where
        with contextlib.suppress(FileNotFoundError):
            os.unlink(staged)
        raise


def _list_with_odd_links(folder: str) -> Listing:
    """List what may be no folder, or may hold links that lead in a circle, through a file, or to where one may not look."""

    def is_folder(entry: os.DirEntry[str]) -> bool:
        try:
            return entry.is_dir()
        except OSError:
            return False

    try:
        with os.scandir(folder) as scan:
            return {entry.name: is_folder(entry) for entry in scan}
    except _MISSING:
        return {}


def _is_fuse(device: int) -> bool:
    from copick_backend_fs.mounts import is_fuse

    return is_fuse(device)


def _moves_no_folder(error: OSError, path: str) -> bool:
    """Whether an error of renaming a path means that it is a folder on a mount that renames none."""
    if os.path.islink(path) or not os.path.isdir(path):
        return False
    from copick_backend_fs.mounts import renames_no_folders

    return renames_no_folders(error, os.path.dirname(path))


def _remove_where_it_is(path: str) -> None:
    """Delete a folder that cannot be hidden first: what makes volumes of its folders goes before all else."""
    from copick_backend_fs.documents import DOCUMENTS

    for name in DOCUMENTS:
        with contextlib.suppress(*_MISSING):
            os.unlink(os.path.join(path, name))
    _remove_folder(path)


def _remove_folder(path: str) -> None:
    """Delete a folder with all it holds, though somebody else may delete what is below it at the same time."""
    import shutil

    while True:
        try:
            shutil.rmtree(path)
        except FileNotFoundError:
            if os.path.lexists(path):
                continue
        return


def _stat_or_none(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except _MISSING:
        return None


def _revision_or_none(path: str) -> Revision | None:
    stat = _stat_or_none(path)
    return stamp(stat) if stat else None


def _write_synced(path: str, data: bytes) -> Revision:
    """Write a new file and force it to disk; gives its revision."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o666)
    with open(fd, "wb", buffering=0) as file:
        view = memoryview(data)
        while view:
            view = view[file.write(view) :]
        # Kernels stamp files in ticks of milliseconds and use inode numbers again: two writes within one tick could get
        # one revision. The clock itself is finer.
        now = time.time_ns()
        where_possible("utime", path, lambda: os.utime(fd if os.utime in os.supports_fd else path, ns=(now, now)))
        os.fsync(fd)
        return stamp(os.fstat(fd), checksum(data))


@cache
def _renameat2() -> Any:
    """The C library's ``renameat2``, or None where there is none."""
    import ctypes

    try:
        function = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return None
    function.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
    return function


def _exchange(one: str, other: str) -> bool:
    """Exchange two paths in one step; False where kernel or file system cannot, or the other one is gone."""
    import ctypes

    at_fdcwd, rename_exchange = -100, 2  # linux/fcntl.h, linux/fs.h
    function = _renameat2()
    if function is None:
        return False
    if function(at_fdcwd, os.fsencode(one), at_fdcwd, os.fsencode(other), rename_exchange) == 0:
        return True
    code = ctypes.get_errno()
    if code in _UNEXCHANGEABLE or code == errno.ENOENT:
        return False
    raise OSError(code, os.strerror(code), other)


def _exchange_by_renames(one: str, other: str) -> bool:
    """Exchange two paths in three steps; False where the other one is gone. A failure leaves both where they were."""
    old = aside_of(other)
    if os.path.lexists(old) and os.path.lexists(other):  # of a writer that died when it was almost done
        os.rename(old, os.path.join(os.path.dirname(other), staged_name()))
    try:
        os.rename(other, old)
    except FileNotFoundError:
        return False
    try:
        os.rename(one, other)
    except OSError:
        os.rename(old, other)
        raise
    with contextlib.suppress(FileNotFoundError):  # somebody has taken it for a dead writer's
        os.rename(old, one)
    return True


def _holds_volumes(folder: str) -> bool:
    """Whether a folder may hold volumes; others hold many files, and are listed as they are."""
    return "/VoxelSpacing" in folder or folder.endswith("Segmentations") or folder == layout.OBJECTS_FOLDER


def _with_replaced(listing: Listing) -> Listing:
    """A listing with the volumes that lie aside while another one is put in their place."""
    waiting = [name.removeprefix(ASIDE) for name in listing if name.startswith(ASIDE)]
    return listing if not waiting else {**dict.fromkeys(waiting, True), **listing}


def _mtime(path: str) -> float | None:
    try:
        return os.stat(path).st_mtime
    except OSError:  # it was deleted meanwhile
        return None
