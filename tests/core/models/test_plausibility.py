"""What can be stored and is hardly meant: warned of once, refused where strict is set, listed by the doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import copick_core
from copick_core.errors import InvalidDataError
from copick_core.models.plausibility import outside, wrong_size
from copick_core.tree.keys import TomogramKey
from copick_core.volumes.labels import LabelCheck

SHAPE = (6, 8, 10)
OBJECTS = [
    {"name": "ribosome", "is_particle": True, "label": 1},
    {"name": "membrane", "is_particle": False, "label": 5},
]


@pytest.fixture
def config(tmp_path: Path) -> dict[str, Any]:
    return {
        "config_type": "filesystem",
        "overlay_root": str(tmp_path),
        "user_id": "alice",
        "session_id": "1",
        "pickable_objects": OBJECTS,
    }


@pytest.fixture
def run(config: dict[str, Any]) -> Any:
    run = copick_core.open(config).new_run("TS_1")
    run.new_voxel_spacing(10.0).new_tomogram("wbp").from_numpy(np.ones(SHAPE), levels=1)
    return run


def segmentation(run: Any, name: str = "membrane", *, multilabel: bool = False) -> Any:
    return run.new_segmentation(10.0, name, "1", is_multilabel=multilabel, user_id="alice", exist_ok=True)


@pytest.mark.parametrize("value", [3, 77, 300])
@pytest.mark.parametrize("multilabel", [False, True])
def test_a_segmentation_with_a_label_that_no_object_has_is_warned_of(run: Any, multilabel: bool, value: int) -> None:
    made = segmentation(run, multilabel=multilabel)

    with pytest.warns(UserWarning, match=f"membrane.*value {value}, which is the label of no object"):
        made.from_numpy(np.full(SHAPE, value))

    assert (made.numpy() == value).all()


def test_a_float_tomogram_as_a_segmentation_is_warned_of(run: Any) -> None:
    density = np.arange(np.prod(SHAPE), dtype="f4").reshape(SHAPE)

    with pytest.warns(UserWarning, match="label of no object"):
        segmentation(run).from_numpy(density)


@pytest.mark.parametrize(("multilabel", "values"), [(False, [0, 1]), (False, [0, 5]), (True, [0, 1, 5])])
def test_labels_of_objects_are_stored_without_a_word(run: Any, multilabel: bool, values: list[int]) -> None:
    segmentation(run, multilabel=multilabel).from_numpy(np.resize(np.array(values, "u1"), SHAPE))


def test_ids_of_instances_are_no_labels(run: Any) -> None:
    run.new_segmentation(10.0, "ribosome", "1", is_instance=True).from_numpy(np.full(SHAPE, 77))


def test_a_segmentation_is_warned_of_once(run: Any) -> None:
    made = segmentation(run)
    with pytest.warns(UserWarning, match="value 3"):
        made.from_numpy(np.full(SHAPE, 3))

    made.from_numpy(np.full(SHAPE, 77))


def test_a_region_with_a_label_that_no_object_has_is_warned_of(run: Any) -> None:
    made = segmentation(run)
    made.from_numpy(np.zeros(SHAPE, "u1"))

    with pytest.warns(UserWarning, match="value 7"):
        made.set_region(7, z=0)


def test_strict_refuses_labels_and_leaves_what_was_stored(run: Any) -> None:
    made = segmentation(run)
    made.from_numpy(np.ones(SHAPE, "u1"))

    with pytest.raises(InvalidDataError, match=r"membrane.*value 3"):
        made.from_numpy(np.full(SHAPE, 3), strict=True)
    with pytest.raises(InvalidDataError, match="value 3"):
        made.set_region(3, z=0, strict=True)
    with pytest.raises(InvalidDataError, match="value 3"):
        made.import_volume(np.full(SHAPE, 3, "u1"), strict=True)

    assert (made.numpy() == 1).all()


def test_a_segmentation_of_another_size_than_the_tomogram_is_warned_of(run: Any) -> None:
    with pytest.warns(UserWarning, match=r"membrane.*\(10, 8, 6\), which no tomogram.*\(6, 8, 10\)"):
        segmentation(run).from_numpy(np.ones(SHAPE[::-1], "u1"))


def test_one_tomogram_of_the_size_is_enough(run: Any) -> None:
    run.get_voxel_spacing(10.0).new_tomogram("other").from_numpy(np.ones((4, 4, 4)), levels=1)

    segmentation(run).from_numpy(np.ones((4, 4, 4), "u1"))


def test_what_this_process_does_not_know_is_not_asked_for(run: Any, config: dict[str, Any]) -> None:
    other = copick_core.open(config).get_run("TS_1")

    segmentation(other).from_numpy(np.ones((2, 2, 2), "u1"))
    other.new_picks("ribosome", "1", positions=[[0, 0, 3e6]])


def test_strict_asks_storage_for_the_tomograms(run: Any, config: dict[str, Any]) -> None:
    other = copick_core.open(config).get_run("TS_1")

    with pytest.raises(InvalidDataError, match="which no tomogram"):
        segmentation(other).from_numpy(np.ones((2, 2, 2), "u1"), strict=True)
    with pytest.raises(InvalidDataError, match="outside of every tomogram") as caught:
        other.new_picks("ribosome", "1", positions=[[0, 0, 0], [0, 0, 3e6]], strict=True)

    assert caught.value.index == 1
    assert not other.get_picks()


def test_the_configuration_may_ask_for_strictness(run: Any, config: dict[str, Any]) -> None:
    other = copick_core.open({**config, "strict": True}).get_run("TS_1")

    with pytest.raises(InvalidDataError, match="value 3"):
        segmentation(other).from_numpy(np.full(SHAPE, 3))
    with pytest.raises(InvalidDataError, match="outside"):
        other.new_picks("ribosome", "1", positions=[[0, 0, 3e6]])
    with pytest.warns(UserWarning, match="outside"):
        other.new_picks("ribosome", "2", positions=[[0, 0, 3e6]], strict=False)


def test_points_outside_of_every_tomogram_are_warned_of_once(run: Any) -> None:
    with pytest.warns(UserWarning, match=r"ribosome.*1 of 2 points lie outside.*z=3e\+06 \(index 1\)"):
        picks = run.new_picks("ribosome", "1", positions=[[0, 0, 0], [0, 0, 3e6]])

    picks.points[0].location.x = -1e6
    picks.store()


def test_points_on_the_rim_of_a_tomogram_are_inside(run: Any) -> None:
    z, y, x = (10.0 * n for n in SHAPE)

    run.new_picks("ribosome", "1", positions=[[0, 0, 0], [x, y, z], [x - 5, y - 5, z - 5], [-5, -5, -5]])


def test_a_point_between_tomograms_of_two_shapes_is_outside_of_both(run: Any) -> None:
    run.new_voxel_spacing(20.0).new_tomogram("wbp").from_numpy(np.ones((20, 2, 2)), levels=1)

    with pytest.warns(UserWarning, match="1 of 1 points"):
        run.new_picks("ribosome", "1", positions=[[90, 70, 300]])


def test_filaments_outside_of_every_tomogram_are_warned_of(config: dict[str, Any]) -> None:
    config["pickable_objects"] = [{"name": "actin", "is_particle": True, "label": 1, "metadata": {"copick": {"filament": {}}}}]
    run = copick_core.open(config).new_run("TS_1")
    run.new_voxel_spacing(10.0).new_tomogram("wbp").from_numpy(np.ones(SHAPE), levels=1)
    filaments = run.new_filaments("actin", "1")

    with pytest.warns(UserWarning, match=r"actin.*1 of 2 points"):
        filaments.from_numpy([[[0, 0, 0], [0, 0, 3e6]]])


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i4", "f4"])
@pytest.mark.parametrize(("labels", "values", "found"), [([1, 2], [0, 1, 2], None), ([1, 5], [5, 3, 1], 3), ([], [0], None)])
def test_the_check_of_labels_finds_what_is_none(labels: list[int], values: list[int], found: int | None, dtype: str) -> None:
    check = LabelCheck(labels)

    check(np.array(values, dtype))

    assert check.found == found


TOMOGRAM = TomogramKey("TS_1", 10.0, "wbp")
COARSE = TomogramKey("TS_1", 20.0, "wbp")
X, Y, Z = 100.0, 80.0, 60.0  # where the tomogram ends


@pytest.mark.parametrize(
    ("point", "is_inside"),
    [
        ((0, 0, 0), True),
        ((X, Y, Z), True),
        ((-10, -10, -10), True),
        ((X + 0.01, 0, 0), False),
        ((0, Y + 0.01, 0), False),
        ((0, 0, Z + 0.01), False),
        ((-10.01, 0, 0), False),
        ((0, -10.01, 0), False),
        ((0, 0, -10.01), False),
    ],
)
def test_a_point_may_be_one_voxel_outside_and_no_more(point: Any, is_inside: bool) -> None:
    found = outside(np.array([[1.0, 1.0, 1.0], point]), [(TOMOGRAM, SHAPE)])

    assert (found is None) is is_inside
    assert found is None or found[0] == 1


def test_what_is_said_of_points_names_the_first_their_number_and_the_end_of_the_largest_tomogram() -> None:
    points = np.array([[0, 0, 0], [0, 0, 500.0], [90, 70, 300.0], [-25, 0, 0]])

    found = outside(points, [(TOMOGRAM, SHAPE), (COARSE, (20, 2, 2))])

    assert found == (
        1,
        "3 of 4 points lie outside of every tomogram of the run, the first at x=0, y=0, z=500 (index 1); "
        "the largest tomogram ends at x=100, y=80, z=400 angstrom",
    )


def test_without_tomograms_or_points_nothing_is_outside() -> None:
    assert outside(np.array([[1e9, 0, 0]]), []) is None
    assert outside(np.empty((0, 3)), [(TOMOGRAM, SHAPE)]) is None


def test_a_size_of_no_tomogram_is_told_with_three_of_those_that_there_are() -> None:
    sizes = [(TomogramKey("TS_1", 10.0, f"t{n}"), (n, n, n)) for n in range(1, 6)]

    assert wrong_size((3, 3, 3), sizes) is None
    assert wrong_size((9, 9, 9), []) is None
    reason = wrong_size((9, 9, 9), sizes)
    assert reason is not None
    assert reason.startswith(
        "its size (z, y, x) is (9, 9, 9), which no tomogram of this voxel size has: there is (1, 1, 1) of"
    )
    assert reason.count(" of tomogram ") == 3


def test_only_tomograms_of_the_voxel_size_are_compared(run: Any, config: dict[str, Any]) -> None:
    run.new_voxel_spacing(20.0).new_tomogram("wbp").from_numpy(np.ones((3, 4, 5)), levels=1)

    run.new_segmentation(20.0, "membrane", "1").from_numpy(np.ones((3, 4, 5), "u1"))
    other = copick_core.open(config).get_run("TS_1")
    other.new_segmentation(20.0, "membrane", "2").from_numpy(np.ones((3, 4, 5), "u1"), strict=True)
    with pytest.raises(InvalidDataError, match=r"its size .* is \(6, 8, 10\)"):
        other.new_segmentation(20.0, "membrane", "3").from_numpy(np.ones(SHAPE, "u1"), strict=True)


def test_a_tomogram_that_was_not_written_yet_is_passed_over(run: Any) -> None:
    run.get_voxel_spacing(10.0).new_tomogram("later")

    segmentation(run).from_numpy(np.ones(SHAPE, "u1"), strict=True)


def test_what_is_refused_says_why_and_what_is_warned_of_how_to_refuse_it(run: Any) -> None:
    made = segmentation(run)

    with pytest.raises(InvalidDataError) as caught:
        made.from_numpy(np.full(SHAPE, 3), strict=True)
    assert caught.value.source == made.key
    assert caught.value.reason.endswith("(refused because strict is set)")
    with pytest.warns(UserWarning, match=r"value 3.*Check the data; strict=True refuses such\."):
        made.from_numpy(np.full(SHAPE, 3))


@pytest.mark.parametrize("labels", [[1, 3], [1, 2, 3, 300, 70_000]])
@pytest.mark.parametrize("values", [[0, 1, 3], [2], [4], [65_535], [70_000, 0], [70_001]])
def test_the_check_of_labels_finds_gaps_whatever_is_largest(labels: list[int], values: list[int]) -> None:
    check = LabelCheck(labels)

    check(np.array(values, "u4"))

    assert check.found == next((value for value in values if value not in (0, *labels)), None)


def test_the_check_of_labels_takes_pieces_and_keeps_what_it_found_first() -> None:
    check = LabelCheck([1, 2], [2])

    for piece in ([], [0, 1], [9], [2], [7]):
        check(np.array(piece, "u1"))

    assert (check.found, check.found_shared) == (9, 2)


def test_a_binary_segmentation_may_have_ones_whatever_the_label_of_its_object(config: dict[str, Any]) -> None:
    run = copick_core.open({**config, "pickable_objects": OBJECTS[1:]}).new_run("TS_1")

    segmentation(run).from_numpy(np.ones(SHAPE, "u1"))
    with pytest.warns(UserWarning, match="value 2"):
        segmentation(run).from_numpy(np.full(SHAPE, 2, "u1"))


def test_a_panoptic_segmentation_is_as_large_as_its_tomogram_without_its_channels(run: Any) -> None:
    run.new_segmentation(10.0, "all", "1", is_panoptic=True).from_numpy(np.ones((2, *SHAPE), "u2"))


FORGETTING = {
    "project": lambda tomogram: tomogram.voxel_spacing.run.root.refresh(),
    "run": lambda tomogram: tomogram.voxel_spacing.run.refresh(),
    "voxel spacings": lambda tomogram: tomogram.voxel_spacing.run.refresh_voxel_spacings(),
    "voxel spacing": lambda tomogram: tomogram.voxel_spacing.refresh(),
    "tomograms": lambda tomogram: tomogram.voxel_spacing.refresh_tomograms(),
    "tomogram": lambda tomogram: tomogram.refresh(),
    "deleted run": lambda tomogram: tomogram.voxel_spacing.run.delete(),
    "deleted voxel spacing": lambda tomogram: tomogram.voxel_spacing.delete(),
    "deleted tomogram": lambda tomogram: tomogram.delete(),
}


@pytest.mark.parametrize("forget", FORGETTING)
def test_sizes_of_tomograms_that_were_forgotten_or_deleted_are_not_compared(run: Any, forget: str) -> None:
    run.new_voxel_spacing(20.0).new_tomogram("wbp").from_numpy(np.ones((3, 4, 5)), levels=1)

    FORGETTING[forget](run.get_voxel_spacing(10.0).get_tomogram("wbp"))

    run = run.root.new_run("TS_1", exist_ok=True)
    segmentation(run).from_numpy(np.ones((2, 2, 2), "u1"))
