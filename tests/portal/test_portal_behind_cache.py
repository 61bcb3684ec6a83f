"""The portal behind the wrapper ``cache``: what was read once is not downloaded again."""

import pytest

from support.portals import OBJECTS, open_project


@pytest.fixture
def opened(portal, tmp_path):
    def make(**options):
        wrapper = {"name": "cache", "path": str(tmp_path / "kept"), **options}
        return open_project(portal, None, wrappers=[wrapper])

    return make


def points(root):
    return [picks.numpy()[0].tolist() for run in root.runs for picks in run.picks]


def test_picks_are_downloaded_once(portal, opened):
    first = points(opened())
    portal.reset()

    again = points(opened())

    assert again == first != []
    assert portal.s3.requests == 0


def test_meshes_and_regions_are_downloaded_once(portal, opened):
    def read(root):
        tomograms = [t for run in root.runs for spacing in run.voxel_spacings for t in spacing.tomograms]
        meshes = [mesh.mesh.bounds.tolist() for run in root.runs for mesh in run.meshes]
        return meshes, tomograms[0].numpy(z=slice(0, 2)).tolist()

    first = read(opened(revalidate="never"))
    portal.reset()

    again = read(opened(revalidate="never"))

    assert again == first
    assert portal.s3.requests == 0


def test_projects_with_other_objects_share_nothing(portal):
    names = [open_project(portal, None).layers.static[0].place_id() for _ in range(2)]
    other = open_project(portal, None, 10001).layers.static[0].place_id()

    assert len({*names}) == 1
    assert other not in names
    assert all(obj["name"] in names[0] for obj in OBJECTS)


def test_the_portals_own_cache_is_still_found(opened):
    layer = opened().layers.static[0]

    assert layer.cache is not None
    assert type(layer.cache).__name__ == "DiskCache"
