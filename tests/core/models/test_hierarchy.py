"""The hierarchy: getters, creation, filters, deletion and refresh, the same on every backend."""

from contextlib import nullcontext
from threading import RLock
from weakref import WeakKeyDictionary

import numpy as np
import pytest

from copick_core.errors import (
    AlreadyExistsError,
    InvalidDataError,
    InvalidNameError,
    LevelNotFoundError,
    NotFoundError,
    UnknownObjectError,
)
from copick_core.models import CopickPoint
from copick_core.models.children import Children
from copick_core.tree.schema import CopickSegmentationMeta

VOLUME = np.arange(3 * 4 * 5, dtype=np.float32).reshape(3, 4, 5)


@pytest.fixture
def run(root):
    return root.new_run("TS_1")


@pytest.fixture
def spacing(run):
    return run.new_voxel_spacing(10.0)


@pytest.fixture
def tomogram(spacing):
    tomogram = spacing.new_tomogram("wbp")
    tomogram.from_numpy(VOLUME)
    return tomogram


def names(entities):
    return [e.name for e in entities]


# ---------------------------------------------------------------------------------------------------------------- runs


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


# ------------------------------------------------------------------------------------------------------- voxel spacings


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


# -------------------------------------------------------------------------------------------------- tomograms, features


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
    with pytest.raises(InvalidDataError, match=r"^tomogram 'wbp' at 10.000 of run 'TS_1': value 0.5 at index \(2, 3, 4\)"):
        tomogram.from_numpy(data, dtype="int16")
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


# --------------------------------------------------------------------------------------------------------------- picks


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


@pytest.mark.parametrize("value", [[1, 2], [3.0], np.array([3.0]), "1", None])
def test_a_location_that_is_no_number_is_named_by_its_point(run, value):
    picks = run.new_picks("ribosome", "1")
    picks.points = [CopickPoint(location={"x": 1, "y": 2, "z": 3}) for _ in range(2)]
    for axis in "xyz":
        setattr(picks.points[1].location, axis, value)

    with pytest.raises(InvalidDataError, match=r"^picks 'ribosome' of alice/1 in run 'TS_1': point 1: positions must"):
        picks.store()

    assert picks.load().points == []


def test_a_run_that_somebody_else_has_deleted_is_deleted_without_a_word(root, run):
    root._layer("overlay").delete(run.key)

    root.delete_run("TS_1")

    assert root.runs == []


# ------------------------------------------------------------------------------------------------ meshes, segmentations


def test_a_mesh_round_trips_in_angstrom(root, run):
    import trimesh

    box = trimesh.creation.box(extents=(1, 2, 3))
    mesh = run.new_mesh("membrane", "1")
    mesh.mesh = box
    mesh.store()
    root.refresh()
    (again,) = root.get_run("TS_1").get_meshes("membrane", "alice", "1")
    (geometry,) = again.mesh.geometry.values()
    np.testing.assert_allclose(geometry.bounds, box.bounds)
    assert again.color == (60, 160, 230, 255)


def test_a_new_mesh_is_empty(root, run):
    run.new_mesh("membrane", "1")
    root.refresh()
    mesh = root.get_run("TS_1").meshes[0].mesh
    assert sum(len(g.vertices) for g in mesh.geometry.values()) == 0


KINDS = {
    "binary": {},
    "multilabel": {"is_multilabel": True},
    "instance": {"is_instance": True},
    "panoptic": {"is_panoptic": True},
}


def labels(kind):
    volume = np.zeros((3, 4, 5), int)
    volume[1] = 2
    return np.stack([volume, volume * 150]) if kind == "panoptic" else volume


@pytest.mark.parametrize(("kind", "flags"), KINDS.items())
def test_each_type_of_segmentation_round_trips(root, run, kind, flags):
    segmentation = run.new_segmentation(10, "membrane", "1", **flags)
    segmentation.from_numpy(labels(kind), levels=2)
    root.refresh()
    (again,) = root.get_run("TS_1").get_segmentations(is_multilabel=None, is_instance=None, is_panoptic=None)
    assert again.segmentation_type == kind
    assert again.numpy().dtype == (np.uint8 if kind in ("binary", "multilabel") else np.uint16)
    np.testing.assert_array_equal(again.numpy(), labels(kind))
    assert again.levels == ["0", "1"]


