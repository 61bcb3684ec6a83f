"""Volumes as the viewer can draw them: what is passed on, what is decoded, and where voxels lie."""

from __future__ import annotations

import json

import numcodecs
import numpy as np
import pytest
import zarr
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync

from copick_core.errors import InvalidDataError
from copick_view.viewer.contrast import contrast
from copick_view.viewer.passthrough import PageVolume

SHAPE = (6, 10, 14)
VALUES = np.random.default_rng(1).integers(0, 100, SHAPE)


@pytest.fixture
def tomogram(root):
    """A tomogram that holds nothing yet, in an empty project."""
    return root.new_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp")


def _write(tomogram, values, attributes=None, **options):
    """Write a volume of one level as another program would."""
    group = zarr.open_group(tomogram.zarr(), mode="w", zarr_format=options.pop("zarr_format", 2), attributes=attributes or {})
    array = group.create_array("0", shape=values.shape, chunks=(4, 4, 4)[-values.ndim :], dtype=values.dtype, **options)
    array[:] = values
    tomogram.refresh()
    return tomogram


def _read(volume, level="0"):
    return zarr.open_array(volume, path=level, mode="r", zarr_format=volume.zarr_format)[:]


def _multiscales(volume):
    attributes = zarr.open_group(volume, mode="r", zarr_format=volume.zarr_format).attrs.asdict()
    return attributes.get("ome", attributes)["multiscales"][0]


def _transforms(volume):
    return [
        tuple(t["scale"] if t["type"] == "scale" else t["translation"] for t in d["coordinateTransformations"])
        for d in _multiscales(volume)["datasets"]
    ]


@pytest.mark.parametrize("kind", ["u1", "i2", "u4", "i8", "<f4", ">f4"])
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_what_the_viewer_reads_is_passed_on_as_it_is_stored(tomogram, kind, zarr_format):
    volume = PageVolume(_write(tomogram, VALUES.astype(kind), zarr_format=zarr_format), 10.0, labels=False)

    assert (volume.reencoded, volume.zarr_format) == (None, zarr_format)
    assert np.array_equal(_read(volume), VALUES)


@pytest.mark.parametrize(("kind", "served"), [("f2", "<f4"), ("f8", "<f4"), ("?", "|u1")])
def test_values_that_the_viewer_refuses_are_decoded(tomogram, kind, served):
    volume = PageVolume(_write(tomogram, VALUES.astype(kind)), 10.0, labels=False)

    assert volume.reencoded == f"its values are {np.dtype(kind)}"
    assert _read(volume).dtype == np.dtype(served)
    assert np.array_equal(_read(volume), VALUES.astype(kind))


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"filters": [numcodecs.Delta(dtype="<i4")]}, "it has filters"),
        ({"compressors": numcodecs.BZ2()}, "it is compressed by bz2"),
        ({"compressors": numcodecs.LZ4()}, "it is compressed by lz4"),
        ({"compressors": numcodecs.LZMA()}, "it is compressed by lzma"),
    ],
)
def test_codecs_that_the_viewer_does_not_know_are_decoded(tomogram, options, why):
    volume = PageVolume(_write(tomogram, VALUES.astype("<i4"), **options), 10.0, labels=False)

    assert volume.reencoded == why
    assert np.array_equal(_read(volume), VALUES)


@pytest.mark.parametrize("codec", [None, numcodecs.Zlib(), numcodecs.GZip(), numcodecs.Zstd(), numcodecs.Blosc()])
def test_codecs_that_browsers_decode_are_passed_on(tomogram, codec):
    volume = PageVolume(_write(tomogram, VALUES.astype("<i4"), compressors=codec), 10.0, labels=False)

    assert volume.reencoded is None


def test_shards_are_passed_on_with_their_ranges(root):
    tomogram = root.new_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp")
    tomogram.from_numpy(VALUES.astype(np.float32), zarr_format=3, chunks=(4, 4, 4), shards=(8, 8, 8), levels=1)
    volume = PageVolume(tomogram, 10.0, labels=False)

    assert (volume.reencoded, volume.zarr_format) == (None, 3)
    assert np.array_equal(_read(volume), VALUES)
    assert sync(volume.getsize("0/c/0/0/0")) > 0


def test_segmentations_of_floats_are_decoded_as_labels(tomogram):
    values = np.array([0, 1, 2.0, np.nan, -1, 1e12], np.float32).reshape(1, 2, 3)
    volume = PageVolume(_write(tomogram, values), 10.0, labels=True)

    assert _read(volume).dtype == np.uint32
    assert _read(volume).ravel().tolist() == [0, 1, 2, 0, 0, 0]


