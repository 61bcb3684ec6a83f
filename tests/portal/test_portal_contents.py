"""What a project on the portal holds."""

from __future__ import annotations

import datetime
import enum
import json
import pickle

import numpy as np
import pytest

import copick_core
from copick_backend_portal.errors import PortalFilesError
from copick_backend_portal.names import camel
from copick_backend_portal.points import decode_points
from copick_core.errors import InvalidDataError, NotFoundError, ReadOnlyError
from support.portal_loopback.content import LABELS, TURN, VOLUME
from support.portals import OBJECTS, open_project


def test_runs_are_named_by_their_portal_ids(root):
    assert [(r.name, r.portal_run_name, r.portal_dataset_id) for r in root.runs] == [
        ("501", "TS_001", 10001),
        ("502", "TS_002", 10001),
        ("503", "TS_003", 10001),
        ("601", "TS_001", 10002),
        ("602", "TS_100", 10002),
    ]


def test_a_run_is_found_by_its_portal_name(root):
    assert root.get_run(portal_run_name="TS_100").name == "602"
    assert root.get_run(portal_run_name="TS_001", dataset_id=10002).name == "601"
    assert root.get_run(portal_run_name="nothing") is None


def test_a_portal_name_that_two_datasets_share_asks_for_the_dataset(root):
    with pytest.raises(InvalidDataError, match=r"10001, 10002.*dataset_id"):
        root.get_run(portal_run_name="TS_001")


def test_a_run_is_asked_for_by_one_kind_of_name(root):
    with pytest.raises(TypeError):
        root.get_run()
    with pytest.raises(TypeError):
        root.get_run("501", portal_run_name="TS_001")
    with pytest.raises(TypeError):
        root.get_run("501", dataset_id=10001)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("WBP", "wbp"),
        ("Fourier_Space", "fourierSpace"),
        ("filtered_even", "filteredEven"),
        ("IsoNet 0.2", "isonet0.2"),
        ("Topaz-Denoise v0.2", "topazDenoiseV0.2"),
    ],
)
def test_portal_terms_become_camel_case_as_in_the_reference(text, expected):
    assert camel(text) == expected


def test_tomograms_are_named_by_how_they_were_made(root):
    assert [t.tomo_type for t in root.get_run("502").get_voxel_spacing(7.84).tomograms] == ["fourierSpace-filteredEven"]
    assert root.get_run("501").get_voxel_spacing(4.99).tomograms[0].tomo_type == "sirt-filtered-imod-Tomo3D-ctfdeconv"


def test_a_tomogram_is_read_whole_and_in_parts(root):
    tomogram = root.get_run("501").get_voxel_spacing(7.84).get_tomogram("wbp-raw")

    np.testing.assert_array_equal(tomogram.numpy(), VOLUME + 701)
    np.testing.assert_array_equal(tomogram.numpy("1", z=3), VOLUME[::2, ::2, ::2][3] + 701)
    assert tomogram.levels == ["0", "1", "2"]
    assert tomogram.read_only
    assert tomogram.layer == "portal"


def test_points_become_angstrom(root):
    picks = root.get_run("501").get_picks("ribosome", "data-portal", "1001")[0]

    np.testing.assert_allclose(picks.numpy()[0], [[7.84, 15.68, 23.52], [15.68, 15.68, 23.52], [23.52, 15.68, 23.52]])
    assert not picks.trust_orientation
    assert [(p.score, p.instance_id) for p in picks.points] == [(1.0, 0)] * 3


def test_oriented_points_keep_their_rotation_and_the_exact_spacing(root):
    picks = root.get_run("501").get_picks(session_id="1002")[0]
    positions, transforms = picks.numpy()

    np.testing.assert_allclose(positions, [[4 * 4.9896543, 5 * 4.9896543, 6 * 4.9896543]])
    np.testing.assert_array_equal(transforms[0, :3, :3], TURN)
    np.testing.assert_array_equal(transforms[0, :3, 3], 0)
    assert picks.trust_orientation


@pytest.mark.parametrize(
    "point",
    [
        {"instance_id": 2**70},
        {"instance_id": 1.5},
        {"xyz_rotation_matrix": 5},
        {"xyz_rotation_matrix": [1, 2, 3]},
        {"location": {"x": 10**400, "y": 0, "z": 0}},
    ],
    ids=str,
)
def test_what_is_no_point_is_refused_by_the_name_of_its_picks(point):
    header = {"pickable_object_name": "ribosome", "user_id": "data-portal", "session_id": "1"}
    line = json.dumps({"location": {"x": 1, "y": 2, "z": 3}, **point}).encode()

    with pytest.raises(InvalidDataError) as caught:
        decode_points(line, 1.0, header, "picks 'ribosome'")

    assert str(caught.value).startswith("picks 'ribosome': ")


