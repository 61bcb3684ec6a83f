"""Meshes, lines and spheres in the formats that the viewer reads."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest

from copick_view.viewer.precomputed import label_names, mesh_files, orientations, polylines, spheres, tube


def _shapes(files):
    (count,) = struct.unpack("<Q", files["all/0_0_0"][:8])
    values = np.frombuffer(files["all/0_0_0"], "<f4", count * 6, 8).reshape(count, 6)
    return values.tolist(), np.frombuffer(files["all/0_0_0"], "<u8", count, 8 + count * 24).tolist()


def test_vertices_of_meshes_are_in_nanometres():
    files = mesh_files([[10.0, 20.0, 30.0], [0.0, 0.0, 0.0], [5.0, 5.0, 5.0]], [[0, 1, 2]])

    surface = files["surface"]
    assert struct.unpack("<I", surface[:4]) == (3,)
    assert np.frombuffer(surface, "<f4", 3, 4).tolist() == [1.0, 2.0, 3.0]
    assert np.frombuffer(surface, "<u4", 3, 4 + 36).tolist() == [0, 1, 2]


def test_a_curve_becomes_lines_from_vertex_to_vertex():
    values, ids = _shapes(polylines([np.array([[0.0, 0, 0], [1, 0, 0], [1, 2, 0]]), np.array([[9.0, 9, 9]])]).files())

    assert values == [[0, 0, 0, 1, 0, 0], [1, 0, 0, 1, 2, 0]]
    assert ids == [1, 2]


def test_bounds_of_shapes_enclose_them():
    info = json.loads(spheres(np.array([[10.0, 20.0, 30.0]]), 4.0).files()["info"])

    assert info["annotation_type"] == "ELLIPSOID"
    assert (info["lower_bound"], info["upper_bound"]) == ([5.0, 15.0, 25.0], [15.0, 25.0, 35.0])
    assert info["spatial"][0]["chunk_size"] == [10.0, 10.0, 10.0]


def test_the_z_axis_of_a_particle_is_the_third_column_of_its_rotation():
    turned = np.eye(4)
    turned[:3, :3] = [[0, 0, 1], [0, 1, 0], [-1, 0, 0]]

    shapes = orientations(np.array([[1.0, 2.0, 3.0]]), turned[None], 10.0)

    assert shapes.values.tolist() == [[1, 2, 3, 11, 2, 3]]


def test_particles_without_orientation_have_no_axes():
    assert len(orientations(np.zeros((2, 3)), np.stack([np.eye(4)] * 2), 10.0).values) == 0


def test_a_tube_has_its_radius_all_along_a_bent_curve():
    angles = np.linspace(0, np.pi, 40)
    curve = 1000 * np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1)

    vertices, faces = tube(curve, 50.0, sides=8)

    distances = np.linalg.norm(vertices.reshape(40, 8, 3) - curve[:, None], axis=2)
    assert distances == pytest.approx(50.0)
    assert faces.shape == (39 * 8 * 2, 3)
    assert faces.max() == len(vertices) - 1


def test_labels_have_names():
    inline = json.loads(label_names({1: "ribosome", 7: "proteasome"}))["inline"]

    assert inline["ids"] == ["1", "7"]
    assert inline["properties"][0]["values"] == ["ribosome", "proteasome"]
