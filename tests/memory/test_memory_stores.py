"""The zarr stores of volumes in memory, and what the layer answers where something is wrong or missing."""

from __future__ import annotations

import re
from typing import Any

import pytest
from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync

from copick_backend_memory.config import CopickConfigMemory
from copick_backend_memory.layer import MemoryLayer, Place
from copick_backend_memory.new_config import new_config
from copick_backend_memory.opening import open_layers
from copick_backend_memory.volumes import MemoryVolume
from copick_core.errors import ConflictError, NotFoundError
from copick_core.tree.keys import PicksKey, RunKey, TomogramKey

RUN = RunKey("TS_1")
PICKS = PicksKey("TS_1", "ribosome", "alice", "1")
TOMOGRAM = TomogramKey("TS_1", 10.0, "wbp")
OTHER = TomogramKey("TS_1", 10.0, "denoised")
PROTOTYPE = default_buffer_prototype()


@pytest.fixture
def layer() -> MemoryLayer:
    return MemoryLayer("notes")


@pytest.fixture
def volume(layer: MemoryLayer) -> MemoryVolume:
    store = layer.zarr(TOMOGRAM)
    store.set_sync("a", buffer(b"0123456789"))
    store.set_sync("b/c", buffer(b"1"))
    return store


def buffer(data: bytes) -> Any:
    return PROTOTYPE.buffer.from_bytes(data)


# --------------------------------------------------------------------------------------------------------------- stores


def test_stores_are_equal_where_they_are_of_one_volume(layer: MemoryLayer) -> None:
    assert layer.zarr(TOMOGRAM) == layer.zarr(TOMOGRAM)
    assert layer.zarr(TOMOGRAM) != layer.zarr(OTHER)
    assert layer.zarr(TOMOGRAM) != MemoryVolume(Place(), TOMOGRAM)
    assert layer.zarr(TOMOGRAM) != "a store"


def test_a_store_says_what_it_can_do_and_which_volume_it_is_of(volume: MemoryVolume) -> None:
    assert (volume.supports_writes, volume.supports_deletes, volume.supports_listing) == (True, True, True)
    assert repr(volume) == f"<MemoryVolume of {TOMOGRAM}>"


def test_a_store_is_writable_unless_the_contrary_is_said(volume: MemoryVolume) -> None:
    assert not MemoryVolume(Place(), TOMOGRAM).read_only
    assert not volume.with_read_only(True).with_read_only().read_only


def test_parts_of_several_values_come_in_their_order(volume: MemoryVolume) -> None:
    parts = [
        ("a", RangeByteRequest(2, 5)),
        ("b/c", None),
        ("missing", None),
        ("a", OffsetByteRequest(8)),
        ("a", SuffixByteRequest(1)),
    ]

    found = sync(volume.get_partial_values(PROTOTYPE, parts))

    assert [value and value.to_bytes() for value in found] == [b"234", b"1", None, b"89", b"9"]


def test_the_size_of_a_value_is_that_of_its_bytes_and_an_error_where_there_is_none(volume: MemoryVolume) -> None:
    assert sync(volume.getsize("a")) == 10
    with pytest.raises(FileNotFoundError, match="missing"):
        sync(volume.getsize("missing"))


def test_what_is_no_buffer_or_no_range_of_bytes_is_refused(volume: MemoryVolume) -> None:
    with pytest.raises(TypeError, match="takes buffers, not bytes"):
        volume.set_sync("a", b"raw")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="'2-5' is not a byte range"):
        volume.get_sync("a", byte_range="2-5")  # type: ignore[arg-type]

    assert sync(volume.get("a")).to_bytes() == b"0123456789"  # type: ignore[union-attr]


@pytest.mark.parametrize("prefix", ["b", "b/", "/"])
def test_names_below_a_prefix_are_listed_with_and_without_its_slash(volume: MemoryVolume, prefix: str) -> None:
    async def names() -> list[str]:
        return [name async for name in volume.list_dir(prefix)]

    assert sync(names()) == (["a", "b"] if prefix == "/" else ["c"])


def test_a_missing_value_may_be_deleted(volume: MemoryVolume) -> None:
    volume.delete_sync("missing")

    assert volume._names() == ["a", "b/c"]


def test_clearing_a_volume_leaves_no_value(volume: MemoryVolume) -> None:
    sync(volume.clear())

    assert volume._names() == []


# ---------------------------------------------------------------------------------------------------------------- times


def test_a_volume_is_as_old_as_its_newest_value(layer: MemoryLayer, volume: MemoryVolume) -> None:
    layer.place.times[TOMOGRAM] = 1.0

    volume.set_sync("a", buffer(b"2"))

    assert layer.modified(TOMOGRAM) > 1.0  # type: ignore[operator]


def test_a_file_is_as_old_as_its_last_write(layer: MemoryLayer) -> None:
    layer.write(PICKS, b"1")
    layer.place.times[PICKS] = 1.0

    layer.write(PICKS, b"2")

    assert layer.modified(PICKS) > 1.0  # type: ignore[operator]


