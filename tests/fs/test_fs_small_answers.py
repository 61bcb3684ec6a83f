"""Small answers of the backend that other code relies on."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from copick_backend_fs import filesystem, local_reading
from copick_backend_fs.buckets import BucketFiles
from copick_backend_fs.files import PreconditionFailedError
from copick_backend_fs.local_reading import read_whole
from copick_backend_fs.places import _stem, files_of
from copick_backend_fs.s3 import S3Files
from copick_core.layers.revisions import ANY


class Heedless(S3Files):
    """A bucket whose server heeds no conditions, and holds an object."""

    def __init__(self) -> None:
        super().__init__()
        self._conditions = False
        self.asked: list[tuple[str, dict[str, Any]]] = []

    async def _call(self, live: Any, method: str, path: str | None = None, **kwargs: Any) -> Any:
        self.asked.append((method, kwargs))
        return {"ETag": '"now"'}


def test_where_a_server_heeds_no_conditions_the_revision_is_asked_for_before_the_write() -> None:
    files = Heedless()

    assert asyncio.run(files.write_if(None, "lab/a", b"1", '"now"')) == '"now"'  # type: ignore[arg-type]
    with pytest.raises(PreconditionFailedError) as raised:
        asyncio.run(files.write_if(None, "lab/a", b"2", '"before"'))  # type: ignore[arg-type]
    asyncio.run(files.write_if(None, "lab/a", b"3", ANY))  # type: ignore[arg-type]

    head = ("head_object", {})
    assert files.asked == [head, ("put_object", {"Body": b"1"}), head, ("put_object", {"Body": b"3"})]
    assert (raised.value.repeated, files.keeps_writers_apart) == (False, False)


def test_a_server_is_tried_once_for_what_it_heeds() -> None:
    tried: list[int] = []

    class Tried(Heedless):
        async def _honours_conditions(self, live: Any) -> bool:
            tried.append(1)
            return True

    files = Tried()
    files._conditions = None
    assert files.keeps_writers_apart
    for _ in range(2):
        asyncio.run(files.write_if(None, "lab/a", b"1", '"x"'))  # type: ignore[arg-type]

    assert (tried, files.keeps_writers_apart) == ([1], True)
    assert files.asked == [("put_object", {"Body": b"1", "IfMatch": '"x"'})] * 2


def test_a_server_without_pages_after_a_name_says_so() -> None:
    assert not BucketFiles.lists_after
    with pytest.raises(NotImplementedError, match="Heedless has no lists that begin after a name"):
        asyncio.run(BucketFiles.page_after(Heedless(), None, "", ""))  # type: ignore[arg-type]


@pytest.mark.parametrize("failures", [1, 100, 101])
def test_a_file_that_is_there_and_said_to_be_missing_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    (tmp_path / "a").write_bytes(b"1")
    opened, tried = os.open, []

    def missing(path: str, *args: Any) -> int:
        tried.append(path)
        if len(tried) <= failures:
            raise FileNotFoundError(path)
        return opened(path, *args)

    monkeypatch.setattr(local_reading.os, "open", missing)

    if failures > local_reading._ATTEMPTS:
        with pytest.raises(FileNotFoundError):
            read_whole(str(tmp_path / "a"))
    else:
        assert read_whole(str(tmp_path / "a"))[0] == b"1"
    assert len(tried) == min(failures, 100) + 1


@pytest.mark.parametrize("link", [False, True])
def test_a_file_that_is_missing_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, link: bool) -> None:
    if link:
        (tmp_path / "a").symlink_to(tmp_path / "none")
    tried: list[str] = []

    def missing(path: str, *args: Any) -> int:
        tried.append(path)
        raise FileNotFoundError(path)

    monkeypatch.setattr(local_reading.os, "open", missing)

    with pytest.raises(FileNotFoundError):
        read_whole(str(tmp_path / "a"))
    assert len(tried) == 1


def test_entities_are_had_from_the_module_of_projects_too() -> None:
    from copick_backend_fs import entities

    assert filesystem.CopickRunFSSpec is entities.CopickRunFSSpec
    with pytest.raises(AttributeError):
        filesystem.nothing  # noqa: B018 - having it is what fails


@pytest.mark.parametrize(
    ("path", "stem"),
    [(None, None), ("a/b.json", "a/b"), ("a/b.zarr", "a/b"), ("b.glb", "b"), ("a.json/b", "a.json/b"), ("a/b.txt", "a/b.txt")],
)
def test_a_stem_is_a_path_without_the_suffix_of_an_entity(path: str | None, stem: str | None) -> None:
    assert _stem(path) == stem


def test_a_layer_of_files_is_found_behind_its_wrappers() -> None:
    files: Any = SimpleNamespace(full_path=None)
    wrapped: Any = SimpleNamespace(unwrap=lambda: files)
    other: Any = SimpleNamespace(unwrap=SimpleNamespace)

    assert (files_of(wrapped), files_of(other), files_of(None)) == (files, None, None)
