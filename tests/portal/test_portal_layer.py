"""The portal as a layer: what the conformance kit does not ask."""

from __future__ import annotations

import pickle

import pytest
import zarr

from copick_core.errors import NotFoundError, ReadOnlyError
from copick_core.tree.keys import (
    CONTAINER_KINDS,
    FILE_KINDS,
    ROOT,
    VOLUME_KINDS,
    FeaturesKey,
    Kind,
    MeshKey,
    ObjectKey,
    PicksKey,
    RunKey,
    SegmentationKey,
    TomogramKey,
    VoxelSpacingKey,
)

MISSING = [
    RunKey("999"),
    RunKey("TS_001"),
    RunKey("\N{SUPERSCRIPT TWO}"),
    VoxelSpacingKey("501", 1.0),
    TomogramKey("501", 7.84, "none"),
    FeaturesKey("501", 7.84, "wbp-raw", "none"),
    PicksKey("501", "ribosome", "data-portal", "1"),
    PicksKey("999", "ribosome", "data-portal", "1"),
    MeshKey("501", "ribosome", "ana", "1"),
    SegmentationKey("501", 7.84, "membrane", "data-portal", "1"),
    ObjectKey("ribosome"),
]


@pytest.fixture
def layer(root):
    """The portal."""
    return root.layers.static[0]


def everything(layer):
    keys = [*layer.list(Kind.RUN, ROOT), *layer.list(Kind.OBJECT, ROOT)]
    for run in [k for k in keys if isinstance(k, RunKey)]:
        for kind in (Kind.VOXEL_SPACING, Kind.PICKS, Kind.MESH, Kind.SEGMENTATION):
            keys += layer.list(kind, run)
    for spacing in [k for k in keys if isinstance(k, VoxelSpacingKey)]:
        keys += layer.list(Kind.TOMOGRAM, spacing)
    return keys


def test_every_listed_key_exists_and_is_listed_once(layer):
    keys = everything(layer)

    assert len(keys) == len(set(keys)) == 5 + 4 + 6 + 5 + 2 + 1
    assert all(layer.exists(key) for key in keys)


def test_list_many_is_what_list_is(layer):
    runs = [*layer.list(Kind.RUN, ROOT), RunKey("999")]
    for kind in (Kind.VOXEL_SPACING, Kind.PICKS, Kind.MESH, Kind.SEGMENTATION):
        assert {p: [*k] for p, k in layer.list_many(kind, runs).items()} == {run: [*layer.list(kind, run)] for run in runs}


@pytest.mark.parametrize("key", MISSING, ids=str)
def test_what_is_not_there_does_not_exist_and_holds_nothing(layer, key):
    assert not layer.exists(key)
    assert all([*layer.list(kind, key)] == [] for kind in Kind if kind not in (Kind.RUN, Kind.OBJECT))
    assert layer.location(key) is None


@pytest.mark.parametrize("key", [k for k in MISSING if k.kind in FILE_KINDS], ids=str)
def test_reading_what_is_not_there_names_it(layer, key):
    with pytest.raises(NotFoundError) as caught:
        layer.read(key)

    assert caught.value.key == key
    assert layer.revision(key) is None


@pytest.mark.parametrize("key", MISSING, ids=str)
def test_nothing_can_be_written(layer, key):
    with pytest.raises(ReadOnlyError):
        layer.delete(key)
    if key.kind in FILE_KINDS:
        with pytest.raises(ReadOnlyError):
            layer.write(key, b"x")
    elif key.kind in CONTAINER_KINDS:
        with pytest.raises(ReadOnlyError):
            layer.ensure(key)
    else:
        with pytest.raises(ReadOnlyError):
            layer.replace_zarr(key)


def test_stores_are_read_only(layer):
    volumes = [key for key in everything(layer) if key.kind in VOLUME_KINDS]

    assert volumes
    for key in volumes:
        assert layer.zarr(key).read_only
        with pytest.raises(ValueError, match=r"read-only|read only"):
            zarr.open_array(layer.zarr(key), path="0", mode="r+", zarr_format=2)[0, 0, 0] = 9


def test_files_read_are_in_our_formats(layer):
    from copick_core.meshes import decode_mesh
    from copick_core.picks import decode

    picks, meshes = ([key for key in everything(layer) if key.kind is kind] for kind in (Kind.PICKS, Kind.MESH))

    assert picks
    for key in picks:
        assert decode(layer.read(key), "picks").header["session_id"] == key.session_id
    for key in meshes:
        assert decode_mesh(layer.read(key), "mesh").geometry


def test_a_layer_survives_pickling_without_its_connections(layer):
    everything(layer)

    again = pickle.loads(pickle.dumps(layer))

    assert again._index is None
    assert everything(again) == everything(layer)
