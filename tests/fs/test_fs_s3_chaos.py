"""Writers of a bucket that die after any request, and several writers of one volume in every place."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import copick_core
from copick_core import plugins
from copick_core.errors import ConflictError
from support import s3_chaos
from support.objects import OBJECTS

SQLITE = Path(__file__).parents[2] / "examples" / "copick_backend_sqlite" / "src"


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("operation", s3_chaos.OPERATIONS)
@pytest.mark.full
def test_a_writer_that_dies_after_any_request_leaves_the_old_or_the_new(
    server: Any, obstore: bool, operation: str, zarr_format: int, record_property: Any
) -> None:
    outcomes = s3_chaos.kill_after_each_request(server, operation, obstore, zarr_format)

    record_property("outcomes", dict(outcomes))
    assert outcomes.total() > 3


@pytest.mark.parametrize("operation", s3_chaos.OPERATIONS)
@pytest.mark.slow
def test_a_writer_that_dies_after_some_request_leaves_the_old_or_the_new(server: Any, obstore: bool, operation: str) -> None:
    assert s3_chaos.kill_after_each_request(server, operation, obstore, 2, every=4).total() > 0


@pytest.fixture(params=["local", "memory", "sqlite", "s3-obstore", "s3-s3fs"])
def place(request: pytest.FixtureRequest, tmp_path: Any, server: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Opens a project; each call is another writer."""
    common = {"pickable_objects": OBJECTS, "user_id": "alice"}
    if request.param == "memory":
        root = copick_core.open({**common, "config_type": "memory"})
        yield lambda: root
        return
    if request.param == "sqlite":
        config = {**common, "config_type": "sqlite", "path": str(tmp_path / "project.sqlite")}
        monkeypatch.setattr(sys, "path", [str(SQLITE), *sys.path])  # the tutorial's backend, as if it were installed
        from copick_backend_sqlite.plugin import copick_backend

        plugins.register(copick_backend())
    elif request.param == "local":
        config = {**common, "config_type": "filesystem", "overlay_root": str(tmp_path)}
    else:
        config = s3_chaos.config(server, request.param == "s3-obstore")
    yield lambda: copick_core.open(config)
    plugins.reset()


@pytest.mark.parametrize("writers", [2, 4])
@pytest.mark.parametrize("is_there", [False, True], ids=["new", "replaced"])
def test_of_several_writers_of_one_volume_one_is_left_whole_and_the_losers_are_told(
    place: Any, writers: int, is_there: bool
) -> None:
    run = place().new_run("TS_1")
    spacing = run.new_voxel_spacing(10.0)
    if is_there:
        spacing.new_tomogram("wbp").from_numpy(np.zeros((8, 8, 8)), levels=1, chunks=4)
    meet = threading.Barrier(writers)

    def write(value: int) -> int | None:
        tomogram = place().get_run("TS_1").get_voxel_spacing(10.0).new_tomogram("wbp", exist_ok=True)
        meet.wait()
        try:
            tomogram.from_numpy(np.full((8, 8, 8), value), levels=1, chunks=4)
        except ConflictError:
            return None
        return value

    with ThreadPoolExecutor(writers) as pool:
        won = [value for value in pool.map(write, range(1, writers + 1)) if value is not None]

    found = np.unique(place().get_run("TS_1").get_voxel_spacing(10.0).get_tomogram("wbp").numpy()).tolist()
    assert len(found) == 1
    assert found[0] in won
