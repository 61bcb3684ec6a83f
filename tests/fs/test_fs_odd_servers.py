"""What servers seldom do: refuse without a reason, list more than was asked for, or hold what nobody expects."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from copick_backend_fs import locks
from copick_backend_fs.connection import Connection
from copick_backend_fs.files import ATTEMPTS, RemoteFiles, _renames, _whole_folders
from copick_backend_fs.live import Live, hang_up
from copick_backend_fs.locks import Lock, LockLostError, locked
from copick_backend_fs.smb import refused_part
from copick_core.layers.staged import aside_of


@pytest.fixture
def live(tmp_path: Path) -> Live:
    return live_of(tmp_path, "file")


def live_of(folder: Path, protocol: str) -> Live:
    """Local files, as those of a server of a protocol."""
    found = Connection(f"file://{folder}", {"auto_mkdir": True}).live
    return Live(found.fs, found.root, found.slots, RemoteFiles(protocol), found.pid)


def refusing(error: Exception, tried: list[Any], *, first: Callable[[], object] = lambda: None) -> Callable[..., Any]:
    """A function that takes note of its call, does something, and fails."""

    def call(*args: Any, **kwargs: Any) -> Any:
        tried.append(args)
        first()
        raise error

    return call


# ------------------------------------------------------------------------------------------------------------- creating


def test_what_a_server_does_not_create_for_no_reason_is_tried_again_and_then_an_error(
    live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[Any] = []
    monkeypatch.setattr(live.fs, "open", refusing(OSError("failure"), tried))

    with pytest.raises(OSError, match="failure"):
        asyncio.run(live.files.create(live, str(tmp_path / "a"), b"1"))

    assert tried == [(str(tmp_path / "a"), "xb")] * ATTEMPTS


def test_what_a_server_does_not_create_and_is_there_was_created_by_somebody_else(
    live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[Any] = []
    failing = refusing(OSError("failure"), tried, first=lambda: (tmp_path / "a").write_bytes(b"theirs"))
    monkeypatch.setattr(live.fs, "open", failing)

    assert not asyncio.run(live.files.create(live, str(tmp_path / "a"), b"1"))
    assert len(tried) == 1


def test_nothing_is_created_again_over_a_broken_connection(
    live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[Any] = []
    monkeypatch.setattr(live.fs, "open", refusing(ConnectionResetError("gone"), tried))

    with pytest.raises(ConnectionResetError):
        asyncio.run(live.files.create(live, str(tmp_path / "a"), b"1"))
    assert len(tried) == 1


def test_a_file_is_created_once_and_paramiko_is_told_to_write_it(live: Live, tmp_path: Path) -> None:
    class SFTPFileSystem:
        """The name is what counts."""

        async_impl = False

        def __init__(self) -> None:
            self.modes: list[str] = []

        def open(self, path: str, mode: str) -> Any:
            self.modes.append(mode)
            return open(path, mode.replace("w", ""))

    other = Live(SFTPFileSystem(), live.root, live.slots, live.files, live.pid)

    assert asyncio.run(live.files.create(live, str(tmp_path / "a"), b"1"))
    assert not asyncio.run(live.files.create(live, str(tmp_path / "a"), b"2"))
    assert asyncio.run(live.files.create(other, str(tmp_path / "b"), b"3"))
    assert other.fs.modes == ["wxb"]
    assert [(tmp_path / name).read_bytes() for name in "ab"] == [b"1", b"3"]


# -------------------------------------------------------------------------------------------------------------- reading


@pytest.mark.parametrize(("protocol", "name"), [("file", "a%20b"), ("https", "a b")])
def test_a_listing_has_no_entry_for_its_folder_and_names_as_they_are_shown(tmp_path: Path, protocol: str, name: str) -> None:
    live = live_of(tmp_path, protocol)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"")
    entries = [
        {"name": f"{tmp_path}/", "type": "directory"},
        {"name": f"{tmp_path}/a%20b", "type": "file"},
        {"name": f"{tmp_path}/sub/", "type": "directory"},
        {"name": f"{tmp_path}/folder", "type": "link"},
        {"name": f"{tmp_path}/file", "type": "directory", "islink": True},
    ]
    live.fs.ls = lambda path, detail: entries if detail else None

    found = asyncio.run(live.files.list_folder(live, str(tmp_path)))

    assert found == {name: False, "sub": True, "folder": True, "file": False}


def test_files_below_a_missing_folder_are_none(live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live.fs, "find", refusing(FileNotFoundError("none"), []))

    assert asyncio.run(live.files.find(live, str(tmp_path / "none"))) == []


@pytest.mark.parametrize(
    ("protocol", "error", "raised"),
    [
        ("sftp", OSError("failure"), IsADirectoryError),
        ("ssh", OSError("failure"), IsADirectoryError),
        ("memory", OSError("failure"), OSError),
        ("sftp", ConnectionResetError("gone"), ConnectionResetError),
        ("zip", KeyError("d"), FileNotFoundError),
    ],
)
def test_a_folder_that_is_read_as_a_file_is_told_apart_over_ssh(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: str, error: Exception, raised: type[Exception]
) -> None:
    live = live_of(tmp_path, protocol)
    (tmp_path / "d").mkdir()
    monkeypatch.setattr(live.fs, "cat_file", refusing(error, []))

    with pytest.raises(raised) as found:
        asyncio.run(live.files.read(live, str(tmp_path / "d")))

    assert type(found.value) is raised
    if raised in (IsADirectoryError, FileNotFoundError):
        assert isinstance(found.value, OSError)
        number = {IsADirectoryError: errno.EISDIR, FileNotFoundError: errno.ENOENT}[raised]
        assert (found.value.errno, found.value.strerror) == (number, os.strerror(number))
        assert found.value.filename == str(tmp_path / "d")


def test_what_is_no_folder_and_cannot_be_read_over_ssh_fails_as_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = live_of(tmp_path, "ssh")
    monkeypatch.setattr(live.fs, "cat_file", refusing(OSError("failure"), []))

    with pytest.raises(OSError, match="failure"):
        asyncio.run(live.files.read(live, str(tmp_path / "none")))


@pytest.mark.parametrize(("status", "answer"), [(404, False), (410, False), (403, PermissionError), (500, ValueError)])
def test_a_web_server_says_that_there_is_nothing_only_by_saying_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, answer: Any
) -> None:
    cause: Any = ValueError("refused")
    cause.status, cause.request_info = status, SimpleNamespace(real_url="http://lab/a")
    missing = FileNotFoundError("a")
    missing.__cause__ = cause
    live = live_of(tmp_path, "http")
    monkeypatch.setattr(live.fs, "info", refusing(missing, []))

    if answer is False:
        assert not asyncio.run(live.files.exists(live, "a", folder=False))
        return
    with pytest.raises(answer):
        asyncio.run(live.files.exists(live, "a", folder=False))
    assert not asyncio.run(live_of(tmp_path, "file").files.exists(live, "a", folder=False))


@pytest.mark.parametrize("folder", [False, True])
def test_whatever_a_web_server_has_is_there_as_a_file_and_as_a_folder(tmp_path: Path, folder: bool) -> None:
    (tmp_path / "a").write_bytes(b"")

    there = [asyncio.run(one.files.exists(one, str(tmp_path / "a"), folder=folder)) for one in _both(tmp_path)]

    assert there == [not folder, True]


def _both(folder: Path) -> list[Live]:
    return [live_of(folder, protocol) for protocol in ("file", "http")]


# --------------------------------------------------------------------------------------------------------------- moving


def folders(tmp_path: Path, *names: str) -> None:
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / name.strip(".")).write_bytes(b"")


def moving_fails_once(monkeypatch: pytest.MonkeyPatch, error: Exception, first: Callable[[], object] = lambda: None) -> None:
    """Let the first move fail, after something else has happened."""
    move, moved = RemoteFiles._move, []

    async def moving(self: Any, live: Live, source: str, target: str) -> None:
        moved.append(source)
        if len(moved) == 1:
            first()
            raise error
        await move(self, live, source, target)

    monkeypatch.setattr(RemoteFiles, "_move", moving)


def test_what_was_moved_aside_before_gives_way(live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders(tmp_path, "v", "old")
    moving_fails_once(monkeypatch, OSError("failure"))

    asyncio.run(live.files._move_aside(live, str(tmp_path / "v"), str(tmp_path / "old")))

    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")) == ["old", "old/v"]


@pytest.mark.parametrize(
    ("names", "error"), [(["v"], OSError("no")), (["old"], OSError("no")), (["v", "old"], ConnectionResetError("no"))]
)
def test_what_cannot_be_moved_aside_for_another_reason_is_an_error(
    live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str], error: Exception
) -> None:
    folders(tmp_path, *names)
    moving_fails_once(monkeypatch, error)

    with pytest.raises(type(error), match="no"):
        asyncio.run(live.files._move_aside(live, str(tmp_path / "v"), str(tmp_path / "old")))

    assert sorted(os.listdir(tmp_path)) == sorted(names)


def test_a_volume_that_somebody_else_puts_back_meanwhile_stays(
    live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = str(tmp_path / "v")
    folders(tmp_path, Path(aside_of(place)).name)
    moving_fails_once(monkeypatch, OSError("failure"), first=lambda: folders(tmp_path, "v"))

    asyncio.run(live.files.put_back(live, place))

    assert os.listdir(tmp_path) == ["v"]


@pytest.mark.parametrize("error", [OSError("no"), ConnectionResetError("no")])
def test_a_volume_that_cannot_be_put_back_stays_aside(
    live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    place = str(tmp_path / "v")
    folders(tmp_path, Path(aside_of(place)).name)
    broken = isinstance(error, ConnectionError)
    moving_fails_once(monkeypatch, error, first=lambda: folders(tmp_path, "v") if broken else None)

    with pytest.raises(type(error), match="no"):
        asyncio.run(live.files.put_back(live, place))

    assert os.path.isdir(aside_of(place))


def test_a_file_system_that_renames_by_itself_is_told_from_one_that_copies(live: Live) -> None:
    from fsspec import AbstractFileSystem
    from fsspec.implementations.memory import MemoryFileSystem

    class Whole(AbstractFileSystem):
        def mv(self, path1: str, path2: str, recursive: bool = False) -> None:
            """Moves what is in a folder only when it is told to."""

    class Asynchronous:
        async_impl = True

        async def _mv(self, path1: str, path2: str) -> None:
            """Moves."""

    assert [_renames(fs) for fs in (live.fs, MemoryFileSystem(), Asynchronous())] == [True, False, True]  # type: ignore[arg-type]
    assert _whole_folders(Whole()) == {"recursive": True}
    assert _whole_folders(Asynchronous()) == {}  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------------------- deleting


def test_a_folder_that_is_nothing_but_a_name_is_deleted_with_all_its_files(tmp_path: Path) -> None:
    live = live_of(tmp_path, "gs")
    folders(tmp_path, "v", "w")

    asyncio.run(live.files.delete(live, str(tmp_path / "v")))

    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["w"]


def test_a_folder_in_memory_is_deleted_and_what_is_missing_is_an_error() -> None:
    live = Connection("memory://odd", {}).live
    asyncio.run(live.files.write(live, "/odd/d/a", b"1"))

    asyncio.run(live.files.delete(live, "/odd/d"))

    assert not asyncio.run(live.files.exists(live, "/odd/d", folder=True))
    with pytest.raises(FileNotFoundError):
        asyncio.run(live.files.delete(live, "/odd/d"))


# ---------------------------------------------------------------------------------------------------------------- locks


def test_a_lock_that_cannot_be_taken_away_is_left_and_a_broken_connection_is_told(
    live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lock").write_bytes(b"dead")
    tried: list[Any] = []
    for error in (PermissionError("no"), ConnectionResetError("gone")):
        monkeypatch.setattr(type(live.fs), "mv", refusing(error, tried))
        if isinstance(error, ConnectionError):
            with pytest.raises(ConnectionResetError):
                asyncio.run(locks._take_away(live, str(tmp_path / "lock"), b"dead"))
        else:
            asyncio.run(locks._take_away(live, str(tmp_path / "lock"), b"dead"))

    assert len(tried) == 2
    assert (tmp_path / "lock").read_bytes() == b"dead"


@pytest.mark.parametrize(
    ("error", "said"),
    [(FileNotFoundError(), None), (PermissionError("open elsewhere"), b""), (ConnectionResetError(), ConnectionResetError)],
)
def test_a_lock_that_cannot_be_read_is_gone_or_being_written(
    live: Live, monkeypatch: pytest.MonkeyPatch, error: Exception, said: Any
) -> None:
    monkeypatch.setattr(live.fs, "cat_file", refusing(error, []))

    if isinstance(said, type):
        with pytest.raises(said):
            asyncio.run(locks._read(live, "lock"))
    else:
        assert asyncio.run(locks._read(live, "lock")) == said


@pytest.mark.parametrize(("taken_over", "age", "asks"), [(False, 0.45, False), (True, 0, True), (False, 0.55, True)])
def test_a_lock_is_asked_for_again_if_it_is_doubtful(
    live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken_over: bool, age: float, asks: bool
) -> None:
    (tmp_path / "lock").write_bytes(b"theirs")
    monkeypatch.setattr(locks.time, "monotonic", lambda: 100.0)
    lock = Lock(live, str(tmp_path / "lock"), b"mine", 100.0 - age * locks.LEASE, taken_over)

    if asks:
        with pytest.raises(LockLostError):
            asyncio.run(lock.check())
        (tmp_path / "lock").write_bytes(b"mine")
    asyncio.run(lock.check())


@pytest.mark.parametrize(("age", "theirs", "left"), [(0.45, True, False), (0.55, True, True), (0.55, False, False)])
def test_a_lock_that_was_held_too_long_is_removed_only_if_it_still_is_its_owners(
    live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, age: float, theirs: bool, left: bool
) -> None:
    place = tmp_path / f"{locks.PREFIX}a"
    now = [100.0]
    monkeypatch.setattr(locks.time, "monotonic", lambda: now[0])

    async def hold() -> None:
        async with locked(live, str(tmp_path / "a"), locks.Owner(), live.files.create) as lock:
            assert not lock.taken_over
            now[0] += age * locks.LEASE
            if theirs:
                place.write_bytes(b"theirs")

    asyncio.run(hold())

    assert place.exists() is left


def test_a_lock_that_is_gone_when_it_is_given_up_is_no_error(live: Live, tmp_path: Path) -> None:
    async def hold() -> None:
        async with locked(live, str(tmp_path / "a"), locks.Owner(), live.files.create):
            (tmp_path / f"{locks.PREFIX}a").unlink()

    asyncio.run(hold())

    assert os.listdir(tmp_path) == []


class Waiting:
    """Takes the lock that others hold; the time is that of those who wait."""

    def __init__(self, live: Live, folder: Path, monkeypatch: pytest.MonkeyPatch, *marks: bytes) -> None:
        self.place = folder / "lock"
        self.place.write_bytes(marks[0])
        self.live, self.now, self.marks = live, 100.0, [*marks]
        monkeypatch.setattr(locks.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(locks.asyncio, "sleep", self.sleep)

    async def sleep(self, seconds: float) -> None:
        assert 0.005 <= seconds <= 0.03
        self.now += 1.0
        self.marks = [*self.marks[1:], self.marks[0]]
        self.place.write_bytes(self.marks[0])

    def take(self, mark: bytes = b"mine") -> bool:
        return asyncio.run(locks._take(self.live, str(self.place), mark, self.live.files.create))


def test_a_lock_that_nobody_changes_for_its_lease_is_taken_over(
    live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = Waiting(live, tmp_path, monkeypatch, b"theirs")

    assert waiting.take()
    assert waiting.now == 100.0 + locks.LEASE + 1
    assert waiting.place.read_bytes() == b"mine"
    assert os.listdir(tmp_path) == ["lock"]


def test_a_lock_that_writers_change_is_waited_for_and_then_given_up(
    live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = Waiting(live, tmp_path, monkeypatch, b"one", b"other")

    with pytest.raises(LockLostError):
        waiting.take()
    assert waiting.now == 100.0 + locks._PATIENCE + 1


def test_the_lock_of_a_process_that_has_ended_is_taken_over_at_once_and_its_own_is_held(
    live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = json.dumps(["x", locks.host(), 2**22 + 1, "1"]).encode()
    taken_over = Waiting(live, tmp_path, monkeypatch, dead)
    assert taken_over.take()
    assert (taken_over.now, taken_over.place.read_bytes()) == (100.0, b"mine")

    assert not Waiting(live, tmp_path, monkeypatch, b"mine").take()


def test_a_mark_says_who_holds_a_lock_and_no_two_are_equal() -> None:
    one, other = locks.Owner().mark, locks.Owner().mark

    assert one != other
    assert json.loads(one)[1:] == json.loads(other)[1:] == [locks.host(), os.getpid(), locks.started(os.getpid())]


@pytest.mark.parametrize(
    ("path", "refused"),
    [
        ("a/b c/d.json", None),
        ("a/b:c", "b:c"),
        ("a/ b", " b"),
        ("a/b /c", "b "),
        ("a./b", "a."),
        ("a/b\\c", "b\\c"),
        ("a/b\x1f", "b\x1f"),
        *((f"a{sign}", f"a{sign}") for sign in '<>"|?*'),
    ],
)
def test_a_name_that_a_share_does_not_take_is_found(path: str, refused: str | None) -> None:
    assert refused_part(path) == refused


# ----------------------------------------------------------------------------------------------------------- hanging up


def test_the_session_of_a_share_is_ended_as_whoever_opened_it(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()
    asked: list[Any] = []

    class SMBFileSystem:
        """The name is what counts."""

        host, username, password, _port = "lab", "me", "hush", 4450

    def disconnect(*, close: bool) -> None:
        asked.append(close)
        ended.set()

    def register_session(host: str, **options: Any) -> Any:
        asked.append((host, options))
        return SimpleNamespace(connection=SimpleNamespace(disconnect=disconnect))

    monkeypatch.setitem(sys.modules, "smbclient", SimpleNamespace(register_session=register_session))

    hang_up(SimpleNamespace(fs=SMBFileSystem()))  # type: ignore[arg-type]

    assert ended.wait(20)
    assert asked == [("lab", {"username": "me", "password": "hush", "port": 4450}), False]