def test_instance_and_panoptic_ones_are_given_only_where_asked_for(run):
    for kind, flags in KINDS.items():
        run.new_segmentation(10, "membrane", "1", **flags).from_numpy(labels(kind))
    kinds = lambda found: sorted(s.segmentation_type for s in found)  # noqa: E731
    assert kinds(run.get_segmentations()) == ["binary", "multilabel"]
    assert kinds(run.get_segmentations(is_instance=True)) == ["instance"]
    assert kinds(run.get_segmentations(is_instance=None, is_panoptic=None)) == sorted(KINDS)
    assert kinds(run.get_segmentations(voxel_size=10, is_multilabel=False)) == ["binary"]
    assert kinds(run.get_segmentations("alice", "1", False, "membrane", 10.0)) == ["binary"]
    assert run.get_segmentations(is_instance=True, is_panoptic=True) == []


def test_a_new_segmentation_has_no_type_but_the_one_that_was_asked_for(run):
    segmentation = run.new_segmentation(10, "membrane", "1")
    meta = CopickSegmentationMeta(user_id="alice", session_id="1", name="membrane", is_multilabel=False, voxel_size=10)

    assert (segmentation.is_multilabel, segmentation.is_instance, segmentation.is_panoptic) == (False, False, False)
    assert (meta.is_instance, meta.is_panoptic) == (False, False)


def test_instance_and_panoptic_ones_are_deleted_only_where_asked_for(run):
    for kind, flags in KINDS.items():
        run.new_segmentation(10, "membrane", "1", **flags).from_numpy(labels(kind))
    left = lambda: sorted(s.segmentation_type for s in run.get_segmentations(is_instance=None, is_panoptic=None))  # noqa: E731

    run.delete_segmentations()
    assert left() == ["instance", "panoptic"]
    run.delete_segmentations(is_instance=True)
    assert left() == ["panoptic"]


CONTRADICTIONS = [{"is_multilabel": True, "is_panoptic": True}, {"is_multilabel": True, "is_instance": True}]


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("flags", [*CONTRADICTIONS, {"is_instance": True, "is_panoptic": True}])
def test_a_whole_address_of_two_types_at_once_finds_nothing(run, flags, listed):
    for kind, of_kind in KINDS.items():
        run.new_segmentation(10, "membrane", "1", **of_kind).from_numpy(labels(kind))
    if listed:
        assert len(run.segmentations) == len(KINDS)

    assert run.get_segmentations("alice", "1", name="membrane", voxel_size=10, **flags) == []


@pytest.mark.parametrize("empty", ["object_name", "user_id", "session_id"])
def test_a_whole_address_with_an_empty_name_finds_nothing(run, empty):
    address = {"object_name": "ribosome", "user_id": "alice", "session_id": "1"}
    run.new_picks("ribosome", "1", "alice")

    assert len(run.get_picks(**address)) == 1
    assert run.get_picks(**{**address, empty: ""}) == []


def test_positional_arguments_are_those_of_copick_1(run):
    segmentation = run.new_segmentation(10.0, "all", "1", True, "bob", True)
    assert (segmentation.is_multilabel, segmentation.user_id) == (True, "bob")


def test_two_types_at_once_are_refused(run):
    with pytest.raises(InvalidDataError, match="at once"):
        run.new_segmentation(10, "membrane", "1", True, is_instance=True)


@pytest.mark.parametrize("bad", [[[[-1]]], [[[0.5]]], [[[float("nan")]]], [[[float("inf")]]]])
def test_values_that_are_no_labels_are_refused_and_the_old_ones_stay(run, bad):
    segmentation = run.new_segmentation(10, "membrane", "1")
    segmentation.from_numpy([[[2]]])
    with pytest.raises(InvalidDataError):
        segmentation.from_numpy(bad)
    assert segmentation.numpy().tolist() == [[[2]]]


def test_a_value_that_the_stored_type_cannot_hold_is_refused(run):
    segmentation = run.new_segmentation(10, "membrane", "1")
    segmentation.from_numpy(np.zeros((2, 2, 2), int))
    with pytest.raises(InvalidDataError):
        segmentation.set_region(np.array(300), x=0, y=0, z=0)
    assert not segmentation.numpy().any()


