"""Replacements and new volumes step by step, in memory: what each step asks for, and what its failures leave."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync

from copick_backend_fs import making, other_writers, replacing
from copick_backend_fs.connection import Connection
from copick_backend_fs.files import PreconditionFailedError, RemoteFiles
from copick_backend_fs.making import Making, NewVolume
from copick_backend_fs.other_writers import OtherWriters
from copick_backend_fs.records import LEASE, UNREADABLE, Record, RecordTakenError, decode
from copick_backend_fs.remote import FsspecLayer
from copick_backend_fs.replacing import Replacement
from copick_core.errors import BeingReplacedError
from copick_core.layers.revisions import FolderTakenError
from copick_core.layers.staged import aside_of
from copick_core.tree.keys import TomogramKey

KEY = TomogramKey("TS_1", 10.0, "wbp")
FOLDER = "ExperimentRuns/TS_1/VoxelSpacing10.000"
RECORD = f"{FOLDER}/.replacing-wbp.zarr"
V2 = {".zgroup": b"{}", ".zattrs": b"{}", "0/.zarray": b"{}", "0/0": b"1", "0/1": b"2"}


class Marking(RemoteFiles):
    """Files in memory, of which some are stored with a mark."""

    async def write_marked(self, live: Any, path: str, data: bytes, mark: str) -> None:
        await self.write(live, path, data)


class Place:
    """A project in memory, and what is asked of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        self.connection = Connection(f"memory://{name}", {})
        self.layer = FsspecLayer("overlay", self.connection)
        self.files = self.connection.live.files
        self.asked: list[str] = []
        self.fails: Callable[[str], Exception | None] = lambda asked: None
        ask = self.connection.ask

        def noting(question: Any, *args: Any, **kwargs: Any) -> Any:
            shown = " ".join(map(self.short, args))
            self.asked.append(f"{question.__name__} {shown}".strip())
            error = self.fails(self.asked[-1])
            if error is not None:
                raise error
            return ask(question, *args, **kwargs)

        monkeypatch.setattr(self.connection, "ask", noting)
        self._ask = ask

    def short(self, value: Any) -> str:
        """Paths without the folder of the volume; everything else is not shown."""
        if isinstance(value, (list, tuple)):
            return ",".join(map(self.short, value))
        if isinstance(value, dict):
            return ",".join(map(self.short, value))
        return value.rpartition("VoxelSpacing10.000/")[2] if isinstance(value, str) and "/" in value else ""

    def at(self, path: str) -> str:
        return self.connection.live.full_path(path)

    def put(self, folder: str, **contents: bytes) -> None:
        for name, data in contents.items():
            self._ask(self.files.write, self.at(f"{FOLDER}/{folder}/{name}"), data)

    def names(self) -> list[str]:
        """Everything below the folder of the volume."""
        return sorted(self._ask(self.files.find, self.at(FOLDER)))

    def replacement(self) -> Replacement:
        return Replacement(self.connection, self.files, self.at(f"{FOLDER}/wbp.zarr"))

    def making(self) -> Making:
        return Making(self.connection, Marking("memory"), self.at(f"{FOLDER}/wbp.zarr"))  # type: ignore[arg-type]

    def stand(self, **fields: Any) -> Record:
        """Let a record stand."""
        record = replace(Record.of_this_process("replace", "staged", ".zgroup"), **fields)
        self._ask(self.files.write, self.at(RECORD), record.encoded())
        return record

    def standing(self) -> Record | None:
        if ".replacing-wbp.zarr" not in self.names():
            return None
        return decode(self._ask(self.files.read, self.at(RECORD)))


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Place:
    monkeypatch.setattr(other_writers, "_PATIENCE", 0.05)
    return Place(monkeypatch, f"records-{abs(hash(request.node.name))}")


ELSEWHERE = {"host": "elsewhere", "renewed": 0.0}

# ------------------------------------------------------------------------------------------------------------- replacing


