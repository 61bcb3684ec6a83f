"""Provenance: what made an entity, in a place of each kind, while a block records it."""

import json

import numpy as np
import pytest
import trimesh

import copick_core
from copick_core.layers.provenance import RECORD, mark_of, note_copy, provenance_of, recording
from copick_core.meshes import decode_mesh, extras_of, with_extras
from copick_core.testing.dict_layer import DictLayer
from copick_core.tree.keys import Kind, ObjectKey, PicksKey, RunKey
from support.objects import OBJECTS
from support.path_layer import DictPathLayer


@pytest.fixture(params=["filesystem", "memory", "s3"])
def root(request, tmp_path):
    """A project on each kind of storage."""
    config = {"config_type": "filesystem", "name": "project", "pickable_objects": OBJECTS, "user_id": "alice"}
    if request.param == "memory":
        config |= {"config_type": "memory"}
    elif request.param == "filesystem":
        config |= {"overlay_root": str(tmp_path / "overlay")}
    else:
        args = {"endpoint_url": request.getfixturevalue("s3_url"), "key": "test", "secret": "test"}
        config |= {"overlay_root": f"s3://conformance/{tmp_path.name}/provenance", "overlay_fs_args": args}
    root = copick_core.open(config)
    root.new_run("TS_1").new_voxel_spacing(10.0)
    return root


def make_picks(run):
    run.new_picks("ribosome", "1", "tool").from_numpy([[1.0, 2.0, 3.0]])
    return run.get_picks("ribosome", "tool", "1")[0]


def make_mesh(run):
    mesh = run.new_mesh("membrane", "1", "tool")
    mesh.mesh = trimesh.creation.box()
    mesh.store()
    return mesh


def make_filaments(run):
    filaments = run.new_filaments("ribosome", "1", "tool")
    filaments.from_numpy([np.array([[0.0, 0, 0], [1, 1, 1]])])
    return filaments


def make_segmentation(run):
    segmentation = run.new_segmentation(10.0, "membrane", "1", user_id="tool")
    segmentation.from_numpy(np.ones((4, 4, 4), np.uint8))
    return segmentation


def make_shards(run):
    segmentation = run.new_segmentation(10.0, "membrane", "1", user_id="tool")
    segmentation.from_numpy(np.ones((4, 4, 4), np.uint8), format="ome-0.5")
    return segmentation


def make_tomogram(run):
    tomogram = run.get_voxel_spacing(10.0).new_tomogram("wbp")
    tomogram.from_numpy(np.ones((4, 4, 4), np.float32))
    return tomogram


def make_features(run):
    features = make_tomogram(run).new_features("sobel")
    features.from_numpy(np.ones((4, 4, 4), np.float32))
    return features


MAKERS = [make_picks, make_mesh, make_filaments, make_segmentation, make_shards, make_tomogram, make_features]


def found(entity):
    return provenance_of(entity._layer, entity.key)


@pytest.mark.parametrize("make", MAKERS)
def test_everything_that_is_stored_in_the_block_carries_its_provenance(root, make):
    with recording("detector", version="1.2", by="alice", function="m:f", arguments={"threshold": 0.5}):
        made = found(make(root.get_run("TS_1")))

    assert {name: made[name] for name in ("tool", "version", "by", "function", "arguments")} == {
        "tool": "detector",
        "version": "1.2",
        "by": "alice",
        "function": "m:f",
        "arguments": {"threshold": 0.5},
    }
    assert made["at"].endswith("Z")


@pytest.mark.parametrize("make", MAKERS)
def test_what_is_stored_outside_of_the_block_has_none(root, make):
    assert found(make(root.get_run("TS_1"))) is None


def test_the_content_is_the_same_with_and_without_provenance(root):
    with recording("detector"):
        for make in (make_picks, make_mesh, make_segmentation):
            make(root.get_run("TS_1"))
    root.refresh()
    run = root.get_run("TS_1")

    assert run.get_picks("ribosome", "tool", "1")[0].numpy()[0].tolist() == [[1.0, 2.0, 3.0]]
    assert len(run.get_meshes("membrane", "tool", "1")[0].mesh.geometry) == 1
    assert run.get_segmentations("tool", "1")[0].numpy().sum() == 64


def test_what_the_function_has_read_are_the_inputs_at_their_revisions(root):
    run = root.get_run("TS_1")
    make_tomogram(run)
    run.new_picks("proteasome", "1", "alice").from_numpy([[1.0, 2.0, 3.0]])
    root.refresh()
    run = root.get_run("TS_1")

    with recording("detector"):
        run.get_voxel_spacing(10.0).get_tomograms("wbp")[0].numpy()
        run.get_picks("proteasome", "alice", "1")[0].numpy()
        made = found(make_picks(run))

    overlay = root.layers.overlay
    picks = PicksKey("TS_1", "proteasome", "alice", "1")
    tomogram = next(iter(root.select("TS_1/wbp@10.0", "tomogram").keys()))
    assert made["inputs"] == [
        {"kind": "tomogram", "address": "TS_1/wbp@10.0", "layer": "overlay", "revision": mark_of(overlay, tomogram)},
        {"kind": "picks", "address": "TS_1/proteasome:alice/1", "layer": "overlay", "revision": mark_of(overlay, picks)},
    ]
    assert all(one["revision"] for one in made["inputs"])