@pytest.mark.parametrize("channel", [0, 1])
def test_a_channel_of_a_panoptic_segmentation_is_decoded(root, channel):
    channels = np.stack([VALUES % 2, VALUES % 5 * (VALUES % 2)]).astype(np.uint8)
    segmentation = root.new_run("TS_1").new_segmentation(10.0, "all", "1", is_panoptic=True)
    segmentation.from_numpy(channels)

    volume = PageVolume(segmentation, 10.0, labels=True, channel=channel)

    assert np.array_equal(_read(volume), channels[channel])


def test_complex_values_are_refused(tomogram):
    with pytest.raises(InvalidDataError, match="cannot be drawn"):
        PageVolume(_write(tomogram, VALUES.astype("c8")), 10.0, labels=False)


def test_metadata_that_are_missing_are_made_up(tomogram):
    volume = PageVolume(_write(tomogram, VALUES.astype("<f4")), 13.5, labels=False)

    axes = [(axis["name"], axis["unit"]) for axis in _multiscales(volume)["axes"]]
    assert axes == [("z", "angstrom"), ("y", "angstrom"), ("x", "angstrom")]
    assert _transforms(volume) == [([13.5] * 3, [0.0] * 3)]


def test_coarser_levels_lie_in_the_middle_of_the_voxels_that_they_are_the_mean_of(root):
    tomogram = root.new_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp")
    tomogram.from_numpy(VALUES.astype(np.float32), levels=3)

    assert _transforms(PageVolume(tomogram, 10.0, labels=False)) == [
        ([10.0] * 3, [0.0] * 3),
        ([20.0] * 3, [5.0] * 3),
        ([40.0] * 3, [15.0] * 3),
    ]


def test_coarser_levels_of_labels_lie_where_their_voxels_were_taken(root):
    segmentation = root.new_run("TS_1").new_segmentation(10.0, "ribosome", "1")
    labels = np.zeros((7, 8, 9), np.uint8)
    segmentation.from_numpy(labels, levels=2)
    ramp = np.arange(7)

    (_, _), (scale, origin) = _transforms(PageVolume(segmentation, 10.0, labels=True))

    taken = ramp[0::2]  # 7 voxels along z: from the first one
    assert scale == [20.0] * 3
    assert origin == [10.0 * taken[0], 10.0, 10.0]


def test_offsets_that_are_stored_count_from_the_finest_level(tomogram):
    steps = [([1.0] * 3, [5.0] * 3), ([2.0] * 3, [5.25] * 3)]
    datasets = [
        {
            "path": str(n),
            "coordinateTransformations": [{"type": "scale", "scale": s}, {"type": "translation", "translation": t}],
        }
        for n, (s, t) in enumerate(steps)
    ]
    axes = [{"name": axis, "type": "space", "unit": "nanometer"} for axis in "zyx"]
    _write(tomogram, VALUES.astype("<f4"), {"multiscales": [{"version": "0.4", "axes": axes, "datasets": datasets}]})
    coarse = zarr.open_group(tomogram.zarr(), mode="a", zarr_format=2).create_array("1", shape=(3, 5, 7), dtype="<f4")
    coarse[:] = 1
    tomogram.refresh()

    assert _transforms(PageVolume(tomogram, 10.0, labels=False)) == [([10.0] * 3, [0.0] * 3), ([20.0] * 3, [2.5] * 3)]


def test_finest_levels_can_be_left_out(root):
    tomogram = root.new_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp")
    tomogram.from_numpy(VALUES.astype(np.float32), levels=3)

    volume = PageVolume(tomogram, 10.0, labels=False, first_level=1)

    assert [level.path for level in volume.levels] == ["1", "2"]
    assert _transforms(volume)[0] == ([20.0] * 3, [5.0] * 3)


def test_chunks_that_are_not_in_the_volume_do_not_exist(tomogram):
    volume = PageVolume(_write(tomogram, VALUES.astype("f8")), 10.0, labels=False)
    ask = default_buffer_prototype()

    assert sync(volume.get("0/2.0.0", ask)) is None
    assert sync(volume.get("0/../0.0.0", ask)) is None
    assert sync(volume.get("1/0.0.0", ask)) is None
    assert sync(volume.getsize("0/1.2.3")) == 4 * 4 * 4 * 4
    assert json.loads(sync(volume.get("0/.zarray", ask)).to_bytes())["compressor"] is None


def test_contrast_leaves_out_one_percent_at_either_end(root):
    values = np.arange(100 * 100, dtype=np.float32).reshape(4, 50, 50)
    tomogram = root.new_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp")
    tomogram.from_numpy(values, levels=1)

    low, high = contrast([tomogram.view()])

    assert (low, high) == pytest.approx(np.percentile(values, (1, 99)))


def test_contrast_of_a_volume_of_one_value_is_a_range(root):
    tomogram = root.new_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp")
    tomogram.from_numpy(np.full((4, 4, 4), 3.0, np.float32), levels=1)

    assert contrast([tomogram.view()]) == (2.5, 3.5)
