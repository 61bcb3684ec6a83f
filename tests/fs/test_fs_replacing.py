"""Volumes in a bucket are replaced whole: whatever is cut off, and however many write at once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

import copick_core
from copick_backend_fs import other_writers, records, replacing, s3, writers
from copick_backend_fs.buckets import BucketFiles
from copick_backend_fs.documents import is_metadata
from copick_backend_fs.records import Record, decode, record_of, volume_of
from copick_backend_fs.replacing import Replacement
from copick_core.errors import BeingReplacedError
from copick_core.tree.keys import Kind, TomogramKey
from copick_core.volumes.ome import VolumeFormat, open_level, write_volume
from support.objects import OBJECTS
from support.s3_server import S3Server

TOMOGRAM = TomogramKey("TS_1", 10.0, "wbp")
PATH = "ExperimentRuns/TS_1/VoxelSpacing10.000/wbp.zarr"
RECORD = "ExperimentRuns/TS_1/VoxelSpacing10.000/.replacing-wbp.zarr"


class Cut(BaseException):
    """A writer that dies: nothing of its clean-up happens."""


def fill(layer: Any, value: int, shape: tuple[int, ...] = (8, 4, 4), zarr_format: Any = 2) -> None:
    with layer.replace_zarr(TOMOGRAM) as store:
        format = VolumeFormat(zarr_format, chunks=4)
        write_volume(store, np.full(shape, value, "u1"), 10.0, levels=1, format=format)


def values(layer: Any) -> list[int]:
    """What a reader gets: the values of the volume; opening waits for, or finishes, what was cut off."""
    version = layer.volume_version(TOMOGRAM)
    assert version is not None
    return np.unique(open_level(layer.zarr(TOMOGRAM))[...]).tolist()


def cut_after(monkeypatch: pytest.MonkeyPatch, requests: int, *, dead: bool = True) -> Callable[[], int]:
    """Let a writer stop before it asks for the n-th change of the replacement; gives how many there were.

    One that is interrupted, and not dead, may still say that it gives up.
    """
    asked = 0
    ask = Replacement._ask

    def counting(self: Replacement, question: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal asked
        if question.__name__ not in ("find", "exists", "read_revised"):
            asked += 1
            if asked == requests + 1 or (asked > requests and dead):
                raise Cut
        return ask(self, question, *args, **kwargs)

    monkeypatch.setattr(Replacement, "_ask", counting)
    return lambda: asked


def age(server: S3Server) -> None:
    """Let the writer of the record that stands be dead."""
    keys = [key for key in server.keys("lab") if records.PREFIX in key]
    for key in keys:
        record = json.loads(server._backend.get_object("lab", key).value)
        server.put("lab", {key: json.dumps({**record, "host": "elsewhere", "renewed": 0.0}).encode()})


STEPS = range(10)


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("step", STEPS)
def test_a_replacement_that_dies_at_any_step_ends_as_the_old_volume_or_the_new_one(
    opened: Callable[..., Any], server: S3Server, monkeypatch: pytest.MonkeyPatch, step: int, zarr_format: int
) -> None:
    fill(opened(), 1, (12, 4, 4), zarr_format)
    before = {key for key in server.keys("lab") if PATH in key}

    with monkeypatch.context() as patched:
        patched.setattr(Replacement, "_abandon", lambda self: None)
        asked = cut_after(patched, step)
        try:
            fill(opened(), 2)
        except Cut:
            assert asked() > step
    age(server)

    assert values(opened()) in ([1], [2])
    fill(opened(), 3)
    assert values(opened()) == [3]
    left = set(server.keys("lab"))
    assert not [key for key in left if records.PREFIX in key]
    assert len([key for key in left if PATH in key]) <= len(before)


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("step", [2, 3, 4])
def test_a_volume_of_nothing_but_zeros_is_there_whenever_its_replacement_dies(
    opened: Callable[..., Any], server: S3Server, monkeypatch: pytest.MonkeyPatch, step: int, zarr_format: int
) -> None:
    fill(opened(), 0, zarr_format=zarr_format)  # nothing is stored of it but its documents, which are deleted first
    assert not [key for key in server.keys("lab") if PATH in key and not is_metadata(key.partition(f"{PATH}/")[2])]

    with monkeypatch.context() as patched:
        patched.setattr(Replacement, "_abandon", lambda self: None)
        cut_after(patched, step)
        with suppress(Cut):
            fill(opened(), 2)

    assert opened().exists(TOMOGRAM)
    assert [*opened().list(Kind.TOMOGRAM, TOMOGRAM.parent)] == [TOMOGRAM]
    age(server)
    assert values(opened()) in ([0], [2])


def test_a_volume_whose_replacement_ends_while_its_folder_is_listed_is_listed(
    opened: Callable[..., Any], server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(opened(), 0)
    with monkeypatch.context() as patched:
        cut_after(patched, 3)  # when nothing is left of the old one, and nothing is there of the new one
        with pytest.raises(Cut):
            fill(opened(), 2)
    assert not [key for key in server.keys("lab") if PATH in key]
    age(server)
    reader, writer = opened(), opened()
    writers = reader._writers
    record = writers.record
    monkeypatch.setattr(writers, "record", lambda path: record(path) if values(writer) == [2] else None)

    listed = [*reader.list(Kind.TOMOGRAM, TOMOGRAM.parent)]

    assert listed == [TOMOGRAM]


def test_a_volume_is_deleted_for_good_though_its_replacement_was_cut_off(
    opened: Callable[..., Any], server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(opened(), 1)
    with monkeypatch.context() as patched:
        cut_after(patched, 3)
        with pytest.raises(Cut):
            fill(opened(), 2)
    age(server)

    opened().delete(TOMOGRAM)
    opened().sweep_staged(PATH.rpartition("/")[0])

    assert not opened().exists(TOMOGRAM)
    assert not [key for key in server.keys("lab") if "wbp.zarr" in key]


def test_a_volume_that_somebody_replaces_is_not_deleted(
    opened: Callable[..., Any], server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(opened(), 1)
    server.put("lab", {f"project/{RECORD}": Record.of_this_process("replace", ".staged-x", ".zattrs").encoded()})
    monkeypatch.setattr(other_writers, "_PATIENCE", 0.1)

    with pytest.raises(BeingReplacedError):
        opened().delete(TOMOGRAM)

    assert [key for key in server.keys("lab") if f"{PATH}/.zattrs" in key]


def test_the_steps_are_all_steps(opened: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    fill(opened(), 1, (12, 4, 4))
    asked = cut_after(monkeypatch, 1000)

    fill(opened(), 2)

    assert asked() == len(STEPS)


def test_a_replacement_that_was_interrupted_is_finished_by_the_next_reader(
    opened: Callable[..., Any], server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = opened()
    fill(layer, 1)
    with monkeypatch.context() as patched:
        cut_after(patched, 2, dead=False)
        with pytest.raises(Cut):
            fill(layer, 2)

    assert values(opened()) == [2]  # the writer said that it gives up: nobody waits for its record to grow old


def test_one_request_that_fails_is_made_up_for(
    opened: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, server: S3Server
) -> None:
    fill(opened(), 1)
    ask, failures = Replacement._ask, [OSError("503")]

    def failing(self: Replacement, question: Any, *args: Any, **kwargs: Any) -> Any:
        if question.__name__ == "copy" and failures:
            raise failures.pop()
        return ask(self, question, *args, **kwargs)

    monkeypatch.setattr(Replacement, "_ask", failing)

    fill(opened(), 2)

    assert values(opened()) == [2]
    assert not [key for key in server.keys("lab") if "/." in key and not key.rpartition("/")[2].startswith((".z", ".meta"))]


def test_a_failure_before_the_old_volume_is_touched_is_an_error_and_leaves_it(
    opened: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, server: S3Server
) -> None:
    fill(opened(), 1)
    before = server.keys("lab")
    monkeypatch.setattr(Replacement, "_delete", lambda self, names: (_ for _ in ()).throw(PermissionError("no")))

    with pytest.raises(PermissionError):
        fill(opened(), 2)

    monkeypatch.undo()
    assert values(opened()) == [1]
    assert server.keys("lab") == before


def record(**fields: Any) -> Record:
    now = time.time()
    known = {"staged": ".staged-x", "last": ".zattrs", "owner": "o", "host": "elsewhere", "process": 1, "started": "1"}
    return Record(**{**known, "since": now, "renewed": now, **fields})


def test_a_volume_that_a_living_writer_replaces_is_waited_for_and_then_refused(
    opened: Callable[..., Any], server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("copick_backend_fs.other_writers._PATIENCE", 0.1)
    server.put("lab", {f"project/{RECORD}": record().encoded(), f"project/{PATH}/0/0": b"x"})

    with pytest.raises(BeingReplacedError, match="wbp"):
        opened().volume_version(TOMOGRAM)
    with pytest.raises(BeingReplacedError) as caught:
        fill(opened(), 2)

    assert caught.value.key == TOMOGRAM
    assert f"project/{PATH}/0/0" in server.keys("lab")


def test_a_reader_that_may_not_write_says_who_can_finish(opened: Callable[..., Any], server: S3Server) -> None:
    server.put("lab", {f"project/{RECORD}": record(renewed=0.0).encoded(), f"project/{PATH}/0/0": b"x"})

    with pytest.raises(BeingReplacedError, match="cut off: reading it with a project that may write"):
        opened(read_only=True).volume_version(TOMOGRAM)
    assert f"project/{RECORD}" in server.keys("lab")


def test_a_file_that_is_no_record_stands_in_nobodys_way(opened: Callable[..., Any], server: S3Server) -> None:
    server.put("lab", {f"project/{RECORD}": b"not a record"})

    fill(opened(), 2)

    assert values(opened()) == [2]


def test_of_several_writers_one_wins_and_the_others_are_told(opened: Callable[..., Any]) -> None:
    fill(opened(), 1)

    def write(value: int) -> int | None:
        try:
            fill(opened(), value, (16, 16, 16))
        except BeingReplacedError:
            return None
        return value

    with ThreadPoolExecutor(4) as pool:
        won = [value for value in pool.map(write, range(2, 6)) if value]

    assert won
    [left] = values(opened())
    assert left in won


def test_a_writer_that_was_taken_for_dead_stops(opened: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replacing, "_RENEWED", -1.0)
    fill(opened(), 1)
    put = Replacement._put

    def taken_over(self: Replacement, mine: Record, revision: Any) -> None:
        put(self, mine, revision)
        if self._revision is not None and mine.owner != "other":
            other = Replacement(self._connection, self._files, self._path)
            other._put(record(owner="other", staged=mine.staged), self._revision)

    monkeypatch.setattr(Replacement, "_put", taken_over)
    with pytest.raises(BeingReplacedError):
        fill(opened(), 2)


@pytest.mark.parametrize("obstore", [True], ids=["obstore"], indirect=True)  # botocore waits before it asks again
def test_a_replacement_goes_on_though_the_answer_to_its_record_was_lost(
    opened: Callable[..., Any], server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = opened()
    fill(layer, 1)  # which also tries how the server takes conditions
    put, lost = Replacement._put, []

    def unanswered(self: Replacement, record: Record, revision: Any) -> None:
        if not lost:
            lost.append(record)
            server.loses = 1
        put(self, record, revision)

    monkeypatch.setattr(Replacement, "_put", unanswered)

    fill(layer, 2)

    assert lost
    assert server.loses == 0
    assert values(opened()) == [2]


def test_a_long_replacement_renews_its_record_before_each_part(
    opened: Callable[..., Any], server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replacing, "_BATCH", 1)
    monkeypatch.setattr(replacing, "_RENEWED", -1.0)
    fill(opened(), 1)
    copy, renewals = Replacement._copy, []

    def noting(self: Replacement, staged: str, names: Sequence[str]) -> None:
        renewals.append(decode(server._backend.get_object("lab", f"project/{RECORD}").value).renewed)
        copy(self, staged, names)

    monkeypatch.setattr(Replacement, "_copy", noting)

    fill(opened(), 2, (16, 4, 4))

    assert len(set(renewals[:4])) == 4  # one for each of its four chunks


def test_a_process_that_has_ended_is_no_living_writer() -> None:
    import subprocess
    import sys

    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = writers.started(child.pid)
    living = record(host=writers.host(), process=child.pid, started=started)

    assert not living.is_abandoned
    child.communicate(b"\n")
    assert living.is_abandoned
    assert record(renewed=time.time() - 2 * records.LEASE).is_abandoned
    assert not record().is_abandoned


def test_a_record_is_read_as_it_was_written() -> None:
    made = record()

    assert decode(made.encoded()) == made
    assert decode(b"[]") is None
    assert volume_of(record_of(PATH)) == PATH


def test_the_next_writer_in_a_folder_finishes_what_was_cut_off_beside_it(
    opened: Callable[..., Any], server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(opened(), 1)
    with monkeypatch.context() as patched:
        cut_after(patched, 2, dead=False)
        with pytest.raises(Cut):
            fill(opened(), 2)

    other = TomogramKey("TS_1", 10.0, "other")
    with opened().replace_zarr(other) as store:
        write_volume(store, np.ones((2, 2, 2)), 10.0)

    assert f"project/{PATH}/.zattrs" in server.keys("lab")
    assert f"project/{RECORD}" not in server.keys("lab")


def test_a_cut_off_deletion_leaves_no_volume_that_can_be_opened(
    opened: Callable[..., Any], server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("copick_backend_fs.buckets._AT_ONCE", 1)
    layer = opened()
    fill(layer, 1)
    delete_files = type(layer._files).delete_files
    calls: list[Any] = []

    async def cut(self: Any, live: Any, paths: Any) -> None:
        calls.append(paths)
        if len(calls) > 1:
            raise OSError("cut")
        await delete_files(self, live, paths)

    monkeypatch.setattr(type(layer._files), "delete_files", cut)
    with pytest.raises(OSError, match="cut"):
        layer.delete(TOMOGRAM)

    assert [key for key in server.keys("lab") if PATH in key]
    assert not [key for key in server.keys("lab") if PATH in key and is_metadata(key)]
    assert issubclass(type(layer._files), BucketFiles)
    assert s3.MARK


# ------------------------------------------------------------------------------------------------------------- whole reads


def test_a_first_region_is_four_requests_and_a_later_one_its_chunk_and_a_check(server: S3Server, obstore: bool) -> None:
    fs_args = {"endpoint_url": server.url, "key": "someone", "secret": "secret", "obstore": obstore}
    config = {"config_type": "filesystem", "overlay_root": "s3://lab/project", "pickable_objects": OBJECTS}
    config = {**config, "overlay_fs_args": {k: v for k, v in fs_args.items() if k != "obstore"}, "obstore": obstore}
    made = copick_core.open(config).new_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp")
    made.from_numpy(np.ones((8, 8, 8)))
    tomogram = copick_core.open(config).get_run("TS_1").get_voxel_spacing(10.0).get_tomogram("wbp")

    with server.counting() as first:
        tomogram.numpy(z=slice(0, 2))
    with server.counting() as later:
        tomogram.numpy(z=slice(2, 4))

    assert first == {"GET": 3, "HEAD": 1}
    assert later == {"GET": 1, "HEAD": 1}


def test_a_read_during_which_the_volume_is_replaced_is_made_again(
    server: S3Server, obstore: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {
        "config_type": "filesystem",
        "overlay_root": "s3://lab/project",
        "overlay_fs_args": {"endpoint_url": server.url, "key": "someone", "secret": "secret"},
        "pickable_objects": OBJECTS,
        "obstore": obstore,
    }
    made = copick_core.open(config).new_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp")
    made.from_numpy(np.ones((8, 8, 8)), chunks=4)
    tomogram = copick_core.open(config).get_run("TS_1").get_voxel_spacing(10.0).get_tomogram("wbp")
    writer = copick_core.open(config).get_run("TS_1").get_voxel_spacing(10.0).get_tomogram("wbp")
    from copick_core.volumes import chunk_parts

    read, replaced = chunk_parts.read, []

    def disturbed(array: Any, region: Any) -> Any:
        found = read(array, region)
        if not replaced:
            replaced.append(True)
            writer.from_numpy(np.full((8, 8, 8), 2), chunks=4)
        return found

    monkeypatch.setattr(chunk_parts, "read", disturbed)

    assert (tomogram.numpy() == 2).all()
