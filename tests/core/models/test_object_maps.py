"""Objects: labels, density maps, and what changes an object."""

import numpy as np
import pytest

from copick_core.errors import (
    AlreadyExistsError,
    InvalidDataError,
    InvalidNameError,
)

VOLUME = np.arange(3 * 4 * 5, dtype=np.float32).reshape(3, 4, 5)


def test_an_object_without_a_map_has_none_and_looking_makes_none(root):
    obj = root.get_object("ribosome")
    assert obj.zarr() is None
    assert obj.numpy() is None
    root.refresh()
    assert root.get_object("ribosome").zarr() is None


def test_a_map_round_trips(root):
    root.get_object("ribosome").from_numpy(VOLUME, 5.0)
    root.refresh()
    obj = root.get_object("ribosome")
    np.testing.assert_array_equal(obj.numpy(), VOLUME)
    obj.set_region(np.zeros((4, 5)), z=0)
    assert obj.numpy()[0].sum() == 0


MAP_WRITES = {
    "from_numpy": lambda obj: obj.from_numpy(VOLUME, 5.0),
    "import_volume": lambda obj: obj.import_volume(VOLUME, voxel_size=5.0),
    "set_region": lambda obj: obj.set_region(1),
}


@pytest.mark.parametrize("write", MAP_WRITES)
def test_only_particles_have_maps(root, write):
    membrane = root.get_object("membrane")

    with pytest.raises(InvalidDataError, match="only particles have a density map"):
        MAP_WRITES[write](membrane)

    assert not root.layers.overlay.exists(membrane.key)


def test_new_objects_get_the_next_label(root):
    assert root.new_object("microtubule", False).label == 8
    assert [o.name for o in root.pickable_objects][-1] == "microtubule"
    assert root.config.pickable_objects[-1].name == "microtubule"
    with pytest.raises(AlreadyExistsError):
        root.new_object("microtubule", False)
    with pytest.raises(InvalidDataError, match="label 7"):
        root.new_object("other", False, 7)
    with pytest.raises(InvalidNameError):
        root.new_object("a_b", False)


@pytest.mark.parametrize("label", [7, "7", 7.0])
def test_a_label_that_another_object_has_is_refused(root, label):
    with pytest.raises(InvalidDataError, match="label 7 already exists: it belongs to object 'proteasome'"):
        root.new_object("actin", False, label=label)


def test_an_existing_object_is_updated_field_by_field(root):
    obj = root.new_object("ribosome", True, emdb_id="EMD-1", exist_ok=True)
    assert obj is root.get_object("ribosome")
    assert (obj.emdb_id, obj.radius, obj.label) == ("EMD-1", 120.0, 1)
    assert root.config.pickable_objects[0].emdb_id == "EMD-1"


def test_deleting_an_object_takes_its_map(root):
    root.get_object("ribosome").from_numpy(VOLUME, 5.0)
    root.get_object("ribosome").delete()
    assert root.get_object("ribosome") is None
    root.new_object("ribosome", True)
    assert root.get_object("ribosome").zarr() is None


def test_tools_may_replace_the_objects_of_the_configuration(root):
    root.config.pickable_objects = root.config.pickable_objects[:1]
    root._objects = None
    assert [o.name for o in root.pickable_objects] == ["ribosome"]


def test_an_object_tells_the_voxel_size_of_its_map(root):
    particle = root.get_object("ribosome")
    assert particle.voxel_size is None

    particle.from_numpy(np.zeros((2, 3, 4)), voxel_size=7.5)

    assert particle.voxel_size == 7.5


def test_a_label_that_objects_share_is_warned_of_where_it_tells_them_apart(root):
    for obj in root.config.pickable_objects[:2]:
        obj.label = 1
    names = [obj.name for obj in root.config.pickable_objects[:2]]
    segmentation = root.new_run("TS_labels").new_segmentation(10, "all", "1", user_id="ana", is_panoptic=True)
    segmentation.from_numpy(np.ones((2, 2, 3, 4), int))

    with pytest.warns(UserWarning, match=f"Objects '{names[0]}', '{names[1]}' have the same label 1"):
        segmentation.instance_ids(object_name=names[0])


def test_a_multilabel_volume_with_a_label_that_objects_share_is_warned_of_once(root):
    for obj in root.config.pickable_objects[:2]:
        obj.label = 1
    names = [obj.name for obj in root.config.pickable_objects[:2]]
    run = root.new_run("TS_labels")
    segmentation = run.new_segmentation(10, "all", "1", user_id="ana", is_multilabel=True)

    with pytest.warns(UserWarning, match=f"Objects '{names[0]}', '{names[1]}' have the same label 1"):
        segmentation.from_numpy(np.ones((2, 3, 4), int))
    segmentation.set_region(np.ones((1, 1, 1), int), z=slice(0, 1), y=slice(0, 1), x=slice(0, 1))  # without a second one


def test_a_label_that_objects_share_is_no_matter_where_it_is_not_used(root):
    for obj in root.config.pickable_objects[:2]:
        obj.label = 1
    other = root.config.pickable_objects[2]
    other.label = 5
    run = root.new_run("TS_labels")

    run.new_segmentation(10, "all", "1", user_id="ana", is_multilabel=True).from_numpy(np.full((2, 3, 4), 5))
    run.new_segmentation(10, other.name, "1", user_id="ana").from_numpy(np.ones((2, 3, 4), int))
