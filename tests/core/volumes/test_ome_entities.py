"""Volumes as entities offer them: lazy arrays, regions with their coarser levels, formats of single volumes."""

from __future__ import annotations

import re
import sys
from typing import Any

import dask
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import copick_core
from copick_core.errors import InvalidDataError, LevelNotFoundError, MissingDependencyError
from copick_core.volumes import ome
from support.counting_store import CountingStore
from support.objects import OBJECTS

SHAPE = (9, 14, 11)
DENSITY = np.random.default_rng(0).standard_normal(SHAPE).astype("f4")
LABELS = np.random.default_rng(1).integers(0, 3, SHAPE, np.uint8)


def project(**fields: Any) -> Any:
    fields = {"chunks": (4, 4, 4), **fields}
    return copick_core.open({"config_type": "memory", "pickable_objects": OBJECTS, "user_id": "alice", **fields})


def volumes(root: Any) -> dict[str, Any]:
    """One entity of each kind that holds a volume, not written yet."""
    run = root.new_run("TS_1")
    tomogram = run.new_voxel_spacing(10.0).new_tomogram("wbp")
    kinds = {
        "binary": {},
        "multilabel": {"is_multilabel": True},
        "instance": {"is_instance": True},
        "panoptic": {"is_panoptic": True},
    }
    return {
        "tomogram": tomogram,
        "features": tomogram.new_features("sobel"),
        "object": root.get_object("ribosome"),
        **{kind: run.new_segmentation(10.0, "membrane", "1", **flags) for kind, flags in kinds.items()},
    }


KINDS = tuple(volumes(project()))


def content(kind: str) -> np.ndarray:
    if kind == "panoptic":
        return np.stack([LABELS, LABELS * 7])
    return DENSITY if kind in ("tomogram", "features", "object") else LABELS


def write(kind: str, entity: Any, data: np.ndarray, **options: Any) -> None:
    entity.from_numpy(data, **({"voxel_size": 10.0} if kind == "object" else {}), **options)


# ---------------------------------------------------------------------------------------------------------------- dask


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_every_volume_is_a_dask_array_too(kind: str, zarr_format: int) -> None:
    entity = volumes(project(zarr_format=zarr_format))[kind]
    write(kind, entity, content(kind), levels=2)

    assert entity.levels == ["0", "1"]
    for level in ("0", "1"):
        lazy = entity.dask(level)
        assert lazy.chunksize == entity.array(level).chunks
        np.testing.assert_array_equal(lazy.compute(), entity.numpy(level))


def test_shards_are_the_blocks_of_a_dask_array() -> None:
    tomogram = volumes(project(zarr_format=3, shards=(8, 8, 8)))["tomogram"]
    tomogram.from_numpy(DENSITY)

    assert tomogram.dask().chunksize == (8, 8, 8)


@pytest.mark.parametrize(
    ("zarr_format", "documents"), [(2, {".zattrs", "0/.zarray", "0/.zattrs"}), (3, {"zarr.json", "0/zarr.json"})]
)
def test_a_level_of_the_projects_format_is_opened_by_its_own_documents_and_the_images(
    monkeypatch: pytest.MonkeyPatch, zarr_format: int, documents: set[str]
) -> None:
    tomogram = volumes(project(zarr_format=zarr_format))["tomogram"]
    tomogram.from_numpy(DENSITY)
    store = CountingStore(tomogram.zarr())
    monkeypatch.setattr(type(tomogram), "zarr", lambda self: store)

    tomogram.array()

    assert set(store.keys_of("get")) == documents


def test_a_dask_array_reads_only_when_it_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    tomogram = volumes(project())["tomogram"]
    store = CountingStore()
    ome.write_volume(store, DENSITY, 10.0, levels=1, format=ome.VolumeFormat(chunks=4))
    monkeypatch.setattr(type(tomogram), "zarr", lambda self: store)

    lazy = tomogram.dask()
    assert store.chunks_of("get") == []
    lazy[5, :4, :4].compute()
    assert store.chunks_of("get") == ["0/1/0/0"]


def test_a_dask_array_does_not_remember_what_was_stored_before() -> None:
    tomogram = volumes(project())["tomogram"]
    tomogram.from_numpy(DENSITY)
    before = tomogram.dask()

    tomogram.from_numpy(-DENSITY)

    assert before.name != tomogram.dask().name
    np.testing.assert_array_equal(tomogram.dask().compute(), -DENSITY)