def test_points_of_instance_segmentations_keep_their_instance(root):
    picks = root.get_run("501").get_picks("ferritin")[0]

    assert [p.instance_id for p in picks.points] == [1, 1, 2, 2]


def test_masks_are_segmentations_and_their_mrc_twins_are_not(root):
    run = root.get_run("501")

    assert [(s.name, s.session_id, s.voxel_size) for s in run.get_segmentations()] == [("membrane", "1003", 7.84)]
    assert [(s.name, s.is_instance) for s in run.get_segmentations(is_instance=True)] == [("ferritin", True)]
    np.testing.assert_array_equal(run.get_segmentations()[0].numpy(), LABELS)


def test_meshes_of_the_portal_are_meshes(root):
    mesh = root.get_run("501").get_meshes("membrane")[0]

    assert mesh.read_only
    assert len(mesh.mesh.geometry) == 1


def test_what_the_portal_has_counts_as_made_by_tools(root):
    run = root.get_run("501")
    run.new_picks("ribosome", "1")

    assert {p.session_id for p in run.tool_picks()} == {"1001", "1002", "1005", "1008"}
    assert [p.user_id for p in run.user_picks()] == ["ana"]


def test_portal_fields_are_attributes_of_the_metadata(root):
    run = root.get_run("501")
    picks = run.get_picks(session_id="1001")[0]
    tomogram = run.get_voxel_spacing(7.84).get_tomogram("wbp-raw")

    assert picks.meta.portal_metadata.portal_annotation.annotation_method == "template matching"
    assert picks.meta.portal_metadata.portal_annotation_shape.shape_type == "Point"
    assert picks.meta.portal_metadata.portal_annotation_file.format == "ndjson"
    assert picks.meta.portal_metadata.voxel_spacing == 7.84
    assert picks.meta.portal_metadata.portal_author_names == ["Alice Author", "Bob Builder"]
    assert tomogram.meta.portal_tomo_id == 701
    assert tomogram.meta.portal_metadata.portal_metadata.reconstruction_software == "IMOD"
    assert tomogram.meta.portal_metadata.portal_authors == ["Alice Author", "Bob Builder"]


class Method(enum.Enum):
    MANUAL = "manual"


@pytest.mark.parametrize(
    ("query", "sessions"),
    [
        ({"object_name": "ferritin complex"}, {"1005"}),
        ({"is_curator_recommended": True}, {"1001", "1002"}),
        ({"is_curator_recommended": None}, {"1005"}),
        ({"is_curator_recommended": True, "method_type": "manual"}, set()),
        ({"method_type": Method.MANUAL}, set()),
        ({"deposition_date": datetime.date(2024, 1, 15)}, {"1001", "1002", "1005", "1008"}),
        ({"deposition_date": "2024-01-15T01:00:00+01:00"}, {"1001", "1002", "1005", "1008"}),
        ({"deposition_date": datetime.datetime(2024, 1, 16)}, set()),
    ],
)
def test_picks_are_filtered_by_fields_of_their_annotation(root, query, sessions):
    assert {p.session_id for p in root.get_run("501").get_picks(portal_meta_query=query)} == sessions


def test_segmentations_are_filtered_too(root):
    run = root.get_run("501")

    assert [s.name for s in run.get_segmentations(portal_meta_query={"annotation_software": "Amira"})] == ["membrane"]
    assert run.get_segmentations(portal_author_query=["Bob Builder"]) == []


def test_all_queried_authors_must_be_among_the_authors(root):
    run = root.get_run("501")

    assert {p.session_id for p in run.get_picks(portal_author_query=["Alice Author", "Bob Builder"])} == {
        "1001",
        "1002",
        "1008",
    }
    assert {p.session_id for p in run.get_picks(portal_author_query="Nobody")} == set()


def test_what_is_not_an_iso_date_is_refused(root):
    with pytest.raises(InvalidDataError, match="ISO"):
        root.get_run("501").get_picks(portal_meta_query={"deposition_date": "last week"})


