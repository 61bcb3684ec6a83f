"""Content that is assigned without having been read: what others have stored since then is noticed."""

import numpy as np
import pytest

import copick_core
from copick_core.errors import ConflictError, FilamentNotFoundError, InvalidDataError
from copick_core.models import CopickPoint

LINE = [[0.0, 0.0, 0.0], [10.0, 0.0, 0.0]]


def new_picks(run):
    return run.new_picks("ribosome", "1", positions=[[1.0, 2.0, 3.0]])


def new_filaments(run):
    return run.new_filaments("ribosome", "1", polylines=[LINE])


NEW = {"picks": new_picks, "filaments": new_filaments}


@pytest.fixture(params=NEW)
def kind(request):
    return request.param


@pytest.fixture
def two(project_config, kind):
    """One annotation that was stored, as two projects have it, unread."""
    NEW[kind](copick_core.open(project_config()).new_run("TS_1"))
    return [getattr(copick_core.open(project_config()).get_run("TS_1"), kind)[0] for _ in range(2)]


def change(annotation, score):
    first = annotation.points[0] if hasattr(annotation, "points") else annotation.filaments[0]
    first.score = score


def replaced(handle, kind):
    """A file with other content, as a program makes it."""
    meta = handle.meta.model_copy()
    if kind == "picks":
        meta.points = [CopickPoint(location={"x": 9.0, "y": 9.0, "z": 9.0})]
    else:
        meta.filaments = []
    return meta


def test_a_file_that_is_assigned_to_what_was_not_read_replaces_what_is_stored_now(two, kind):
    mine, theirs = two

    mine.meta = replaced(mine, kind)
    mine.store()

    assert len(theirs.numpy()[0] if kind == "picks" else theirs.filaments) == (1 if kind == "picks" else 0)
    if kind == "picks":
        assert theirs.numpy()[0].tolist() == [[9.0, 9.0, 9.0]]


def test_who_has_assigned_a_file_is_told_of_what_others_have_stored_since(two, kind):
    mine, theirs = two
    mine.meta = replaced(mine, kind)
    change(theirs, 0.25)
    theirs.store()

    with pytest.raises(ConflictError):
        mine.store()


def test_an_annotation_shows_how_much_it_holds_once_it_was_read(two, kind):
    handle, _ = two
    what = "points" if kind == "picks" else "filaments"
    assert repr(handle).count(f"len({what})=None") == 1

    handle.numpy()
    assert f"len({what})=1" in repr(handle)
    getattr(handle, what).append(getattr(handle, what)[0])
    assert f"len({what})=2" in repr(handle)
    handle.refresh()
    assert f"len({what})=None" in repr(handle)


def test_storing_what_was_neither_read_nor_changed_writes_nothing(two, kind):
    mine, theirs = two
    before = mine._layer.revision(mine.key)

    mine.store()

    assert mine._layer.revision(mine.key) == before
    change(theirs, 0.25)
    theirs.store()
    mine.store()
    mine.refresh()
    assert (mine.points[0] if kind == "picks" else mine.filaments[0]).score == 0.25


def test_picks_without_points_of_their_own_read_those_that_are_stored(project_config):
    new_picks(copick_core.open(project_config()).new_run("TS_1"))
    picks = copick_core.open(project_config()).get_run("TS_1").picks[0]
    picks.points[0].score = 0.25
    meta = picks.meta.model_copy()
    meta.points = None

    picks.meta = meta

    assert "len(points)=None" in repr(picks)
    assert picks.scores().tolist() == [1.0]


def test_a_filament_that_is_missing_is_named_with_those_that_there_are(root):
    filaments = root.new_run("TS_1").new_filaments("ribosome", "1", polylines=[LINE, LINE], instance_ids=[3, 5])

    assert filaments.get(5).instance_id == 5
    assert filaments.get(4) is None
    with pytest.raises(FilamentNotFoundError, match="no filament has the id 4; their ids are 3, 5") as caught:
        filaments.editable_curve(4)
    assert (caught.value.key, caught.value.instance_id) == (filaments.key, 4)
    assert filaments.editable_curve(5) is not None


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, "pass step or voxel_spacing: the distance of the points on the curves"),
        ({"step": 5.0, "kind": "bspline"}, "control points make curves of kind "),
    ],
)
def test_control_points_need_a_step_and_a_kind_that_passes_through_them(root, options, reason):
    filaments = root.new_run("TS_1").new_filaments("ribosome", "1")

    with pytest.raises(InvalidDataError) as caught:
        filaments.from_control_points([LINE], **options)

    assert caught.value.source == filaments.key
    assert caught.value.reason.startswith(reason)


def test_the_step_of_curves_is_the_voxel_spacing_that_was_stored_before(root):
    filaments = root.new_run("TS_1").new_filaments("ribosome", "1", polylines=[LINE], voxel_spacing=2.5)
    filaments.refresh()

    filaments.from_control_points([LINE])

    (curve,) = (f.curve for f in filaments.filaments)
    assert curve.step == 2.5
    assert len(filaments.numpy()[0]) == 5
    np.testing.assert_array_equal(filaments.control_points()[0], LINE)
