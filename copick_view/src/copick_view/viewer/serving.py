"""The server of the page: neuroglancer's own tornado application, with the handlers of a project and those of the page.

Neuroglancer keeps its application in an attribute that it does not document, so this is the one room that touches it; the
version is pinned below 3 for that.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from copick_core.errors import ConfigError, CopickError, MissingDependencyError
from copick_view.server.access import Access, new_token
from copick_view.server.handlers import Site, rules
from copick_view.viewer.merging import Generations, merged
from copick_view.viewer.pages import page_rules, refusal
from copick_view.viewer.scene import Sources, run_of
from copick_view.viewer.session import RunSession

if TYPE_CHECKING:
    from pathlib import Path

    from copick_core.overlay import CopickRootOverlay

INSTALL = 'pip install "copick-core[view]"'


class PageServer:
    """Serves the page of a project, to this machine only.

    Args:
        root: The project.
        port: Port; 0 for any that is free.
        token: What the path starts with; a new one by default.
        user_id: User who edits; the config's by default.
        session_id: Session to edit in; the config's by default.
        drafts: Folder of drafts; that of the user by default.

    Attributes:
        token: What the path starts with.
        port: The port.
        url: The address of the page; it ends with a slash.

    Raises:
        MissingDependencyError: neuroglancer is not installed.
        ConfigError: The port is taken.

    Example:
        >>> with PageServer(root) as server:  # doctest: +SKIP
        ...     print(server.url)
    """

    def __init__(
        self,
        root: CopickRootOverlay,
        *,
        port: int = 0,
        token: str | None = None,
        user_id: str | None = None,
        session_id: str | None = None,
        drafts: Path | None = None,
    ) -> None:
        self.root = root
        self.token = token or new_token()
        self._user_id, self._session_id, self._drafts = user_id, session_id, drafts
        self._sessions: dict[tuple[str, str], RunSession] = {}
        self._opening = threading.Lock()
        self.site = Site(root, Access(self.token))
        try:
            self._server = _neuroglancer_server(port, [*rules(self.site), *page_rules(self)], refusal(self.site))
        except OSError as error:
            self.site.close()
            reason = f"the page cannot be served at port {port}: {error.strerror or error}"
            raise ConfigError(source="port", reason=reason) from error
        self.port: int = self._server.port
        self.url = f"http://127.0.0.1:{self.port}/{self.token}/"

    def prepare(self, run: str) -> threading.Thread:
        """Open a run while the browser starts; gives the thread that does. What fails is told when the page asks for the run.

        Args:
            run: Name of the run.
        """

        def open_run() -> None:
            with suppress(CopickError):
                self.session(run, f"127.0.0.1:{self.port}")

        thread = threading.Thread(target=open_run, name=f"copick-view opens {run}", daemon=True)
        thread.start()
        return thread

    def session(self, run: str, host: str) -> RunSession:
        """The run as it is open in the page; opened first if it is not.

        Args:
            run: Name of the run.
            host: What the page calls this server: its name or address, and the port.

        Raises:
            NotFoundError: There is no such run, or it has no tomogram.
        """
        with self._opening:
            known = self._sessions.get((run, host))
            if known is None:
                run_of(self.root, run)
                known = self._sessions[run, host] = self._open(run, host)
            return known

    def _open(self, run: str, host: str) -> RunSession:
        viewer = _neuroglancer_viewer(self._server)
        sources = Sources(f"http://{host}/{self.token}/viewer/data/{viewer.token}/")
        return RunSession(
            self.root,
            run,
            sources,
            viewer,
            user_id=self._user_id,
            session_id=self._session_id,
            drafts=self._drafts,
        )

    def by_viewer(self, viewer_token: str) -> RunSession | None:
        """The open run whose viewer has a token."""
        return next((s for s in [*self._sessions.values()] if s.drawing.viewer.token == viewer_token), None)

    def wait(self) -> None:
        """Wait until the process is interrupted."""
        threading.Event().wait()

    def close(self) -> None:
        """Stop serving. Edits that are not stored stay in drafts."""
        with self._opening:
            for session in self._sessions.values():
                session.close()
                session.editor.close()
        self._server.stop()
        self.site.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _neuroglancer_server(port: int, added: Iterable[Any], refused: Any) -> Any:
    """Start neuroglancer's server, with handlers added to its application."""
    import warnings

    try:
        with warnings.catch_warnings():
            # One of tornado's classes, deprecated since 5.0 and still what neuroglancer starts its loop with.
            warnings.simplefilter("ignore", DeprecationWarning)
            from neuroglancer.server import Server

            server = Server(bind_address="127.0.0.1", bind_port=port)
    except ImportError as error:
        raise MissingDependencyError(feature="The viewer", install=INSTALL) from error
    ready = threading.Event()

    def add() -> None:
        server.app.add_handlers(r".*", [*added])
        # Neuroglancer answers to any Host. Rules that are added last are asked first, so this comes last.
        server.app.add_handlers(r"(?!(?:127\.\d+\.\d+\.\d+|localhost|::1|\[::1\])$).*", [refused])
        ready.set()

    server.loop.call_soon_threadsafe(add)
    ready.wait()
    return server


def _neuroglancer_viewer(server: Any) -> Any:
    """A viewer whose state a page and this process share."""
    from neuroglancer.viewer_base import ViewerBase

    class PageViewer(ViewerBase):  # type: ignore[misc,unused-ignore]
        generations: Generations

        def set_state(self, new_state: Any, generation: str | None = None, existing_generation: str | None = None) -> Any:
            """Take a state of the page: if it does not know of the newest one, what it changed is done to that."""
            shared = self.shared_state
            with shared._lock:
                now, newest = shared.raw_state_and_generation
                self.generations.remember(newest, now)
                if existing_generation is not None and existing_generation != newest:
                    base = self.generations.get(existing_generation)
                    if base is not None:
                        new_state = merged(base, new_state, now)
                    generation = None  # a generation of the server's: the page is sent the state
                found = shared.set_state(new_state, generation)
                self.generations.remember(found, shared.raw_state)
                return found

        def defer_callback(self, callback: Any, *args: Any, **kwargs: Any) -> None:
            server.loop.call_soon_threadsafe(lambda: callback(*args, **kwargs))

    viewer = PageViewer(allow_credentials=False)
    viewer.generations = Generations()
    server.viewers[viewer.token] = viewer
    return viewer
