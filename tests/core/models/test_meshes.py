"""Meshes as GLB bytes."""

import pytest
import trimesh

from copick_core.errors import InvalidDataError
from copick_core.meshes import decode_mesh, encode_mesh

TRIANGLE = [[0, 0, 0], [10, 0, 0], [0, 10, 0]]


@pytest.mark.parametrize("beyond", [3, -1])
def test_a_face_of_a_vertex_that_is_not_there_is_refused(beyond: int) -> None:
    """Trimesh would write it, and fail at the first area or normal that somebody asks for."""
    mesh = trimesh.Trimesh(TRIANGLE, [[0, 1, 2], [0, 1, beyond]], process=False)

    with pytest.raises(InvalidDataError, match=r"membrane: .*vertex that is not there; there are 3") as caught:
        encode_mesh(trimesh.Scene(mesh), "membrane")

    assert caught.value.index == 1


@pytest.mark.parametrize("mesh", [trimesh.PointCloud(TRIANGLE), trimesh.Trimesh(TRIANGLE, [[2, 1, 0]], process=False)])
def test_points_without_faces_and_faces_of_the_last_vertex_are_kept(mesh: trimesh.parent.Geometry) -> None:
    [geometry] = decode_mesh(encode_mesh(mesh, "membrane"), "membrane").geometry.values()

    assert geometry.vertices.tolist() == TRIANGLE
