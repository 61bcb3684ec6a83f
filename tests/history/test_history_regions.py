"""Parts of one volume that two people change at the same time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import zarr

from copick_backend_icechunk.root import CopickRootIcechunk
from copick_core.tree.keys import TomogramKey
from support.histories import messages

KEY = TomogramKey("TS_1", 10.0, "wbp")


def volume(root: CopickRootIcechunk) -> Any:
    made = root.new_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp")
    made.from_numpy(np.ones((4, 4, 4), "f4"), levels=1, chunks=2)
    return made


@pytest.mark.parametrize("together", ["apart", "in one chunk"])
def test_regions_that_two_change_at_once_are_both_stored_and_the_later_one_wins_where_they_meet(
    root: CopickRootIcechunk, bob: CopickRootIcechunk, together: str
) -> None:
    stored = volume(root)
    theirs = bob.get_run("TS_1").voxel_spacings[0].tomograms[0]
    low, high = slice(0, 2), slice(2, 4)
    mine = low if together == "in one chunk" else high
    before = len(root.history())

    with root.history_layer.changing(KEY):
        stored.set_region(np.full((2, 4, 4), 5.0), z=mine)
        theirs.set_region(np.full((2, 4, 4), 7.0), z=low)
    root.refresh()

    found = stored.numpy()
    assert np.unique(found[mine]).tolist() == [5.0]
    assert np.unique(found[low if mine is high else high]).tolist() == ([7.0] if mine is high else [1.0])
    assert len(root.history()) == before + 2
    assert root.history(limit=1)[0].message == "alice: change a region of tomogram 'wbp' at 10.000 of run 'TS_1'"


def test_a_volume_that_two_replace_at_once_is_that_of_the_later_one(root: CopickRootIcechunk, bob: CopickRootIcechunk) -> None:
    volume(root)
    layer = root.history_layer

    with layer.replace_zarr(KEY) as store:
        zarr.create_array(store, name="0", data=np.full((2, 2, 2), 5.0, "f4"))
        bob.get_run("TS_1").voxel_spacings[0].tomograms[0].from_numpy(np.full((4, 4, 4), 7, "f4"), levels=2, chunks=2)
    root.refresh()

    assert np.unique(zarr.open_array(layer.zarr(KEY), path="0", mode="r")[:]).tolist() == [5.0]
    assert sorted(zarr.open_group(layer.zarr(KEY), mode="r")) == ["0"]
    assert messages(root)[:2] == [
        "alice: replace tomogram 'wbp' at 10.000 of run 'TS_1'",
        "bob: replace tomogram 'wbp' at 10.000 of run 'TS_1'",
    ]
