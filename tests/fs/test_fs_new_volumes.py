"""A new volume in a bucket is made in place: one request for each value, invisible until its last document is stored."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import copick_core
from copick_backend_fs import making, records
from copick_backend_fs.records import Record
from copick_core.errors import BeingReplacedError
from copick_core.tree.keys import Kind, TomogramKey
from copick_core.volumes.ome import VolumeFormat, open_level, write_volume
from support.objects import OBJECTS
from support.s3_server import S3Server

TOMOGRAM = TomogramKey("TS_1", 10.0, "wbp")
OTHER = TomogramKey("TS_1", 10.0, "other")
FOLDER = "project/ExperimentRuns/TS_1/VoxelSpacing10.000"
PATH = f"{FOLDER}/wbp.zarr"


def write(store: Any, value: int = 1, zarr_format: Any = 2, chunks: int = 4) -> None:
    write_volume(store, np.full((8, 4, 4), value, "u1"), 10.0, levels=1, format=VolumeFormat(zarr_format, chunks=chunks))


def fill(layer: Any, value: int, **options: Any) -> None:
    with layer.replace_zarr(TOMOGRAM) as store:
        write(store, value, **options)


def age(server: S3Server) -> None:
    """Let the writers of all records be dead."""
    import json

    for key in server.keys("lab"):
        if records.PREFIX in key:
            record = json.loads(server._backend.get_object("lab", key).value)
            server.put("lab", {key: json.dumps({**record, "host": "elsewhere", "renewed": 0.0}).encode()})


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_new_volume_is_one_put_for_each_object_and_at_most_eight_requests_more(
    opened: Callable[..., Any], server: S3Server, zarr_format: int
) -> None:
    layer = opened()
    server.forget()

    fill(layer, 1, zarr_format=zarr_format, chunks=1)

    objects = len([key for key in server.keys("lab") if PATH in key])
    assert objects > 128
    assert "COPY" not in server.requests
    assert len(server.requests) <= objects + 8


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_replacement_is_one_put_and_one_copy_for_each_object_and_at_most_eight_requests_more(
    opened: Callable[..., Any], server: S3Server, zarr_format: int
) -> None:
    layer = opened()
    fill(layer, 1, zarr_format=zarr_format, chunks=1)
    server.forget()

    fill(layer, 2, zarr_format=zarr_format, chunks=1)

    objects = len([key for key in server.keys("lab") if PATH in key])
    lists_and_deletes = 2  # one LIST and one multi-delete for 1,000 keys
    assert len(server.requests) <= 2 * objects + 8 + lists_and_deletes


def test_a_new_volume_is_neither_listed_nor_there_before_it_is_complete(opened: Callable[..., Any], server: S3Server) -> None:
    layer, other = opened(), opened()
    fill(layer, 1)

    with layer.replace_zarr(OTHER) as store:
        write(store)
        during = [([*each.list(Kind.TOMOGRAM, OTHER.parent)], each.exists(OTHER)) for each in (layer, other)]
        assert any("other.zarr/0" in key for key in server.keys("lab"))
        layer.forget(OTHER.parent)
        other.forget(OTHER.parent)

    assert during == [([TOMOGRAM], False)] * 2
    for each in (layer, other):
        assert {*each.list(Kind.TOMOGRAM, OTHER.parent)} == {TOMOGRAM, OTHER}
        assert each.exists(OTHER)
    assert not [key for key in server.keys("lab") if records.PREFIX in key]


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_nobody_can_open_a_new_volume_before_it_is_complete(
    opened: Callable[..., Any], server: S3Server, monkeypatch: pytest.MonkeyPatch, zarr_format: int
) -> None:
    monkeypatch.setattr("copick_backend_fs.other_writers._PATIENCE", 0.1)
    with opened().replace_zarr(TOMOGRAM) as store:
        write(store, zarr_format=zarr_format)
        assert (open_level(store)[...] == 1).all()
        assert not [
            key for key in server.keys("lab") if PATH in key and records.PREFIX not in key and ".z" in key[len(PATH) :]
        ]
        with pytest.raises(KeyError):
            open_level(opened().zarr(TOMOGRAM))
        with pytest.raises(BeingReplacedError, match="wbp"):
            opened().volume_version(TOMOGRAM)

    assert (open_level(opened().zarr(TOMOGRAM))[...] == 1).all()


def test_a_reader_waits_for_a_new_volume(server: S3Server, obstore: bool) -> None:
    config = {
        "config_type": "filesystem",
        "overlay_root": "s3://lab/project",
        "overlay_fs_args": {"endpoint_url": server.url, "key": "someone", "secret": "secret"},
        "pickable_objects": OBJECTS,
        "obstore": obstore,
    }
    root = copick_core.open(config)
    tomogram = root.new_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp")
    reader = copick_core.open(config).entity("TS_1/wbp@10.0", kind="tomogram")
    written = threading.Event()
    with ThreadPoolExecutor(1) as pool, tomogram._layer.replace_zarr(TOMOGRAM) as store:
        write(store)
        read = pool.submit(lambda: (written.set(), reader.numpy())[1])
        written.wait()

    assert (read.result() == 1).all()


def test_an_error_leaves_nothing_of_a_new_volume(opened: Callable[..., Any], server: S3Server) -> None:
    def fail() -> None:
        with opened().replace_zarr(TOMOGRAM) as store:
            write(store)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert server.keys("lab") == []


def test_of_several_who_make_a_volume_one_wins_and_the_others_are_told(opened: Callable[..., Any], server: S3Server) -> None:
    meet = threading.Barrier(4)

    def make(value: int) -> int | None:
        layer = opened()
        meet.wait()
        try:
            fill(layer, value)
        except BeingReplacedError:
            return None
        return value

    with ThreadPoolExecutor(4) as pool:
        won = [value for value in pool.map(make, range(1, 5)) if value]

    assert won
    left = np.unique(open_level(opened().zarr(TOMOGRAM))[...]).tolist()
    assert len(left) == 1
    assert left[0] in won
    assert not [key for key in server.keys("lab") if records.PREFIX in key]


def test_a_new_volume_whose_writer_died_is_removed_by_the_next_writer_in_its_folder(
    opened: Callable[..., Any], server: S3Server
) -> None:
    def die() -> None:
        with opened().replace_zarr(TOMOGRAM) as store:
            write(store)
            server.allows = 0

    with pytest.raises(PermissionError):
        die()
    server.allows = None
    age(server)

    assert not opened().exists(TOMOGRAM)
    with opened().replace_zarr(OTHER) as store:
        write(store)

    assert {key for key in server.keys("lab") if PATH in key or records.PREFIX in key} == set()


def test_a_new_volume_that_was_complete_when_its_writer_died_is_kept(
    opened: Callable[..., Any], server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(self: Any, new: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(making.Making, "_clean_up", die)
        patched.setattr(making.Making, "discard", lambda self: self._stop())
        with pytest.raises(KeyboardInterrupt):
            fill(opened(), 1)
    age(server)

    with opened().replace_zarr(OTHER) as store:
        write(store)

    assert (open_level(opened().zarr(TOMOGRAM))[...] == 1).all()
    assert not [key for key in server.keys("lab") if records.PREFIX in key]


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_new_volume_that_is_complete_is_there_though_its_record_could_not_be_deleted(
    opened: Callable[..., Any], server: S3Server, monkeypatch: pytest.MonkeyPatch, zarr_format: Any
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(making.Making, "_clean_up", lambda self, new: None)
        fill(opened(), 1, zarr_format=zarr_format)

    assert [key for key in server.keys("lab") if records.PREFIX in key]
    assert opened().exists(TOMOGRAM)
    assert TOMOGRAM in opened().list(Kind.TOMOGRAM, TOMOGRAM.parent)


def test_a_maker_that_dies_when_another_one_is_done_takes_nothing_of_that_volume_away(
    opened: Callable[..., Any], server: S3Server
) -> None:
    fill(opened(), 1)
    record = Record.of_this_process("new")  # it has seen no volume, and would now find that there is one
    server.put("lab", {f"{FOLDER}/{records.PREFIX}wbp.zarr": record.encoded()})
    age(server)

    opened().sweep_staged(FOLDER.removeprefix("project/"))

    assert (open_level(opened().zarr(TOMOGRAM))[...] == 1).all()
    assert not [key for key in server.keys("lab") if records.PREFIX in key]


def test_a_writer_that_was_taken_for_dead_stops_and_touches_nothing_of_the_other(
    opened: Callable[..., Any], server: S3Server
) -> None:
    def taken_over() -> None:
        with opened().replace_zarr(TOMOGRAM) as store:
            write(store, 1)
            age(server)
            opened().sweep_staged(FOLDER.removeprefix("project/"))
            fill(opened(), 2)

    with pytest.raises(BeingReplacedError):
        taken_over()

    assert np.unique(open_level(opened().zarr(TOMOGRAM))[...]).tolist() == [2]


def test_a_writer_that_was_suspended_renews_before_it_stores_more(
    opened: Callable[..., Any], server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zarr.core.buffer.cpu import Buffer
    from zarr.core.sync import sync

    monkeypatch.setattr(making.Making, "is_due", True)

    def suspended() -> None:
        with opened().replace_zarr(TOMOGRAM) as store:
            sync(store.set("0/0", Buffer.from_bytes(b"x")))
            age(server)
            opened().sweep_staged(FOLDER.removeprefix("project/"))
            sync(store.set("0/1", Buffer.from_bytes(b"x")))

    with pytest.raises(BeingReplacedError):
        suspended()

    assert server.keys("lab") == []


@pytest.mark.slow
def test_a_slow_writer_renews_its_record_by_itself(
    opened: Callable[..., Any], server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    renewed = threading.Event()
    put = making.Making._put

    def noting(self: Any, record: Any, revision: Any) -> None:
        put(self, record, revision)
        if revision is not None:
            renewed.set()

    monkeypatch.setattr(making, "_RENEWED", 0.01)
    monkeypatch.setattr(making.Making, "_put", noting)
    with opened().replace_zarr(TOMOGRAM) as store:
        write(store)
        assert renewed.wait(30)

    assert (open_level(opened().zarr(TOMOGRAM))[...] == 1).all()


def test_another_process_can_add_values_to_a_new_volume(opened: Callable[..., Any], server: S3Server) -> None:
    with opened().replace_zarr(TOMOGRAM) as store:
        write(store, 1)
        there = pickle.loads(pickle.dumps(store))
        open_level(there)[:4] = 3
        assert open_level(store)[:4].tolist() == np.full((4, 4, 4), 3).tolist()

    assert np.unique(open_level(opened().zarr(TOMOGRAM))[...]).tolist() == [1, 3]


# ------------------------------------------------------------------------------------------- the store of a new volume


def listed(names: Any) -> list[str]:
    from zarr.core.sync import sync

    async def collected() -> list[str]:
        return [name async for name in names]

    return sync(collected())


def test_a_new_volume_shows_what_it_holds_back_beside_what_is_stored(opened: Callable[..., Any], server: S3Server) -> None:
    from zarr.abc.store import RangeByteRequest
    from zarr.core.buffer import default_buffer_prototype
    from zarr.core.sync import sync

    prototype = default_buffer_prototype()
    put = prototype.buffer.from_bytes
    with opened().replace_zarr(TOMOGRAM) as store:
        for name, data in ((".zattrs", b"{}"), ("0/.zarray", b"0123456789"), ("0/0", b"12"), ("0x/1", b"3")):
            sync(store.set(name, put(data)))
        server.forget()

        assert sync(store.get("0/.zarray", prototype, RangeByteRequest(2, 5))).to_bytes() == b"234"
        assert sync(store.get(".zattrs")).to_bytes() == b"{}"
        assert sync(store.get(".zgroup")) is None
        assert [sync(store.exists(name)) for name in (".zattrs", "0/.zarray", ".zgroup", "0/0", "0/1")] == [
            *[True, True, False],
            *[True, False],
        ]
        assert sync(store.getsize("0/.zarray")) == 10
        assert [sync(store.is_empty(prefix)) for prefix in ("", "0", "0/", "0x", "1")] == [False, False, False, False, True]
        assert not server.requests

        assert sync(store.getsize("0/0")) == 2
        assert sorted(listed(store.list())) == [".zattrs", "0/.zarray", "0/0", "0x/1"]
        assert sorted(listed(store.list_prefix("0/"))) == ["0/.zarray", "0/0"]
        assert listed(store.list_dir("")) == ["0", "0x", ".zattrs"]
        assert listed(store.list_dir("0")) == listed(store.list_dir("0/")) == ["0", ".zarray"]

        sync(store.delete(".zattrs"))
        sync(store.delete("0x/1"))
        assert sorted(listed(store.list())) == ["0/.zarray", "0/0"]
        sync(store.delete_dir("0"))
        assert listed(store.list()) == []
        write(store)

    assert (open_level(opened().zarr(TOMOGRAM))[...] == 1).all()


def test_a_new_volume_that_is_only_read_refuses_every_change(opened: Callable[..., Any]) -> None:
    from zarr.core.buffer import default_buffer_prototype
    from zarr.core.sync import sync

    value = default_buffer_prototype().buffer.from_bytes(b"{}")
    with opened().replace_zarr(TOMOGRAM) as store:
        write(store)
        reader = store.with_read_only(True)

        assert (reader.read_only, store.read_only, reader.with_read_only().read_only) == (True, False, False)
        assert listed(reader.list()) == listed(store.list())
        for name in (".zattrs", "0/0"):
            for call in (lambda name=name: reader.set(name, value), lambda name=name: reader.delete(name)):
                with pytest.raises(ValueError, match="read-only"):
                    sync(call())
        with pytest.raises(ValueError, match="read-only"):
            sync(reader.delete_dir("0"))


def test_a_record_is_renewed_by_one_thread_at_a_time_and_only_when_it_is_due(opened: Callable[..., Any]) -> None:
    from support.locks import waits_for

    with opened().replace_zarr(TOMOGRAM) as store:
        write(store)
        maker = store._making
        before = maker._record
        maker.renew()
        unchanged = maker._record

        assert waits_for(maker._renewing, maker.renew)
        maker.renew(after=0.0)

        assert unchanged is before
        assert maker._record.renewed > before.renewed
        assert not maker.is_due


def test_a_volume_that_was_made_just_before_the_record_stood_is_replaced(
    opened: Callable[..., Any], server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = making.Making._take

    def overtaken(self: Any, record: Any) -> None:
        monkeypatch.setattr(making.Making, "_take", take)
        fill(opened(), 1)
        take(self, record)

    monkeypatch.setattr(making.Making, "_take", overtaken)
    fill(opened(), 2)

    assert np.unique(open_level(opened().zarr(TOMOGRAM))[...]).tolist() == [2]
    assert not [key for key in server.keys("lab") if records.PREFIX in key]


def test_who_cannot_look_after_its_record_stands_leaves_the_record_to_others(
    opened: Callable[..., Any], server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = opened()
    take = making.Making._take

    def then_refused(self: Any, record: Any) -> None:
        take(self, record)
        monkeypatch.setattr(type(layer._files), "exists", _refused)

    with monkeypatch.context() as patched:
        patched.setattr(making.Making, "_take", then_refused)
        with pytest.raises(PermissionError):
            fill(layer, 1)
    monkeypatch.undo()

    fill(opened(), 2)
    assert np.unique(open_level(opened().zarr(TOMOGRAM))[...]).tolist() == [2]


async def _refused(self: Any, live: Any, path: str, *, folder: bool) -> bool:
    raise PermissionError(path)
