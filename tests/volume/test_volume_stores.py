"""Arrays of a volume on disk, and the stores that show them as images."""

import json
import os
import shutil
import time

import numpy as np
import pytest
import zarr
from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync

from copick_backend_volume import staging
from copick_backend_volume.arrays import ArrayWriter, distinct, is_whole, open_array, write_synced
from copick_backend_volume.places import Volume
from copick_backend_volume.stores import ReversedStore
from copick_core.errors import InvalidDataError

PROTOTYPE = default_buffer_prototype()
DATA = np.arange(1, 61, dtype="<u2").reshape(5, 4, 3)  # (x, y, z)
CHUNKS = (2, 3, 2)


def written(folder, data=DATA, chunks=CHUNKS, dtype=None):
    """Write an array as the app would."""
    folder.mkdir()
    writer = ArrayWriter(str(folder), data.shape, chunks, data.dtype if dtype is None else dtype)
    for index in writer.array.indices():
        box = tuple(slice(i * c, (i + 1) * c) for i, c in zip(index, chunks, strict=True))
        writer.write(index, data[box])
    writer.finish()
    return str(folder)


@pytest.fixture
def folder(tmp_path):
    return written(tmp_path / "array.zarr")


@pytest.fixture
def store(folder):
    return ReversedStore(folder, 10.0, "image")


def edit(folder, **fields):
    """Change fields of the description of an array."""
    path = os.path.join(folder, ".zarray")
    with open(path) as file:
        document = json.load(file)
    with open(path, "w") as file:
        json.dump({**document, **fields}, file)


def names(found):
    async def collected():
        return [name async for name in found]

    return sync(collected())


# --------------------------------------------------------------------------------------------------------------- stores


def test_a_stored_array_is_shown_as_an_image_with_its_axes_turned(store):
    image = zarr.open_group(store, mode="r")

    assert np.array_equal(image["0"][:], DATA.T)
    assert image["0"].chunks == CHUNKS[::-1]
    (multiscale,) = image.attrs["multiscales"]
    assert (multiscale["name"], multiscale["version"]) == ("image", "0.4")
    assert multiscale["datasets"][0]["coordinateTransformations"][0]["scale"] == [10.0, 10.0, 10.0]


