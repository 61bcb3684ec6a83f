"""Meshes of a run, and as GLB bytes."""

import json
import struct
import tracemalloc

import numpy as np
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


def test_an_array_that_the_file_cannot_hold_is_refused_before_it_is_allocated() -> None:
    document = {
        "asset": {"version": "2.0"},
        "accessors": [{"componentType": 5126, "type": "VEC3", "count": 10**8}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}],
        "nodes": [{"mesh": 0}],
        "scenes": [{"nodes": [0]}],
    }
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    glb = b"glTF" + struct.pack("<2I", 2, 20 + len(text)) + struct.pack("<I", len(text)) + b"JSON" + text

    tracemalloc.start()
    with pytest.raises(InvalidDataError, match=r"^huge\.glb.*1,200,000,000 bytes"):
        decode_mesh(glb, "huge.glb")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 2**22


def test_a_mesh_round_trips_in_angstrom(root, run):
    box = trimesh.creation.box(extents=(1, 2, 3))
    mesh = run.new_mesh("membrane", "1")
    mesh.mesh = box
    mesh.store()
    root.refresh()
    (again,) = root.get_run("TS_1").get_meshes("membrane", "alice", "1")
    (geometry,) = again.mesh.geometry.values()
    np.testing.assert_allclose(geometry.bounds, box.bounds)
    assert again.color == (60, 160, 230, 255)


def test_a_new_mesh_is_empty(root, run):
    run.new_mesh("membrane", "1")
    root.refresh()
    mesh = root.get_run("TS_1").meshes[0].mesh
    assert sum(len(g.vertices) for g in mesh.geometry.values()) == 0
