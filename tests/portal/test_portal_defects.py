"""The defects of the reference library's portal backend: tests by their number show that we do not have them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest

import copick_core
from copick_backend_portal.errors import PortalError, PortalQueryError, PortalUnreachableError, PortalWarning
from copick_backend_portal.rows import Objects, annotated
from copick_core.errors import InvalidDataError
from copick_core.models import PickableObject
from copick_core.tree.keys import Kind
from support.portal_loopback import Fault
from support.portal_loopback.content import RIBOSOME, VOLUME
from support.portals import OBJECTS, open_project

SCRIPT = """
import sys, copick_core
root = copick_core.from_czcdp_datasets([10001, 10002], None, graphql_url=sys.argv[1])
print([(o.name, o.label, o.color) for o in root.pickable_objects])
"""


def generated(portal, **options):
    return copick_core.from_czcdp_datasets([10001, 10002], None, graphql_url=portal.graphql.url, **options)


def test_01_labels_and_colors_are_the_same_in_every_process(portal):
    outputs = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT, portal.graphql.url],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1")
    }

    assert len(outputs) == 1
    assert "('cytosolic-ribosome', 2," in outputs.pop()


def test_02_emdb_and_pdb_ids_are_those_of_the_best_annotation(portal):
    ribosome = generated(portal).get_object("cytosolic-ribosome").meta

    assert (ribosome.emdb_id, ribosome.pdb_id, ribosome.identifier) == ("EMD-11638", "PDB-4V4R", RIBOSOME)


def test_03_runs_of_the_overlay_are_listed_after_reopening(portal, overlay, root):
    root.new_run("extra")

    assert "extra" in [r.name for r in open_project(portal, overlay).runs]


def test_04_random_access_knows_the_portal_name_and_no_run_of_other_datasets(portal, overlay):
    root = open_project(portal, overlay, 10001)
    run = root.get_run("501")

    assert (run.portal_run_name, run.portal_dataset_id, run.portal_run_id) == ("TS_001", 10001, 501)
    assert root.get_run("601") is None


def test_05_tomograms_are_filtered_by_author_without_a_type(root):
    spacing = root.get_run("501").get_voxel_spacing(7.84)

    assert [t.meta.portal_tomo_id for t in spacing.get_tomograms(portal_author_query=["Bob Builder"])] == [703, 701]


def test_06_tomograms_of_one_type_are_told_apart(root):
    spacing = root.get_run("501").get_voxel_spacing(7.84)
    tomo_type = "wbp-denoised-topazDenoiseV0.2"
    twins = spacing.get_tomograms(tomo_type)

    assert [t.meta.portal_tomo_id for t in twins] == [703, 702]
    assert spacing.get_tomogram(tomo_type).numpy(x=0, y=0, z=0) == VOLUME[0, 0, 0] + 703
    (standard,) = spacing.get_tomograms(tomo_type, portal_meta_query={"is_portal_standard": True})
    assert standard.numpy(x=0, y=0, z=0) == VOLUME[0, 0, 0] + 702
    standard.new_features("edges").from_numpy(VOLUME[None])
    assert standard.get_features("edges") is not None
    assert twins[0].get_features("edges") is None


def test_07_software_with_a_slash_makes_no_nested_path(root, overlay):
    tomogram = root.get_run("501").get_voxel_spacing(4.99).tomograms[0]

    tomogram.new_features("edges").from_numpy(VOLUME[None])

    assert tomogram.tomo_type == "sirt-filtered-imod-Tomo3D-ctfdeconv"
    assert [f.feature_type for f in tomogram.features] == ["edges"]
    assert os.listdir(overlay / "ExperimentRuns/501/VoxelSpacing4.990") == [f"{tomogram.tomo_type}_edges_features.zarr"]


def test_08_an_empty_point_file_has_no_points(root):
    assert root.get_run("501").get_picks(session_id="1008")[0].points == []


def test_09_a_point_file_without_a_spacing_is_left_out_alone(portal, overlay):
    run = open_project(portal, overlay, 10009).get_run("901")

    with pytest.warns(PortalWarning) as warned:
        picks = run.picks

    assert [p.session_id for p in picks] == ["1091", "1096"]
    assert run.segmentations == []
    text = " ".join(str(w.message) for w in warned)
    assert all(f"annotation file {n}" in text for n in (1092, 1093, 1094, 1095))
    assert len(warned) == 4


def test_09_a_file_without_a_spacing_does_not_take_that_of_its_annotation():
    shape = {"id": 1, "annotationId": 2, "shapeType": "Point"}
    annotation = {"id": 2, "objectId": "GO:1", "objectName": "ribosome", "tomogramVoxelSpacingId": 7}
    file = {"id": 3, "annotationShapeId": 1, "tomogramVoxelSpacingId": None, "format": "ndjson", "s3Path": "s3://a"}
    rows = {"files": [file], "shapes": [shape], "annotations": [annotation]}
    objects = Objects([PickableObject(name="ribosome", is_particle=True, identifier="GO:1")])
    said = []

    found = annotated("901", rows, [{"id": 7, "voxelSpacing": 10.0}], objects, lambda *what: said.append(what))

    assert found == {}
    assert said[0][1] == "it has no voxel spacing, so that its voxels have no size"


def test_09_a_line_that_is_no_point_is_named(portal, overlay):
    run = open_project(portal, overlay, 10009).get_run("901")

    with pytest.warns(PortalWarning):
        bad = run.get_picks(session_id="1096")[0]
    with pytest.raises(InvalidDataError, match="line 1"):
        bad.numpy()


def test_09_odd_tomograms_and_spacings_are_left_out_alone(portal, overlay):
    run = open_project(portal, overlay, 10009).get_run("901")

    with pytest.warns(PortalWarning) as warned:
        spacings = run.voxel_spacings

    assert [(s.voxel_size, [t.tomo_type for t in s.tomograms]) for s in spacings] == [(10.0, ["wbp-raw"])]
    assert sorted(str(w.message).split(" of run")[0] for w in warned) == [
        "CryoET Data Portal: tomogram 791",
        "CryoET Data Portal: voxel spacing 899",
    ]


def test_10_a_spacing_with_many_decimals_is_one_spacing(portal, overlay, root):
    spacing = root.get_run("501").get_voxel_spacing(4.9896543)
    spacing.new_tomogram("mine").from_numpy(VOLUME)

    run = open_project(portal, overlay).get_run("501")

    assert [s.voxel_size for s in run.voxel_spacings] == [4.99, 7.84]
    assert "mine" in [t.tomo_type for t in run.get_voxel_spacing(4.9896543).tomograms]
    assert run.get_voxel_spacing(4.99).meta.portal_voxel_size == 4.9896543


def test_11_of_two_objects_with_one_identifier_the_one_of_the_portals_name_is_taken(portal, overlay):
    objects = [
        {"name": "other", "is_particle": True, "label": 1, "identifier": RIBOSOME},
        {"name": "cytosolic-ribosome", "is_particle": True, "label": 2, "identifier": RIBOSOME},
        {"name": "last", "is_particle": True, "label": 3, "identifier": RIBOSOME},
    ]
    root = copick_core.open(portal.config(10001, pickable_objects=objects))

    assert {p.pickable_object_name for p in root.get_run("501").picks} == {"cytosolic-ribosome"}
    assert root.go_map == {RIBOSOME: "other"}


def test_12_unknown_fields_are_refused_and_overlay_entities_pass_no_filter(root):
    run = root.get_run("501")
    run.new_picks("ribosome", "1")
    run.new_segmentation(7.84, "membrane", "1").from_numpy(np.zeros((4, 4, 4), np.uint8))

    assert {p.session_id for p in run.get_picks(portal_meta_query={"object_name": "Cytosolic Ribosome"})} == {
        "1001",
        "1002",
        "1008",
    }
    assert [s.session_id for s in run.get_segmentations(portal_meta_query={"object_name": "membrane"})] == ["1003"]
    assert len(run.get_picks(portal_meta_query={})) == 5
    with pytest.raises(InvalidDataError, match="Did you mean 'method_type'"):
        run.get_picks(portal_meta_query={"metod_type": "manual"})
    with pytest.raises(InvalidDataError, match="Tomogram has no field 'object_name'"):
        run.get_voxel_spacing(7.84).get_tomograms(portal_meta_query={"object_name": "x"})


def test_13_a_permanent_error_surfaces_at_once_with_the_name_of_its_query(portal, root):
    portal.graphql.faults.append(Fault(error="Cannot query field", fields=frozenset({"tomograms"})))
    run = root.get_run("501")

    with pytest.raises(PortalQueryError, match=r"'tomograms'.*Cannot query field") as caught:
        run.get_voxel_spacing(7.84)

    assert caught.value.query == "tomograms"
    assert portal.graphql.counts["tomograms"] == 1


@pytest.mark.parametrize("data", [None, {"runs": None}, {"other": []}])
def test_13_an_answer_without_rows_is_named(portal, root, monkeypatch, data):
    monkeypatch.setattr(portal.graphql, "answer", lambda text, variables: (200, {"data": data}))

    with pytest.raises(PortalQueryError, match=r"'runs'.*no rows"):
        root.runs  # noqa: B018 - listing is what fails


def test_13_a_failure_that_passes_is_retried(portal, root):
    portal.graphql.faults += [Fault(times=1, status=502), Fault(times=1, status=503)]

    assert len(root.runs) == 5
    assert portal.graphql.counts["runs"] == 3


def test_13_a_failure_that_stays_ends_within_the_bound(portal):
    portal.graphql.faults.append(Fault(status=500))
    root = open_project(portal, None, portal_timeout_seconds=1.0)
    started = time.monotonic()

    with pytest.raises(PortalUnreachableError, match="portal_timeout_seconds"):
        root.runs  # noqa: B018 - listing is what fails

    assert time.monotonic() - started < 2


def test_13_a_server_that_hangs_ends_within_the_bound(portal):
    portal.graphql.faults.append(Fault(delay=3.0))
    root = open_project(portal, None, portal_timeout_seconds=0.5)
    started = time.monotonic()

    with pytest.raises(PortalUnreachableError):
        root.runs  # noqa: B018 - listing is what fails

    assert time.monotonic() - started < 2


def test_13_the_bound_is_ten_seconds_by_default(root):
    assert root.config.portal_timeout_seconds <= 10


@pytest.mark.parametrize("refusal", [{}, {"status": 413}], ids=["told", "413"])
def test_13_a_batch_that_is_refused_for_its_size_is_halved(portal, root, refusal):
    portal.graphql.faults.append(Fault(row_limit=5, fields=frozenset({"tomograms"}), **refusal))
    run = root.get_run("501")
    started = time.monotonic()

    assert [s.voxel_size for s in run.voxel_spacings] == [4.99, 7.84]
    assert len(run.get_voxel_spacing(7.84).tomograms) == 3
    assert portal.graphql.counts["tomograms"] == 4  # 5 runs are refused; 2, 1 and 2 are not
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    "refusal", [{"status": 502}, {"status": 504}, {"error": "canceling statement due to statement timeout"}]
)
def test_13_a_batch_that_takes_too_long_is_halved(portal, root, refusal):
    portal.graphql.faults.append(Fault(row_limit=5, fields=frozenset({"tomograms"}), **refusal))

    found = root.layers.static[0].list_many(Kind.TOMOGRAM, [s.key for r in root.runs for s in r.voxel_spacings])

    assert sum(map(len, found.values())) == 6
    assert portal.graphql.counts["tomograms"] == 5  # 5 runs are refused twice; 2, 1 and 2 are not


def test_13_one_run_that_is_refused_for_its_size_fails_with_the_reason(portal, root):
    portal.graphql.faults.append(Fault(row_limit=0, fields=frozenset({"tomograms"})))

    with pytest.raises(PortalQueryError, match="too large"):
        root.get_run("501").voxel_spacings  # noqa: B018 - listing is what fails


@pytest.mark.parametrize("fault", [Fault(status=403), Fault(status=503), None], ids=["refused", "broken", "closed"])
def test_13_errors_do_not_tell_secrets_of_the_address(portal, fault):
    address = portal.graphql.url if fault else "http://127.0.0.1:9/graphql"
    secret = f"{address.replace('://', '://ana:hunter2@')}?token=hunter2"
    root = open_project(portal, None, graphql_url=secret, portal_cache=False, portal_timeout_seconds=0.3)
    if fault:
        portal.graphql.faults.append(fault)

    with pytest.raises(PortalError) as caught:
        root.runs  # noqa: B018 - listing is what fails

    assert "hunter2" not in f"{caught.value} {caught.value.__dict__}"
    assert "/graphql?***" in str(caught.value)


def test_14_tomograms_have_authors_without_any_cache(portal):
    root = open_project(portal, None, portal_cache=False)
    tomogram = root.get_run("502").get_voxel_spacing(7.84).tomograms[0]

    assert tomogram.meta.portal_metadata.portal_authors == ["Alice Author", "Bob Builder"]


def test_15_arguments_of_other_filesystems_do_not_prevent_reading(portal):
    root = open_project(portal, None, static_fs_args={"auto_mkdir": True})

    assert len(root.get_run("501").get_picks(session_id="1001")[0].points) == 3


def test_16_copies_keep_the_voxel_spacing(portal, overlay, root):
    root.get_run("501").new_picks("ribosome", "1001", user_id="data-portal", exist_ok=True)

    (copy,) = open_project(portal, overlay).get_run("501").get_picks(session_id="1001", layer="overlay")
    copy.load()
    assert copy.meta.voxel_spacing == 7.84
    assert copy.meta.portal_annotation_file_id == 1001


def test_17_a_stale_cache_is_used_while_the_portal_is_away(portal, overlay):
    assert len(open_project(portal, overlay).runs) == 5
    portal.graphql.faults.append(Fault(status=503))
    root = open_project(portal, overlay, portal_cache_ttl_seconds=1e-9, portal_timeout_seconds=0.3)

    with pytest.warns(PortalWarning, match="kept on disk"):
        assert len(root.runs) == 5


def test_17_a_stale_cache_is_used_while_the_database_is_too_slow(portal, overlay):
    assert len(open_project(portal, overlay).runs) == 5
    portal.graphql.faults.append(Fault(error="canceling statement due to statement timeout"))
    root = open_project(portal, overlay, portal_cache_ttl_seconds=1e-9, portal_timeout_seconds=0.3)

    with pytest.warns(PortalWarning, match="kept on disk"):
        assert len(root.runs) == 5


def test_a_password_in_the_address_is_neither_shown_nor_stored(portal, overlay):
    address = portal.graphql.url.replace("http://", "http://me:do-not-tell@")
    root = open_project(portal, overlay, graphql_url=address)
    assert len(root.runs) == 5

    files = [path.read_bytes() for path in overlay.rglob("*.json")]
    layer = root.layers.static[0]

    assert files
    shown = [
        repr(root),
        repr(root.config),
        str(root.config),
        repr(root.layers),
        repr(layer.connection),
        layer.place_id(),
        *files,
    ]
    assert not [one for one in shown if (b"do-not-tell" if isinstance(one, bytes) else "do-not-tell") in one]
    assert root.config.graphql_url == address


def all_that_is_listed(root):
    return [e.key for run in root.runs for e in [*run.voxel_spacings, *run.picks, *run.segmentations, *run.meshes]]


@pytest.mark.parametrize("fault", [Fault(status=503), Fault(delay=3.0)], ids=["refused", "silent"])
def test_17_a_portal_that_is_away_is_waited_for_once(portal, overlay, fault):
    before = all_that_is_listed(open_project(portal, overlay))
    portal.reset()
    portal.graphql.faults.append(fault)
    root = open_project(portal, overlay, portal_cache_ttl_seconds=1e-9, portal_timeout_seconds=1.0)

    began = time.monotonic()
    with pytest.warns(PortalWarning, match="kept on disk"):
        after = all_that_is_listed(root)

    assert after == before
    assert {*portal.graphql.counts} == {"runs"}  # nothing else was tried after that
    assert time.monotonic() - began < 5


def test_17_a_portal_that_is_back_is_asked_after_a_while_and_by_reconnect_at_once(portal, overlay):
    all_that_is_listed(open_project(portal, overlay))
    portal.graphql.faults.append(Fault(status=503))
    settings = {"portal_cache_ttl_seconds": 1e-9, "portal_timeout_seconds": 0.3}
    waits, asks = (open_project(portal, overlay, portal_offline_seconds=seconds, **settings) for seconds in (60, 0))
    for root in (waits, asks):
        with pytest.warns(PortalWarning, match="kept on disk"):
            assert len(root.runs) == 5
    portal.reset()

    assert waits.runs[0].picks
    assert portal.graphql.requests == 0
    assert asks.runs[0].picks
    assert portal.graphql.counts["annotations"] == 1
    waits.reconnect()
    assert len(waits.runs) == 5
    assert portal.graphql.counts["runs"] == 1


def test_a_dataset_without_runs_is_warned_of(portal):
    with pytest.warns(PortalWarning, match="no runs of dataset_ids 99999"):
        assert copick_core.open(portal.config(10001, 99999)).runs


def test_making_a_config_of_a_dataset_without_runs_warns(portal):
    with pytest.warns(PortalWarning, match="no runs of dataset_ids 99999"):
        copick_core.from_czcdp_datasets([99999], None, graphql_url=portal.graphql.url)


def test_17_the_overlay_opens_offline(portal, overlay, root):
    root.get_run("501").new_picks("ribosome", "1").from_numpy([[1, 2, 3]])
    away = open_project(
        portal, overlay, graphql_url="http://127.0.0.1:9/graphql", portal_cache=False, portal_timeout_seconds=0.3
    )

    with pytest.warns(PortalWarning, match="Only the overlay is listed") as warned:
        runs = away.runs

    assert [r.name for r in runs] == ["501"]
    np.testing.assert_array_equal(runs[0].picks[0].numpy()[0], [[1, 2, 3]])
    assert len(warned) == 1


def test_17_without_an_overlay_nothing_pretends_to_be_empty(portal):
    away = open_project(portal, None, graphql_url="http://127.0.0.1:9/graphql", portal_cache=False, portal_timeout_seconds=0.3)

    with pytest.raises(PortalError):
        away.runs  # noqa: B018 - listing is what fails


def test_17_opening_asks_nothing(portal, overlay):
    open_project(portal, overlay)

    assert portal.graphql.requests == 0
    assert portal.s3.requests == 0


def test_18_a_new_run_without_a_number_asks_nothing(portal, root):
    root.new_run("extra")

    assert portal.graphql.requests == 0


@pytest.mark.parametrize("number", range(1, 19))
def test_every_defect_has_a_test(number):
    assert any(name.startswith(f"test_{number:02d}_") for name in globals())


def test_the_objects_of_these_tests_raise_no_warning_of_their_own():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        copick_core.open({"config_type": "memory", "pickable_objects": OBJECTS})
