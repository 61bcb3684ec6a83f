"""The page itself, what it asks for, and what it tells: tornado handlers below ``/TOKEN/`` and ``/TOKEN/viewer/``."""

from __future__ import annotations

import json
import mimetypes
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from tornado.web import HTTPError, RequestHandler

from copick_core.errors import CopickError
from copick_view.server.handlers import Site, SiteHandler
from copick_view.server.ranges import parse_range
from copick_view.server.volumes import byte_request, content_tag, on_zarr_loop

if TYPE_CHECKING:
    from copick_view.viewer.serving import PageServer
    from copick_view.viewer.session import RunSession

#: What the page consists of; nothing comes from outside.
_PARTS = {"page.html", "page.css", "page.js"}
_POLICY = (
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'self'; base-uri 'none'; "
    "form-action 'none'"
)

Rule = tuple[str, type[RequestHandler], dict[str, Any]]


def page_rules(server: PageServer) -> list[Rule]:
    """The handlers of the page, as tornado takes them."""
    shared = {"server": server}
    return [
        (r"/([^/]+)/", PageHandler, shared),
        (r"/([^/]+)/viewer/part/([a-z.]+)", PageHandler, shared),
        (r"/([^/]+)/viewer/data/([^/]+)/([^/]+)/(.*)", DataHandler, shared),
        (r"/([^/]+)/viewer/run/([^/]+)", RunHandler, shared),
        (r"/([^/]+)/viewer/run/([^/]+)/points/([^/]*)", PointsHandler, shared),
    ]


def refusal(site: Site) -> Rule:
    """A rule that refuses every path, for hosts that are not this machine."""
    return (r".*", Refusal, {"site": site})


class _PageHandler(SiteHandler):
    """What all handlers of the page share."""

    def initialize(self, server: PageServer) -> None:  # type: ignore[override]
        """Take what is shared."""
        super().initialize(server.site)
        self.server = server

    def json(self, document: Any) -> None:
        """Answer with JSON."""
        data = json.dumps(document, ensure_ascii=False).encode()
        self.answer(data, "application/json", content_tag(data))

    async def session(self, run: str) -> RunSession:
        """The open run of a name that stands in a path."""
        return await self.asking(self.site.in_thread(self.server.session, run, self.request.headers["Host"]))


class PageHandler(_PageHandler):
    """The page: HTML, style and script."""

    def get(self, _: str, name: str = "page.html") -> None:
        """Answer with a part of the page."""
        if name not in _PARTS:
            raise HTTPError(404, reason="the page has no such part")
        data = files(__package__).joinpath("page", name).read_bytes()
        self.set_header("Content-Security-Policy", _POLICY)
        self.answer(data, mimetypes.guess_type(name)[0] or "text/plain", content_tag(data))


class DataHandler(_PageHandler):
    """Volumes, meshes and shapes that the viewer draws."""

    async def get(self, _: str, viewer: str, name: str, key: str) -> None:
        """Answer with a value of a volume, or a file."""
        session = self.server.by_viewer(viewer)
        if session is None:
            raise HTTPError(404, reason="this run is not open")
        store = session.sources.store(name)
        if store is None:
            data = session.sources.file(name, key)
            if data is None:
                raise HTTPError(404, reason="there is no such file")
            self.answer(data, "application/octet-stream", content_tag(data))
            return
        self.set_header("Accept-Ranges", "bytes")
        if self.request.method == "HEAD":
            try:
                size = await self.asking(on_zarr_loop(store.getsize(key)))
            except FileNotFoundError as error:
                raise HTTPError(404, reason="there is no such value") from error
            self.set_header("Content-Length", str(size))
            return
        part = parse_range(self.request.headers.get("Range"))
        from zarr.core.buffer import default_buffer_prototype

        request = None if part is None else byte_request(part)
        value = await self.asking(on_zarr_loop(store.get(key, default_buffer_prototype(), request)))
        if value is None:
            raise HTTPError(404, reason="there is no such value")
        data = value.to_bytes()
        if part is not None:
            self.set_status(206)
            whole = await self.asking(on_zarr_loop(store.getsize(key))) if part.start < 0 else None
            self.set_header("Content-Range", part.content_range(len(data), whole))
        self.answer(data, "application/octet-stream", None)

    head = get


class RunHandler(_PageHandler):
    """A run that is open: what the page shows beside the viewer, and what the user does there."""

    async def get(self, _: str, run: str) -> None:
        """Open the run if it is not, and answer with all that the page shows of it."""
        session = await self.session(run)
        document = await self.asking(self.site.in_thread(session.panel))
        self.json({**document, "viewer": f"/v/{session.drawing.viewer.token}/"})

    async def post(self, _: str, run: str) -> None:
        """Do what the user asks for, and answer as to GET."""
        session = await self.session(run)
        try:
            asked = json.loads(self.request.body)
            action, arguments = asked["action"], asked.get("with", {})
            call = _ACTIONS[action]
        except (ValueError, KeyError, TypeError) as error:
            raise HTTPError(400, reason=f"the body is JSON with an action: {', '.join(_ACTIONS)}") from error
        try:
            await self.site.in_thread(lambda: call(session, **arguments))
        except (CopickError, TypeError) as error:
            raise HTTPError(400, reason=str(error)) from error
        document = await self.site.in_thread(session.panel)
        self.json({**document, "viewer": f"/v/{session.drawing.viewer.token}/"})


_ACTIONS: dict[str, Any] = {
    "store": lambda s: s.store(),
    "undo": lambda s: s.undo(),
    "reload": lambda s: s.reload(),
    "save_as": lambda s, session: s.save_as(session),
    "choose": lambda s, object: s.choose(object),
    "assign": lambda s, object: s.assign(object),
    "delete": lambda s: s.delete_selected(),
    "copy": lambda s, list: s.copy_list(list),
    "answer": lambda s, number, choice, session=None: s.answer(number, choice, session),
    "go": lambda s, list, point: s.go_to(list, point),
    "show": lambda s, names, visible: s.show(names, visible=visible),
    "tomogram": lambda s, address, level: s.open_tomogram(address, level),
    "review": lambda s, object, state, note="": s.review(object or None, state, note),
    "view": lambda s, view: s.restore_view(view),
}


class PointsHandler(_PageHandler):
    """The points of a list."""

    async def get(self, _: str, run: str, name: str) -> None:
        """Answer with the points of a list."""
        session = await self.session(run)
        self.json(await self.site.in_thread(session.points, name))


class Refusal(SiteHandler):
    """Answers to names that are none of this machine: its checks refuse all of them."""

    def get(self, *_: str) -> None:
        """Never get here."""
        raise HTTPError(403, reason="this server does not answer to that Host")

    head = post = put = get
