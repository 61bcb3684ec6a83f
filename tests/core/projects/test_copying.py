"""Copying projects between backends: complete, resumable, verified."""

import numpy as np
import pytest

import copick_core
from copick_core.errors import AlreadyExistsError, ConflictError, InvalidDataError, NotFoundError, ReadOnlyError
from copick_core.projects.copying import CopyReport, copy_content, copy_project, same_content
from copick_core.tree import layout
from copick_core.tree.keys import Kind, PicksKey, RunKey
from support.objects import OBJECTS


def empty(backend, folder):
    if backend == "memory":
        return copick_core.open({"config_type": "memory"})
    return copick_core.open({"config_type": "filesystem", "overlay_root": str(folder)})


def keys(root):
    found = []
    for run in root.runs:
        found += [run.key, *(e.key for e in [*run.picks, *run.meshes, *run.segmentations])]
        for spacing in run.voxel_spacings:
            found.append(spacing.key)
            for tomogram in spacing.tomograms:
                found += [tomogram.key, *(f.key for f in tomogram.features)]
    return found


@pytest.mark.parametrize("backend", ["filesystem", "memory"])
def test_everything_is_copied_and_verified(layered, tmp_path, backend):
    source, _ = layered
    run = source.get_run("TS_1")
    run.new_picks("ribosome", "0", "tool", exist_ok=True).from_numpy([[9, 9, 9]])
    source.new_run("empty")
    target = empty(backend, tmp_path / "copy")

    seen = []
    report = copy_project(source, target, verify=True, progress=lambda key, done, of: seen.append((done, of)))

    source.refresh()
    assert set(keys(target)) == set(keys(source))
    assert [o.name for o in target.pickable_objects] == [o["name"] for o in OBJECTS]
    copied = target.get_run("TS_1")
    assert copied.picks[0].numpy()[0].tolist() == [[9, 9, 9]], "the overlay's version wins"
    tomogram = copied.get_voxel_spacing(10).get_tomogram("wbp")
    original = run.get_voxel_spacing(10).get_tomogram("wbp")
    for level in original.levels:
        np.testing.assert_array_equal(tomogram.numpy(level), original.numpy(level))
    np.testing.assert_array_equal(target.get_object("ribosome").numpy(), source.get_object("ribosome").numpy())
    assert len(report.verified) == len(report.copied) == 6
    assert [done for done, _ in seen] == list(range(seen[0][1]))


def test_an_interrupted_copy_is_resumed(layered, tmp_path):
    source, _ = layered
    target = empty("filesystem", tmp_path / "copy")

    def stop(key, done, of):
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy_project(source, target, progress=stop)
    report = copy_project(source, target, verify=True)
    assert report.skipped
    assert report.copied
    assert set(keys(target)) == set(keys(source))


def test_other_content_in_the_target_is_kept_unless_told_otherwise(layered, tmp_path):
    source, _ = layered
    target = empty("memory", None)
    copy_project(source, target)
    target.get_run("TS_1").picks[0].from_numpy([[5, 5, 5]])
    with pytest.raises(AlreadyExistsError, match="overwrite=True"):
        copy_project(source, target)
    assert target.get_run("TS_1").picks[0].numpy()[0].tolist() == [[5, 5, 5]]
    copy_project(source, target, overwrite=True, verify=True)
    assert len(target.get_run("TS_1").picks[0].points) == 2


def test_verifying_notices_a_voxel_that_differs(layered):
    source, _ = layered
    target = empty("memory", None)
    copy_project(source, target)
    target.get_run("TS_1").segmentations[0].set_region(2, x=0, y=0, z=0)
    with pytest.raises(InvalidDataError, match="differs"):
        copy_project(source, target, verify=True)


@pytest.mark.parametrize("backend", ["filesystem", "memory"])
def test_a_volume_that_is_deleted_before_its_turn_does_not_take_the_targets_with_it(layered, tmp_path, backend):
    source, _ = layered
    target = empty(backend, tmp_path / "copy")
    copy_project(source, target)
    expected = target.get_run("TS_1").segmentations[0].numpy()
    (layer,) = [layer for layer in source.layers.all if list(layer.list(Kind.SEGMENTATION, source.runs[0].key))]
    layer.read_only = False

    def delete(key, done, of):
        if key.kind is Kind.SEGMENTATION:
            layer.delete(key)

    with pytest.raises(NotFoundError) as caught:
        copy_project(source, target, overwrite=True, progress=delete)

    assert caught.value.key.kind is Kind.SEGMENTATION
    np.testing.assert_array_equal(target.get_run("TS_1").segmentations[0].numpy(), expected)


