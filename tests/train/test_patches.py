"""Patches: what they show, where they are, and that they are the same for all who ask."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import copick_core
from copick_core.errors import InvalidDataError
from copick_train import HeatMap, Labels, Patches
from copick_train.splits import set_splits
from support.objects import OBJECTS

SHAPE = (12, 20, 24)
WBP = "*/wbp@10.0"


@pytest.fixture
def root(tmp_path: Path) -> Any:
    """Three runs: values tell each voxel's place; TS_2 has proteasomes, all have ribosomes, TS_3 has no labels."""
    root = copick_core.new_config(tmp_path / "config.json", "project", pickable_objects=OBJECTS, user_id="alice")
    for number in (1, 2, 3):
        run = root.new_run(f"TS_{number}")
        volume = np.arange(np.prod(SHAPE), dtype="f4").reshape(SHAPE) + 100_000 * number
        run.new_voxel_spacing(10.0).new_tomogram("wbp").from_numpy(volume, levels=2, chunks=8)
        run.new_picks("ribosome", "1").from_numpy([[100, 80, 60], [20, 30, 40]])
        if number < 3:
            labels = np.zeros(SHAPE, "u1")
            labels[:, :10] = 1
            run.new_segmentation(10.0, "membrane", "1", user_id="alice").from_numpy(labels, levels=2, chunks=8)
    root.get_run("TS_2").new_picks("proteasome", "1").from_numpy([[200, 100, 50]])
    return root


def volume_of(run: str) -> np.ndarray:
    return np.arange(np.prod(SHAPE), dtype="f4").reshape(SHAPE) + 100_000 * int(run[-1])


def within(patch: Any, shape: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(start, start + size) for start, size in zip(patch.origin, shape, strict=True))


def test_a_grid_covers_every_voxel_of_every_run(root: Any) -> None:
    patches = Patches(root, WBP, (8, 8, 8))
    seen = {name: np.zeros(SHAPE, bool) for name in ("TS_1", "TS_2", "TS_3")}

    for patch in patches.epoch():
        where = within(patch, (8, 8, 8))
        assert np.array_equal(patch.volume, volume_of(patch.run)[where])
        seen[patch.run][where] = True

    assert all(run.all() for run in seen.values())
    assert len(patches) == 3 * 2 * 3 * 3


def test_random_patches_depend_on_seed_epoch_and_number_alone(root: Any) -> None:
    made = [Patches(root, WBP, (8, 8, 8), count=20, around="*/*:alice", background=0.5, seed=3) for _ in range(2)]
    made.append(pickle.loads(pickle.dumps(made[0])))

    def places(patches: Patches, epoch: int, **shard: int) -> list[Any]:
        return [(p.run, p.origin, p.object_name) for p in patches.epoch(epoch, **shard)]

    first = places(made[0], 1)
    assert first == places(made[1], 1, workers=3) == places(made[2], 1)
    assert [*map(list, zip(*[iter(first)] * 2, strict=True))] == [
        list(pair) for pair in zip(*[places(made[1], 1, rank=rank, ranks=2) for rank in (0, 1)], strict=True)
    ]
    assert first != places(made[0], 2)
    assert first != places(Patches(root, WBP, (8, 8, 8), count=20, around="*/*:alice", background=0.5, seed=4), 1)


def test_each_object_is_chosen_as_often_as_any_other(root: Any) -> None:
    patches = Patches(root, WBP, (8, 8, 8), count=400, around="*/*:alice", seed=1)
    points = {"ribosome": [(6, 8, 10), (4, 3, 2)], "proteasome": [(5, 10, 20)]}

    places = [patches._place(0, number) for number in range(400)]

    counts = {name: sum(place.object_name == name for place in places) for name in points}
    assert abs(counts["ribosome"] - counts["proteasome"]) < 80
    for place in places:
        box = [(start, start + 8) for start in place.origin]
        assert any(all(a <= x < b for x, (a, b) in zip(p, box, strict=True)) for p in points[place.object_name])


