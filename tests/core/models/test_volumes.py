"""Tomograms and features: reading, regions, levels, and what is gone when they are deleted."""

import numpy as np
import pytest

from copick_core.errors import (
    InvalidDataError,
    LevelNotFoundError,
)

VOLUME = np.arange(3 * 4 * 5, dtype=np.float32).reshape(3, 4, 5)


def test_get_tomograms_without_a_type_gives_all(spacing, tomogram):
    spacing.new_tomogram("denoised").from_numpy(VOLUME)
    assert sorted(t.tomo_type for t in spacing.get_tomograms()) == ["denoised", "wbp"]
    assert spacing.get_tomograms("wbp") == [tomogram]
    assert spacing.get_tomogram("nothing") is None


def test_a_tomogram_type_is_sanitised_with_a_warning(spacing):
    with pytest.warns(UserWarning, match="wbp-ctf"):
        assert spacing.new_tomogram("wbp_ctf").tomo_type == "wbp-ctf"


def test_an_unwritten_tomogram_is_seen_by_its_maker_and_by_nobody_else(root, spacing):
    tomogram = spacing.new_tomogram("wbp")
    assert spacing.tomograms == [tomogram]
    assert spacing.get_tomogram("wbp") is tomogram
    with pytest.raises(LevelNotFoundError, match="nothing has been written"):
        tomogram.numpy()
    root.refresh()
    assert root.get_run("TS_1").get_voxel_spacing(10).tomograms == []


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        ({}, VOLUME),
        ({"z": 2}, VOLUME[2]),
        ({"z": -1, "x": slice(1, 3)}, VOLUME[-1, :, 1:3]),
        ({"x": 0, "y": 1, "z": 2}, VOLUME[2, 1, 0]),
        ({"y": slice(None, None, 2)}, VOLUME[:, ::2]),
        ({"x": slice(-2, None)}, VOLUME[:, :, -2:]),
    ],
)
def test_reading_is_by_z_y_x_with_numpy_indices(tomogram, index, expected):
    np.testing.assert_array_equal(tomogram.numpy(**index), expected)


def test_a_missing_level_lists_the_levels(tomogram):
    with pytest.raises(KeyError, match="'0', '1', '2'"):
        tomogram.numpy("7")


def test_a_region_larger_than_free_memory_is_refused_with_both_sizes(tomogram, monkeypatch):
    from copick_core.volumes import free_memory

    monkeypatch.setattr(free_memory, "SMALL", 0)
    monkeypatch.setattr(free_memory, "available_memory", lambda: 100)
    with pytest.raises(ValueError, match=r"240 bytes.*100 bytes"):
        tomogram.numpy()
    assert tomogram.numpy(z=0).nbytes == 80


def test_set_region_changes_that_region_only(tomogram):
    tomogram.set_region(np.full((4, 2), -1), z=1, x=slice(0, 2))
    expected = VOLUME.copy()
    expected[1, :, :2] = -1
    np.testing.assert_array_equal(tomogram.numpy(), expected)


def test_a_value_that_the_type_would_change_is_told_with_its_volume(tomogram):
    data = np.zeros((3, 4, 5))
    data[2, 3, 4] = 0.5
    with pytest.raises(
        InvalidDataError, match=r"^tomogram 'wbp' at 10.000 of run 'TS_1': value 0.5 at index \(2, 3, 4\)"
    ) as caught:
        tomogram.from_numpy(data, dtype="int16")
    assert caught.value.index == (2, 3, 4)
    tomogram.from_numpy(VOLUME, dtype="int16")
    with pytest.raises(InvalidDataError, match=r"^tomogram 'wbp' at 10.000 of run 'TS_1': value 0.5"):
        tomogram.set_region(0.5, z=0)


@pytest.mark.parametrize("dtype", ["f4", "i2", "f8"])
def test_what_is_read_has_the_type_of_this_machine_and_no_other_name_for_it(tomogram, dtype):
    tomogram.from_numpy(VOLUME, dtype=dtype)
    for region in (tomogram.numpy(), tomogram.numpy(z=1), tomogram.numpy(z=slice(None, None, -1))):
        assert repr(region.dtype) == repr(np.dtype(dtype))
        assert memoryview(region).tolist() == region.tolist()


def test_pyramids_average_what_is_there(spacing):
    tomogram = spacing.new_tomogram("ones")
    tomogram.from_numpy(np.ones((3, 3, 3)))
    assert (tomogram.numpy("1") == 1).all()
    assert tomogram.levels == ["0", "1", "2"]


def test_features_of_any_dimensionality_round_trip(tomogram):
    for name, shape in {"flat": (7,), "scalar": (3, 4, 5), "vector": (3, 3, 4, 5), "tensor": (3, 3, 3, 4, 5)}.items():
        data = np.random.default_rng(0).random(shape)
        tomogram.new_features(name).from_numpy(data)
        np.testing.assert_array_equal(tomogram.get_features(name).numpy(), data)
    tomogram.refresh()
    assert sorted(f.feature_type for f in tomogram.features) == ["flat", "scalar", "tensor", "vector"]


def test_features_take_regions(tomogram):
    features = tomogram.new_features("vector")
    features.from_numpy(np.zeros((3, 3, 4, 5)))
    features.set_region(np.ones((4, 5)), slices=(1, 2))
    assert features.numpy(slices=(1, 2)).sum() == 20
    assert features.numpy().sum() == 20


def test_a_handle_of_something_deleted_never_reads_zeros(run, spacing, tomogram):
    features = tomogram.new_features("sobel")
    segmentation = run.new_segmentation(10, "membrane", "1")
    for volume in (features, segmentation):
        volume.from_numpy(np.ones(VOLUME.shape, np.uint8))
    for volume in (features, segmentation, tomogram):
        volume.numpy()
        volume.delete()
        with pytest.raises(LevelNotFoundError):
            volume.numpy()


def test_nothing_is_read_of_volumes_whose_run_was_deleted(run, tomogram):
    segmentation = run.new_segmentation(10, "membrane", "1")
    segmentation.from_numpy(np.ones(VOLUME.shape, np.uint8))
    for volume in (segmentation, tomogram):
        volume.numpy()
    run.delete()
    for volume in (segmentation, tomogram):
        with pytest.raises(LevelNotFoundError):
            volume.numpy()


def test_deleting_a_tomogram_takes_its_features(spacing, tomogram):
    tomogram.new_features("sobel").from_numpy(VOLUME)
    assert len(tomogram.features) == 1
    tomogram.delete()
    assert tomogram.features == []
    assert spacing.new_tomogram("wbp").features == []


def test_deleting_while_iterating_deletes_all(spacing):
    for name in "abcd":
        spacing.new_tomogram(name).from_numpy(VOLUME)
    for tomogram in spacing.tomograms:
        tomogram.delete()
    assert spacing.tomograms == []
    spacing.refresh()
    assert spacing.tomograms == []
