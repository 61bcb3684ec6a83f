"""A bucket: how often it is asked, and what it promises."""

from __future__ import annotations

import io
import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.core.buffer import default_buffer_prototype

from copick_backend_fs.config import CopickConfigFSSpec
from copick_backend_fs.layer import open_layer
from copick_backend_fs.object_store import StoreConnection
from copick_backend_fs.opening import open_layers
from copick_backend_fs.remote import FsspecLayer
from copick_core.errors import ConflictError, NotFoundError
from copick_core.tree.keys import ROOT, Kind, PicksKey, RunKey, SegmentationKey, TomogramKey, VoxelSpacingKey

RUN = RunKey("TS_1")
PICKS = PicksKey("TS_1", "ribosome", "alice", "1")
TOMOGRAM = TomogramKey("TS_1", 10.0, "wbp")
#: The secret that the layers of `fs_args` have.
SECRET = "do-not-tell"


@pytest.fixture
def layer(fs_args: dict[str, Any], obstore: bool) -> FsspecLayer:
    opened = open_layer("overlay", "s3://lab/project", fs_args, obstore=obstore)
    assert isinstance(opened, FsspecLayer)
    assert isinstance(opened._connection, StoreConnection) is obstore
    return opened


def fail_half_way(layer: FsspecLayer) -> None:
    with layer.replace_zarr(TOMOGRAM) as store:
        zarr.create_array(store, name="0", data=np.full((2, 2, 2), 9))
        raise KeyboardInterrupt


def fill(layer: FsspecLayer, key: TomogramKey, value: int, shape: tuple[int, int, int] = (4, 4, 4)) -> None:
    with layer.replace_zarr(key) as store:
        data = np.full(shape, value, dtype="u1")
        zarr.create_array(store, name="0", data=data, zarr_format=2, chunks=(2, 4, 4))


# ----------------------------------------------------------------------------------------------------------------- counts


def test_opening_a_project_asks_nothing_and_listing_its_runs_asks_each_layer_once(server, fs_args, obstore) -> None:
    config = CopickConfigFSSpec(
        overlay_root="s3://lab/mine",
        overlay_fs_args=fs_args,
        static_root="s3://lab/reference",
        static_fs_args=fs_args,
        obstore=obstore,
    )
    with server.counting() as opening:
        layers = open_layers(config)

    with server.counting() as listing:
        for layer in layers.all:
            layer.list(Kind.RUN, ROOT)

    assert opening == {}
    assert listing == {"LIST": 2}


@pytest.mark.parametrize(("names", "requests"), [(0, 1), (1, 1), (1000, 1), (1001, 2)])
def test_listing_a_folder_is_one_request_for_1000_names(server, layer, names: int, requests: int) -> None:
    server.put("lab", {f"project/ExperimentRuns/TS_1/Picks/alice_{n}_ribosome.json": b"" for n in range(names)})

    with server.counting() as counts:
        listed = layer.list(Kind.PICKS, RUN)

    assert len(listed) == names
    assert counts == {"LIST": requests}


def test_a_folder_is_asked_again_and_not_remembered_by_fsspec(server, layer) -> None:
    layer.list(Kind.PICKS, RUN)
    server.put("lab", {"project/ExperimentRuns/TS_1/Picks/bob_1_ribosome.json": b""})

    assert len(layer.list(Kind.PICKS, RUN)) == 1


def test_all_of_a_run_is_listed_with_one_request_for_each_folder(server, layer) -> None:
    run = "project/ExperimentRuns/TS_1"
    names = [
        "VoxelSpacing10.000/wbp.zarr/.zgroup",
        "Picks/a_1_r.json",
        "Meshes/a_1_r.glb",
        "Segmentations/10.000_a_1_m.zarr/.zgroup",
    ]
    server.put("lab", {f"{run}/{name}": b"" for name in names})

    with server.counting() as counts:
        spacings = layer.list(Kind.VOXEL_SPACING, RUN)
        tomograms = layer.list(Kind.TOMOGRAM, spacings[0])
        features = layer.list(Kind.FEATURES, tomograms[0])
        others = [layer.list(kind, RUN) for kind in (Kind.PICKS, Kind.MESH, Kind.SEGMENTATION)]

    assert (len(spacings), len(tomograms), len(features), [len(o) for o in others]) == (1, 1, 0, [1, 1, 1])
    assert counts == {"LIST": 5}


