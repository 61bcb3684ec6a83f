"""Whole projects at once: prefetch() and table() find what walking finds, with one question for each folder."""

from __future__ import annotations

import tracemalloc
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

import copick_core
from copick_backend_fs.config import CopickConfigFSSpec
from copick_core.errors import InvalidDataError
from copick_core.layers import Layers
from copick_core.layers.path_layer import PathLayer
from copick_core.overlay import CopickRootOverlay
from copick_core.tree.keys import ROOT, Kind, field_names
from support import listing_project
from support.s3_server import S3Server

RUNS = 50
#: What a run of listing_project, with all its entities, may take: 100 MB and 45 MB for 10,000 runs.
BYTES_OF_HANDLES, BYTES_OF_TABLES = 10_000, 4_500


class MadeUpLayer(PathLayer):
    """Any number of runs like those of listing_project, without a disk."""

    def __init__(self, runs: int) -> None:
        super().__init__("static", read_only=True)
        self.runs = runs
        self.asked: list[str] = []

    def list_folder(self, path):
        self.asked.append(path)
        parts = path.split("/")
        if len(parts) == 1:
            return {f"TS_{n:05d}": True for n in range(self.runs if path == "ExperimentRuns" else 0)}
        if len(parts) == 2:
            return {".meta": False, "VoxelSpacing10.000": True, "Picks": True, "Meshes": True, "Segmentations": True}
        folders = {
            "VoxelSpacing10.000": {f"tomogram{n}.zarr": True for n in range(listing_project.TOMOGRAMS)},
            "Picks": {f"user{n}_1_ribosome.json": False for n in range(listing_project.PICKS)},
            "Meshes": {f"user{n}_1_ribosome.glb": False for n in range(listing_project.MESHES)},
            "Segmentations": {f"10.000_user{n}_1_ribosome.zarr": True for n in range(listing_project.SEGMENTATIONS)},
        }
        return folders.get(parts[2], {})

    def path_exists(self, path, *, folder):
        raise AssertionError("nobody asks for single paths")

    def read_file(self, path):
        raise AssertionError("nobody reads")

    def open_store(self, path):
        raise AssertionError("nobody opens volumes")


def project_over(layer: MadeUpLayer) -> CopickRootOverlay:
    return CopickRootOverlay(CopickConfigFSSpec(static_root="/nowhere"), lambda _: Layers(static=[layer]))


def made_up(runs: int) -> tuple[CopickRootOverlay, MadeUpLayer]:
    layer = MadeUpLayer(runs)
    return project_over(layer), layer


def walk(root: CopickRootOverlay) -> dict[Kind, list[tuple]]:
    """Key, layer and read_only of every leaf, found one after another."""
    spacings = [spacing for run in root.runs for spacing in run.voxel_spacings]
    tomograms = [tomogram for spacing in spacings for tomogram in spacing.tomograms]
    handles = {
        Kind.TOMOGRAM: tomograms,
        Kind.FEATURES: [features for tomogram in tomograms for features in tomogram.features],
        Kind.PICKS: [picks for run in root.runs for picks in run.picks],
        Kind.MESH: [mesh for run in root.runs for mesh in run.meshes],
        Kind.SEGMENTATION: [segmentation for run in root.runs for segmentation in run.segmentations],
    }
    return {kind: [(h.key, h.layer, h.read_only) for h in found] for kind, found in handles.items()}


def rows(table: dict[str, list]) -> list[tuple]:
    return [*zip(*table.values(), strict=True)]


@pytest.fixture(params=[True, False], ids=["obstore", "s3fs"])
def bucket(tmp_path, request) -> Iterator[tuple[S3Server, CopickRootOverlay]]:
    """A project of 50 runs in a bucket."""
    listing_project.make_listing_project(tmp_path, RUNS)
    files = {f"project/{p.relative_to(tmp_path).as_posix()}": b"" for p in tmp_path.rglob("*") if p.is_file()}
    with S3Server() as server:
        server.empty("lab")
        server.put("lab", files)
        fs_args = {"endpoint_url": server.url, "key": "someone", "secret": "something"}
        place = {"overlay_root": "s3://lab/project", "overlay_fs_args": fs_args, "obstore": request.param}
        yield server, copick_core.open({"config_type": "filesystem", **place})


