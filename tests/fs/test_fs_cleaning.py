"""What is cleaned up after a failure, and that cleaning up never hides what failed."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from copick_backend_fs import files as of_files
from copick_backend_fs import s3
from copick_backend_fs.connection import Connection
from copick_backend_fs.files import RemoteFiles, _read_part, _stream
from copick_backend_fs.leftovers import partial_files
from copick_backend_fs.live import Live
from copick_backend_fs.locks import Owner
from copick_backend_fs.s3 import S3Files
from copick_core.layers.staged import aside_of


@pytest.fixture
def live(tmp_path: Path) -> Live:
    """Local files, as those of a server that renames."""
    return Connection(f"file://{tmp_path}", {"auto_mkdir": True}).live


def failing(error: Exception, *, before: int = 0) -> Callable[..., Awaitable[Any]]:
    """A function that fails, after it has been called some times."""
    calls = []

    async def call(*args: Any, **kwargs: Any) -> None:
        calls.append(args)
        if len(calls) > before:
            raise error

    return call


@pytest.mark.parametrize("cleaning_fails", [False, True])
@pytest.mark.parametrize("way", ["write_file", "replace"])
def test_what_was_staged_is_removed_and_the_first_failure_is_raised(
    live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, cleaning_fails: bool
) -> None:
    (tmp_path / "a").write_bytes(b"old")
    monkeypatch.setattr(live.files, "move_over", failing(KeyError("moving")))
    if cleaning_fails:

        def refuse(path: str) -> None:
            raise PermissionError(path)

        monkeypatch.setattr(live.fs, "rm_file", refuse)
    path = str(tmp_path / "a")
    call = (
        live.files.write_file(live, path, io.BytesIO(b"new"))
        if way == "write_file"
        else live.files.replace(live, path, b"new", Owner())
    )

    with pytest.raises(KeyError, match="moving"):
        asyncio.run(call)

    assert (tmp_path / "a").read_bytes() == b"old"
    assert len(os.listdir(tmp_path)) == (2 if cleaning_fails else 1)


@pytest.mark.parametrize("back_fails", [False, True])
def test_a_folder_that_was_moved_aside_comes_back_if_the_new_one_cannot_be_moved(
    live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, back_fails: bool
) -> None:
    for name in ("v", "staged"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_bytes(b"")
    move = RemoteFiles._move
    moved: list[str] = []

    async def moving(self: Any, live: Live, source: str, target: str) -> None:
        moved.append(source)
        if len(moved) == 2 or (len(moved) == 3 and back_fails):
            raise PermissionError(f"move {len(moved)}")
        await move(self, live, source, target)

    monkeypatch.setattr(RemoteFiles, "_move", moving)
    path = str(tmp_path / "v")

    with pytest.raises(PermissionError, match="move 2"):
        asyncio.run(live.files.move_over(live, str(tmp_path / "staged"), path))

    assert (tmp_path / "staged" / "staged").exists()
    assert Path(aside_of(path) if back_fails else path, "v").exists()
    assert len(moved) == 3


def test_a_file_that_cannot_be_moved_and_has_none_in_its_way_is_an_error(
    live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "staged").write_bytes(b"1")
    monkeypatch.setattr(live.files, "_move", failing(PermissionError("no")))

    with pytest.raises(PermissionError, match="no"):
        asyncio.run(live.files.move_over(live, str(tmp_path / "staged"), str(tmp_path / "a")))


def test_a_file_is_moved_aside_where_a_server_does_not_rename_over_it(
    live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("staged", "a"):
        (tmp_path / name).write_bytes(name.encode())
    move = RemoteFiles._move

    async def never_over(self: Any, live: Live, source: str, target: str) -> None:
        if os.path.exists(target):
            raise PermissionError(target)
        await move(self, live, source, target)

    monkeypatch.setattr(RemoteFiles, "_move", never_over)
    asyncio.run(live.files.move_over(live, str(tmp_path / "staged"), str(tmp_path / "a")))

    assert (tmp_path / "a").read_bytes() == b"staged"
    assert os.listdir(tmp_path) == ["a"]


def test_what_somebody_else_deletes_meanwhile_is_deleted(live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        (tmp_path / "v" / name).mkdir(parents=True)
        (tmp_path / "v" / name / "x").write_bytes(b"")
    (tmp_path / "v" / "c").write_bytes(b"")
    listed = live.fs.ls

    def with_ghosts(path: str, **options: Any) -> Any:
        ghosts = [{"name": f"{path}/gone", "type": "directory"}, {"name": f"{path}/lost", "type": "file"}]
        return [*ghosts, *listed(path, **options)]

    monkeypatch.setattr(live.fs, "ls", with_ghosts)
    asyncio.run(live.files.delete(live, str(tmp_path / "v")))

    assert os.listdir(tmp_path) == []


def test_what_is_said_to_be_moved_and_is_still_there_is_an_error(
    live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"1")
    monkeypatch.setattr(type(live.fs), "mv", lambda self, source, target, **options: None)

    with pytest.raises(OSError, match="it has moved this, but it has not") as raised:
        asyncio.run(live.files._move(live, str(tmp_path / "a"), str(tmp_path / "b")))

    assert raised.value.filename == str(tmp_path / "a")


@pytest.mark.parametrize("discarding_fails", [False, True])
def test_a_stream_that_fails_is_discarded(discarding_fails: bool) -> None:
    done: list[str] = []

    class Target:
        def write(self, data: bytes) -> None:
            raise KeyError("writing")

        def discard(self) -> None:
            done.append("discard")
            if discarding_fails:
                raise OSError("discarding")

    fs: Any = SimpleNamespace(open=lambda path, mode, **options: done.append(str(options)) or Target())

    with pytest.raises(KeyError, match="writing"):
        _stream(fs, "a", io.BytesIO(b"1"))

    assert done == [f"{{'block_size': {of_files.PIECE}, 'autocommit': False}}", "discard"]


@pytest.mark.parametrize("commits", [False, True])
def test_a_stream_is_closed_and_committed_where_it_can_be(commits: bool) -> None:
    done: list[Any] = []
    methods: dict[str, Any] = {"write": done.append, "close": lambda: done.append("close")}
    if commits:
        methods["commit"] = lambda: done.append("commit")
    fs: Any = SimpleNamespace(open=lambda path, mode, **options: SimpleNamespace(**methods))
    file = io.BytesIO(b"12")
    file.seek(1)

    _stream(fs, "a", file)

    assert done == [b"12", "close", *(["commit"] if commits else [])]


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [(0, None, b"0123"), (1, 3, b"12"), (-3, None, b"123"), (-9, None, b"0123"), (3, 2, b""), (0, 0, b"")],
)
def test_a_part_of_an_open_file_is_read(start: int, end: int | None, expected: bytes) -> None:
    fs: Any = SimpleNamespace(open=lambda path, mode: io.BytesIO(b"0123"))

    assert _read_part(fs, "a", start, end) == expected


# ------------------------------------------------------------------------------------------------------- uploads in parts


class Uploading(S3Files):
    """Notes what is asked of a server, and lets some of it fail."""

    def __init__(self, *fails: str) -> None:
        super().__init__()
        self.calls: list[tuple[str, Any]] = []
        self._fails = fails

    async def _call(self, live: Live, method: str, path: str | None = None, **kwargs: Any) -> Any:
        self.calls.append((method, kwargs.get("Body") or kwargs.get("MultipartUpload") or kwargs.get("UploadId")))
        if method in self._fails:
            raise PermissionError(method)
        return {"UploadId": "u", "ETag": f"tag of {kwargs.get('PartNumber')}"}


@pytest.mark.parametrize(
    ("size", "pieces"), [(0, None), (4, None), (5, [b"0123", b"4"]), (8, [b"0123", b"4567"]), (10, [b"0123", b"4567", b"89"])]
)
def test_a_large_object_is_stored_in_parts_and_a_small_one_at_once(
    monkeypatch: pytest.MonkeyPatch, size: int, pieces: list[bytes] | None
) -> None:
    monkeypatch.setattr(s3, "PIECE", 4)
    files = Uploading()
    file = io.BytesIO(b"0123456789"[:size])
    file.seek(1)

    asyncio.run(files.write_file(None, "a", file))  # type: ignore[arg-type]

    if pieces is None:
        assert files.calls == [("put_object", b"0123456789"[:size] or None)]
        return
    whole = {"Parts": [{"ETag": f"tag of {n}", "PartNumber": n} for n in range(1, len(pieces) + 1)]}
    assert files.calls == [
        ("create_multipart_upload", None),
        *(("upload_part", piece) for piece in pieces),
        ("complete_multipart_upload", whole),
    ]


def test_an_object_has_no_more_parts_than_a_server_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "PIECE", 1)
    monkeypatch.setattr(s3, "_MOST_PARTS", 3)
    files = Uploading()

    asyncio.run(files.write_file(None, "a", io.BytesIO(b"0123456789")))  # type: ignore[arg-type]

    assert [body for method, body in files.calls if method == "upload_part"] == [b"0123", b"4567", b"89"]


@pytest.mark.parametrize("step", ["upload_part", "complete_multipart_upload"])
@pytest.mark.parametrize("giving_up", [(), ("abort_multipart_upload",)])
def test_an_upload_that_fails_is_given_up_and_says_what_failed(
    monkeypatch: pytest.MonkeyPatch, step: str, giving_up: tuple[str, ...]
) -> None:
    monkeypatch.setattr(s3, "PIECE", 4)
    files = Uploading(step, *giving_up)

    with pytest.raises(PermissionError, match=step):
        asyncio.run(files.write_file(None, "a", io.BytesIO(b"01234567")))  # type: ignore[arg-type]

    assert files.calls[-1] == ("abort_multipart_upload", "u")


def test_a_leftover_that_somebody_else_removes_first_is_passed_over(tmp_path: Path) -> None:
    paths = [tmp_path / f"0.{letter * 32}.partial" for letter in "ab"]
    for path in paths:
        path.touch()
        os.utime(path, (0, 0))
    found = partial_files(tmp_path)

    first = Path(next(found))
    for path in {*paths} - {first}:
        path.unlink()

    assert [*found] == []