def test_many_folders_are_listed_at_once(server, layer) -> None:
    runs = [RunKey(f"TS_{n}") for n in range(50)]
    server.put("lab", {f"project/ExperimentRuns/{run.name}/Picks/a_1_r.json": b"" for run in runs})
    layer.list(Kind.RUN, ROOT)
    server.delay = 0.02

    with server.counting() as counts:
        listed = layer.list_many(Kind.PICKS, runs)

    assert {run: len(keys) for run, keys in listed.items()} == dict.fromkeys(runs, 1)
    assert counts == {"LIST": 50}
    assert server.most_at_once > 10


def test_reading_picks_with_their_revision_is_one_request(server, layer) -> None:
    revision = layer.write(PICKS, b"points")

    with server.counting() as counts:
        read = layer.read_revised(PICKS)

    assert read == (b"points", revision)
    assert counts == {"GET": 1}


def test_reading_what_is_not_there_is_one_request(server, layer) -> None:
    with server.counting() as counts, pytest.raises(NotFoundError):
        layer.read(PICKS)

    assert counts == {"GET": 1}


def test_writing_picks_is_one_request(server, layer) -> None:
    with server.counting() as counts:
        layer.write(PICKS, b"points")

    assert counts == {"PUT": 1}


def test_a_conditional_write_is_one_request_after_the_first_has_tried_the_server(server, layer) -> None:
    revision = layer.write(PICKS, b"one", if_revision=None)

    with server.counting() as counts:
        layer.write(PICKS, b"two", if_revision=revision)

    assert counts == {"PUT": 1}


def test_deleting_picks_is_three_requests(server, layer) -> None:
    layer.write(PICKS, b"points")

    with server.counting() as counts:
        layer.delete(PICKS)

    assert counts == {"LIST": 1, "HEAD": 1, "DELETE-MANY": 1}


@pytest.mark.parametrize(("key", "request_kind"), [(PICKS, "HEAD"), (RUN, "LIST")])
def test_asking_whether_something_exists_is_one_request(server, layer, key, request_kind: str) -> None:
    with server.counting() as counts:
        assert not layer.exists(key)

    assert counts == {request_kind: 1}


def test_asking_whether_a_volume_exists_is_one_request_and_another_one_if_nothing_is_found(server, layer) -> None:
    fill(layer, TOMOGRAM, 1)

    with server.counting() as counts:
        assert layer.exists(TOMOGRAM)
    assert counts == {"LIST": 1}
    with server.counting() as counts:
        assert not layer.exists(TOMOGRAM._replace(tomo_type="other"))  # a replacement begins with taking the old one away
    assert counts == {"LIST": 2}


def test_the_first_region_of_a_tomogram_takes_three_requests(server, layer) -> None:
    fill(layer, TOMOGRAM, 7)

    with server.counting() as counts:
        region = zarr.open_array(layer.zarr(TOMOGRAM), path="0", mode="r", zarr_format=2)[:2]

    assert (region == 7).all()
    assert counts == {"GET": 3}  # .zarray, .zattrs, and the chunk


def test_writing_a_volume_asks_for_nothing_that_is_known(server, layer, obstore) -> None:
    fill(layer, TOMOGRAM, 1)  # 2 chunks, and 4 files of metadata

    with server.counting() as counts:
        fill(layer, TOMOGRAM, 2)

    # Looked whether there is one; written beside it and listed; a record; the old one listed, and its metadata deleted in
    # two steps; copied over it; the record and what was staged deleted. obstore copies no marks: the last document is read
    # and put.
    marked = {"GET": 1, "PUT": 8, "COPY": 5} if obstore else {"PUT": 7, "COPY": 6}
    assert counts == {"LIST": 3, "DELETE-MANY": 4, **marked}


# --------------------------------------------------------------------------------------------------------------- promises


def test_a_write_over_another_revision_is_a_conflict_and_changes_nothing(layer) -> None:
    old = layer.write(PICKS, b"old")
    new = layer.write(PICKS, b"new")

    with pytest.raises(ConflictError) as caught:
        layer.write(PICKS, b"mine", if_revision=old)

    assert (caught.value.expected, caught.value.found) == (old, new)
    assert layer.read(PICKS) == b"new"


