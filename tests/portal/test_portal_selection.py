"""Which entities a query of a project on the portal gives, and what is told of each."""

from __future__ import annotations

import json

import numpy as np
import pytest
import trimesh

import copick_core
from copick_backend_portal.config import CopickConfigCDP
from copick_backend_portal.entities import CopickRootCDP
from copick_backend_portal.objects import new_config, objects
from copick_core.layers.problems import Problem
from copick_core.tree.keys import RunKey, VoxelSpacingKey
from support.portal_loopback import Fault
from support.portal_loopback.content import LABELS
from support.portals import OBJECTS, open_project


@pytest.fixture
def run(root):
    """The run with everything, which also has something of each kind in the overlay, by a tool and by a person."""
    run = root.get_run("501")
    for session in ("0", "1"):
        run.new_picks("ribosome", session, "ana").from_numpy([[1, 2, 3]])
        mesh = run.new_mesh("membrane", session, "ana")
        mesh.mesh = trimesh.creation.box()
        mesh.store()
        run.new_segmentation(7.84, "membrane", session, False, user_id="ana").from_numpy(LABELS * 2)
    run.get_voxel_spacing(7.84).new_tomogram("mine").from_numpy(np.zeros((4, 4, 4), np.float32))
    return run


QUERIES = {
    "picks": lambda run, **query: run.get_picks(**query),
    "meshes": lambda run, **query: run.get_meshes(**query),
    "segmentations": lambda run, **query: run.get_segmentations(**query),
    "tomograms": lambda run, **query: run.get_voxel_spacing(7.84).get_tomograms(**query),
}


@pytest.mark.parametrize("kind", QUERIES)
def test_entities_of_one_layer_are_given_where_they_are_asked_for(run, kind):
    found = {layer: QUERIES[kind](run, layer=layer) for layer in (None, "portal", "overlay")}

    assert len(found[None]) == len(found["portal"]) + len(found["overlay"])
    assert all({e.layer for e in found[layer]} == {layer} for layer in ("portal", "overlay"))


@pytest.mark.parametrize("kind", QUERIES)
def test_what_the_portal_does_not_have_passes_no_filter_of_the_portals_metadata(run, kind):
    by_alice = QUERIES[kind](run, portal_author_query="Alice Author")
    field = "processing" if kind == "tomograms" else "annotation_method"
    value = "raw" if kind == "tomograms" else "template matching"
    of_method = QUERIES[kind](run, portal_meta_query={field: value})

    for found in (by_alice, of_method):
        assert {e.layer for e in found} == {"portal"}
    assert QUERIES[kind](run, portal_author_query=["Alice Author", "Nobody"]) == []
    assert QUERIES[kind](run, portal_meta_query={field: "none"}) == []


@pytest.mark.parametrize("kind", ["picks", "meshes", "segmentations"])
def test_of_the_overlay_only_session_zero_is_by_a_tool_and_all_of_the_portal_is(run, kind):
    found = {(e.layer, e.session_id): e.from_tool for e in QUERIES[kind](run)}

    assert (found.pop(("overlay", "0")), found.pop(("overlay", "1"))) == (True, False)
    assert {*found.values()} == {True}


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({}, ["membrane"]),
        ({"is_instance": True}, ["ferritin"]),
        ({"is_instance": None}, ["ferritin", "membrane"]),
        ({"is_panoptic": True}, []),
    ],
    ids=str,
)
def test_instances_are_given_where_they_are_asked_for(root, query, names):
    assert sorted(s.name for s in root.get_run("501").get_segmentations(**query)) == names


def test_all_that_is_known_of_an_entity_without_asking_is_told(root):
    layer, run = root.layers.static[0], root.get_run("501")
    details = {}
    for entity in (run.get_picks(session_id="1002")[0], run.meshes[0], run.get_voxel_spacing(7.84).get_tomogram("wbp-raw")):
        details[entity.key.kind.name] = {**layer.details(entity.key)}
    details["RUN"] = {**layer.details(RunKey("501"))}
    metadata = {kind: told.pop("portal_metadata").portal_id for kind, told in details.items()}

    place = "s3://cryoet-data-portal-public/d/501"
    assert metadata == {"PICKS": 1002, "MESH": 1007, "TOMOGRAM": 701, "RUN": 501}
    assert details == {
        "PICKS": {
            "portal_annotation_id": 301,
            "portal_annotation_file_id": 1002,
            "portal_annotation_file_path": f"{place}/Annotations/301/ribosome-1.0_orientedpoint.ndjson",
            "portal_alignment_id": None,
            "voxel_spacing": 4.9896543,
            "trust_orientation": True,
        },
        "MESH": {
            "portal_annotation_id": 302,
            "portal_annotation_file_id": 1007,
            "portal_annotation_file_path": f"{place}/Annotations/302/membrane-1.0_mesh.glb",
            "portal_alignment_id": None,
        },
        "TOMOGRAM": {
            "portal_tomo_id": 701,
            "portal_tomo_path": f"{place}/Reconstructions/VoxelSpacing7.840/Tomograms/701/501.zarr",
            "portal_alignment_id": 51,
        },
        "RUN": {"portal_run_id": 501, "portal_run_name": "TS_001", "portal_dataset_id": 10001},
    }
    assert layer.details(VoxelSpacingKey("501", 4.99)) == {"portal_vs_id": 802, "portal_voxel_size": 4.9896543}