def test_a_run_knows_its_tilt_series_alignments_and_captions(portal, root):
    meta = root.get_run("501").meta.portal_metadata

    assert [(t.acceleration_voltage, t.tilt_min, t.pixel_spacing) for t in meta.tilt_series] == [(300000, -60.0, 1.96)]
    assert [a.alignment_method for a in meta.alignments] == ["fiducial_based", "patch_tracking"]
    assert [(c.is_global, c.object_name, c.text) for c in meta.captions] == [
        (True, "membrane", "A cell."),
        (False, "membrane", "Its membrane."),
    ]
    assert portal.graphql.counts["tiltseries"] == 1
    assert root.get_run("502").meta.portal_metadata.tilt_series == []
    assert portal.graphql.counts["tiltseries"] == 1  # it came with that of its neighbour


def test_tomograms_and_annotations_are_matched_by_their_alignment(root):
    run = root.get_run("501")
    tomogram = run.get_voxel_spacing(7.84).get_tomogram("wbp-raw")

    matching = [p.session_id for p in run.picks if p.meta.portal_alignment_id == tomogram.meta.portal_alignment_id]

    assert matching == ["1001"]
    assert tomogram.meta.portal_metadata.portal_alignment.alignment_method == "fiducial_based"
    assert run.get_picks(session_id="1001")[0].meta.portal_metadata.portal_alignment.id == 51
    assert run.get_picks(session_id="1002")[0].meta.portal_metadata.portal_alignment is None


@pytest.mark.parametrize("read", ["numpy", "load"])
def test_metadata_of_picks_are_there_after_their_points_are_read(root, read):
    picks = root.get_run("501").get_picks(session_id="1001")[0]

    getattr(picks, read)()
    assert len(picks.points) == 3

    assert picks.meta.portal_alignment_id == 51
    assert picks.meta.portal_metadata.portal_annotation.annotation_method == "template matching"


def test_metadata_of_a_run_survive_pickling(root):
    again = pickle.loads(pickle.dumps(root.get_run("501").meta.portal_metadata))

    assert len(again.alignments) == 2


@pytest.mark.parametrize(("deposition", "datasets"), [(1, [10001, 10002, 10009]), (2, [10001])])
def test_a_project_on_a_deposition_has_all_datasets_with_something_of_it(portal, deposition, datasets):
    root = copick_core.from_czcdp_depositions([deposition], None, graphql_url=portal.graphql.url, user_id="ana")

    assert root.dataset_ids == datasets
    assert root.config.user_id == "ana"
    assert root.get_object("membrane") is not None


def test_a_deposition_that_is_not_there_is_named(portal):
    with pytest.raises(InvalidDataError, match=r"depositions 77.*check the ids"):
        copick_core.from_czcdp_depositions([77], None, graphql_url=portal.graphql.url)


def test_picks_of_the_portal_are_copied_into_the_overlay_whole(root):
    run = root.get_run("501")

    copy = run.new_picks("ferritin", "1005", user_id="data-portal", exist_ok=True)

    assert copy.layer == "overlay"
    assert [p.instance_id for p in copy.points] == [1, 1, 2, 2]


def test_a_volume_of_the_portal_is_copied_into_the_overlay(root):
    spacing = root.get_run("501").get_voxel_spacing(7.84)

    copy = spacing.new_tomogram("wbp-raw", exist_ok=True)

    np.testing.assert_array_equal(copy.numpy(), VOLUME + 701)
    assert copy.layer == "overlay"


def test_the_portal_is_never_written(root):
    with pytest.raises(ReadOnlyError):
        root.get_run("501").delete_picks("ribosome")
    with pytest.raises(ReadOnlyError):
        root.get_run("501").get_voxel_spacing(7.84).get_tomogram("wbp-raw").from_numpy(VOLUME)


def test_without_an_overlay_the_project_is_read_only(portal):
    root = open_project(portal, None)

    assert len(root.runs) == 5
    with pytest.raises(ReadOnlyError, match="overlay_root"):
        root.get_run("501").new_picks("ribosome", "1")


def test_an_overlay_written_through_the_project_is_found_by_another(portal, overlay, root):
    root.get_run("501").new_picks("ribosome", "1").from_numpy([[1, 2, 3]])

    again = open_project(portal, overlay)

    np.testing.assert_array_equal(again.get_run("501").get_picks(user_id="ana")[0].numpy()[0], [[1, 2, 3]])
    assert (overlay / "ExperimentRuns/501/Picks/ana_1_ribosome.json").exists()


