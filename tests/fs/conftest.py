"""A bucket on a real S3 server on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from support.s3_server import S3Server


@pytest.fixture(scope="session")
def running_server() -> Iterator[S3Server]:
    with S3Server() as server:
        yield server


@pytest.fixture
def server(running_server: S3Server) -> S3Server:
    running_server.empty("lab")
    return running_server


@pytest.fixture
def fs_args(server: S3Server) -> dict[str, Any]:
    return {"endpoint_url": server.url, "key": "someone", "secret": "do-not-tell"}


@pytest.fixture(params=[True, False], ids=["obstore", "s3fs"])
def obstore(request: pytest.FixtureRequest) -> bool:
    return request.param
