"""A project that is served."""

from __future__ import annotations

import http.client
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

from copick_view.server.serving import Server


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    content: bytes


def ask(server, path, method="GET", host=None, **headers):
    """Send one request with exactly these headers and this path, which no client has tidied up."""
    place = urlsplit(server.url)
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=30)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", place.netloc if host is None else host)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()


def get(server, path, **headers):
    """Ask for a path below the address of the project."""
    return ask(server, f"/{server.token}/{path}", **headers)


@pytest.fixture
def served(layered):
    """The project of `layered`, served: (root, server)."""
    root, _ = layered
    with Server(root) as server:
        yield root, server
