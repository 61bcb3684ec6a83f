"""Segmentations of all types: their values, channels, filters and colors."""

import numpy as np
import pytest

from copick_core.errors import (
    InvalidDataError,
    InvalidNameError,
    UnknownObjectError,
)
from copick_core.tree.schema import CopickSegmentationMeta

KINDS = {
    "binary": {},
    "multilabel": {"is_multilabel": True},
    "instance": {"is_instance": True},
    "panoptic": {"is_panoptic": True},
}


def labels(kind):
    volume = np.zeros((3, 4, 5), int)
    volume[1] = 2
    return np.stack([volume, volume * 150]) if kind == "panoptic" else volume


@pytest.mark.parametrize(("kind", "flags"), KINDS.items())
def test_each_type_of_segmentation_round_trips(root, run, kind, flags):
    segmentation = run.new_segmentation(10, "membrane", "1", **flags)
    segmentation.from_numpy(labels(kind), levels=2)
    root.refresh()
    (again,) = root.get_run("TS_1").get_segmentations(is_multilabel=None, is_instance=None, is_panoptic=None)
    assert again.segmentation_type == kind
    assert again.numpy().dtype == (np.uint8 if kind in ("binary", "multilabel") else np.uint16)
    np.testing.assert_array_equal(again.numpy(), labels(kind))
    assert again.levels == ["0", "1"]


def test_instance_and_panoptic_ones_are_given_only_where_asked_for(run):
    for kind, flags in KINDS.items():
        run.new_segmentation(10, "membrane", "1", **flags).from_numpy(labels(kind))
    kinds = lambda found: sorted(s.segmentation_type for s in found)  # noqa: E731
    assert kinds(run.get_segmentations()) == ["binary", "multilabel"]
    assert kinds(run.get_segmentations(is_instance=True)) == ["instance"]
    assert kinds(run.get_segmentations(is_instance=None, is_panoptic=None)) == sorted(KINDS)
    assert kinds(run.get_segmentations(voxel_size=10, is_multilabel=False)) == ["binary"]
    assert kinds(run.get_segmentations("alice", "1", False, "membrane", 10.0)) == ["binary"]
    assert run.get_segmentations(is_instance=True, is_panoptic=True) == []


def test_a_new_segmentation_has_no_type_but_the_one_that_was_asked_for(run):
    segmentation = run.new_segmentation(10, "membrane", "1")
    meta = CopickSegmentationMeta(user_id="alice", session_id="1", name="membrane", is_multilabel=False, voxel_size=10)

    assert (segmentation.is_multilabel, segmentation.is_instance, segmentation.is_panoptic) == (False, False, False)
    assert (meta.is_instance, meta.is_panoptic) == (False, False)


def test_instance_and_panoptic_ones_are_deleted_only_where_asked_for(run):
    for kind, flags in KINDS.items():
        run.new_segmentation(10, "membrane", "1", **flags).from_numpy(labels(kind))
    left = lambda: sorted(s.segmentation_type for s in run.get_segmentations(is_instance=None, is_panoptic=None))  # noqa: E731

    run.delete_segmentations()
    assert left() == ["instance", "panoptic"]
    run.delete_segmentations(is_instance=True)
    assert left() == ["panoptic"]


CONTRADICTIONS = [{"is_multilabel": True, "is_panoptic": True}, {"is_multilabel": True, "is_instance": True}]


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("flags", [*CONTRADICTIONS, {"is_instance": True, "is_panoptic": True}])
def test_a_whole_address_of_two_types_at_once_finds_nothing(run, flags, listed):
    for kind, of_kind in KINDS.items():
        run.new_segmentation(10, "membrane", "1", **of_kind).from_numpy(labels(kind))
    if listed:
        assert len(run.segmentations) == len(KINDS)

    assert run.get_segmentations("alice", "1", name="membrane", voxel_size=10, **flags) == []


@pytest.mark.parametrize("empty", ["object_name", "user_id", "session_id"])
def test_a_whole_address_with_an_empty_name_finds_nothing(run, empty):
    address = {"object_name": "ribosome", "user_id": "alice", "session_id": "1"}
    run.new_picks("ribosome", "1", "alice")

    assert len(run.get_picks(**address)) == 1
    assert run.get_picks(**{**address, empty: ""}) == []


def test_positional_arguments_are_those_of_copick_1(run):
    segmentation = run.new_segmentation(10.0, "all", "1", True, "bob", True)
    assert (segmentation.is_multilabel, segmentation.user_id) == (True, "bob")


def test_two_types_at_once_are_refused(run):
    with pytest.raises(InvalidDataError, match="at once"):
        run.new_segmentation(10, "membrane", "1", True, is_instance=True)


@pytest.mark.parametrize("bad", [[[[-1]]], [[[0.5]]], [[[float("nan")]]], [[[float("inf")]]]])
def test_values_that_are_no_labels_are_refused_and_the_old_ones_stay(run, bad):
    segmentation = run.new_segmentation(10, "membrane", "1")
    segmentation.from_numpy([[[2]]])
    with pytest.raises(InvalidDataError):
        segmentation.from_numpy(bad)
    assert segmentation.numpy().tolist() == [[[2]]]


def test_a_value_that_the_stored_type_cannot_hold_is_refused(run):
    segmentation = run.new_segmentation(10, "membrane", "1")
    segmentation.from_numpy(np.zeros((2, 2, 2), int))
    with pytest.raises(InvalidDataError):
        segmentation.set_region(np.array(300), x=0, y=0, z=0)
    assert not segmentation.numpy().any()


