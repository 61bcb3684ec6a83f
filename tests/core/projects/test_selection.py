"""Selections and entities by address."""

from __future__ import annotations

import gc

import numpy as np
import pytest

import copick_core
from copick_core.errors import AddressError, InvalidDataError, LevelNotFoundError, NotFoundError, ReadOnlyError
from copick_core.errors import UnknownObjectError as UnknownObject
from copick_core.tree.keys import Kind, PicksKey, SegmentationKey


@pytest.fixture
def filled(root):
    """Two runs with picks of two users; TS_1 has a tomogram with features, and segmentations of two types."""
    for name in ("TS_1", "TS_2"):
        run = root.new_run(name)
        for user in ("alice", "bob"):
            run.new_picks("ribosome", "1", user).from_numpy([[1.0, 2.0, 3.0]])
    run = root.get_run("TS_1")
    tomogram = run.new_voxel_spacing(10.0).new_tomogram("wbp")
    tomogram.from_numpy(np.ones((4, 4, 4), np.float32))
    tomogram.new_features("sobel").from_numpy(np.ones((4, 4, 4), np.float32))
    for multilabel in (False, True):
        segmentation = run.new_segmentation(10.0, "membrane", "1", user_id="alice", is_multilabel=multilabel)
        segmentation.from_numpy(np.ones((4, 4, 4), np.uint8))
    root.refresh()
    return root


def test_a_selection_iterates_the_handles_that_the_getters_return(filled):
    found = [*filled.select("*/ribosome:alice/1", kind="picks")]

    assert found == [filled.get_run(name).get_picks("ribosome", "alice", "1")[0] for name in ("TS_1", "TS_2")]


def test_a_selection_sees_what_was_made_after_it_was_written(filled):
    selection = filled.select("TS_1/ribosome", kind="picks")
    before = selection.count()

    filled.get_run("TS_1").new_picks("ribosome", "2", "carol")

    assert (before, selection.count()) == (2, 3)


@pytest.mark.parametrize(
    ("address", "kind", "count"),
    [
        ("*", None, 10),  # picks, segmentations, the tomogram and the three objects
        ("*/", None, 2),
        ("*/@10.0", None, 1),
        ("wbp@10.0", "tomogram", 1),
        ("wbp@10.0:sobel", None, 1),
        ("wbp@10.0", "features", 1),
        ("TS_1/ribosome:*/1", None, 2),
        ("re:TS_[23]/rib.*", None, 2),
        ("membrane:alice/1@10.0", None, 2),
        ("membrane:alice/1@10.0?multilabel=true", None, 1),
        ("membrane:alice/1@10.0?multilabel=false", None, 1),
        ("nothing", None, 0),
        ("TS_9/ribosome", None, 0),
    ],
)
def test_a_selection_counts_what_its_address_matches(filled, address, kind, count):
    assert filled.select(address, kind=kind).count() == count


def test_the_table_of_a_selection_has_the_columns_of_its_kind(filled):
    table = filled.select("TS_2/*:bob", kind="picks").table()

    assert {name: values[0] for name, values in table.items()} == {
        "run": "TS_2",
        "object_name": "ribosome",
        "user_id": "bob",
        "session_id": "1",
        "layer": filled.layers.overlay.name,
        "read_only": False,
    }


def test_a_table_of_several_kinds_asks_for_one(filled):
    with pytest.raises(InvalidDataError, match="pass one as kind="):
        filled.select("ribosome:alice/1").table()


def test_a_function_is_mapped_over_a_selection_by_address(filled):
    counts = filled.select("ribosome:alice", kind="picks").map(lambda picks: len(picks.points))

    assert counts == {"TS_1/ribosome:alice/1": 1, "TS_2/ribosome:alice/1": 1}


def test_mapped_entities_of_one_address_are_told_apart_by_kind_and_layer(layered):
    root, _ = layered
    root.get_run("TS_1").new_picks("ribosome", "0", "tool", exist_ok=True)

    names = [*root.select("ribosome:tool/0", kind="picks").map(lambda picks: picks.layer)]

    assert names == ["TS_1/ribosome:tool/0 (picks, static)", "TS_1/ribosome:tool/0 (picks, overlay)"]