def test_a_write_for_nothing_is_a_conflict_where_something_is(layer) -> None:
    layer.write(PICKS, b"same", if_revision=None)

    with pytest.raises(ConflictError):
        layer.write(PICKS, b"same", if_revision=None)


def test_a_write_over_what_was_deleted_is_a_conflict(layer) -> None:
    revision = layer.write(PICKS, b"old")
    layer.delete(PICKS)

    with pytest.raises(ConflictError) as caught:
        layer.write(PICKS, b"new", if_revision=revision)

    assert caught.value.found is None
    assert not layer.exists(PICKS)


def test_conflicts_are_found_on_a_server_that_ignores_conditions(server, layer) -> None:
    server.ignores_conditions = True
    layer.write(PICKS, b"theirs")

    with pytest.raises(ConflictError):
        layer.write(PICKS, b"mine", if_revision='"0"')

    assert layer.read(PICKS) == b"theirs"
    assert server.keys("lab") == ["project/ExperimentRuns/TS_1/Picks/alice_1_ribosome.json"]


def test_of_several_writers_that_know_one_revision_exactly_one_wins(layer) -> None:
    known = layer.write(PICKS, b"start")

    def store(name: str) -> str:
        try:
            layer.write(PICKS, name.encode(), if_revision=known)
        except ConflictError:
            return "conflict"
        return name

    with ThreadPoolExecutor(6) as threads:
        outcomes = [*threads.map(store, "abcdef")]

    assert outcomes.count("conflict") == 5
    assert layer.read(PICKS).decode() in outcomes


def test_a_replaced_volume_is_the_new_one_without_remains(server, layer) -> None:
    fill(layer, TOMOGRAM, 1, (8, 4, 4))

    fill(layer, TOMOGRAM, 2, (2, 4, 4))

    array = zarr.open_array(layer.zarr(TOMOGRAM), path="0", mode="r")
    chunks = [key for key in server.keys("lab") if key.endswith(".0.0")]
    assert (array[:] == 2).all()
    assert chunks == ["project/ExperimentRuns/TS_1/VoxelSpacing10.000/wbp.zarr/0/0.0.0"]
    assert not [key for key in server.keys("lab") if ".staged" in key]


def test_a_volume_that_fails_half_way_leaves_the_old_one(server, layer) -> None:
    fill(layer, TOMOGRAM, 1)

    with pytest.raises(KeyboardInterrupt):
        fail_half_way(layer)

    assert (zarr.open_array(layer.zarr(TOMOGRAM), path="0", mode="r")[:] == 1).all()
    assert not [key for key in server.keys("lab") if ".staged" in key]


def test_a_read_only_volume_refuses_every_mutation(layer, fs_args, obstore) -> None:
    fill(layer, TOMOGRAM, 1)
    volume = open_layer("static", "s3://lab/project", fs_args, read_only=True, obstore=obstore).zarr(TOMOGRAM)

    new = default_buffer_prototype().buffer.from_bytes(bytes(32))
    for mutation in (
        volume.set("0/0.0.0", new),
        volume.set_file("0/0.0.0", io.BytesIO(bytes(32))),
        volume.clear(),
        volume.delete("0/0.0.0"),
        volume.delete_dir("0"),
    ):
        with pytest.raises(ValueError, match="read-only"):
            zarr.core.sync.sync(mutation)

    assert (zarr.open_array(layer.zarr(TOMOGRAM), path="0", mode="r")[:] == 1).all()


def test_a_run_is_deleted_with_all_below_it_and_nothing_beside_it(server, layer) -> None:
    server.put(
        "lab", {f"project/ExperimentRuns/{run}/Picks/a_{n}_r.json": b"" for run in ("TS_1", "TS_10") for n in range(600)}
    )

    layer.delete(RUN)

    assert [*layer.list(Kind.RUN, ROOT)] == [RunKey("TS_10")]
    assert len(server.keys("lab")) == 600


@pytest.mark.parametrize("name", ["TS[1]", "*", "?versionId=1", "a b", "ü", "a+b", "a%2Fb", "#x", "a&b=c"])
def test_a_run_name_is_never_read_as_anything_else(layer, name: str) -> None:
    picks = PicksKey(name, "ribosome", "alice", "1")

    layer.write(picks, b"mine")
    layer.ensure(VoxelSpacingKey(name, 10.0))
    fill(layer, TomogramKey(name, 10.0, "wbp"), 3)

    assert [*layer.list(Kind.RUN, ROOT)] == [RunKey(name)]
    assert layer.read(picks) == b"mine"
    assert (zarr.open_array(layer.zarr(TomogramKey(name, 10.0, "wbp")), path="0", mode="r")[:] == 3).all()
    assert [*layer.list(Kind.PICKS, RunKey(name))] == [picks]


