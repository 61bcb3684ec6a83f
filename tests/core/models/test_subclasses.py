"""A place with classes of its own is told which part of one is missing."""

import inspect

import pytest

from copick_core.models import (
    CopickFeatures,
    CopickFilaments,
    CopickMesh,
    CopickObject,
    CopickPicks,
    CopickRoot,
    CopickRun,
    CopickSegmentation,
    CopickTomogram,
    CopickVoxelSpacing,
)
from copick_core.models.annotation_file import HeadedFile
from copick_core.models.entity import Entity
from copick_core.models.parent import Parent
from copick_core.models.volume import Volume
from copick_core.tree.keys import Kind

PARTS = [
    (Entity, "delete"),
    (CopickRoot, "query"),
    (CopickRun, "ensure"),
    (CopickRun, "_delete_data"),
    (Parent, "_existing"),
    (CopickVoxelSpacing, "ensure"),
    (CopickVoxelSpacing, "_delete_data"),
    (CopickTomogram, "_delete_data"),
    (CopickFeatures, "_delete_data"),
    (CopickSegmentation, "_delete_data"),
    (CopickPicks, "_load"),
    (CopickPicks, "_store"),
    (CopickPicks, "_delete_data"),
    (CopickFilaments, "_load"),
    (CopickFilaments, "_store"),
    (CopickMesh, "_load"),
    (CopickMesh, "_store"),
    (CopickObject, "_delete_data"),
    (CopickTomogram, "zarr"),
    (HeadedFile, "_read_file"),
]


@pytest.mark.parametrize(("cls", "part"), PARTS, ids=lambda value: getattr(value, "__name__", value))
def test_a_class_that_lacks_a_part_of_its_storage_says_which(cls, part):
    class Mine(cls):
        pass

    method = getattr(Mine.__new__(Mine), part)

    with pytest.raises(NotImplementedError, match=rf"^Mine must implement {part}\(\)$"):
        method(*(None for _ in inspect.signature(method).parameters))


@pytest.mark.parametrize(
    ("kind", "name"), [(Kind.PICKS, "picks"), (Kind.VOXEL_SPACING, "voxelspacings"), (Kind.SEGMENTATION, "segmentations")]
)
def test_a_run_that_cannot_list_its_children_says_which(kind, name):
    class Mine(CopickRun):
        pass

    with pytest.raises(NotImplementedError, match=rf"^Mine must implement query_{name}\(\)$"):
        Mine.__new__(Mine)._query(kind)


def test_a_volume_without_a_store_to_write_to_says_so():
    class Mine(Volume):
        def zarr(self):
            return None

    with pytest.raises(NotImplementedError, match=r"^Mine has no store to write to$"), Mine.__new__(Mine)._staged_store():
        pass


def test_metadata_that_were_never_given_are_missed_by_name():
    class Mine(Entity):
        pass

    entity = Mine.__new__(Mine)
    entity._meta = None

    with pytest.raises(AttributeError, match="Mine was made without metadata"):
        _ = entity.meta
