"""A history in a bucket keeps the contract, without a lock: conditional writes keep two commits apart."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import copick_core
from copick_backend_icechunk.layer import IcechunkLayer
from copick_backend_icechunk.places import Place
from copick_core.testing import BackendTests, LayerTests
from support.histories import picks
from support.s3_server import S3Server

_prefixes = (f"project-{n}" for n in itertools.count())


@pytest.fixture(scope="module")
def running() -> Iterator[S3Server]:
    with S3Server() as server:
        server.empty("lab")
        yield server


def arguments(server: S3Server) -> dict[str, Any]:
    keys = {"access_key_id": "someone", "secret_access_key": "do-not-tell"}
    return {"endpoint_url": server.url, "region": "us-east-1", **keys}


@pytest.mark.exhaustive
class TestIcechunkLayerOnS3(LayerTests):
    zarr_formats = (3,)
    examples = 3

    @pytest.fixture
    def layer(self, running: S3Server) -> IcechunkLayer:
        return IcechunkLayer(Place(f"s3://lab/{next(_prefixes)}", arguments(running)))

    def reopen(self, layer: IcechunkLayer, *, read_only: bool = False) -> IcechunkLayer:
        return IcechunkLayer(layer.place, read_only=read_only)


@pytest.mark.exhaustive
class TestIcechunkBackendOnS3(BackendTests):
    zarr_formats = (3,)
    examples = 2

    @pytest.fixture(autouse=True)
    def _server(self, running: S3Server) -> None:
        self.server = running

    def make_config(self, folder: Path, name: str) -> dict[str, Any]:
        place = f"s3://lab{folder}/{name}"
        return {"config_type": "icechunk", "overlay_root": place, "storage_args": arguments(self.server)}


def config(server: S3Server, user: str, place: str) -> dict[str, Any]:
    objects = [{"name": "ribosome", "is_particle": True, "label": 1}]
    fields = {"overlay_root": place, "storage_args": arguments(server), "user_id": user, "pickable_objects": objects}
    return {"config_type": "icechunk", **fields}


def test_a_picks_file_takes_few_requests(running: S3Server) -> None:
    place = f"s3://lab/{next(_prefixes)}"
    root = copick_core.open(config(running, "alice", place))
    stored = picks(root, "TS_1", "alice", 1)

    with running.counting() as writing:
        stored.from_numpy([[2, 0, 0]])
    stored.refresh()
    with running.counting() as reading:
        stored.numpy()

    assert sum(writing.values()) <= 12
    assert sum(reading.values()) <= 3


def test_asking_for_a_version_costs_a_request_in_a_bucket_and_none_on_disk(running: S3Server, tmp_path: Path) -> None:
    bucket = Place(f"s3://lab/{next(_prefixes)}", arguments(running))

    assert [IcechunkLayer(place).versions_take_requests for place in (bucket, Place(str(tmp_path)))] == [True, False]
