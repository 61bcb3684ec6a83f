"""Runs that are listed by pages of all objects are known as exactly as by lists of their folders."""

from __future__ import annotations

import asyncio
import bisect
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from s3_stub import S3Stub

from copick_backend_fs import object_store
from copick_backend_fs.buckets import Page
from copick_backend_fs.layer import open_layer
from copick_backend_fs.store_arguments import StoreArguments
from copick_backend_fs.walking import Tree, _before, _is_past, _is_too_many, _past, _Reading, walk
from copick_core.tree.keys import Kind, RunKey

TOP = "project/ExperimentRuns"
RUNS = "ExperimentRuns"


def by_folder(name: str) -> list[str]:
    """The order of servers that keep folders."""
    return name.split("/")


class Bucket:
    """Objects below the folder of runs, listed in an order by pages of some size."""

    def __init__(self, names: list[str], size: int, order: Callable[[str], Any] = str, *, lists_after: bool = True) -> None:
        self.names, self.size = sorted(names, key=order), size
        self.asked: list[str] = []
        self.order, self.lists_after = order, lists_after

    async def page_after(self, live: Any, folder: str, after: str) -> Page:
        assert (live, folder) == (None, TOP)
        self.asked.append(after)
        first = bisect.bisect_right(self.names, self.order(after), key=self.order) if self.lists_after else 0
        names = self.names[first : first + self.size]
        return Page([(name, f"revision of {name}") for name in names], first + self.size >= len(self.names))

    def folders(self, run: str) -> dict[str, dict[str, bool]]:
        """The run's folder and the folders in it, as lists of folders show them."""
        found: dict[str, dict[str, bool]] = defaultdict(dict)
        for name in self.names:
            if name.startswith(f"{run}/"):
                below, *rest = name.removeprefix(f"{run}/").split("/", 2)
                found[run][below] = bool(rest) or found[run].get(below, False)
                if rest:
                    found[f"{run}/{below}"][rest[0]] = len(rest) == 2 or found[f"{run}/{below}"].get(rest[0], False)
        return found


# Characters around "/", which comes after "." and "-" and before "0".
NAMES = st.text("-./0a~é", min_size=1, max_size=3).filter(lambda name: "/" not in name and name not in (".", ".."))
#: What is in one run: files in its folders, and volumes of many chunks.
OBJECTS = st.lists(
    st.one_of(
        st.tuples(NAMES, NAMES).map("/".join),
        st.tuples(NAMES, NAMES, st.integers(1, 40)).map(lambda v: [f"{v[0]}/{v[1]}.zarr/0/{n}" for n in range(v[2])]),
        NAMES,
    ),
    max_size=8,
).map(lambda found: [name for some in found for name in ([some] if isinstance(some, str) else some)])


SERVERS = {
    "by name": {},
    "by folder": {"order": by_folder},
    "from the beginning": {"lists_after": False},
}


@pytest.mark.parametrize("server", SERVERS)
@given(st.dictionaries(NAMES, OBJECTS, min_size=1, max_size=12), st.integers(1, 12), st.data())
def test_what_is_known_of_a_run_is_what_its_folders_hold(
    server: str, runs: dict[str, list[str]], size: int, data: st.DataObject
) -> None:
    names = {f"{run}/{name}" for run, below in runs.items() for name in below}
    bucket = Bucket(sorted(names), size, **SERVERS[server])  # type: ignore[arg-type]
    wanted = data.draw(st.lists(st.sampled_from(sorted(runs)), min_size=1, unique=True))

    tree = asyncio.run(walk(None, bucket, TOP, wanted))  # type: ignore[arg-type]

    assert tree.runs <= {*wanted}
    if server == "by name" and not tree.takes_more:
        assert tree.runs == {run for run in wanted if runs[run]}
    for run in wanted:
        assert tree.knows(f"ExperimentRuns/{run}") == (run in tree.runs)
    for run in tree.runs:
        folders = bucket.folders(run)
        assert tree.listing(f"ExperimentRuns/{run}") == folders[run]
        for folder, listing in folders.items():
            assert tree.listing(f"ExperimentRuns/{folder}") == listing
            for name, is_folder in listing.items():
                if not is_folder and "/" in folder:
                    path = f"{folder}/{name}"
                    assert tree.revision(f"ExperimentRuns/{path}") == f"revision of {path}"


def test_runs_of_few_objects_take_a_page_for_every_thousand_objects() -> None:
    runs = [f"TS_{n:04}" for n in range(1000)]
    bucket = Bucket([f"{run}/Picks/alice_{n}_ribosome.json" for run in runs for n in range(10)], 1000)

    tree = asyncio.run(walk(None, bucket, TOP, runs))  # type: ignore[arg-type]

    assert (tree.runs, tree.takes_more) == ({*runs}, False)
    assert len(bucket.asked) <= 10 + 4  # each part that is read at once may read one page more


