"""The hierarchy: what getters, creation, deletion and refresh have in common for all kinds, and runs and voxel spacings."""

from contextlib import nullcontext
from threading import RLock
from weakref import WeakKeyDictionary

import numpy as np
import pytest

from copick_core.errors import (
    AlreadyExistsError,
    InvalidDataError,
    InvalidNameError,
    NotFoundError,
)
from copick_core.models.children import Children
from copick_core.models.entity import Entity

VOLUME = np.arange(3 * 4 * 5, dtype=np.float32).reshape(3, 4, 5)


def names(entities):
    return [e.name for e in entities]


def test_runs_are_sorted_by_name(root):
    for name in ("b", "a", "c"):
        root.new_run(name)
    root.refresh()
    assert names(root.runs) == ["a", "b", "c"]


def test_a_new_run_shows_once_whether_or_not_runs_were_listed(root):
    root.new_run("cold")
    assert names(root.runs) == ["cold"]
    root.new_run("warm")
    assert sorted(names(root.runs)) == ["cold", "warm"]


def test_a_run_that_exists_is_refused_or_given(root, run):
    with pytest.raises(AlreadyExistsError, match=r"^run 'TS_1' already exists\. Pass exist_ok=True"):
        root.new_run("TS_1")
    assert root.new_run("TS_1", exist_ok=True) is run


def test_get_run_makes_the_run_only_if_metadata_are_given(root):
    assert root.get_run("new") is None
    assert root.get_run("new", note="x").meta.note == "x"
    assert root.get_run("new") is not None


@pytest.mark.parametrize("listed", [False, True])
def test_the_same_key_gives_the_same_handle_until_refresh(root, run, listed):
    if listed:
        root.refresh()
        assert len(root.runs) == 1
    handle = root.get_run("TS_1")
    assert root.get_run("TS_1") is handle
    assert root.runs[0] is handle
    root.refresh()
    assert root.get_run("TS_1") is not handle


def test_a_list_is_a_snapshot(root, run):
    runs = root.runs
    runs.clear()
    assert names(root.runs) == ["TS_1"]


class Forgetful:
    """A lock that another thread has been waiting for, to forget the children."""

    children: Children

    def __enter__(self):
        pass

    def __exit__(self, *_):
        self.children.lock = nullcontext()
        self.children.forget()


def test_a_listing_is_whole_though_another_thread_forgets_it_at_once(run):
    children = Children(lock := Forgetful())
    lock.children = children

    assert children.all(lambda: [run]) == [run]
    assert children.listed is None


def test_children_that_are_being_forgotten_are_never_an_empty_listing():
    seen = []

    class Handle:
        def __del__(self):
            seen.append(children.listed)

    children = Children(RLock())
    children.all(lambda: [Handle()])
    children.forget()

    assert seen == [None]


def test_delete_run_removes_it_and_does_nothing_for_unknown_ones(root, run, tomogram):
    root.delete_run("nothing")
    root.refresh()
    root.delete_run("TS_1")
    assert root.runs == []
    assert root.get_run("TS_1") is None


def test_a_run_that_is_gone_cannot_be_deleted_twice(root, run):
    run.delete()
    with pytest.raises(NotFoundError, match="TS_1"):
        run.delete()


@pytest.mark.parametrize("name", ["../../escaped", "a/b", ".hidden", "", "x" * 300])
def test_run_names_that_are_not_safe_are_refused_by_new_and_not_found_by_get(root, name):
    with pytest.raises(InvalidNameError):
        root.new_run(name)
    assert root.get_run(name) is None


@pytest.mark.parametrize("name", ["TS[1]", "a*", "{b}", "TS_1_x", "a b", "über", "%41", "#1"])
def test_run_names_that_only_look_odd_work_throughout(root, name):
    run = root.new_run(name)
    run.new_picks("ribosome", "1").from_numpy([[1, 2, 3]])
    run.new_voxel_spacing(10).new_tomogram("wbp").from_numpy(VOLUME)
    root.refresh()
    again = root.get_run(name)
    assert names(root.runs) == [name]
    assert len(again.picks[0].points) == 1
    assert again.voxel_spacings[0].tomograms[0].numpy().shape == VOLUME.shape


