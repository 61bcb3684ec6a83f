"""The stores of volumes on disk and on servers: what each call reads, remembers and leaves."""

from __future__ import annotations

import errno
import io
import os
import time
from pathlib import Path
from typing import Any

import pytest
from zarr.abc.store import RangeByteRequest
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import LocalStore

from copick_backend_fs import volumes
from copick_backend_fs.connection import Connection
from copick_backend_fs.volumes import LocalVolume, RemoteVolume
from copick_core.layers.staged import STAGED_SECONDS

PROTOTYPE = default_buffer_prototype()


def buffer(data: bytes) -> Any:
    return PROTOTYPE.buffer.from_bytes(data)


def listed(names: Any) -> list[str]:
    async def collected() -> list[str]:
        return [name async for name in names]

    return sync(collected())


def data_of(value: Any) -> bytes | None:
    return None if value is None else bytes(value.to_bytes())


# --------------------------------------------------------------------------------------------------------------- on disk


@pytest.fixture
def local(tmp_path: Path) -> LocalVolume:
    return LocalVolume(tmp_path / "v")


def test_looking_at_a_volume_on_disk_makes_nothing(local: LocalVolume) -> None:
    assert sync(local.get("zarr.json", PROTOTYPE)) is None
    assert sync(local.get("0/c", PROTOTYPE)) is None
    assert not sync(local.exists("a"))
    assert not local.root.exists()
    assert local.keeps_files


def test_what_is_no_file_is_no_document(local: LocalVolume) -> None:
    (local.root / "0" / "zarr.json").mkdir(parents=True)
    (local.root / "a").write_bytes(b"")

    assert [sync(local.get(name)) for name in ("0/zarr.json", "a/zarr.json", "none/zarr.json")] == [None] * 3
    (local.root / "zarr.json").write_bytes(b"0123")
    assert data_of(sync(local.get("zarr.json"))) == b"0123"
    assert data_of(sync(local.get("zarr.json", PROTOTYPE, RangeByteRequest(1, 3)))) == b"12"


def test_a_folder_of_a_volume_has_no_size_and_says_which_it_is(local: LocalVolume) -> None:
    sync(local.set("0/a", buffer(b"123")))

    assert sync(local.getsize("0/a")) == 3
    with pytest.raises(FileNotFoundError) as raised:
        sync(local.getsize("0"))
    error = raised.value
    assert (error.errno, error.strerror, error.filename) == (errno.ENOENT, os.strerror(errno.ENOENT), str(local.root / "0"))


def test_levels_on_disk_are_listed_from_the_finest(local: LocalVolume) -> None:
    for level in (10, 9, 0):
        sync(local.set(f"{level}/zarr.json", buffer(b"{}")))

    assert listed(local.list_dir("")) == ["0", "9", "10"]
    sync(local.clear())
    assert listed(local.list()) == []


@pytest.mark.parametrize("filename", [None, "elsewhere"])
def test_a_value_that_cannot_be_stored_is_named(
    local: LocalVolume, monkeypatch: pytest.MonkeyPatch, filename: str | None
) -> None:
    async def full(self: Any, key: str, value: Any) -> None:
        error = OSError(errno.ENOSPC, "full")
        error.filename = filename
        raise error

    monkeypatch.setattr(LocalStore, "set", full)

    with pytest.raises(OSError, match="full") as raised:
        sync(local.set("0/a", buffer(b"1")))
    assert raised.value.filename == (filename or str(local.root / "0" / "a"))