def test_runs_of_large_volumes_are_left_to_the_lists_of_folders() -> None:
    runs = [f"TS_{n:04}" for n in range(100)]
    spacings = [f"VoxelSpacing{size}.000/wbp.zarr/0/{n}" for size in range(10, 20) for n in range(1000)]
    bucket = Bucket([f"{run}/{name}" for run in runs for name in spacings], 1000)

    tree = asyncio.run(walk(None, bucket, TOP, runs))  # type: ignore[arg-type]

    assert tree.takes_more
    assert len(bucket.asked) < 20


# --------------------------------------------------------------------------------------------------------------- each step


def walked(names: list[str], runs: list[str], size: int) -> tuple[Tree, Bucket]:
    pages = Bucket(names, size)
    return asyncio.run(walk(None, pages, TOP, runs)), pages  # type: ignore[arg-type]


def read(names: list[str], runs: list[str], size: int, most: int | None = None) -> tuple[Any, Tree, Bucket]:
    tree, pages = Tree(), Bucket(names, size)
    reading = _Reading(None, pages, TOP, tree)  # type: ignore[arg-type]
    return asyncio.run(reading.read(runs, _before(runs[0]), most)), tree, pages


def test_a_tree_knows_the_folders_of_a_run_and_those_in_it() -> None:
    tree = Tree()
    tree.note("TS_1/notes.json", "1")
    tree.note("TS_1/Picks/", None)
    tree.note("TS_1/Picks/a.json", "2")
    tree.note("TS_1/VoxelSpacing10/wbp.zarr/0/0", "3")
    tree.note("TS_1/Meshes/b.glb", None)
    tree.runs.add("TS_1")

    assert tree.listing(f"{RUNS}/TS_1") == {"notes.json": False, "Picks": True, "VoxelSpacing10": True, "Meshes": True}
    assert tree.listing(f"{RUNS}/TS_1/Picks") == {"a.json": False}
    assert tree.listing(f"{RUNS}/TS_1/VoxelSpacing10") == {"wbp.zarr": True}
    assert tree.listing(f"{RUNS}/TS_1/none") == {}
    unknown = (f"{RUNS}/TS_2", f"{RUNS}/TS_1/VoxelSpacing10/wbp.zarr", "Objects/TS_1", RUNS)
    assert [tree.listing(path) for path in unknown] == [None] * 4
    assert [tree.knows(path) for path in (*unknown, f"{RUNS}/TS_1/none")] == [False] * 4 + [True]
    assert tree.revisions == {"TS_1/Picks/a.json": "2"}
    assert tree.revision(f"{RUNS}/TS_1/Picks/a.json") == "2"
    assert tree.revision(f"{RUNS}/TS_1/Picks/b.json") is None


def test_a_listing_of_a_tree_may_be_changed_by_who_asked() -> None:
    tree = Tree(runs={"TS_1"}, folders={"TS_1": {"Picks": True}})

    tree.listing(f"{RUNS}/TS_1").clear()  # type: ignore[union-attr]

    assert tree.listing(f"{RUNS}/TS_1") == {"Picks": True}


def test_a_run_takes_a_request_and_one_for_each_of_its_folders() -> None:
    tree = Tree(folders={"TS_1": {"VoxelSpacing10": True, "notes.json": False, "Picks": True}})

    assert (tree.requests_by_folder(["TS_1"]), tree.requests_by_folder(["TS_2"])) == (4, 3)
    assert tree.requests_by_folder(["TS_1", "TS_2"]) == 7
    assert [_is_too_many(pages, tree, ["TS_1"]) for pages in (0, 2, 3)] == [False, False, True]


@pytest.mark.parametrize(
    ("name", "past"),
    [
        ("TS_1/Picks/a.json", "TS_1/Picks/a.json"),
        ("TS_1/V/wbp.zarr/0", "TS_1/V/wbp.zarr/~"),
        ("TS_1/V/wbp.zarr/0/0/0", "TS_1/V/wbp.zarr/~"),
        ("TS_1/V/wbp.zarr/~~", "TS_1/V/wbp.zarr/~~"),
    ],
)
def test_the_rest_of_a_volume_is_skipped(name: str, past: str) -> None:
    assert _past(name) == past


def test_a_name_is_past_a_run_if_it_comes_after_all_that_is_in_it() -> None:
    names = ["TS_1-b/x", "TS_1", "TS_1/a", "TS_10/x", "TS_2/x"]

    assert [_is_past(name, "TS_1") for name in names] == [False, False, False, True, True]