def test_what_the_function_has_stored_itself_is_no_input(root):
    with recording("detector"):
        run = root.get_run("TS_1")
        make_tomogram(run).numpy()
        made = found(make_picks(run))

    assert made["inputs"] == []


def test_a_change_gives_another_mark(root):
    run = root.get_run("TS_1")
    picks, segmentation = make_picks(run), make_segmentation(run)
    before = [mark_of(one._layer, one.key) for one in (picks, segmentation)]

    picks.from_numpy([[3.0, 2.0, 1.0]])
    segmentation.from_numpy(np.zeros((4, 4, 4), np.uint8))

    after = [mark_of(one._layer, one.key) for one in (picks, segmentation)]
    assert all(one and other and one != other for one, other in zip(before, after, strict=True))


def test_edited_picks_keep_the_provenance_of_the_function(root):
    with recording("detector"):
        make_picks(root.get_run("TS_1"))
    root.refresh()
    picks = root.get_run("TS_1").get_picks("ribosome", "tool", "1")[0]

    picks.from_numpy([[3.0, 2.0, 1.0]])

    assert found(picks)["tool"] == "detector"


def test_blocks_nest_and_end(root):
    run = root.get_run("TS_1")
    with recording("outer"):
        with recording("inner"):
            mesh = make_mesh(run)
        picks = make_picks(run)
    tomogram = make_tomogram(run)

    assert [found(one) and found(one)["tool"] for one in (mesh, picks, tomogram)] == ["inner", "outer", None]


def test_a_copy_has_its_provenance_beside_it_and_that_of_its_original(root):
    with recording("detector"):
        picks = make_picks(root.get_run("TS_1"))
    data = picks._layer.read(picks.key)

    note_copy(picks._layer, picks.key, {"tool": "cp", "inputs": []})

    assert found(picks)["tool"] == "cp"
    assert found(picks)["original"]["tool"] == "detector"
    assert picks._layer.read(picks.key) == data
    assert root.select("TS_1/*").count() == 1


PICKS, MAP = PicksKey("TS_1", "ribosome", "alice", "1"), ObjectKey("ribosome")


@pytest.mark.parametrize(("layer", "key"), [(DictLayer(), PICKS), (DictPathLayer(), MAP)], ids=["no records", "no run"])
def test_a_copy_without_a_record_to_note_it_in_has_no_provenance(layer, key):
    note_copy(layer, key, {"tool": "copy"})

    assert provenance_of(layer, key) is None


@pytest.mark.parametrize("record", [b"no JSON", b'{"entities": []}', b'{"entities": {"picks TS_1/ribosome:alice/1": 3}}'])
def test_a_damaged_record_tells_nothing(record):
    layer = DictPathLayer()
    layer.write(PICKS, b"{}")
    layer.write_record(RunKey("TS_1"), RECORD, record)

    assert provenance_of(layer, PICKS) is None


def test_what_takes_the_place_of_a_copy_has_not_its_provenance(root):
    picks = make_picks(root.get_run("TS_1"))
    note_copy(picks._layer, picks.key, {"tool": "cp", "inputs": []})

    picks.from_numpy([[3.0, 2.0, 1.0]])

    assert found(picks) is None


def test_what_cannot_be_read_has_no_provenance(tmp_path):
    root = copick_core.open({"config_type": "filesystem", "overlay_root": str(tmp_path), "pickable_objects": OBJECTS})
    run = root.new_run("TS_1")
    for kind, make in ((Kind.PICKS, make_picks), (Kind.MESH, make_mesh), (Kind.FILAMENTS, make_filaments)):
        entity = make(run)
        root.layers.overlay.write(entity.key, b'\xff"provenance"')
        assert entity.key.kind is kind
        assert found(entity) is None


def test_extras_leave_the_geometry_of_a_mesh_as_it_is():
    data = bytes(trimesh.Scene(trimesh.creation.icosphere()).export(file_type="glb"))

    changed = with_extras(data, note="a → b")

    assert extras_of(changed)["note"] == "a → b"
    assert len(changed) % 4 == 0
    assert int.from_bytes(changed[8:12], "little") == len(changed)
    before, after = (decode_mesh(one, "mesh").to_geometry() for one in (data, changed))
    assert np.array_equal(before.vertices, after.vertices)
    assert np.array_equal(before.faces, after.faces)
    assert with_extras(changed, note=1, other=2) == with_extras(data, note=1, other=2)


def test_the_places_are_those_that_the_documents_name(tmp_path):
    root = copick_core.open({"config_type": "filesystem", "overlay_root": str(tmp_path), "pickable_objects": OBJECTS})
    run = root.new_run("TS_1")
    run.new_voxel_spacing(10.0)
    with recording("detector"):
        for make in (make_picks, make_mesh, make_filaments, make_segmentation, make_tomogram):
            make(run)
    place = tmp_path / "ExperimentRuns" / "TS_1"

    documents = [
        json.loads((place / "Picks" / "tool_1_ribosome.json").read_text())["provenance"],
        json.loads((place / "Filaments" / "tool_1_ribosome.json").read_text())["provenance"],
        json.loads((place / "VoxelSpacing10.000" / "wbp.zarr" / ".zattrs").read_text())["copick_provenance"],
        extras_of((place / "Meshes" / "tool_1_membrane.glb").read_bytes())["copick_provenance"],
    ]

    assert {one["tool"] for one in documents} == {"detector"}
