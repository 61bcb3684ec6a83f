"""Picks: what is stored of them, filters, and what is refused."""

from datetime import date
from pathlib import Path

import numpy as np
import pytest

import copick_core
from copick_core.errors import (
    AlreadyExistsError,
    ConflictError,
    InvalidDataError,
    InvalidNameError,
    UnknownObjectError,
)
from copick_core.models import CopickPicksFile, CopickPoint


def test_picks_need_a_known_object_and_a_user(root, run):
    with pytest.raises(UnknownObjectError, match="Did you mean 'ribosome'"):
        run.new_picks("ribosom", "1")
    assert run.new_picks("ribosome", "1").user_id == "alice"
    root.config.user_id = None
    with pytest.raises(InvalidNameError, match="user_id"):
        run.new_picks("ribosome", "2")


def test_picks_that_exist_are_refused_or_given(run):
    picks = run.new_picks("ribosome", "1")
    with pytest.raises(AlreadyExistsError):
        run.new_picks("ribosome", "1")
    assert run.new_picks("ribosome", "1", exist_ok=True) is picks


def test_ids_are_sanitised_with_a_warning(run):
    with pytest.warns(UserWarning, match="my-tool"):
        picks = run.new_picks("ribosome", "0", "my_tool")
    assert picks.from_tool
    assert not picks.from_user


def test_filters_take_a_string_an_iterable_or_nothing(run):
    for user, session in (("a", "1"), ("b", "0"), ("c", "2")):
        run.new_picks("ribosome", session, user)
    assert {p.user_id for p in run.get_picks(user_id=["a", "b"])} == {"a", "b"}
    assert {p.user_id for p in run.get_picks("ribosome", session_id=(s for s in "12"))} == {"a", "c"}
    assert [p.user_id for p in run.get_picks("ribosome", "a", "1")] == ["a"]
    assert run.get_picks("membrane") == []
    assert {p.user_id for p in run.user_picks()} == {"a", "c"}
    assert {p.user_id for p in run.tool_picks()} == {"b"}


@pytest.mark.parametrize("value", [1, [1], ["1", None], 1.5])
def test_filters_that_could_never_match_are_refused(run, value):
    with pytest.raises(InvalidDataError, match="is not a string"):
        run.get_picks(session_id=value)


def test_arrays_round_trip_exactly(root, run):
    rng = np.random.default_rng(1)
    positions, scores = rng.normal(0, 1e3, (20, 3)), rng.random(20)
    transforms = np.tile(np.eye(4), (20, 1, 1))
    transforms[:, :3] = rng.random((20, 3, 4))
    run.new_picks("ribosome", "1").from_numpy(positions, transforms, range(20), scores)
    root.refresh()
    picks = root.get_run("TS_1").picks[0]
    np.testing.assert_array_equal(picks.numpy()[0], positions)
    np.testing.assert_array_equal(picks.numpy()[1], transforms)
    np.testing.assert_array_equal(picks.instance_ids(), range(20))
    np.testing.assert_array_equal(picks.scores(), scores)
    np.testing.assert_array_equal(picks.full_positions(), positions + transforms[:, :3, 3])


def test_points_can_be_edited_in_place(root, run):
    picks = run.new_picks("ribosome", "1")
    picks.points = [CopickPoint(location={"x": 1, "y": 2, "z": 3})]
    picks.points.append(CopickPoint(location={"x": 4, "y": 5, "z": 6}, score=0.5))
    picks.points[0].transformation = np.diag([2, 2, 2, 1])
    picks.store()
    root.refresh()
    again = root.get_run("TS_1").picks[0]
    assert [p.location.x for p in again.points] == [1, 4]
    assert again.scores().tolist() == [1.0, 0.5]
    assert again.numpy()[1][0, 0, 0] == 2


