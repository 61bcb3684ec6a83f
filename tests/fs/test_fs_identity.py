"""Places without conditions and marks: what tells one stored volume from the next, and the order of its levels."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.core.sync import sync

import copick_core
from copick_backend_fs.layer import open_layer
from copick_core.tree.keys import TomogramKey
from support.objects import OBJECTS

TOMOGRAM = TomogramKey("TS_1", 10.0, "wbp")


@pytest.fixture(params=["memory", "s3-obstore", "s3-s3fs"])
def config(request: pytest.FixtureRequest, server: Any, fs_args: Any, tmp_path: Any) -> dict[str, Any]:
    config: dict[str, Any] = {"config_type": "filesystem", "pickable_objects": OBJECTS}
    if request.param == "memory":
        return config | {"overlay_root": f"memory://{tmp_path}"}
    return config | {"overlay_root": "s3://lab/p", "overlay_fs_args": fs_args, "obstore": request.param == "s3-obstore"}


def tomogram(config: dict[str, Any]) -> Any:
    root = copick_core.open(config)
    return root.new_run("TS_1", exist_ok=True).new_voxel_spacing(10.0, exist_ok=True).new_tomogram("wbp", exist_ok=True)


def test_every_replacement_is_another_volume(config: dict[str, Any]) -> None:
    made = tomogram(config)
    layer = copick_core.open(config).layers.overlay
    seen = [layer.volume_version(TOMOGRAM)]
    for _ in range(5):
        made.from_numpy(np.ones((4, 4, 4)), levels=1)
        seen += [layer.volume_version(TOMOGRAM)]
        assert layer.volume_version(TOMOGRAM) == seen[-1]
        made.set_region(2, z=0)
        assert layer.volume_version(TOMOGRAM) == seen[-1]
    made.delete()

    assert seen[0] is layer.volume_version(TOMOGRAM) is None
    assert len(set(seen)) == 6


def test_a_read_during_which_the_volume_is_replaced_is_made_again(
    config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = tomogram(config)
    writer.from_numpy(np.ones((8, 8, 8)), chunks=4)
    reader = tomogram(config)
    from copick_core.volumes import chunk_parts

    read, replaced = chunk_parts.read, []

    def disturbed(array: Any, region: Any) -> Any:
        found = read(array, region)
        if not replaced:
            replaced.append(True)
            writer.from_numpy(np.full((8, 8, 8), 2), chunks=4)
        return found

    monkeypatch.setattr(chunk_parts, "read", disturbed)

    assert (reader.numpy() == 2).all()


def test_a_volume_opened_before_its_last_document_was_there_is_another_one(
    config: dict[str, Any],
) -> None:
    tomogram(config).from_numpy(np.ones((4, 4, 4)), levels=1)
    layer: Any = copick_core.open(config).layers.overlay
    files = layer._files
    last = layer.full_path("ExperimentRuns/TS_1/VoxelSpacing10.000/wbp.zarr/.zattrs")
    data = layer._connection.ask(files.read, last)
    layer._connection.ask(files.delete_files, [last])
    store = layer.zarr(TOMOGRAM)
    sync(store.get(".zgroup"))  # as a reader sees a replacement that is nearly done
    assert store.seen_version is not None
    layer._connection.ask(files.write, last, data)

    assert layer.volume_version(TOMOGRAM) != store.seen_version


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_whoever_takes_the_first_array_gets_the_finest_level(
    config: dict[str, Any], monkeypatch: pytest.MonkeyPatch, zarr_format: int
) -> None:
    made = tomogram(config)
    made.from_numpy(np.ones((16, 16, 16)), levels=3, zarr_format=zarr_format)
    files = type(copick_core.open(config).layers.overlay._files)
    read: Callable[..., Any] = files.read

    async def late(self: Any, live: Any, path: str, *args: Any) -> Any:
        found = await read(self, live, path, *args)
        for number in range(3):
            if f".zarr/{number}/" in path:
                await asyncio.sleep(0.05 * (3 - number))  # the finest level comes last
        return found

    monkeypatch.setattr(files, "read", late)
    group = zarr.open(tomogram(config).zarr(), mode="r")

    assert [name for name, _ in group.arrays()] == ["0", "1", "2"]


def test_the_levels_of_a_store_are_read_with_as_many_requests_as_zarr_makes(server: Any, fs_args: Any, obstore: bool) -> None:
    config = {"config_type": "filesystem", "pickable_objects": [], "overlay_root": "s3://lab/p", "overlay_fs_args": fs_args}
    tomogram({**config, "obstore": obstore}).from_numpy(np.ones((16, 16, 16)), levels=3)
    group = zarr.open(tomogram({**config, "obstore": obstore}).zarr(), mode="r")

    with server.counting() as counts:
        assert len([*group.arrays()]) == 3

    assert counts == {"LIST": 1, "GET": 9}  # .zarray, .zgroup and .zattrs of three levels


def test_what_is_not_written_to_has_no_versions(tmp_path: Any) -> None:
    layer = open_layer("static", "http://127.0.0.1:9/project", read_only=True)

    assert not layer.versions_take_requests
    assert layer.volume_version(TOMOGRAM) is None