def test_panoptic_voxels_are_checked_against_labels_and_background(run):
    segmentation = run.new_segmentation(10, "all", "1", is_panoptic=True)
    volume = np.zeros((2, 2, 2, 2), int)
    volume[0] = 3
    with pytest.raises(InvalidDataError):
        segmentation.from_numpy(volume)
    volume[0] = 0
    volume[1, 0, 0, 0] = 5
    with pytest.raises(InvalidDataError):
        segmentation.from_numpy(volume)


def test_panoptic_regions_take_the_indices_that_all_volumes_take(run):
    segmentation = run.new_segmentation(10, "all", "1", is_panoptic=True)
    volume = np.ones((2, 2, 3, 4), int)
    volume[1] = np.arange(1, 25).reshape(2, 3, 4)
    segmentation.from_numpy(volume)

    segmentation.set_region(volume[:, ::-1], z=slice(None, None, -1), y=...)
    segmentation.set_region(volume[1, -1, :, ::-1], z=-1, x=slice(None, None, -1), channel="instance")

    np.testing.assert_array_equal(segmentation.numpy(), volume)
    with pytest.raises(IndexError, match="outside axis 1"):
        segmentation.set_region(1, z=2)
    with pytest.raises(InvalidDataError, match=r"^panoptic segmentation 'all'"):
        segmentation.set_region(np.ones((2, 5, 5, 5), int))


def test_panoptic_contents_can_be_asked_for(run):
    segmentation = run.new_segmentation(10, "all", "1", is_panoptic=True)
    volume = np.zeros((2, 2, 3, 4), int)
    volume[0, 0], volume[1, 0] = 1, 4
    volume[0, 1, 0], volume[1, 1, 0] = 7, 9
    segmentation.from_numpy(volume)
    assert segmentation.segments() == [("proteasome", 9), ("ribosome", 4)]
    with pytest.raises(ValueError, match="Pass object_name, or use segments"):
        segmentation.instance_ids()
    assert segmentation.instance_ids(object_name="ribosome").tolist() == [4]
    np.testing.assert_array_equal(segmentation.label_volume(), volume[0])
    np.testing.assert_array_equal(segmentation.instance_volume("ribosome"), np.where(volume[0] == 1, volume[1], 0))
    np.testing.assert_array_equal(segmentation.numpy(channel="instance", z=1), volume[1, 1])
    segmentation.set_region(np.zeros((3, 4), int), z=0)
    assert segmentation.segments() == [("proteasome", 9)]
    with pytest.raises(InvalidDataError):
        segmentation.set_region(np.array(0), channel="label", z=1, y=0, x=0)


def test_a_binary_segmentation_needs_an_object_and_others_any_name(run):
    with pytest.raises(UnknownObjectError):
        run.new_segmentation(10, "whatever", "1")
    assert run.new_segmentation(10, "whatever", "1", is_multilabel=True).name == "whatever"
    ambiguous = run.root.config.pickable_objects[0].model_copy(update={"name": "x-multilabel"})
    run.root.config.pickable_objects.append(ambiguous)
    with pytest.raises(InvalidNameError, match="multilabel"):
        run.new_segmentation(10, "x-multilabel", "1")


def test_colors_are_those_of_the_objects(run):
    assert run.new_segmentation(10, "membrane", "1").color == (60, 160, 230, 255)
    assert run.new_segmentation(10, "all", "1", True).color == (128, 128, 128, 0)


@pytest.mark.parametrize("kind", ["is_multilabel", "is_panoptic"])
def test_a_segmentation_of_several_objects_has_no_color_even_if_it_has_the_name_of_one(run, kind):
    assert run.new_segmentation(10, "membrane", "1", **{kind: True}).color == (128, 128, 128, 0)


# ------------------------------------------------------------------------------------------------------------- objects


def test_an_object_without_a_map_has_none_and_looking_makes_none(root):
    obj = root.get_object("ribosome")
    assert obj.zarr() is None
    assert obj.numpy() is None
    root.refresh()
    assert root.get_object("ribosome").zarr() is None


def test_a_map_round_trips(root):
    root.get_object("ribosome").from_numpy(VOLUME, 5.0)
    root.refresh()
    obj = root.get_object("ribosome")
    np.testing.assert_array_equal(obj.numpy(), VOLUME)
    obj.set_region(np.zeros((4, 5)), z=0)
    assert obj.numpy()[0].sum() == 0


