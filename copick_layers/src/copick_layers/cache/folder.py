"""The folder of a cache: files of entries, shared by processes, never larger than its limit.

::

    <place>/<run>/<entity>/<value>     names are hashes; "place" is the storage that was read
    <place>/place.txt                  what the place is, for people
    <place>/listings.sqlite            lists of entities, for use offline

How it stays right:

* A file is written beside its place and renamed, so that nobody reads half of one.
* Whoever reads from storage opens the entity's folder before (:meth:`CacheFolder.hold`), and puts what was read into that
  folder. Dropping an entity renames its folder away: what was read before lands in the folder that is gone.
* A process counts what it writes. After a 64th of the limit it measures the folder under its lock, and deletes what was not
  used for longest. Four processes at once so stay within the limit.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import shutil
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from copick_core.layers.atomic import locked
from copick_layers.cache.entries import Entry, Header, UnknownTokenError, header_of, packed, unpacked

logger = logging.getLogger(__name__)

TEMPORARY = ".tmp-"
TRASH = ".trash-"
PLACE_FILE = "place.txt"
#: Names of places that end with their process: ``process-<id of the process>-…``.
OF_PROCESS = "process-"
#: Seconds after which a file or folder that is about to be put in its place belongs to a process that died.
_ABANDONED = 3600.0
#: Seconds between two notes that an entry was used.
_TOUCH = 60.0
#: Bytes that a file takes on the disk are a multiple of this.
_BLOCK = 4096
#: Bytes at the beginning of a file that hold the header of any value of a volume.
_HEADER = 32 * 1024
#: Shares of the limit: what a process writes between two measurements, when eviction begins and where it ends, and the
#: largest entry.
_UNCOUNTED, _HIGH, _LOW, _LARGEST = 1 / 64, 15 / 16, 7 / 8, 1 / 8
_BY_DESCRIPTOR = {os.open, os.rename} <= os.supports_dir_fd


def hashed(*parts: str) -> str:
    """A file name for some texts."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


class Held:
    """The folder of an entity as it was before storage was read.

    Args:
        path: The folder.
        descriptor: The open folder; None on systems that have none.
    """

    def __init__(self, path: str, descriptor: int | None) -> None:
        self.path = path
        self.descriptor = descriptor

    def close(self) -> None:
        """Let it go."""
        descriptor, self.descriptor = self.descriptor, None
        if descriptor is not None:
            os.close(descriptor)


@dataclass(frozen=True)
class Usage:
    """What a cache holds of one place.

    Attributes:
        name: Name of its folder.
        place: What it is.
        entries: How many files.
        size: Their size in bytes.
    """

    name: str
    place: str
    entries: int
    size: int


