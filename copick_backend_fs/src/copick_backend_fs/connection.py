"""A connection to a file system of fsspec: made when it is needed, renewed when it breaks."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from copick_backend_fs.live import Live, is_broken_connection
from copick_core.errors import ConfigError, MissingDependencyError, UnreachableError, redacted

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


class Connection:
    """A connection to one location.

    Everything is asked on fsspec's own event loop, whichever thread or loop wants to know. A call that finds the connection
    broken is made once more over a new one. The file system is made on the first call, and again in a forked process.

    Args:
        url: The location.
        fs_args: Arguments of the file system.
    """

    def __init__(self, url: str, fs_args: Mapping[str, Any]) -> None:
        self.url = url.rstrip("/")
        self._args = dict(fs_args)
        self._live: Live | None = None
        #: Protocols of the file system and of those that it lies in, as in ``zip://…::memory://…``.
        self.protocols = [part.partition("://")[0] for part in url.split("::")]
        self.protocol = self.protocols[0]
        #: What is equal for two connections to one place, whoever connects.
        self.place = self._find_place()

    def _find_place(self) -> tuple[str, ...]:
        cls = _filesystem_class(self.protocol, self.url)
        path = self.url if "::" in self.url else cls._strip_protocol(self.url)
        return (cls.__name__, path, *server({**cls._get_kwargs_from_urls(self.url), **self._args}))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_live": None}

    def __repr__(self) -> str:
        return f"<Connection to {redacted(self.url)}>"

    # ------------------------------------------------------------------ the file system

    @property
    def live(self) -> Live:
        """The file system and what belongs to it."""
        live = self._live
        if live is None or live.pid != os.getpid():
            with self._naming_place():
                live = self._live = self._connect()
        return live

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
        files = S3Files() if is_s3 else RemoteFiles(self.protocol)
        return Live(fs, root.rstrip("/") if len(root) > 1 else root, asyncio.Semaphore(slots), files, os.getpid())

    def renew(self) -> None:
        """Make a new connection on the next call."""
        self._live = None

    # ------------------------------------------------------------------ asking

    def ask(self, question: Callable[Concatenate[Live, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Ask the file system, from any thread but that of fsspec's loop."""
        from fsspec.asyn import get_loop, sync

        with self._naming_place():
            live = self.live
            try:
                return sync(get_loop(), question, live, *args, **kwargs)  # type: ignore[no-any-return]
            except Exception as error:
                if not is_broken_connection(error):
                    raise
                self._drop(live)
            return sync(get_loop(), question, self.live, *args, **kwargs)  # type: ignore[no-any-return]

    async def ask_async(self, question: Callable[Concatenate[Live, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Ask the file system, from any event loop."""
        with self._naming_place():
            live = await asyncio.to_thread(lambda: self.live) if self._live is None else self.live
            try:
                return await _on_loop(question(live, *args, **kwargs))
            except Exception as error:
                if not is_broken_connection(error):
                    raise
                self._drop(live)
            live = await asyncio.to_thread(lambda: self.live)
            return await _on_loop(question(live, *args, **kwargs))

    @contextlib.contextmanager
    def _naming_place(self) -> Iterator[None]:
        """Name the place in errors of connecting: libraries name an address at best, mostly nothing."""
        try:
            yield
        except UnreachableError:
            raise
        except Exception as error:
            if isinstance(error, TypeError) and "unexpected keyword argument" in str(error):
                reason = f"an argument of its file system (overlay_fs_args, static_fs_args) is unknown: {redacted(str(error))}"
                raise ConfigError(source=self.url, reason=reason) from error
            if not is_broken_connection(error):
                raise
            raise UnreachableError(location=self.url, reason=str(error) or type(error).__name__) from error

    def _drop(self, broken: Live) -> None:
        if self._live is broken:
            self.renew()


async def _on_loop(answer: Awaitable[T]) -> T:
    from fsspec.asyn import get_loop

    async def awaited() -> T:
        return await answer

    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(awaited(), get_loop()))


def _filesystem_class(protocol: str, url: str) -> type[AbstractFileSystem]:
    import fsspec

    try:
        return fsspec.get_filesystem_class(protocol)  # type: ignore[no-any-return]
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