def fill(root: CopickRootOverlay) -> None:
    """Picks, a mesh and a tomogram with features in each of three runs."""
    import numpy as np

    data = np.ones((4, 4, 4), np.float32)
    for name in ("TS_1", "TS_2", "TS_3"):
        run = root.new_run(name)
        run.new_picks("ribosome", "1", "alice")
        run.new_picks("membrane", "1", "alice")
        run.new_segmentation(10.0, "membrane", "1", user_id="alice").from_numpy(data.astype("u1"))
        tomogram = run.new_voxel_spacing(10.0).new_tomogram("wbp")
        tomogram.from_numpy(data)
        tomogram.new_features("sobel").from_numpy(data)


def test_prefetch_finds_what_walking_finds(root):
    fill(root)
    root.refresh()
    walked = walk(root)
    root.refresh()

    root.prefetch()

    assert walk(root) == walked


def test_after_prefetch_storage_is_asked_for_nothing(monkeypatch):
    root, layer = made_up(3)
    root.prefetch()
    monkeypatch.setattr(layer, "list_folder", None)

    assert len(walk(root)[Kind.PICKS]) == 3 * listing_project.PICKS


def test_prefetch_asks_each_folder_once():
    root, layer = made_up(3)

    root.prefetch()

    assert len(layer.asked) == len({*layer.asked}) == 1 + 3 * listing_project.DIRECTORIES_PER_RUN


def test_segmentations_of_many_runs_ask_each_folder_once_and_together_though_somebody_writes(monkeypatch):
    _, layer = made_up(3)
    runs = [*layer.list(Kind.RUN, ROOT)]
    asked = []

    def list_folders(paths):
        asked.append(sorted(path.count("/") for path in paths))
        layer.forget(runs[0])  # as a write of another thread does
        return {path: MadeUpLayer.list_folder(layer, path) for path in paths}

    monkeypatch.setattr(layer, "list_folders", list_folders)
    monkeypatch.setattr(layer, "list_folder", None)

    found = layer.list_many(Kind.SEGMENTATION, [*runs, *runs, ROOT])

    assert {parent: len(keys) for parent, keys in found.items()} == {
        **dict.fromkeys(runs, listing_project.SEGMENTATIONS),
        ROOT: 0,
    }
    assert asked == [[1] * 3, [2] * 3]


def test_threads_list_the_kinds_of_one_run_at_the_same_time(monkeypatch):
    root, layer = made_up(1)
    run = root.runs[0]
    listing = Barrier(3)

    def list_folder(path):
        listing.wait(timeout=30)  # broken unless all three are asking
        return MadeUpLayer.list_folder(layer, path)

    monkeypatch.setattr(layer, "list_folder", list_folder)

    with ThreadPoolExecutor(3) as pool:
        found = [*pool.map(lambda name: len(getattr(run, name)), ["voxel_spacings", "picks", "meshes"])]

    assert found == [1, listing_project.PICKS, listing_project.MESHES]


def test_prefetch_of_some_kinds_lists_only_those():
    root, layer = made_up(3)

    root.prefetch(["picks"])

    assert sorted({path.rpartition("/")[2] for path in layer.asked}) == ["ExperimentRuns", "Picks"]


def test_prefetch_keeps_handles_and_what_was_listed_before(root):
    fill(root)
    run = root.get_run("TS_2")
    picks = run.picks

    root.prefetch()

    assert root.get_run("TS_2") is run
    assert all(a is b for a, b in zip(run.picks, picks, strict=True))


def test_a_later_listing_does_not_get_what_was_prefetched(root):
    fill(root)
    root.refresh()
    root.prefetch()
    other = root.get_run("TS_1")
    other.delete_picks("ribosome")
    other.refresh_picks()

    assert [p.pickable_object_name for p in other.picks] == ["membrane"]


