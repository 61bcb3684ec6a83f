"""The image processing that annotates volumes of the user's."""

import numpy as np
import pytest

from copick_tools.demo import detect, phantom, scene


@pytest.fixture
def spots():
    """Two bright spots and a weak one next to the first."""
    volume = np.zeros((24, 24, 24), dtype=np.float32)
    volume[8, 8, 8], volume[16, 15, 14], volume[8, 8, 10] = 5.0, 3.0, 4.0
    return detect.low_pass(volume, 0.8)


def test_peaks_are_given_highest_first(spots):
    indices, values = detect.peaks(spots, distance=1.0, count=10)

    assert indices[0].tolist() == [8, 8, 8]
    assert (np.diff(values) <= 0).all()


def test_a_peak_next_to_a_higher_one_is_suppressed(spots):
    indices, _ = detect.peaks(spots, distance=4.0, count=10)

    assert indices.tolist() == [[8, 8, 8], [16, 15, 14]]


def test_peaks_outside_of_what_is_allowed_or_in_the_margin_are_left_out(spots):
    allowed = np.ones(spots.shape, dtype=bool)
    allowed[8, 8, 8] = False

    assert [8, 8, 8] not in detect.peaks(spots, 4.0, 10, allowed=allowed)[0].tolist()
    assert detect.peaks(spots, 4.0, 10, margin=10)[0].tolist() == []


def test_the_low_pass_keeps_the_sum():
    volume = np.random.default_rng(0).random((9, 12, 7)).astype(np.float32)

    assert detect.low_pass(volume, 1.5).sum() == pytest.approx(volume.sum(), rel=1e-4)


def test_contrast_tells_dark_specimens_from_bright_ones():
    volume = np.random.default_rng(0).normal(size=(24, 24, 24)).astype(np.float32)
    volume[10:14, 10:14, 10:14] += 8

    assert detect.contrast(volume) == 1
    assert detect.contrast(-volume) == -1


def test_otsu_parts_two_classes():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(0, 1, 4000), rng.normal(10, 1, 1000)]).astype(np.float32)

    assert 3 < detect.otsu(values) < 8


def test_the_largest_component_is_connected_through_faces_only():
    mask = np.zeros((6, 6, 6), dtype=bool)
    mask[0, 0, :4] = True
    mask[1, 1, 4] = True  # It touches the first part at a corner.
    mask[4:, 4:, 5] = True
    mask[5, 5, 4] = True

    assert np.argwhere(detect.largest_component(mask)).min(axis=0).tolist() == [4, 4, 4]
    assert detect.largest_component(mask).sum() == 5


def test_the_largest_component_follows_a_long_winding_path():
    mask = np.zeros((3, 41, 41), dtype=bool)
    mask[1, ::2, :] = True
    mask[1, 1::4, 0] = True
    mask[1, 3::4, -1] = True

    assert detect.largest_component(mask).sum() == mask.sum()


def test_directions_follow_a_filament():
    axis = np.array([0.6, 0.64, 0.48])  # x, y, z
    z, y, x = np.indices((31, 31, 31)) - 15.0
    along = x * axis[0] + y * axis[1] + z * axis[2]
    volume = np.exp(-(x**2 + y**2 + z**2 - along**2) / 8).astype(np.float32)

    transform = detect.directions(volume, np.array([[15, 15, 15]]), reach=6)[0]

    assert abs(transform[:3, 2] @ axis) > 0.99
    assert np.linalg.det(transform[:3, :3]) == pytest.approx(1)


def test_the_tool_finds_most_of_the_phantoms_ferritins():
    built = scene.synthetic()
    known = phantom.build().particles[1].positions
    found = built.picks[1].positions

    gaps = np.linalg.norm(known[:, None] - found[None], axis=2).min(axis=1)

    assert (gaps < 50).mean() > 0.8


def test_picks_of_a_volume_that_was_averaged_stay_where_the_density_is(monkeypatch):
    volume = np.zeros((40, 40, 40), dtype=np.float32)
    volume[22:26, 14:18, 10:14] = 1.0
    monkeypatch.setattr(scene, "MOST_VOXELS", 40**3 // 8)

    picked = scene.measured("cube", volume, voxel_size=2.0).picks[0].positions[0]

    assert picked == pytest.approx(np.array([11.5, 15.5, 23.5]) * 2.0, abs=2.1)


def test_a_volume_without_contrast_is_refused():
    with pytest.raises(ValueError, match="contrast"):
        scene.measured("flat", np.ones((8, 8, 8), dtype=np.float32), 10.0)
