"""Tornado handlers that serve a project, read-only.

They can be added to any tornado application, whatever its event loop: storage is asked in threads and on zarr's event loop.
"""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from http.client import responses
from typing import TYPE_CHECKING, Any, TypeVar, cast

from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, RequestHandler

from copick_core.errors import BeingReplacedError, InvalidDataError, NotFoundError, UnreachableError
from copick_core.tree.keys import VOLUME_KINDS, Kind, RunKey
from copick_view.server.access import Access
from copick_view.server.documents import project_document, run_document
from copick_view.server.pictures import picture_of
from copick_view.server.ranges import Range, parse_range
from copick_view.server.urls import PARTS, BadPathError, target_of
from copick_view.server.volumes import OpenVolume, Volumes, content_tag, find

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from copick_core.overlay import CopickRootOverlay

logger = logging.getLogger(__name__)
T = TypeVar("T")

#: What the first part of a path, after the token, can be; options may follow behind a semicolon.
_FIRST = "|".join(re.escape(kind.value) for kind in PARTS)
_METHODS = "GET, HEAD, OPTIONS"
#: Threads that ask storage for lists and files. Values of volumes are read by zarr's own.
_THREADS = 16
_DOCUMENTS = (".zarray", ".zgroup", ".zattrs", ".zmetadata", "zarr.json")