def test_labels_are_those_of_the_patch_and_runs_without_are_left_out(root: Any) -> None:
    patches = Patches(root, WBP, (8, 8, 8), target=Labels("*/membrane:alice/1@10.0"))
    whole = np.zeros(SHAPE, "u1")
    whole[:, :10] = 1

    found = [*patches.epoch(workers=2)]

    assert {patch.run for patch in found} == {"TS_1", "TS_2"}
    assert all(np.array_equal(patch.target, whole[within(patch, (8, 8, 8))]) for patch in found)


def test_a_heat_map_is_highest_at_the_picks(root: Any) -> None:
    patches = Patches(root, "exact:TS_1/wbp@10.0", SHAPE, target=HeatMap("*/ribosome:alice", sigma=15.0))

    (patch,) = patches.epoch()

    z, y, x = np.indices(SHAPE)
    distances = [((z - c) ** 2 + (y - b) ** 2 + (x - a) ** 2) * 100.0 for a, b, c in ((10, 8, 6), (2, 3, 4))]
    expected = np.max([np.exp(-d / (2 * 15.0**2)) for d in distances], axis=0)
    assert patch.target.dtype == np.float32
    assert np.abs(patch.target - expected).max() < 1e-3
    assert patch.target[6, 8, 10] == patch.target[4, 3, 2] == 1


def test_a_coarser_level_has_its_own_shape_and_voxel_size(root: Any) -> None:
    patches = Patches(root, "exact:TS_1/wbp@10.0", (6, 10, 12), level=1, target=HeatMap("*/ribosome:alice", sigma=20.0))

    (patch,) = patches.epoch()

    assert patch.volume.shape == (6, 10, 12)
    assert np.unravel_index(int(patch.target.argmax()), patch.target.shape) in {(3, 4, 5), (2, 1, 1), (2, 2, 1)}


def test_a_tomogram_smaller_than_the_patch_is_filled_up_with_zeros(root: Any) -> None:
    (patch,) = Patches(root, "exact:TS_1/wbp@10.0", (16, 20, 24)).epoch()

    assert patch.volume.shape == (16, 20, 24)
    assert np.array_equal(patch.volume[:12], volume_of("TS_1"))
    assert not patch.volume[12:].any()


def test_only_runs_of_the_split_are_used(root: Any) -> None:
    set_splits(root, {"train": ["TS_1", "TS_3"], "test": ["TS_2"]})

    assert {patch.run for patch in Patches(root, WBP, SHAPE, split="train").epoch()} == {"TS_1", "TS_3"}
    with pytest.raises(InvalidDataError, match="Did you mean 'train'"):
        Patches(root, WBP, SHAPE, split="trian")


def test_patches_are_a_map_style_dataset(root: Any) -> None:
    patches = Patches(root, WBP, (8, 8, 8), count=5, seed=1)
    patches.current_epoch = 2

    by_number = [patches[number].origin for number in range(len(patches))]

    assert by_number == [patch.origin for patch in patches.epoch(2)]
    with pytest.raises(IndexError):
        patches[5]


def test_an_epoch_that_is_left_early_stops_reading(root: Any) -> None:
    for patch in Patches(root, WBP, (8, 8, 8), count=1000).epoch(workers=2):
        assert patch.volume.shape == (8, 8, 8)
        break


def test_several_tomograms_in_a_run_are_refused(root: Any) -> None:
    root.get_run("TS_1").get_voxel_spacing(10.0).new_tomogram("denoised").from_numpy(np.zeros(SHAPE, "f4"))

    with pytest.raises(InvalidDataError, match="run 'TS_1' has several"):
        Patches(root, "*/*@10.0", (8, 8, 8))
    with pytest.raises(InvalidDataError, match="no run"):
        Patches(root, "*/other@10.0", (8, 8, 8))


