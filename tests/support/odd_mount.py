"""A FUSE file system that shows a folder and refuses some calls, as mounts of shares and buckets do.

``python -m support.odd_mount SOURCE MOUNT_POINT NAME=ERROR…`` serves it until it is unmounted.
"""

from __future__ import annotations

import contextlib
import ctypes.util
import errno
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_PATIENCE = 30.0


def missing() -> str | None:
    """What this machine lacks for such mounts; None if it has all."""
    if not os.path.exists("/dev/fuse"):
        return "there is no /dev/fuse"
    if importlib.util.find_spec("fuse") is None:
        return "fusepy is not installed (.ci/full installs it)"
    if ctypes.util.find_library("fuse") is None or shutil.which("fusermount") is None:
        return "libfuse 2 is not installed (.ci/full installs it)"
    return None


@contextlib.contextmanager
def mounted(folder: Path, refusals: Mapping[str, str]) -> Iterator[Path]:
    """Mount a file system in a folder, which is empty.

    Args:
        folder: Gets a folder ``source``, for its files, and a folder ``mount``.
        refusals: Names of errno by what is refused: ``fsyncdir``, ``utimens``, ``chmod``, ``link``,
            ``rename_folder``.

    Yields:
        Where it is mounted.
    """
    source, place = folder / "source", folder / "mount"
    source.mkdir()
    place.mkdir()
    told = [f"{name}={code}" for name, code in refusals.items()]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    process = subprocess.Popen([sys.executable, "-m", "support.odd_mount", source, place, *told], env=environment)
    try:
        end = time.monotonic() + _PATIENCE
        while not place.is_mount():
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError("the file system was not mounted")
            time.sleep(0.02)
        yield place
    finally:
        subprocess.run(["fusermount", "-u", "-z", place], check=False, capture_output=True)
        try:
            process.wait(_PATIENCE)
        finally:
            process.kill()
            process.wait()


def _serve(source: str, place: str, refusals: Mapping[str, int]) -> None:
    from fuse import FUSE, FuseOSError, Operations

    class Odd(Operations):  # type: ignore[misc]
        """Passes all on to the folder ``source``, but for what is refused."""

        flag_nullpath_ok = True  # a file that is open is found although another one has taken its place

        def __call__(self, op: str, path: str | None, *args: Any) -> Any:
            place = None if path is None else source + path  # an open file that another one has replaced has none
            if op in refusals or (op == "rename" and "rename_folder" in refusals and os.path.isdir(place or "")):
                raise FuseOSError(refusals.get(op) or refusals["rename_folder"])
            return super().__call__(op, place, *args)

        def access(self, path: str, mode: int) -> None:
            if not os.access(path, mode):
                raise FuseOSError(errno.EACCES)

        def getattr(self, path: str | None, fh: int | None = None) -> dict[str, Any]:
            found = os.lstat(path) if path else os.fstat(fh or 0)
            names = ("st_atime", "st_ctime", "st_gid", "st_mode", "st_mtime", "st_nlink", "st_size", "st_uid", "st_blocks")
            return {name: getattr(found, name) for name in names}

        def readdir(self, path: str, fh: int) -> list[str]:
            return [".", "..", *os.listdir(path)]

        def create(self, path: str, mode: int, fi: Any = None) -> int:
            return os.open(path, os.O_RDWR | os.O_CREAT, mode)

        def open(self, path: str, flags: int) -> int:
            return os.open(path, flags & ~os.O_APPEND)

        def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
            return os.pread(fh, size, offset)

        def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
            return os.pwrite(fh, data, offset)

        def truncate(self, path: str | None, length: int, fh: int | None = None) -> None:
            os.truncate(path or fh or 0, length)

        def release(self, path: str, fh: int) -> None:
            os.close(fh)

        def fsync(self, path: str, datasync: int, fh: int) -> None:
            os.fsync(fh)

        def fsyncdir(self, path: str, datasync: int, fh: int) -> None:
            pass

        def flush(self, path: str, fh: int) -> None:
            pass

        def rename(self, old: str, new: str) -> None:
            os.rename(old, source + new)

        def link(self, target: str, existing: str) -> None:
            os.link(source + existing, target)

        def symlink(self, target: str, link_to: str) -> None:
            os.symlink(link_to, target)

        def readlink(self, path: str) -> str:
            return os.readlink(path)

        def utimens(self, path: str, times: tuple[float, float] | None = None) -> None:
            os.utime(path, times)

        def chmod(self, path: str, mode: int) -> None:
            os.chmod(path, mode)

        def statfs(self, path: str) -> dict[str, int]:
            found = os.statvfs(path)
            names = ("f_bavail", "f_bfree", "f_blocks", "f_bsize", "f_favail", "f_ffree", "f_files", "f_flag", "f_frsize")
            return {name: getattr(found, name) for name in (*names, "f_namemax")}

        mkdir = staticmethod(os.mkdir)
        rmdir = staticmethod(os.rmdir)
        unlink = staticmethod(os.unlink)

    # hard_remove: otherwise libfuse moves an open file away before another one takes its place; for a moment there is none.
    FUSE(Odd(), place, foreground=True, nothreads=True, attr_timeout=0.0, entry_timeout=0.0, hard_remove=True)


if __name__ == "__main__":
    _serve(
        sys.argv[1], sys.argv[2], {name: getattr(errno, code) for name, _, code in (a.partition("=") for a in sys.argv[3:])}
    )
