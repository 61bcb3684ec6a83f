"""What a run offers for each kind of annotation: the same for all of them."""

import numpy as np
import pytest
import trimesh

from copick_core.errors import InvalidDataError, InvalidNameError

LINE = [[0.0, 0.0, 0.0], [10.0, 0.0, 0.0]]


def picks(run, name, session, user=None):
    return run.new_picks(name, session, user, positions=[[1.0, 2.0, 3.0]])


def meshes(run, name, session, user=None):
    return run.new_mesh(name, session, user, mesh=trimesh.creation.box())


def filaments(run, name, session, user=None):
    return run.new_filaments(name, session, user, polylines=[LINE])


def segmentations(run, name, session, user=None):
    made = run.new_segmentation(10.0, name, session, user_id=user)
    made.from_numpy(np.ones((2, 2, 2), int))
    return made


MAKE = {make.__name__: make for make in (picks, meshes, filaments, segmentations)}


@pytest.fixture(params=MAKE)
def kind(request):
    return request.param


@pytest.fixture
def run(root, kind):
    """A run with four annotations: of two objects, two users, a tool's and two sessions."""
    run = root.new_run("TS_1")
    make = MAKE[kind]
    make(run, "ribosome", "1")
    make(run, "ribosome", "2", "bob")
    make(run, "proteasome", "1", "bob")
    make(run, "ribosome", "0", "detector")
    root.refresh()
    return root.get_run("TS_1")


def shown(found):
    return sorted((getattr(a.key, "object_name", None) or a.key.name, a.user_id, a.session_id) for a in found)


ALL = [("proteasome", "bob", "1"), ("ribosome", "alice", "1"), ("ribosome", "bob", "2"), ("ribosome", "detector", "0")]


def named(kind):
    return "name" if kind == "segmentations" else "object_name"


def test_all_are_listed_and_told_apart_by_who_made_them(run, kind):
    assert shown(getattr(run, kind)) == ALL
    assert shown(getattr(run, f"user_{kind}")()) == ALL[:3]
    assert shown(getattr(run, f"tool_{kind}")()) == ALL[3:]
    assert shown(getattr(run, f"query_{kind}")()) == ALL


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, [0, 1, 2, 3]),
        ({"object": "ribosome"}, [1, 2, 3]),
        ({"user_id": "bob"}, [0, 2]),
        ({"session_id": "1"}, [0, 1]),
        ({"session_id": ["0", "2"]}, [2, 3]),
        ({"object": "ribosome", "user_id": "bob", "session_id": "2"}, [2]),
        ({"object": "ribosome", "user_id": "bob", "session_id": "1"}, []),
        ({"user_id": []}, []),
        ({"layer": "overlay"}, [0, 1, 2, 3]),
        ({"layer": "elsewhere"}, []),
        ({"object": "ribosome", "user_id": "bob", "session_id": "2", "layer": "elsewhere"}, []),
    ],
)
def test_each_filter_lets_its_values_through(run, kind, filters, found, listed):
    if listed:
        assert len(getattr(run, kind)) == 4
    filters = {named(kind) if name == "object" else name: value for name, value in filters.items()}
    if filters.get("layer") == "overlay":
        filters["layer"] = run.root.layers.overlay.name

    assert shown(getattr(run, f"get_{kind}")(**filters)) == [ALL[n] for n in found]


@pytest.mark.parametrize(
    ("filters", "left"),
    [
        ({"object": "ribosome"}, [0]),
        ({"user_id": "bob"}, [1, 3]),
        ({"session_id": "1"}, [2, 3]),
        ({"object": "ribosome", "user_id": "bob", "session_id": "2"}, [0, 1, 3]),
        ({}, []),
    ],
)
def test_each_filter_deletes_what_it_lets_through(run, root, kind, filters, left):
    filters = {named(kind) if name == "object" else name: value for name, value in filters.items()}

    getattr(run, f"delete_{kind}")(**filters)

    assert shown(getattr(run, kind)) == [ALL[n] for n in left]
    root.refresh()
    assert shown(getattr(root.get_run("TS_1"), kind)) == [ALL[n] for n in left]


def test_refreshing_a_kind_lists_it_again_and_no_other(run, kind):
    other = next(name for name in MAKE if name != kind)
    MAKE[other](run, "ribosome", "9")
    before, kept = getattr(run, kind), getattr(run, other)

    getattr(run, f"refresh_{kind}")()

    assert shown(getattr(run, kind)) == ALL
    assert not any(one is again for one, again in zip(before, getattr(run, kind), strict=True))
    assert getattr(run, other)[0] is kept[0]


def test_nobody_annotates_without_a_name(run, kind):
    run.root.config.user_id = None

    with pytest.raises(InvalidNameError, match="pass one, or set user_id in the configuration or on the root") as caught:
        MAKE[kind](run, "ribosome", "5")

    assert (caught.value.what, caught.value.name) == ("user_id", "")


def test_an_annotation_shows_its_names(run, kind):
    shown = repr(getattr(run, f"get_{kind}")(user_id="bob", session_id="2")[0])

    assert "user_id='bob'" in shown
    assert "session_id='2'" in shown
    assert shown.startswith("Copick")


@pytest.mark.parametrize("given", ["transforms", "instance_ids", "scores", "columns"])
def test_what_is_given_of_points_without_positions_is_refused(root, given):
    run = root.new_run("TS_1")

    with pytest.raises(InvalidDataError, match="there are no positions; pass positions= too") as caught:
        run.new_picks("ribosome", "1", **{given: {} if given == "columns" else []})

    assert caught.value.source.object_name == "ribosome"
    assert run.picks == []


def test_new_picks_have_all_that_was_given_of_their_points(root):
    transforms = np.tile(np.diag([1.0, -1.0, -1.0, 1.0]), (2, 1, 1))

    made = root.new_run("TS_1").new_picks(
        "ribosome", "1", positions=[[1, 2, 3], [4, 5, 6]], transforms=transforms, instance_ids=[7, 8], scores=[0.5, 0.25],
        columns={"kind": ["a", "b"]},
    )  # fmt: skip

    made.refresh()
    np.testing.assert_array_equal(made.numpy()[1], transforms)
    assert (made.instance_ids().tolist(), made.scores().tolist()) == ([7, 8], [0.5, 0.25])
    assert made.columns["kind"].tolist() == ["a", "b"]
    assert "len(points)=2" in repr(made)