def test_deleting_a_selection_deletes_what_it_matches_and_returns_its_keys(filled):
    deleted = filled.select("*/ribosome:alice/1", kind="picks").delete()

    assert deleted == [PicksKey(run, "ribosome", "alice", "1") for run in ("TS_1", "TS_2")]
    assert filled.select("*", kind="picks").table()["user_id"] == ["bob", "bob"]


def test_deleting_a_selection_of_several_kinds_deletes_nothing_and_lists_them(filled):
    filled.get_run("TS_1").new_mesh("ribosome", "1", "alice").store()

    with pytest.raises(AddressError, match=r"nothing was deleted.*picks 'ribosome' of alice/1.*mesh 'ribosome' of alice/1"):
        filled.select("ribosome:alice/1").delete()

    assert filled.select("ribosome:alice/1").count() == 3


def test_deleting_a_selection_with_something_read_only_deletes_nothing(layered):
    root, _ = layered
    root.get_run("TS_1").new_picks("ribosome", "1", "alice").store()

    with pytest.raises(ReadOnlyError):
        root.select("ribosome", kind="picks").delete()

    assert root.select("ribosome", kind="picks").count() == 2


def test_a_kind_that_an_address_cannot_have_is_refused(filled):
    with pytest.raises(AddressError, match="it can mean picks or mesh or filaments or segmentation, not tomogram"):
        filled.select("ribosome:alice/1", kind="tomogram")


def test_an_entity_is_the_handle_that_its_getter_returns(filled):
    assert filled.entity("TS_1/ribosome:bob/1") is filled.get_run("TS_1").get_picks("ribosome", "bob", "1")[0]


@pytest.mark.parametrize("kind", [None, "picks", Kind.PICKS])
def test_a_handle_by_address_stays_that_of_its_getters_and_lists(filled, kind):
    picks = filled.entity("TS_1/ribosome:bob/1", kind=kind)

    assert filled.get_run("TS_1") is picks.run
    assert filled.runs[0] is picks.run
    assert filled.get_run("TS_1").get_picks("ribosome", "bob", "1") == [picks]
    assert picks in filled.get_run("TS_1").picks
    assert filled.entity("TS_1/ribosome:bob/1", kind=kind) is picks


def test_a_volume_by_address_stays_the_handle_of_its_getters(filled):
    features = filled.entity("TS_1/wbp@10.0:sobel")

    assert filled.get_run("TS_1").get_voxel_spacing(10.0).get_tomograms("wbp")[0].features == [features]


def test_an_assumed_run_is_not_there_for_those_who_ask_for_it(filled):
    picks = filled.entity("TS_9/ribosome:alice/1", kind="picks")

    assert filled.get_run("TS_9") is None
    assert [run.name for run in filled.runs] == ["TS_1", "TS_2"]
    assert picks.run.get_picks("ribosome", "alice", "1") == []


def test_refreshing_forgets_assumed_handles(filled):
    picks = filled.entity("TS_1/ribosome:bob/1", kind="picks")
    run = picks.run
    run.refresh()

    assert run.get_picks("ribosome", "bob", "1")[0] is not picks


def test_assumed_handles_that_nobody_holds_are_forgotten(filled):
    filled.entity("TS_9/ribosome:alice/1", kind="picks")
    gc.collect()

    assert len(filled._assumed) == 0


@pytest.mark.parametrize(
    ("address", "kind", "read"),
    [
        ("TS_9/ribosome:alice/1", "picks", lambda picks: picks.points),
        ("TS_9/ribosome:alice/1", "mesh", lambda mesh: mesh.mesh),
        ("TS_9/wbp@10.0", "tomogram", lambda tomogram: tomogram.numpy()),
        ("TS_1/wbp@10.0:canny", None, lambda features: features.shape),
        ("TS_1/membrane:bob/1@10.0?instance=true", None, lambda segmentation: segmentation.numpy()),
    ],
)
def test_what_was_assumed_and_is_missing_raises_not_found_when_it_is_read(filled, address, kind, read):
    entity = filled.entity(address, kind=kind)

    with pytest.raises(NotFoundError) as caught:
        read(entity)
    assert caught.value.key == entity.key


