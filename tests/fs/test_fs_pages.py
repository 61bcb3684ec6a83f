"""What pages of all objects tell of runs, and when they are worth reading."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from copick_backend_fs.buckets import Page
from copick_backend_fs.walking import Tree, _before, _is_past, _is_too_many, _past, _Reading, walk

RUNS = "ExperimentRuns"


class Pages:
    """A bucket whose pages have so many names."""

    def __init__(self, names: list[str], size: int) -> None:
        self.names, self.size = sorted(names), size
        self.asked: list[str] = []

    async def page_after(self, live: Any, folder: str, after: str) -> Page:
        self.asked.append(after)
        found = [name for name in self.names if name > after]
        return Page([(name, f"tag of {name}") for name in found[: self.size]], len(found) <= self.size)


def walked(names: list[str], runs: list[str], size: int) -> tuple[Tree, Pages]:
    pages = Pages(names, size)
    return asyncio.run(walk(None, pages, "", runs)), pages  # type: ignore[arg-type]


def read(names: list[str], runs: list[str], size: int, most: int | None = None) -> tuple[Any, Tree, Pages]:
    tree, pages = Tree(), Pages(names, size)
    reading = _Reading(None, pages, "", tree)  # type: ignore[arg-type]
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
    class Disordered(Pages):
        async def page_after(self, live: Any, folder: str, after: str) -> Page:
            return Page([("TS_1/Picks/b.json", None), ("TS_1/Picks/a.json", None)], is_last=True)

    tree = asyncio.run(walk(None, Disordered([], 1), "", ["TS_1"]))  # type: ignore[arg-type]

    assert (tree.takes_more, tree.runs, tree.folders) == (True, set(), {})