def test_a_segmentation_of_each_type_is_found(layer) -> None:
    keys = {SegmentationKey("TS_1", 10.0, "m", "a", "1", t) for t in ("binary", "multilabel", "instance", "panoptic")}
    for key in keys:
        with layer.replace_zarr(key) as store:
            zarr.create_array(store, name="0", data=np.zeros((2, 2, 2)))

    assert {*layer.list(Kind.SEGMENTATION, RUN)} == keys


def test_a_misspelled_bucket_is_no_conflict(fs_args, obstore) -> None:
    layer = open_layer("overlay", "s3://lba/project", fs_args, obstore=obstore)

    for write in (lambda: layer.write(PICKS, b"x", if_revision=None), lambda: layer.ensure(RUN)):
        with pytest.raises(FileNotFoundError, match="no such bucket: 'lba'"):
            write()


def test_a_misspelled_bucket_is_an_error_not_an_empty_project(fs_args, obstore) -> None:
    layer = open_layer("static", "s3://lbb/project", fs_args, read_only=True, obstore=obstore)

    with pytest.raises(FileNotFoundError, match="lbb"):
        layer.list(Kind.RUN, ROOT)


def test_a_volume_can_be_sent_to_another_process(layer) -> None:
    fill(layer, TOMOGRAM, 5)

    store = pickle.loads(pickle.dumps(layer.zarr(TOMOGRAM)))

    assert (zarr.open_array(store, path="0", mode="r")[:] == 5).all()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_layer_works_in_a_forked_child(layer) -> None:
    layer.write(PICKS, b"points")

    child = os.fork()
    if child == 0:
        os._exit(0 if layer.read(PICKS) == b"points" else 1)

    assert os.waitpid(child, 0)[1] == 0


def test_reconnecting_makes_a_new_file_system_too(layer) -> None:
    layer.write(PICKS, b"points")
    before = layer.fs
    assert before.cat_file(layer.full_path("ExperimentRuns/TS_1/Picks/alice_1_ribosome.json")) == b"points"

    layer.reconnect()

    assert layer.fs is not before
    assert layer.read(PICKS) == b"points"


def test_secrets_are_never_shown(layer, fs_args) -> None:
    config = CopickConfigFSSpec(overlay_root="s3://lab/project", overlay_fs_args=fs_args)
    with pytest.raises(NotFoundError) as caught:
        layer.read(PICKS)

    shown = f"{layer!r} {layer.zarr(TOMOGRAM)!r} {layer.location(PICKS)} {caught.value!r} {config!r} {config}"

    assert SECRET not in shown


def test_one_bucket_with_other_credentials_is_one_writable_layer(fs_args, obstore) -> None:
    config = CopickConfigFSSpec(
        overlay_root="s3://lab/project",
        overlay_fs_args=fs_args,
        static_root="s3://lab/project/",
        static_fs_args={**fs_args, "key": "other"},
        obstore=obstore,
    )

    assert [layer.name for layer in open_layers(config).all] == ["overlay"]


def test_equal_paths_on_two_servers_are_two_layers(fs_args, obstore) -> None:
    config = CopickConfigFSSpec(
        overlay_root="s3://lab/project",
        overlay_fs_args=fs_args,
        static_root="s3://lab/project",
        static_fs_args={"anon": True, "client_kwargs": {"region_name": "us-west-2"}},
        obstore=obstore,
    )

    assert [layer.name for layer in open_layers(config).all] == ["static", "overlay"]


def test_one_place_over_obstore_and_over_fsspec_is_one_writable_layer(fs_args) -> None:
    config = CopickConfigFSSpec(
        overlay_root="s3://lab/project",
        overlay_fs_args=fs_args,
        static_root="s3a://lab/project",
        static_fs_args={**fs_args, "s3_additional_kwargs": {"ServerSideEncryption": "AES256"}},
    )

    assert [layer.name for layer in open_layers(config).all] == ["overlay"]