def test_a_dask_array_of_files_computes_in_other_processes(project_config: Any) -> None:
    tomogram = volumes(copick_core.open(project_config(chunks=(4, 4, 4))))["tomogram"]
    tomogram.from_numpy(DENSITY)

    with dask.config.set({"multiprocessing.context": "spawn"}):
        total = tomogram.dask().sum(dtype="f8").compute(scheduler="processes", num_workers=1)

    assert total == pytest.approx(DENSITY.sum(dtype="f8"))


def test_a_missing_level_is_told_with_those_there_are() -> None:
    tomogram = volumes(project())["tomogram"]
    tomogram.from_numpy(DENSITY, levels=2)

    with pytest.raises(LevelNotFoundError, match="'0', '1'"):
        tomogram.dask("2")


def test_without_dask_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    tomogram = volumes(project())["tomogram"]
    tomogram.from_numpy(DENSITY)
    monkeypatch.setitem(sys.modules, "dask.array", None)

    with pytest.raises(MissingDependencyError, match=r'pip install "copick-core\[dask\]"'):
        tomogram.dask()


# ------------------------------------------------------------------------------------------------------ regions, levels


def slices(length: int) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.integers(-length, length - 1),
        st.slices(length).filter(lambda s: len(range(length)[s]) > 0),
        st.just(slice(None)),
    )


@given(st.sampled_from(KINDS), st.tuples(*map(slices, SHAPE)), st.sampled_from([2, 3]), st.integers(1, 4))
def test_a_region_with_its_levels_equals_a_write_of_the_whole(kind: str, index: Any, zarr_format: int, levels: int) -> None:
    shards = (8, 8, 8) if zarr_format == 3 else None
    ours, whole = (volumes(project(zarr_format=zarr_format, shards=shards))[kind] for _ in range(2))
    before, changed = content(kind), content(kind).copy()
    changed[(..., *index)] = changed[(..., *index)] * 0 + 1
    write(kind, ours, before, levels=levels)
    write(kind, whole, changed, levels=levels)

    region = {"slices": (..., *index)} if kind == "features" else dict(zip("zyx", index, strict=True))
    ours.set_region(changed[(..., *index)], update_levels=True, **region)

    assert len(ours.levels) == levels
    for level in ours.levels:
        np.testing.assert_array_equal(ours.numpy(level), whole.numpy(level))


def test_a_region_of_one_channel_is_updated_alone() -> None:
    ours, whole = (volumes(project())["panoptic"] for _ in range(2))
    changed = content("panoptic").copy()
    changed[1, 2:6] = 999 * (LABELS[2:6] > 0)
    ours.from_numpy(content("panoptic"), levels=3)
    whole.from_numpy(changed, levels=3)

    ours.set_region(changed[1, 2:6], z=slice(2, 6), channel="instance", update_levels=True)

    assert ours.levels == ["0", "1", "2"]
    for level in ours.levels:
        np.testing.assert_array_equal(ours.numpy(level), whole.numpy(level))


def test_the_metadata_of_an_image_are_read_once_for_all_its_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    tomogram = volumes(project())["tomogram"]
    tomogram.from_numpy(DENSITY, levels=3)
    tomogram.refresh()
    store = CountingStore(tomogram.zarr())
    monkeypatch.setattr(tomogram._layer, "zarr", lambda key: store)

    for level in ("0", "1", "2"):
        tomogram.numpy(level)

    assert store.keys_of("get").count(".zattrs") == 1


def test_densities_that_are_set_to_zero_are_stored_as_chunks() -> None:
    tomogram = volumes(project())["tomogram"]
    tomogram.from_numpy(DENSITY, levels=1)
    before = {*tomogram.zarr()._names()}

    tomogram.set_region(0.0)

    assert {*tomogram.zarr()._names()} == before


def test_other_levels_stay_as_they_are_unless_asked() -> None:
    tomogram = volumes(project())["tomogram"]
    tomogram.from_numpy(DENSITY)
    before = tomogram.numpy("1")

    tomogram.set_region(7.0)

    np.testing.assert_array_equal(tomogram.numpy("1"), before)


def test_levels_finer_than_the_changed_one_stay_as_they_are() -> None:
    tomogram = volumes(project())["tomogram"]
    tomogram.from_numpy(DENSITY, levels=3)

    tomogram.set_region(7.0, "1", update_levels=True)

    np.testing.assert_array_equal(tomogram.numpy("0"), DENSITY)
    assert (tomogram.numpy("2") == 7).all()