def test_a_level_that_a_stored_volume_lacks_is_still_a_missing_level(filled):
    with pytest.raises(LevelNotFoundError):
        filled.entity("TS_1/wbp@10.0", kind="tomogram").array("7")


@pytest.mark.parametrize("address", ["TS_9/", "TS_1/@20.0", "TS_1/ribosome:carol/1", "TS_1/membrane:bob/1@10.0"])
def test_an_address_that_matches_nothing_raises_not_found(filled, address):
    with pytest.raises(NotFoundError, match=address):
        filled.entity(address)


def test_an_object_that_is_missing_is_named_with_those_that_exist(filled):
    with pytest.raises(UnknownObject, match="ribosome"):
        filled.entity("ribosom", kind="object")


def test_an_address_that_matches_several_entities_lists_them(filled):
    with pytest.raises(AddressError, match=r"it matches 2: picks 'ribosome' of alice/1 .*; picks 'ribosome' of bob/1"):
        filled.entity("TS_1/ribosome", kind="picks")


def test_a_segmentation_without_a_type_is_the_binary_one_if_several_types_exist(filled):
    assert filled.entity("TS_1/membrane:alice/1@10.0").segmentation_type == "binary"


def test_a_segmentation_without_a_type_is_the_only_one(filled):
    filled.entity("TS_1/membrane:alice/1@10.0", kind="segmentation").delete()

    assert filled.entity("TS_1/membrane:alice/1@10.0").key == SegmentationKey(
        "TS_1", 10.0, "membrane", "alice", "1", "multilabel"
    )


def test_of_several_layers_an_entity_is_the_overlays(layered):
    root, _ = layered
    before = root.entity("TS_1/ribosome:tool/0", kind="picks").layer
    root.get_run("TS_1").new_picks("ribosome", "0", "tool", exist_ok=True)

    assert (before, root.entity("TS_1/ribosome:tool/0", kind="picks").layer) == ("static", "overlay")
    assert root.entity("TS_1/ribosome:tool/0").layer == "overlay"


def test_a_run_and_a_spacing_by_address_are_those_of_all_layers(layered):
    root, _ = layered

    assert root.entity("TS_1/") is root.get_run("TS_1")
    assert root.entity("TS_1/@10.0") is root.get_run("TS_1").get_voxel_spacing(10.0)


def test_a_project_is_selected_from_in_another_process_too(filled, project_config):
    import pickle

    if filled.config.config_type == "memory":
        pytest.skip("lives in one process")
    picks = pickle.loads(pickle.dumps(filled.entity("TS_1/ribosome:bob/1", kind="picks")))

    assert len(picks.points) == 1
    assert copick_core.open(project_config()).entity("TS_1/ribosome:bob/1").key == picks.key


def test_picks_are_selected_by_their_number_of_points(filled):
    filled.get_run("TS_2").get_picks(user_id="bob")[0].from_numpy(np.ones((5, 3)))

    assert filled.select("*/ribosome", min_points=2).keys() == [PicksKey("TS_2", "ribosome", "bob", "1")]
    assert filled.select("TS_2/ribosome", max_points=1).keys() == [PicksKey("TS_2", "ribosome", "alice", "1")]


def test_segmentations_are_selected_by_a_label_in_their_voxels(filled):
    segmentation = filled.get_run("TS_1").get_segmentations(is_multilabel=True)[0]
    segmentation.from_numpy(np.full((4, 4, 4), 2, np.uint8))

    assert filled.select("*/*@*", label=2).keys() == [segmentation.key]


def test_the_labels_of_a_panoptic_segmentation_are_not_its_instances(filled):
    both = np.stack([np.ones((4, 4, 4), np.uint8), np.full((4, 4, 4), 2, np.uint8)])
    made = filled.get_run("TS_2").new_segmentation(10.0, "cells", "1", user_id="bob", is_panoptic=True)
    made.from_numpy(both)

    assert filled.select("TS_2/*@*", label=1).keys() == [made.key]
    assert filled.select("TS_2/*@*", label=2).keys() == []