def test_what_is_made_while_prefetch_asks_storage_stays(root, monkeypatch):
    fill(root)
    root.refresh()
    run, layer = root.get_run("TS_1"), root.layers.overlay
    list_many = layer.list_many
    made = []

    def list_and_make(kind, parents):
        found = list_many(kind, parents)
        if kind is Kind.PICKS:
            made.append(run.new_picks("ribosome", "77", "alice"))
        return found

    monkeypatch.setattr(layer, "list_many", list_and_make)
    root.prefetch()

    assert sorted(picks.session_id for picks in run.picks) == ["1", "1", "77"]
    assert made[0] in run.picks


class Answers(dict):
    """Notes of each answer that is dropped whether the lock of the children that it is about was held."""

    def __init__(self, lock):
        super().__init__()
        self.lock, self.held = lock, []

    def pop(self, question, *default):
        if question in self and question[1] is Kind.PICKS:
            self.held.append(self.lock._is_owned())
        return super().pop(question, *default)


def test_whether_children_were_made_meanwhile_is_looked_at_under_their_lock(root):
    fill(root)
    root.refresh()
    run = root.get_run("TS_1")
    assert run.get_picks("ribosome", "alice", "1")
    root._prefetched = answers = Answers(run._picks_children.lock)

    root.prefetch(["picks"])

    assert answers.held[0] is True


def test_prefetch_asks_static_layers_nothing_that_the_configuration_says():
    layer = MadeUpLayer(3)
    config = CopickConfigFSSpec(
        static_root="/nowhere", runs=["TS_00001"], voxel_spacings=[10.0], tomograms={10.0: ["tomogram1"]}
    )
    root = CopickRootOverlay(config, lambda _: Layers(static=[layer]))

    root.prefetch(["tomogram"])

    assert layer.asked == []
    assert [t.tomo_type for t in root.runs[0].voxel_spacings[0].tomograms] == ["tomogram1"]
    assert root.table("tomogram")["tomo_type"] == ["tomogram1"]


@pytest.mark.parametrize("kind", [Kind.TOMOGRAM, Kind.FEATURES, Kind.PICKS, Kind.MESH, Kind.SEGMENTATION])
def test_a_table_has_a_row_for_each_entity_that_walking_finds(layered, kind):
    root, _ = layered
    root.new_run("TS_2").new_picks("ribosome", "1", "alice")
    root.get_run("TS_1").new_picks("ribosome", "0", "tool", exist_ok=True)
    root.refresh()

    table = root.table(kind)

    expected = [(*(getattr(key, name) for name in field_names(kind)), layer, ro) for key, layer, ro in walk(root)[kind]]
    assert rows(table) == expected
    assert expected


def test_a_table_of_runs_has_a_row_for_each_layer(layered):
    root, _ = layered
    root.get_run("TS_1").new_picks("ribosome", "1", "alice")

    assert root.table("run") == {"run": ["TS_1", "TS_1"], "layer": ["static", "overlay"], "read_only": [True, False]}


def test_a_table_makes_no_handles():
    root, _ = made_up(3)

    root.table("picks")

    assert root._runs is None


def test_an_empty_project_gives_empty_columns(root):
    assert root.table("voxel_spacing") == {"run": [], "voxel_size": [], "layer": [], "read_only": []}


@pytest.mark.parametrize("attribute", ["runs", "voxel_spacings", "picks", "meshes", "segmentations", "tomograms", "features"])
def test_kinds_may_be_named_as_the_lists_of_the_hierarchy(layered, attribute):
    root, _ = layered

    assert len(root.table(attribute)["run"]) >= 1


def test_an_unknown_kind_is_refused_with_those_that_there_are(root):
    with pytest.raises(InvalidDataError, match="'picks'"):
        root.table("pick")
    with pytest.raises(InvalidDataError, match="'picks'"):
        root.prefetch(["pick"])
    with pytest.raises(InvalidDataError, match="list of kinds") as caught:
        root.prefetch("picks")
    assert caught.value.source == "kinds"


def test_a_kind_that_is_unknown_is_named_as_it_was_given(root):
    with pytest.raises(InvalidDataError) as caught:
        root.table("voxel_spacingz")

    assert caught.value.source == "kind of entity"
    assert caught.value.reason.startswith("'voxel_spacingz' is none of 'run', 'voxel spacing', ")
    assert caught.value.__suppress_context__