def test_an_empty_volume_as_copick_1_leaves_it_does_not_stop_a_copy(layered):
    source, folder = layered
    (folder / "ExperimentRuns/TS_1/Segmentations/10.000_me_1_membrane.zarr").mkdir()

    report = copy_project(source, empty("memory", None), verify=True)

    assert "me" in [key.user_id for key in report.copied if key.kind is Kind.SEGMENTATION]


def test_a_volume_that_is_deleted_while_it_is_copied_is_not_copied(layered, monkeypatch):
    source, _ = layered
    target = empty("memory", None)
    static = source.layers.static[0]
    opened = static.zarr

    def gone(key):
        store = opened(key)
        if key.kind is Kind.SEGMENTATION:
            store.list = listed_before(store, lambda: static.delete_path(layout.path(key)))
        return store

    monkeypatch.setattr(static, "zarr", gone)
    with pytest.raises(NotFoundError):
        copy_project(source, target)

    assert target.get_run("TS_1").segmentations == []


def listed_before(store, act):
    listing = store.list

    async def list_then_act():
        names = [name async for name in listing()]
        act()
        for name in names:
            yield name

    return list_then_act


def test_a_volume_that_somebody_else_makes_while_it_is_copied_is_kept(layered, tmp_path, monkeypatch):
    source, _ = layered
    target = empty("filesystem", tmp_path / "copy")
    somebody = empty("filesystem", tmp_path / "copy")
    swap = target.layers.overlay.replace_zarr

    def slowly(key):
        if key.kind is Kind.TOMOGRAM:
            spacing = somebody.get_run("TS_1").get_voxel_spacing(10)
            spacing.new_tomogram("wbp").from_numpy(np.full((2, 2, 2), 7))
        return swap(key)

    monkeypatch.setattr(target.layers.overlay, "replace_zarr", slowly)
    with pytest.raises(ConflictError) as caught:
        copy_project(source, target)

    assert caught.value.key.kind is Kind.TOMOGRAM
    assert somebody.get_run("TS_1").get_voxel_spacing(10).get_tomogram("wbp").numpy().min() == 7


def test_only_the_named_runs_are_copied_and_unknown_ones_refused(layered):
    source, _ = layered
    source.new_run("TS_2")
    target = empty("memory", None)
    copy_project(source, target, ["TS_2"])
    assert [r.name for r in target.runs] == ["TS_2"]
    with pytest.raises(InvalidDataError, match="TS_3"):
        copy_project(source, target, ["TS_3"])
    with pytest.raises(InvalidDataError, match="list of names"):
        copy_project(source, target, "TS_2")


def test_objects_that_contradict_are_refused_before_anything_is_copied(layered):
    source, _ = layered
    target = copick_core.open({"config_type": "memory", "pickable_objects": [OBJECTS[0] | {"label": 5}]})
    with pytest.raises(InvalidDataError, match="label"):
        copy_project(source, target)
    assert target.runs == []


def test_a_target_without_an_overlay_is_refused(layered, project_config):
    source, _ = layered
    with pytest.raises(ReadOnlyError):
        copy_project(source, copick_core.open(project_config(None, "reference")))


def test_a_copy_of_picks_under_another_key_has_its_names_inside_and_everything_else_as_it_was(root):
    import json

    run = root.new_run("TS_1")
    picks = run.new_picks("ribosome", "1", "alice")
    picks.from_numpy([[0.1 + 0.2, 1 / 3, 1e22]])
    picks.meta.trust_orientation = False
    picks.store()
    root.new_run("TS_2")
    layer, target = root.layers.overlay, PicksKey("TS_2", "ribosome", "bob", "2")

    copy_content(layer, picks.key, layer, target)

    before, after = (json.loads(layer.read(key)) for key in (picks.key, target))
    names = {"user_id": "bob", "session_id": "2", "run_name": "TS_2"}
    assert after == {**before, **names}
    assert same_content(layer, picks.key, layer, target)


def test_a_report_is_one_short_line():
    report = CopyReport(copied=[RunKey(f"TS_{n}") for n in range(1200)])

    assert repr(report) == str(report) == "<CopyReport copied=1,200, skipped=0, verified=0>"
