"""What methods and models take for granted where nothing is said."""

import numpy as np
import pytest

from copick_core.errors import LevelNotFoundError
from copick_core.models import CopickConfig, CopickPoint
from copick_core.tree.schema import CopickPicksFile

VOLUME = np.ones((4, 4, 4), np.float32)


def volumes_of(root):
    spacing = root.new_run("TS_1").new_voxel_spacing(10.0)
    tomogram = spacing.new_tomogram("wbp")
    return {
        "tomogram": tomogram,
        "features": tomogram.new_features("sobel"),
        "segmentation": spacing.run.new_segmentation(10.0, "membrane", "1", is_multilabel=True),
        "object": root.get_object("ribosome"),
    }


LEVELS = {"tomogram": ["0", "1", "2"], "features": ["0"], "segmentation": ["0"], "object": ["0"]}


@pytest.mark.parametrize("how", ["from_numpy", "import_volume"])
@pytest.mark.parametrize("kind", LEVELS)
def test_tomograms_have_three_levels_and_all_else_has_one(root, kind, how):
    volume = volumes_of(root)[kind]
    size = {"voxel_size": 10.0} if (kind, how) == ("object", "from_numpy") or how == "import_volume" else {}

    getattr(volume, how)(VOLUME.astype("u1"), **size)

    assert volume.levels == LEVELS[kind]
    assert volume.numpy().dtype == ("f4" if kind in ("tomogram", "object") else "u1")


@pytest.mark.parametrize("kind", LEVELS)
def test_a_region_changes_coarser_levels_only_where_that_was_asked_for(root, kind):
    volume = volumes_of(root)[kind]
    size = {"voxel_size": 10.0} if kind == "object" else {}
    volume.from_numpy(VOLUME.astype("u1"), levels=2, **size)

    volume.set_region(2)
    assert (volume.numpy("1") == 1).all()

    volume.set_region(2, update_levels=True)
    assert (volume.numpy("1") == 2).all()


def test_features_are_replaced_unless_that_is_ruled_out(root):
    features = volumes_of(root)["features"]
    features.from_numpy(VOLUME)

    features.from_numpy(VOLUME * 2)

    assert (features.numpy() == 2).all()


def test_an_object_without_a_map_has_no_levels_and_says_whose_are_missing(root):
    obj = root.get_object("ribosome")

    assert obj.levels == []
    with pytest.raises(LevelNotFoundError, match="nothing has been written") as caught:
        obj.array("1")

    assert (caught.value.level, caught.value.levels) == ("1", [])
    assert "object 'ribosome'" in str(caught.value)


def test_a_configuration_that_says_nothing_is_that_of_copick_1():
    assert CopickConfig().model_dump() == {
        "config_type": "",
        "name": "CoPick",
        "description": "Let's CoPick!",
        "version": "0.2.0",
        "pickable_objects": [],
        "user_id": None,
        "session_id": None,
        "runs": None,
        "voxel_spacings": None,
        "tomograms": {},
        "format": None,
        "zarr_format": 2,
        "chunks": (128, 128, 128),
        "compressor": "blosc",
        "shards": None,
        "chunk_cache_bytes": 0,
        "strict": False,
        "wrappers": [],
        "review_states": None,
    }


def test_picks_of_which_little_is_said_are_those_of_copick_1():
    picks = CopickPicksFile(pickable_object_name="ribosome", user_id="alice", session_id="1")
    point = CopickPoint(location={"x": 1, "y": 2, "z": 3})

    assert picks.model_dump() == {
        "pickable_object_name": "ribosome",
        "user_id": "alice",
        "session_id": "1",
        "run_name": None,
        "voxel_spacing": None,
        "unit": "angstrom",
        "points": [],
        "trust_orientation": True,
    }
    assert point.model_dump() == {
        "location": {"x": 1.0, "y": 2.0, "z": 3.0},
        "transformation_": np.eye(4).tolist(),
        "instance_id": 0,
        "score": 1.0,
    }