def test_prefetch_sends_one_request_for_each_directory(bucket):
    server, root = bucket
    server.delay = 0.02

    with server.counting() as counts:
        root.prefetch()
        walked = walk(root)

    assert counts == {"LIST": 1 + listing_project.DIRECTORIES_PER_RUN * RUNS}
    assert sum(len(found) for found in walked.values()) == RUNS * (listing_project.ENTITIES_PER_RUN - 2)
    assert server.most_at_once > 10


def test_a_table_of_picks_sends_one_request_for_each_run(bucket):
    server, root = bucket

    with server.counting() as counts:
        table = root.table("picks")

    assert counts == {"LIST": 1 + RUNS}
    assert len(table["run"]) == RUNS * listing_project.PICKS


@pytest.mark.slow
def test_10000_runs_are_listed_in_bounded_memory():
    root, layer = made_up(10_000)
    layer.asked = _Nothing()
    tracemalloc.start()
    try:
        tables = [root.table(kind) for kind in ("tomogram", "picks", "mesh", "segmentation")]
        of_tables = tracemalloc.get_traced_memory()[1] / 10_000
        del tables
        tracemalloc.reset_peak()
        root.prefetch()
        of_handles = tracemalloc.get_traced_memory()[1] / 10_000
    finally:
        tracemalloc.stop()

    assert of_tables < BYTES_OF_TABLES
    assert of_handles < BYTES_OF_HANDLES


class _Nothing(list):
    """Takes everything and keeps nothing."""

    def append(self, _):
        pass


class PartlyPrivateLayer(MadeUpLayer):
    """Like a share on which some folders belong to others."""

    private = ("ExperimentRuns/TS_00001",)

    def list_folder(self, path):
        if any(f"{path}/".startswith(f"{folder}/") for folder in self.private):
            raise PermissionError(13, "Permission denied", path)
        return super().list_folder(path)


@pytest.mark.parametrize("kind", ["picks", "segmentations", "tomograms"])
def test_a_folder_that_may_not_be_read_does_not_hide_the_others(kind):
    root = project_over(PartlyPrivateLayer(4))

    with pytest.warns(UserWarning, match="TS_00001.* could not be listed and are left out .*Permission denied"):
        table = root.table(kind)

    assert {*table["run"]} == {"TS_00000", "TS_00002", "TS_00003"}


@pytest.mark.parametrize(
    ("private", "said"),
    [([1], "run 'TS_00001' could not"), ([1, 2], "run 'TS_00001', and those of 1 others could not"), ([0, 2, 3], "2 others")],
)
def test_what_cannot_be_listed_is_told_once_with_the_number_of_the_others(private, said):
    layer = PartlyPrivateLayer(4)
    layer.private = tuple(f"ExperimentRuns/TS_{n:05d}" for n in private)
    root = project_over(layer)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tables = [root.table("segmentations") for _ in range(2)]

    (only,) = caught
    assert str(only.message).startswith("Layer 'static': the segmentations of run ")
    assert said in str(only.message)
    assert only.filename == __file__
    assert len({*tables[1]["run"]}) == 4 - len(private)
    layer.private = ()
    assert len({*root.table("segmentations")["run"]}) == 4


def test_what_could_not_be_prefetched_stays_unlisted_and_says_why():
    root = project_over(PartlyPrivateLayer(3))

    with pytest.warns(UserWarning, match="could not be listed"):
        root.prefetch()

    assert len(root.runs[0].picks) == listing_project.PICKS
    assert len(root.runs[2].voxel_spacings[0].tomograms) == listing_project.TOMOGRAMS
    with pytest.raises(PermissionError, match="TS_00001"):
        root.runs[1].picks  # noqa: B018


def test_a_place_of_which_nothing_may_be_read_is_an_error():
    layer = PartlyPrivateLayer(3)
    layer.private = ("ExperimentRuns",)

    with pytest.raises(PermissionError):
        project_over(layer).table("runs")


def test_the_doctor_names_each_folder_that_may_not_be_read():
    found = project_over(PartlyPrivateLayer(2)).problems()

    assert {(f.problem.id, f.problem.place.rpartition("TS_00001")[2]) for f in found} >= {("unlisted-folder", "/Picks")}