@pytest.mark.parametrize("size", [10, 10.0, np.float32(10.0), np.int32(10), 10.0001])
@pytest.mark.parametrize("listed", [False, True])
def test_a_voxel_spacing_is_found_by_any_number_that_means_it(root, run, spacing, size, listed):
    root.refresh()
    run = root.get_run("TS_1")
    if listed:
        assert len(run.voxel_spacings) == 1
    assert run.get_voxel_spacing(size).voxel_size == 10.0
    assert run.get_voxel_spacing(10.1) is None


def test_two_sizes_with_one_key_are_one_spacing(run):
    run.new_voxel_spacing(10.0121)
    with pytest.raises(AlreadyExistsError):
        run.new_voxel_spacing(10.0124)


def test_delete_voxel_spacings_takes_everything_below(run, spacing, tomogram):
    run.new_voxel_spacing(20)
    run.delete_voxel_spacings(10)
    run.refresh()
    assert [v.voxel_size for v in run.voxel_spacings] == [20.0]


BULK = {
    "picks": lambda run, spacing, tomogram: run.delete_picks(),
    "meshes": lambda run, spacing, tomogram: run.delete_meshes(),
    "segmentations": lambda run, spacing, tomogram: run.delete_segmentations(),
    "features": lambda run, spacing, tomogram: tomogram.delete_features(),
    "tomograms": lambda run, spacing, tomogram: spacing.delete_tomograms(),
    "voxel_spacings": lambda run, spacing, tomogram: run.delete_voxel_spacings(),
}


@pytest.mark.parametrize("kind", BULK)
def test_bulk_deletion_takes_what_somebody_else_has_deleted_for_done(root, run, spacing, tomogram, kind):
    for name in ("a", "b"):
        run.new_picks("ribosome", "1", name)
        run.new_mesh("ribosome", "1", name)
        run.new_segmentation(10, "ribosome", "1", user_id=name).from_numpy(np.ones(VOLUME.shape))
        tomogram.new_features(name).from_numpy(VOLUME)
    spacing.new_tomogram("raw").from_numpy(VOLUME)
    run.new_voxel_spacing(20)
    parent = {"features": tomogram, "tomograms": spacing}.get(kind, run)
    first, second = getattr(parent, kind)
    root._layer(first.layer or "overlay").delete(first.key)

    BULK[kind](run, spacing, tomogram)

    assert getattr(parent, kind) == []
    parent.refresh()
    assert getattr(parent, kind) == []
    with pytest.raises(NotFoundError):
        second.delete()


def test_a_volume_is_listed_once_it_is_written_though_its_parent_was_refreshed_before(run, spacing, tomogram):
    made = [
        run.new_segmentation(10, "ribosome", "1", user_id="alice"),
        tomogram.new_features("edges"),
        spacing.new_tomogram("raw"),
    ]
    for parent in (run, spacing, tomogram):
        parent.refresh()
    assert (run.segmentations, tomogram.features, len(spacing.tomograms)) == ([], [], 1)

    for volume in made:
        volume.from_numpy(VOLUME if volume is not made[0] else VOLUME > 1)

    assert [*run.segmentations, *tomogram.features, spacing.tomograms[-1]] == made


@pytest.mark.parametrize("kind", BULK)
def test_what_an_old_handle_deletes_is_not_listed_any_more(run, spacing, tomogram, kind):
    old = {
        "picks": lambda: run.new_picks("ribosome", "1", "alice"),
        "meshes": lambda: run.new_mesh("ribosome", "1", "alice"),
        "segmentations": lambda: run.new_segmentation(10, "ribosome", "1", user_id="alice"),
        "features": lambda: tomogram.new_features("edges"),
        "tomograms": lambda: tomogram,
        "voxel_spacings": lambda: spacing,
    }[kind]()
    if kind in ("segmentations", "features"):
        old.from_numpy(np.ones(VOLUME.shape))
    parent = {"features": tomogram, "tomograms": spacing}.get(kind, run)
    parent.refresh()
    (new,) = getattr(parent, kind)
    assert new is not old

    old.delete()

    assert getattr(parent, kind) == []


