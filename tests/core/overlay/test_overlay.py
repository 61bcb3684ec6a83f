"""Static layers under an overlay: what is seen, what may be written, and that the static side never changes."""

import hashlib
import pickle
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import copick_core
from copick_core.errors import AlreadyExistsError, ConflictError, CopickError, LevelNotFoundError, ReadOnlyError
from copick_core.layers import Layer, Layers
from copick_core.models import CopickConfig, CopickPicksFile, CopickPoint
from copick_core.overlay import CopickRootOverlay
from copick_core.tree.keys import TomogramKey


def tree(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


@pytest.fixture
def run(layered):
    return layered[0].get_run("TS_1")


def leaves(run):
    spacing = run.get_voxel_spacing(10)
    tomogram = spacing.get_tomogram("wbp")
    return {
        "picks": run.picks[0],
        "mesh": run.meshes[0],
        "segmentation": run.segmentations[0],
        "tomogram": tomogram,
        "features": tomogram.features[0],
    }


KINDS = ["picks", "mesh", "segmentation", "tomogram", "features"]
WRITES = {
    "picks": [lambda p: p.store(), lambda p: p.from_numpy([[1, 1, 1]]), lambda p: p.delete()],
    "mesh": [lambda m: m.store(), lambda m: m.delete()],
    "segmentation": [lambda s: s.from_numpy([[[1]]]), lambda s: s.set_region(1), lambda s: s.delete()],
    "tomogram": [lambda t: t.from_numpy([[[1]]]), lambda t: t.set_region(1), lambda t: t.delete()],
    "features": [lambda f: f.from_numpy([[[1]]]), lambda f: f.set_region(1), lambda f: f.delete()],
}
COPIES = {
    "picks": lambda run: run.new_picks("ribosome", "0", "tool", exist_ok=True),
    "mesh": lambda run: run.new_mesh("membrane", "0", "tool", exist_ok=True),
    "segmentation": lambda run: run.new_segmentation(10, "membrane", "0", user_id="tool", exist_ok=True),
    "tomogram": lambda run: run.get_voxel_spacing(10).new_tomogram("wbp", exist_ok=True),
    "features": lambda run: run.get_voxel_spacing(10).get_tomogram("wbp").new_features("sobel", exist_ok=True),
}


@pytest.mark.parametrize(("kind", "write"), [(kind, write) for kind in KINDS for write in WRITES[kind]])
def test_every_write_to_a_static_entity_is_refused(layered, run, kind, write):
    before = tree(layered[1])
    entity = leaves(run)[kind]
    assert (entity.read_only, entity.layer) == (True, "static")
    with pytest.raises(ReadOnlyError, match="static"):
        write(entity)
    assert tree(layered[1]) == before


@pytest.mark.parametrize("kind", KINDS)
def test_who_may_not_delete_is_not_advised_to_make_a_copy(run, kind):
    entity = leaves(run)[kind]

    with pytest.raises(ReadOnlyError, match=r"which never changes\. Only what is in the overlay can be deleted\.$"):
        entity.delete()


@pytest.mark.parametrize("kind", ["segmentation", "tomogram", "features"])
def test_the_zarr_store_of_a_static_entity_cannot_be_written(layered, run, kind):
    import zarr

    before = tree(layered[1])
    store = leaves(run)[kind].zarr()
    assert store.read_only
    with pytest.raises(ValueError, match="read-only"):
        zarr.open_group(store, mode="a").create_group("x")
    with pytest.raises(ValueError, match="read-only"):
        zarr.open_array(store, path="0", mode="r+")[:] = 0
    assert tree(layered[1]) == before


@pytest.mark.parametrize("kind", KINDS)
def test_new_refuses_what_a_static_layer_has(run, kind):
    calls = {
        "picks": lambda: run.new_picks("ribosome", "0", "tool"),
        "mesh": lambda: run.new_mesh("membrane", "0", "tool"),
        "segmentation": lambda: run.new_segmentation(10, "membrane", "0", user_id="tool"),
        "tomogram": lambda: run.get_voxel_spacing(10).new_tomogram("wbp"),
        "features": lambda: run.get_voxel_spacing(10).get_tomogram("wbp").new_features("sobel"),
    }
    with pytest.raises(AlreadyExistsError, match="static"):
        calls[kind]()


@pytest.mark.parametrize("kind", KINDS)
def test_exist_ok_makes_an_overlay_copy_of_a_static_entity(layered, run, kind):
    root, reference = layered
    before = tree(reference)
    copy = COPIES[kind](run)
    assert (copy.read_only, copy.layer) == (False, "overlay")
    assert COPIES[kind](run) is copy
    assert tree(reference) == before
    root.refresh()
    both = {"picks": "picks", "mesh": "meshes", "segmentation": "segmentations"}
    run = root.get_run("TS_1")
    if kind in both:
        found = getattr(run, both[kind])
    elif kind == "tomogram":
        found = run.get_voxel_spacing(10).tomograms
    else:
        found = run.get_voxel_spacing(10).get_tomogram("wbp").features
    assert [e.layer for e in found] == ["static", "overlay"]
    overlay_files = tree(reference.parent / "overlay")
    copied = {name: digest for name, digest in before.items() if name in overlay_files}
    assert copied.items() <= overlay_files.items(), "the copy differs from its original"
    assert copied


@pytest.mark.parametrize("kind", ["segmentation", "tomogram", "features"])
def test_a_copy_never_replaces_what_somebody_else_has_made_meanwhile(layered, run, kind, monkeypatch):
    root, _ = layered
    key = leaves(run)[kind].key
    static = root.layers.static[0]
    opened = static.zarr
    somebody = pickle.loads(pickle.dumps(root)).get_run("TS_1")
    theirs = np.full((2, 2, 2), 7)

    def slowly(asked):
        store = opened(asked)
        COPIES[kind](somebody).from_numpy(theirs)
        return store

    monkeypatch.setattr(static, "zarr", slowly)
    copy = COPIES[kind](run)

    assert (copy.key, copy.layer) == (key, "overlay")
    np.testing.assert_array_equal(copy.numpy(), theirs)


def test_a_copy_of_features_stays_with_the_variant_of_the_tomogram_that_has_them(layered, run):
    _, reference = layered
    folder = reference / "ExperimentRuns/TS_1/VoxelSpacing10.000"
    shutil.copytree(folder / "wbp_sobel_features.zarr", folder / "wbp-2_sobel_features.zarr")
    spacing = run.get_voxel_spacing(10)
    variant = spacing._handle(TomogramKey("TS_1", 10.0, "wbp", "2"), run.root.layers.static[0])

    copy = variant.new_features("sobel", exist_ok=True)
    run.refresh()

    assert copy.key.variant == "2"
    again = run.get_voxel_spacing(10)._handle(variant.key, run.root.layers.static[0])
    assert [f.layer for f in again.features] == ["static", "overlay"]
    assert [f.layer for f in run.get_voxel_spacing(10).get_tomogram("wbp").features] == ["static"]


@pytest.mark.parametrize("kind", KINDS)
def test_an_entity_that_was_pickled_is_the_one_that_its_project_gives(run, kind):
    entity = pickle.loads(pickle.dumps(leaves(run)[kind]))

    tomogram = getattr(entity, "tomogram", entity)
    its_run = getattr(tomogram, "voxel_spacing", entity).run
    assert leaves(its_run)[kind] is entity


def test_the_copy_can_be_edited_and_the_original_stays(layered, run):
    picks = COPIES["picks"](run)
    picks.points.pop()
    picks.store()
    assert [(p.layer, len(p.points)) for p in run.picks] == [("static", 2), ("overlay", 1)]
    assert [p.layer for p in run.get_picks(layer="overlay")] == ["overlay"]


def test_an_object_map_that_only_a_static_layer_has_is_read_only_until_it_is_copied(layered):
    root, reference = layered
    before = tree(reference)
    obj = root.get_object("ribosome")
    assert obj.read_only
    with pytest.raises(ReadOnlyError):
        obj.from_numpy(np.zeros((2, 2, 2)), 10.0)
    with pytest.raises(ReadOnlyError):
        obj.delete()
    root.new_object("ribosome", True, exist_ok=True)
    obj.set_region(np.array(5.0), z=0, y=0, x=0)
    assert obj.numpy()[0, 0, 0] == 5.0
    assert tree(reference) == before


def test_of_two_who_copy_the_map_of_an_object_the_second_takes_the_copy_of_the_first(layered, project_config):
    root, _ = layered
    other = copick_core.open(project_config("overlay", "reference"))
    assert root.get_object("ribosome").read_only
    other.new_object("ribosome", True, exist_ok=True)
    other.get_object("ribosome").from_numpy(np.full((2, 2, 2), 7), 10.0)

    root.new_object("ribosome", True, exist_ok=True)

    assert not root.get_object("ribosome").read_only
    np.testing.assert_array_equal(root.get_object("ribosome").numpy(), np.full((2, 2, 2), 7))


def test_objects_of_a_project_that_is_only_read_come_and_go_unless_they_have_a_map(layered, project_config):
    root = copick_core.open(project_config(None, "reference"))
    root.new_object("actin", True)
    root.get_object("actin").delete()
    assert root.get_object("actin") is None
    with pytest.raises(ReadOnlyError, match="static"):
        root.get_object("ribosome").delete()
    assert root.get_object("ribosome") is not None


def test_a_run_or_spacing_that_a_static_layer_holds_cannot_be_deleted(layered, run):
    run.new_picks("ribosome", "1")
    for entity in (run, run.get_voxel_spacing(10)):
        with pytest.raises(ReadOnlyError, match="static"):
            entity.delete()
    with pytest.raises(ReadOnlyError):
        run.delete_picks()
    run.new_voxel_spacing(5)
    with pytest.raises(ReadOnlyError):
        run.delete_voxel_spacings()
    run.refresh()
    assert len(run.picks) == 2
    assert [v.voxel_size for v in run.voxel_spacings] == [5.0, 10.0]


def test_new_entities_of_a_static_run_go_to_the_overlay(layered, run):
    root, reference = layered
    before = tree(reference)
    run.new_picks("proteasome", "1").from_numpy([[1, 2, 3]])
    run.get_voxel_spacing(10).new_tomogram("denoised").from_numpy(np.zeros((2, 2, 2)))
    run.new_voxel_spacing(20)
    root.refresh()
    run = root.get_run("TS_1")
    assert [p.layer for p in run.get_picks("proteasome")] == ["overlay"]
    assert [v.voxel_size for v in run.voxel_spacings] == [10.0, 20.0]
    assert run.layers == ["static", "overlay"]
    assert [(t.tomo_type, t.layer) for t in run.get_voxel_spacing(10).tomograms] == [
        ("wbp", "static"),
        ("denoised", "overlay"),
    ]
    assert tree(reference) == before


def test_a_backend_that_has_no_field_for_an_overlay_points_to_stacks():
    layers = Layers(static=[copick_core.open({"config_type": "memory"}).layers.overlay])
    with pytest.raises(ReadOnlyError, match='"config_type": "stack"'):
        CopickRootOverlay(CopickConfig(), lambda config: layers).new_run("x")


def test_a_project_without_an_overlay_is_read_only_and_says_what_to_set(layered, project_config):
    root = copick_core.open(project_config(None, "reference"))
    assert root.read_only
    for write in (
        lambda: root.new_run("x"),
        lambda: root.get_run("TS_1").new_picks("ribosome", "1"),
        lambda: root.get_run("TS_1").new_picks("ribosome", "0", "tool", exist_ok=True),
        lambda: root.get_run("TS_1").new_voxel_spacing(20),
        lambda: root.get_run("TS_1").delete(),
    ):
        with pytest.raises(ReadOnlyError):
            write()
    with pytest.raises(ReadOnlyError, match="overlay_root"):
        root.new_run("x")


def test_an_overlay_at_the_place_of_the_static_side_is_one_writable_layer(layered, project_config, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "reference")
    for static in ("reference", "reference/", "link"):
        root = copick_core.open(project_config("reference", static))
        assert [p.read_only for p in root.get_run("TS_1").picks] == [False]


def test_config_indexes_spare_listing_the_static_side_but_not_the_overlay(layered, project_config):
    root, _ = layered
    root.new_run("mine")
    root.get_run("TS_1").get_voxel_spacing(10).new_tomogram("denoised").from_numpy(np.zeros((2, 2, 2)))
    config = project_config("overlay", "reference", runs=["TS_1"], voxel_spacings=[10], tomograms={10.0: ["wbp"]})
    indexed = copick_core.open(config)
    static = indexed.layers.static[0]
    static.list_folder = lambda path: pytest.fail(f"{path} was listed")
    assert [r.name for r in indexed.runs] == ["TS_1", "mine"]
    spacing = indexed.get_run("TS_1").voxel_spacings[0]
    assert [(t.tomo_type, t.layer) for t in spacing.tomograms] == [("wbp", "static"), ("denoised", "overlay")]
    assert spacing.tomograms[0].numpy().shape == (4, 5, 6)


# ------------------------------------------------------------------------------------------------ several people at once


def test_a_volume_is_listed_once_it_is_written_though_its_run_was_refreshed_and_listed_before(project_config):
    run = copick_core.open(project_config()).new_run("TS_1")
    spacing = run.new_voxel_spacing(10)
    segmentation, tomogram = run.new_segmentation(10, "membrane", "1"), spacing.new_tomogram("wbp")
    run.refresh_segmentations()
    spacing.refresh()
    assert (run.segmentations, spacing.tomograms) == ([], [])

    segmentation.from_numpy([[[1]]])
    tomogram.from_numpy([[[1]]])

    assert (run.segmentations, spacing.tomograms) == ([segmentation], [tomogram])
    segmentation.delete()
    assert run.segmentations == []
    segmentation.from_numpy([[[2]]])
    assert run.segmentations == [segmentation]


@pytest.mark.parametrize("refreshed", ["root", "run"])
def test_refresh_shows_what_is_new_though_another_thread_lists_meanwhile(project_config, monkeypatch, refreshed):
    mine, other = copick_core.open(project_config()), copick_core.open(project_config())
    run = mine.new_run("TS_1")
    assert run.voxel_spacings == []
    other.get_run("TS_1").new_voxel_spacing(10)
    layer = mine.layers.overlay
    forget = layer.forget

    def list_and_forget(parent):
        _ = mine.get_run("TS_1").voxel_spacings  # as another thread may at this moment
        forget(parent)

    monkeypatch.setattr(layer, "forget", list_and_forget)
    (mine if refreshed == "root" else run).refresh()

    assert [v.voxel_size for v in mine.get_run("TS_1").voxel_spacings] == [10.0]


def test_what_another_project_creates_is_found_without_refresh_by_its_name(project_config):
    mine, other = copick_core.open(project_config()), copick_core.open(project_config())
    assert mine.runs == []
    other.new_run("TS_2").new_picks("ribosome", "1")
    assert mine.get_run("TS_2") is not None
    assert len(mine.get_run("TS_2").get_picks("ribosome", "alice", "1")) == 1


def test_new_picks_asks_storage_and_not_its_memory(project_config):
    mine, other = copick_core.open(project_config()), copick_core.open(project_config())
    run = mine.new_run("TS_1")
    assert run.picks == []
    other.get_run("TS_1").new_picks("ribosome", "1").from_numpy([[1, 2, 3]])
    with pytest.raises(AlreadyExistsError):
        run.new_picks("ribosome", "1")
    assert len(run.new_picks("ribosome", "1", exist_ok=True).points) == 1


@pytest.mark.parametrize("backend", ["filesystem", "memory"])
def test_of_two_who_edit_the_same_picks_the_second_is_told(project_config, backend):
    config = (
        project_config() if backend == "filesystem" else {**project_config(), "config_type": "memory", "place": "shared-picks"}
    )
    first, second = copick_core.open(config), copick_core.open(config)
    first.new_run("TS_1").new_picks("ribosome", "1").from_numpy([[1, 1, 1]])
    mine, theirs = (root.get_run("TS_1").get_picks("ribosome", "alice", "1")[0] for root in (first, second))
    mine.points.append(mine.points[0])
    theirs.points.extend(theirs.points * 2)
    mine.store()
    with pytest.raises(ConflictError, match="changed"):
        theirs.store()
    assert len(theirs.points) == 3, "the loser's values are lost"
    theirs.refresh()
    assert len(theirs.points) == 2


@pytest.mark.parametrize("given", ["points", "meta"])
def test_whoever_replaces_points_that_were_never_read_is_told_of_changes_too(project_config, given):
    first, second = copick_core.open(project_config()), copick_core.open(project_config())
    first.new_run("TS_1").new_picks("ribosome", "1").from_numpy([[1, 1, 1]])
    mine, theirs = (root.get_run("TS_1").get_picks("ribosome", "alice", "1")[0] for root in (first, second))
    points = [CopickPoint(location={"x": 5, "y": 5, "z": 5})]
    file = CopickPicksFile(pickable_object_name="ribosome", user_id="alice", session_id="1", points=points)

    setattr(theirs, given, points if given == "points" else file)
    mine.from_numpy([[2, 2, 2], [3, 3, 3]])

    with pytest.raises(ConflictError, match="changed"):
        theirs.store()
    assert len(theirs.points) == 1, "the loser's values are lost"


def test_who_edits_picks_that_somebody_else_deletes_is_told_how_to_store_them_anew(project_config):
    first, second = copick_core.open(project_config()), copick_core.open(project_config())
    first.new_run("TS_1").new_picks("ribosome", "1").from_numpy([[1, 1, 1]])
    mine, theirs = (root.get_run("TS_1").get_picks("ribosome", "alice", "1")[0] for root in (first, second))
    theirs.points.append(theirs.points[0])
    mine.delete()

    with pytest.raises(ConflictError, match=r"deleted.*refresh\(\) the handle, assign them again, and store"):
        theirs.store()

    kept = theirs.points
    theirs.refresh()
    theirs.points = kept
    theirs.store()
    assert len(copick_core.open(project_config()).get_run("TS_1").picks[0].points) == 2


def test_a_volume_that_somebody_else_deletes_is_said_to_be_deleted_perhaps(project_config):
    first, second = copick_core.open(project_config()), copick_core.open(project_config())
    first.new_run("TS_1").new_segmentation(10, "membrane", "1").from_numpy([[[1]]])
    mine, theirs = (root.get_run("TS_1").segmentations[0] for root in (first, second))
    theirs.delete()

    with pytest.raises(LevelNotFoundError, match="or it was deleted") as caught:
        mine.numpy("1")

    error = caught.value
    assert (error.key, error.layer, error.level, error.location) == (mine.key, "overlay", "1", mine.path)


@pytest.mark.parametrize("done", ["replaced", "deleted"])
def test_a_region_is_not_written_into_a_volume_that_another_process_has_replaced_or_deleted(project_config, done):
    root = copick_core.open(project_config())
    run = root.new_run("TS_1")
    other = run.new_segmentation(10, "membrane", "2")
    other.from_numpy(np.ones((4, 4, 4), "u1"), chunks=2)
    mine = run.new_segmentation(10, "membrane", "1")
    mine.from_numpy(np.zeros((4, 4, 4), "u1"))
    mine.numpy()
    shutil.rmtree(mine.path)  # as another process would, unnoticed by this one
    if done == "replaced":
        shutil.move(other.path, mine.path)

    with pytest.raises(ConflictError, match=rf"was {done.replace('replaced', 'changed')} .*refresh") as caught:
        mine.set_region(7)
    assert (caught.value.key, caught.value.layer) == (mine.key, "overlay")

    assert Path(mine.path).exists() == (done == "replaced")
    if done == "replaced":
        mine.refresh()
        mine.set_region(7, z=0)
        assert mine.numpy(y=0, x=0).tolist() == [7, 1, 1, 1]


def test_of_two_who_create_the_same_volume_the_second_is_told(project_config):
    first, second = copick_core.open(project_config()), copick_core.open(project_config())
    run = first.new_run("TS_1")
    mine = run.new_segmentation(10, "membrane", "1")
    theirs = second.get_run("TS_1").new_segmentation(10, "membrane", "1")
    mine.from_numpy([[[1]]])
    with pytest.raises(ConflictError, match="was created in layer 'overlay'") as caught:
        theirs.from_numpy([[[2]]])
    assert (caught.value.key, caught.value.expected, caught.value.found) == (theirs.key, None, "a volume")
    assert run.get_segmentations()[0].numpy().tolist() == [[[1]]]


def test_a_volume_that_somebody_else_creates_while_one_is_being_written_stays(project_config):
    first, second = (copick_core.open(project_config()).new_run("TS_1", exist_ok=True) for _ in range(2))
    mine = first.new_segmentation(10, "membrane", "1")

    with pytest.raises(ConflictError), mine._replace_store():
        second.new_segmentation(10, "membrane", "1").from_numpy([[[1]]])

    assert mine.numpy().tolist() == [[[1]]]
    folder = Path(second.segmentations[0].path).parent
    assert [p.name for p in folder.iterdir()] == ["10.000_alice_1_membrane.zarr"]


@pytest.mark.parametrize("way_out", ["refresh", "exist_ok"])
def test_the_second_may_replace_the_volume_after_taking_note_of_it(project_config, way_out):
    first, second = copick_core.open(project_config()), copick_core.open(project_config())
    run = first.new_run("TS_1")
    theirs = second.get_run("TS_1").new_segmentation(10, "membrane", "1")
    run.new_segmentation(10, "membrane", "1").from_numpy([[[1]]])

    if way_out == "refresh":
        theirs.refresh()
    else:
        assert second.get_run("TS_1").new_segmentation(10, "membrane", "1", exist_ok=True) is theirs
    theirs.from_numpy([[[2]]])

    assert theirs.numpy().tolist() == [[[2]]]


@pytest.mark.parametrize("kind", ["picks", "mesh"])
@pytest.mark.parametrize("owner", [("0", "tool"), ("5", "alice")], ids=["static", "nowhere"])
def test_exist_ok_takes_what_somebody_else_creates_at_the_same_moment(layered, monkeypatch, kind, owner):
    root, _ = layered
    name, method = ("ribosome", "new_picks") if kind == "picks" else ("membrane", "new_mesh")
    other = pickle.loads(pickle.dumps(root)).get_run("TS_1")
    write = type(root.layers.overlay).write

    def write_second(layer, *args, **kwargs):
        monkeypatch.undo()
        getattr(other, method)(name, *owner, exist_ok=True)
        return write(layer, *args, **kwargs)

    monkeypatch.setattr(type(root.layers.overlay), "write", write_second)
    taken = getattr(root.get_run("TS_1"), method)(name, *owner, exist_ok=True)

    assert taken.layer == "overlay"


def test_a_handle_reads_what_another_one_of_this_process_has_put_in_its_place(project_config):
    mine, other = (copick_core.open(project_config()).new_run("TS_1", exist_ok=True) for _ in range(2))
    segmentation = mine.new_segmentation(10, "membrane", "1")
    segmentation.from_numpy(np.ones((3, 3, 3), np.uint8))
    segmentation.set_region(2, x=0)
    assert segmentation.numpy().shape == (3, 3, 3)
    other.segmentations[0].from_numpy(np.full((200, 4, 4), 7, np.uint16))
    assert segmentation.numpy().shape == (200, 4, 4)
    assert segmentation.numpy(x=0, y=0, z=0) == 7


def test_threads_that_list_at_once_get_the_same_handles(layered):
    root, _ = layered
    found = []
    barrier = threading.Barrier(8)

    def look():
        barrier.wait()
        found.append((root.runs[0], root.runs[0].picks[0]))

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(run) for run, _ in found}) == 1
    assert len({id(picks) for _, picks in found}) == 1


