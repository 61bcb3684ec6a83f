"""The server of ``copick-core serve``: a tornado application with nothing but the handlers of one project."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Self

from tornado.httpserver import HTTPServer
from tornado.web import Application, HTTPError

from copick_core.errors import InvalidDataError
from copick_view.server.access import Access, new_token
from copick_view.server.handlers import ProjectHandler, Site, SiteHandler, rules

if TYPE_CHECKING:
    from copick_core.overlay import CopickRootOverlay

#: Connections that may wait to be accepted.
_WAITING = 128
#: Requests have no body.
_BODY = 64 * 1024
#: Seconds after which a connection that nothing comes on is closed.
_IDLE = 3600


class NoSuchPath(SiteHandler):
    """Answers every other path, after the same checks."""

    def get(self, *_: str) -> None:
        """Name the beginnings of paths that mean something."""
        raise HTTPError(404, reason="paths start with the token, then project, or the kind of what is asked for")

    head = get


class Server:
    """Serves one project over HTTP, read-only.

    Args:
        root: The project.
        host: Address or name to listen on. Other machines can connect if it is not a loopback address; the token is then all
            that keeps them out, and is sent unencrypted.
        port: Port; 0 for any that is free.
        token: What the path starts with; a new one by default.
        origins: Origins of other pages that may read, such as ``https://example.org``; ``*`` for all.

    Attributes:
        token: What the path starts with.
        port: The port.
        url: The address of the project; it ends with a slash.

    Raises:
        InvalidDataError: The port is taken, the host is unknown, or the token or an origin is of another form.

    Example:
        >>> with Server(root) as server:  # doctest: +SKIP
        ...     zarr.open(f"{server.url}tomogram/TS_001/wbp@10.0/")
    """

    def __init__(
        self,
        root: CopickRootOverlay,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str | None = None,
        origins: Iterable[str] = (),
    ) -> None:
        self.token = token or new_token()
        self._site = Site(root, _access(self.token, host, origins))
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self._socket = socket.create_server((host, port), family=family, backlog=_WAITING)
        except OSError as error:
            self._site.close()
            reason = f"the server cannot listen there: {error.strerror or error}"
            raise InvalidDataError(source=f"port {port} of {host}", reason=reason) from error
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]
        name = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(host, host)  # noqa: S104 - is looked for
        self.url = f"http://{f'[{name}]' if ':' in name else name}:{self.port}/{self.token}/"
        self._stopping: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._started = threading.Event()

    def run(self, started: Callable[[], None] | None = None) -> None:
        """Serve until :meth:`stop` is called, or the process is interrupted.

        Args:
            started: Called when it serves.
        """
        try:
            asyncio.run(self._serve(started))
        finally:
            self._site.close()

    async def _serve(self, started: Callable[[], None] | None) -> None:
        self._stopping = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        server = HTTPServer(_application(self._site), max_body_size=_BODY, idle_connection_timeout=_IDLE)
        server.add_socket(self._socket)
        self._started.set()
        try:
            if started is not None:
                started()
            await self._stopping.wait()
        finally:
            server.stop()
            await server.close_all_connections()

    def stop(self) -> None:
        """Stop serving; may be called from any thread."""
        if self._loop is not None and self._stopping is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stopping.set)

    def __enter__(self) -> Self:
        """Serve in a thread."""
        self._thread = threading.Thread(target=self.run, name="copick-serve", daemon=True)
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, and wait until that is done."""
        self.stop()
        if self._thread is not None:
            self._thread.join()


def _application(site: Site) -> Application:
    shared: dict[str, Any] = {"site": site}
    index: list[Any] = [(r"/([^/]+)/", ProjectHandler, shared)]
    return Application([*rules(site), *index], default_handler_class=NoSuchPath, default_handler_args=shared)


def _access(token: str, host: str, origins: Iterable[str]) -> Access:
    loopback = host == "localhost" or host == "::1" or host.startswith("127.")
    names = {host.lower()} if loopback else {host.lower(), socket.gethostname().lower(), socket.getfqdn().lower()}
    return Access(token, frozenset(names), any_address=not loopback, origins=frozenset(origins))
