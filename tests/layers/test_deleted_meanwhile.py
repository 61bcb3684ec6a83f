"""A project behind both wrappers, while somebody deletes what they keep again and again."""

import contextlib
import shutil
import threading

import numpy as np
import pytest

import copick_core
from support.objects import OBJECTS

ROUNDS = 40
#: Seconds between two deletions.
EVERY = 0.1


@pytest.fixture
def root(tmp_path):
    kept = tmp_path / "kept"
    wrappers = [{"name": "index", "path": str(kept / "index.sqlite")}, {"name": "cache", "path": str(kept / "cache")}]
    return copick_core.open(
        {
            "config_type": "filesystem",
            "overlay_root": str(tmp_path / "project"),
            "pickable_objects": OBJECTS,
            "user_id": "ana",
            "wrappers": wrappers,
        }
    )


@contextlib.contextmanager
def deleting(folder):
    """Delete a folder, every time that something may have been made in it."""
    over = threading.Event()

    def delete():
        while not over.wait(EVERY):
            shutil.rmtree(folder, ignore_errors=True)

    thread = threading.Thread(target=delete)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.slow
def test_index_and_cache_may_be_deleted_at_any_moment(root, tmp_path):
    run = root.new_run("TS_1")
    tomogram = run.new_voxel_spacing(10.0).new_tomogram("wbp")
    tomogram.from_numpy(np.arange(512, dtype="f4").reshape(8, 8, 8), levels=1)

    with deleting(tmp_path / "kept"):
        for number in range(ROUNDS):
            run.new_picks("ribosome", str(number)).from_numpy([[number, 2.0, 3.0]])
            root.refresh()
            found = root.get_run("TS_1")
            assert sorted(int(picks.session_id) for picks in found.picks) == [*range(number + 1)]
            assert found.get_picks("ribosome", session_id=str(number))[0].numpy()[0][0, 0] == number
            assert found.voxel_spacings[0].tomograms[0].numpy()[0, 0, 1] == 1

    root.refresh()
    assert len(root.table("picks")["run"]) == ROUNDS