MAP_WRITES = {
    "from_numpy": lambda obj: obj.from_numpy(VOLUME, 5.0),
    "import_volume": lambda obj: obj.import_volume(VOLUME, voxel_size=5.0),
    "set_region": lambda obj: obj.set_region(1),
}


@pytest.mark.parametrize("write", MAP_WRITES)
def test_only_particles_have_maps(root, write):
    membrane = root.get_object("membrane")

    with pytest.raises(InvalidDataError, match="only particles have a density map"):
        MAP_WRITES[write](membrane)

    assert not root.layers.overlay.exists(membrane.key)


def test_new_objects_get_the_next_label(root):
    assert root.new_object("microtubule", False).label == 8
    assert [o.name for o in root.pickable_objects][-1] == "microtubule"
    assert root.config.pickable_objects[-1].name == "microtubule"
    with pytest.raises(AlreadyExistsError):
        root.new_object("microtubule", False)
    with pytest.raises(InvalidDataError, match="label 7"):
        root.new_object("other", False, 7)
    with pytest.raises(InvalidNameError):
        root.new_object("a_b", False)


@pytest.mark.parametrize("label", [7, "7", 7.0])
def test_a_label_that_another_object_has_is_refused(root, label):
    with pytest.raises(InvalidDataError, match="label 7 already exists: it is that of object 'proteasome'"):
        root.new_object("actin", False, label=label)


def test_an_existing_object_is_updated_field_by_field(root):
    obj = root.new_object("ribosome", True, emdb_id="EMD-1", exist_ok=True)
    assert obj is root.get_object("ribosome")
    assert (obj.emdb_id, obj.radius, obj.label) == ("EMD-1", 120.0, 1)
    assert root.config.pickable_objects[0].emdb_id == "EMD-1"


def test_deleting_an_object_takes_its_map(root):
    root.get_object("ribosome").from_numpy(VOLUME, 5.0)
    root.get_object("ribosome").delete()
    assert root.get_object("ribosome") is None
    root.new_object("ribosome", True)
    assert root.get_object("ribosome").zarr() is None


def test_tools_may_replace_the_objects_of_the_configuration(root):
    root.config.pickable_objects = root.config.pickable_objects[:1]
    root._objects = None
    assert [o.name for o in root.pickable_objects] == ["ribosome"]


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


def test_an_object_tells_the_voxel_size_of_its_map(root):
    particle = root.get_object("ribosome")
    assert particle.voxel_size is None

    particle.from_numpy(np.zeros((2, 3, 4)), voxel_size=7.5)

    assert particle.voxel_size == 7.5


def test_a_label_that_objects_share_is_warned_of_where_it_tells_them_apart(root):
    for obj in root.config.pickable_objects[:2]:
        obj.label = 1
    names = [obj.name for obj in root.config.pickable_objects[:2]]
    segmentation = root.new_run("TS_labels").new_segmentation(10, "all", "1", user_id="ana", is_panoptic=True)
    segmentation.from_numpy(np.ones((2, 2, 3, 4), int))

    with pytest.warns(UserWarning, match=f"Objects '{names[0]}', '{names[1]}' have the same label 1"):
        segmentation.instance_ids(object_name=names[0])


def test_a_multilabel_volume_with_a_label_that_objects_share_is_warned_of_once(root):
    for obj in root.config.pickable_objects[:2]:
        obj.label = 1
    names = [obj.name for obj in root.config.pickable_objects[:2]]
    run = root.new_run("TS_labels")
    segmentation = run.new_segmentation(10, "all", "1", user_id="ana", is_multilabel=True)

    with pytest.warns(UserWarning, match=f"Objects '{names[0]}', '{names[1]}' have the same label 1"):
        segmentation.from_numpy(np.ones((2, 3, 4), int))
    segmentation.set_region(np.ones((1, 1, 1), int), z=slice(0, 1), y=slice(0, 1), x=slice(0, 1))  # without a second one


def test_a_label_that_objects_share_is_no_matter_where_it_is_not_used(root):
    for obj in root.config.pickable_objects[:2]:
        obj.label = 1
    other = root.config.pickable_objects[2]
    other.label = 5
    run = root.new_run("TS_labels")

    run.new_segmentation(10, "all", "1", user_id="ana", is_multilabel=True).from_numpy(np.full((2, 3, 4), 5))
    run.new_segmentation(10, other.name, "1", user_id="ana").from_numpy(np.ones((2, 3, 4), int))