@pytest.mark.parametrize("name", [16463, None])
def test_a_run_that_is_looked_for_by_a_number_is_not_said_to_be_missing(root, name):
    with pytest.raises(InvalidNameError, match="must be a string"):
        root.get_run(name)


def test_a_misspelt_argument_is_refused_rather_than_taken_for_metadata(root, run, spacing, tomogram):
    with pytest.raises(TypeError, match="Did you mean 'is_multilabel'"):
        run.new_segmentation(10, "ribosome", "1", user_id="alice", multilabel=True)
    makers = (
        (root.new_run, "TS_2"),
        (run.new_voxel_spacing, 20),
        (run.new_mesh, "ribosome", "1", "alice"),
        (spacing.new_tomogram, "raw"),
        (tomogram.new_features, "edges"),
    )
    for make, *address in makers:
        with pytest.raises(TypeError, match=rf"{make.__name__}\(\) has no argument 'existok'. Did you mean 'exist_ok'"):
            make(*address, existok=True)
    root.refresh()
    assert (names(root.runs), run.meshes, len(run.voxel_spacings)) == (["TS_1"], [], 1)


def test_what_belongs_to_a_handle_can_be_kept_beside_it_by_weak_reference(root, run, spacing, tomogram):
    segmentation = run.new_segmentation(10, "ribosome", "1", user_id="alice")
    made = [root.get_object("ribosome"), run, spacing, tomogram, tomogram.new_features("edges"), segmentation]
    made += [run.new_picks("ribosome", "1", "alice"), run.new_mesh("ribosome", "1", "alice")]

    shown = WeakKeyDictionary({handle: str(handle.key) for handle in made})

    assert sorted(shown.values()) == sorted(str(handle.key) for handle in made)


@pytest.mark.filterwarnings("ignore:Name:UserWarning")
def test_getters_take_the_names_that_creation_took(root, run, spacing):
    picks = run.new_picks("ribosome", "my_session", "my tool")
    mesh = run.new_mesh("ribosome", "my_session", "my tool")
    segmentation = run.new_segmentation(10, "my_labels", "1", is_multilabel=True, user_id="my_tool")
    segmentation.from_numpy(np.ones((2, 2, 2)))
    tomogram = spacing.new_tomogram("denoised_v2")
    tomogram.from_numpy(VOLUME)
    features = tomogram.new_features("edges_v2")
    features.from_numpy(VOLUME)

    assert run.get_picks("ribosome", "my tool", "my_session") == [picks]
    assert run.get_picks(user_id=["bob", "my tool"]) == [picks]
    assert run.get_meshes(session_id="my_session") == [mesh]
    assert run.get_segmentations("my_tool", name="my_labels") == [segmentation]
    assert spacing.get_tomogram("denoised_v2") is tomogram
    assert tomogram.get_features("edges_v2") is features
    run.delete_picks(user_id="my_tool")
    assert run.picks == []


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "\ud800" * 100], ids=["null byte", "surrogate", "long"])
def test_a_name_that_no_file_can_have_is_not_found(run, spacing, tomogram, name):
    assert run.get_picks("ribosome", name, "1") == []
    assert run.get_meshes("ribosome", name, "1") == []
    assert run.get_segmentations(name, "1", False, "ribosome", 10) == []
    assert spacing.get_tomogram(name) is None
    assert tomogram.get_features(name) is None


def test_a_run_that_somebody_else_has_deleted_is_deleted_without_a_word(root, run):
    root._layer("overlay").delete(run.key)

    root.delete_run("TS_1")

    assert root.runs == []


@pytest.mark.parametrize("make", ["new_picks", "new_mesh", "new_segmentation"])
def test_a_name_that_is_sanitised_to_that_of_an_object_makes_something_of_the_object(root, make):
    root.new_object("my-object", is_particle=False)
    run = root.new_run("TS_names")
    size = (10,) if make == "new_segmentation" else ()

    with pytest.warns(UserWarning, match="'my_object' has been sanitized to 'my-object'"):
        made = getattr(run, make)(*size, "my_object", session_id="1", user_id="ana")

    assert "my-object" in (made.key.name if size else made.key.object_name)