def test_panoptic_voxels_are_checked_against_labels_and_background(run):
    segmentation = run.new_segmentation(10, "all", "1", is_panoptic=True)
    volume = np.zeros((2, 2, 2, 2), int)
    volume[0] = 3
    with pytest.raises(InvalidDataError):
        segmentation.from_numpy(volume)
    volume[0] = 0
    volume[1, 0, 0, 0] = 5
    with pytest.raises(InvalidDataError):
        segmentation.from_numpy(volume)


def test_panoptic_regions_take_the_indices_that_all_volumes_take(run):
    segmentation = run.new_segmentation(10, "all", "1", is_panoptic=True)
    volume = np.ones((2, 2, 3, 4), int)
    volume[1] = np.arange(1, 25).reshape(2, 3, 4)
    segmentation.from_numpy(volume)

    segmentation.set_region(volume[:, ::-1], z=slice(None, None, -1), y=...)
    segmentation.set_region(volume[1, -1, :, ::-1], z=-1, x=slice(None, None, -1), channel="instance")

    np.testing.assert_array_equal(segmentation.numpy(), volume)
    with pytest.raises(IndexError, match="outside axis 1"):
        segmentation.set_region(1, z=2)
    with pytest.raises(InvalidDataError, match=r"^panoptic segmentation 'all'"):
        segmentation.set_region(np.ones((2, 5, 5, 5), int))


def test_panoptic_contents_can_be_asked_for(run):
    segmentation = run.new_segmentation(10, "all", "1", is_panoptic=True)
    volume = np.zeros((2, 2, 3, 4), int)
    volume[0, 0], volume[1, 0] = 1, 4
    volume[0, 1, 0], volume[1, 1, 0] = 7, 9
    segmentation.from_numpy(volume)
    assert segmentation.segments() == [("proteasome", 9), ("ribosome", 4)]
    with pytest.raises(ValueError, match="Pass object_name, or use segments"):
        segmentation.instance_ids()
    assert segmentation.instance_ids(object_name="ribosome").tolist() == [4]
    np.testing.assert_array_equal(segmentation.label_volume(), volume[0])
    np.testing.assert_array_equal(segmentation.instance_volume("ribosome"), np.where(volume[0] == 1, volume[1], 0))
    np.testing.assert_array_equal(segmentation.numpy(channel="instance", z=1), volume[1, 1])
    segmentation.set_region(np.zeros((3, 4), int), z=0)
    assert segmentation.segments() == [("proteasome", 9)]
    with pytest.raises(InvalidDataError):
        segmentation.set_region(np.array(0), channel="label", z=1, y=0, x=0)


def test_a_binary_segmentation_needs_an_object_and_others_any_name(run):
    with pytest.raises(UnknownObjectError):
        run.new_segmentation(10, "whatever", "1")
    assert run.new_segmentation(10, "whatever", "1", is_multilabel=True).name == "whatever"
    ambiguous = run.root.config.pickable_objects[0].model_copy(update={"name": "x-multilabel"})
    run.root.config.pickable_objects.append(ambiguous)
    with pytest.raises(InvalidNameError, match="multilabel"):
        run.new_segmentation(10, "x-multilabel", "1")


def test_colors_are_those_of_the_objects(run):
    assert run.new_segmentation(10, "membrane", "1").color == (60, 160, 230, 255)
    assert run.new_segmentation(10, "all", "1", True).color == (128, 128, 128, 0)


@pytest.mark.parametrize("kind", ["is_multilabel", "is_panoptic"])
def test_a_segmentation_of_several_objects_has_no_color_even_if_it_has_the_name_of_one(run, kind):
    assert run.new_segmentation(10, "membrane", "1", **{kind: True}).color == (128, 128, 128, 0)


def test_what_is_asked_of_a_coarser_level_is_that_of_the_level(run):
    segmentation = run.new_segmentation(10, "all", "1", is_panoptic=True)
    volume = np.zeros((2, 4, 4, 4), int)
    volume[0], volume[1] = 1, 4
    segmentation.from_numpy(volume, levels=2)
    segmentation.set_region(np.full((2, 2, 2), 9), "1", channel="instance")

    assert segmentation.segments() == [("ribosome", 4)]
    assert segmentation.segments("1") == [("ribosome", 9)]
    assert segmentation.instance_ids("1", "ribosome").tolist() == [9]
    assert segmentation.label_volume("1").shape == (2, 2, 2)
    assert (segmentation.instance_volume("ribosome", "1") == 9).all()


def test_a_label_of_an_object_that_was_taken_out_is_shown_as_its_number(root, run):
    segmentation = run.new_segmentation(10, "all", "1", is_panoptic=True)
    segmentation.from_numpy(np.full((2, 2, 2, 2), 7))

    root.get_object("proteasome").delete()

    assert segmentation.segments() == [("7", 7)]


def test_a_value_that_no_type_holds_is_told_with_its_place_in_the_whole_volume(run):
    labels = np.ones((200, 2, 2))
    labels[150, 1, 0] = 0.5

    with pytest.raises(InvalidDataError, match=r"value 0.5 at index \(150, 1, 0\)"):
        run.new_segmentation(10, "membrane", "1").import_volume(labels, voxel_size=10.0)
