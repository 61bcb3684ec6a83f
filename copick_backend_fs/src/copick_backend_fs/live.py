"""A file system that is in use: how it is asked, and which of its errors say that the connection is gone."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import os
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from copick_core.errors import InvalidNameError, redacted

if TYPE_CHECKING:
    from copick_backend_fs.files import RemoteFiles

T = TypeVar("T")

#: Names of one page of a list.
PAGE = 1000

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
#: Attempts at what an SMB server refuses while somebody else has the file open, locks, replaces or deletes it.
_IN_USE = {
    0xC0000043: 7,  # STATUS_SHARING_VIOLATION
    0xC0000054: 7,  # STATUS_FILE_LOCK_CONFLICT
    0xC0000056: 7,  # STATUS_DELETE_PENDING
    0xC0000022: 4,  # STATUS_ACCESS_DENIED: for good more often than for a moment
}
#: Errors of SMB whose numbers smbprotocol does not know.
_NUMBERS = {
    0xC0000033: errno.ENOENT,  # STATUS_OBJECT_NAME_INVALID
    0xC0000022: errno.EACCES,
    0xC0000056: errno.ENOENT,
}
#: The way out where a web server lists no folders.
NAME_THEM = "name what there is in the configuration (runs, voxel_spacings, tomograms)"
_BROKEN_ERRNO = {
    errno.EBADF,  # smbprotocol goes on with a socket that it has closed
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
    if isinstance(error, ConnectionError | TimeoutError | EOFError | socket.gaierror) or names & _BROKEN:
        return True
    if type(error).__name__ == "SMBAuthenticationError" and "No username or password" in str(error):
        # smbprotocol connects anew by itself, and forgets as whom; who has no name at all is told so by the second attempt.
        return True
    if type(error).__name__ == "DisconnectError":  # asyncssh; what derives from it says more
        return True
    if isinstance(error, OSError) and (error.errno in _BROKEN_ERRNO or str(error) == "Socket is closed"):  # paramiko
        return True
    return error.__cause__ is not None and is_broken_connection(error.__cause__)


class Sender(Protocol):
    """What counts the requests that it sends."""

    sent: int


class Slots(asyncio.Semaphore):
    """Slots of requests that are under way, which count the requests.

    Args:
        number: How many there are.
        sender: What counts.
    """

    def __init__(self, number: int, sender: Sender) -> None:
        super().__init__(number)
        self._sender = sender

    async def acquire(self) -> Literal[True]:
        """Wait for a slot, and count a request."""
        await super().acquire()
        self._sender.sent += 1
        return True

    def count_pages(self, names: int) -> None:
        """Count the further requests of a list that had so many names."""
        self._sender.sent += max(0, names - 1) // PAGE


@dataclass(frozen=True)
class Live:
    """A file system that is in use, how its files are dealt with, and by which process."""

    fs: Any
    root: str
    slots: Slots = field(repr=False)
    files: RemoteFiles
    pid: int

    def full_path(self, path: str) -> str:
        """Path in the file system of a path below the root; refuses one that leads out of it."""
        if path.startswith("/") or "/../" in f"/{path}/":
            raise InvalidNameError(what="path", name=path, reason=f"it leads out of {redacted(self.root)}")
        return f"{self.root.rstrip('/')}/{path}" if self.root else path


async def is_alive(live: Live, seconds: float) -> bool:
    """Whether the server answers something small in time; a refusal is an answer too."""
    try:
        async with asyncio.timeout(seconds):
            await live.files.ask_something(live)
    except Exception as error:
        return not is_broken_connection(error)
    return True


async def ask_beside(live: Live) -> None:
    """Ask for the project's folder beside everything that is under way: past the slots, and on a thread of its own."""
    if live.fs.async_impl:
        await live.fs._info(live.root)
        return
    answer = asyncio.get_running_loop().create_future()

    def ask() -> None:
        try:
            live.fs.info(live.root)
            error: Exception | None = None
        except Exception as failure:
            error = failure
        with contextlib.suppress(RuntimeError):  # the loop may be gone
            answer.get_loop().call_soon_threadsafe(tell, error)

    def tell(error: Exception | None) -> None:
        if answer.done():
            return
        if error is None:
            answer.set_result(None)
        else:
            answer.set_exception(error)

    threading.Thread(target=ask, daemon=True).start()
    await answer


def hang_up(live: Live) -> None:
    """End a connection whose server says nothing: threads of its library wait for answers until then, and so would exit()."""
    fs = live.fs
    kind = type(fs).__name__

    def end() -> None:
        with contextlib.suppress(Exception):
            if kind == "SMBFileSystem":
                import smbclient  # type: ignore[import-not-found,import-untyped,unused-ignore]

                # The session is there already; nothing is sent.
                session = smbclient.register_session(fs.host, username=fs.username, password=fs.password, port=fs._port)
                session.connection.disconnect(close=False)
            elif kind == "SFTPFileSystem":
                fs.client.close()

    if kind in ("SMBFileSystem", "SFTPFileSystem"):
        threading.Thread(target=end, daemon=True).start()


async def do(live: Live, method: str, *args: Any, **kwargs: Any) -> Any:
    """Call a method of the file system, whether it is asynchronous or not, when there is a slot for it."""
    if live.fs.async_impl and hasattr(live.fs, f"_{method}"):
        async with live.slots:
            try:
                return await getattr(live.fs, f"_{method}")(*args, **kwargs)
            except Exception as error:
                usual = _as_usual(error, args)
                if usual is None:
                    raise
                raise usual from error
    return await in_time(live, getattr(live.fs, method), *args, **kwargs)


async def in_time(live: Live, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Call a function that waits for the server, on a thread, when there is a slot for it."""
    async with live.slots:
        for attempt in itertools.count(1):
            try:
                return await asyncio.to_thread(function, *args, **kwargs)
            except Exception as error:
                if attempt >= _IN_USE.get(getattr(error, "ntstatus", 0), 0):
                    usual = _as_usual(error, args)
                    if usual is None:
                        raise
                    raise usual from error
            await asyncio.sleep(0.02 * 2**attempt)
    raise RuntimeError("there is no last attempt")


def _as_usual(error: Exception, args: Sequence[Any]) -> OSError | None:
    """The error that every file system raises for this, if it is another one.

    smbprotocol's errors have a class of their own, whatever their number is.
    """
    if (refusal := refusal_of(error)) is not None:
        return refusal
    number = _NUMBERS.get(getattr(error, "ntstatus", 0), getattr(error, "errno", None))
    if not isinstance(error, OSError) or number is None:
        return None
    usual = OSError(number, os.strerror(number), error.filename or (str(args[0]) if args else None))
    return None if type(usual) is OSError or isinstance(error, type(usual)) else usual


def refusal_of(error: BaseException) -> OSError | None:
    """What an error of a web server means as one of Python's: that it refuses, or that there is nothing any more."""
    status = getattr(error, "status", None)
    if status not in (401, 403, 410) or not hasattr(error, "request_info"):  # of aiohttp, which need not be installed
        return None
    url = redacted(str(error.request_info.real_url))
    if status == 410:
        return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), url)
    reason = f"The server refuses access (HTTP status {status}); check the arguments of the location"
    if status == 403 and url.endswith("/"):
        reason += f". A server that lists no folders refuses so too: {NAME_THEM}"
    return PermissionError(errno.EACCES, reason, url)