def test_levels_that_no_pyramid_has_are_refused_before_anything_is_written() -> None:
    labels = volumes(project())["binary"]
    with labels._replace_store() as store:
        ome.write_volume(store, LABELS, 10.0, levels=2, kind="mean")  # other sizes than "nearest" ones

    with pytest.raises(InvalidDataError, match="not half of"):
        labels.set_region(1, update_levels=True)

    np.testing.assert_array_equal(labels.numpy(), LABELS)


# -------------------------------------------------------------------------------------------------------------- formats


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_volume_may_have_a_format_of_its_own(kind: str) -> None:
    entity = volumes(project())[kind]

    write(kind, entity, content(kind), zarr_format=3, chunks=(2, 4, 4), shards=8, compressor=None)

    array = entity.array()
    assert array.metadata.zarr_format == 3
    assert (array.chunks[-3:], array.shards[-3:]) == ((2, 4, 4), (8, 8, 8))
    assert array.compressors == ()
    np.testing.assert_array_equal(entity.numpy(), content(kind))


def test_features_of_any_dimensionality_take_a_format() -> None:
    features = volumes(project())["features"]

    features.from_numpy(np.ones((6, 5)), chunks=(3, 2), zarr_format=3)

    assert features.array().chunks == (3, 2)
    assert features.array().metadata.zarr_format == 3


def test_what_is_not_asked_for_is_as_configured() -> None:
    tomogram = volumes(project(compressor="zstd"))["tomogram"]

    tomogram.from_numpy(DENSITY, chunks=8)

    assert tomogram.array().chunks == (8, 8, 8)
    assert tomogram.array().compressors[0].codec_id == "zstd"


@pytest.mark.parametrize(("misspelt", "meant"), [("chunk", "chunks"), ("level", "levels")])
def test_an_argument_that_does_not_exist_is_told_the_closest_one(misspelt: str, meant: str) -> None:
    tomogram = volumes(project())["tomogram"]

    with pytest.raises(TypeError, match=f"'{misspelt}' for writing tomogram 'wbp'.*'{meant}'"):
        tomogram.from_numpy(DENSITY, **{misspelt: 2})


@pytest.mark.parametrize("options", [{"shards": 8}, {"chunk": 8}, {"zarr_format": 4}, {"chunks": 0}])
def test_a_format_that_cannot_be_leaves_what_is_stored(options: Any) -> None:
    tomogram = volumes(project())["tomogram"]
    tomogram.from_numpy(DENSITY)

    with pytest.raises((TypeError, ValueError), match=r"shards|Shards|chunk|zarr_format"):
        tomogram.from_numpy(-DENSITY, **options)

    np.testing.assert_array_equal(tomogram.numpy(), DENSITY)


# ------------------------------------------------------------------------------------------------------------ bad arguments


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_does_not_fit_a_volume_is_refused_with_its_name(kind: str) -> None:
    entity = volumes(project())[kind]
    write(kind, entity, content(kind))
    name = re.escape(str(entity.key))

    with pytest.raises(InvalidDataError, match=name):
        write(kind, entity, content(kind), shards=8)  # only in zarr v3
    with pytest.raises(InvalidDataError, match=name):
        write(kind, entity, content(kind).astype(complex))
    with pytest.raises(InvalidDataError, match=name):
        write(kind, entity, content(kind), levels=0)

    np.testing.assert_array_equal(entity.numpy(), content(kind))


def test_a_region_of_another_shape_is_refused_with_both_shapes() -> None:
    tomogram = volumes(project())["tomogram"]
    tomogram.from_numpy(DENSITY)

    with pytest.raises(InvalidDataError, match=r"tomogram 'wbp'.*\(3, 3\).*\(5, 14, 11\)"):
        tomogram.set_region(np.zeros((3, 3)), z=slice(0, 5))

    np.testing.assert_array_equal(tomogram.numpy(), DENSITY)


@pytest.mark.parametrize("kind", KINDS)
def test_values_that_cannot_be_stored_are_told_with_their_volume(kind: str) -> None:
    entity = volumes(project())[kind]
    with pytest.raises(InvalidDataError, match=f"^{re.escape(str(entity.key))}"):
        write(kind, entity, np.full_like(content(kind), -1.5, float), dtype="uint8")

    write(kind, entity, content(kind).astype("u1"), dtype="uint8", levels=1)
    with pytest.raises(InvalidDataError, match=f"^{re.escape(str(entity.key))}"):
        entity.set_region(np.array(-1))
