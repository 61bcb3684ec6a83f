"""Meshes in files."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from copick_core.errors import InvalidDataError
from copick_core.plugins.choosing import format_that_reads, function_of
from copick_core.plugins.discovery import formats

NAMES = ["stl", "obj", "ply", "glb"]


def load(path, **options):
    chosen = format_that_reads(str(path), "mesh")
    return function_of(chosen, chosen.reads, "mesh", options)(str(path), **options)


def save(path, mesh, **options):
    chosen = formats.get(path.suffix[1:])
    function_of(chosen, chosen.writes, "mesh", options)(str(path), mesh, **options)
    return path


@pytest.mark.parametrize("name", NAMES)
def test_a_mesh_survives(tmp_path, name):
    mesh = trimesh.creation.icosphere(2, 50.0)

    again = load(save(tmp_path / f"a.{name}", mesh))

    assert again.area == pytest.approx(mesh.area, rel=1e-5)
    np.testing.assert_allclose(again.bounds, mesh.bounds, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_a_unit_of_the_file_is_as_many_angstrom_as_are_told(tmp_path, name):
    mesh = trimesh.creation.icosphere(1, 50.0)

    path = save(tmp_path / f"a.{name}", mesh, scale=10.0)

    np.testing.assert_allclose(load(path).bounds, mesh.bounds / 10, atol=1e-4)
    np.testing.assert_allclose(load(path, scale=10.0).bounds, mesh.bounds, atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_scenes_are_written_where_they_stand(tmp_path, name):
    scene = trimesh.Scene()
    scene.add_geometry(trimesh.creation.box((2, 2, 2)), transform=trimesh.transformations.translation_matrix([10, 20, 30]))

    again = load(save(tmp_path / f"a.{name}", scene))

    np.testing.assert_allclose(again.bounds, [[9, 19, 29], [11, 21, 31]], atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_mesh_is_refused(tmp_path, name):
    (tmp_path / f"a.{name}").write_bytes(b"nothing of the kind")

    with pytest.raises((InvalidDataError), match="a\\." + name):
        load(tmp_path / f"a.{name}")


def test_a_scale_of_nothing_is_refused(tmp_path):
    with pytest.raises(InvalidDataError, match="scale"):
        save(tmp_path / "a.stl", trimesh.creation.icosphere(1), scale=0.0)
