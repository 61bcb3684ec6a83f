"""zarr stores of the portal's volumes, and the one filesystem that reads everything."""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from zarr.storage import FsspecStore

from copick_backend_portal.errors import PortalFilesError

if TYPE_CHECKING:
    from zarr.abc.store import ByteRequest, Store
    from zarr.core.buffer import Buffer, BufferPrototype

#: Arguments that other programs write for other filesystems, and that s3fs refuses.
_FOREIGN_ARGUMENTS = ("auto_mkdir",)


class PortalFiles:
    """The portal's files, read by one s3fs filesystem that lives on zarr's event loop.

    Args:
        endpoint_url: Address of the S3 service; that of AWS if None.
        arguments: Further arguments of ``s3fs.S3FileSystem``.
    """

    def __init__(self, endpoint_url: str | None, arguments: Mapping[str, Any]) -> None:
        # One GET for each object: above one, s3fs asks for the size of every object before it reads it.
        self._arguments = {
            "anon": True,
            "max_concurrency": 1,
            **{k: v for k, v in arguments.items() if k not in _FOREIGN_ARGUMENTS},
        }
        if endpoint_url:
            self._arguments["endpoint_url"] = endpoint_url
        self._fs: Any = None
        self._process = 0
        self._lock = threading.Lock()

    @property
    def fs(self) -> Any:
        """The filesystem, made on first need, and anew in a forked process."""
        with self._lock:
            if self._fs is None or self._process != os.getpid():
                import s3fs  # type: ignore[import-untyped,unused-ignore]
                from zarr.core.sync import _get_loop, sync

                self._fs = s3fs.S3FileSystem(**self._arguments, asynchronous=True, skip_instance_cache=True)
                self._process = os.getpid()
                # s3fs closes its connections itself only where it also runs the event loop.
                client = sync(self._fs.set_session())
                close = weakref.finalize(self._fs, s3fs.S3FileSystem.close_session, _get_loop(), client)
                atexit.register(close)  # runs before zarr stops its loop, which was registered earlier
            return self._fs

    def for_callers(self) -> Any:
        """A filesystem for the same files whose methods are not asynchronous."""
        import s3fs  # type: ignore[import-untyped,unused-ignore]

        return s3fs.S3FileSystem(**self._arguments)

    def read(self, path: str) -> bytes:
        """Read a whole file with one GET.

        Raises:
            FileNotFoundError: There is none.
            PortalFilesError: It cannot be reached.
        """
        from zarr.core.sync import sync

        with _reaching(path):
            return bytes(sync(self.fs._cat_file(path)))

    def volume(self, path: str) -> Store:
        """The zarr store at a path; read-only, and known objects are read without asking whether they exist."""
        return PortalStore(self.fs, read_only=True, path=path.removeprefix("s3://").rstrip("/"))


class PortalStore(FsspecStore):
    """A volume of the portal; where it cannot be reached, errors name what was to be read."""

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """Read the value of a key; None where there is none.

        Raises:
            PortalFilesError: It cannot be reached.
        """
        with _reaching(f"s3://{self.path}/{key}"):
            return await super().get(key, prototype, byte_range)


@contextmanager
def _reaching(path: str) -> Iterator[None]:
    """Raise errors of a broken connection, whichever library's, as ours."""
    from copick_backend_fs.live import is_broken_connection

    try:
        yield
    except Exception as error:
        if not is_broken_connection(error):
            raise
        raise PortalFilesError(query="file", url=path, reason=str(error)) from error
