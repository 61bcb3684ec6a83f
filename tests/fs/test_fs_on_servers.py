"""What is done with the files of a location, on each server and over each library that reaches it."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from zarr.abc.store import RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync

from copick_backend_fs import locks
from copick_backend_fs.buckets import BucketFiles
from copick_backend_fs.files import PreconditionFailedError
from copick_backend_fs.layer import open_layer
from copick_backend_fs.live import Live, is_alive
from copick_backend_fs.locks import PREFIX, LockLostError, Owner, is_abandoned, locked
from copick_backend_fs.volumes import RemoteVolume
from copick_backend_fs.writers import host
from copick_core.layers.revisions import ANY
from copick_core.layers.staged import aside_of
from copick_core.tree.keys import Kind, RunKey
from support.places import KINDS, Servers
from support.servers import MissingServerError

BUCKETS = ["az", "az over adlfs", "s3", "s3 over s3fs"]
RENAMING = ["ssh", "smb"]
DATA = b"0123456789"

# Two minutes of starting servers and asking them, most of which is not waiting.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:unclosed SMB handle:ResourceWarning")]


class Asked:
    """The files of an empty project, asked by name."""

    def __init__(self, layer: Any) -> None:
        self.layer = layer
        self.files = layer._files
        self.connection = layer._connection

    def at(self, path: str) -> str:
        return str(self.layer.full_path(path))

    def __call__(self, name: str, *args: Any, **kwargs: Any) -> Any:
        return self.connection.ask(getattr(self.files, name), *args, **kwargs)

    def put(self, **contents: bytes) -> None:
        for name, data in contents.items():
            self("write", self.at(name.replace("__", "/")), data)

    def read(self, path: str) -> bytes:
        return bytes(self("read", self.at(path)))

    def run(self, question: Callable[[Live], Any]) -> Any:
        return self.connection.ask(question)


@pytest.fixture(params=KINDS)
def asked(request: pytest.FixtureRequest, servers: Servers) -> Iterator[Asked]:
    try:
        place = servers.place(request.param)
    except MissingServerError as error:
        pytest.skip(str(error))
    yield Asked(open_layer("overlay", place.url, place.fs_args, **place.fields))
    gc.collect()  # what is said of handles is said here, and not in tests of other files


def only(*names: str) -> Any:
    return pytest.mark.parametrize("asked", names, indirect=True)


# -------------------------------------------------------------------------------------------------------------- reading


@pytest.mark.parametrize(("start", "end"), [(None, None), (0, 3), (2, 5), (7, None), (-4, None), (-99, None), (8, 99)])
def test_a_file_is_read_whole_and_in_part(asked: Asked, start: int | None, end: int | None) -> None:
    asked.put(d__a=DATA)

    assert asked("read", asked.at("d/a"), start, end) == DATA[slice(start, end)]


def test_what_is_missing_is_missing_however_it_is_asked_for(asked: Asked) -> None:
    asked.put(d__a=DATA)
    missing = asked.at("d/b")

    for question in ("read", "size", "read_versioned", "read_revised"):
        with pytest.raises(FileNotFoundError):
            asked(question, missing)
    assert asked("version", missing) is None
    assert asked("list_folder", missing) == {}
    assert asked("find", missing) == []
    assert not asked("exists", missing, folder=False)
    assert not asked("exists", missing, folder=True)


def test_files_and_folders_are_told_apart(asked: Asked) -> None:
    asked.put(d__a=DATA, d__e__b=b"1", d__e__f__c=b"")
    kinds = {
        path: tuple(asked("exists", asked.at(path), folder=folder) for folder in (False, True)) for path in ("d/a", "d/e")
    }

    assert kinds == {"d/a": (True, False), "d/e": (False, True)}
    assert asked("list_folder", asked.at("d")) == {"a": False, "e": True}
    assert asked("list_folders", [asked.at("d/e"), asked.at("d/none")]) == {
        asked.at("d/e"): {"b": False, "f": True},
        asked.at("d/none"): {},
    }
    assert sorted(asked("find", asked.at("d"))) == ["a", "e/b", "e/f/c"]
    assert [asked("size", asked.at(path)) for path in ("d/a", "d/e/b", "d/e/f/c")] == [10, 1, 0]


def test_names_are_taken_as_they_are(asked: Asked) -> None:
    names = ["a b", "é", "a%20b", "a+b", "x&y"]
    for name in names:
        asked("write", asked.at(f"d/{name}"), name.encode())

    assert sorted(asked("list_folder", asked.at("d"))) == sorted(names)
    assert [asked("read", asked.at(f"d/{name}")).decode() for name in names] == names


def test_a_version_is_another_one_after_each_write(asked: Asked) -> None:
    versions = []
    for number in range(3):
        asked.put(d__a=b"x" * number)
        versions.append(asked("version", asked.at("d/a")))
        assert asked("read_versioned", asked.at("d/a")) == (b"x" * number, versions[-1])

    assert len({*versions}) == 3


def test_a_revision_is_read_with_the_file_and_is_that_of_the_write(asked: Asked) -> None:
    path = asked.at("d/a")
    asked.put(d__other=b"")
    stored = asked("write_if", path, DATA, ANY)

    assert asked("read_revised", path) == (DATA, stored)


def test_a_server_that_answers_is_alive(asked: Asked) -> None:
    assert asked.run(lambda live: is_alive(live, 10))


# -------------------------------------------------------------------------------------------------------------- writing


def test_a_write_is_made_if_what_is_stored_is_what_is_expected(asked: Asked) -> None:
    path = asked.at("d/a")
    asked.put(d__other=b"")
    first = asked("write_if", path, b"1", None)
    with pytest.raises(PreconditionFailedError):
        asked("write_if", path, b"2", None)
    second = asked("write_if", path, b"3", first)
    with pytest.raises(PreconditionFailedError):
        asked("write_if", path, b"4", first)
    with pytest.raises(PreconditionFailedError):
        asked("write_if", asked.at("d/b"), b"4", first)

    assert asked.read("d/a") == b"3"
    assert asked("list_folder", asked.at("d")) == {"a": False, "other": False}
    asked("write_if", path, b"5", ANY)
    assert asked.read("d/a") == b"5"
    assert second != first


def test_an_open_file_is_stored_whole_wherever_it_stands(asked: Asked) -> None:
    content = os.urandom(300_000)
    file = io.BytesIO(content)
    asked.put(d__a=b"old")
    file.seek(1000)

    asked("write_file", asked.at("d/a"), file)

    assert asked.read("d/a") == content
    assert asked("list_folder", asked.at("d")) == {"a": False}


@only(*BUCKETS)
def test_several_files_are_written_and_copied_at_once(asked: Asked) -> None:
    asked("write_all", {asked.at("d/a"): b"1", asked.at("d/b"): b"2"})
    asked.put(e__x=b"")

    asked("copy", [(asked.at(f"d/{name}"), asked.at(f"e/{name}")) for name in "ab"])
    asked("copy_marked", asked.at("d/a"), asked.at("e/m"), "mark")

    assert [asked.read(path) for path in ("d/a", "d/b", "e/a", "e/b", "e/m")] == [b"1", b"2", b"1", b"2", b"1"]
    with pytest.raises(FileNotFoundError):
        asked("copy", [(asked.at("d/none"), asked.at("e/none"))])


def test_files_that_may_be_gone_and_folders_with_all_below_are_deleted(asked: Asked) -> None:
    asked.put(d__a=b"1", d__b=b"2", d__e__zarr_json=b"{}", d__e__c=b"3", f=b"4")
    asked("delete_files", [asked.at("d/a"), asked.at("d/none")])
    left = sorted(asked("find", asked.at("d")))
    asked("delete", asked.at("d"))
    asked("delete", asked.at("f"))

    assert left == ["b", "e/c", "e/zarr_json"]
    assert asked("find", asked.at("d")) == []
    assert not asked("exists", asked.at("f"), folder=False)
    for gone in ("d", "f"):
        with pytest.raises(FileNotFoundError):
            asked("delete", asked.at(gone))


# ------------------------------------------------------------------------------------------------------------- volumes


@pytest.fixture
def store(asked: Asked) -> RemoteVolume:
    asked.put(v__a=DATA, v__b__c=b"1", v__b__d__e=b"2", v__bx=b"3")
    return RemoteVolume(asked.connection, "v")


def listed(names: Any) -> list[str]:
    async def collected() -> list[str]:
        return [name async for name in names]

    return sorted(sync(collected()))


@only("ssh", "az over adlfs", "s3 over s3fs")
def test_the_values_of_a_volume_are_its_files(store: RemoteVolume) -> None:
    prototype = default_buffer_prototype()
    parts = [("a", RangeByteRequest(2, 5)), ("a", SuffixByteRequest(3)), ("none", None), ("b/c", None)]

    found = sync(store.get_partial_values(prototype, parts))  # type: ignore[arg-type]

    assert [value and value.to_bytes() for value in found] == [b"234", b"789", None, b"1"]
    assert (listed(store.list()), listed(store.list_prefix("b"))) == (["a", "b/c", "b/d/e", "bx"], ["b/c", "b/d/e", "bx"])
    assert (listed(store.list_prefix("b/")), listed(store.list_dir("")), listed(store.list_dir("b/"))) == (
        ["b/c", "b/d/e"],
        ["a", "b", "bx"],
        ["c", "d"],
    )
    assert (sync(store.getsize("a")), sync(store.exists("a")), sync(store.exists("b"))) == (10, True, False)
    assert (sync(store.is_empty("b")), sync(store.is_empty("none"))) == (False, True)
    sync(store.delete("a"))
    sync(store.delete("none"))
    sync(store.delete_dir("b"))
    sync(store.delete_dir("none"))
    assert listed(store.list()) == ["bx"]
    sync(store.clear())
    assert listed(store.list()) == []


# -------------------------------------------------------------------------------------------------------------- buckets


@only(*BUCKETS)
def test_revisions_of_objects_are_listed_with_them(asked: Asked, request: pytest.FixtureRequest) -> None:
    asked.put(d__a=b"1", d__b=b"2", d__e__c=b"3")
    revisions = {name: asked("revision", asked.at(f"d/{name}")) for name in ("a", "b", "none")}

    found = asked("revisions_in_all", [asked.at("d"), asked.at("none")])

    assert revisions["none"] is None
    assert revisions["a"] == asked("read_revised", asked.at("d/a"))[1] != revisions["b"]
    del revisions["none"]
    assert found[asked.at("none")] == {}
    assert found[asked.at("d")] in ({}, revisions)
    assert found[asked.at("d")] or asked.connection.protocol == "az"


@only(*BUCKETS)
def test_the_first_names_below_a_folder_are_one_request(asked: Asked) -> None:
    asked.put(d__a=b"1", dx=b"2")

    assert asked("first_below", asked.at("d")) == ["a"]
    assert asked("first_below", asked.at("none")) == []


@only(*BUCKETS)
def test_a_mark_makes_another_version_of_equal_objects(asked: Asked) -> None:
    versions = []
    for mark in ("one", "two"):
        asked("write_marked", asked.at("d/a"), DATA, mark)
        versions.append(asked("version", asked.at("d/a")))
        asked("copy_marked", asked.at("d/a"), asked.at("d/b"), f"{mark} again")
        versions.append(asked("version", asked.at("d/b")))

    assert [version[-1] for version in versions] == ["one", "one again", "two", "two again"]
    assert asked("read_versioned", asked.at("d/b")) == (DATA, versions[-1])
    assert isinstance(asked.files, BucketFiles)
    assert asked.files.keeps_writers_apart


@only(*BUCKETS)
def test_whole_runs_are_listed_by_pages_where_the_server_begins_after_a_name(asked: Asked) -> None:
    runs = [RunKey(f"TS_1{n:02}{end}") for n in range(10) for end in ("", "-b")]
    for run in runs:
        asked.put(**{f"ExperimentRuns__{run.name}__Picks__alice_1_ribosome.json": b"{}"})
    before = asked.layer.requests

    with asked.layer.listing_runs(runs):
        found = asked.layer.list_many(Kind.PICKS, runs)
        after = asked.layer.requests

    assert [key.run for keys in found.values() for key in keys] == [run.name for run in runs]
    assert after - before == (1 if asked.files.lists_after else len(runs))


@only("az", "s3")
def test_a_large_file_is_written_on_condition_and_marked_too(asked: Asked) -> None:
    content = bytes(12 * 2**20)
    asked("write_if", asked.at("d/a"), content, None)
    asked("write_marked", asked.at("d/b"), content, "mark")

    with pytest.raises(PreconditionFailedError):
        asked("write_if", asked.at("d/a"), content, None)
    assert asked("size", asked.at("d/a")) == asked("size", asked.at("d/b")) == len(content)
    assert asked("version", asked.at("d/b"))[-1] == "mark"


@only(*BUCKETS)
def test_a_bucket_that_is_misspelt_is_named(asked: Asked) -> None:
    bucket = "no-such-bucket"
    calls: list[tuple[str, tuple[Any, ...]]] = [
        ("list_folder", ("d",)),
        ("find", ("d",)),
        ("first_below", ("d",)),
        ("exists", ("d",)),
        ("put", ("a", b"1", ANY)),
        ("write_marked", ("a", b"1", "mark")),
        ("write_file", ("a", io.BytesIO(b"1"))),
    ]
    for name, (path, *args) in calls:
        with pytest.raises(FileNotFoundError) as raised:
            _elsewhere(asked, bucket, name, path, *args)
        assert (raised.value.strerror, raised.value.filename) == ("There is no such bucket", bucket), name


def _elsewhere(asked: Asked, bucket: str, name: str, path: str, *args: Any) -> Any:
    """Ask the same server for something of another bucket."""
    url, arguments = asked.connection.url, asked.connection._args
    elsewhere = url.replace("://lab/", f"://{bucket}/")
    layer = open_layer(
        "overlay", elsewhere, arguments, **({} if type(asked.connection).__name__ == "StoreConnection" else {"obstore": False})
    )
    options = {"folder": True} if name == "exists" else {}
    return layer._connection.ask(getattr(layer._files, name), layer.full_path(path), *args, **options)


# ------------------------------------------------------------------------------------------- servers that rename and lock


@only(*RENAMING)
def test_a_file_is_created_once(asked: Asked) -> None:
    asked.put(d__other=b"")

    assert asked("create", asked.at("d/a"), b"1")
    assert not asked("create", asked.at("d/a"), b"2")
    assert asked.read("d/a") == b"1"


@only(*RENAMING)
def test_a_refused_replacement_leaves_the_old_file_and_nothing_beside_it(asked: Asked) -> None:
    asked.put(d__a=b"old")

    async def refuse() -> None:
        raise KeyError

    with pytest.raises(KeyError):
        asked("replace", asked.at("d/a"), b"new", Owner(), refuse)
    after_refusal = asked("list_folder", asked.at("d"))
    asked("replace", asked.at("d/a"), b"new", Owner())

    assert after_refusal == asked("list_folder", asked.at("d")) == {"a": False}
    assert asked.read("d/a") == b"new"


@only(*RENAMING)
def test_a_refusal_of_the_last_moment_leaves_the_old_file_and_nothing_beside_it(asked: Asked) -> None:
    asked.put(d__a=b"old")
    looked = []

    async def refuse_late() -> None:
        looked.append(1)
        if len(looked) > 1:
            raise KeyError

    with pytest.raises(KeyError):
        asked("replace", asked.at("d/a"), b"new", Owner(), refuse_late)

    assert asked("list_folder", asked.at("d")) == {"a": False}
    assert asked.read("d/a") == b"old"


@only(*RENAMING)
def test_a_file_and_a_folder_are_moved_over_another_one(asked: Asked) -> None:
    asked.put(d__a=b"old", d__b=b"new", d__old_zarr__x=b"1", d__new__y=b"2")

    asked("move_over", asked.at("d/b"), asked.at("d/a"))
    asked("move_over", asked.at("d/new"), asked.at("d/old_zarr"))
    asked("move_over", asked.at("d/old_zarr"), asked.at("d/moved"))

    assert asked.read("d/a") == b"new"
    assert asked("list_folder", asked.at("d")) == {"a": False, "moved": True}
    assert asked("find", asked.at("d/moved")) == ["y"]


@only(*RENAMING)
def test_what_lies_aside_is_put_back_or_deleted(asked: Asked) -> None:
    place = asked.at("d/v.zarr")
    asked("write", f"{aside_of(place)}/x", b"1")

    asked("put_back", place)
    back = asked("find", place)
    asked("write", f"{aside_of(place)}/x", b"2")
    asked("put_back", place)

    assert back == asked("find", place) == ["x"]
    assert asked.read("d/v.zarr/x") == b"1"
    assert asked("list_folder", asked.at("d")) == {"v.zarr": True}


@only(*RENAMING)
def test_a_volume_that_lies_aside_goes_with_the_one_in_its_place(asked: Asked) -> None:
    place = asked.at("d/v.zarr")
    asked("write", f"{aside_of(place)}/x", b"1")
    asked("write", f"{place}/x", b"2")

    asked("delete", place)

    assert asked("list_folder", asked.at("d")) == {}


@only(*RENAMING)
def test_a_staged_folder_is_swapped_in_and_again_does_no_harm(asked: Asked) -> None:
    asked.put(d__v__x=b"1", d__staged__y=b"2")

    asked("swap", asked.at("d/staged"), asked.at("d/v"), again=False)
    asked("swap", asked.at("d/staged"), asked.at("d/v"), again=True)
    swapped = asked("find", asked.at("d/v"))
    asked("swap", asked.at("d/empty"), asked.at("d/v"), again=False)

    assert swapped == ["y"]
    assert asked("list_folder", asked.at("d")) == {"v": True}
    assert asked("find", asked.at("d/v")) == []


@only(*RENAMING)
def test_a_volume_that_replaces_an_equal_one_has_another_version(asked: Asked) -> None:
    asked.put(d__v__zarr_json=b"")
    for folder in ("v", "staged"):
        asked("write", asked.at(f"d/{folder}/zarr.json"), b"{}")
    before = asked("version", asked.at("d/v/zarr.json"))

    asked("swap", asked.at("d/staged"), asked.at("d/v"), again=False)

    assert asked("version", asked.at("d/v/zarr.json")) != before


# ---------------------------------------------------------------------------------------------------------------- locks


def dead_mark() -> bytes:
    """What the lock of a process of this machine says that has ended."""
    return json.dumps(["x", host(), 2**22 + 1, "1"]).encode()


@only("ssh")
def test_a_lock_is_held_by_one_writer_after_the_other(asked: Asked) -> None:
    asked.put(d__a=b"")
    order = []

    async def write(live: Live, name: str, owner: Owner) -> None:
        async with locked(live, asked.at("d/a"), owner, asked.files.create) as lock:
            order.append(f"{name} in")
            assert await locks._read(live, asked.at(f"d/{PREFIX}a")) == owner.mark
            await lock.check()
            await asyncio.sleep(0.05)
            order.append(f"{name} out")

    async def both(live: Live) -> None:
        await asyncio.gather(write(live, "one", Owner()), write(live, "other", Owner()))

    asked.run(both)

    assert [word.split()[1] for word in order] == ["in", "out"] * 2
    assert asked("list_folder", asked.at("d")) == {"a": False}


@only("ssh")
def test_a_lock_is_given_up_after_an_error(asked: Asked) -> None:
    asked.put(d__a=b"")

    async def fail(live: Live) -> None:
        async with locked(live, asked.at("d/a"), Owner(), asked.files.create):
            raise KeyError

    with pytest.raises(KeyError):
        asked.run(fail)

    assert asked("list_folder", asked.at("d")) == {"a": False}


@only(*RENAMING)
def test_the_lock_of_a_dead_writer_is_taken_over_at_once(asked: Asked) -> None:
    asked.put(d__a=b"")
    asked("write", asked.at(f"d/{PREFIX}a"), dead_mark())
    began = time.monotonic()

    async def take(live: Live) -> Any:
        async with locked(live, asked.at("d/a"), Owner(), asked.files.create) as lock:
            await lock.check()
            return lock

    assert asked.run(take).taken_over
    assert time.monotonic() - began < 5
    assert asked("list_folder", asked.at("d")) == {"a": False}


@only("ssh")
def test_a_lock_that_nobody_changes_is_taken_over_after_its_lease(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "LEASE", 0.3)
    asked.put(d__a=b"")
    asked("write", asked.at(f"d/{PREFIX}a"), b"of another machine")
    began = time.monotonic()

    async def take(live: Live) -> Any:
        async with locked(live, asked.at("d/a"), Owner(), asked.files.create) as lock:
            return lock

    assert asked.run(take).taken_over
    assert time.monotonic() - began > 0.3
    assert asked("list_folder", asked.at("d")) == {"a": False}


@only("ssh")
def test_who_waits_too_long_for_a_lock_gives_up(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "_PATIENCE", 0.2)
    asked.put(d__a=b"")
    asked("write", asked.at(f"d/{PREFIX}a"), b"of another machine")

    async def take(live: Live) -> None:
        async with locked(live, asked.at("d/a"), Owner(), asked.files.create):
            pass

    with pytest.raises(LockLostError):
        asked.run(take)
    assert asked.read(f"d/{PREFIX}a") == b"of another machine"


@only("ssh")
def test_who_was_cut_off_while_it_took_a_lock_has_it(asked: Asked) -> None:
    asked.put(d__a=b"")
    owner = Owner()
    asked("write", asked.at(f"d/{PREFIX}a"), owner.mark)

    async def take(live: Live) -> Any:
        async with locked(live, asked.at("d/a"), owner, asked.files.create) as lock:
            return lock

    assert not asked.run(take).taken_over
    assert asked("list_folder", asked.at("d")) == {"a": False}


@only("ssh")
def test_a_lock_that_was_taken_over_is_noticed_before_anything_is_replaced(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked.put(d__a=b"")
    seen = []

    async def overtaken(live: Live) -> None:
        async with locked(live, asked.at("d/a"), Owner(), asked.files.create) as lock:
            await asked.files.write(live, asked.at(f"d/{PREFIX}a"), b"of another writer")
            await lock.check()  # half of the lease is not over: nobody can have taken it
            seen.append("early")
            monkeypatch.setattr(locks, "LEASE", 0.0)
            await lock.check()

    with pytest.raises(LockLostError):
        asked.run(overtaken)
    assert seen == ["early"]
    assert asked.read(f"d/{PREFIX}a") == b"of another writer"


@only("ssh")
def test_a_lock_that_another_one_has_taken_over_just_before_is_given_back(asked: Asked) -> None:
    asked.put(d__a=b"")
    place = asked.at(f"d/{PREFIX}a")
    asked("write", place, b"of a new writer")

    asked.run(lambda live: locks._take_away(live, place, b"of a dead writer"))
    asked.run(lambda live: locks._take_away(live, asked.at("d/none"), b"of a dead writer"))
    left = asked("list_folder", asked.at("d"))
    asked.run(lambda live: locks._take_away(live, place, b"of a new writer"))

    assert left == {"a": False, f"{PREFIX}a": False}
    assert asked("list_folder", asked.at("d")) == {"a": False}


@only(*RENAMING)
def test_only_the_lock_of_a_dead_writer_is_swept(asked: Asked) -> None:
    asked.put(d__a=b"")
    left = []
    for mark in (Owner().mark, b"of another machine", dead_mark()):
        asked("write", asked.at(f"d/{PREFIX}a"), mark)
        asked("remove_dead_lock", asked.at(f"d/{PREFIX}a"))
        left.append(len(asked("list_folder", asked.at("d"))))
    asked("remove_dead_lock", asked.at(f"d/{PREFIX}a"))

    assert left == [2, 2, 1]


@pytest.mark.parametrize("mark", [b"", b"{}", b"[]", b"[1, 2, 3]", b'["x", "y", "z", "1"]', b"\xff", b"null"])
def test_a_mark_that_nobody_can_read_is_of_no_dead_writer(mark: bytes) -> None:
    assert not is_abandoned(mark)
    assert is_abandoned(dead_mark())
