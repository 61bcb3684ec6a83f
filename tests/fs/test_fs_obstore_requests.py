"""What is asked of a store of obstore, and what its answers mean; the store is one of our own."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from copick_backend_fs import object_store
from copick_backend_fs.buckets import MARK, BucketFiles, Page
from copick_backend_fs.files import PIECE, PreconditionFailedError
from copick_backend_fs.live import PAGE, Live, Slots
from copick_backend_fs.object_store import StoreConnection, StoreFiles
from copick_core.layers.revisions import ANY

PLACES: dict[str, tuple[str, dict[str, Any]]] = {
    "s3": ("s3://lab/project", {"endpoint_url": "http://lab:9", "key": "me", "secret": "hush"}),
    "gs": ("gs://lab/project", {"token": "anon"}),
    "az": ("az://lab/project", {"account_name": "mine", "anon": True}),
}


class Answer:
    """What a store answers to a request for an object."""

    def __init__(self, data: bytes = b"", **attributes: str) -> None:
        self.data = data
        self.meta = {"e_tag": '"tag"', "version": "7", "last_modified": "today", "size": 9}
        self.attributes = attributes

    async def bytes_async(self) -> bytes:
        return self.data


class Store:
    """Notes what it is asked; answers are given, errors among them."""

    def __init__(self, *answers: Any) -> None:
        self.answers = [*answers]
        self.asked: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        async def ask(*args: Any, **options: Any) -> Any:
            return self._answer(name, args, options)

        return ask

    def _answer(self, name: str, args: Any, options: Any) -> Any:
        self.asked.append((name.removesuffix("_async"), *args, options))
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def list(self, *args: Any, **options: Any) -> AsyncIterator[Any]:
        for page in self._answer("list", args, options) or ():
            yield page


class Asked:
    """The files of a bucket over such a store."""

    def __init__(self, place: str, *answers: Any) -> None:
        url, args = PLACES[place]
        self.connection = StoreConnection(url, args)
        live = self.connection.live
        assert isinstance(live.files, StoreFiles)
        self.files, self.live = live.files, Live(None, live.root, Slots(1, self.connection), live.files, live.pid)
        self.store = self.files._store = Store(*answers)
        self.once = self.files.__dict__["_once"] = Store(*answers)

    def __call__(self, question: str, *args: Any, **options: Any) -> Any:
        return asyncio.run(getattr(self.files, question)(self.live, *args, **options))

    @property
    def asked(self) -> list[tuple[Any, ...]]:
        return self.store.asked


def entries(*names: str) -> list[dict[str, Any]]:
    return [
        {"path": f"project/d/{name}".rstrip("/"), "e_tag": f"tag of {name}", "version": f"version of {name}"} for name in names
    ]


# --------------------------------------------------------------------------------------------------------------- listing


@pytest.mark.parametrize("place", PLACES)
def test_a_folder_is_listed_without_the_object_that_stands_for_it(place: str) -> None:
    listed = {"objects": entries("", "a", "b"), "common_prefixes": ["project/d/e"]}
    asked = Asked(place, listed, listed, {"objects": [], "common_prefixes": []})

    assert asked("list_folder", "lab/project/d") == {"a": False, "b": False, "e": True}
    tags = asked("revisions_in", "lab/project/d")
    assert (
        tags
        == {
            "s3": {"a": "tag of a", "b": "tag of b"},
            "gs": {"a": "version of a", "b": "version of b"},
            "az": {},
        }[place]
    )
    asked.store.answers = [{"objects": [], "common_prefixes": []}]
    assert asked("list_folder", "lab") == {}
    delimited = ("list_with_delimiter", "project/d", {})
    assert asked.asked == [*[delimited] * (1 if place == "az" else 2), ("list_with_delimiter", None, {})]


def test_a_list_of_many_names_counts_as_its_pages() -> None:
    many = {"objects": entries(*map(str, range(PAGE))), "common_prefixes": ["project/d/e"]}
    asked = Asked("s3", many, [entries(*map(str, range(2 * PAGE + 1)))])

    asked("list_folder", "lab/project/d")
    counted = [asked.connection.sent]
    asked("find", "lab/project/d")

    assert [*counted, asked.connection.sent] == [2, 5]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("full", [False, True])
def test_a_page_begins_after_a_name_and_is_the_last_if_it_is_not_full(place: str, full: bool) -> None:
    size = 5 * PAGE if place == "az" else PAGE
    names = [f"{number:05}" for number in range(size if full else size - 1)]
    asked = Asked(place, [entries(*names), entries("of another page")])

    page = asked("page_after", "lab/project/d", "00")

    tag = {"s3": "tag of {}", "gs": "version of {}"}.get(place)
    assert page == Page([(name, tag and tag.format(name)) for name in names], not full)
    assert asked.asked == [("list", "project/d", {"offset": "project/d/00", "chunk_size": size})]
    assert asked("page_after", "lab/project/d", "x") == Page((), is_last=True)
    assert asked.files.lists_after


def test_what_lies_below_a_folder_is_one_page_or_all_of_them() -> None:
    pages = [entries("", "a"), entries("b/c")]
    asked = Asked("s3", pages, pages, [])

    assert asked("first_below", "lab/project/d") == ["", "a"]
    assert asked("find", "lab/project/d") == ["a", "b/c"]
    assert not asked("exists", "lab/project/d", folder=True)
    asked.store.answers = [[[{"path": "project/a"}]]]
    assert asked("find", "lab") == ["project/a"]
    below = ("list", "project/d", {"chunk_size": 1000})
    assert asked.asked == [below, below, below, ("list", None, {"chunk_size": 1000})]


# --------------------------------------------------------------------------------------------------------------- reading


@pytest.mark.parametrize(
    ("start", "end", "part"),
    [
        (None, None, None),
        (2, 5, (2, 5)),
        (None, 5, (0, 5)),
        (2, None, {"offset": 2}),
        (-3, None, {"suffix": 3}),
        (0, None, {"offset": 0}),
    ],
)
def test_a_part_of_an_object_is_asked_for_as_obstore_spells_it(start: int | None, end: int | None, part: Any) -> None:
    asked = Asked("s3", Answer(b"data"))

    assert asked("read", "lab/project/a", start, end) == b"data"
    assert asked.asked == [("get", "project/a", {"options": None if part is None else {"range": part}})]


@pytest.mark.parametrize(("start", "first"), [(-3, 6), (-20, 0)])
def test_the_end_of_a_blob_is_asked_for_by_its_size(start: int, first: int) -> None:
    asked = Asked("az", {"size": 9}, Answer(b"data"))

    assert asked("read", "lab/project/a", start) == b"data"
    assert asked.asked == [("head", "project/a", {}), ("get", "project/a", {"options": {"range": {"offset": first}}})]


@pytest.mark.parametrize(("place", "revision"), [("s3", '"tag"'), ("gs", "7"), ("az", '"tag"')])
def test_a_revision_is_a_tag_and_on_google_a_generation(place: str, revision: str) -> None:
    version = (revision, "today", "mark")
    asked = Asked(place, Answer(b"1"), Answer(b"2", **{MARK: "mark"}), Answer(**{MARK: "mark"}), Answer().meta)

    assert asked("read_revised", "lab/project/a") == (b"1", revision)
    assert asked("read_versioned", "lab/project/a") == (b"2", version)
    assert asked("version", "lab/project/a") == version
    assert asked("revision", "lab/project/a") == revision
    missing = FileNotFoundError("none")
    asked.store.answers = [missing, missing]
    assert (asked("version", "lab/project/a"), asked("revision", "lab/project/a")) == (None, None)
    assert [one[:2] for one in asked.asked] == [(name, "project/a") for name in ("get", "get", "get", "head", "get", "head")]
    assert asked.asked[2][2] == {"options": {"head": True}}
    assert asked.files.no_revision == ("1" if place == "gs" else BucketFiles.no_revision)


def test_a_server_is_asked_past_the_slots_whether_it_is_there() -> None:
    for answer in ({}, FileNotFoundError("none")):
        asked = Asked("s3", answer)

        asked("ask_something")

        assert (asked.once.asked, asked.asked, asked.connection.sent) == ([("head", "project/.alive", {})], [], 0)


# --------------------------------------------------------------------------------------------------------------- writing


@pytest.mark.parametrize("place", PLACES)
def test_a_write_on_condition_is_one_request_that_is_not_repeated(place: str) -> None:
    tags = {"e_tag": '"tag"', "version": "7"}
    asked = Asked(place, tags, tags)
    tag = "version" if place == "gs" else "e_tag"

    found = [asked("put", "lab/project/a", b"1", expected) for expected in (None, "x")]
    found.append(asked("put", "lab/project/a", b"1", ANY))

    assert found == [tags[tag]] * 3
    put = [("put", "project/a", b"1", {"mode": mode, "use_multipart": False}) for mode in ("create", {tag: "x"}, "overwrite")]
    assert (asked.once.asked, asked.asked) == (put[:2], put[2:])


def failure() -> Exception:
    from obstore.exceptions import GenericError

    return GenericError("broken")


@pytest.mark.parametrize("failures", [1, 5, 6])
def test_a_write_on_condition_whose_answer_was_lost_is_repeated_and_says_so(
    monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    from obstore.exceptions import PreconditionError

    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(object_store.asyncio, "sleep", sleep)
    asked = Asked("s3", *[failure()] * failures, PreconditionError("stored"))

    with pytest.raises(OSError if failures == 6 else PreconditionFailedError) as raised:
        asked("put", "lab/project/a", b"1", "x")

    assert waited == [0.1 * 2**n for n in range(min(failures, 5))]
    assert failures == 6 or raised.value.repeated  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("expected", "error", "unmet"),
    [
        (None, "AlreadyExistsError", True),
        (None, "PreconditionError", True),
        ("x", "PreconditionError", True),
        ("x", "NotFound", True),
        (None, "NotFound", False),
        (ANY, "PreconditionError", False),
        (ANY, "NotFound", False),
        (ANY, "GenericError", False),
        ("x", "PermissionDeniedError", False),
    ],
)
def test_a_condition_is_unmet_if_the_server_says_so(expected: Any, error: str, unmet: bool) -> None:
    from obstore import exceptions

    cls = FileNotFoundError if error == "NotFound" else getattr(exceptions, error)
    asked = Asked("s3", cls("no"))

    with pytest.raises(Exception, match=r"no|precondition failed") as raised:
        asked("put", "lab/project/a", b"1", expected)

    assert isinstance(raised.value, PreconditionFailedError) is unmet
    assert not unmet or not raised.value.repeated  # type: ignore[attr-defined]
    assert len(asked.asked) + len(asked.once.asked) == 1


def test_objects_are_marked_and_copied_as_they_are() -> None:
    asked = Asked("s3", None, Answer(b"1"))

    asked("write_marked", "lab/project/a", b"0", "mark")
    asked("copy_marked", "lab/project/b", "lab/project/c", "other")
    asked("copy", [("lab/project/a", "lab/project/d")])

    assert asked.asked == [
        ("put", "project/a", b"0", {"attributes": {MARK: "mark"}, "use_multipart": False}),
        ("get", "project/b", {"options": None}),
        ("put", "project/c", b"1", {"attributes": {MARK: "other"}, "use_multipart": False}),
        ("copy", "project/a", "project/d", {}),
    ]


@pytest.mark.parametrize(("size", "piece"), [(3, PIECE), (PIECE * 10_000 + 1, PIECE + 1)])
def test_a_large_file_is_sent_in_no_more_parts_than_a_server_takes(size: int, piece: int) -> None:
    class Large(io.BytesIO):
        def seek(self, offset: int, whence: int = 0) -> int:
            super().seek(offset, whence)
            return size if whence else offset

    file = Large(b"123")
    file.read()
    asked = Asked("s3")

    asked("write_file", "lab/project/a", file)

    assert asked.asked == [("put", "project/a", file, {"chunk_size": piece, "max_concurrency": 4})]
    assert file.tell() == 0


def test_a_folder_is_deleted_with_an_object_that_stands_for_it() -> None:
    listed = [entries("a", ".zattrs")]
    for left in ([], [entries("")]):
        asked = Asked("s3", listed, None, left)
        plain: list[Any] = []

        async def delete(live: Any, path: str, plain: list[Any] = plain) -> None:
            plain.append(path)

        over: Any = SimpleNamespace(files=SimpleNamespace(delete=delete))
        asked.connection._plain = SimpleNamespace(live=over, sent=0)  # type: ignore[assignment]

        asked("delete", "lab/project/d")

        assert [one[:2] for one in asked.asked] == [
            ("list", "project/d"),
            ("delete", ["project/d/.zattrs", "project/d/a"]),
            ("list", "project/d"),
        ]
        assert plain == (["lab/project/d"] if left else [])


def test_an_object_is_deleted_and_one_that_is_missing_is_an_error() -> None:
    asked = Asked("s3", [], Answer().meta, FileNotFoundError("gone meanwhile"))
    asked("delete", "lab/project/a")
    assert asked.asked[2] == ("delete", ["project/a"], {})

    missing = Asked("s3", [], FileNotFoundError("none"))
    with pytest.raises(FileNotFoundError, match="lab/project/a"):
        missing("delete", "lab/project/a")


def test_of_a_large_folder_the_documents_are_deleted_before_all_else() -> None:
    names = ["b/.zarray", ".zattrs", "a/.zarray", "zarr.json", *(f"c/{number}" for number in range(1000))]
    for some in (names, names[:900]):
        asked = Asked("s3", [entries(*some)], None, None, [])
        if len(some) < 1000:
            asked.store.answers = [[entries(*some)], None, []]
        asked("delete", "lab/project/d")

        deleted = [one[1] for one in asked.asked if one[0] == "delete"]
        documents = [f"project/d/{name}" for name in (".zattrs", "zarr.json", "a/.zarray", "b/.zarray")]
        assert deleted[0][:4] == documents
        assert [len(paths) for paths in deleted] == ([4, 1000] if len(some) > 1000 else [900])
