"""Where a server renames folders but replaces none: whatever is cut off, a volume is there, old or new, and never lost."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import zarr

from copick_backend_fs import other_writers
from copick_backend_fs.files import RemoteFiles
from copick_backend_fs.layer import open_layer
from copick_core.errors import BeingReplacedError, NotFoundError
from copick_core.layers.staged import ASIDE
from copick_core.tree import layout
from copick_core.tree.keys import Kind, TomogramKey
from support.renaming import Renaming

TOMOGRAM = TomogramKey("TS_1", 10.0, "wbp")
OTHER = TomogramKey("TS_1", 10.0, "other")

pytestmark = pytest.mark.filterwarnings("ignore:copick-core was never tried", "ignore:.*let one process at a time write")


class CutError(Exception):
    """A writer that dies: no folder is moved or deleted any more."""


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Opens the layer of one project; each call is another client."""
    fsspec.register_implementation("renaming", Renaming, clobber=True)
    monkeypatch.setattr(other_writers, "_PATIENCE", 0.1)
    return lambda **options: open_layer("overlay", f"renaming://{tmp_path}/project", **options)


def fill(layer: Any, value: int, key: TomogramKey = TOMOGRAM) -> None:
    with layer.replace_zarr(key) as store:
        zarr.create_array(store, name="0", data=np.full(4, value), chunks=(2,))


def value_of(layer: Any) -> int:
    assert layer.volume_version(TOMOGRAM) is not None
    return int(zarr.open_array(layer.zarr(TOMOGRAM), path="0", mode="r")[0])


def replace_and_die(layer: Any, monkeypatch: pytest.MonkeyPatch, moves: int = 1) -> None:
    """Replace the volume by a writer that dies after some moves: the first one moves the old volume aside."""
    move, made = RemoteFiles._move, []

    async def dying(self: RemoteFiles, live: Any, source: str, target: str) -> None:
        if len(made) == moves:
            raise CutError
        made.append(target)
        await move(self, live, source, target)

    with monkeypatch.context() as patched:
        patched.setattr(RemoteFiles, "_move", dying)
        with pytest.raises(CutError):
            fill(layer, 2)


def hidden(layer: Any) -> list[str]:
    folder = Path(layer.full_path(layout.path(TOMOGRAM))).parent
    return sorted(entry.name for entry in folder.iterdir() if entry.name.startswith(ASIDE))


@pytest.mark.parametrize("moves", [0, 1, 2])
def test_a_volume_is_there_whenever_its_replacement_dies(
    opened: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, moves: int
) -> None:
    fill(opened(), 1)
    replace_and_die(opened(), monkeypatch, moves)

    assert opened().exists(TOMOGRAM)
    assert [*opened().list(Kind.TOMOGRAM, TOMOGRAM.parent)] == [TOMOGRAM]
    assert value_of(opened()) == (2 if moves == 2 else 1)


@pytest.mark.parametrize("moves", [1, 2])
def test_the_next_writer_in_the_folder_puts_back_or_removes_what_is_aside(
    opened: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, moves: int
) -> None:
    fill(opened(), 1)
    replace_and_die(opened(), monkeypatch, moves)

    fill(opened(), 3, OTHER)

    assert hidden(opened()) == []
    assert value_of(opened()) == moves


@pytest.mark.parametrize("moves", [1, 2])
def test_a_volume_is_replaced_though_one_lies_aside(
    opened: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, moves: int
) -> None:
    layer = opened()
    fill(layer, 1)  # it has swept the folder, and will not again
    replace_and_die(opened(), monkeypatch, moves)

    fill(layer, 3)
    fill(layer, 4)

    assert value_of(opened()) == 4
    assert hidden(layer) == []


def test_a_reader_that_may_not_write_says_who_can_put_it_back(
    opened: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(opened(), 1)
    replace_and_die(opened(), monkeypatch)

    with pytest.raises(BeingReplacedError, match="may write it puts the old volume back"):
        opened(read_only=True).volume_version(TOMOGRAM)


def test_the_doctor_lists_and_puts_back_what_is_aside(opened: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    fill(opened(), 1)
    replace_and_die(opened(), monkeypatch)

    (problem,) = [one for one in opened().problems() if one.id == "unfinished-replacement"]
    assert (problem.key, problem.severity) == (TOMOGRAM, "error")
    problem.repair.apply()

    assert hidden(opened()) == []
    assert [one.id for one in opened().problems() if "replace" in one.id] == []
    assert value_of(opened()) == 1


def test_a_deleted_volume_does_not_come_back(opened: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    fill(opened(), 1)
    replace_and_die(opened(), monkeypatch, 2)

    opened().delete(TOMOGRAM)

    assert not opened().exists(TOMOGRAM)
    assert opened().volume_version(TOMOGRAM) is None


def test_a_volume_that_is_aside_is_deleted(opened: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    fill(opened(), 1)
    replace_and_die(opened(), monkeypatch)

    opened().delete(TOMOGRAM)

    assert not opened().exists(TOMOGRAM)
    with pytest.raises(NotFoundError):
        opened().delete(TOMOGRAM)


def test_a_writer_that_was_taken_for_dead_is_told_and_the_old_volume_stays(
    opened: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(opened(), 1)
    is_aside, goes_on = threading.Event(), threading.Event()
    move = RemoteFiles._move

    async def slow(self: RemoteFiles, live: Any, source: str, target: str) -> None:
        if ".staged-" in source and target.endswith("wbp.zarr"):
            is_aside.set()
            await asyncio.to_thread(goes_on.wait, 30)
        await move(self, live, source, target)

    told: list[BaseException] = []

    def write() -> None:
        try:
            fill(opened(), 2)
        except OSError as error:
            told.append(error)

    monkeypatch.setattr(RemoteFiles, "_move", slow)
    writer = threading.Thread(target=write)
    writer.start()
    assert is_aside.wait(30)
    before = value_of(opened())
    goes_on.set()
    writer.join()

    assert (before, value_of(opened())) == (1, 1)
    assert told


def test_a_name_too_long_to_be_told_is_replaced_all_the_same(opened: Callable[..., Any], tmp_path: Path) -> None:
    key = TomogramKey("TS_1", 10.0, "w" * 248)
    fill(opened(), 1, key)

    fill(opened(), 2, key)

    assert int(zarr.open_array(opened().zarr(key), path="0", mode="r")[0]) == 2
    shutil.rmtree(tmp_path)
