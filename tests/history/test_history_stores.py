"""The zarr stores of volumes in a repository, and its files as other programs may write them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.abc.store import OffsetByteRequest, RangeByteRequest
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync

import copick_core
from copick_backend_icechunk.files import read_file, write_file
from copick_backend_icechunk.layer import IcechunkLayer
from copick_backend_icechunk.root import CopickRootIcechunk
from copick_backend_icechunk.volumes import IDENTITY, Volume
from copick_core.errors import NotFoundError
from copick_core.tree.keys import RunKey, TomogramKey
from support.histories import picks

KEY = TomogramKey("TS_1", 10.0, "wbp")
PROTOTYPE = default_buffer_prototype()
PICKS = "ExperimentRuns/TS_1/Picks/alice_1_ribosome.json"


def buffer(data: bytes) -> Any:
    return PROTOTYPE.buffer.from_bytes(data)


@pytest.fixture
def layer(root: CopickRootIcechunk) -> IcechunkLayer:
    spacing = root.new_run("TS_1").new_voxel_spacing(10.0)
    spacing.new_tomogram("wbp").from_numpy(np.arange(64, dtype="f4").reshape(4, 4, 4), levels=1, chunks=2)
    return root.history_layer


@pytest.fixture
def volume(layer: IcechunkLayer) -> Volume:
    found = layer.zarr(KEY)
    assert isinstance(found, Volume)
    return found


def names(volume: Volume, prefix: str = "") -> list[str]:
    async def listed() -> list[str]:
        return [name async for name in volume.list_prefix(prefix)]

    return sorted(sync(listed()))


def test_stores_are_equal_where_they_are_of_one_volume(layer: IcechunkLayer, bob: CopickRootIcechunk) -> None:
    assert layer.zarr(KEY) == layer.zarr(KEY)
    assert layer.zarr(KEY) != layer.zarr(TomogramKey("TS_1", 10.0, "denoised"))
    assert layer.zarr(KEY) != bob.history_layer.zarr(KEY)
    assert layer.zarr(KEY) != "a store"


def test_a_store_says_what_it_can_do_and_which_volume_it_is_of(volume: Volume) -> None:
    assert (volume.supports_writes, volume.supports_deletes, volume.supports_listing) == (True, True, True)
    assert repr(volume) == "<Volume 'ExperimentRuns/TS_1/VoxelSpacing10.000/wbp.zarr'>"


def test_a_store_is_writable_unless_the_contrary_is_said(volume: Volume) -> None:
    assert (volume.read_only, volume.with_read_only(True).read_only) == (False, True)
    assert not volume.with_read_only(True).with_read_only().read_only


@pytest.mark.parametrize(
    "call",
    [
        lambda store: store.set("zarr.json", buffer(b"{}")),
        lambda store: store.set_if_not_exists("zarr.json", buffer(b"{}")),
        lambda store: store.delete("zarr.json"),
        lambda store: store.delete_dir("0"),
        lambda store: store.clear(),
    ],
    ids=["set", "set_if_not_exists", "delete", "delete_dir", "clear"],
)
def test_a_read_only_store_refuses_every_change(volume: Volume, call: Callable[[Volume], Any]) -> None:
    before = names(volume)

    with pytest.raises(ValueError, match="read-only"):
        sync(call(volume.with_read_only(True)))

    assert names(volume) == before != []


def test_parts_of_several_values_come_in_their_order(volume: Volume) -> None:
    whole = sync(volume.get("0/c/0/0/0")).to_bytes()  # type: ignore[union-attr]
    asked = [("0/c/0/0/0", RangeByteRequest(2, 5)), ("0/c/9/9/9", None), ("0/c/0/0/0", OffsetByteRequest(4))]

    found = sync(volume.get_partial_values(PROTOTYPE, asked))

    assert [value and value.to_bytes() for value in found] == [whole[2:5], None, whole[4:]]


def test_values_of_a_volume_that_is_missing_are_missing(layer: IcechunkLayer, root: CopickRootIcechunk) -> None:
    missing = layer.zarr(TomogramKey("TS_1", 10.0, "denoised"))

    assert sync(missing.get("zarr.json", PROTOTYPE)) is None
    assert not sync(missing.exists("0/c/0/0/0"))
    assert sync(missing.get("0/c/0/0/0", PROTOTYPE)) is None


def test_a_place_without_a_repository_has_no_values(root: CopickRootIcechunk) -> None:
    nowhere = root.history_layer.zarr(KEY)

    assert sync(nowhere.get("zarr.json", PROTOTYPE)) is None
    assert not sync(nowhere.exists("zarr.json"))
    assert names(nowhere) == []  # type: ignore[arg-type]
    assert root.history_layer.volume_version(KEY) is None
    with pytest.raises(NotFoundError):
        root.history_layer.read(picks_key())


def picks_key() -> Any:
    from copick_core.tree.keys import PicksKey

    return PicksKey("TS_1", "ribosome", "alice", "1")


def test_names_that_zarr_v3_does_not_have_are_refused_and_missing(volume: Volume) -> None:
    for name in (".zattrs", "0/0.0.0"):
        with pytest.raises(ValueError, match=f"'{name}' is not a name of zarr v3"):
            sync(volume.set(name, buffer(b"{}")))
        assert not sync(volume.exists(name))
        assert sync(volume.get(name)) is None


def test_what_is_no_buffer_is_refused(volume: Volume) -> None:
    with pytest.raises(TypeError, match="takes buffers, not bytes"):
        sync(volume.set("zarr.json", b"{}"))  # type: ignore[arg-type]


def test_a_chunk_needs_the_document_of_its_array(volume: Volume) -> None:
    with pytest.raises(
        ValueError, match=r"wbp\.zarr/7/c/0 is a chunk of an array that has no zarr\.json yet; store that first"
    ):
        sync(volume.set("7/c/0", buffer(b"1")))


def test_a_value_is_not_replaced_where_only_a_new_one_is_wanted(volume: Volume) -> None:
    before = sync(volume.get("0/zarr.json")).to_bytes()  # type: ignore[union-attr]

    sync(volume.set_if_not_exists("0/zarr.json", buffer(b"{}")))

    assert sync(volume.get("0/zarr.json")).to_bytes() == before  # type: ignore[union-attr]


def test_names_below_a_folder_are_listed_with_and_without_slashes(volume: Volume) -> None:
    async def listed(prefix: str) -> list[str]:
        return [name async for name in volume.list_dir(prefix)]

    assert sync(listed("")) == sync(listed("/")) == ["0", "zarr.json"]
    assert sync(listed("0")) == sync(listed("0/")) == sync(listed("/0/")) == ["c", "zarr.json"]


def test_deleting_a_level_or_a_value_leaves_the_others(volume: Volume) -> None:
    sync(volume.delete("0/c/0/0/0"))
    first = names(volume)
    sync(volume.delete_dir("0/"))

    assert len(first) == 9
    assert "0/c/0/0/0" not in first
    assert names(volume) == ["zarr.json"]


def test_a_missing_value_may_be_deleted_and_commits_nothing(volume: Volume, root: CopickRootIcechunk) -> None:
    before = root.history()

    sync(volume.delete("0/c/9/9/9"))
    sync(volume.delete_dir("7"))

    assert root.history() == before


def test_the_root_of_a_volume_stays_until_the_last_value_is_deleted(layer: IcechunkLayer, volume: Volume) -> None:
    sync(volume.delete("zarr.json"))
    with_levels = names(volume)
    document = zarr.open_group(volume, mode="r").attrs.asdict()
    sync(volume.delete_dir("0"))
    sync(volume.delete("zarr.json"))

    assert "zarr.json" in with_levels
    assert document == {}
    assert names(volume) == []
    assert not layer.exists(KEY)


def test_the_identity_of_a_volume_is_kept_by_changes_and_shown_to_nobody(layer: IcechunkLayer, volume: Volume) -> None:
    before = layer.volume_version(KEY)
    group = zarr.open_group(volume, mode="r+")

    group.attrs["note"] = "changed"

    assert layer.volume_version(KEY) == before
    assert IDENTITY not in zarr.open_group(layer.zarr(KEY), mode="r").attrs
    assert volume.seen_version == before


# ---------------------------------------------------------------------------------------------------------------- files


def session(root: CopickRootIcechunk) -> Any:
    return root.history_layer.commits.existing().writable_session("main")


def test_a_file_that_another_program_stored_in_several_chunks_is_read(root: CopickRootIcechunk) -> None:
    picks(root, "TS_1", "alice", 1)
    data = root.history_layer.read(picks_key())
    writing = session(root)
    array = zarr.create_array(writing.store, name=PICKS, shape=len(data), chunks=7, dtype="u1", overwrite=True)
    array[:] = np.frombuffer(data, "u1")
    writing.commit("by another program")
    root.refresh()

    assert root.history_layer.read(picks_key()) == data


def test_files_of_any_size_come_back_and_folders_are_no_files(root: CopickRootIcechunk) -> None:
    writing = session(root)
    contents = {"empty": b"", "zeros": b"\0" * 9, "one": b"\1"}

    for name, data in contents.items():
        sync(write_file(writing.store, f"a/{name}", data))

    assert {name: sync(read_file(writing.store, f"a/{name}")) for name in contents} == contents
    zarr.create_group(writing.store, path="a", overwrite=False)
    with pytest.raises(IsADirectoryError):
        sync(read_file(writing.store, "a"))
    with pytest.raises(FileNotFoundError):
        sync(read_file(writing.store, "a/missing"))


def test_zarr_alone_reads_a_file(root: CopickRootIcechunk) -> None:
    picks(root, "TS_1", "alice", 1)
    view = root.history_layer.commits.view(fresh=True)

    found = zarr.open_array(view.store, path=PICKS, mode="r")

    assert found[:].tobytes() == root.history_layer.read(picks_key())


# --------------------------------------------------------------------------------------------------------------- errors


def test_deleting_what_is_missing_names_it_and_its_place(root: CopickRootIcechunk, tmp_path: Any) -> None:
    root.new_run("TS_1")

    for key, path in ((RunKey("TS_2"), "ExperimentRuns/TS_2"), (picks_key(), PICKS)):
        with pytest.raises(NotFoundError) as raised:
            root.history_layer.delete(key)
        found = (raised.value.key, raised.value.layer, raised.value.location)
        assert found == (key, "overlay", f"{tmp_path / 'history'}: {path}")


def test_a_write_of_a_read_only_layer_is_refused(root: CopickRootIcechunk, config: dict[str, Any]) -> None:
    picks(root, "TS_1", "alice", 1)
    tag = root.history()[0].id

    then = copick_core.open({**config, "as_of": tag}).history_layer

    assert then.read_only
    assert then.zarr(KEY).read_only
