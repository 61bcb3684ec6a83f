"""A file system that is in use: how it is asked, and which of its errors say that the connection is gone."""

from __future__ import annotations

import asyncio
import errno
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from copick_core.errors import redacted

if TYPE_CHECKING:
    from copick_backend_fs.files import RemoteFiles

#: Errors that are ordinary answers, also where their class derives from one of a broken connection.
_ANSWERS = {
    "PermissionDenied",
    "HostKeyNotVerifiable",
    "KeyExchangeFailed",
    "SFTPNoSuchFile",
    "SFTPNoSuchPath",
    "SFTPPermissionDenied",
}
#: Errors of libraries that say that a connection is gone, by name: none of these libraries need be installed.
_BROKEN = {
    "ClientConnectionError",  # aiohttp; ServerDisconnectedError derives from it
    "ClientPayloadError",  # aiohttp
    "ConnectionClosedError",  # botocore
    "ConnectionLost",  # asyncssh
    "EndpointConnectionError",  # botocore
    "FSTimeoutError",  # fsspec
    "HTTPClientError",  # botocore; its timeouts derive from it
    "IncompleteRead",  # http.client
    "SFTPConnectionLost",  # asyncssh
    "SFTPNoConnection",  # asyncssh
    "SMBConnectionClosed",  # smbprotocol
}
_BROKEN_ERRNO = {
    errno.ECONNABORTED,
    errno.ECONNREFUSED,
    errno.ECONNRESET,
    errno.ENETRESET,
    errno.ENOTCONN,
    errno.EPIPE,
    errno.ESHUTDOWN,
    errno.ESTALE,
    errno.ETIMEDOUT,
}


def is_broken_connection(error: BaseException) -> bool:
    """Whether an error says that the connection is gone, and not merely that the answer is no."""
    names = {cls.__name__ for cls in type(error).__mro__}
    if names & _ANSWERS or isinstance(error, FileNotFoundError | FileExistsError | PermissionError):
        return False
    if isinstance(error, ConnectionError | TimeoutError | EOFError) or names & _BROKEN:
        return True
    if type(error).__name__ == "DisconnectError":  # asyncssh; what derives from it says more
        return True
    if isinstance(error, OSError) and (error.errno in _BROKEN_ERRNO or str(error) == "Socket is closed"):  # paramiko
        return True
    return error.__cause__ is not None and is_broken_connection(error.__cause__)


@dataclass(frozen=True)
class Live:
    """A file system that is in use, how its files are dealt with, and by which process."""

    fs: Any
    root: str
    slots: asyncio.Semaphore = field(repr=False)
    files: RemoteFiles
    pid: int


async def do(live: Live, method: str, *args: Any, **kwargs: Any) -> Any:
    """Call a method of the file system, whether it is asynchronous or not, when there is a slot for it."""
    async with live.slots:
        try:
            if live.fs.async_impl and hasattr(live.fs, f"_{method}"):
                return await getattr(live.fs, f"_{method}")(*args, **kwargs)
            return await asyncio.to_thread(getattr(live.fs, method), *args, **kwargs)
        except Exception as error:
            if (refusal := refusal_of(error)) is not None:
                raise refusal from error
            if isinstance(error, OSError) and error.errno == errno.ENOENT and not isinstance(error, FileNotFoundError):
                # smbprotocol's errors have classes of their own.
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), error.filename or str(args[0])) from error
            raise


def refusal_of(error: BaseException) -> OSError | None:
    """What an error of a web server means as one of Python's: that it refuses, or that there is nothing any more."""
    status = getattr(error, "status", None)
    if status not in (401, 403, 410) or not hasattr(error, "request_info"):  # of aiohttp, which need not be installed
        return None
    url = redacted(str(error.request_info.real_url))
    if status == 410:
        return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), url)
    return PermissionError(
        errno.EACCES, f"The server refuses access (HTTP status {status}); check the arguments of the location", url
    )