@pytest.mark.parametrize("foreign", ["a//b", "./c", "tab\there", "TS_1/", "TS_1//", "TS_1/Picks/"])
def test_foreign_keys_that_no_folder_could_hold_are_passed_over(server, layer, foreign: str) -> None:
    server.put("lab", {f"project/ExperimentRuns/{foreign}": b""})
    layer.write(PICKS, b"points")

    assert RUN in layer.list(Kind.RUN, ROOT)
    assert [*layer.list(Kind.PICKS, RUN)] == [PICKS]


@pytest.mark.parametrize("marker", ["TS_1/", "TS_1/Picks/", "TS_1/a//b"])
def test_a_run_is_deleted_with_objects_that_stand_for_its_folders(server, layer, marker: str) -> None:
    server.put("lab", {f"project/ExperimentRuns/{marker}": b"", "project/ExperimentRuns/TS_1/Picks/a_1_r.json": b""})

    layer.delete(RUN)

    assert server.keys("lab") == []
    assert not layer.exists(RUN)


def test_a_place_that_refuses_says_that_it_is_not_permitted(server, fs_args, obstore) -> None:
    server.refuses = True
    layer = open_layer("overlay", "s3://lab/project", fs_args, obstore=obstore)

    with pytest.raises(PermissionError):
        layer.list(Kind.RUN, ROOT)
    with pytest.raises(PermissionError):
        layer.exists(RUN)
    with pytest.raises(PermissionError):
        layer.read(PICKS)
    with pytest.raises(PermissionError):
        layer.write(PICKS, b"", if_revision=None)


@pytest.mark.parametrize(
    ("args", "environment", "signed"),
    [
        ({"key": "mine", "secret": SECRET}, {}, ("mine", None)),
        ({"key": "mine", "secret": SECRET, "token": "pass"}, {}, ("mine", "pass")),
        ({"key": "mine", "secret": SECRET}, {"AWS_ACCESS_KEY_ID": "theirs", "AWS_SESSION_TOKEN": "theirs"}, ("mine", None)),
        ({}, {"AWS_ACCESS_KEY_ID": "theirs", "AWS_SECRET_ACCESS_KEY": "a", "AWS_SESSION_TOKEN": "pass"}, ("theirs", "pass")),
        ({"anon": True}, {"AWS_ACCESS_KEY_ID": "theirs", "AWS_SECRET_ACCESS_KEY": "a"}, None),
    ],
)
def test_requests_are_signed_as_arguments_and_environment_say(
    server, obstore, args, environment: dict[str, str], signed, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    open_layer("overlay", "s3://lab/project", {"endpoint_url": server.url, **args}, obstore=obstore).list(Kind.RUN, ROOT)

    assert server.signed == signed


def test_credentials_that_change_in_the_environment_are_noticed(server, obstore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a")
    seen = []

    for name in ("first", "second"):
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", name)
        open_layer("overlay", "s3://lab/project", {"endpoint_url": server.url}, obstore=obstore).list(Kind.RUN, ROOT)
        seen.append(server.signed)

    assert seen == [("first", None), ("second", None)]


def test_sessions_of_one_process_read_the_descriptions_of_services_once(fs_args, monkeypatch) -> None:
    open_layer("overlay", "s3://lab/project", fs_args, obstore=False).exists(PICKS)
    monkeypatch.setattr("botocore.loaders.JSONFileLoader.load_file", None)

    assert not open_layer("overlay", "s3://lab/project", fs_args, obstore=False).exists(PICKS)


def test_a_conditional_write_whose_answer_was_lost_is_no_conflict(server, layer) -> None:
    revision = layer.write(PICKS, b"theirs", if_revision=None)
    server.loses = 1

    layer.write(PICKS, b"mine", if_revision=revision)

    assert layer.read(PICKS) == b"mine"
    assert server.loses == 0


def test_the_doctor_finds_and_deletes_what_a_dead_writer_left(layer):
    folder = "ExperimentRuns/TS_1/Segmentations"
    layer.write_file(f"{folder}/.staged-1-{'0' * 32}/.zattrs", b"{}")
    layer.write_file("ExperimentRuns/TS_1/Picks/notes.json", b"{}")

    found = {problem.id: problem for problem in layer.problems()}
    found["staged-leftover"].repair.apply()

    assert [*found] == ["unreadable-name", "staged-leftover"]
    assert layer.list_folder(folder) == {}
