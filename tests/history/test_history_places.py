"""Where repositories lie, what is told of them, and what their errors name."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import icechunk
import numpy as np
import pytest
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync

import copick_core
from copick_backend_icechunk.guess import guess
from copick_backend_icechunk.new_config import new_config
from copick_backend_icechunk.objects import CONFIG, LocalObjects, _store
from copick_backend_icechunk.places import Place
from copick_backend_icechunk.recovery import LOST, UNMADE, restore_ref
from copick_backend_icechunk.root import CopickRootIcechunk
from copick_backend_icechunk.views import View
from copick_core.errors import ConfigError, InvalidDataError, ReadOnlyError, UnreachableError
from copick_core.tree.keys import PicksKey, TomogramKey
from support.histories import messages, picks

KEYS = {"access_key_id": "someone", "secret_access_key": "hidden"}


# ------------------------------------------------------------------------------------------------------------ locations


@pytest.mark.parametrize("location", ["{}/history", "file://{}/history", "local://{}/history"])
def test_a_folder_is_written_as_a_path_or_a_url(tmp_path: Path, location: str) -> None:
    place = Place(location.format(tmp_path))

    assert (place.folder, str(place), place.is_bucket) == (f"{tmp_path}/history",) * 2 + (False,)


def test_the_home_folder_may_be_written_as_a_tilde() -> None:
    assert Place("~/history").folder == str(Path.home() / "history")


def test_a_bucket_is_shown_as_it_was_written() -> None:
    place = Place("s3://lab/project/")

    assert (place.folder, str(place), place.is_bucket, place.is_there()) == (None, "s3://lab/project/", True, True)


def test_another_location_is_refused_with_the_way_out() -> None:
    with pytest.raises(ConfigError) as raised:
        Place("http://lab/project")

    assert (raised.value.source, raised.value.reason) == (
        "http://lab/project",
        "a repository lies in a folder or at s3://bucket/prefix",
    )


@pytest.mark.parametrize(
    ("given", "further"),
    [
        ({}, {"from_env": True}),
        ({"region": "eu"}, {"region": "eu", "from_env": True}),
        (KEYS, KEYS),
        ({"anonymous": True}, {"anonymous": True}),
        ({"from_env": False}, {"from_env": False}),
        (
            {**KEYS, "endpoint_url": "http://lab"},
            {**KEYS, "endpoint_url": "http://lab", "allow_http": True, "force_path_style": True},
        ),
        (
            {**KEYS, "endpoint_url": "http://lab", "force_path_style": False},
            {**KEYS, "endpoint_url": "http://lab", "allow_http": True, "force_path_style": False},
        ),
        ({**KEYS, "endpoint_url": "https://lab"}, {**KEYS, "endpoint_url": "https://lab"}),
    ],
)
def test_what_follows_from_the_arguments_of_a_bucket_is_added(given: dict[str, Any], further: dict[str, Any]) -> None:
    place = Place("s3://lab/a/b/", given)

    assert place._in_bucket() == ("lab", "a/b", further)
    assert place.arguments == given


@pytest.mark.parametrize(
    ("given", "config"),
    [
        ({**KEYS, "region": "eu"}, {**KEYS, "region": "eu", "virtual_hosted_style_request": "true"}),
        ({**KEYS, "force_path_style": True}, {**KEYS, "virtual_hosted_style_request": "false"}),
        ({"anonymous": True}, {"skip_signature": "true", "virtual_hosted_style_request": "true"}),
        (
            {**KEYS, "endpoint_url": "http://lab:1", "allow_http": True},
            {**KEYS, "endpoint": "http://lab:1", "virtual_hosted_style_request": "true"},
        ),
        (
            {"get_credentials": lambda: icechunk.S3StaticCredentials("a", "b", "c")},
            {"access_key_id": "a", "secret_access_key": "b", "session_token": "c", "virtual_hosted_style_request": "true"},
        ),
    ],
)
def test_files_of_a_bucket_are_asked_for_as_icechunk_does(given: dict[str, Any], config: dict[str, Any]) -> None:
    store = _store("lab", "a/b", given)
    found = {name.removeprefix("aws_"): str(value).lower() for name, value in store.config.items()}

    assert store.prefix == "a/b"
    assert {name: found.get(name) for name in config} == {name: str(value).lower() for name, value in config.items()}
    assert not {"skip_signature", "endpoint"} & (found.keys() - config.keys())
    options = store.client_options or {}
    assert (str(options.get("allow_http")).lower() == "true") is bool(given.get("allow_http"))


# ---------------------------------------------------------------------------------------------------------------- files


def test_snapshots_are_listed_from_the_newest_and_empty_ones_left_out(tmp_path: Path) -> None:
    objects = LocalObjects(str(tmp_path))
    assert objects.snapshots() == []
    (tmp_path / "snapshots").mkdir()
    for name, age, data in (("A", 30, b"1"), ("B", 10, b"1"), ("C", 20, b"1"), ("D", 0, b"")):
        (tmp_path / "snapshots" / name).write_bytes(data)
        os.utime(tmp_path / "snapshots" / name, (1000 - age,) * 2)

    assert objects.snapshots() == ["B", "C", "A"]


def test_the_file_of_a_branch_is_stored_and_replaced_whole(tmp_path: Path) -> None:
    objects = LocalObjects(str(tmp_path))
    assert objects.read_branch("main") is None

    for content in (b"1", b"2"):
        objects.write_branch("main", content)
        assert objects.read_branch("main") == content

    assert os.listdir(tmp_path / "refs" / "branch.main") == ["ref.json"]


def test_a_configuration_is_removed_if_it_is_all_there_is(tmp_path: Path) -> None:
    objects = LocalObjects(str(tmp_path))
    (tmp_path / CONFIG).write_bytes(b"1")
    (tmp_path / "other").write_bytes(b"1")
    before = objects.remove_beginning(), sorted(os.listdir(tmp_path))
    (tmp_path / "other").rename(tmp_path / ".lock")

    assert before == (False, [CONFIG, "other"])
    assert (objects.remove_beginning(), os.listdir(tmp_path)) == (True, [".lock"])
    assert not objects.remove_beginning()


@pytest.mark.parametrize(
    ("branch", "snapshots", "answer", "left"),
    [
        (b'{"snapshot":"A"}', ["A"], None, "A"),
        (None, [], None, None),
        (b"", ["1CECHNKREP0F1RSTCMT0"], UNMADE, "1CECHNKREP0F1RSTCMT0"),
        (b"{", ["1CECHNKREP0F1RSTCMT0", "A"], LOST, "A"),
        (b"7", ["A"], LOST, "A"),
        (None, ["A"], LOST, "A"),
    ],
)
def test_a_lost_branch_is_set_to_the_newest_snapshot(
    tmp_path: Path, branch: bytes | None, snapshots: list[str], answer: str | None, left: str | None
) -> None:
    objects = LocalObjects(str(tmp_path))
    (tmp_path / "snapshots").mkdir()
    for name in snapshots:
        (tmp_path / "snapshots" / name).write_bytes(b"1")
    if branch is not None:
        objects.write_branch("main", branch)

    assert restore_ref(objects, "main") == answer
    stored = objects.read_branch("main")
    assert (stored and json.loads(stored)["snapshot"]) == left


# --------------------------------------------------------------------------------------------------------------- guesses


def test_a_repository_with_a_project_is_guessed_with_its_objects(root: CopickRootIcechunk, tmp_path: Path) -> None:
    folder = str(tmp_path / "history")
    assert guess(folder) is None
    root.history_layer.commits.existing()
    assert guess(folder) is None
    picks(root, "TS_1", "alice", 1)
    root.get_object("ribosome").from_numpy(np.ones((4, 4, 4), "f4"), 10.0)

    found = guess(f"file://{folder}")

    assert found == {
        "overlay_root": folder,
        "pickable_objects": [{"name": "ribosome", "is_particle": True, "label": 1}],
    }
    assert copick_core.open({"config_type": "icechunk", **found}).runs[0].name == "TS_1"


def test_a_new_configuration_names_what_differs_from_the_usual() -> None:
    assert new_config() == {"overlay_root": "history"}
    assert new_config("h", {"region": "eu"}, "trial") == {
        "overlay_root": "h",
        "storage_args": {"region": "eu"},
        "branch": "trial",
    }


# ---------------------------------------------------------------------------------------------------------------- errors


def test_errors_of_a_storage_name_the_place_and_conflicts_stay_what_they_are(tmp_path: Path) -> None:
    local, bucket = Place(str(tmp_path)), Place("s3://lab/project")

    with pytest.raises(OSError, match=f"^{tmp_path}: it broke$"), local.failing():
        raise icechunk.IcechunkError("  x it broke\n  more of it")
    with pytest.raises(UnreachableError) as raised, bucket.failing():
        raise icechunk.IcechunkError("  x it broke\n  more of it")
    with pytest.raises(icechunk.ConflictError), local.failing():
        raise icechunk.ConflictError("a", "b")

    assert (raised.value.location, raised.value.reason) == ("s3://lab/project", "it broke")


def fail(*args: Any, **kwargs: Any) -> Any:
    raise icechunk.IcechunkError("broken storage")


async def fail_later(*args: Any, **kwargs: Any) -> Any:
    raise icechunk.IcechunkError("broken storage")


PICKS, TOMOGRAM = PicksKey("TS_1", "ribosome", "alice", "1"), TomogramKey("TS_1", 10.0, "wbp")

#: Calls, and what breaks in the storage while they are made: an attribute of a view, or a function.
BREAKING: dict[str, tuple[str, Callable[[CopickRootIcechunk], Any]]] = {
    "a listing": ("View.tree", lambda root: root.history_layer.list_folder("ExperimentRuns")),
    "a look for a folder": ("View.tree", lambda root: root.history_layer.path_exists("ExperimentRuns/TS_1", folder=True)),
    "a read": ("View.store", lambda root: root.history_layer.read_file("ExperimentRuns/TS_1/Picks/alice_1_ribosome.json")),
    "a version": ("View.store", lambda root: root.history_layer.volume_version(TOMOGRAM)),
    "a new volume": ("volumes.finish", lambda root: fill(root)),
    "a value": ("volumes.root_document", lambda root: value(root, "get", "zarr.json")),
    "a look for a value": ("volumes.Volume._document_of", lambda root: value(root, "exists", "0/c/0/0/0")),
    "a list of values": ("volumes.names_below", lambda root: value(root, "list_prefix", "")),
    "a new value": ("sources.Committed.change", lambda root: value(root, "set", "zarr.json")),
    "a deletion of a value": ("sources.Committed.change", lambda root: value(root, "delete", "0/zarr.json")),
    "a commit": ("commits.Committer._store", lambda root: root.new_run("TS_2")),
    "the end of a transaction": ("commits.Committer._store", lambda root: in_transaction(root)),
    "a commit of a volume": ("commits.Committer._store", lambda root: fill(root)),
    "a log": ("reading.log", lambda root: root.history()),
}


def fill(root: CopickRootIcechunk) -> None:
    with root.history_layer.replace_zarr(TOMOGRAM):
        pass


def in_transaction(root: CopickRootIcechunk) -> None:
    with root.transaction("one"):
        root.new_run("TS_2")


def value(root: CopickRootIcechunk, call: str, name: str) -> Any:
    store = root.history_layer.zarr(TOMOGRAM)

    async def collected() -> list[str]:
        return [found async for found in store.list_prefix(name)]

    if call == "list_prefix":
        return sync(collected())
    data = [default_buffer_prototype().buffer.from_bytes(b'{"zarr_format": 3, "node_type": "group"}')] if call == "set" else []
    return sync(getattr(store, call)(name, *data))


@pytest.mark.parametrize("call", BREAKING)
def test_whatever_breaks_in_a_storage_is_an_error_of_its_place(
    root: CopickRootIcechunk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, call: str
) -> None:
    picks(root, "TS_1", "alice", 1)
    spacing = root.get_run("TS_1").new_voxel_spacing(10.0)
    spacing.new_tomogram("wbp").from_numpy(np.ones((4, 4, 4), "f4"), levels=1)
    what, ask = BREAKING[call]
    if what.startswith("View."):
        monkeypatch.setattr(View, what.removeprefix("View."), property(fail))
    else:
        later = what.split(".")[-1] in ("finish", "root_document", "names_below", "change")
        monkeypatch.setattr(f"copick_backend_icechunk.{what}", fail_later if later else fail)

    with pytest.raises(OSError, match=f"^{tmp_path / 'history'}: broken storage$"):
        ask(root)


def test_a_repository_that_is_gone_says_so(root: CopickRootIcechunk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    commits = root.history_layer.commits
    with pytest.raises(RuntimeError, match="there is no transaction"):
        commits.open_transaction()
    monkeypatch.setattr(commits, "repository", lambda *, create=False: None)
    with pytest.raises(RuntimeError, match=f"the repository at {tmp_path / 'history'} was neither opened nor made"):
        commits.existing()
    monkeypatch.setattr(commits, "existing", lambda: None)
    monkeypatch.setattr(commits.place, "open", lambda *, keeping: None)
    with pytest.raises(RuntimeError, match=f"the repository at {tmp_path / 'history'} is gone"):
        commits.walked()


def test_a_write_to_a_damaged_repository_names_it(root: CopickRootIcechunk, config: dict[str, Any], tmp_path: Path) -> None:
    root.new_run("TS_1")
    root.new_run("TS_2")
    place, newest = tmp_path / "history", root.history()[0].id
    os.unlink(place / "snapshots" / newest)
    damaged = copick_core.open(config)
    with pytest.warns(UserWarning, match="last good one") as told:
        assert [run.name for run in damaged.runs] == ["TS_1"]

    with pytest.raises(InvalidDataError) as raised:
        damaged.new_run("TS_3")

    missing = f"Files of the newest commits of {place} are missing, as after a power cut."
    good = damaged.history_layer.commits.good
    assert str(told[0].message) == (
        f"{missing} The last good one, {good[:8]}, is shown, to be read only. 'copick-core doctor --repair' "
        "goes on from there."
    )
    assert (raised.value.source, raised.value.reason) == (str(place), f"{missing} Run 'copick-core doctor --repair' first")


# ----------------------------------------------------------------------------------------------------------------- people


def test_who_has_no_name_commits_as_unknown(config: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    import getpass

    def nobody() -> str:
        raise OSError("no such user")

    monkeypatch.setattr(getpass, "getuser", nobody)
    del config["user_id"]
    root = copick_core.open(config)
    root.new_run("TS_1")

    assert [(commit.author, commit.message) for commit in root.history()] == [("unknown", "unknown: add run 'TS_1'")]


def test_a_user_who_is_named_commits_under_that_name_also_in_a_stack(config: dict[str, Any], tmp_path: Path) -> None:
    below = {**config, "overlay_root": str(tmp_path / "below")}
    copick_core.open(below).new_run("TS_0")
    stack = copick_core.open({"config_type": "stack", "overlay": config, "static": [below], "user_id": "carol"})

    stack.new_run("TS_1")

    assert messages(copick_core.open(config)) == ["carol: add run 'TS_1'"]
    assert stack.history_layer.place.folder == config["overlay_root"]


WRITES: list[Callable[[CopickRootIcechunk], Any]] = [
    lambda root: root.new_run("TS_9"),
    lambda root: root.new_branch("x"),
    lambda root: root.delete_branch("trial"),
    lambda root: root.new_tag("x"),
    lambda root: root.delete_tag("first"),
    lambda root: root.restore(None, "first"),
    lambda root: root.merge("trial"),
    lambda root: root.expire(root.history()[0].time, dry_run=False),
    lambda root: root.transaction("x").__enter__(),
]


@pytest.mark.parametrize("number", range(len(WRITES)))
def test_a_project_as_it_was_refuses_every_change(root: CopickRootIcechunk, number: int) -> None:
    root.new_run("TS_1")
    root.new_tag("first")
    root.new_branch("trial")
    then = root.as_of("first")

    with pytest.raises(ReadOnlyError):
        WRITES[number](then)

    assert ({*root.branches()}, root.tags(), len(root.history())) == ({"main", "trial"}, {"first": root.history()[0].id}, 1)


@pytest.mark.parametrize(
    ("address", "message"),
    [(None, "restore everything as of first"), ("TS_1/", "restore TS_1/ as of first")],
)
def test_a_restoration_says_what_and_from_when(root: CopickRootIcechunk, address: str | None, message: str) -> None:
    stored = picks(root, "TS_1", "alice", 1)
    root.new_tag("first")
    stored.from_numpy([[9, 0, 0]])

    changes = root.restore(address, "first")

    assert messages(root)[0] == f"alice: {message}"
    assert [str(change) for change in changes] == ["changed picks 'ribosome' of alice/1 in run 'TS_1'"]
    stored.refresh()
    assert stored.numpy()[0][0, 0] == 1


def test_a_place_is_opened_in_the_event_loop_of_zarr_too(tmp_path: Path) -> None:
    async def opened() -> icechunk.Repository | None:
        return Place(str(tmp_path / "project")).open(create=True)

    assert isinstance(sync(opened()), icechunk.Repository)