def test_an_emptied_list_stays_empty(root, run):
    picks = run.new_picks("ribosome", "1")
    picks.from_numpy([[1, 2, 3]])
    picks.points = []
    assert picks.points == []
    picks.store()
    root.refresh()
    assert root.get_run("TS_1").picks[0].points == []


def test_replacing_points_keeps_the_other_fields(root, run):
    picks = run.new_picks("ribosome", "1")
    picks.meta.trust_orientation = False
    picks.meta.voxel_spacing = 10.0
    picks.store()
    root.refresh()
    root.get_run("TS_1").picks[0].from_numpy([[1, 2, 3]])
    root.refresh()
    again = root.get_run("TS_1").picks[0]
    assert again.trust_orientation is False
    again.load()
    assert (again.meta.voxel_spacing, again.meta.unit, again.meta.run_name) == (10.0, "angstrom", "TS_1")


@pytest.mark.parametrize(
    "arguments",
    [
        {"positions": [[1, 2, float("nan")]]},
        {"positions": [[1, 2, float("inf")]]},
        {"positions": [1, 2, 3]},
        {"positions": [[1, 2, 3]], "scores": [float("nan")]},
        {"positions": [[1, 2, 3]], "instance_ids": [-1]},
        {"positions": [[1, 2, 3]], "instance_ids": [0.5]},
        {"positions": [[1, 2, 3]], "scores": [1, 2]},
        {"positions": [[1, 2, 3]], "transforms": np.zeros((1, 4, 4))},
    ],
)
def test_values_that_cannot_be_stored_are_refused_and_nothing_changes(root, run, arguments):
    picks = run.new_picks("ribosome", "1")
    picks.from_numpy([[7, 8, 9]])
    with pytest.raises(InvalidDataError):
        picks.from_numpy(**arguments)
    assert picks.numpy()[0].tolist() == [[7, 8, 9]]
    root.refresh()
    assert root.get_run("TS_1").picks[0].numpy()[0].tolist() == [[7, 8, 9]]


def test_a_point_that_cannot_be_stored_is_named_and_the_file_stays(root, run):
    picks = run.new_picks("ribosome", "1")
    picks.from_numpy([[7, 8, 9], [1, 1, 1]])
    picks.points[1].location.y = float("nan")
    with pytest.raises(InvalidDataError, match="point 1"):
        picks.store()
    root.refresh()
    assert len(root.get_run("TS_1").picks[0].points) == 2


@pytest.mark.parametrize(
    "spoil",
    [
        lambda points: points.__setitem__(1, {"location": {"x": 1, "y": 2, "z": 3}}),
        lambda points: setattr(points[1], "location", {"x": 1, "y": 2, "z": 3}),
        lambda points: setattr(points[1].location, "x", "1"),
        lambda points: setattr(points[1], "instance_id", 2**70),
        lambda points: setattr(points[1], "transformation_", np.eye(3)),
    ],
)
def test_a_point_that_is_no_point_is_named(run, spoil):
    picks = run.new_picks("ribosome", "1")
    picks.points = [CopickPoint(location={"x": 1, "y": 2, "z": 3}) for _ in range(3)]
    spoil(picks.points)
    with pytest.raises(InvalidDataError, match="'ribosome' of alice/1 in run 'TS_1': point 1:"):
        picks.store()


def test_fields_may_be_numbers_of_numpy_and_others_are_named(root, run):
    picks = run.new_picks("ribosome", "1")
    picks.meta.voxel_spacing = np.float32(10)
    picks.store()
    root.refresh()
    picks = root.get_run("TS_1").picks[0]
    assert picks.load().voxel_spacing == 10.0
    picks.meta.note = object()
    with pytest.raises(InvalidDataError, match=r"'ribosome' of alice/1 in run 'TS_1': the header"):
        picks.store()


def test_bulk_deletion_takes_filters(run):
    for user in "abc":
        run.new_picks("ribosome", "1", user)
    run.delete_picks(user_id=["a", "b"])
    run.refresh()
    assert [p.user_id for p in run.picks] == ["c"]


