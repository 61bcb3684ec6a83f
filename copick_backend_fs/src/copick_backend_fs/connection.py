"""A connection to a file system of fsspec: made when it is needed, renewed when it breaks."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from copick_backend_fs.config import Limits
from copick_backend_fs.live import Live, Slots, hang_up, is_alive, is_broken_connection
from copick_backend_fs.secrets import without_secrets
from copick_core.errors import ConfigError, MissingDependencyError, UnreachableError, by_caller, redacted

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem


P = ParamSpec("P")
T = TypeVar("T")

#: Extra of this distribution that brings the package of a protocol.
EXTRAS = {
    "s3": "s3",
    "s3a": "s3",
    "gs": "gcs",
    "gcs": "gcs",
    "az": "azure",
    "abfs": "azure",
    "abfss": "azure",
    "adl": "azure",
    "ssh": "ssh",
    "sftp": "ssh",
    "smb": "smb",
    "http": "http",
    "https": "http",
}
#: Most requests that are under way at once.
CONCURRENCY = 64
_SSH = {"sftp", "ssh"}
#: File systems that ask nobody when they are made.
_LAZY = {"abfs", "abfss", "adl", "az", "http", "https", "memory", "s3", "s3a", "tar", "zip"}


def known_hosts() -> str:
    """The file in which OpenSSH keeps the keys of servers that this user has logged in to."""
    return os.path.expanduser("~/.ssh/known_hosts")


class Connection:
    """A connection to one location.

    Everything is asked on fsspec's own event loop, whichever thread or loop wants to know. A call that finds the connection
    broken is made once more over a new one. The file system is made on the first call, and again in a forked process.

    A server that is not there, or that says nothing, is given up in time. A call may take long, as that of a large file
    does: after a third of the time the server is asked something small beside it, and given up if it does not answer that in
    another third. Calls that follow are then refused for a while without asking.

    Args:
        url: The location.
        fs_args: Arguments of the file system.
        limits: How long to wait, and what configures that.
    """

    def __init__(self, url: str, fs_args: Mapping[str, Any], limits: Limits | None = None) -> None:
        self.url = url.rstrip("/")
        self._args = dict(fs_args)
        self._limits = limits or Limits()
        self._live: Live | None = None
        #: How many requests were sent over fsspec or obstore.
        self.sent = 0
        #: Until when nobody is asked, and why.
        self._given_up: tuple[float, str] | None = None
        #: How often the user wanted a new connection: what still waits for an older one says nothing of the place.
        self._renewals = 0
        #: Protocols of the file system and of those that it lies in, as in ``zip://…::memory://…``.
        self.protocols = [part.partition("://")[0] if "://" in part else "file" for part in url.split("::")]
        self.protocol = self.protocols[0]
        #: What is equal for two connections to one place, whoever connects.
        self.place = self._find_place()

    def _find_place(self) -> tuple[str, ...]:
        cls = _filesystem_class(self.protocol, self.url)
        path = self.url if "::" in self.url else cls._strip_protocol(self.url)
        return (cls.__name__, path, *server({**cls._get_kwargs_from_urls(self.url), **self._args}))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_live": None, "_given_up": None}

    def __repr__(self) -> str:
        return f"<Connection to {redacted(self.url)}>"

    @property
    def requests(self) -> int:
        """How many requests were sent; calls of a file system that takes several for one count once."""
        return self.sent

    # ------------------------------------------------------------------ the file system

    @property
    def live(self) -> Live:
        """The file system and what belongs to it."""
        live = self._live
        if live is None or live.pid != os.getpid():
            with self._naming_place():
                live = self._live = self._connect_in_time()
        return live

    def _connect_in_time(self) -> Live:
        """Connect, and stop waiting for a server that does not answer; the attempt ends by itself, unseen."""
        if {*self.protocols} <= _LAZY:
            return self._connect()
        done: Future[Live] = Future()

        def connect() -> None:
            try:
                done.set_result(self._connect())
            except BaseException as error:
                done.set_exception(error)

        threading.Thread(target=connect, daemon=True).start()
        return done.result(2 * self._limits.third)

    @property
    def fs(self) -> AbstractFileSystem:
        """The file system of fsspec, for others to use."""
        return self.live.fs

    def _connect(self) -> Live:
        from fsspec.core import url_to_fs

        from copick_backend_fs.files import RemoteFiles
        from copick_backend_fs.s3 import S3Files, new_session

        is_s3 = self.protocol in ("s3", "s3a")
        args = dict(self._args)
        if is_s3:
            args["config_kwargs"] = {"max_pool_connections": CONCURRENCY, **args.get("config_kwargs", {})}
        if self.protocol in _SSH and os.path.isfile(known_hosts()):
            args = {"known_hosts": known_hosts(), **args}  # sshfs itself checks no keys unless it is told to
        if self.protocol == "smb":
            # Otherwise whoever reads a file locks out everybody else who wants to.
            args = {"share_access": "rwd", **args}
        # Not from fsspec's cache: this one will be renewed, and its listings are not to be remembered.
        fs, root = url_to_fs(self.url, skip_instance_cache=True, **args)
        if is_s3 and fs.session is None:
            fs.session = new_session(fs.kwargs)
        cache: Any = getattr(fs, "dircache", None)
        if hasattr(cache, "use_listings_cache"):
            cache.use_listings_cache = False
            cache.clear()
        if fs.async_impl:
            slots = CONCURRENCY
        elif self.protocol in ("memory", "tar", "zip"):
            slots = 1
        else:
            slots = CONCURRENCY // 4
        if is_s3:
            files: RemoteFiles = S3Files()
        elif type(fs).__name__ == "AzureBlobFileSystem":
            from copick_backend_fs.azure import AzureFiles

            files = AzureFiles(self.protocol, self._limits.third)
        elif self.protocol == "smb":
            from copick_backend_fs.smb import SMBFiles

            files = SMBFiles()
        else:
            files = RemoteFiles(self.protocol)
        return Live(fs, root.rstrip("/") if len(root) > 1 else root, Slots(slots, self), files, os.getpid())

    def renew(self) -> None:
        """Make a new connection on the next call, and ask again at once."""
        self._renewals += 1
        self._live = None
        self._given_up = None

    # ------------------------------------------------------------------ asking

    def ask(self, question: Callable[Concatenate[Live, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Ask the file system, from any thread but that of fsspec's loop."""
        from fsspec.asyn import get_loop, sync

        with self._naming_place() as began:
            live = self.live
            try:
                return sync(get_loop(), self._watched, live, question, *args, **kwargs)  # type: ignore[no-any-return]
            except Exception as error:
                if not self._may_retry(error, live, began):
                    raise
            return sync(get_loop(), self._watched, self.live, question, *args, **kwargs)  # type: ignore[no-any-return]

    async def ask_async(self, question: Callable[Concatenate[Live, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Ask the file system, from any event loop."""
        with self._naming_place() as began:
            live = await asyncio.to_thread(lambda: self.live) if self._live is None else self.live
            try:
                return await _on_loop(self._watched(live, question, *args, **kwargs))
            except Exception as error:
                if not self._may_retry(error, live, began):
                    raise
            live = await asyncio.to_thread(lambda: self.live)
            return await _on_loop(self._watched(live, question, *args, **kwargs))

    def _may_retry(self, error: Exception, live: Live, began: float) -> bool:
        if not is_broken_connection(error):
            return False
        if self._live is live:
            self._live = None
        return time.monotonic() - began < self._limits.third

    async def _watched(
        self, live: Live, question: Callable[Concatenate[Live, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Ask, on fsspec's loop, and stop waiting when the server answers nothing else either.

        Raises:
            TimeoutError: It does not.
        """
        watching: list[asyncio.Task[None]] = []
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(None) as limit:
                watch = loop.call_later(
                    self._limits.third, lambda: watching.append(loop.create_task(self._watch(live, limit)))
                )
                try:
                    return await question(live, *args, **kwargs)
                finally:
                    watch.cancel()
                    for task in watching:
                        task.cancel()
        except TimeoutError as error:
            if limit.expired():
                hang_up(live)
                raise TimeoutError(f"no answer for {2 * self._limits.third:g} seconds") from error
            raise

    async def _watch(self, live: Live, limit: asyncio.Timeout) -> None:
        while await is_alive(live, self._limits.third):
            await asyncio.sleep(self._limits.third)
        limit.reschedule(asyncio.get_running_loop().time())

    @contextlib.contextmanager
    def _naming_place(self) -> Iterator[float]:
        """Name the place in errors of connecting: libraries name an address at best, mostly nothing.

        Yields:
            When the call began.

        Raises:
            UnreachableError: The place does not answer, or did not a moment ago.
        """
        began, renewals = time.monotonic(), self._renewals
        if self._given_up is not None and began < self._given_up[0]:
            left = self._given_up[0] - began
            again = by_caller(", or after reconnect()", "")
            reason = f"{self._given_up[1]} a moment ago; it is asked again in {left:.0f} seconds{again}"
            raise UnreachableError(location=self.url, reason=reason, field=self._limits.field)
        try:
            yield began
        except UnreachableError:
            raise
        except Exception as error:
            if isinstance(error, TypeError) and "unexpected keyword argument" in str(error):
                field = self._limits.field.rpartition("_")[0]
                arguments = f"{field}_fs_args" if field else "overlay_fs_args, static_fs_args"
                reason = f"an argument of its file system ({arguments}) is unknown: {redacted(str(error))}"
                raise ConfigError(source=self.url, reason=reason) from error
            if type(error).__name__ == "HostKeyNotVerifiable":  # of asyncssh
                reason = (
                    f"the server's key cannot be verified ({error}). Log in once with ssh, which stores it in "
                    f"{known_hosts()}, or give another file as known_hosts in its arguments; null checks nothing"
                )
                raise ConfigError(source=redacted(self.url), reason=reason) from error
            shown = without_secrets(error, self.url)
            if not is_broken_connection(error) and not _is_lost(error):
                if shown is error:
                    raise
                raise shown from None
            reason = str(shown) or str(error.__cause__ or "")  # fsspec's own errors of time say nothing
            reason = reason or ("no answer in time" if isinstance(error, TimeoutError) else type(error).__name__)
            if renewals == self._renewals:
                self._live = None
                if time.monotonic() - began > min(1.0, self._limits.third / 2) and self._limits.forgets > 0:
                    self._given_up = (time.monotonic() + self._limits.forgets, reason)
            told = UnreachableError(location=self.url, reason=reason, field=self._limits.field)
            raise told from (error if shown is error else None)


def _is_lost(error: Exception) -> bool:
    """Whether a file is said to be missing because its server does not answer, as fsspec says of archives on web servers."""
    return isinstance(error, FileNotFoundError) and error.__cause__ is not None and is_broken_connection(error.__cause__)


async def _on_loop(answer: Awaitable[T]) -> T:
    from fsspec.asyn import get_loop

    async def awaited() -> T:
        return await answer

    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(awaited(), get_loop()))


def _filesystem_class(protocol: str, url: str) -> type[AbstractFileSystem]:
    import fsspec

    try:
        cls: type[AbstractFileSystem] = fsspec.get_filesystem_class(protocol)
        if cls.__name__ == "SFTPFileSystem":
            # fsspec's own, over paramiko, is what is left without sshfs: used from several threads, it hangs.
            raise ImportError("sshfs")
        return cls
    except ImportError as error:
        extra = EXTRAS.get(protocol)
        install = f'pip install "copick-backend-fs[{extra}]"' if extra else f"pip: {error}"
        raise MissingDependencyError(feature=f"A location at {protocol}://", install=install) from error
    except ValueError as error:
        known = ", ".join(sorted({"local", *EXTRAS, "memory", "zip"}))
        raise ConfigError(
            source=redacted(url), reason=f"no file system is known for {protocol!r}; for example: {known}"
        ) from error


def server(args: Mapping[str, Any]) -> tuple[str, ...]:
    """The server that a location is on, as far as the arguments of its file system tell."""
    endpoint = args.get("endpoint_url") or dict(args.get("client_kwargs") or {}).get("endpoint_url")
    return tuple(str(part) for part in (endpoint, args.get("account_name"), args.get("host"), args.get("port")) if part)