# --------------------------------------------------------------------------------------------------------------- laziness


class Counting:
    """Counts the calls that a layer gets."""

    def __init__(self, layer: Layer) -> None:
        self.calls: list[str] = []
        for name in ("list", "list_many", "exists", "read", "read_revised", "zarr"):
            setattr(layer, name, self._counted(name, getattr(layer, name)))

    def _counted(self, name, call):
        def counted(*args, **kwargs):
            self.calls.append(name)
            return call(*args, **kwargs)

        return counted


def test_nothing_is_asked_before_it_is_needed_and_nothing_twice(layered):
    root, _ = layered
    counting = Counting(root.layers.static[0])
    run = root.get_run("TS_1")
    assert counting.calls == ["exists"]
    counting.calls.clear()
    for _ in range(2):
        assert len(run.picks) == 1
        assert run.get_picks("ribosome", "tool", "0")
    assert counting.calls.count("list") == 1
    run.refresh_picks()
    assert len(run.picks) == 1
    assert counting.calls.count("list") == 2


# ------------------------------------------------------------------------------------------- the static side, whatever happens

steps = st.lists(
    st.tuples(st.sampled_from(KINDS), st.sampled_from(["write", "copy", "delete", "new", "bulk", "refresh"])), max_size=12
)


@settings(max_examples=25)
@given(steps=steps)
def test_no_sequence_of_calls_changes_the_static_side(tmp_path_factory, steps):
    folder = tmp_path_factory.mktemp("project")
    objects = [{"name": "ribosome", "is_particle": True, "label": 1}, {"name": "membrane", "is_particle": False, "label": 2}]
    common = {"config_type": "filesystem", "pickable_objects": objects, "user_id": "alice"}
    writer = copick_core.open({**common, "overlay_root": str(folder / "static")}).new_run("TS_1")
    tomogram = writer.new_voxel_spacing(10).new_tomogram("wbp")
    tomogram.from_numpy(np.zeros((2, 2, 2)), levels=1)
    tomogram.new_features("sobel").from_numpy(np.zeros((2, 2, 2)))
    writer.new_picks("ribosome", "0", "tool").from_numpy([[1, 2, 3]])
    writer.new_mesh("membrane", "0", "tool")
    writer.new_segmentation(10, "membrane", "0", user_id="tool").from_numpy(np.ones((2, 2, 2), "u1"))
    before = tree(folder / "static")
    root = copick_core.open({**common, "overlay_root": str(folder / "overlay"), "static_root": str(folder / "static")})

    for kind, action in steps:
        run = root.get_run("TS_1")
        try:
            if action == "refresh":
                root.refresh()
            elif action == "copy":
                COPIES[kind](run)
            elif action == "new":
                run.new_picks("ribosome", "1", exist_ok=True).from_numpy([[1, 1, 1]])
            elif action == "bulk":
                run.delete_picks() if kind == "picks" else run.delete()
            else:
                for write in WRITES[kind][:-1] if action == "write" else WRITES[kind][-1:]:
                    write(leaves(run)[kind])
        except (CopickError, IndexError):
            pass

    assert tree(folder / "static") == before