@pytest.mark.parametrize("separator", [".", "/"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_of_any_order_and_separator_is_shown(tmp_path, order, separator):
    made = zarr.create_array(
        str(tmp_path / "a.zarr"),
        data=DATA,
        chunks=CHUNKS,
        zarr_format=2,
        order=order,
        chunk_key_encoding={"name": "v2", "separator": separator},
    )
    assert made.metadata.dimension_separator == separator

    array = open_array(str(tmp_path / "a.zarr"))
    shown = ReversedStore(str(tmp_path / "a.zarr"), 10.0, "image")

    assert array.missing() == 0
    assert np.array_equal(array.read_box((0, 0, 0), DATA.shape), DATA)
    assert np.array_equal(zarr.open_array(shown, path="0", mode="r")[:], DATA.T)


def test_stores_are_equal_where_they_show_the_same(folder, store):
    assert store == ReversedStore(folder, 10.0, "image")
    assert hash(store) == hash(ReversedStore(folder, 10.0, "image"))
    others = [
        ReversedStore(f"{folder}x", 10.0, "image"),
        ReversedStore(folder, 5.0, "image"),
        ReversedStore(folder, 10.0, "x"),
        "x",
    ]
    assert all(store != other for other in others)
    assert repr(store) == f"ReversedStore({folder!r}, voxel_size=10.0)"


def test_a_store_says_what_it_can_do_and_refuses_the_rest(store):
    assert (store.supports_writes, store.supports_deletes, store.supports_listing, store.read_only) == (
        False,
        False,
        True,
        True,
    )
    assert store.with_read_only(True) is store
    value = PROTOTYPE.buffer.from_bytes(b"1")
    for call in (store.with_read_only, lambda: sync(store.set("a", value)), lambda: sync(store.delete("0/0.0.0"))):
        with pytest.raises(ValueError, match="read-only"):
            call()


def test_a_chunk_is_the_file_of_the_reversed_index_and_parts_of_it_can_be_read(folder, store):
    with open(os.path.join(folder, "2.1.0"), "rb") as file:
        whole = file.read()
    parts = [None, RangeByteRequest(2, 5), OffsetByteRequest(4), SuffixByteRequest(3), SuffixByteRequest(0)]

    found = sync(store.get_partial_values(PROTOTYPE, [("0/0.1.2", part) for part in parts]))

    assert [value.to_bytes() for value in found] == [whole, whole[2:5], whole[4:], whole[-3:], b""]


def test_what_is_no_key_of_the_image_has_no_value(folder, store):
    os.unlink(os.path.join(folder, "0.0.0"))

    for key in ("0/0.0.0", "0/9.9.9", "0/0.0", "0/0.0.x", "0/0.0.²", "1/0.0.1", "0.0.1", ".zarray", "0"):
        assert sync(store.get(key, PROTOTYPE)) is None
        assert not sync(store.exists(key))
    for key in (".zgroup", ".zattrs", "0/.zarray", "0/0.0.1"):
        assert sync(store.get(key, PROTOTYPE)) is not None
        assert sync(store.exists(key))


def test_all_documents_and_the_chunks_that_are_there_are_listed(folder, store):
    os.unlink(os.path.join(folder, "0.0.0"))
    chunks = [f"0/{k}.{j}.{i}" for i in range(3) for j in range(2) for k in range(2) if (i, j, k) != (0, 0, 0)]

    assert names(store.list()) == [".zgroup", ".zattrs", "0/.zarray", *chunks]
    assert names(store.list_prefix("0/1.")) == [key for key in chunks if key.startswith("0/1.")]
    assert names(store.list_dir("")) == [".zgroup", ".zattrs", "0"]
    assert names(store.list_dir("0")) == names(store.list_dir("0/")) == [key[2:] for key in ("0/.zarray", *chunks)]


def test_where_there_is_no_array_there_is_nothing(tmp_path):
    nothing = ReversedStore(str(tmp_path / "none.zarr"), 10.0, "image")

    assert names(nothing.list()) == []
    assert not sync(nothing.exists(".zgroup"))
    assert sync(nothing.get("0/.zarray", PROTOTYPE)) is sync(nothing.get("0/0.0.0", PROTOTYPE)) is None


# --------------------------------------------------------------------------------------------------------------- arrays


def test_the_description_of_an_array_is_the_apps(folder):
    with open(os.path.join(folder, ".zarray")) as file:
        document = json.load(file)

    assert document == {
        "chunks": [2, 3, 2],
        "compressor": {"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1, "blocksize": 0},
        "dtype": "<u2",
        "fill_value": 0,
        "filters": None,
        "order": "C",
        "shape": [5, 4, 3],
        "zarr_format": 2,
    }


@pytest.mark.parametrize(("dtype", "fill"), [("?", False), ("<f4", 0.0), ("<i4", 0)])
def test_what_fills_an_array_is_of_its_type(tmp_path, dtype, fill):
    found = open_array(written(tmp_path / "a.zarr", dtype=dtype)).document["fill_value"]

    assert (found, type(found)) == (fill, type(fill))


def test_zarr_reads_what_is_written_and_chunks_are_whole_at_the_end(folder):
    assert np.array_equal(zarr.open_array(folder, mode="r")[:], DATA)
    array = open_array(folder)
    assert (array.grid, array.shape_zyx) == ((3, 2, 2), (3, 4, 5))
    assert array.read_chunk((2, 1, 1)).shape == (1, 1, 1)


def test_missing_chunks_are_counted_and_read_as_zeros(folder):
    os.unlink(os.path.join(folder, "1.0.0"))
    array = open_array(folder)
    expected = DATA.copy()
    expected[2:4, :3, :2] = 0

    assert array.missing() == 1
    assert array.read_chunk((1, 0, 0)) is None
    assert np.array_equal(array.read_box((0, 0, 0), (5, 4, 3)), expected)
    assert np.array_equal(array.read_box((1, 1, 0), (4, 4, 3)), expected[1:4, 1:4])
    shutil.rmtree(folder)
    assert array.missing() == 12


def test_an_array_that_is_deleted_meanwhile_lacks_all_of_its_chunks(folder):
    array = open_array(folder)
    shutil.rmtree(folder)

    assert array.missing() == 3 * 2 * 2


def test_a_damaged_chunk_is_named_and_its_labels_are_not_known(folder):
    with open(os.path.join(folder, "0.0.0"), "wb") as file:
        file.write(b"damaged")
    array = open_array(folder)

    with pytest.raises(InvalidDataError, match="the chunk is damaged") as raised:
        array.read_chunk((0, 0, 0))

    assert raised.value.source == os.path.join(folder, "0.0.0")
    assert array.labels() == sorted({*DATA.ravel().tolist()} - {*DATA[:2, :3, :2].ravel().tolist()})


def test_filters_are_undone_after_the_compressor(folder):
    edit(folder, filters=[{"id": "delta", "dtype": "<u2"}], compressor=None)
    from numcodecs import Delta

    with open(os.path.join(folder, "0.0.0"), "wb") as file:
        file.write(Delta("<u2").encode(np.full(12, 7, "<u2")).tobytes())

    assert open_array(folder).read_chunk((0, 0, 0)).ravel().tolist() == [7] * 12


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.zeros(0, "u1"), set()),
        (np.full(4, 9, "u1"), {9}),
        (np.array([0, 1], "?"), {0, 1}),
        (np.array([0, 1, 65535], "u8"), {0, 1, 65535}),
        (np.array([0, 65536], "u8"), {0, 65536}),
        (np.array([-1, 3], "i4"), {-1, 3}),
        (np.array([0, 1 << 63], "u8"), {0, 1 << 63}),
    ],
    ids=str,
)
def test_distinct_values_are_found_in_every_range(values, expected):
    assert distinct(values) == expected