def test_what_dead_writers_left_in_a_volume_is_swept_by_the_first_write_of_a_process(
    local: LocalVolume, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(volumes, "_swept", set())
    long_ago = time.time() - STAGED_SECONDS - 60

    def leave(name: str) -> Path:
        path = local.root / "0" / f"{name}.{'0' * 32}.partial"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
        os.utime(path, (long_ago, long_ago))
        return path

    before = leave("a")
    with pytest.raises(ValueError, match="read-only"):
        sync(LocalVolume(local.root, read_only=True).set("b", buffer(b"1")))
    untouched = before.exists()
    sync(local.set("b", buffer(b"1")))
    after = leave("c")
    sync(local.set("b", buffer(b"2")))

    assert (untouched, before.exists(), after.exists()) == (True, False, True)


# ------------------------------------------------------------------------------------------------------------ on servers


class Asked:
    """A volume in memory, and what is asked of its files."""

    def __init__(self, name: str, monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
        self.connection = Connection(f"memory://{name}", {})
        self.documents: dict[str, str] = {}
        self.store = RemoteVolume(self.connection, "v", documents=self.documents, **options)
        self.asked: list[str] = []
        files = self.connection.live.files
        for question in ("read", "read_versioned", "exists", "find", "list_folder", "size", "write", "delete_files"):
            monkeypatch.setattr(files, question, self.noting(question, getattr(files, question)))

    def noting(self, question: str, ask: Any) -> Any:
        async def asking(live: Any, path: Any, *args: Any, **options: Any) -> Any:
            if question != "read" or path != self.reading:
                self.asked.append(f"{question} {path if isinstance(path, list) else path.partition('/v')[2]}")
            self.reading = path if question == "read_versioned" else None
            return await ask(live, path, *args, **options)

        return asking

    reading: Any = None

    def put(self, *names: str) -> None:
        for name in names:
            sync(self.store.set(name, buffer(name.encode())))
        self.asked.clear()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Asked:
    return Asked(f"stores-{abs(hash(request.node.name))}", monkeypatch)


def test_the_document_that_makes_a_volume_one_is_noted_with_its_version(asked: Asked) -> None:
    asked.put(".zattrs", ".zgroup", "0/.zattrs", "a")
    store = asked.store

    sync(store.get(".zgroup"))
    first = (store.seen_version, {**asked.documents})
    sync(store.get(".zattrs"))
    second = (store.seen_version, {**asked.documents})
    for name in (".zgroup", "0/.zattrs", "a"):
        assert data_of(sync(store.get(name))) == name.encode()

    assert isinstance(first[0], tuple)
    assert isinstance(second[0], tuple)
    assert (first[0][0], first[1]) == (".zgroup", {})
    assert (second[0][0], second[1]) == (".zattrs", {"v": ".zattrs"})
    assert store.seen_version == second[0]
    assert asked.asked == [
        "read_versioned /.zgroup",
        "read_versioned /.zattrs",
        "read_versioned /.zgroup",
        "read /0/.zattrs",
        "read /a",
    ]


def test_a_part_of_a_document_and_one_that_is_missing_say_nothing_of_the_volume(asked: Asked) -> None:
    asked.put(".zattrs")

    assert data_of(sync(asked.store.get(".zattrs", PROTOTYPE, RangeByteRequest(1, 3)))) == b"za"
    assert sync(asked.store.get("zarr.json")) is None
    assert (asked.store.seen_version, asked.documents) == (None, {})


@pytest.mark.parametrize(
    ("document", "ahead"), [("zarr.json", ["zarr.json"]), (".zattrs", [".zarray", ".zgroup", ".zattrs"]), (None, 3)]
)
def test_documents_of_levels_are_read_before_they_are_asked_for_and_once(
    asked: Asked, document: str | None, ahead: Any
) -> None:
    asked.put("0/zarr.json", "10/.zarray", "9/a", "b")
    names = [".zarray", ".zgroup", ".zattrs"] if ahead == 3 else ahead
    if document is not None:
        asked.documents["v"] = document

    assert listed(asked.store.list_dir("/")) == ["0", "9", "10", "b"]
    read = sorted(one for one in asked.asked if one.startswith("read"))
    asked.asked.clear()
    found = [data_of(sync(asked.store.get(f"{level}/{names[0]}"))) for level in (0, 9, 10)]
    nothing = [*asked.asked]
    sync(asked.store.get(f"0/{names[0]}"))

    assert read == sorted(f"read /{level}/{name}" for level in (0, 9, 10) for name in names)
    assert found == ([b"0/zarr.json", None, None] if document == "zarr.json" else [None, None, b"10/.zarray"])
    assert (nothing, asked.asked) == ([], [f"read /0/{names[0]}"])


def test_documents_of_many_folders_or_of_those_below_a_level_are_not_read_ahead(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked.put("0/a/x", "1/a")
    listed(asked.store.list_dir("0"))
    monkeypatch.setattr(volumes, "_FEW", 1)
    listed(asked.store.list_dir(""))

    assert asked.asked == ["list_folder /0", "list_folder "]
    monkeypatch.setattr(volumes, "_FEW", 2)
    listed(asked.store.list_dir(""))
    assert len(asked.asked) == 3 + 2 * 3


def test_a_volume_that_only_this_process_knows_is_not_asked_for_documents(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    asked = Asked(f"stores-{abs(hash(request.node.name))}", monkeypatch, written=set())
    store = asked.store
    sync(store.set("0/a", buffer(b"1")))
    sync(store.set_file("0/b", io.BytesIO(b"22")))
    asked.asked.clear()

    assert [sync(store.get(name)) for name in ("zarr.json", "0/.zarray")] == [None, None]
    assert [sync(store.exists(name)) for name in ("0/a", "0/b", "0/c")] == [True, True, False]
    assert asked.asked == []
    assert sync(store.get("0/c")) is None
    assert sync(store.getsize("0/b")) == 2
    assert asked.asked == ["read /0/c", "size /0/b"]
    sync(store.delete_dir("none"))
    assert asked.asked == ["read /0/c", "size /0/b"]
    sync(store.delete_dir("0"))
    assert store._written == set()


def test_names_that_begin_alike_are_listed_by_their_prefix(asked: Asked) -> None:
    asked.put("b/c", "b/d/e", "bx", "a")

    assert sorted(listed(asked.store.list_prefix("b"))) == ["b/c", "b/d/e", "bx"]
    assert sorted(listed(asked.store.list_prefix("b/d"))) == ["b/d/e"]
    assert sorted(listed(asked.store.list())) == ["a", "b/c", "b/d/e", "bx"]
    sync(asked.store.delete_dir("b/"))
    assert sorted(listed(asked.store.list())) == ["a", "bx"]
    assert [sync(asked.store.is_empty(prefix)) for prefix in ("b", "")] == [True, False]
