"""Training pairs from masks made elsewhere: in the app's own files, at their place, with ids that nobody else has."""

import json
import time

import numpy as np
import pytest
from PIL import Image

from copick_core.errors import ConflictError, InvalidDataError
from support import volume_generator
from support.syncs import recorded_syncs
from support.volumes import open_volume

JOB = "CC7651"


@pytest.fixture
def run(volume):
    return open_volume(volume.root, write_back=True).get_run(JOB)


def masks(shape=(12, 40, 30)):
    made = np.zeros(shape, np.uint8)
    made[3:6, 10:20, 5:15] = 1
    return made


def app_pairs(volume, job=JOB):
    """Images and masks as the app of 2024 pairs them: two sorted lists, side by side; of masks the red channel."""
    folder = volume.root / "training" / job
    images, found = sorted(folder.glob("img*.png")), sorted(folder.glob("seg*.png"))
    return [(i.name, np.array(Image.open(i)), np.array(Image.open(m))) for i, m in zip(images, found, strict=True)]


def test_the_app_reads_pairs_of_its_own_kind(volume, run):
    pairs = run.add_training_pairs(masks(), [3, 4])

    theirs = {name: (image, mask) for name, image, mask in app_pairs(volume)}
    for pair in pairs:
        image, mask = theirs[f"img{pair.id}.png"]
        assert image.shape == mask.shape == (512, 512, 4)
        assert (image[..., 3] == 255).all()
        assert {*np.unique(mask[..., 0]).tolist()} == {0, 255}
        np.testing.assert_array_equal(mask[..., 0], mask[..., 3])
        assert not mask[..., 1:3].any()


def test_pairs_are_on_disk_before_they_take_their_places_and_their_folder_afterwards(volume, run):
    folder = volume.root / "training" / JOB

    with recorded_syncs(lambda: {path.name for path in folder.iterdir()}) as syncs:
        (pair,) = run.add_training_pairs(masks(), [3])

    names = [f"meta{pair.id}.json", f"seg{pair.id}.png", f"img{pair.id}.png"]
    written = [s for s in syncs if s.content is not None and s.path.name in names]
    assert [(s.path.name, s.path.name in s.seen, s.content) for s in written] == [
        (name, False, (folder / name).read_bytes()) for name in names
    ]
    assert [s.seen >= {*names} for s in syncs if s.path == folder] == [True]


def test_pairs_know_their_place_and_hold_masks_and_image_there(volume, run):
    for z, pair in zip((3, 4), run.add_training_pairs(masks(), [4, 3]), strict=True):
        assert pair.place_zyx == (z, slice(0, 40), slice(0, 30))
        np.testing.assert_array_equal(pair.mask[pair.region_yx] > 0, masks()[z] > 0)
        plane = volume.images[JOB][z].astype(float)
        shown = pair.image[pair.region_yx].astype(float)
        assert np.corrcoef(plane.ravel(), shown.ravel())[0, 1] > 0.99


@pytest.mark.parametrize("z", [0, 5, 11])
def test_the_context_of_a_slice_lies_inside_the_volume(volume, run, z):
    (pair,) = run.add_training_pairs(masks(), [z])

    x, y, first = pair.meta["cutout_origin_xyz"]
    depth = pair.meta["cutout_shape_xyz"][2]
    assert (x, y) == (0, 0)
    assert 0 <= first <= first + depth <= 12
    assert first + pair.meta["annotated_local_z_index"] == pair.meta["annotated_global_z_index"] == z
    assert [pair.meta[f"padding_{side}_xyz"] for side in ("before", "after")] == [[241, 236, 0], [241, 236, 0]]


def test_they_are_newer_than_every_model_so_that_the_latest_has_not_seen_them(run):
    made = {pair.id for pair in run.add_training_pairs(masks(), [3])}

    assert made <= {*run.freshness().unused_pairs}
    assert all(pair.timestamp <= time.time() for pair in run.training_pairs())


def test_the_job_is_annotated_where_it_rests(volume, run):
    run.add_training_pairs(masks(), [3])
    assert run.job.status.name == "ANNOTATED"

    volume.job(JOB, "SEGMENTING", [30, 40, 12])
    volume.save()
    run.add_training_pairs(masks(), [4])
    assert run.job.status.name == "SEGMENTING"


def test_a_larger_image_is_cut_into_tiles_that_cover_it(tmp_path):
    volume = volume_generator.GeneratedVolume(tmp_path / "volume")
    volume.job("B16", "CONVERTED", [600, 513, 2])
    volume.image("B16", (2, 513, 600), chunks=(512, 512, 64))
    volume.save()
    run = open_volume(volume.root, write_back=True).get_run("B16")
    labels = np.random.default_rng(0).integers(0, 2, (2, 513, 600)).astype(np.uint8)

    pairs = run.add_training_pairs(labels, [1])

    covered = np.zeros((513, 600), np.uint8)
    for pair in pairs:
        z, y, x = pair.place_zyx
        assert z == 1
        covered[y, x] += 1
        np.testing.assert_array_equal(pair.mask > 0, labels[1, y, x] > 0)
    assert len({pair.id for pair in pairs}) == len(pairs) == 4
    assert covered.min() == 1


def test_labels_are_kept_where_that_is_asked_for(run):
    (pair,) = run.add_training_pairs(masks() * 3, [3], value=None)

    assert np.unique(pair.mask).tolist() == [0, 3]


def test_a_correction_in_the_overlay_is_annotated(run):
    mine = run.new_segmentation(run.latest_segmentation.voxel_size, "label-255", "1", False, user_id="ana")
    mine.from_numpy(masks() * 255)

    (pair,) = run.add_training_pairs(mine, [3])

    np.testing.assert_array_equal(pair.mask[pair.region_yx] > 0, masks()[3] > 0)


@pytest.mark.parametrize(
    ("labels", "slices"),
    [
        (masks((12, 40, 31)), [3]),
        (masks().astype(float), [3]),
        (masks(), []),
        (masks(), [12]),
        (masks(), [-1]),
    ],
)
def test_what_are_no_masks_of_the_image_is_refused_and_nothing_is_written(volume, run, labels, slices):
    before = len(app_pairs(volume))

    with pytest.raises(InvalidDataError):
        run.add_training_pairs(labels, slices)
    assert len(app_pairs(volume)) == before


@pytest.mark.parametrize("chunks", [None, [(1, 1, 0)]])
def test_a_job_without_a_complete_image_gets_no_pairs(volume, chunks):
    volume.job("FFFFFF", shape=[30, 40, 12])
    if chunks is not None:
        volume.image("FFFFFF", skip=chunks)
    volume.save()
    run = open_volume(volume.root, write_back=True).get_run("FFFFFF")

    with pytest.raises(InvalidDataError, match="no complete image"):
        run.add_training_pairs(masks(), [3])
    assert not (volume.root / "training" / "FFFFFF").exists()


def test_a_pair_in_the_future_is_a_conflict(volume, run):
    volume.pair(JOB, str(int(time.time()) + 1000))

    with pytest.raises(ConflictError, match="future"):
        run.add_training_pairs(masks(), [3])


def test_the_files_name_each_other(volume, run):
    (pair,) = run.add_training_pairs(masks(), [3])

    meta = json.loads((volume.root / f"training/{JOB}/meta{pair.id}.json").read_text())
    for part in ("image", "mask", "metadata"):
        assert (volume.root / f"training/{JOB}" / meta[f"{part}_filename"]).is_file()
    assert (meta["job_id"], meta["timestamp"]) == (JOB, pair.timestamp)
