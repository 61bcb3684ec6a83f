"""A bucket on a real S3 server on loopback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from copick_backend_fs.layer import open_layer
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


@pytest.fixture
def opened(fs_args: dict[str, Any], obstore: bool) -> Callable[..., Any]:
    """Opens the layer of one project in the bucket; each call is another client."""
    return lambda **options: open_layer("overlay", "s3://lab/project", fs_args, obstore=obstore, **options)