def test_a_project_survives_pickling(root):
    picks = root.get_run("501").get_picks(session_id="1001")[0]
    picks.numpy()

    again = pickle.loads(pickle.dumps(picks))

    np.testing.assert_array_equal(again.numpy()[0], picks.numpy()[0])
    assert again.run.root is not root


@pytest.fixture
def stack(portal):
    """A sandbox in memory over the portal."""
    nested = portal.config(10001, pickable_objects=OBJECTS)
    return copick_core.open(
        {"config_type": "stack", "overlay": {"config_type": "memory", "user_id": "ana"}, "static": [nested]}
    )


def test_the_portal_lies_below_any_overlay_in_a_stack(stack):
    run = stack.get_run("501")
    run.new_picks("ribosome", "1").from_numpy([[1, 2, 3]])

    assert len(run.get_picks("ribosome")) == 4


def test_portal_names_and_filters_work_in_a_stack(stack):
    run = stack.get_run(portal_run_name="TS_001")

    assert stack.dataset_ids == [10001]
    assert [s.name for s in run.get_segmentations(portal_meta_query={"method_type": "manual"})] == ["membrane"]
    with pytest.raises(InvalidDataError, match="Did you mean"):
        run.get_picks(portal_meta_query={"metod_type": "manual"})


def test_a_history_over_the_portal_has_both_commits_and_datasets(portal, tmp_path):
    pytest.importorskip("copick_backend_icechunk")
    overlay = {"config_type": "icechunk", "overlay_root": str(tmp_path / "history"), "user_id": "ana"}
    static = [portal.config(10001, pickable_objects=OBJECTS)]
    root = copick_core.open({"config_type": "stack", "overlay": overlay, "static": static})
    run = root.get_run("501")
    theirs = len(run.get_picks("ribosome"))

    with root.transaction("first look"):
        run.new_picks("ribosome", "1").from_numpy([[1, 2, 3]])
    before = root.as_of(root.history()[0].id)
    run.delete_picks("ribosome", user_id="ana")

    assert root.dataset_ids == [10001]
    assert root.get_run(portal_run_name="TS_001").name == "501"
    assert root.history(limit=2)[1].message == "ana: first look"
    assert len(before.get_run("501").get_picks("ribosome")) == theirs + 1
    assert len(run.get_picks("ribosome")) == theirs


def test_a_file_that_the_portal_lost_is_named(portal, root):
    run = root.get_run("502")
    run.picks[0]._layer.annotation(run.picks[0].key).file["s3Path"] = "s3://cryoet-data-portal-public/gone.ndjson"

    with pytest.raises(NotFoundError, match=r"gone\.ndjson"):
        run.picks[0].numpy()


def test_files_that_cannot_be_reached_are_named(portal, overlay):
    closed = {"s3_endpoint_url": "http://127.0.0.1:9", "static_fs_args": {"config_kwargs": {"retries": {"max_attempts": 0}}}}
    run = open_project(portal, overlay, **closed).get_run("501")
    (mesh,) = [m for m in run.meshes if m.from_tool]

    with pytest.raises(PortalFilesError, match=r"s3://.*ferritin\.ndjson"):
        run.picks[0].numpy()
    with pytest.raises(PortalFilesError, match=r"s3://.*\.glb"):
        _ = mesh.mesh
    with pytest.raises(PortalFilesError, match=r"s3://.*\.zarr/\.zattrs"):
        run.voxel_spacings[0].tomograms[0].numpy()


def test_objects_that_are_added_show_their_annotations_after_a_refresh(portal, overlay):
    root = open_project(portal, overlay)
    assert len(root.get_run("501").picks) == 4

    root.new_object("unlisted", is_particle=True, identifier="UniProtKB:P12345")
    root.refresh()

    assert [p.session_id for p in root.get_run("501").get_picks("unlisted")] == ["1010"]


def test_a_portal_behind_a_wrapper_is_still_looked_up_and_filtered(portal, overlay):
    root = open_project(portal, overlay, wrappers=[{"name": "log", "layer": ["portal", "overlay"]}])
    run = root.get_run(portal_run_name="TS_100")

    assert root.dataset_ids == [10001, 10002]
    assert run.name == "602"
    assert [p.from_tool for p in run.picks] == [p.from_tool for p in open_project(portal, overlay).get_run("602").picks]
    assert root.layers.static[0].statistics["list"].count > 0