def test_a_replacement_asks_for_its_steps_in_their_order(place: Place) -> None:
    place.put("wbp.zarr", **V2, **{"1/.zarray": b"{}", "1/0": b"9"})
    place.put("staged", **V2)

    place.replacement().run(place.at(f"{FOLDER}/staged"))

    changes = [asked for asked in place.asked if asked.split()[0] not in ("find", "exists", "read_revised")]
    v = "wbp.zarr"
    assert changes == [
        "write_if .replacing-wbp.zarr",
        f"delete_files {v}/.zattrs",
        f"delete_files {v}/.zgroup,{v}/0/.zarray,{v}/1/.zarray",
        f"copy staged/0/0,{v}/0/0,staged/0/1,{v}/0/1",
        f"delete_files {v}/1/0",
        f"copy staged/0/.zarray,{v}/0/.zarray",
        f"copy staged/.zgroup,{v}/.zgroup",
        f"copy_marked staged/.zattrs {v}/.zattrs",
        "delete_files .replacing-wbp.zarr",
        next(asked for asked in changes if asked.startswith("delete_files staged")),
    ]
    assert place.names() == sorted(f"{v}/{name}" for name in V2)


def test_a_record_says_what_replaces_the_volume(place: Place) -> None:
    place.put("staged", **V2)
    stood: list[Record | None] = []
    place.fails = lambda asked: stood.append(place.standing()) if asked.startswith("copy ") else None  # type: ignore[func-returns-value]

    place.replacement().run(place.at(f"{FOLDER}/staged"))

    (record, *_) = stood
    assert record is not None
    assert (record.staged, record.last, record.kind) == ("staged", ".zattrs", "replace")