def test_picks_tell_where_they_are_from(root):
    header = root.get_run("501").get_picks(session_id="1002")[0].load().model_dump()

    assert {name: header[name] for name in ("pickable_object_name", "user_id", "session_id", "run_name")} == {
        "pickable_object_name": "ribosome",
        "user_id": "data-portal",
        "session_id": "1002",
        "run_name": "501",
    }
    assert (header["voxel_spacing"], header["trust_orientation"]) == (4.9896543, True)
    assert (header["portal_annotation_id"], header["portal_annotation_file_id"]) == (301, 1002)


@pytest.mark.parametrize(
    ("field", "what"),
    [("tomograms", "voxel spacings and tomograms"), ("annotationFiles", "picks, meshes and segmentations")],
)
def test_a_run_that_is_refused_is_a_problem_that_says_what_cannot_be_listed(portal, root, field, what):
    portal.graphql.faults.append(Fault(row_limit=3, fields=frozenset({field})))

    problems = root.layers.static[0].problems()

    message = problems[0].message
    assert message.startswith(f"its {what} cannot be listed: ")
    assert problems == [Problem("unlisted-run", RunKey("501"), "layer 'portal', run 501", "error", message)]


def test_tomograms_of_a_stack_are_in_the_order_of_its_layers(portal):
    static = [{"name": name, **portal.config(10001, pickable_objects=OBJECTS)} for name in ("z", "a")]
    root = copick_core.open({"config_type": "stack", "overlay": {"config_type": "memory"}, "static": static})
    layers = [layer.name for layer in root.layers.static]

    found = [t.layer for t in root.get_run("501").get_voxel_spacing(7.84).tomograms]

    assert found == sorted(found, key=layers.index)


def test_a_tomogram_that_another_project_has_written_since_is_found_by_its_type(portal, overlay, root):
    spacing = root.get_run("501").get_voxel_spacing(7.84)
    before = len(spacing.tomograms)
    other = open_project(portal, overlay).get_run("501").get_voxel_spacing(7.84)
    other.new_tomogram("theirs").from_numpy(np.zeros((4, 4, 4), np.float32))

    assert [t.layer for t in spacing.get_tomograms("theirs")] == ["overlay"]
    assert len(spacing.tomograms) == before + 1


# Configurations


def test_a_new_configuration_says_what_it_was_made_of(portal, tmp_path):
    path = tmp_path / "new.json"
    options = {"overlay_fs_args": {"mode": 7}, "user_id": "ana", "session_id": "9", "graphql_url": portal.graphql.url}

    config = new_config([10001, 10002], "overlay", output_path=path, **options)

    content = json.loads(path.read_text())
    assert content["name"] == "CZ cryoET Data Portal Dataset"
    assert content["description"] == "This copick project contains data from datasets [10001, 10002]."
    assert content["version"] == copick_core.__version__
    assert (content["overlay_fs_args"], content["user_id"], content["session_id"]) == ({"mode": 7}, "ana", "9")
    assert [o["name"] for o in content["pickable_objects"]] == [o.name for o in config.pickable_objects]
    root = CopickRootCDP.from_file(path)
    assert (root.dataset_ids, root.layers.overlay.root) == ([10001, 10002], str(tmp_path / "overlay"))


def test_an_object_of_the_portal_tells_how_it_is_shown():
    row = {
        "id": 1,
        "objectId": "GO:1",
        "objectName": "Big Ribosome",
        "annotationPublication": None,
        "isCuratorRecommended": False,
        "groundTruthStatus": False,
    }

    (made,) = objects([row], [{"annotationId": 1, "shapeType": "Point"}])

    assert made.model_dump(exclude_unset=True) == {
        "name": "big-ribosome",
        "is_particle": True,
        "label": 1,
        "color": (61, 114, 242, 255),
        "emdb_id": None,
        "pdb_id": None,
        "identifier": "GO:1",
        "radius": 50,
    }


def test_the_portal_is_asked_within_bounds_that_a_configuration_may_change():
    config = CopickConfigCDP(dataset_ids=[1], pickable_objects=[])

    assert config.cache_settings() == (True, 86400.0, None, 60.0)
    asked = (config.portal_timeout_seconds, config.portal_offline_seconds, config.portal_batch_runs, config.portal_connections)
    assert asked == (10.0, 30.0, 200, 4)


@pytest.mark.parametrize(
    ("field", "possible", "impossible"),
    [
        ("dataset_ids", [1], []),
        ("portal_timeout_seconds", 0.001, 0),
        ("portal_offline_seconds", 0, -0.001),
        ("portal_batch_runs", 1, 0),
        ("portal_connections", 1, 0),
        ("portal_connections", 32, 33),
    ],
)
def test_bounds_that_cannot_be_are_refused(field, possible, impossible):
    fields = {"dataset_ids": [1], "pickable_objects": []}

    assert getattr(CopickConfigCDP(**{**fields, field: possible}), field) == possible
    with pytest.raises(ValueError, match=field):
        CopickConfigCDP(**{**fields, field: impossible})
