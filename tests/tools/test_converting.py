"""``convert``: meshes of segmentations, and segmentations of meshes and picks."""

from __future__ import annotations

import json

import numpy as np
import pytest
import trimesh

import copick_core
from copick_core.__main__ import main
from copick_core.layers.provenance import provenance_of

OBJECTS = [
    {"name": "membrane", "is_particle": False, "label": 3},
    {"name": "ribosome", "is_particle": True, "label": 2, "radius": 30.0},
]
SHAPE = (16, 20, 24)


@pytest.fixture
def root(tmp_path, monkeypatch):
    config = {
        "config_type": "filesystem",
        "overlay_root": str(tmp_path / "data"),
        "user_id": "ana",
        "pickable_objects": OBJECTS,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    monkeypatch.setenv("COPICK_CONFIG", str(tmp_path / "config.json"))
    root = copick_core.open(tmp_path / "config.json")
    for name in ("TS_1", "TS_2"):
        root.new_run(name).new_voxel_spacing(10.0).new_tomogram("wbp").from_numpy(np.zeros(SHAPE, "f4"), levels=1)
    return root


def again(root, run="TS_1"):
    return copick_core.open(root.config.model_dump(mode="json")).get_run(run)


def ball():
    mesh = trimesh.creation.icosphere(3, 52.0)
    mesh.apply_translation((120, 100, 80))
    return mesh


def test_what_is_inside_a_mesh_is_labelled_and_meshed_again(root, capsys):
    pytest.importorskip("zmesh", reason="the extra mesh is not installed")
    root.get_run("TS_1").new_mesh("membrane", "1", mesh=ball())

    assert main(["convert", "segmentation-from-mesh", "membrane:ana/1"]) == 0
    assert main(["convert", "mesh-from-segmentation", "membrane:ana/0@10.0", "--reduction", "4"]) == 0

    (made,) = again(root).get_segmentations(name="membrane")
    assert {*np.unique(made.numpy())} == {0, 3}
    (mesh,) = again(root).get_meshes("membrane", "ana", "0")
    np.testing.assert_allclose(mesh.mesh.bounds, ball().bounds, atol=10)
    assert "TS_1/membrane:ana/0" in capsys.readouterr().out


def test_spheres_have_the_radius_of_the_object_or_the_one_that_is_given(root):
    root.get_run("TS_1").new_picks("ribosome", "1", positions=[[120, 100, 80]])

    main(["convert", "segmentation-from-picks", "ribosome:ana/1"])
    main(["convert", "segmentation-from-picks", "ribosome:ana/1", "--radius", "10", "--session", "7"])

    large, small = (again(root).get_segmentations(name="ribosome", session_id=s)[0].numpy() for s in "07")
    assert large[8, 10, 9:16].tolist() == [2] * 7
    assert (np.count_nonzero(small), np.count_nonzero(large)) == (7, 123)


def test_an_object_of_a_segmentation_of_several_is_meshed_by_its_label(root):
    pytest.importorskip("zmesh", reason="the extra mesh is not installed")
    labels = np.zeros(SHAPE, np.uint8)
    labels[4, 4, 4:7], labels[10, 10, 10] = 3, 2
    root.get_run("TS_1").new_segmentation(10.0, "all", "1", is_multilabel=True).from_numpy(labels)

    assert main(["convert", "mesh-from-segmentation", "all:ana/1@10.0", "--object", "membrane"]) == 0

    (mesh,) = again(root).get_meshes("membrane")
    np.testing.assert_allclose(mesh.mesh.bounds, [[35, 35, 35], [65, 45, 45]])


def test_what_fails_is_a_row_and_the_rest_is_made(root, capsys):
    for number, run in enumerate(root.runs):
        mesh = ball()
        if number == 0:
            mesh.update_faces(np.arange(len(mesh.faces)) > 0)
        run.new_mesh("membrane", "1", mesh=mesh)

    assert main(["convert", "segmentation-from-mesh", "*/membrane:ana/1", "--json"]) == 1

    rows = json.loads(capsys.readouterr().out)
    assert [row["state"] for row in rows] == ["failed", "done"]
    assert "not closed" in rows[0]["error"]


def test_a_dry_run_makes_nothing(root):
    root.get_run("TS_1").new_mesh("membrane", "1", mesh=ball())

    assert main(["convert", "segmentation-from-mesh", "membrane:ana/1", "--dry-run"]) == 0

    assert again(root).segmentations == []


def test_what_exists_is_replaced_only_where_that_is_asked_for(root, capsys):
    root.get_run("TS_1").new_mesh("membrane", "1", mesh=ball())
    words = ["convert", "segmentation-from-mesh", "membrane:ana/1"]

    assert [main(words), main(words)] == [0, 1]
    assert "already exists in layer 'overlay'. Pass --if-exists replace to replace it." in capsys.readouterr().out
    assert main([*words, "--if-exists", "replace"]) == 0


def test_what_is_made_says_of_what_and_how(root):
    root.get_run("TS_1").new_picks("ribosome", "1", positions=[[120, 100, 80]])

    main(["convert", "segmentation-from-picks", "ribosome:ana/1", "--radius", "30"])

    (made,) = again(root).get_segmentations(name="ribosome")
    provenance = provenance_of(made.run.root.layers.overlay, made.key)
    assert "TS_1/ribosome:ana/1" in json.dumps(provenance)
    assert provenance["function"] == "copick_tools.converting:segmentations_from"
    assert provenance["arguments"] == {"kind": "picks", "radius": 30.0}


def test_an_address_that_matches_nothing_is_an_error(root, capsys):
    assert main(["convert", "segmentation-from-mesh", "membrane:nobody/1"]) == 1
    assert capsys.readouterr().err == "error: address 'membrane:nobody/1': nothing matches it\n"