@pytest.mark.parametrize("value", [[1, 2], [3.0], np.array([3.0]), "1", None])
def test_a_location_that_is_no_number_is_named_by_its_point(run, value):
    picks = run.new_picks("ribosome", "1")
    picks.points = [CopickPoint(location={"x": 1, "y": 2, "z": 3}) for _ in range(2)]
    for axis in "xyz":
        setattr(picks.points[1].location, axis, value)

    with pytest.raises(InvalidDataError, match=r"^picks 'ribosome' of alice/1 in run 'TS_1': point 1: positions must"):
        picks.store()

    assert picks.load().points == []


def test_fields_that_are_assigned_before_reading_are_stored_with_the_points_that_are_there(root, run):
    run.new_picks("ribosome", "1").from_numpy([[1, 2, 3]])
    root.refresh()
    picks = root.get_run("TS_1").picks[0]
    picks.meta.trust_orientation = False
    picks.store()
    root.refresh()
    again = root.get_run("TS_1").picks[0]
    again.meta.voxel_spacing = 10.0
    again.from_numpy([[4, 5, 6]])
    root.refresh()
    last = root.get_run("TS_1").picks[0]
    assert [p.location.x for p in last.load().points] == [4]
    assert (last.meta.trust_orientation, last.meta.voxel_spacing) == (False, 10.0)


def test_a_file_that_names_no_run_is_stored_with_that_which_it_belongs_to(root, run):
    picks = run.new_picks("ribosome", "1")
    picks.meta = CopickPicksFile(pickable_object_name="ribosome", user_id="alice", session_id="1")
    picks.store()
    root.refresh()
    assert root.get_run("TS_1").picks[0].load().run_name == "TS_1"

    picks.meta.run_name = "TS_1 of another project"
    picks.store()
    assert picks.load().run_name == "TS_1 of another project"


def test_fields_that_json_has_no_type_for_are_stored_as_text(root, run):
    picks = run.new_picks("ribosome", "1")
    picks.meta.picked_on = date(2026, 2, 1)
    picks.store()
    assert picks.load().picked_on == "2026-02-01"


def test_picks_that_cannot_be_read_exist_all_the_same(project_config):
    picks = copick_core.open(project_config()).new_run("TS_1").new_picks("ribosome", "1")
    with pytest.raises(AlreadyExistsError, match="It is empty: pass exist_ok=True to continue it") as empty:
        picks.run.new_picks("ribosome", "1")
    Path(picks.path).write_text("{")

    run = copick_core.open(project_config()).get_run("TS_1")
    with pytest.raises(AlreadyExistsError, match="Pass exist_ok=True to get it") as damaged:
        run.new_picks("ribosome", "1")

    for caught in (empty, damaged):
        assert (caught.value.key, caught.value.layer) == (picks.key, "overlay")


@pytest.mark.parametrize("given", [None, [[1.0, 2.0, 3.0]]])
def test_of_two_who_make_the_same_picks_at_the_same_moment_the_second_is_told(project_config, monkeypatch, given):
    root, other = copick_core.open(project_config()), copick_core.open(project_config())
    run = root.new_run("TS_1")
    write = type(root.layers.overlay).write

    def write_second(layer, *args, **kwargs):
        monkeypatch.undo()
        other.get_run("TS_1").new_picks("ribosome", "1", positions=[[7.0, 8.0, 9.0]])
        return write(layer, *args, **kwargs)

    monkeypatch.setattr(type(root.layers.overlay), "write", write_second)
    with pytest.raises(ConflictError) as caught:
        run.new_picks("ribosome", "1", positions=given)

    assert (caught.value.layer, caught.value.expected) == ("overlay", None)
    monkeypatch.setattr(type(root.layers.overlay), "write", write)
    taken = run.new_picks("ribosome", "1", exist_ok=True, positions=given)
    assert taken.numpy()[0].tolist() == (given or [[7.0, 8.0, 9.0]])