def test_points_and_labels_of_what_has_none_are_refused(filled):
    with pytest.raises(AddressError, match="points"):
        filled.select("*/wbp@10.0", kind="tomogram", min_points=1)
    with pytest.raises(InvalidDataError, match="nothing has both"):
        filled.select("*", min_points=1, label=1)


def test_of_segmentations_that_a_pattern_matches_the_binary_one_of_one_address_is_meant(filled):
    assert filled.entity("TS_1/mem*:alice/1@10.0").segmentation_type == "binary"

    filled.get_run("TS_1").new_segmentation(10.0, "membrane", "1", user_id="bob").from_numpy(np.ones((4, 4, 4), int))
    with pytest.raises(AddressError, match="it matches 3: "):
        filled.entity("TS_1/mem*:*/1@10.0")

    filled.get_run("TS_1").get_segmentations("bob")[0].delete()
    filled.get_run("TS_1").get_segmentations("alice", is_multilabel=False)[0].delete()
    filled.get_run("TS_1").new_segmentation(10.0, "membrane", "1", user_id="bob").from_numpy(np.ones((4, 4, 4), int))
    with pytest.raises(AddressError, match="it matches 2: "):
        filled.entity("TS_1/mem*:*/1@10.0")


@pytest.mark.parametrize(("number", "more"), [(5, ""), (6, "; and 1 more"), (8, "; and 3 more")])
def test_of_many_matching_entities_five_are_listed_and_the_others_counted(root, number, more):
    run = root.new_run("TS_1")
    for session in range(number):
        run.new_picks("ribosome", str(session), "alice").store()

    with pytest.raises(AddressError) as caught:
        root.entity("TS_1/ribosome", kind="picks")

    reason = caught.value.reason
    assert reason.startswith(f"it must match one entity, but it matches {number}: ")
    assert reason.count("picks 'ribosome' of alice/") == 5
    assert reason.endswith(more)
    assert ("more" in reason) is bool(more)


def test_a_selection_shows_its_address_and_what_it_can_mean(root):
    assert repr(root.select("TS_1/wbp@10")) == "<Selection 'TS_1/wbp@10': tomogram, segmentation>"


def test_each_entity_is_counted_for_each_layer_and_has_one_key(layered):
    root, _ = layered
    root.get_run("TS_1").new_picks("ribosome", "0", "tool", exist_ok=True)
    selection = root.select("ribosome", kind="picks")

    assert (selection.count(), len(selection.keys())) == (2, 1)
    assert [picks.layer for picks in selection] == ["static", "overlay"]


def test_picks_with_a_content_are_in_the_order_of_runs_and_layers(layered):
    root, _ = layered
    for name in ("TS_1", "TS_0"):
        root.new_run(name, exist_ok=True).new_picks("ribosome", "0", "tool", exist_ok=True).from_numpy(np.ones((3, 3)))

    found = [(key.run, layer.name) for key, layer in root.select("ribosome", kind="picks", min_points=1).rows()]

    assert found == [("TS_0", "overlay"), ("TS_1", "static"), ("TS_1", "overlay")]


@pytest.mark.parametrize(("low", "high", "count"), [(3, 3, 1), (4, None, 0), (None, 2, 0), (0, 0, 0), (2, 3, 1), (None, 3, 1)])
def test_limits_of_points_count_themselves(root, low, high, count):
    root.new_run("TS_1").new_picks("ribosome", "1", "alice").from_numpy(np.ones((3, 3)))

    assert root.select("ribosome", min_points=low, max_points=high).count() == count


def test_what_can_have_neither_points_nor_labels_says_which(filled):
    with pytest.raises(AddressError, match="nothing that it can mean has points"):
        filled.select("TS_1/wbp@10.0:sobel", min_points=1)
    with pytest.raises(AddressError, match="nothing that it can mean has labels"):
        filled.select("TS_1/wbp@10.0:sobel", label=1)
