"""Shards of any size: written chunk by chunk, changed without reading them whole, and the presets that have them."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.storage import LocalStore, MemoryStore

import copick_core
from copick_core.errors import AlreadyExistsError, InvalidDataError
from copick_core.volumes import chunks, shards
from copick_core.volumes.format import VolumeFormat, layout_of
from copick_core.volumes.ome import open_level, update_levels, write_region, write_volume
from support.objects import OBJECTS

RNG = np.random.default_rng(3)


def project(folder: Path, **fields: Any) -> Any:
    config = {"config_type": "filesystem", "overlay_root": str(folder), "user_id": "alice", "pickable_objects": OBJECTS}
    return copick_core.open({**config, **fields})


def tomogram(folder: Path, **fields: Any) -> Any:
    return project(folder, **fields).new_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp")


def sharded(store: Any, shape: Any, dtype: Any = "f4", **settings: Any) -> Any:
    """An array that zarr itself made."""
    options = {"chunks": (4,) * len(shape), "shards": (8,) * len(shape), "zarr_format": 3, "fill_value": 0}
    return zarr.create_array(store, name="0", shape=shape, dtype=dtype, **{**options, **settings})


def files(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


# ----------------------------------------------------------------------------------------------------------------- changing


@pytest.mark.parametrize("where", ["memory", "files"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"shards": (24, 24, 24)},
        {"fill_value": 3},
        {"chunk_key_encoding": {"name": "v2", "separator": "/"}},
        {"compressors": None},
        {"shards": {"shape": (8, 8, 8), "index_location": "start"}},
        {"dtype": "u2"},
        {"dtype": ">f4"},
    ],
)
def test_regions_of_sharded_arrays_are_what_numpy_would_have(tmp_path: Path, settings: dict[str, Any], where: str) -> None:
    store = MemoryStore() if where == "memory" else LocalStore(tmp_path)
    expected = np.full((20, 18, 9), settings.get("fill_value", 0), settings.get("dtype", "f4"))
    array = sharded(store, expected.shape, **settings)
    regions: list[Any] = [
        np.s_[3:11, 5:6, :],
        np.s_[::3, 17, 8],
        np.s_[..., 2],
        np.s_[:],
        np.s_[19, 17, 8],
        np.s_[10:4:-2, :, 1:3],
    ]

    for number, region in enumerate(regions):
        data = RNG.integers(0, 99, expected[region].shape).astype(expected.dtype)
        write_region(array, region, data)
        expected[region] = data
        np.testing.assert_array_equal(array[...], expected, err_msg=str(number))


def test_a_shard_that_is_all_fill_value_again_is_gone(tmp_path: Path) -> None:
    array = sharded(LocalStore(tmp_path), (8, 8, 8))

    write_region(array, ..., 5)
    assert files(tmp_path) >= {"0/c/0/0/0"}
    write_region(array, ..., 0)

    assert files(tmp_path) == {"zarr.json", "0/zarr.json"}
    assert (array[...] == 0).all()


def test_a_region_rewrites_each_shard_that_it_touches_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array = sharded(MemoryStore(), (16, 16, 16))
    written: list[str] = []
    store_set = MemoryStore.set
    monkeypatch.setattr(MemoryStore, "set", lambda self, key, *args: (written.append(key), store_set(self, key, *args))[1])

    write_region(array, np.s_[6:10, :4, 0:16], 1)

    assert sorted(written) == ["0/c/0/0/0", "0/c/0/0/1", "0/c/1/0/0", "0/c/1/0/1"]


def test_an_error_halfway_leaves_the_shard_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array = sharded(LocalStore(tmp_path), (8, 8, 8))
    write_region(array, ..., 5)
    before = files(tmp_path)

    def fail(self: Any, chunk: Any) -> bytes:
        raise OSError("no")

    with monkeypatch.context() as patched:
        patched.setattr(shards.ShardCodec, "encode", fail)
        with pytest.raises(OSError, match="no"):
            write_region(array, np.s_[0, 0, 0], 6)

    assert (array[...] == 5).all()
    assert files(tmp_path) == before


@pytest.mark.parametrize("damage", [b"", b"short"])
def test_a_shard_without_an_index_is_refused_and_kept(tmp_path: Path, damage: bytes) -> None:
    array = sharded(LocalStore(tmp_path), (8, 8, 8))
    write_region(array, ..., 5)
    (tmp_path / "0/c/0/0/0").write_bytes(damage)

    with pytest.raises(InvalidDataError, match="shorter than its index"):
        write_region(array, np.s_[0, 0, 0], 6)
    assert (tmp_path / "0/c/0/0/0").read_bytes() == damage


def test_changing_a_large_shard_is_warned_of_with_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "LARGE_BYTES", 1000)
    array = sharded(LocalStore(tmp_path), (8, 8, 8))

    with pytest.warns(UserWarning, match=r'format="ome-0\.5"'):
        write_region(array, np.s_[0, 0, 0], 6)


def test_a_level_in_one_shard_is_changed_and_its_pyramid_updated_in_little_memory(tmp_path: Path) -> None:
    store, side = LocalStore(tmp_path), 256
    data = RNG.integers(0, 9, (side,) * 3).astype("f4")
    write_volume(store, data, 10.0, levels=2, format=layout_of({"format": "copick-2"}, {"chunks": 32}))
    levels = [open_level(store, "0"), open_level(store, "1")]
    part = np.s_[2:4, 2:200, 2:4]
    data[part] = 100

    tracemalloc.start()
    write_region(levels[0], part, 100)
    update_levels(levels, part, "mean")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    np.testing.assert_array_equal(levels[0][...], data)
    np.testing.assert_allclose(levels[1][...], data.reshape(128, 2, 128, 2, 128, 2).mean((1, 3, 5)))
    assert peak < data.nbytes / 2


# ------------------------------------------------------------------------------------------------------------------ writing


@pytest.mark.parametrize(
    "options", [{"shards": 8, "chunks": 4}, {"shards": "level", "chunks": 4}, {"shards": (16, 8, 4), "chunks": 4}]
)
@pytest.mark.parametrize("shape", [(20, 18, 9), (2, 20, 18, 9)])
def test_zarr_reads_the_shards_that_are_written(shape: Any, options: Any) -> None:
    store = MemoryStore()
    data = RNG.normal(size=shape).astype("f4")
    data[..., :8, :8, :8] = 0

    write_volume(store, data, 10.0, levels=2, format=VolumeFormat(3, **options), axes="czyx" if len(shape) == 4 else "zyx")

    group = zarr.open_group(store, mode="r")
    np.testing.assert_array_equal(group["0"][...], data)
    assert (group["1"][...] != 0).any()


def test_a_volume_whose_writing_fails_leaves_no_partial_file(tmp_path: Path) -> None:
    data = np.ones((64, 8, 8))
    data[60] = 1.5

    with pytest.raises(InvalidDataError):
        write_volume(LocalStore(tmp_path), data, 1.0, dtype="u1", format=VolumeFormat(3, chunks=8, shards="level"))

    assert not [name for name in files(tmp_path) if "partial" in name]


def test_a_shard_of_five_terabytes_is_refused_before_anything_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "_SHARD_LIMIT", 1)

    with pytest.raises(InvalidDataError, match="below 5 TB"):
        write_volume(MemoryStore(), np.ones((4, 4, 4)), 1.0, format=layout_of({"format": "copick-2"}))


def test_a_shard_of_five_gigabytes_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "_LARGE_SHARD", 1)

    with pytest.warns(UserWarning, match=r"ome-0\.5"):
        write_volume(MemoryStore(), np.ones((4, 4, 4)), 1.0, levels=1, format=VolumeFormat(3, shards="level"))


# ------------------------------------------------------------------------------------------------------------------ presets


def test_copick_2_is_the_layout_of_copick_2(tmp_path: Path) -> None:
    data = RNG.normal(size=(20, 12, 8)).astype("f4")

    made = tomogram(tmp_path, format="copick-2")
    made.from_numpy(data)

    path = tmp_path / "ExperimentRuns/TS_1/VoxelSpacing10.000/wbp.zarr"
    assert files(path) == {"zarr.json", *(f"{n}/{name}" for n in "012" for name in ("zarr.json", "0/0/0"))}
    assert json.loads((path / "0/zarr.json").read_text()) == {
        "shape": [20, 12, 8],
        "data_type": "float32",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [128, 128, 128]}},
        "chunk_key_encoding": {"name": "v2", "configuration": {"separator": "/"}},
        "fill_value": 0.0,
        "codecs": [
            {
                "name": "sharding_indexed",
                "configuration": {
                    "chunk_shape": [128, 128, 128],
                    "codecs": [
                        {"name": "bytes", "configuration": {"endian": "little"}},
                        {"name": "numcodecs.shuffle", "configuration": {"elementsize": 4}},
                        {"name": "zstd", "configuration": {"level": 3, "checksum": False}},
                    ],
                    "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}],
                    "index_location": "end",
                },
            }
        ],
        "attributes": {},
        "dimension_names": ["z", "y", "x"],
        "zarr_format": 3,
        "node_type": "array",
        "storage_transformers": [],
    }
    np.testing.assert_array_equal(made.numpy(), data)


def test_copick_2_stores_labels_without_shuffle_and_panoptic_channels_in_one_shard(tmp_path: Path) -> None:
    run = project(tmp_path, format="copick-2").new_run("TS_1")
    panoptic = run.new_segmentation(10.0, "all", "1", is_panoptic=True)
    panoptic.from_numpy(np.ones((2, 4, 5, 6), "u2"))

    path = tmp_path / "ExperimentRuns/TS_1/PanopticSegmentations/10.000_alice_1_all.zarr"
    (sharding,) = json.loads((path / "0/zarr.json").read_text())["codecs"]
    assert [codec["name"] for codec in sharding["configuration"]["codecs"]] == ["bytes", "zstd"]
    assert files(path) == {"zarr.json", "0/zarr.json", "0/0/0/0/0"}
    assert panoptic.array().shards == (2, 128, 128, 128)
    assert panoptic.array().chunks == (1, 128, 128, 128)


def test_copick_2_stores_each_feature_in_a_shard(tmp_path: Path) -> None:
    made = tomogram(tmp_path)
    made.from_numpy(np.ones((4, 5, 6)))
    features = made.new_features("edges")

    features.from_numpy(np.ones((2, 4, 5, 6), "f4"), format="copick-2")

    path = tmp_path / "ExperimentRuns/TS_1/VoxelSpacing10.000/wbp_edges_features.zarr"
    assert files(path) == {"zarr.json", "0/zarr.json", "0/0/0/0/0", "0/1/0/0/0"}
    image = json.loads((path / "zarr.json").read_text())["attributes"]["ome"]["multiscales"][0]
    assert image["axes"][0] == {"name": "feature"}
    assert features.axes == ("feature", "z", "y", "x")


@pytest.mark.filterwarnings("ignore:Numcodecs codecs are not in the Zarr version 3")
@pytest.mark.parametrize(("name", "version"), [("copick-1", "0.4"), ("copick-2", "0.5"), ("ome-0.5", "0.5")])
def test_presets_are_valid_for_ome_zarr_models(tmp_path: Path, name: str, version: str) -> None:
    models = pytest.importorskip("ome_zarr_models")
    tomogram(tmp_path).from_numpy(np.ones((4, 5, 6)), format=name)

    path = tmp_path / "ExperimentRuns/TS_1/VoxelSpacing10.000/wbp.zarr"
    image = models.open_ome_zarr(zarr.open_group(path, mode="r"))

    assert image.ome_zarr_version == version


def test_a_project_may_mix_presets(tmp_path: Path) -> None:
    made = tomogram(tmp_path)
    data = RNG.normal(size=(9, 8, 7)).astype("f4")
    for name in ("copick-1", "copick-2", "ome-0.5"):
        made.from_numpy(data, format=name)

        np.testing.assert_array_equal(tomogram_again(tmp_path).numpy(), data)


def tomogram_again(folder: Path) -> Any:
    return project(folder).get_run("TS_1").get_voxel_spacing(10.0).get_tomogram("wbp")


def test_what_a_call_asks_for_goes_before_the_preset_of_the_project(tmp_path: Path) -> None:
    made = tomogram(tmp_path, format="copick-2", chunks=(8, 8, 8))

    made.from_numpy(np.ones((9, 8, 7)))
    assert made.array().chunks == (8, 8, 8)
    made.from_numpy(np.ones((9, 8, 7)), chunks=4)
    assert made.array().chunks == (4, 4, 4)
    made.from_numpy(np.ones((9, 8, 7)), format="copick-1")
    assert made.array().metadata.zarr_format == 2
    with pytest.raises(InvalidDataError, match="'copick-1', 'copick-2'"):
        made.from_numpy(np.ones((9, 8, 7)), format="copick-3")


# ----------------------------------------------------------------------------------------------------------------- features


def test_features_may_refuse_to_replace_what_is_stored(tmp_path: Path) -> None:
    made = tomogram(tmp_path)
    made.from_numpy(np.ones((4, 5, 6)))
    features = made.new_features("edges")

    features.from_numpy(np.ones((4, 5, 6)), overwrite=False)
    with pytest.raises(AlreadyExistsError, match="overwrite=True"):
        features.from_numpy(np.zeros((4, 5, 6)), overwrite=False)

    assert (features.numpy() == 1).all()


def test_features_take_chunks_shards_and_metadata(tmp_path: Path) -> None:
    made = tomogram(tmp_path)
    made.from_numpy(np.ones((4, 5, 6)))
    features = made.new_features("edges")

    features.from_numpy(np.ones((3, 4, 5, 6)), format="copick-2", chunks=(1, 2, 2, 2), metadata={"model": "x"})

    assert features.array().chunks == (1, 2, 2, 2)
    ome = zarr.open_group(features.zarr(), mode="r").attrs["ome"]
    assert ome["multiscales"][0]["metadata"] == {"model": "x"}


# ------------------------------------------------------------------------------------------------------------------ limits


@pytest.mark.parametrize(("shard", "voxels"), [((8, 8, 8), 8 * 8 * 6), ((16, 16, 8), 12 * 9 * 6)])
def test_a_shard_is_large_by_the_voxels_that_it_has_in_the_array(
    monkeypatch: pytest.MonkeyPatch, shard: Any, voxels: int
) -> None:
    array = sharded(MemoryStore(), (12, 9, 6), shards=shard)
    monkeypatch.setattr(shards, "LARGE_BYTES", 4 * voxels)
    write_region(array, np.s_[0, 0, 0], 6)  # without a word

    monkeypatch.setattr(shards, "LARGE_BYTES", 4 * voxels - 1)
    with pytest.warns(UserWarning, match=r"region of '0' writes whole shards again, of 0\.0 GiB of voxels each") as caught:
        write_region(array, np.s_[0, 0, 0], 6)
    write_region(array, np.s_[0:0, 0, 0], 6)  # nothing is written, so nothing is said

    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.slow
def test_the_size_of_a_shard_is_told_in_gib(monkeypatch: pytest.MonkeyPatch) -> None:
    array = sharded(MemoryStore(), (2048, 1024, 512), chunks=(1024, 1024, 512), shards=(2048, 1024, 512))

    with pytest.warns(UserWarning, match=r"of 4\.0 GiB of voxels each"), pytest.raises(ZeroDivisionError):
        shards.change(array, [slice(0, 1, 1)] * 3, lambda target: 1 // 0)


def test_a_level_in_one_shard_is_warned_of_or_refused_from_its_limit_on(monkeypatch: pytest.MonkeyPatch) -> None:
    data, form = np.ones((4, 5, 6), "f4"), VolumeFormat(3, shards="level", chunks=(4, 5, 6))
    monkeypatch.setattr(chunks, "_LARGE_SHARD", data.nbytes)
    write_volume(MemoryStore(), data, 1.0, levels=1, format=form)  # without a word

    monkeypatch.setattr(chunks, "_LARGE_SHARD", data.nbytes - 1)
    with pytest.warns(UserWarning, match=r"Level '0' is one file of 0 GB of voxels; format=\"ome-0.5\" writes") as caught:
        write_volume(MemoryStore(), data, 1.0, levels=1, format=form)
    assert [warning.filename for warning in caught] == [__file__]

    monkeypatch.setattr(chunks, "_SHARD_LIMIT", data.nbytes)
    with pytest.raises(InvalidDataError, match=f"its one shard would hold {data.nbytes} bytes of voxels") as refused:
        write_volume(MemoryStore(), data, 1.0, levels=1, format=form)
    assert refused.value.source == "level '0'"