def test_of_two_who_replace_the_same_mesh_the_second_is_told(project_config):
    import trimesh

    first, second = copick_core.open(project_config()), copick_core.open(project_config())
    first.new_run("TS_1").new_mesh("membrane", "1")
    mine, theirs = (root.get_run("TS_1").get_meshes("membrane", "alice", "1")[0] for root in (first, second))
    mine.mesh, theirs.mesh = trimesh.creation.box(), trimesh.creation.icosphere()
    mine.store()
    with pytest.raises(ConflictError):
        theirs.store()
    mine.mesh = trimesh.creation.icosphere()
    mine.store()


@pytest.mark.parametrize("plural", ["voxel_spacings", "picks", "meshes", "filaments", "segmentations"])
def test_a_backend_may_list_one_kind_of_a_run_differently(layered, plural, monkeypatch):
    run = layered[0].get_run("TS_1")
    monkeypatch.setattr(type(run), f"_query_static_{plural}", lambda self: [])

    assert getattr(run, plural) == []


def test_a_backend_may_list_tomograms_and_features_differently(layered, monkeypatch):
    spacing = layered[0].get_run("TS_1").voxel_spacings[0]
    tomogram = spacing.tomograms[0]
    monkeypatch.setattr(type(spacing), "_query_static_tomograms", lambda self: [])
    monkeypatch.setattr(type(tomogram), "_query_static_features", lambda self: [])
    layered[0].refresh()

    assert tomogram.features == []
    assert layered[0].get_run("TS_1").voxel_spacings[0].tomograms == []
