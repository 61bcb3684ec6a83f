"""A real S3 server on loopback that counts what it is asked."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class S3Server:
    """moto's server behind a counter.

    Attributes:
        url: Its endpoint.
        requests: Method and kind of each request, in order of arrival.
        delay: Seconds that each answer takes longer.
        most_at_once: Most requests that were under way at once.
        ignores_conditions: Whether it writes whatever ``If-Match`` and ``If-None-Match`` say, as some servers do.
        refuses: Whether every request is refused for want of permission.
        allows: How many requests are still answered; then all are refused, as if the one who asks were dead. None: all.
        refuses_part: The part of each multipart upload that is refused. None: none.
        loses: How many answers to the next writes are lost on the way, after the write.
        signed: Access key and session token of the last request; None if it was not signed.
    """

    def __init__(self) -> None:
        from moto.core import DEFAULT_ACCOUNT_ID
        from moto.s3.models import s3_backends
        from moto.server import create_backend_app
        from werkzeug.serving import WSGIRequestHandler, make_server

        class Quick(WSGIRequestHandler):
            protocol_version = "HTTP/1.1"  # connections are kept, as every real server does
            disable_nagle_algorithm = True  # or each answer on a kept connection waits 40 ms for an acknowledgement

            def log_request(self, *_: object) -> None:
                pass

        self._backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
        self._app = create_backend_app("s3")
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True, request_handler=Quick)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._lock = threading.Lock()
        self._under_way = 0
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.forget()

    def forget(self) -> None:
        """Start counting anew."""
        self.requests: list[str] = []
        self.delay = 0.0
        self.most_at_once = 0
        self.ignores_conditions = False
        self.refuses = False
        self.allows: int | None = None
        self.refuses_part: int | None = None
        self.loses = 0
        self.signed: tuple[str, str | None] | None = None

    def put(self, bucket: str, objects: dict[str, bytes]) -> None:
        """Store objects without a request."""
        for key, content in objects.items():
            self._backend.put_object(bucket, key, content)

    def delete(self, bucket: str, key: str) -> None:
        """Delete an object without a request."""
        self._backend.delete_object(bucket, key)

    def keys(self, bucket: str) -> list[str]:
        """Keys of all objects of a bucket, asked without a request."""
        return sorted(self._backend.buckets[bucket].keys)

    def uploads(self, bucket: str) -> list[str]:
        """Keys of all multipart uploads that were neither completed nor aborted, asked without a request."""
        return sorted(upload.key_name for upload in self._backend.buckets[bucket].multiparts.values())

    def empty(self, bucket: str) -> None:
        """Make a bucket, or empty the one that exists, and start counting anew."""
        if bucket in self._backend.buckets:
            self._backend.buckets[bucket].keys.clear()
            self._backend.buckets[bucket].multiparts.clear()
        else:
            self._backend.create_bucket(bucket, "us-east-1")
        self.forget()

    @contextmanager
    def counting(self) -> Iterator[dict[str, int]]:
        """Count what arrives inside the block; read the result after it."""
        before, counts = len(self.requests), {}
        yield counts
        counts.update(Counter(self.requests[before:]))

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Any:
        with self._lock:
            self.requests.append(_kind(environ))
            self.signed = _signed(environ)
            self._under_way += 1
            self.most_at_once = max(self.most_at_once, self._under_way)
            refused = self.refuses or self.allows == 0 or f"partNumber={self.refuses_part}" in environ["QUERY_STRING"]
            if self.allows:
                self.allows -= 1
            if self.ignores_conditions:
                environ.pop("HTTP_IF_MATCH", None)
                environ.pop("HTTP_IF_NONE_MATCH", None)
        try:
            time.sleep(self.delay)
            if refused:
                start_response("403 Forbidden", [("Content-Type", "application/xml")])
                return [b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"]
            if environ["REQUEST_METHOD"] == "PUT" and self.loses:
                self.loses -= 1
                b"".join(self._app(environ, lambda *_: None))
                start_response("500 Internal Server Error", [("Content-Type", "application/xml")])
                return [b"<Error><Code>InternalError</Code><Message>try again</Message></Error>"]
            return self._app(environ, start_response)
        finally:
            with self._lock:
                self._under_way -= 1

    def __enter__(self) -> S3Server:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _signed(environ: dict[str, Any]) -> tuple[str, str | None] | None:
    key = re.search(r"Credential=([^/]*)/", environ.get("HTTP_AUTHORIZATION", ""))
    return (key[1], environ.get("HTTP_X_AMZ_SECURITY_TOKEN")) if key else None


def _kind(environ: dict[str, Any]) -> str:
    method, query = environ["REQUEST_METHOD"], environ.get("QUERY_STRING", "")
    if method == "GET" and "list-type=2" in query:
        return "LIST"
    if method == "POST" and "delete" in query:
        return "DELETE-MANY"
    if method == "PUT" and "HTTP_X_AMZ_COPY_SOURCE" in environ:
        return "COPY"
    return method