def test_what_is_made_again_begins_afresh(layer: MemoryLayer, volume: MemoryVolume) -> None:
    layer.write_record(RUN, "review", b"good")
    layer.write(PICKS, b"1")
    with layer.replace_zarr(TOMOGRAM) as fresh:
        fresh.set_sync("a", buffer(b"1"))

    layer.delete(RUN)

    assert (layer.modified(PICKS), layer.modified(TOMOGRAM)) == (None, None)
    assert (layer.revision(PICKS), layer.volume_version(TOMOGRAM)) == (None, None)
    with pytest.raises(NotFoundError):
        layer.read_record(RUN, "review")
    volume.set_sync("a", buffer(b"2"))
    assert layer.volume_version(TOMOGRAM) == 0


# --------------------------------------------------------------------------------------------------------------- errors


def test_a_missing_file_is_named_with_its_layer(layer: MemoryLayer) -> None:
    for call in (layer.read, layer.delete):
        with pytest.raises(NotFoundError) as raised:
            call(PICKS)
        assert (raised.value.key, raised.value.layer) == (PICKS, "notes")


def test_a_conflict_names_both_revisions(layer: MemoryLayer) -> None:
    with pytest.raises(ConflictError) as created:
        layer.write(PICKS, b"1", if_revision=7)
    stored = layer.write(PICKS, b"1")
    with pytest.raises(ConflictError) as changed:
        layer.write(PICKS, b"2", if_revision=7)

    assert (created.value.key, created.value.layer, created.value.expected, created.value.found) == (PICKS, "notes", 7, None)
    assert (changed.value.expected, changed.value.found) == (7, stored)
    assert layer.read(PICKS) == b"1"


def test_a_conflict_about_a_record_names_the_record_and_both_revisions(layer: MemoryLayer) -> None:
    stored = layer.write_record(RUN, "review", b"good", if_revision=None)

    with pytest.raises(ConflictError) as raised:
        layer.write_record(RUN, "review", b"bad", if_revision=7)

    assert (raised.value.key, raised.value.layer) == (f"The review of {RUN}", "notes")
    assert (raised.value.expected, raised.value.found) == (7, stored)
    assert layer.read_record(RUN, "review") == (b"good", stored)


def test_a_record_makes_its_run(layer: MemoryLayer) -> None:
    layer.write_record(RUN, "review", b"good")

    assert layer.exists(RUN)


def test_what_is_no_file_is_not_written_as_one_and_what_is_no_container_is_not_made(layer: MemoryLayer) -> None:
    with pytest.raises(ValueError, match=r"is not one file; write its volume with replace_zarr\(\)"):
        layer.write(TOMOGRAM, b"1")
    with pytest.raises(ValueError, match="is not a container; only runs and voxel spacings"):
        layer.ensure(PICKS)

    assert not layer.exists(RUN)


# -------------------------------------------------------------------------------------------------------------- opening


def test_a_new_configuration_names_a_place_of_its_own_unless_one_is_given() -> None:
    found = [new_config()["place"] for _ in range(2)]

    assert new_config("mine") == {"place": "mine"}
    assert found[0] != found[1]
    assert all(re.fullmatch("project-[0-9a-f]{12}", name) for name in found)


def test_a_project_is_opened_in_the_place_that_it_names() -> None:
    layers = [open_layers(CopickConfigMemory(pickable_objects=[], place=place)) for place in ("here", "here", None, None)]

    overlays = [one.overlay for one in layers]
    places = [layer.place for layer in overlays if isinstance(layer, MemoryLayer)]
    assert places[0] is places[1]
    assert len({id(place) for place in places}) == 3
    assert [(one.static, one.overlay.read_only) for one in layers if one.overlay] == [((), False)] * 4


def test_a_layer_that_is_only_read_opens_volumes_to_be_read(layer: MemoryLayer, volume: MemoryVolume) -> None:
    reader = MemoryLayer("reader", layer.place, read_only=True)

    assert (reader.zarr(TOMOGRAM).read_only, layer.zarr(TOMOGRAM).read_only) == (True, False)
    assert (reader.name, layer.name, MemoryLayer().name) == ("reader", "notes", "overlay")


def test_a_volume_that_was_set_value_by_value_has_a_version_and_each_replacement_another(
    layer: MemoryLayer, volume: MemoryVolume
) -> None:
    versions = [layer.volume_version(TOMOGRAM), layer.volume_version(OTHER)]
    for _ in range(2):
        with layer.replace_zarr(TOMOGRAM) as store:
            store.set_sync("a", buffer(b"1"))
        versions.append(layer.volume_version(TOMOGRAM))

    assert versions[:2] == [0, None]
    assert len({*versions}) == 4
    assert {*layer.place.volumes[TOMOGRAM]} == {"a"}
