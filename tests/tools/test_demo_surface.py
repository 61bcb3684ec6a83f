"""The isosurface that the demonstration's meshes are made with."""

import numpy as np
import pytest
import trimesh

from copick_tools.demo.surface import isosurface


@pytest.fixture
def distance():
    """Distance in voxels from the middle of a volume whose sides differ."""
    z, y, x = np.indices((20, 24, 30)) - np.array([9.5, 11.0, 14.0]).reshape(3, 1, 1, 1)
    return np.sqrt(z**2 + y**2 + x**2)


def test_a_sphere_becomes_a_closed_surface_of_its_volume(distance):
    mesh = trimesh.Trimesh(*isosurface(distance, 7.0, voxel_size=10.0), process=False)

    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    assert mesh.volume == pytest.approx(4 / 3 * np.pi * 70**3, rel=0.03)


def test_vertices_are_in_angstrom_as_x_y_z(distance):
    vertices, _ = isosurface(distance, 7.0, voxel_size=10.0)

    middle = (vertices.min(axis=0) + vertices.max(axis=0)) / 2
    assert middle == pytest.approx([140.0, 110.0, 95.0], abs=1.0)


def test_normals_point_to_higher_values(distance):
    rising = trimesh.Trimesh(*isosurface(distance, 7.0, 1.0), process=False)
    falling = trimesh.Trimesh(*isosurface(-distance, -7.0, 1.0), process=False)

    assert rising.volume > 0
    assert falling.volume < 0


def test_a_volume_on_one_side_of_the_level_has_no_surface():
    vertices, faces = isosurface(np.ones((4, 4, 4)), 2.0, 1.0)

    assert vertices.shape == (0, 3)
    assert faces.shape == (0, 3)
