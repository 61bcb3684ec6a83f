"""A compose volume keeps the contract of a static layer, as copick_core.layers states it."""

import io

import numpy as np
import pytest
import trimesh

from copick_core.errors import NotFoundError, ReadOnlyError
from copick_core.tree.keys import (
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
from support.volumes import open_volume


@pytest.fixture
def layer(either):
    return open_volume(either).volume_layer


UNKNOWN = [
    RunKey("FFFFFF"),
    VoxelSpacingKey("CC7651", 77.0),
    TomogramKey("CC7651", 1.0, "wbp"),
    FeaturesKey("CC7651", 1.0, "raw", "edges"),
    PicksKey("CC7651", "label-255", "ana", "1"),
    MeshKey("CC7651", "label-255", "ana", "1"),
    SegmentationKey("CC7651", 1.0, "label-255", "ana", "1"),
    ObjectKey("label-255"),
]


def listed(layer):
    runs = [*layer.list(Kind.RUN, ROOT)]
    spacings = [s for run in runs for s in layer.list(Kind.VOXEL_SPACING, run)]
    leaves = [k for run in runs for kind in (Kind.PICKS, Kind.MESH, Kind.SEGMENTATION) for k in layer.list(kind, run)]
    return [*runs, *spacings, *leaves, *(t for s in spacings for t in layer.list(Kind.TOMOGRAM, s))]


def test_whatever_is_listed_exists_once_and_opens_read_only(layer):
    keys = listed(layer)

    assert len(set(keys)) == len(keys)
    assert all(layer.exists(key) for key in keys)
    assert all(layer.zarr(key).read_only for key in keys if key.kind in VOLUME_KINDS)
    assert {key.kind for key in keys} == {Kind.RUN, Kind.VOXEL_SPACING, Kind.TOMOGRAM, Kind.SEGMENTATION, Kind.MESH}


@pytest.mark.parametrize("key", UNKNOWN, ids=lambda key: key.kind.name)
def test_what_is_unknown_does_not_exist_and_has_no_children(layer, key):
    assert not layer.exists(key)
    assert layer.revision(key) is None
    if key.kind in FILE_KINDS:
        with pytest.raises(NotFoundError):
            layer.read(key)
    if key.kind in (Kind.RUN, Kind.VOXEL_SPACING, Kind.TOMOGRAM):
        assert [k for kind in Kind for k in layer.list(kind, key)] == []


def test_every_write_through_the_layer_is_refused(layer):
    for key in [*UNKNOWN, *listed(layer)]:
        for call in (lambda k=key: layer.write(k, b"x"), lambda k=key: layer.ensure(k), lambda k=key: layer.delete(k)):
            with pytest.raises(ReadOnlyError):
                call()
        with pytest.raises(ReadOnlyError), layer.replace_zarr(key):
            pass


def test_a_mesh_reads_as_glb_with_the_geometry_that_it_loads(layer):
    key = next(iter(layer.list(Kind.MESH, RunKey("CC7651"))))
    loaded = next(iter(layer.load_mesh(key)[0].geometry.values()))

    read = trimesh.load_scene(io.BytesIO(layer.read(key)), file_type="glb")

    np.testing.assert_allclose(read.bounds, loaded.bounds)
