"""An S3 server in memory, with a settable latency, that counts what it is asked.

It knows what storage libraries need of path-style S3: objects (whole and in ranges), conditional writes, copies, deletion of
one or many, and listings with prefix, delimiter and continuation. It checks no signature. Faster than moto's server by far,
so that what is measured is the client. POST to ``/`` starts counting anew. ``python bench/s3_stub.py --latency 20`` serves
an empty bucket named ``lab``.
"""

from __future__ import annotations

import argparse
import asyncio
import bisect
import hashlib
import re
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape, unescape

_DATE = "Thu, 01 Jan 2026 00:00:00 GMT"
_PAGE = 1000
_REASONS = {200: "OK", 204: "No Content", 206: "Partial Content"}


class _Object(NamedTuple):
    content: bytes
    etag: str


class _RefusedError(Exception):
    def __init__(self, status: int, code: str) -> None:
        self.status, self.code = status, code


@dataclass
class _Answer:
    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class _Request:
    method: str
    bucket: str
    key: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def kind(self) -> str:
        """What it is counted as."""
        if self.method == "GET" and not self.key:
            return "LIST"
        if self.method == "POST" and "delete" in self.query:
            return "DELETE-MANY"
        return "COPY" if "x-amz-copy-source" in self.headers else self.method


class S3Stub:
    """The server, on a thread of its own. A context manager.

    Args:
        latency: Seconds that each answer takes longer; may be changed at any time.

    Attributes:
        url: Its endpoint.
        counts: How many requests of each kind there were: LIST, GET, HEAD, PUT, COPY, DELETE, DELETE-MANY.
        sent: Bytes of all bodies that were sent.
        most_at_once: Most requests that were under way at once.
    """

    def __init__(self, latency: float = 0.0) -> None:
        self.latency = latency
        self._buckets: dict[str, dict[str, _Object]] = {"lab": {}}
        self._sorted: dict[str, list[str]] = {}
        self._under_way = 0
        self.forget()

    def forget(self) -> None:
        """Start counting anew."""
        self.counts: Counter[str] = Counter()
        self.sent = 0
        self.most_at_once = 0

    @contextmanager
    def counting(self) -> Iterator[dict[str, int]]:
        """Count what arrives inside the block; read the result after it."""
        before, counts = self.counts.copy(), {}
        yield counts
        counts.update(self.counts - before)

    def put(self, bucket: str, objects: Mapping[str, bytes]) -> None:
        """Store objects without a request."""
        stored = {key: _Object(content, _etag(content)) for key, content in objects.items()}
        self._buckets.setdefault(bucket, {}).update(stored)
        self._sorted.pop(bucket, None)

    def clear(self, bucket: str) -> None:
        """Delete all objects of a bucket, without a request."""
        self._drop(bucket, [*self._buckets[bucket]])

    def content(self, bucket: str, key: str) -> bytes:
        """An object's content, without a request."""
        return self._buckets[bucket][key].content

    def keys(self, bucket: str) -> list[str]:
        """Keys of all objects of a bucket, without a request."""
        if bucket not in self._sorted:
            self._sorted[bucket] = sorted(self._buckets[bucket])
        return self._sorted[bucket]

    # ------------------------------------------------------------------ HTTP

    def __enter__(self) -> S3Stub:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        serve = asyncio.start_server(self._connected, "127.0.0.1", 0, limit=2**20, backlog=512)
        self._server = asyncio.run_coroutine_threadsafe(serve, self._loop).result()
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _stop(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (request := await _read_request(reader, writer)) is not None:
                if not request.bucket and request.method == "POST":
                    self.forget()
                    writer.write(_head(_Answer(status=204)))
                    continue
                self.counts[request.kind] += 1
                self._under_way += 1
                self.most_at_once = max(self.most_at_once, self._under_way)
                await asyncio.sleep(self.latency)
                self._under_way -= 1
                answer = self._answer(request)
                body = b"" if request.method == "HEAD" else answer.body
                self.sent += len(body)
                writer.write(_head(answer) + body)
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass  # the client has gone, or the server stops
        finally:
            writer.close()

    def _answer(self, request: _Request) -> _Answer:
        try:
            if request.bucket not in self._buckets:
                raise _RefusedError(404, "NoSuchBucket")
            answer = getattr(self, f"_{request.kind.replace('-', '_').lower()}", None)
            if answer is None or {"uploads", "uploadId"} & set(request.query):
                raise _RefusedError(501, "NotImplemented")
            return answer(request, self._buckets[request.bucket])
        except _RefusedError as refused:
            body = f"<Error><Code>{refused.code}</Code><Message>{refused.code}</Message></Error>"
            return _Answer(body.encode(), refused.status, {"Content-Type": "application/xml"})

    # ------------------------------------------------------------------ S3

    def _get(self, request: _Request, objects: dict[str, _Object]) -> _Answer:
        content, etag = _existing(objects, request.key)
        headers = {"ETag": etag, "Last-Modified": _DATE, "Accept-Ranges": "bytes"}
        if "range" not in request.headers:
            return _Answer(content, 200, headers)
        first, _, last = request.headers["range"].removeprefix("bytes=").partition("-")
        start = int(first) if first else max(0, len(content) - int(last))
        stop = min(len(content), int(last) + 1 if first and last else len(content))
        if start >= len(content):
            raise _RefusedError(416, "InvalidRange")
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(content)}"
        return _Answer(content[start:stop], 206, headers)

    def _head(self, request: _Request, objects: dict[str, _Object]) -> _Answer:
        return self._get(request, objects) if request.key else _Answer()

    def _put(self, request: _Request, objects: dict[str, _Object]) -> _Answer:
        found = objects.get(request.key)
        if request.headers.get("if-none-match") == "*" and found is not None:
            raise _RefusedError(412, "PreconditionFailed")
        if (expected := request.headers.get("if-match")) is not None:
            if found is None:
                raise _RefusedError(404, "NoSuchKey")
            if expected.strip('"') != found.etag.strip('"'):
                raise _RefusedError(412, "PreconditionFailed")
        self.put(request.bucket, {request.key: request.body})
        return _Answer(headers={"ETag": _etag(request.body)})

    def _copy(self, request: _Request, objects: dict[str, _Object]) -> _Answer:
        bucket, _, key = unquote(request.headers["x-amz-copy-source"]).lstrip("/").partition("/")
        copied = _existing(self._buckets.get(bucket, {}), key)
        self.put(request.bucket, {request.key: copied.content})
        result = f"<ETag>{escape(copied.etag)}</ETag><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
        return _xml("CopyObjectResult", result)

    def _delete(self, request: _Request, objects: dict[str, _Object]) -> _Answer:
        self._drop(request.bucket, [request.key])
        return _Answer(status=204)

    def _delete_many(self, request: _Request, objects: dict[str, _Object]) -> _Answer:
        keys = [unescape(key, {"&quot;": '"'}) for key in re.findall(r"<Key>(.*?)</Key>", request.body.decode(), re.S)]
        self._drop(request.bucket, keys)
        return _xml("DeleteResult", "".join(f"<Deleted><Key>{escape(key)}</Key></Deleted>" for key in keys))

    def _drop(self, bucket: str, keys: list[str]) -> None:
        for key in keys:
            self._buckets[bucket].pop(key, None)
        self._sorted.pop(bucket, None)

    def _list(self, request: _Request, objects: dict[str, _Object]) -> _Answer:
        query = request.query
        prefix, delimiter, most = query.get("prefix", ""), query.get("delimiter", ""), int(query.get("max-keys", _PAGE))
        after = query.get("continuation-token", query.get("start-after", ""))
        shown = quote if query.get("encoding-type") == "url" else escape
        keys, last, count, parts = self.keys(request.bucket), "", 0, []
        index = bisect.bisect_left(keys, prefix) if after < prefix else _past(keys, after, delimiter)
        while index < len(keys) and keys[index].startswith(prefix) and count < most:
            key, count = keys[index], count + 1
            cut = key.find(delimiter, len(prefix)) if delimiter else -1
            if cut >= 0:
                last = key[: cut + len(delimiter)]
                parts.append(f"<CommonPrefixes><Prefix>{shown(last)}</Prefix></CommonPrefixes>")
                index = _past(keys, last, delimiter)
            else:
                last = key
                facts = f"<Size>{len(objects[key].content)}</Size><ETag>{escape(objects[key].etag)}</ETag>"
                facts += "<LastModified>2026-01-01T00:00:00.000Z</LastModified><StorageClass>STANDARD</StorageClass>"
                parts.append(f"<Contents><Key>{shown(key)}</Key>{facts}</Contents>")
                index += 1
        truncated = index < len(keys) and keys[index].startswith(prefix)
        more = f"<NextContinuationToken>{escape(last)}</NextContinuationToken>" if truncated else ""
        about = f"<Name>{request.bucket}</Name><Prefix>{shown(prefix)}</Prefix><KeyCount>{count}</KeyCount>"
        about += f"<MaxKeys>{most}</MaxKeys><Delimiter>{shown(delimiter)}</Delimiter>"
        if "encoding-type" in query:
            about += f"<EncodingType>{query['encoding-type']}</EncodingType>"
        return _xml("ListBucketResult", f"{about}<IsTruncated>{str(truncated).lower()}</IsTruncated>{more}{''.join(parts)}")


