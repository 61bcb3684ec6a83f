"""What is stored in a local folder survives a power cut, and two writes in one moment are told apart."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from copick_backend_fs.local import LocalLayer
from copick_core.tree import layout
from copick_core.tree.keys import FilamentsKey, MeshKey, PicksKey, RunKey, VoxelSpacingKey
from support.syncs import assert_synced, content_of, recorded_syncs

RUN = RunKey("TS_1")
FILES = [cls("TS_1", "ribosome", "alice", "1") for cls in (PicksKey, MeshKey, FilamentsKey)]


@pytest.fixture
def layer(tmp_path: Path) -> LocalLayer:
    return LocalLayer("overlay", tmp_path / "project")


@pytest.mark.parametrize("old", [None, b"old"], ids=["new", "over another"])
@pytest.mark.parametrize("key", FILES, ids=lambda key: key.kind.value)
def test_a_file_is_on_disk_before_it_takes_its_place_and_its_folder_afterwards(
    layer: LocalLayer, key: PicksKey | MeshKey | FilamentsKey, old: bytes | None
) -> None:
    place = Path(layer.location(key))
    if old is not None:
        layer.write(key, old)

    with recorded_syncs(lambda: content_of(place)) as syncs:
        layer.write(key, b"new")

    assert [(s.path.parent, s.content, s.seen) for s in syncs[:1]] == [(place.parent, b"new", old)]
    assert [tuple(s) for s in syncs[1:]] == [(place.parent, None, b"new")]


@pytest.mark.parametrize("key", [RUN, VoxelSpacingKey("TS_1", 10.0)], ids=lambda key: key.kind.value)
def test_the_marker_of_a_container_is_on_disk_before_it_takes_its_place(
    layer: LocalLayer, key: RunKey | VoxelSpacingKey
) -> None:
    folder = Path(layer.location(key))

    with recorded_syncs(lambda: content_of(folder / ".meta")) as syncs:
        layer.ensure(key)

    assert [(s.path.parent, s.content, s.seen) for s in syncs[:1]] == [(folder, b"meta", None)]
    assert [tuple(s) for s in syncs[1:]] == [(folder, None, b"meta")]


@pytest.mark.parametrize("key", FILES, ids=lambda key: key.kind.value)
def test_a_file_has_the_time_of_its_write_and_not_that_of_a_tick_of_the_kernel(
    layer: LocalLayer, key: PicksKey | MeshKey | FilamentsKey
) -> None:
    def seconds_off(write: Callable[[], object]) -> bool:
        before = time.time_ns()
        write()
        return not before <= Path(layer.location(key)).stat().st_mtime_ns <= time.time_ns()

    assert not [n for n in range(20) if seconds_off(lambda n=n: layer.write(key, b"%02d" % n))]


@pytest.mark.parametrize("old", [None, b"old"], ids=["new", "over another"])
def test_a_record_of_a_run_is_on_disk_before_it_takes_its_place_and_its_folder_afterwards(
    layer: LocalLayer, old: bytes | None
) -> None:
    place = Path(layer.root, layout.record(RUN, "review"))
    if old is not None:
        layer.write_record(RUN, "review", old)

    with recorded_syncs(lambda: content_of(place)) as syncs:
        layer.write_record(RUN, "review", b"new")

    assert_synced(syncs, place)