class Site:
    """What the handlers of one project share.

    Args:
        root: The project.
        access: What a request must bring.
    """

    def __init__(self, root: CopickRootOverlay, access: Access) -> None:
        self.root = root
        self.access = access
        self.volumes = Volumes(root)
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="copick-view")
        # One picture at a time: each reads a part of a tomogram, and many would keep everything else waiting.
        self._drawing = ThreadPoolExecutor(1, thread_name_prefix="copick-view-drawing")

    async def in_thread(self, call: Callable[..., T], *args: Any) -> T:
        """Make a call that may wait for storage, in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, call, *args)

    async def drawing(self, call: Callable[..., T], *args: Any) -> T:
        """Make a call that draws a picture, in the thread for pictures."""
        return await asyncio.get_running_loop().run_in_executor(self._drawing, call, *args)

    def close(self) -> None:
        """Let the threads end."""
        self._drawing.shutdown(wait=False, cancel_futures=True)
        self._pool.shutdown(wait=False, cancel_futures=True)


def handlers(
    root: CopickRootOverlay,
    token: str,
    *,
    hosts: Iterable[str] = (),
    any_address: bool = False,
    origins: Iterable[str] = (),
) -> list[tuple[str, type[RequestHandler], dict[str, Any]]]:
    """The handlers of a project, for ``tornado.web.Application`` and its ``add_handlers``.

    They answer below ``/TOKEN/``, and leave all other paths to the application. docs/serving.md describes the paths.

    Args:
        root: The project.
        token: At least 16 letters, digits, ``-`` or ``_`` that callers must know.
        hosts: Names that the header ``Host`` may have besides ``localhost`` and loopback addresses.
        any_address: Whether ``Host`` may be any numeric address.
        origins: Origins of other pages that may read, such as ``https://example.org``.

    Returns:
        Rules as tornado takes them.

    Raises:
        InvalidDataError: The token or an origin is of another form.
    """
    access = Access(token, frozenset(map(str.lower, hosts)), any_address, frozenset(origins))
    return rules(Site(root, access))


def rules(site: Site) -> list[tuple[str, type[RequestHandler], dict[str, Any]]]:
    """The handlers of a site, as tornado takes them."""
    shared = {"site": site}
    return [
        (r"/([^/]+)/project", ProjectHandler, shared),
        (r"/([^/]+)/picture/.*", PictureHandler, shared),
        (rf"/([^/]+)/(?:{_FIRST})(?:;[^/]*)?/.*", EntityHandler, shared),
    ]


class SiteHandler(RequestHandler):
    """What all handlers do: check who asks, and answer errors in plain text."""

    site: Site

    def initialize(self, site: Site) -> None:
        """Take what is shared."""
        self.site = site
        self._gone = False
        self._kept: dict[str, str] = {}

    def set_default_headers(self) -> None:
        """Set what every response has: nobody guesses types, embeds it elsewhere or learns its address from a link."""
        self.clear_header("Server")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("Vary", "Origin")

    def prepare(self) -> None:
        """Refuse whoever does not know the token, or comes by another name or from another page."""
        access, host = self.site.access, self.request.headers.get("Host", "")
        origin = self.request.headers.get("Origin")
        if not access.allows_host(host):
            raise HTTPError(403, reason="this server does not answer to that Host")
        if origin is not None and not access.allows_origin(origin, host):
            raise HTTPError(403, reason="pages of that Origin may not read; --allow-origin allows one")
        if origin is not None and access.grants(origin):
            self.keep("Access-Control-Allow-Origin", "*" if "*" in access.origins else origin)
            self.keep("Access-Control-Expose-Headers", "Content-Length, Content-Range, ETag")
        else:
            self.keep("Cross-Origin-Resource-Policy", "same-origin")
        if not access.has_token(self._parts[1]):
            raise HTTPError(403, reason="the address needs the token that the server printed")

    def keep(self, name: str, value: str) -> None:
        """Set a header that an error has too: tornado drops all others then."""
        self._kept[name] = value
        self.set_header(name, value)

    @property
    def path(self) -> str:
        """What follows the token in the path, as it was sent."""
        return self._parts[2]

    @property
    def _parts(self) -> list[str]:
        """What is before the token (nothing), the token, and what follows it; a request may have any text as its path."""
        return [*self.request.path.split("/", 2), "", ""][:3]

    def options(self, *_: str) -> None:
        """Tell a page of another origin what it may send (a preflight of CORS)."""
        self.set_status(204)
        self.set_header("Allow", _METHODS)
        self.set_header("Access-Control-Allow-Methods", _METHODS)
        self.set_header("Access-Control-Allow-Headers", "Range, If-None-Match, If-Range, Cache-Control, Pragma")
        self.set_header("Access-Control-Max-Age", "600")
        if self.request.headers.get("Access-Control-Request-Private-Network") == "true":
            self.set_header("Access-Control-Allow-Private-Network", "true")

    async def asking(self, call: Awaitable[T]) -> T:
        """Await storage, and turn its errors into statuses; what they say of places stays in the server's log.

        Raises:
            HTTPError: There is no such thing, or the storage failed.
        """
        try:
            return await call
        except BadPathError as error:
            raise HTTPError(400, reason=error.reason) from error
        except NotFoundError as error:
            raise HTTPError(404, reason="there is no such thing in the project") from error
        except BeingReplacedError as error:
            self.keep("Retry-After", "1")
            raise HTTPError(503, reason="it is being replaced; ask again") from error
        except (UnreachableError, ConnectionError, TimeoutError) as error:
            logger.warning("The storage does not answer: %s", error)
            raise HTTPError(502, reason="the storage does not answer") from error
        except OSError as error:
            if error.errno not in (errno.ENAMETOOLONG, errno.EINVAL):
                raise
            raise HTTPError(404, reason="no file can have such a name") from error
        except InvalidDataError as error:
            logger.warning("What is stored cannot be read: %s", error)
            raise HTTPError(500, reason="what is stored cannot be read; see the log of the server") from error

    def answer(self, data: bytes | memoryview, media: str, tag: str | None) -> None:
        """Answer with bytes, or say that whoever asks has them already."""
        self.set_header("Cache-Control", "private, no-cache")
        if tag is not None:
            self.set_header("ETag", tag)
            if self.has(tag):
                self.set_status(304)
                return
        self.set_header("Content-Type", media)
        self.set_header("Content-Length", str(len(data)))
        if self.request.method != "HEAD":
            self.send(data)

    def send(self, data: bytes | memoryview) -> None:
        """Send the body, whose length the headers tell already, without the copies that ``write()`` makes of it."""
        connection = self.request.connection
        if connection is not None and not self._gone:
            self.flush()
            connection.write(cast(bytes, data))

    def has(self, tag: str) -> bool:
        """Whether the request says that its sender has what an ETag stands for."""
        given = re.findall(r'"[^"]*"|\*', self.request.headers.get("If-None-Match", ""))
        return tag in given or "*" in given

    def compute_etag(self) -> str | None:
        """Leave ETags to :meth:`answer`: tornado would make one of every answer."""
        return None

    def on_connection_close(self) -> None:
        """Note that nobody waits for the answer any more."""
        self._gone = True

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer an error in one line; what was raised stays here."""
        for name, value in self._kept.items():
            self.set_header(name, value)
        error = kwargs.get("exc_info", (None, None, None))[1]
        reason = error.reason if isinstance(error, HTTPError) and error.reason else responses.get(status_code, "error")
        # A reason may quote the path, so it goes into the text, never into the status line.
        self.set_status(status_code, responses.get(status_code, "Error"))
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{status_code}: {reason}\n")

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Log what was not expected, without the address, which has the token."""
        if isinstance(value, HTTPError | StreamClosedError):
            return
        logger.error("A request failed.", exc_info=(typ, value, tb))

    def _log(self) -> None:
        """Log no requests: their addresses have the token."""


class ProjectHandler(SiteHandler):
    """The project as JSON."""

    async def get(self, *_: str) -> None:
        """Answer with the project, its objects and the names of its runs."""
        document = await self.asking(self.site.in_thread(project_document, self.site.root))
        self.answer(*_json(document))

    head = get


class PictureHandler(SiteHandler):
    """Pictures of runs and tomograms."""

    async def get(self, *_: str) -> None:
        """Answer with a PNG; ``?size=`` is its longest side in pixels."""
        try:
            target = target_of(self.path.removeprefix("picture/"))
            size = int(self.get_query_argument("size", "0"))
        except BadPathError as error:
            raise HTTPError(400, reason=error.reason) from error
        except ValueError as error:
            raise HTTPError(400, reason="size is a number of pixels") from error
        if target.key.kind not in (Kind.RUN, Kind.TOMOGRAM):
            raise HTTPError(400, reason="pictures are of runs and tomograms")

        def draw() -> bytes:  # nothing for those who have left while others were drawn
            return b"" if self._gone else picture_of(self.site.root, target, size)

        data = await self.asking(self.site.drawing(draw))
        self.answer(data, "image/png", content_tag(data))

    head = get


class EntityHandler(SiteHandler):
    """Runs, files and values of volumes."""

    async def get(self, *_: str) -> None:
        """Answer with the run as JSON, a file as it is stored, or a value of a volume."""
        try:
            target = target_of(self.path)
        except BadPathError as error:
            raise HTTPError(400, reason=error.reason) from error
        site = self.site
        if target.key.kind in VOLUME_KINDS:
            volume = site.volumes.known(target)
            if volume is None:
                volume = await self.asking(site.in_thread(site.volumes.open, target))
            await self._value(volume, target.value)
        elif isinstance(target.key, RunKey):
            self.answer(*_json(await self.asking(site.in_thread(run_document, site.root, target.key))))
        else:

            def read() -> tuple[bytes, Any]:
                layer, key = find(site.root, target)
                return layer.read_revised(key)

            data, _revision = await self.asking(site.in_thread(read))
            media = "model/gltf-binary" if target.key.kind is Kind.MESH else "application/json"
            self.answer(data, media, content_tag(data))

    head = get

    async def _value(self, volume: OpenVolume, name: str) -> None:
        if not name:
            raise HTTPError(404, reason="this is the address of a zarr store; name a value, such as .zattrs or zarr.json")
        self.set_header("Accept-Ranges", "bytes")
        tag = await self.asking(self._tag(volume))
        if tag is not None and self.has(tag):
            self.answer(b"", "", tag)
            return
        media = "application/json" if name.rpartition("/")[2] in _DOCUMENTS else "application/octet-stream"
        if self.request.method == "HEAD":
            size = await self.asking(volume.size(name))
            if size is None:
                raise HTTPError(404, reason="there is no such value")
            self._describe(media, tag, size)
            return
        part = parse_range(self.request.headers.get("Range"))
        if self.request.headers.get("If-Range", tag) != tag:
            part = None
        size = await self.asking(volume.size(name)) if part is not None and part.start < 0 else None
        if self._gone:
            return
        data = await self.asking(volume.get(name, part))
        if data is None:
            raise HTTPError(404, reason="there is no such value")
        if part is None:
            self.answer(data, media, tag or content_tag(data))
        else:
            self._part(data, part, size, media, tag)

    async def _tag(self, volume: OpenVolume) -> str | None:
        return None if volume.changing else await self.site.in_thread(volume.tag)

    def _describe(self, media: str, tag: str | None, length: int) -> None:
        self.set_header("Cache-Control", "private, no-cache")
        self.set_header("Content-Type", media)
        self.set_header("Content-Length", str(length))
        if tag is not None:
            self.set_header("ETag", tag)

    def _part(self, data: memoryview, part: Range, size: int | None, media: str, tag: str | None) -> None:
        if not data:
            self.keep("Content-Range", f"bytes */{'*' if size is None else size}")
            raise HTTPError(416, reason="the range is not within the value")
        self.set_status(206)
        self.set_header("Content-Range", part.content_range(len(data), size))
        self._describe(media, tag, len(data))
        self.send(data)


def _json(document: dict[str, Any]) -> tuple[bytes, str, str]:
    data = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    return data, "application/json", content_tag(data)
