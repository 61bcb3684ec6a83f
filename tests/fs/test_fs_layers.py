"""What layers of folders, buckets and servers say of their places and entities."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import zarr

from copick_backend_fs import local
from copick_backend_fs.connection import Connection
from copick_backend_fs.layer import open_layer, place_of
from copick_backend_fs.local import LocalLayer
from copick_backend_fs.locks import LockLostError
from copick_backend_fs.new_config import new_config
from copick_backend_fs.records import Record, RecordTakenError
from copick_backend_fs.remote import FsspecLayer
from copick_backend_fs.replacing import Replacement
from copick_core.errors import InvalidNameError, ReadOnlyError
from copick_core.layers.revisions import FileChangedError, FolderTakenError
from copick_core.layers.staged import STAGED_SECONDS
from copick_core.tree.keys import ROOT, PicksKey, RunKey, TomogramKey

RUN = RunKey("TS_1")
PICKS = PicksKey("TS_1", "ribosome", "alice", "1")
TOMOGRAM = TomogramKey("TS_1", 10.0, "wbp")
LAB = {"endpoint_url": "http://lab:9", "key": "me", "secret": "hush"}


def fill(layer: Any, value: int = 1) -> None:
    with layer.replace_zarr(TOMOGRAM) as store:
        zarr.create_group(store)
        zarr.create_array(store, name="0", data=np.full((2, 2, 2), value))


@pytest.fixture
def layer(tmp_path: Path) -> LocalLayer:
    return LocalLayer("overlay", tmp_path / "project")


# ---------------------------------------------------------------------------------------------------------------- places


def test_an_entity_lies_where_its_url_says_without_secrets(tmp_path: Path) -> None:
    below = "ExperimentRuns/TS_1/Picks/alice_1_ribosome.json"
    layers = [
        open_layer("a", "memory://me:hush@lab/project/"),
        open_layer("b", "s3://lab/project", LAB),
        open_layer("c", f"zip://x::file://{tmp_path}/a.zip", read_only=True),
        LocalLayer("d", tmp_path),
    ]

    assert [layer.location(PICKS) for layer in layers] == [
        f"memory://me:***@lab/project/{below}",
        f"s3://lab/project/{below}",
        f"zip://x/{below}::file://{tmp_path}/a.zip",
        f"{tmp_path}/{below}",
    ]


def test_a_place_has_an_identity_unless_it_is_in_memory(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there")
    bucket = open_layer("b", "s3://lab/project", LAB)

    assert open_layer("a", "memory://place").place_id() is None
    assert bucket.place_id() == "S3FileSystem lab/project http://lab:9"
    assert LocalLayer("d", tmp_path / "link").place_id() == f"file://{tmp_path / 'there'}"
    assert place_of(LocalLayer("d", tmp_path / "link")) == ("local", str(tmp_path / "there"))
    assert place_of(bucket) == ("S3FileSystem", "lab/project", "http://lab:9")


def test_a_layer_says_what_is_bound_to_this_process_and_what_takes_requests(tmp_path: Path) -> None:
    memory, bucket = open_layer("a", "memory://place"), open_layer("b", "s3://lab/project", LAB)
    archive = open_layer("c", f"zip://x::file://{tmp_path}/a.zip", read_only=True)

    assert [bool(layer.process_bound) for layer in (memory, bucket, archive)] == [True, False, False]
    assert str(memory.process_bound).startswith("memory:// keeps files in the memory of this process.")
    assert [layer.versions_take_requests for layer in (memory, bucket, archive)] == [True, True, False]
    assert (archive.volume_version(TOMOGRAM), archive.read_only) == (None, True)


def test_a_file_system_beside_a_layer_takes_its_paths(layer: LocalLayer) -> None:
    path = layer.full_path("a/b/c")

    with layer.fs.open(path, "wb") as file:
        file.write(b"1")

    assert Path(layer.root, "a", "b", "c").read_bytes() == b"1"


def test_what_is_listed_is_forgotten_with_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = open_layer("a", "memory://forgotten")
    done: list[Any] = []
    monkeypatch.setattr(layer._connection, "renew", lambda: done.append("renew"))  # type: ignore[union-attr]
    monkeypatch.setattr(layer, "drop_listings", done.append)

    layer.reconnect()

    assert done == ["renew", ""]


def test_nothing_is_asked_for_no_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = open_layer("a", "memory://nothing")
    monkeypatch.setattr(layer, "_connection", None)

    assert layer.list_folders([]) == {}


def test_a_configuration_names_what_was_given() -> None:
    assert new_config() == {"overlay_root": "local://overlay", "overlay_fs_args": {"auto_mkdir": True}}
    assert new_config("a", "b", {"x": 1}, {"y": 2}, False) == {
        "overlay_root": "local://a",
        "overlay_fs_args": {"x": 1},
        "static_root": "b",
        "static_fs_args": {"y": 2},
        "obstore": False,
    }
    assert new_config(static_root="b") == {"static_root": "b", "static_fs_args": {}}
    for url in ("s3://lab/a", "zip://::a.zip", "zip::a.zip"):
        assert new_config(url)["overlay_root"] == url


# ----------------------------------------------------------------------------------------------------------- local times


def test_folders_are_known_again_by_their_times_once_these_are_old_enough(
    layer: LocalLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert layer.listing_version(RUN) is None
    nothing = layer.listing_version(ROOT)
    layer.write(PICKS, b"{}")
    young = (layer.listing_version(RUN), layer.listing_version(ROOT))
    now = time.time_ns()
    monkeypatch.setattr(local.time, "time_ns", lambda: now + local._SAME_MOMENT + 10**9)
    run, root = layer.listing_version(RUN), layer.listing_version(ROOT)
    again = (layer.listing_version(RUN), layer.listing_version(ROOT))
    Path(layer.root, "Objects").mkdir()
    Path(layer.root, "ExperimentRuns", "TS_1", "Meshes").mkdir()

    assert nothing == (("ExperimentRuns", 0, 0), ("Objects", 0, 0))
    assert young == (None, None)
    assert again == (run, root)
    assert isinstance(run, tuple)
    assert isinstance(root, tuple)
    assert [name for name, _, _ in run] == [".", "Picks"]
    found = os.stat(layer.full_path("ExperimentRuns/TS_1/Picks"))
    assert run[1][1:] == (found.st_ino, found.st_mtime_ns)
    assert [row[0] for row in root] == ["ExperimentRuns", "Objects"]
    assert root[1][1:] == (0, 0)
    monkeypatch.setattr(local.time, "time_ns", lambda: now + local._SAME_MOMENT + 2 * 10**9)
    assert [name for name, _, _ in layer.listing_version(RUN)] == [".", "Meshes", "Picks"]  # type: ignore[union-attr]
    assert layer.listing_version(ROOT) != root


def test_a_volume_is_as_old_as_its_newest_file(layer: LocalLayer) -> None:
    layer.write(PICKS, b"{}")
    fill(layer)
    place = Path(layer.location(TOMOGRAM))
    for number, path in enumerate(path for path in place.rglob("*") if path.is_file()):
        os.utime(path, (1000 + number, 1000 + number))
        newest = 1000.0 + number
    os.utime(layer.location(PICKS), (5, 5))

    assert (layer.modified(PICKS), layer.modified(TOMOGRAM)) == (5.0, newest)
    assert layer.modified(TomogramKey("TS_1", 10.0, "none")) is None
    assert layer.modified(PicksKey("TS_1", "ribosome", "bob", "1")) is None


def test_revisions_of_many_files_are_those_of_each(layer: LocalLayer) -> None:
    layer.write(PICKS, b"{}")
    other = PicksKey("TS_1", "ribosome", "bob", "1")

    assert layer.revisions([PICKS, other]) == {PICKS: layer.revision(PICKS)}


@pytest.mark.parametrize("read_only", [False, True])
def test_what_a_dead_writer_left_in_a_volume_is_told_with_what_removes_it(layer: LocalLayer, read_only: bool) -> None:
    fill(layer)
    path = layer.path_of(TOMOGRAM)
    left = Path(layer.location(TOMOGRAM), "0", "c", f"x.{'0' * 32}.partial")
    left.write_bytes(b"")
    long_ago = time.time() - STAGED_SECONDS - 60
    os.utime(left, (long_ago, long_ago))
    place = os.path.relpath(left, layer.root)

    (found,) = LocalLayer("static", layer.root, read_only=read_only).problems_in_volume(path, TOMOGRAM)

    assert (found.id, found.key, found.severity) == ("partial-file", TOMOGRAM, "warning")
    assert found.place == f"layer 'static', {place}"
    assert found.message == "a writer that died has left this part of a value; nobody uses it"
    if read_only:
        assert (found.repair, found.removal) == (None, None)
        return
    assert found.repair is not None
    assert found.removal is not None
    assert found.repair.description == f"delete {left}"
    found.repair.apply()
    assert not left.exists()


# --------------------------------------------------------------------------------------------------------------- buckets


def test_entities_of_a_bucket_are_as_old_as_their_newest_object(opened: Callable[..., Any]) -> None:
    layer = opened()
    layer.write(PICKS, b"{}")
    fill(layer)

    now = time.time()
    assert abs(layer.modified(PICKS) - now) < 120
    assert abs(layer.modified(TOMOGRAM) - now) < 120
    assert layer.modified(PicksKey("TS_1", "ribosome", "bob", "1")) is None


def test_of_the_times_that_a_file_system_tells_the_newest_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = open_layer("b", "s3://lab/project", LAB)
    found = {"a": {"mtime": 5.0}, "b": {"LastModified": datetime(1970, 1, 1, 0, 0, 9, tzinfo=UTC)}, "c": {"created": "9"}}
    fs = SimpleNamespace(find=lambda path, detail: {**found, "path": {}} if detail else None, info=lambda path: {"updated": 7})
    monkeypatch.setattr(type(layer), "fs", fs)

    assert (layer.modified_time("v", folder=True), layer.modified_time("a", folder=False)) == (9.0, 7.0)


def test_a_bucket_that_is_only_read_is_asked_for_nothing_before_it_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = open_layer("b", "s3://lab/project", LAB, read_only=True)
    monkeypatch.setattr(layer, "_connection", None)

    with pytest.raises(ReadOnlyError):
        fill(layer)


# --------------------------------------------------------------------------------------------------------------- servers


class Server:
    """A connection to a web server whose listings are given."""

    url = "https://me:hush@lab/project"
    protocol, protocols, place = "https", ["https"], ("HTTPFileSystem", "lab")

    def __init__(self, **listings: Any) -> None:
        self.listings = listings
        self.asked: list[list[str]] = []
        self.live = SimpleNamespace(
            files=SimpleNamespace(list_folders=None, writes_whole=False), root="/", full_path=lambda path: f"/{path}"
        )

    def ask(self, question: Any, folders: list[str]) -> dict[str, Any]:
        self.asked.append(folders)
        found = {folder: self.listings.get(folder.rpartition("/")[2], {}) for folder in folders}
        for listing in found.values():
            if isinstance(listing, Exception):
                raise listing
        return found


WHERE = "Layer 'static': https://me:***@lab/project"


def test_a_server_that_lists_no_runs_is_told_with_its_address() -> None:
    layer = FsspecLayer("static", Server(), read_only=True)  # type: ignore[arg-type]

    with pytest.warns(UserWarning, match="lists no runs") as told:
        assert layer.list_folder("ExperimentRuns") == {}

    with pytest.warns(UserWarning, match="lists no runs"):
        (problem,) = [one for one in layer.problems() if one.id == "unlisted-folder"]
    named = "name what there is in the configuration (runs, voxel_spacings, tomograms)"
    assert str(told[0].message) == (f"{WHERE} lists no runs. Check the address; if the server lists no folders, {named}.")
    assert told[0].filename == __file__
    assert (problem.key, problem.severity) == (None, "error")
    assert problem.place == "layer 'static', https://me:***@lab/project"
    assert problem.message == f"it lists no folders, so nobody knows what is there; check the address, or {named}"


@pytest.mark.parametrize(
    ("runs", "warns"), [({}, True), ({"TS_1": True}, False), (PermissionError("no"), False)], ids=["none", "some", "refused"]
)
def test_where_a_folder_seems_empty_the_runs_tell_whether_the_server_lists_any(runs: Any, warns: bool) -> None:
    server = Server(ExperimentRuns=runs)
    layer = FsspecLayer("static", server, read_only=True)  # type: ignore[arg-type]
    if warns:
        with pytest.warns(UserWarning, match="lists no folders") as told:
            layer.list_folder("ExperimentRuns/TS_1/Picks")
        assert str(told[0].message) == (
            f"{WHERE} lists no folders: what the configuration does not name is not found there, such as picks, meshes, "
            "filaments and segmentations."
        )
    else:
        layer.list_folder("ExperimentRuns/TS_1/Picks")
    layer.list_folder("ExperimentRuns/TS_1/Meshes")

    assert server.asked == [
        ["/ExperimentRuns/TS_1/Picks"],
        ["/ExperimentRuns"],
        ["/ExperimentRuns/TS_1/Meshes"],
    ]


def test_a_server_that_lists_a_folder_is_asked_for_nothing_more() -> None:
    server = Server(Picks={"a": False})

    FsspecLayer("static", server, read_only=True).list_folder("ExperimentRuns/TS_1/Picks")  # type: ignore[arg-type]

    assert len(server.asked) == 1


# --------------------------------------------------------------------------------------------------------------- writing


def test_a_name_that_a_share_does_not_take_is_refused_before_anything_is_asked() -> None:
    layer = FsspecLayer("overlay", Connection("smb://me:hush@lab/share", {}))

    with pytest.raises(InvalidNameError) as raised:
        layer.check_writable(RunKey("TS:1"))

    error = raised.value
    assert (error.what, error.name) == ("file name", "TS:1")
    assert error.reason == 'Windows shares take no < > : " | ? * \\ in names, and no blank or dot at their ends'
    layer.check_writable(RUN)


def renaming(folder: Path) -> FsspecLayer:
    """A layer on a server that renames."""
    return FsspecLayer("overlay", Connection(f"file://{folder}", {"auto_mkdir": True}))


@pytest.mark.filterwarnings("ignore:.*let one process at a time")
@pytest.mark.parametrize("stored", [None, b"theirs"])
def test_who_loses_a_lock_is_told_what_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stored: bytes | None
) -> None:
    layer = renaming(tmp_path)
    if stored is not None:
        layer.write_file("a", stored)
    revision = None if stored is None else layer.read_file("a")[1]

    async def lose(*args: Any, **options: Any) -> None:
        raise LockLostError

    monkeypatch.setattr(layer._files, "replace", lose)

    with pytest.raises(FileChangedError) as raised:
        layer.write_file("a", b"mine")
    assert raised.value.found == revision


def test_the_first_write_to_a_place_that_keeps_writers_not_apart_warns_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("copick_backend_fs.remote._announced", set())
    layer = renaming(tmp_path)

    with pytest.warns(UserWarning, match="let one process at a time") as told:
        layer.write_file("a", b"1")
    layer.write_file("a", b"2")

    assert [str(one.message) for one in told] == [
        f"file://{tmp_path}: let one process at a time write to this place. It has no conditional writes that this library "
        "can use: of two writers of one file, the last overwrites the other."
    ]


@pytest.mark.parametrize("known", [False, True])
def test_who_finds_another_one_replacing_a_volume_is_told_since_when(monkeypatch: pytest.MonkeyPatch, known: bool) -> None:
    layer = open_layer("a", "memory://since")
    record = Record.of_this_process("replace") if known else None

    def taken(self: Replacement, staged: str) -> None:
        raise RecordTakenError(record)

    monkeypatch.setattr(Replacement, "run", taken)

    with pytest.raises(FolderTakenError) as raised:
        layer.replace_folder("a/staged", "a/v.zarr")
    assert raised.value.since == (record.since if record else None)
    assert isinstance(raised.value.__cause__, RecordTakenError)


@pytest.mark.parametrize("began", [False, True])
def test_what_is_staged_is_kept_if_a_replacement_began_with_it(monkeypatch: pytest.MonkeyPatch, began: bool) -> None:
    layer = open_layer("a", "memory://needed")
    gone: list[str] = []

    def fail(self: Replacement, staged: str) -> None:
        if began:
            self._record = Record.of_this_process("replace")
        raise KeyError

    monkeypatch.setattr(Replacement, "run", fail)
    monkeypatch.setattr(layer, "delete_path", gone.append)
    with pytest.raises(KeyError):
        layer.replace_folder("a/.staged-x", "a/v.zarr")

    layer.discard_staged("a/.staged-x")

    assert gone == ([] if began else ["a/.staged-x"])