def test_voxels_of_each_label_are_drawn_as_often_as_those_of_any_other(root: Any) -> None:
    labels = np.zeros(SHAPE, "u1")
    labels[2:10, 3:17, 4:20] = 1
    labels[5, 11, 13] = 7
    labels[0, 0, 0] = 99
    cells = root.get_run("TS_1").new_segmentation(10.0, "cells", "1", is_multilabel=True, user_id="alice")
    with pytest.warns(UserWarning, match="value 99"):
        cells.from_numpy(labels, levels=1, chunks=8)
    patches = Patches(root, WBP, (4, 4, 4), count=600, around=Labels("*/cells:alice/1@10.0"), seed=1)

    places = [patches._place(0, number) for number in range(600)]

    values = {"ribosome": 1, "proteasome": 7, "label 99": 99}
    counts = {name: sum(place.object_name == name for place in places) for name in values}
    assert sum(counts.values()) == 600
    assert max(counts.values()) - min(counts.values()) < 80
    for place in places:
        where = tuple(slice(start, start + 4) for start in place.origin)
        assert (labels[where] == values[place.object_name]).any()


def test_each_voxel_of_a_segmentation_is_drawn(root: Any) -> None:
    patches = Patches(root, WBP, (2, 2, 2), count=1, around=Labels("TS_1/membrane:alice/1@10.0"))
    voxels = patches._sources[0].centres["membrane"]

    drawn = np.array([voxels[number] for number in range(len(voxels))], int)

    expected = np.argwhere(root.get_run("TS_1").segmentations[0].numpy())
    assert np.array_equal(np.unique(drawn, axis=0), expected)
    assert len(drawn) == len(expected)


def test_a_segmentation_that_lost_its_voxels_is_named(root: Any) -> None:
    patches = Patches(root, "TS_1/wbp@10.0", (2, 2, 2), count=1, around=Labels("*/membrane:alice/1@10.0"))
    segmentation = root.get_run("TS_1").segmentations[0]

    segmentation.from_numpy(np.zeros(SHAPE, "u1"), levels=2, chunks=8)

    with pytest.raises(InvalidDataError, match="changed since its voxels were counted") as error:
        patches[0]
    assert error.value.source == str(segmentation.key)


def test_labels_without_voxels_are_refused(root: Any) -> None:
    root.get_run("TS_1").new_segmentation(10.0, "proteasome", "1", user_id="alice").from_numpy(np.zeros(SHAPE, "u1"), levels=1)

    with pytest.raises(InvalidDataError, match="no run has labelled voxels there"):
        Patches(root, WBP, (2, 2, 2), count=1, around=Labels("*/proteasome:alice/1@10.0"))


def test_two_segmentations_of_one_object_in_a_run_are_refused(root: Any) -> None:
    root.get_run("TS_1").new_segmentation(10.0, "membrane", "2", user_id="alice").from_numpy(np.ones(SHAPE, "u1"), levels=1)

    with pytest.raises(InvalidDataError, match="two segmentations have membrane"):
        Patches(root, WBP, (2, 2, 2), count=1, around=Labels("*/membrane:alice/*@10.0"))


def test_patches_have_the_features_of_their_tomogram(root: Any) -> None:
    tomogram = root.get_run("TS_2").get_voxel_spacing(10.0).get_tomogram("wbp")
    channels = np.arange(2 * np.prod(SHAPE), dtype="f4").reshape(2, *SHAPE)
    tomogram.new_features("sobel").from_numpy(channels)

    patches = [*Patches(root, WBP, (8, 8, 8), features="*/wbp@10.0:sobel").epoch()]

    assert {patch.run for patch in patches} == {"TS_2"}
    assert all(np.array_equal(patch.features, channels[(..., *within(patch, (8, 8, 8)))]) for patch in patches)


def test_features_of_another_shape_are_refused(root: Any) -> None:
    tomogram = root.get_run("TS_2").get_voxel_spacing(10.0).get_tomogram("wbp")
    tomogram.new_features("half").from_numpy(np.zeros((6, 10, 12), "f4"))

    with pytest.raises(InvalidDataError, match=r"its level 0 has the shape \(6, 10, 12\)"):
        Patches(root, WBP, (4, 4, 4), features="*/wbp@10.0:half")