@pytest.mark.parametrize(
    ("method", "arguments", "wrong"),
    [
        ("new_segmentation", (10.52, "ribosome", "5", "ana"), "is_multilabel"),
        ("new_segmentation", (10.52, "ribosome", "5", False, "ana", "x"), "exist_ok"),
        ("new_picks", ("ribosome", "5", "ana", "x"), "exist_ok"),
        ("new_mesh", ("ribosome", "5", "ana", 7), "exist_ok"),
        ("new_voxel_spacing", (10.52, "x"), "exist_ok"),
    ],
)
def test_an_argument_in_the_place_of_a_flag_is_refused_by_name(run, method, arguments, wrong):
    with pytest.raises(InvalidDataError, match=f"^{wrong}: .* neither True nor False") as caught:
        getattr(run, method)(*arguments)

    assert caught.value.source == wrong


def test_flags_of_numpy_are_flags(run, spacing):
    assert run.new_voxel_spacing(10.0, exist_ok=np.True_) is spacing
    with pytest.raises(AlreadyExistsError):
        run.new_voxel_spacing(10.0, exist_ok=np.False_)


@pytest.mark.parametrize("make", [lambda root, run: root.new_run, lambda root, run: run.new_voxel_spacing])
def test_metadata_may_have_names_that_are_only_a_little_like_an_argument(root, run, make):
    made = make(root, run)("20", existing="y")

    assert made.meta.existing == "y"


def test_a_run_of_an_impossible_name_is_missing_and_is_never_made(root):
    assert root.get_run("a/b") is None
    with pytest.raises(InvalidNameError, match="path separators"):
        root.get_run("a/b", note="x")


@pytest.mark.parametrize(
    ("sizes", "found"),
    [
        (10, [10.0]),
        (np.float32(10.0), [10.0]),
        (np.array(10.0), [10.0]),
        ([10, 20.0], [10.0, 20.0]),
        (np.array([20.0, 30.0]), [20.0, 30.0]),
        ((10, 30), [10.0, 30.0]),
        ([], []),
        (None, [10.0, 20.0, 30.0]),
    ],
    ids=str,
)
def test_voxel_sizes_are_wanted_one_by_one_or_many_at_once(run, sizes, found):
    for size in (10, 20, 30):
        run.new_segmentation(size, "ribosome", "1").from_numpy(np.ones((2, 2, 2)))

    assert sorted(s.voxel_size for s in run.get_segmentations(voxel_size=sizes)) == found


class Mine(Entity):
    """An entity of a place of its own, which says nothing of layers."""


def test_what_says_nothing_of_layers_can_be_written_and_is_in_none():
    mine = Mine.__new__(Mine)

    assert (mine.read_only, mine.layer) == (False, None)
    mine._check_writable()
    assert repr(mine).startswith("Mine() at 0x")


@pytest.mark.parametrize("flag", ["is_multilabel", "is_instance", "is_panoptic", "exist_ok"])
def test_every_flag_of_a_segmentation_is_true_or_false(run, flag):
    with pytest.raises(InvalidDataError, match=f"^{flag}: 'x' is neither True nor False"):
        run.new_segmentation(10.52, "ribosome", "5", **{flag: "x"})


@pytest.mark.parametrize("kind", ["segmentations", "features", "tomograms"])
def test_a_volume_that_was_never_written_is_deleted_without_a_word_and_a_deleted_one_is_not(run, spacing, tomogram, kind):
    parent = {"features": tomogram, "tomograms": spacing}.get(kind, run)
    volume = {
        "segmentations": lambda: run.new_segmentation(10, "ribosome", "1"),
        "features": lambda: tomogram.new_features("edges"),
        "tomograms": lambda: spacing.new_tomogram("raw"),
    }[kind]()
    before = len(getattr(parent, kind))

    volume.delete()
    assert len(getattr(parent, kind)) == before - 1

    volume.from_numpy(np.ones(VOLUME.shape))
    volume.delete()
    with pytest.raises(NotFoundError):
        volume.delete()