def _past(keys: list[str], after: str, delimiter: str) -> int:
    """Index of the first key after a key, or after all that begin with a common prefix."""
    if delimiter and after.endswith(delimiter):
        return bisect.bisect_left(keys, after[:-1] + chr(ord(after[-1]) + 1))
    return bisect.bisect_right(keys, after)


def _existing(objects: Mapping[str, _Object], key: str) -> _Object:
    if key not in objects:
        raise _RefusedError(404, "NoSuchKey")
    return objects[key]


def _etag(content: bytes) -> str:
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'


def _xml(name: str, content: str) -> _Answer:
    body = f'<?xml version="1.0" encoding="UTF-8"?><{name} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{content}</{name}>'
    return _Answer(body.encode(), headers={"Content-Type": "application/xml"})


def _head(answer: _Answer) -> bytes:
    headers = {"Content-Length": str(len(answer.body)), "x-amz-request-id": "stub", **answer.headers}
    lines = [f"HTTP/1.1 {answer.status} {_REASONS.get(answer.status, 'Refused')}", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


async def _read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> _Request | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    if headers.get("expect") == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    if "aws-chunked" in headers.get("content-encoding", ""):
        body = _unchunked(body)
    parts = urlsplit(target)
    bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
    query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    return _Request(method, bucket, key, query, headers, body)


def _unchunked(body: bytes) -> bytes:
    """The content of a body in the chunks that S3 clients sign one by one."""
    content, position = b"", 0
    while True:
        end = body.index(b"\r\n", position)
        size = int(body[position:end].split(b";")[0], 16)
        if not size:
            return content
        content += body[end + 2 : end + 2 + size]
        position = end + 2 + size + 2


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latency", type=float, default=0.0, help="milliseconds that each answer takes longer")
    with S3Stub(parser.parse_args().latency / 1000) as stub:
        print(stub.url, flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print(dict(stub.counts))


if __name__ == "__main__":
    main()
