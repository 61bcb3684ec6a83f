"""Files of a share that somebody has open, replaces or deletes: what is tried again, and how often."""

from __future__ import annotations

import asyncio
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from copick_backend_fs import smb
from copick_backend_fs.files import ATTEMPTS, RemoteFiles
from copick_backend_fs.smb import SMBFiles, Turns, _turns_of, _unc


class Share:
    """A share whose client is one of our own, and what is asked of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *errors: Exception) -> None:
        self.errors = [*errors]
        self.asked: list[Any] = []
        self.waited: list[float] = []
        self.there = True
        self.folders: set[str] = set()
        fs = SimpleNamespace(host="lab", _port=4450)
        self.live: Any = SimpleNamespace(fs=fs, slots=asyncio.Semaphore(1))
        self.files = SMBFiles()
        client = SimpleNamespace(replace=self.answer("replace"), scandir=self.answer("scandir"))
        monkeypatch.setitem(sys.modules, "smbclient", client)
        monkeypatch.setattr(smb.asyncio, "sleep", self.sleep)
        monkeypatch.setattr(self.files, "exists", self.exists)

    def answer(self, name: str) -> Any:
        def ask(*args: Any, **options: Any) -> Any:
            self.asked.append((name, *args, options))
            if self.errors:
                raise self.errors.pop(0)
            return [SimpleNamespace(name=one, is_dir=lambda one=one: one == "d") for one in ("a", "d")]

        return ask

    async def sleep(self, seconds: float) -> None:
        self.waited.append(seconds)

    async def exists(self, live: Any, path: str, *, folder: bool) -> bool:
        return path in self.folders if folder else self.there

    async def move(self, *args: Any) -> None:
        self.asked.append(("move", *args[-2:]))
        if self.errors:
            raise self.errors.pop(0)


REPLACE = ("replace", r"\\lab\share\staged", r"\\lab\share\a", {"port": 4450})


@pytest.mark.parametrize("failures", [0, 1, ATTEMPTS - 1])
def test_a_file_that_somebody_has_open_is_replaced_when_it_is_closed(monkeypatch: pytest.MonkeyPatch, failures: int) -> None:
    share = Share(monkeypatch, *[PermissionError("open")] * failures)

    asyncio.run(share.files.move_over(share.live, "/share/staged", "/share/a"))

    assert share.asked == [REPLACE] * (failures + 1)
    assert share.waited == [0.05 * 2**n for n in range(failures)]


@pytest.mark.parametrize(
    ("error", "there", "attempts"),
    [(PermissionError("no"), True, ATTEMPTS), (PermissionError("no"), False, 1), (ConnectionResetError("gone"), True, 1)],
)
def test_a_file_that_cannot_be_replaced_is_an_error(
    monkeypatch: pytest.MonkeyPatch, error: OSError, there: bool, attempts: int
) -> None:
    share = Share(monkeypatch, *[error] * ATTEMPTS)
    share.there = there

    with pytest.raises(type(error)):
        asyncio.run(share.files.move_over(share.live, "/share/staged", "/share/a"))
    assert len(share.asked) == attempts


def test_a_folder_is_moved_over_another_one_as_on_other_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    share, moved = Share(monkeypatch), []
    share.folders.add("/share/staged")

    async def move_over(self: Any, live: Any, staged: str, path: str) -> None:
        moved.append((staged, path))

    monkeypatch.setattr(RemoteFiles, "move_over", move_over)
    asyncio.run(share.files.move_over(share.live, "/share/staged", "/share/v"))

    assert (moved, share.asked) == ([("/share/staged", "/share/v")], [])


@pytest.mark.parametrize(
    ("failures", "error", "there", "attempts"),
    [
        (2, PermissionError("open"), True, 3),
        (ATTEMPTS, PermissionError("open"), True, ATTEMPTS),
        (1, PermissionError("open"), False, 1),
        (1, OSError("no"), True, 1),
    ],
)
def test_what_somebody_has_open_is_moved_when_it_is_closed(
    monkeypatch: pytest.MonkeyPatch, failures: int, error: OSError, there: bool, attempts: int
) -> None:
    share = Share(monkeypatch, *[error] * failures)
    share.there = there
    monkeypatch.setattr(RemoteFiles, "_move", share.move)
    fails = attempts == failures

    if fails:
        with pytest.raises(type(error)):
            asyncio.run(share.files._move(share.live, "/share/a", "/share/b"))
    else:
        asyncio.run(share.files._move(share.live, "/share/a", "/share/b"))

    assert share.asked == [("move", "/share/a", "/share/b")] * attempts
    assert share.waited == [0.05 * 2**n for n in range(attempts - 1)]


@pytest.mark.parametrize("error", [None, FileNotFoundError("none"), NotADirectoryError("a file")])
def test_a_folder_of_a_share_is_listed_by_one_request(monkeypatch: pytest.MonkeyPatch, error: OSError | None) -> None:
    share = Share(monkeypatch, *([] if error is None else [error]))

    found = asyncio.run(share.files.list_folder(share.live, "/share/d"))

    assert found == ({"a": False, "d": True} if error is None else {})
    assert share.asked == [("scandir", r"\\lab\share\d", {"port": 4450})]


def test_a_file_is_one_however_it_is_spelt_and_others_are_others() -> None:
    live: Any = SimpleNamespace(fs=SimpleNamespace(host="lab", _port=445))
    other: Any = SimpleNamespace(fs=SimpleNamespace(host="lab", _port=446))
    turns = _turns_of(live, "/Share/A")

    assert _turns_of(live, "/share/a") is turns
    assert len({id(one) for one in (turns, _turns_of(live, "/share/b"), _turns_of(other, "/share/a"))}) >= 2
    assert _turns_of(other, "/share/a") is not turns
    assert _unc(live, "/share/a/b") == r"\\lab\share\a\b"


def test_a_file_is_replaced_when_the_last_reader_is_done_and_no_reader_begins_meanwhile() -> None:
    async def meet() -> list[str]:
        turns, done = Turns(), []
        first, last = asyncio.Event(), asyncio.Event()

        async def read(name: str, until: asyncio.Event) -> None:
            async with turns.opened():
                await until.wait()
                done.append(name)

        async def replace() -> None:
            async with turns.replaced():
                done.append("replaced")

        readers = [asyncio.create_task(read("one", first)), asyncio.create_task(read("two", last))]
        await asyncio.sleep(0)
        writer = asyncio.create_task(replace())
        await asyncio.sleep(0)
        late = asyncio.create_task(read("late", first))
        first.set()
        for _ in range(5):
            await asyncio.sleep(0)
        done.append("waiting")
        last.set()
        await asyncio.gather(*readers, writer, late)
        return done

    assert asyncio.run(meet()) == ["one", "waiting", "two", "replaced", "late"]