def test_a_record_that_cannot_be_deleted_is_told_and_left_to_others(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    place.put("staged", **V2)
    place.fails = lambda asked: PermissionError("no") if asked == "delete_files .replacing-wbp.zarr" else None
    replacement = place.replacement()

    replacement.run(place.at(f"{FOLDER}/staged"))

    record = place.standing()
    assert record is not None
    assert (record.renewed, record.is_abandoned, replacement.began) == (0.0, True, True)
    (told,) = caplog.records
    assert (told.levelno, told.name) == (logging.WARNING, replacing.__name__)
    path = place.at(f"{FOLDER}/wbp.zarr")
    assert told.getMessage() == f"{path} is complete, but {place.at(RECORD)} could not be deleted: no"
    assert "staged/.zgroup" in place.names()
    place.fails = lambda asked: None
    assert place.replacement().finish() is None
    assert place.names() == sorted(f"wbp.zarr/{name}" for name in V2)


def test_what_was_staged_and_cannot_be_deleted_is_told(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    place.put("staged", **V2)
    place.fails = lambda asked: PermissionError("no") if asked.startswith("delete_files staged") else None

    place.replacement().run(place.at(f"{FOLDER}/staged"))

    path = place.at(FOLDER)
    assert caplog.messages == [f"{path}/wbp.zarr is complete, but {path}/staged could not be deleted: no"]
    assert place.standing() is None


@pytest.mark.parametrize("asks_fail", [False, True])
def test_a_failure_is_an_error_if_the_old_volume_is_whole_and_made_up_for_else(place: Place, asks_fail: bool) -> None:
    place.put("wbp.zarr", **V2)
    place.put("staged", **V2)
    failed: list[str] = []

    def fails(asked: str) -> Exception | None:
        if asked.startswith("exists") and failed and asks_fail and len(failed) == 1:
            failed.append(asked)
            return OSError("not now")
        if asked.startswith("delete_files wbp") and not failed:
            failed.append(asked)
            return OSError("no")
        return None

    place.fails = fails
    replacement = place.replacement()

    if asks_fail:
        replacement.run(place.at(f"{FOLDER}/staged"))  # whether it is whole is not known: it is finished
        assert place.names() == sorted(f"wbp.zarr/{name}" for name in V2)
        return
    with pytest.raises(OSError, match="no"):
        replacement.run(place.at(f"{FOLDER}/staged"))
    assert (replacement.began, place.standing()) == (False, None)
    assert [name for name in place.names() if name.startswith("staged")]


def test_who_may_not_take_over_tells_whose_record_stands(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.put("staged", **V2)
    theirs = place.stand(host="elsewhere")

    with pytest.raises(RecordTakenError) as raised:
        place.replacement().run(place.at(f"{FOLDER}/staged"))
    assert raised.value.record == theirs
    place.stand(**ELSEWHERE)
    put = Replacement._put

    def overtaken(self: Replacement, record: Record, revision: Any) -> None:
        if revision is not None:
            raise RecordTakenError(theirs)
        put(self, record, revision)

    monkeypatch.setattr(Replacement, "_put", overtaken)
    assert place.replacement().finish() == theirs


def test_a_replacement_begins_when_that_of_a_dead_writer_is_finished(place: Place) -> None:
    place.put("wbp.zarr", **{"0/0": b"9"})
    place.put("dead", **V2)
    place.put("staged", **{".zgroup": b"{}", "0/7": b"7"})
    place.stand(**ELSEWHERE, staged="dead", last=".zattrs")

    place.replacement().run(place.at(f"{FOLDER}/staged"))

    assert place.names() == ["wbp.zarr/.zgroup", "wbp.zarr/0/7"]
    assert len([asked for asked in place.asked if asked.startswith("copy_marked dead")]) == 1


def test_who_is_overtaken_again_and_again_gives_up(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[Any] = []

    def overtaken(self: Replacement, record: Record, revision: Any) -> None:
        tried.append(revision)
        raise RecordTakenError(None)

    monkeypatch.setattr(Replacement, "_put", overtaken)

    with pytest.raises(RecordTakenError) as raised:
        place.replacement()._take(Record.of_this_process("new"))
    assert (tried, raised.value.record) == ([None] * 3, None)


def test_a_record_that_was_stored_by_a_request_whose_answer_was_lost_is_ones_own(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = Record.of_this_process("new")

    async def refused(live: Any, path: str, data: bytes, expected: Any) -> Any:
        await place.files.write(live, path, data if owner == mine.owner else replace(mine, owner=owner).encoded())
        raise PreconditionFailedError(repeated=True)

    monkeypatch.setattr(place.files, "write_if", refused)
    for owner in (mine.owner, "other"):
        replacement = place.replacement()
        if owner == mine.owner:
            replacement._put(mine, None)
            assert (replacement._record, replacement._revision) == (mine, mine.encoded())
        else:
            with pytest.raises(RecordTakenError) as raised:
                replacement._put(mine, None)
            assert raised.value.record is not None
            assert raised.value.record.owner == "other"


def test_a_replacement_begins_with_its_record(place: Place) -> None:
    with pytest.raises(RuntimeError, match="a replacement begins with its record"):
        place.replacement()._carry_out([])


def test_a_record_that_nobody_can_read_is_of_a_dead_writer(place: Place) -> None:
    place._ask(place.files.write, place.at(RECORD), b"no record")

    found, revision = place.replacement().stored()

    assert (found, revision) == (UNREADABLE, b"no record")
    assert place.replacement().finish() is None
    assert place.names() == []


@pytest.mark.parametrize(
    ("old", "staged", "record", "left"),
    [
        ({".zgroup": b"{}", "0/0": b"9"}, {}, {"last": ".zgroup"}, {".zgroup": b"{}", "0/0": b"9"}),
        ({"0/0": b"9"}, {".zgroup": b"{}", "0/0": b"1"}, {"last": ".zgroup"}, {".zgroup": b"{}", "0/0": b"1"}),
        ({".zgroup": b"{}", "0/0": b"9"}, {".zgroup": b"{}"}, {"last": ".zgroup"}, {".zgroup": b"{}", "0/0": b"9"}),
        ({"0/0": b"9"}, {}, {"last": ".zgroup"}, {"0/0": b"9"}),
        ({".zgroup": b"{}", "0/0": b"9"}, {"0/1": b"1"}, {"last": ""}, {"0/1": b"1"}),
        ({"0/0": b"9"}, {}, {"staged": "", "kind": "new", "last": ""}, {}),
        ({".zgroup": b"{}"}, {}, {"staged": "", "kind": "new", "last": ""}, {".zgroup": b"{}"}),
        ({".zgroup": b"{}"}, {}, {"staged": "", "kind": "new", "last": ".zattrs"}, {}),
        ({".zattrs": b"{}"}, {}, {"staged": "", "kind": "new", "last": ".zattrs"}, {".zattrs": b"{}"}),
    ],
)
def test_what_a_dead_writer_has_left_is_finished_or_removed(
    place: Place, old: dict[str, bytes], staged: dict[str, bytes], record: dict[str, Any], left: dict[str, bytes]
) -> None:
    place.put("wbp.zarr", **old)
    place.put("staged", **staged)
    place.stand(**ELSEWHERE, **record)

    assert place.replacement().finish() is None

    assert place.names() == sorted(f"wbp.zarr/{name}" for name in left)
    for name, data in left.items():
        assert place._ask(place.files.read, place.at(f"{FOLDER}/wbp.zarr/{name}")) == data


# ---------------------------------------------------------------------------------------------------------------- making


def test_a_new_volume_is_stored_with_its_documents_last(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    made = place.making()
    assert made.begin()
    beat = made._beat
    assert (beat.daemon, beat.name, beat.is_alive()) == (True, "copick_record", True)
    record = place.standing()
    assert record is not None
    assert (record.kind, record.staged, record.last, record.is_abandoned) == ("new", "", "", False)
    place.asked.clear()

    made.publish({".zattrs": b"1", ".zgroup": b"2", "0/.zarray": b"3"})

    assert [asked for asked in place.asked if "find" not in asked] == [
        "write_if .replacing-wbp.zarr",
        "write_all wbp.zarr/0/.zarray",
        "write wbp.zarr/.zgroup",
        "write_marked wbp.zarr/.zattrs",
        "delete_files .replacing-wbp.zarr",
    ]
    assert not beat.is_alive()
    assert place.names() == ["wbp.zarr/.zattrs", "wbp.zarr/.zgroup", "wbp.zarr/0/.zarray"]
    assert not place.making().begin()
    assert place.standing() is None


def test_a_maker_that_was_taken_for_dead_neither_renews_nor_publishes_nor_removes(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = place.making()
    made.begin()
    place.put("wbp.zarr", **{"0/0": b"1"})
    assert not made.is_due
    theirs = place.stand(owner="other")

    made.renew()  # not due yet: nobody is asked
    with pytest.raises(RecordTakenError) as raised:
        made.renew(after=0.0)
    with pytest.raises(RecordTakenError) as again:
        made.renew()
    with pytest.raises(RecordTakenError):
        made.publish({".zgroup": b"{}"})
    made.discard()

    assert (raised.value.record, again.value.record, made.is_due) == (theirs, None, True)
    assert place.names() == [".replacing-wbp.zarr", "wbp.zarr/0/0"]


def test_a_maker_finds_out_at_the_end_that_it_was_taken_for_dead(place: Place) -> None:
    made = place.making()
    made.begin()
    place.stand(owner="other")

    with pytest.raises(RecordTakenError):
        made.publish({".zgroup": b"{}"})

    assert made.is_due
    assert place.names() == [".replacing-wbp.zarr"]


@pytest.mark.parametrize("fails", ["", "find", "delete_files"])
def test_what_is_given_up_is_removed_or_left_to_others(place: Place, fails: str) -> None:
    made = place.making()
    made.begin()
    place.put("wbp.zarr", **{"0/0": b"1"})
    place.fails = lambda asked: OSError("no") if fails and asked.startswith(fails) else None

    made.discard()

    record = place.standing()
    assert (record is None) is (fails == "")
    assert place.names() == ([] if fails == "" else [".replacing-wbp.zarr", "wbp.zarr/0/0"])
    assert record is None or record.is_abandoned


def test_a_record_is_due_after_half_of_its_lease_and_renewed_by_itself(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "_RENEWED", 0.01)
    renewed = threading.Event()
    renew, calls = Making.renew, []

    def noting(self: Making, **options: Any) -> None:
        calls.append(options)
        if len(calls) == 1:
            raise OSError("no")
        renew(self, after=0.0)
        renewed.set()

    monkeypatch.setattr(Making, "renew", noting)
    made = place.making()
    made.begin()
    assert renewed.wait(20)
    made._stop()
    assert not made.is_due
    for age, due in ((LEASE / 2 - 5, False), (LEASE / 2 + 5, True)):
        made._record = replace(made._record, renewed=time.time() - age)  # type: ignore[type-var]
        assert made.is_due is due


def test_a_store_that_only_shares_a_new_volume_holds_nothing_back(place: Place) -> None:
    buffer = default_buffer_prototype().buffer.from_bytes
    path = f"{FOLDER}/wbp.zarr"
    made = place.making()
    made.begin()
    store = NewVolume(place.connection, path, making=made, written=set())
    shared = NewVolume(place.connection, path)
    sync(store.set("0/.zarray", buffer(b"12345")))
    sync(store.set("0/0", buffer(b"1")))
    sync(shared.set("1/.zarray", buffer(b"{}")))

    assert {**store.held} == {"0/.zarray": b"12345"}
    assert place.names() == [".replacing-wbp.zarr", "wbp.zarr/0/0", "wbp.zarr/1/.zarray"]
    assert [sync(one.get("0/.zarray")) is None for one in (store, shared)] == [False, True]
    assert [sync(one.get("1/.zarray")) is None for one in (store, shared)] == [True, False]
    assert [sync(store.getsize(name)) for name in ("0/.zarray", "0/0")] == [5, 1]
    assert [sync(store.is_empty(name)) for name in ("0", "1")] == [False, True]
    twin = store.with_read_only(True)
    assert (twin.read_only, twin.held is store.held, twin._making, twin._written is store._written) == (True, True, made, True)
    sync(store.delete("0/.zarray"))
    sync(store.delete("0/0"))
    assert (store.held, store._written) == ({}, set())
    made.discard()


def test_levels_of_a_new_volume_are_listed_from_the_finest(place: Place) -> None:
    held = {f"{level}/.zarray": b"{}" for level in (10, 9, 2, 0)}
    store = NewVolume(place.connection, f"{FOLDER}/wbp.zarr", held=held)

    async def listed(prefix: str) -> list[str]:
        return [name async for name in store.list_dir(prefix)]

    assert (sync(listed("")), sync(listed("10/"))) == (["0", "2", "9", "10"], [".zarray"])


# --------------------------------------------------------------------------------------------------------- other writers


def test_a_volume_that_a_living_writer_replaces_is_waited_for(place: Place) -> None:
    writers = OtherWriters("overlay", place.connection)
    path = f"{FOLDER}/wbp.zarr"
    assert writers.settle(KEY, path, read_only=False) is None
    place.stand()

    for read_only in (False, True):
        with pytest.raises(BeingReplacedError) as raised:
            writers.settle(KEY, path, read_only=read_only)
        error = raised.value
        assert (error.key, error.layer) == (KEY, "overlay")
        assert "cut off" not in str(error)
    dead = place.stand(**ELSEWHERE, since=5.0)
    began = time.monotonic()
    with pytest.raises(BeingReplacedError, match="It was cut off: reading it with a project that may write it"):
        writers.settle(KEY, path, read_only=True)
    assert time.monotonic() - began < 5
    assert writers.settle(KEY, path, read_only=False) == dead
    assert place.standing() is None


def test_a_volume_is_listed_while_it_is_replaced_and_not_while_it_is_made(place: Place) -> None:
    place.stand()
    assert place.layer.list_folder(FOLDER) == {".replacing-wbp.zarr": False, "wbp.zarr": True}
    place.stand(kind="new")
    assert place.layer.list_folder(FOLDER) == {".replacing-wbp.zarr": False}
    place.put("wbp.zarr", **V2)
    listing = {".replacing-wbp.zarr": False}
    place._ask(place.files.delete_files, [place.at(RECORD)])
    OtherWriters("overlay", place.connection).add_replaced(FOLDER, listing)
    assert listing["wbp.zarr"] is True


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize(("kind", "what"), [("replace", "unfinished-replacement"), ("new", "abandoned-new-volume")])
def test_what_a_dead_writer_has_left_is_a_problem_with_a_repair(place: Place, kind: Any, what: str, read_only: bool) -> None:
    writers = OtherWriters("overlay", place.connection)
    record = place.stand(**ELSEWHERE, kind=kind)
    listing = {".replacing-wbp.zarr": False, ".replacing-none.zarr": False, "staged": True}

    found = writers.problems(FOLDER, listing, lambda name: KEY if name == "wbp.zarr" else None, read_only=read_only)

    (problem,) = found.problems
    assert (problem.id, problem.key, problem.severity) == (what, KEY, "error")
    assert problem.place == f"layer 'overlay', {FOLDER}/wbp.zarr"
    assert found.needed == {".replacing-wbp.zarr", record.staged}
    assert (problem.repair is None) is read_only
    if problem.repair is not None:
        begin = "remove what there is of" if kind == "new" else "finish replacing"
        assert problem.repair.description.startswith(f"{begin} {FOLDER}/wbp.zarr")
        problem.repair.apply()
        assert place.standing() is None
    place.stand(host="elsewhere")
    assert writers.problems(FOLDER, listing, lambda name: None, read_only=False).problems == []
    if problem.repair is not None:
        with pytest.raises(RecordTakenError):
            problem.repair.apply()


@pytest.fixture
def renaming(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[OtherWriters, Any]:
    """A place whose server renames folders."""
    monkeypatch.setattr(other_writers, "_PATIENCE", 0.05)
    (tmp_path / "d").mkdir()
    return OtherWriters("overlay", Connection(f"file://{tmp_path}", {"auto_mkdir": True})), tmp_path / "d"


def test_what_lies_aside_is_put_back_by_who_may(renaming: tuple[OtherWriters, Any]) -> None:
    writers, folder = renaming
    old = folder / aside_of("d/v.zarr").rpartition("/")[2]
    assert writers.settle(KEY, "d/v.zarr", read_only=False) is None
    old.mkdir()

    with pytest.raises(BeingReplacedError) as raised:
        writers.settle(KEY, "d/v.zarr", read_only=True)
    found = writers.problems("d", {old.name: True}, lambda name: KEY if name == "v.zarr" else None, read_only=False)

    assert (raised.value.key, raised.value.layer) == (KEY, "overlay")
    assert isinstance(raised.value.__cause__, FolderTakenError)
    (problem,) = found.problems
    assert (problem.id, problem.key, problem.severity) == ("unfinished-replacement", KEY, "error")
    assert problem.repair is not None
    assert (problem.repair.description, found.needed) == ("put back d/v.zarr", {old.name})
    assert writers.problems("d", {old.name: True}, lambda name: None, read_only=True).problems[0].repair is None
    problem.repair.apply()
    assert [path.name for path in folder.iterdir()] == ["v.zarr"]


def test_what_lies_aside_of_a_volume_that_is_there_is_deleted(renaming: tuple[OtherWriters, Any]) -> None:
    writers, folder = renaming
    old = folder / aside_of("d/v.zarr").rpartition("/")[2]
    old.mkdir()
    (folder / "v.zarr").mkdir()

    found = writers.problems("d", {old.name: True, "v.zarr": True}, lambda name: None, read_only=False)
    gone = writers.problems("d", {f"{old.name}x": True}, lambda name: None, read_only=False)

    (problem,) = found.problems
    assert (problem.id, problem.severity) == ("replaced-leftover", "warning")
    assert problem.repair is not None
    assert problem.repair.description == f"delete d/{old.name}"
    assert (gone.problems, gone.needed) == ([], {f"{old.name}x"})
    problem.repair.apply()
    assert [path.name for path in folder.iterdir()] == ["v.zarr"]
    old.mkdir()
    writers.finish(f"d/{old.name}", read_only=False)
    writers.finish(f"d/{old.name}", read_only=False)
    assert [path.name for path in folder.iterdir()] == ["v.zarr"]