def test_pages_are_read_until_all_runs_are_known() -> None:
    names = [f"TS_{run}/Picks/{number}.json" for run in range(4) for number in range(5)]
    runs = [f"TS_{run}" for run in range(4)]

    (done, pages, after), tree, asked = read(names, runs, 8)

    assert (done, pages, tree.runs) == (4, 3, {*runs})
    assert asked.asked == ["TS_0/!", "TS_1/Picks/2.json", "TS_3/Picks/0.json"]
    assert after == "TS_3/Picks/4.json"
    assert len(tree.revisions) == 20


def test_a_page_that_ends_between_two_runs_is_gone_on_from_before_the_next() -> None:
    names = [f"TS_{run}/Picks/a.json" for run in (1, 2, 3)]

    _, tree, asked = read(names, ["TS_1", "TS_3"], 2)

    assert asked.asked == ["TS_1/!", "TS_3/!"]
    assert tree.runs == {"TS_1", "TS_3"}
    assert {*tree.folders} == {f"TS_{run}{end}" for run in (1, 3) for end in ("", "/Picks")}


def test_runs_of_which_nothing_was_found_are_not_known() -> None:
    (done, pages, _), tree, _ = read(["TS_1/Picks/a.json"], ["TS_0", "TS_1", "TS_2"], 8)

    assert (done, pages, tree.runs) == (3, 1, {"TS_1"})


@pytest.mark.parametrize(("most", "done", "pages"), [(1, 1, 2), (2, 1, 2), (3, 2, 3), (None, 4, 4)])
def test_a_trial_ends_with_some_pages_if_a_run_is_known(most: int | None, done: int, pages: int) -> None:
    names = [f"TS_{run}/Picks/a.json" for run in range(4)]

    found, _, _ = read(names, [f"TS_{run}" for run in range(4)], 1, most)

    assert found[:2] == (done, pages)


def test_a_walk_ends_where_pages_save_too_few_requests() -> None:
    names = [f"TS_{run}/V{volume}/{file}" for run in range(2) for volume in range(3) for file in range(400)]

    tree, asked = walked(names, ["TS_0", "TS_1"], 10)

    assert (tree.takes_more, tree.runs) == (True, set())
    assert len(asked.asked) == 7  # four are tolerated, and then as many as half of the four lists of folders


def test_a_walk_of_small_runs_reads_every_page_once_and_in_parts() -> None:
    runs = [f"TS_{run:03}" for run in range(200)]
    names = [f"{run}/Picks/{number}.json" for run in runs for number in range(10)]

    tree, asked = walked(names, [*reversed(runs)], 20)

    assert (tree.takes_more, tree.runs) == (False, {*runs})
    assert len({*asked.asked}) == len(asked.asked)
    assert 100 <= len(asked.asked) <= 100 + 17


def test_a_server_without_an_order_is_left_to_the_lists_of_folders() -> None:
    class Disordered(Bucket):
        async def page_after(self, live: Any, folder: str, after: str) -> Page:
            return Page([("TS_1/Picks/b.json", None), ("TS_1/Picks/a.json", None)], is_last=True)

    tree = asyncio.run(walk(None, Disordered([], 1), TOP, ["TS_1"]))  # type: ignore[arg-type]

    assert (tree.takes_more, tree.runs, tree.folders) == (True, set(), {})


# ----------------------------------------------------------------------------------------------------------------- services


@pytest.fixture
def stub() -> Iterator[S3Stub]:
    with S3Stub() as running:
        yield running


def listed(stub: S3Stub, url: str, name: str) -> dict[str, int]:
    """The requests that listing the picks of 40 runs takes."""
    runs = [RunKey(f"TS_{n:02}") for n in range(40)]
    stub.put(name, {f"project/ExperimentRuns/{run.name}/Picks/alice_1_ribosome.json": b"{}" for run in runs})
    layer = open_layer("overlay", url, {"key": "someone", "secret": "do-not-tell", "endpoint_url": stub.url})
    with stub.counting() as counts, layer.listing_runs(runs):
        found = layer.list_many(Kind.PICKS, runs)
    assert [len(found[run]) for run in runs] == [1] * 40
    return counts


def test_a_directory_bucket_is_listed_by_folders_as_its_lists_have_no_order(stub: S3Stub) -> None:
    assert listed(stub, "s3://lab--euw1-az1--x-s3/project", "lab--euw1-az1--x-s3") == {"LIST": 40}
    assert listed(stub, "s3://lab/project", "lab") == {"LIST": 1}


def test_google_cloud_storage_lists_after_a_name(stub: S3Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    config = {"base_url": stub.url, "skip_signature": True}
    store = StoreArguments("GCSStore", "GCSFileSystem", "lab", config, {"allow_http": True})
    monkeypatch.setattr(object_store, "translate", lambda url, args: store)

    assert listed(stub, "s3://lab/project", "lab") == {"LIST": 1}