def test_labels_are_positive_and_fit_into_63_bits(tmp_path):
    values = np.zeros((2, 2, 2), "<u8")
    values.ravel()[:4] = [0, 1, (1 << 63) - 1, 1 << 63]

    assert open_array(written(tmp_path / "a.zarr", values)).labels() == [1, (1 << 63) - 1]
    assert open_array(written(tmp_path / "b.zarr", np.ones((2, 2, 2), "<f4"))).labels() == []


@pytest.mark.parametrize(
    "fields",
    [
        {"zarr_format": 3},
        {"shape": [5, 4]},
        {"chunks": [2, 3]},
        {"chunks": [2, 3, 0]},
        {"shape": [5, 4, -1]},
        {"dtype": "text"},
        {"shape": None},
    ],
    ids=str,
)
def test_what_is_no_array_of_three_dimensions_is_named(folder, fields):
    edit(folder, **fields)

    with pytest.raises(InvalidDataError, match="not a three-dimensional zarr v2 array") as raised:
        open_array(folder)

    assert raised.value.source == os.path.join(folder, ".zarray")
    assert not is_whole(folder)


def test_a_description_that_is_no_json_is_named(folder):
    with open(os.path.join(folder, ".zarray"), "w") as file:
        file.write("{")

    with pytest.raises(InvalidDataError, match="it is not valid JSON") as raised:
        open_array(folder)

    assert raised.value.source == os.path.join(folder, ".zarray")
    assert not is_whole(folder)


def test_an_array_is_whole_when_every_chunk_is_there(folder, tmp_path):
    assert is_whole(folder)
    assert not is_whole(str(tmp_path / "none.zarr"))
    os.unlink(os.path.join(folder, "0.0.0"))
    assert not is_whole(folder)


def test_files_are_never_written_over(tmp_path):
    write_synced(str(tmp_path / "a"), b"1")

    with pytest.raises(FileExistsError):
        write_synced(str(tmp_path / "a"), b"2")


# -------------------------------------------------------------------------------------------------------------- staging


@pytest.fixture
def volume(tmp_path):
    (tmp_path / "volume" / "chunks").mkdir(parents=True)
    return Volume(str(tmp_path / "volume"))


def publish(volume, target, content, **options):
    with staging.staging(volume, "chunks") as staged:
        with open(os.path.join(staged.folder, "a"), "w") as file:
            file.write(content)
        staged.publish(target, **options)


@pytest.mark.parametrize("exchanges", [True, False])
def test_a_staged_folder_replaces_another_only_where_it_is_told_to(volume, monkeypatch, exchanges):
    target = os.path.join(volume.root, "chunks", "job")
    if not exchanges:
        monkeypatch.setattr(staging, "_exchange", lambda one, other: False)
    publish(volume, target, "1")

    with pytest.raises(FileExistsError) as raised:
        publish(volume, target, "2")
    assert raised.value.args == (target,)
    publish(volume, target, "3", replace=True)

    with open(os.path.join(target, "a")) as file:
        assert file.read() == "3"
    assert os.listdir(os.path.join(volume.root, "chunks")) == ["job"]


@pytest.mark.parametrize("lacking", [lambda name: object(), lambda name: os.stat("/nowhere")], ids=["call", "library"])
def test_where_the_system_cannot_exchange_folders_nothing_is_exchanged(monkeypatch, lacking):
    monkeypatch.setattr("ctypes.CDLL", lacking)

    assert staging._exchange("one", "other") is False


def test_where_files_cannot_be_locked_a_writer_counts_as_dead_after_a_day(volume, monkeypatch):
    import fcntl

    def refuse(descriptor, operation):
        raise OSError(38, "Function not implemented")

    path = os.path.join(volume.root, "chunks", f"{staging.STAGING}x")
    os.mkdir(path)
    monkeypatch.setattr(fcntl, "flock", refuse)
    descriptor = os.open(path, os.O_RDONLY)
    assert staging.lock(descriptor)
    os.close(descriptor)

    held = []
    for age in (0, 86400 - 12, 86400 + 12):
        os.utime(path, (time.time() - age,) * 2)
        held.append(staging.is_held(path))

    assert held == [True, True, False]
    assert staging.remains(volume) == [path]
    assert staging.is_held(f"{path}-gone")


def test_what_the_dead_have_left_stays_for_a_week(volume):
    file, folder = (os.path.join(volume.root, "chunks", f"{staging.STAGING}{name}") for name in ("file", "folder"))
    write_synced(file, b"")
    os.mkdir(folder)
    left = []
    for age in (7 * 86400 - 60, 7 * 86400 + 60):
        for path in (file, folder):
            os.utime(path, (time.time() - age,) * 2)
        staging.sweep(volume)
        left.append(staging.remains(volume))

    assert left == [[file, folder], []]


def test_a_lock_file_that_cannot_be_made_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        staging.open_lock(str(tmp_path / "none" / "lock"))
