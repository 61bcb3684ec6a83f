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
from copick_backend_fs.walking import walk
from copick_core.tree.keys import Kind, RunKey

TOP = "project/ExperimentRuns"


def by_folder(name: str) -> list[str]:
    """The order of servers that keep folders."""
    return name.split("/")


class Bucket:
    """Objects below the folder of runs, listed in an order by pages of some size."""

    def __init__(self, names: list[str], size: int, order: Callable[[str], Any] = str, *, lists_after: bool = True) -> None:
        self.names, self.size, self.pages = sorted(names, key=order), size, 0
        self.order, self.lists_after = order, lists_after

    async def page_after(self, live: Any, folder: str, after: str) -> Page:
        assert (live, folder) == (None, TOP)
        self.pages += 1
        first = bisect.bisect_right(self.names, self.order(after), key=self.order) if self.lists_after else 0
        names = self.names[first : first + self.size]
        return Page([(name, f"revision of {name}") for name in names], len(names) < self.size)

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
    assert bucket.pages <= 10 + 4  # each part that is read at once may read one page more


def test_runs_of_large_volumes_are_left_to_the_lists_of_folders() -> None:
    runs = [f"TS_{n:04}" for n in range(100)]
    spacings = [f"VoxelSpacing{size}.000/wbp.zarr/0/{n}" for size in range(10, 20) for n in range(1000)]
    bucket = Bucket([f"{run}/{name}" for run in runs for name in spacings], 1000)

    tree = asyncio.run(walk(None, bucket, TOP, runs))  # type: ignore[arg-type]

    assert tree.takes_more
    assert bucket.pages < 20


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
