"""What a copy keeps, refuses and says: objects of the config, names inside, formats of volumes, and its errors."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import zarr
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import MemoryStore

import copick_core
from copick_core.errors import AlreadyExistsError, ConflictError, InvalidDataError, NotFoundError
from copick_core.layers.revisions import changes
from copick_core.projects.copying import (
    _plan,
    add_objects,
    configured_format,
    copy_content,
    copy_project,
    copy_store,
    same_content,
)
from copick_core.tree.keys import FeaturesKey, Kind, PicksKey, RunKey, TomogramKey, VoxelSpacingKey
from support.objects import OBJECTS


def memory(objects=(), **fields):
    return copick_core.open({"config_type": "memory", "pickable_objects": [*objects], "user_id": "alice", **fields})


@pytest.fixture
def source():
    root = memory(OBJECTS)
    run = root.new_run("TS_1")
    run.new_picks("ribosome", "1").from_numpy([[1.0, 2.0, 3.0]])
    run.new_segmentation(10.0, "membrane", "1").from_numpy(np.ones((4, 5, 6), np.uint8))
    return root


def entity(root, kind):
    (found,) = root.select("TS_1/*", kind=kind)
    return found


# ------------------------------------------------------------------------------------------------------------- objects


def test_objects_are_added_as_copies_and_named(source):
    target = memory(OBJECTS[:1])
    assert [obj.name for obj in target.pickable_objects] == ["ribosome"]

    added = add_objects(source, target)
    source.config.pickable_objects[1].metadata["note"] = "changed"

    assert added == ["membrane", "proteasome"]
    assert [obj.name for obj in target.pickable_objects] == ["ribosome", "membrane", "proteasome"]
    assert target.config.pickable_objects[1].metadata == {}
    assert add_objects(source, target) == []


def test_only_the_named_objects_are_added(source):
    target = memory()

    assert add_objects(source, target, ["proteasome", "unknown"]) == ["proteasome"]
    assert [obj.name for obj in target.pickable_objects] == ["proteasome"]


def test_another_label_of_the_same_object_is_told_with_both():
    with pytest.raises(InvalidDataError) as caught:
        add_objects(memory([OBJECTS[2]]), memory([OBJECTS[2] | {"label": 5}]))

    assert caught.value.source == "object 'proteasome'"
    assert caught.value.reason == "its label is 7 in the source and 5 in the target"


def test_a_label_that_is_taken_is_told_with_its_owner():
    with pytest.raises(InvalidDataError) as caught:
        add_objects(memory([OBJECTS[2]]), memory([{"name": "actin", "is_particle": False, "label": 7}]))

    assert caught.value.source == "object 'proteasome'"
    assert caught.value.reason == "the target uses its label 7 for 'actin'"


def test_objects_that_nobody_has_given_a_label_may_share_it():
    both = [{"name": name, "is_particle": True} for name in ("a", "b")]

    assert add_objects(memory(both[1:]), memory(both[:1])) == ["b"]


# ------------------------------------------------------------------------------------------------------------- content


@pytest.mark.parametrize("kind", [Kind.PICKS, Kind.SEGMENTATION])
def test_what_is_there_is_replaced_only_if_told_to(source, kind):
    target = memory(OBJECTS)
    layer, over = source.layers.overlay, target.layers.overlay
    key = entity(source, kind).key
    copy_content(layer, key, over, key)
    before = changes(key)

    with pytest.raises(ConflictError) as caught:
        copy_content(layer, key, over, key)
    copy_content(layer, key, over, key, replace=True)

    assert (caught.value.key, caught.value.layer, caught.value.expected) == (key, "overlay", None)
    assert caught.value.found is not None
    assert same_content(layer, key, over, key)
    assert changes(key) != before or kind is Kind.PICKS


@pytest.mark.parametrize("kind", [Kind.PICKS, Kind.SEGMENTATION])
def test_what_there_is_not_is_not_copied(source, kind, monkeypatch):
    target = memory(OBJECTS)
    layer, over = source.layers.overlay, target.layers.overlay
    key = entity(source, kind).key._replace(session_id="9")

    monkeypatch.setattr(layer, "location", lambda key: "/the/place")

    with pytest.raises(NotFoundError, match="/the/place" if kind is Kind.SEGMENTATION else "overlay") as caught:
        copy_content(layer, key, over, key)

    assert (caught.value.key, caught.value.layer) == (key, "overlay")
    assert not over.exists(key)


@pytest.mark.parametrize("kind", [Kind.PICKS, Kind.SEGMENTATION])
def test_content_that_differs_is_not_the_same(source, kind):
    target = memory(OBJECTS)
    copy_project(source, target)
    layer, over = source.layers.overlay, target.layers.overlay
    key = entity(source, kind).key
    assert same_content(layer, key, over, key)

    if kind is Kind.PICKS:
        entity(target, kind).from_numpy([[1.0, 2.0, 4.0]])
    else:
        entity(target, kind).set_region(2, x=0, y=0, z=0)

    assert not same_content(layer, key, over, key)


def test_copies_of_one_format_are_compared_byte_for_byte(source):
    target = memory()
    copy_project(source, target)
    key = entity(source, Kind.SEGMENTATION).key
    store, prototype = target.layers.overlay.zarr(key), default_buffer_prototype()
    attributes = sync(store.get(".zattrs", prototype)).to_bytes()

    sync(store.set(".zattrs", prototype.buffer.from_bytes(attributes + b" ")))

    assert not same_content(source.layers.overlay, key, target.layers.overlay, key)


def of_format_3():
    """A project whose place fixes the format of volumes."""
    target = memory(OBJECTS, chunks=[2, 2, 2])
    target.layers.overlay.volume_format = {"zarr_format": 3}
    return target


def test_volumes_are_encoded_anew_where_a_place_fixes_their_format(source):
    target = of_format_3()

    report = copy_project(source, target, verify=True)

    assert len(report.verified) == 2
    old, new = (entity(root, Kind.SEGMENTATION) for root in (source, target))
    np.testing.assert_array_equal(new.numpy(), old.numpy())
    array = zarr.open_array(target.layers.overlay.zarr(new.key), path="0", mode="r")
    assert (array.metadata.zarr_format, array.chunks) == (3, (2, 2, 2))


def test_a_volume_is_encoded_anew_by_default_as_the_place_wants_it(source):
    target = of_format_3()
    key = entity(source, Kind.SEGMENTATION).key

    copy_content(source.layers.overlay, key, target.layers.overlay, key)

    assert zarr.open_array(target.layers.overlay.zarr(key), path="0", mode="r").metadata.zarr_format == 3
    assert same_content(source.layers.overlay, key, target.layers.overlay, key)
    entity(target, Kind.SEGMENTATION).set_region(2, x=0, y=0, z=0)
    assert not same_content(source.layers.overlay, key, target.layers.overlay, key)


def test_a_target_without_records_gets_everything_but_the_reviews(source):
    source.reviews.set("TS_1", "done")
    target = memory(OBJECTS)
    target.layers.overlay.keeps_records = False

    assert len(copy_project(source, target).copied) == 2


def test_names_inside_of_picks_are_written_as_text_not_as_codes(source):
    layer, key = source.layers.overlay, entity(source, Kind.PICKS).key
    document = {**json.loads(layer.read(key)), "note": "Å"}
    layer.write(key, json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode(), if_revision=layer.revision(key))
    wanted = PicksKey("TS_1", "proteasome", "bob", "2")

    copy_content(layer, key, layer, wanted)

    names = {"pickable_object_name": "proteasome", "user_id": "bob", "session_id": "2", "run_name": "TS_1"}
    expected = json.dumps({**document, **names}, separators=(",", ":"), ensure_ascii=False)
    assert layer.read(wanted).decode() == expected
    copy_content(layer, key, layer, key, replace=True)
    assert json.loads(layer.read(key)) == document


class Noting(MemoryStore):
    """Remembers in which order objects are written."""

    def __init__(self):
        super().__init__()
        self.order = []

    async def set(self, key, value, byte_range=None):
        self.order.append(key)
        await super().set(key, value)


@pytest.mark.parametrize("version", [2, 3])
def test_documents_of_arrays_are_copied_before_chunks_and_those_of_the_volume_last(version):
    old, new = MemoryStore(), Noting()
    group = zarr.open_group(old, mode="w", zarr_format=version)
    group.attrs["note"] = 1
    group.create_array("0", shape=(4, 4), chunks=(2, 2), dtype="u1")[:] = 1
    old._store_dict[f"0/1.{'a' * 32}.partial"] = next(iter(old._store_dict.values()))

    assert copy_store(old, new) is True

    documents = {".zarray", ".zgroup", ".zattrs", ".zmetadata", "zarr.json"}
    kinds = [("a" if "/" in name else "z") if name.rpartition("/")[2] in documents else "c" for name in new.order]
    assert kinds == sorted(kinds)
    assert {"a", "c", "z"} == {*kinds}
    assert {*new.order} == {name for name in old._store_dict if not name.endswith(".partial")}
    assert new._store_dict.items() <= old._store_dict.items()


def test_a_store_whose_documents_go_away_meanwhile_is_not_copied():
    class Going(MemoryStore):
        async def get(self, key, prototype=None, byte_range=None):
            return None if key == "zarr.json" else await super().get(key, prototype, byte_range)

    old = Going()
    zarr.open_group(old, mode="w", zarr_format=3).create_array("0", shape=(2,), dtype="u1")

    assert copy_store(old, MemoryStore()) is False


# ------------------------------------------------------------------------------------------------------------ projects


def test_progress_is_told_before_each_entity_and_containers_are_made(source):
    told = []

    report = copy_project(source, memory(), progress=lambda *args: told.append(args))

    assert [key.kind for key, _, _ in told] == [Kind.RUN, Kind.PICKS, Kind.SEGMENTATION, Kind.VOXEL_SPACING][: len(told)]
    assert [(done, total) for _, done, total in told] == [(n, len(told)) for n in range(len(told))]
    assert [key.kind for key in report.copied] == [Kind.PICKS, Kind.SEGMENTATION]
    assert (report.skipped, report.verified) == ([], [])


def test_everything_is_copied_once_and_containers_come_before_what_they_hold(source):
    tomogram = source.get_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp")
    tomogram.from_numpy(np.ones((4, 5, 6), np.float32), levels=1)
    tomogram.new_features("sobel").from_numpy(np.ones((4, 5, 6), np.float32))
    told = []

    copy_project(source, memory(), progress=lambda key, *_: told.append(key.kind))

    assert told == [Kind.RUN, Kind.PICKS, Kind.SEGMENTATION, Kind.VOXEL_SPACING, Kind.TOMOGRAM, Kind.FEATURES]


class Variants:
    """A layer with two tomograms of one type, as a portal has them, each with features."""

    def list(self, kind, parent):
        spacing = VoxelSpacingKey("TS_1", 10.0)
        children = {
            (Kind.VOXEL_SPACING, RunKey("TS_1")): [spacing],
            (Kind.TOMOGRAM, spacing): [TomogramKey("TS_1", 10.0, "wbp", variant) for variant in ("7", "9")],
        }
        if kind is Kind.FEATURES:
            return [FeaturesKey("TS_1", 10.0, "wbp", "sobel", parent.variant)]
        return children.get((kind, parent), [])


def test_tomograms_that_share_a_type_get_types_of_their_own_and_so_do_their_features():
    layer = Variants()
    source = SimpleNamespace(runs=[SimpleNamespace(name="TS_1")], layers=SimpleNamespace(all=[layer]))

    plan = [(key, target) for _, key, target in _plan(source, None) if key.kind in (Kind.TOMOGRAM, Kind.FEATURES)]

    first, second = (TomogramKey("TS_1", 10.0, "wbp", variant) for variant in ("7", "9"))
    assert plan == [
        (first, TomogramKey("TS_1", 10.0, "wbp")),
        (FeaturesKey("TS_1", 10.0, "wbp", "sobel", "7"), FeaturesKey("TS_1", 10.0, "wbp", "sobel")),
        (second, TomogramKey("TS_1", 10.0, "wbp-9")),
        (FeaturesKey("TS_1", 10.0, "wbp", "sobel", "9"), FeaturesKey("TS_1", 10.0, "wbp-9", "sobel")),
    ]


def test_what_was_skipped_is_verified_too(source):
    target = memory()
    first = copy_project(source, target)

    second = copy_project(source, target, verify=True)

    assert (second.copied, second.skipped, second.verified) == ([], first.copied, first.copied)
    third = copy_project(source, target, overwrite=True)
    assert (third.copied, third.skipped) == (first.copied, [])


def test_other_content_in_the_target_is_named_with_its_layer_and_the_way_out(source):
    target = memory()
    copy_project(source, target)
    entity(target, Kind.PICKS).from_numpy([[9.0, 9.0, 9.0]])

    with pytest.raises(AlreadyExistsError) as caught:
        copy_project(source, target)

    key = entity(target, Kind.PICKS).key
    assert (caught.value.key, caught.value.layer) == (key, "overlay")
    assert str(caught.value) == (
        f"{key} already exists in layer 'overlay'. It has other content than the source's; pass overwrite=True to replace it."
    )


def test_a_copy_that_differs_is_named_with_its_layer_and_the_way_out(source):
    target = memory()
    copy_project(source, target)
    entity(target, Kind.SEGMENTATION).set_region(2, x=0, y=0, z=0)

    with pytest.raises(InvalidDataError) as caught:
        copy_project(source, target, verify=True)

    assert caught.value.source == entity(target, Kind.SEGMENTATION).key
    assert caught.value.reason == ("the copy in layer 'overlay' differs from the original; copy it again with overwrite=True")


def test_one_name_is_no_list_of_runs_and_unknown_ones_are_all_named(source):
    with pytest.raises(InvalidDataError) as one:
        copy_project(source, memory(), "TS_1")
    with pytest.raises(InvalidDataError) as unknown:
        copy_project(source, memory(), ["TS_8", "TS_1", "TS_9"])

    assert (one.value.source, one.value.reason) == ("runs", "'TS_1' is one name; give a list of names")
    assert (unknown.value.source, unknown.value.reason) == ("runs", "the source has no run 'TS_8', 'TS_9'")


def test_a_project_without_runs_that_are_asked_for_is_copied_with_its_objects_alone(source):
    source.get_object("ribosome").from_numpy(np.ones((3, 3, 3)), 10.0)
    target = memory()

    report = copy_project(source, target, [])

    assert target.runs == []
    assert [key.kind for key in report.copied] == [Kind.OBJECT]
    assert len(target.pickable_objects) == 3


def test_the_target_shows_what_was_copied_into_runs_that_it_had_listed(source):
    target = memory()
    run = target.new_run("TS_1")
    assert run.picks == []

    copy_project(source, target)

    assert len(target.get_run("TS_1").picks) == 1


@pytest.mark.parametrize(
    ("fields", "version", "chunks"),
    [
        ({}, 2, None),
        ({"zarr_format": 3}, 3, None),
        ({"format": "ome-0.5"}, 3, None),
        ({"chunks": [8, 8, 8]}, 2, (8, 8, 8)),
        ({"format": "ome-0.5", "chunks": [8, 8, 8]}, 3, (8, 8, 8)),
    ],
)
def test_the_format_of_a_project_is_that_of_its_config(fields, version, chunks):
    found = configured_format(memory(**fields))

    assert found.zarr_format == version
    assert chunks is None or tuple(found.chunks) == chunks