class CacheFolder:
    """The folder of a cache.

    Nothing here raises because of the disk: what cannot be kept is read from storage again.

    Args:
        path: The folder; made when something is put into it.
        limit: Its largest size in bytes.
    """

    def __init__(self, path: str, limit: int) -> None:
        self.path = os.path.abspath(path)
        self.limit = limit
        self._lock = threading.Lock()
        #: Bytes that were written since the folder was measured; at first nobody has measured it.
        self._uncounted = limit
        self._warned = False

    def full(self, *names: str) -> str:
        """A path in the folder."""
        return os.path.join(self.path, *names)

    # ------------------------------------------------------------------ reading

    def load(self, folder: str, name: str) -> Entry | None:
        """Read an entry, and note that it was used; None if there is none."""
        path = self.full(folder, name)
        try:
            with open(path, "rb", buffering=0) as file:
                entry = unpacked(file.read())
                _note_use(file, path)
        except OSError:
            return None
        if entry is None:
            with contextlib.suppress(OSError):
                os.unlink(path)
        return entry

    def open(self, folder: str, name: str) -> tuple[BinaryIO, Header] | None:
        """Open an entry, to read parts of it, and note that it was used; None if there is none, or if it is cut short."""
        path = self.full(folder, name)
        file: BinaryIO | None = None
        try:
            file = open(path, "rb", buffering=0)  # noqa: SIM115 - the caller closes it
            found = os.fstat(file.fileno())
            header = header_of(file.read(_HEADER))
            if header is None or header.end + header.size != found.st_size:
                file.close()
                return None
            _note_use(file, path)
        except OSError:
            if file is not None:
                file.close()
            return None
        return file, header

    # ------------------------------------------------------------------ putting

    def hold(self, folder: str, place: str = "") -> Held | None:
        """Open the folder of an entity, before storage is read; None if it cannot be made.

        Args:
            folder: The folder, below this one.
            place: What the place is, for people.
        """
        path = self.full(folder)
        try:
            if not os.path.isdir(path):
                self._make(folder, place)
            return Held(path, os.open(path, os.O_RDONLY | os.O_DIRECTORY) if _BY_DESCRIPTOR else None)
        except FileNotFoundError:
            return None  # somebody deletes the cache at this moment
        except OSError as error:
            self._complain(error)
            return None

    def _make(self, folder: str, place: str) -> None:
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        path = self.path
        for part in ("", *folder.split("/")):
            path = os.path.join(path, part) if part else path
            with contextlib.suppress(FileExistsError):
                os.mkdir(path, 0o700)
        described = self.full(folder.split("/")[0], PLACE_FILE)
        if place and not os.path.exists(described):
            descriptor = os.open(described, os.O_WRONLY | os.O_CREAT, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
                file.write(place)

    def put(self, held: Held | None, name: str, entry: Entry) -> None:
        """Keep an entry; nothing happens if its folder was dropped since it was opened, or if there is no room."""
        if held is None:
            return
        try:
            content = packed(entry)
        except UnknownTokenError as error:
            logger.debug("not kept: %s", error)
            return
        size = _on_disk(len(content))
        if size > self.limit * _LARGEST:
            return
        try:
            with self._room_for(size):
                _write(held, name, content)
        except FileNotFoundError:
            pass  # it was dropped, or somebody deletes the cache
        except OSError as error:
            self._complain(error)

    def _complain(self, error: OSError) -> None:
        if not self._warned:
            self._warned = True
            logger.warning("the cache in %s cannot keep what was read: %s", self.path, error)

    @contextlib.contextmanager
    def _room_for(self, size: int) -> Iterator[None]:
        with self._lock:
            self._uncounted += size
            enough = self._uncounted <= self.limit * _UNCOUNTED
            if not enough:
                with locked(self.path):
                    self._evict(size)
                    yield
                self._uncounted = 0
        if enough:
            yield

    def _evict(self, more: int) -> None:
        """Delete what was not used for longest, if the folder and some bytes more are beyond the limit."""
        found = sorted(self._files())
        total = sum(size for _, size, _ in found) + more
        if total <= self.limit * _HIGH:
            return
        for _, size, path in found:
            if os.path.basename(path).partition(".")[0] in ("listings", "place"):
                continue
            with contextlib.suppress(OSError):
                os.unlink(path)
            total -= size
            if total <= self.limit * _LOW:
                return

    def _files(self) -> Iterator[tuple[float, int, str]]:
        """Time of last use, size on disk and path of every file; what dead processes have left is removed."""
        now = time.time()
        for folder, folders, files in os.walk(self.path):
            for name in [*folders]:
                if name.startswith(TRASH) or _of_dead_process(name):
                    folders.remove(name)
                    shutil.rmtree(os.path.join(folder, name), ignore_errors=True)
            for name in files:
                path = os.path.join(folder, name)
                with contextlib.suppress(OSError):
                    found = os.stat(path)
                    if name.startswith(TEMPORARY) and now - found.st_mtime > _ABANDONED:
                        os.unlink(path)
                        continue
                    yield found.st_mtime, _on_disk(found.st_size), path
            if not files and not folders and folder != self.path:
                with contextlib.suppress(OSError):
                    if now - os.stat(folder).st_mtime > _ABANDONED:
                        os.rmdir(folder)

    # ------------------------------------------------------------------ dropping

    def drop(self, folder: str) -> None:
        """Delete a folder and all below it; what is read before this moment is not kept in it."""
        path = self.full(folder)
        trash = self.full(TRASH + uuid.uuid4().hex)
        try:
            os.rename(path, trash)
        except FileNotFoundError:
            return
        except OSError as error:
            self._complain(error)
            shutil.rmtree(path, ignore_errors=True)
            return
        shutil.rmtree(trash, ignore_errors=True)

    def clear(self, place: str | None = None) -> int:
        """Delete what is kept, of one place or of all.

        Args:
            place: Name of its folder.

        Returns:
            How many bytes there were.
        """
        found = [usage for usage in self.usage() if place in (None, usage.name)]
        for usage in found:
            self.drop(usage.name)
        return sum(usage.size for usage in found)

    def usage(self) -> list[Usage]:
        """What is kept, by place."""
        counts: dict[str, list[int]] = {}
        for _, size, path in self._files():
            place = os.path.relpath(path, self.path).split(os.sep)[0]
            counts.setdefault(place, []).append(size)
        found = []
        for name, sizes in sorted(counts.items()):
            try:
                place = Path(self.full(name, PLACE_FILE)).read_text(encoding="utf-8", errors="replace")
            except OSError:
                place = ""
            found.append(Usage(name, place, len(sizes), sum(sizes)))
        return found


def _note_use(file: BinaryIO, path: str) -> None:
    if time.time() - os.fstat(file.fileno()).st_mtime > _TOUCH:
        os.utime(file.fileno() if os.utime in os.supports_fd else path)


def _write(held: Held, name: str, content: bytes) -> None:
    temporary = TEMPORARY + uuid.uuid4().hex
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    at = held.descriptor
    if at is None:
        temporary, name = os.path.join(held.path, temporary), os.path.join(held.path, name)
    descriptor = os.open(temporary, flags, 0o600, dir_fd=at)
    try:
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            view = memoryview(content)
            while view:
                view = view[file.write(view) :]
        os.rename(temporary, name, src_dir_fd=at, dst_dir_fd=at) if at is not None else os.replace(temporary, name)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=at)
        raise


def _on_disk(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _of_dead_process(name: str) -> bool:
    if not name.startswith(OF_PROCESS) or os.name == "nt":
        return False
    try:
        os.kill(int(name.split("-")[1]), 0)
    except ProcessLookupError:
        return True
    except (OSError, ValueError, IndexError):
        return False
    return False
