"""Meshes of a run, and as GLB bytes."""

import json
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import trimesh

import copick_core
from copick_core.errors import InvalidDataError
from copick_core.meshes import decode_mesh, encode_mesh, extras_of, with_extras

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


def of_text(text: bytes) -> bytes:
    text += b" " * (-len(text) % 4)
    return b"glTF" + struct.pack("<2I", 2, 20 + len(text)) + struct.pack("<I", len(text)) + b"JSON" + text


def of_array(accessor: dict[str, object]) -> bytes:
    document = {
        "asset": {"version": "2.0"},
        "accessors": [accessor],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}],
        "nodes": [{"mesh": 0}],
        "scenes": [{"nodes": [0]}],
    }
    return of_text(json.dumps(document).encode())


def test_an_array_that_the_file_cannot_hold_is_refused_before_it_is_allocated() -> None:
    data = of_array({"componentType": 5126, "type": "VEC3", "count": 10**8})

    tracemalloc.start()
    with pytest.raises(InvalidDataError, match=r"^huge\.glb.*1,200,000,000 bytes") as caught:
        decode_mesh(data, "huge.glb")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 2**22
    assert caught.value.source == "huge.glb"
    assert f"the whole file has {len(data):,}" in caught.value.reason


@pytest.mark.parametrize(
    ("kind", "component", "size"),
    [
        ("SCALAR", 5120, 1),
        ("SCALAR", 5121, 1),
        ("SCALAR", 5122, 2),
        ("SCALAR", 5123, 2),
        ("SCALAR", 5125, 4),
        ("SCALAR", 5126, 4),
        ("VEC2", 5121, 2),
        ("VEC3", 5121, 3),
        ("VEC4", 5121, 4),
        ("MAT2", 5121, 4),
        ("MAT3", 5121, 9),
        ("MAT4", 5121, 16),
        ("of tomorrow", 5126, 4),
        ("VEC2", 9999, 2),
    ],
)
def test_arrays_of_every_type_are_counted_in_bytes(kind: str, component: int, size: int) -> None:
    data = of_array({"componentType": component, "type": kind, "count": 10**6})

    with pytest.raises(InvalidDataError, match=f"claims an array of {size * 10**6:,} bytes, the whole file has {len(data)}"):
        decode_mesh(data, "huge.glb")


@pytest.mark.parametrize("at", [12, -16], ids=["text", "arrays"])
def test_a_part_longer_than_the_file_takes_no_memory(tmp_path: Path, at: int) -> None:
    data = bytearray(with_extras(of_text(b'{"asset":{"version":"2.0"}}'), note=1) + struct.pack("<I", 8) + b"BIN\0" + bytes(8))
    data[at : at + 4 or None] = struct.pack("<I", 2**30)
    path = tmp_path / "a.glb"
    path.write_bytes(data)

    tracemalloc.start()
    claimed = f"claims a part of 1,073,741,824 bytes, the whole file has {len(data)}"
    with path.open("rb") as file, pytest.raises(InvalidDataError, match=claimed):
        decode_mesh(file, "a.glb")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 2**22


def test_an_open_file_is_read_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "a.glb"
    path.write_bytes(encode_mesh(trimesh.Trimesh(TRIANGLE, [[0, 1, 2]], process=False), "membrane"))

    with path.open("rb") as file:
        file.seek(7)
        [geometry] = decode_mesh(file, "a.glb").geometry.values()

    assert geometry.vertices.tolist() == TRIANGLE


def test_vertices_stay_as_many_as_they_are() -> None:
    twice = trimesh.Trimesh([*TRIANGLE, *TRIANGLE], [[0, 1, 2], [3, 4, 5]], process=False)

    [geometry] = decode_mesh(encode_mesh(twice, "membrane"), "membrane").geometry.values()

    assert len(geometry.vertices) == 6


def test_a_vertex_that_is_no_number_is_refused_with_its_place() -> None:
    mesh = trimesh.PointCloud([*TRIANGLE, [0, np.nan, 0]])

    with pytest.raises(InvalidDataError, match="vertices must be finite numbers") as caught:
        encode_mesh(mesh, "membrane")

    assert (caught.value.source, caught.value.index) == ("membrane", 3)


def test_what_trimesh_cannot_export_is_refused() -> None:
    with pytest.raises(InvalidDataError, match=r"membrane: the mesh cannot be exported as GLB") as caught:
        encode_mesh(object(), "membrane")  # type: ignore[arg-type]

    assert caught.value.source == "membrane"
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("text", [b"[]", b"{}", b'{"asset":{}}', b'{"asset":{"extras":[1]}}'])
def test_a_file_without_extras_has_none_and_gets_some(text: bytes) -> None:
    data = of_text(text)

    assert extras_of(data) == {}
    assert extras_of(with_extras(data, note=1)) == {"note": 1}


def test_what_gets_extras_says_which_version_of_gltf_it_is() -> None:
    changed = with_extras(of_text(b"{}"), note=1)

    assert json.loads(changed[20:]) == {"asset": {"version": "2.0", "extras": {"note": 1}}}


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


def test_who_has_forgotten_a_mesh_may_replace_what_others_have_stored_since(project_config):
    box, ball = trimesh.creation.box(), trimesh.creation.icosphere(0)
    copick_core.open(project_config()).new_run("TS_1").new_mesh("membrane", "1", mesh=box)
    mine, theirs = (copick_core.open(project_config()).get_run("TS_1").meshes[0] for _ in range(2))
    mine.load()
    theirs.mesh = ball
    theirs.store()

    mine.refresh()
    mine.mesh = box
    mine.store()

    theirs.refresh()
    assert sum(len(geometry.faces) for geometry in theirs.mesh.geometry.values()) == len(box.faces)
