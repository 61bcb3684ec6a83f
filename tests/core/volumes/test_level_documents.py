"""What documents of a volume may be, and which are refused by their names."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import MemoryStore

from copick_core.errors import InvalidDataError, LevelNotFoundError
from copick_core.volumes.levels import levels, open_level, read_image, voxel_size_of
from copick_core.volumes.ome import VolumeFormat, write_volume

PROTOTYPE = default_buffer_prototype()


class Unlistable(MemoryStore):
    """A place that gives what it is asked for and lists nothing, such as a web server."""

    supports_listing = False

    def list_dir(self, prefix: str) -> Any:
        raise AssertionError("it must not be asked")


def put(store: Any, **documents: Any) -> None:
    for name, content in documents.items():
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        sync(store.set(name, PROTOTYPE.buffer.from_bytes(data)))


def volume(store: Any = None, zarr_format: Any = 2, count: int = 2) -> Any:
    store = MemoryStore() if store is None else store
    format = VolumeFormat(zarr_format=zarr_format, chunks=4)
    write_volume(store, np.arange(8.0 * 8 * 8).reshape(8, 8, 8), 10.0, levels=count, format=format)
    return store


def arrays(store: Any, *names: str, zarr_format: Any = 2) -> Any:
    group = zarr.open_group(store, mode="w", zarr_format=zarr_format)
    for name in names:
        group.create_array(name, shape=(2, 2, 2), dtype="f4")
    return store


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_arrays_without_metadata_are_levels_in_the_order_of_their_numbers_and_names(zarr_format: Any) -> None:
    store = arrays(MemoryStore(), "10", "b", "2", "a", "0", zarr_format=zarr_format)
    zarr.open_group(store, mode="a", zarr_format=zarr_format).create_group("5")

    assert levels(store) == ["0", "2", "10", "a", "b"]


def test_a_place_that_cannot_be_listed_has_no_level_without_metadata() -> None:
    filled = arrays(MemoryStore(), "0")

    assert levels(Unlistable(filled._store_dict)) == []
    assert open_level(Unlistable(filled._store_dict)).shape == (2, 2, 2)


def without_separator() -> dict[str, Any]:
    """The document of an array that was written before zarr noted what separates indices."""
    found: Any = sync(volume(count=1).get("0/.zarray", PROTOTYPE))
    document: dict[str, Any] = json.loads(found.to_bytes())
    del document["dimension_separator"]
    return document


@pytest.mark.parametrize(
    ("names", "separator"),
    [(["0.0.0"], "."), (["0/0/0"], "/"), ([], "."), ([".hidden", "0/0/0"], "/"), ([".hidden", "1.0.0"], ".")],
)
def test_the_separator_of_chunks_is_told_by_their_names(names: list[str], separator: str) -> None:
    store = MemoryStore()
    put(store, **{"0/.zarray": without_separator()}, **{f"0/{name}": b"" for name in names})

    assert open_level(store).metadata.dimension_separator == separator


def test_where_nothing_can_be_listed_the_separator_is_that_of_old_zarr() -> None:
    store = Unlistable()
    put(store, **{"0/.zarray": without_separator()})

    assert open_level(store).metadata.dimension_separator == "."


@pytest.mark.parametrize("level", ["", ".", "..", "0/..", "../0", "0//0", "2", 2, -1, "labels"])
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_what_names_no_level_is_not_found_and_those_that_exist_are_listed(zarr_format: Any, level: Any) -> None:
    store = volume(zarr_format=zarr_format)

    with pytest.raises(LevelNotFoundError) as caught:
        open_level(store, level, source="my volume")

    assert (caught.value.levels, caught.value.level) == (["0", "1"], str(level))
    assert "my volume" in str(caught.value)


@pytest.mark.parametrize("first", [2, 3])
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_volume_is_read_in_whichever_format_it_is_looked_for_first(zarr_format: Any, first: Any) -> None:
    store = volume(zarr_format=zarr_format)

    for level, side in (("0", 8), (1, 4), ("/1/", 4)):
        array = open_level(store, level, first)
        assert (array.shape, array.metadata.zarr_format) == ((side,) * 3, zarr_format)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_attributes_of_an_array_are_read_with_it(zarr_format: Any) -> None:
    store = volume(zarr_format=zarr_format)
    zarr.open_array(store, path="0").attrs["unit"] = "K"

    assert open_level(store, "0", zarr_format).attrs.asdict() == {"unit": "K"}


@pytest.mark.parametrize(
    ("documents", "source", "reason"),
    [
        ({".zattrs": b"{"}, ".zattrs", "not valid JSON"),
        ({".zattrs": []}, ".zattrs", "it is a JSON list, not an object"),
        ({"0/.zarray": b"[" * 100_000}, "0/.zarray", "not valid JSON"),
        ({"0/.zarray": "text"}, "0/.zarray", "it is a JSON str, not an object"),
    ],
    ids=["cut off", "list", "too deep", "text"],
)
def test_a_document_that_is_no_object_is_named(documents: dict[str, Any], source: str, reason: str) -> None:
    store = volume()
    put(store, **documents)

    with pytest.raises(InvalidDataError, match=reason) as caught:
        open_level(store)

    assert caught.value.source == source


def test_attributes_that_are_no_object_are_named() -> None:
    store = volume(zarr_format=3)
    put(store, **{"zarr.json": {"zarr_format": 3, "node_type": "group", "attributes": [1]}})

    with pytest.raises(InvalidDataError, match="its attributes are a JSON list, not an object") as caught:
        read_image(store)

    assert caught.value.source == "zarr.json"


def test_an_empty_store_has_no_image_no_level_and_no_voxel_size() -> None:
    store = MemoryStore()

    assert (read_image(store), levels(store), voxel_size_of(store)) == (None, [], None)
    with pytest.raises(LevelNotFoundError) as caught:
        open_level(store)
    assert caught.value.levels == []


def image(**fields: Any) -> Any:
    """A store with the metadata of an image, some of them changed."""
    axes = [{"name": name, "type": "space", "unit": "angstrom"} for name in "zyx"]
    scale = [{"type": "scale", "scale": [10.0, 10.0, 10.0]}]
    described = {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}], **fields}
    store = MemoryStore()
    put(store, **{".zattrs": {"multiscales": [described]}})
    return store


@pytest.mark.parametrize(
    ("fields", "size"),
    [
        ({}, 10.0),
        ({"datasets": []}, None),
        ({"datasets": [{"path": "0"}]}, None),
        ({"axes": None}, None),
        ({"axes": ["z", "y", "x"]}, None),
        ({"axes": [{"name": n, "unit": "angstrom"} if n != "y" else {"name": n} for n in "zyx"]}, None),
        ({"axes": [{"name": n, "unit": "angstrom"} for n in "abc"]}, None),
    ],
)
def test_a_voxel_size_is_known_if_all_that_says_it_is_there(fields: dict[str, Any], size: float | None) -> None:
    assert voxel_size_of(image(**fields)) == size


@pytest.mark.parametrize("scale", [[10.0, 10.0, 0.0], [10.0, -10.0, 10.0], [float("inf")] * 3, [float("nan"), 10.0, 10.0]])
def test_a_voxel_size_that_is_no_positive_number_is_refused(scale: list[float]) -> None:
    datasets = [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": scale}]}]

    with pytest.raises(InvalidDataError, match=r"voxel sizes \(z, y, x\) .* are not positive numbers") as caught:
        voxel_size_of(image(datasets=datasets), source="my volume")

    assert caught.value.source == "my volume"


def test_a_scale_that_makes_no_sense_is_named_with_its_level() -> None:
    datasets = [{"path": "s0", "coordinateTransformations": [{"type": "scale", "scale": [10.0, 10.0]}]}]

    with pytest.raises(InvalidDataError, match="level 's0' has a scale of 2 numbers for 3 axes"):
        voxel_size_of(image(datasets=datasets))
