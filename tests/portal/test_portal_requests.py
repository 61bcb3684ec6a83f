"""What is asked, how often, and how the disk cache spares it."""

from __future__ import annotations

import json
import multiprocessing
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from graphql import parse, validate

import copick_core
from copick_backend_portal.disk_cache import FOLDER, PREFIX, DiskCache
from copick_backend_portal.errors import PortalWarning
from copick_backend_portal.queries import OBJECT_QUERIES, PARTS, RUNS
from copick_core.errors import ConfigError
from copick_core.tree.keys import Kind, RunKey
from support.portal_loopback import Fault
from support.portals import open_project

QUERIES = [RUNS, *OBJECT_QUERIES, *(q for queries in PARTS.values() for q in queries)]


@pytest.mark.parametrize("query", QUERIES, ids=lambda q: q.name)
def test_every_query_is_valid_against_the_schema_that_the_client_ships(portal, query):
    assert validate(portal.database.schema, parse(query.document)) == []


def list_everything(root):
    for run in root.runs:
        for spacing in run.voxel_spacings:
            assert all(t.tomo_type for t in spacing.tomograms)
        assert all(p.key for p in [*run.picks, *run.segmentations, *run.meshes])


def test_everything_is_asked_once(portal, root):
    list_everything(root)
    list_everything(root)

    assert portal.graphql.counts == {
        "runs": 1,
        "tomogramVoxelSpacings": 1,
        "tomograms": 1,
        "annotations": 1,
        "annotationShapes": 1,
        "annotationFiles": 1,
    }
    assert portal.s3.requests == 0


@pytest.mark.parametrize(
    ("kind", "field"), [(Kind.VOXEL_SPACING, "tomogramVoxelSpacings"), (Kind.PICKS, "annotationFiles")], ids=str
)
def test_what_was_being_listed_while_somebody_reconnects_is_asked_again(portal, root, monkeypatch, kind, field):
    layer = root.layers.static[0]
    index = layer.index
    rows = index.rows

    def overtaken(part, run):
        found = rows(part, run)
        layer.reconnect()
        return found

    monkeypatch.setattr(index, "rows", overtaken)
    before = [*layer.list(kind, RunKey("501"))]

    assert [*layer.list(kind, RunKey("501"))] == before
    assert portal.graphql.counts[field] == 2


def test_queries_are_lean(portal, root):
    list_everything(root)

    assert len(portal.graphql.columns["tomograms"]) < 12
    assert portal.graphql.columns["runs"] == {"id", "name", "datasetId"}


def test_annotations_of_projects_without_identifiers_are_not_asked_for(portal):
    root = copick_core.open(portal.config(10001))

    assert root.get_run("501").picks == []
    assert portal.graphql.counts == {"runs": 1}


def test_batches_overlap_with_bounded_concurrency(portal):
    root = open_project(portal, None, portal_batch_runs=1, portal_connections=3)
    runs = [RunKey(r.name) for r in root.runs]
    portal.graphql.faults.append(Fault(delay=0.05))

    listed = root.layers.static[0].list_many(Kind.TOMOGRAM, [s.key for r in root.runs for s in r.voxel_spacings])
    root.layers.static[0].list_many(Kind.PICKS, runs)

    assert sum(map(len, listed.values())) == 6
    assert portal.graphql.most_in_flight == 3


def test_fields_that_are_known_are_filtered_without_a_query(portal, root):
    spacing = root.get_run("501").get_voxel_spacing(7.84)
    portal.graphql.reset()

    spacing.get_tomograms(portal_meta_query={"processing": "raw", "is_visualization_default": None})

    assert portal.graphql.requests == 0


def test_further_fields_are_asked_for_once(portal, root):
    for run in root.runs:
        run.get_picks(portal_meta_query={"method_type": "manual"}, portal_author_query="Alice Author")
    for run in root.runs:
        run.get_picks(portal_meta_query={"annotation_software": "x"})

    assert portal.graphql.counts["annotations"] == 2
    assert portal.graphql.counts["annotationAuthors"] == 1


def test_picks_take_one_get(portal, root):
    picks = root.get_run("501").get_picks(session_id="1001")[0]

    assert len(picks.points) == 3
    assert picks.numpy()[0].shape == (3, 3)
    assert picks.trust_orientation is False
    assert portal.s3.counts == {"GET": 1}


def test_a_voxel_takes_at_most_four_requests_after_opening_and_none_lists(portal, root):
    root.get_run("501").get_voxel_spacing(7.84).get_tomogram("wbp-raw").numpy(x=0, y=0, z=0)

    assert portal.s3.requests <= 4
    assert set(portal.s3.counts) == {"GET"}


def test_a_region_of_one_chunk_takes_at_most_two_gets_after_the_first(portal, root):
    tomogram = root.get_run("501").get_voxel_spacing(7.84).get_tomogram("wbp-raw")
    tomogram.numpy(x=0, y=0, z=0)
    portal.s3.reset()

    tomogram.numpy(x=slice(16, 20), y=slice(16, 20), z=slice(0, 4))

    assert portal.s3.counts["GET"] <= 2
    assert set(portal.s3.counts) == {"GET"}


def test_new_picks_ask_the_portal_nothing(portal, root):
    run = root.get_run("501")
    portal.graphql.reset()

    run.new_picks("ribosome", "1")
    run.new_picks("ribosome", "2")

    assert portal.graphql.requests == 0


def test_one_filesystem_reads_everything(root):
    layer = root.layers.static[0]
    run = root.get_run("501")
    first = layer.files.fs

    run.get_picks(session_id="1001")[0].numpy()
    store = run.get_voxel_spacing(7.84).get_tomogram("wbp-raw").zarr()

    assert layer.files.fs is first
    assert store.fs is first


# ---------------------------------------------------------------------------------------------------------- disk cache


def test_a_second_project_finds_everything_on_disk(portal, overlay, root):
    list_everything(root)
    portal.graphql.reset()

    list_everything(open_project(portal, overlay))

    assert portal.graphql.requests == 0
    assert list((overlay / ".copick_cache").glob("portal_*.json"))


def test_the_cache_folder_is_no_run(portal, overlay, root):
    list_everything(root)

    assert [r.name for r in open_project(portal, overlay).runs] == ["501", "502", "503", "601", "602"]


@pytest.mark.parametrize("content", [b"", b"{", b"[1]\n[]", b"\xff\xfe", b'{"schema_version": 1, "data": {}}'])
def test_damaged_and_foreign_files_are_replaced(portal, overlay, root, content):
    list_everything(root)
    files = sorted((overlay / ".copick_cache").glob("portal_*.json"))
    for file in files:
        file.write_bytes(content)
    portal.graphql.reset()

    list_everything(open_project(portal, overlay))
    list_everything(open_project(portal, overlay))

    assert portal.graphql.requests == 6
    assert all(file.read_bytes() != content for file in files)


def test_truncated_answers_are_replaced(portal, overlay, root):
    assert len(root.runs) == 5
    (file,) = (overlay / ".copick_cache").glob("portal_*.json")
    file.write_bytes(file.read_bytes()[:-2])
    portal.graphql.reset()

    assert len(open_project(portal, overlay).runs) == 5
    assert portal.graphql.requests == 1


def test_another_address_is_another_cache(portal, overlay, root):
    assert len(root.runs) == 5
    other = open_project(portal, overlay, graphql_url=portal.graphql.url + "?other")

    assert len(other.runs) == 5
    assert portal.graphql.counts["runs"] == 2


def make_older(overlay, seconds):
    """Set back the time of every kept answer."""
    kept = [*overlay.glob(f"{FOLDER}/{PREFIX}*.json")]
    assert kept
    for path in kept:
        header, _, body = path.read_bytes().partition(b"\n")
        fields = json.loads(header)
        path.write_bytes(json.dumps({**fields, "created": fields["created"] - seconds}).encode() + b"\n" + body)


@pytest.mark.parametrize(("age", "requests"), [(3000, 1), (3600, 2), (-60, 2)], ids=["young", "old", "of tomorrow"])
def test_an_answer_is_asked_again_when_it_is_older_than_its_time_to_live(portal, overlay, age, requests):
    assert len(open_project(portal, overlay, portal_cache_ttl_seconds=3600).runs) == 5
    make_older(overlay, age)

    assert len(open_project(portal, overlay, portal_cache_ttl_seconds=3600).runs) == 5
    assert portal.graphql.counts["runs"] == requests


def test_that_old_answers_are_used_is_told_once(portal, overlay, root):
    list_everything(root)
    make_older(overlay, 1e6)
    portal.graphql.faults.append(Fault(status=503))

    with pytest.warns(PortalWarning, match=r"What was kept on disk earlier is used; reconnect\(\) asks again\.$") as told:
        list_everything(open_project(portal, overlay, portal_timeout_seconds=0.2))

    assert len(told) == 1


def test_a_cache_that_never_ages_is_used(portal, overlay, root):
    assert len(root.runs) == 5

    assert len(open_project(portal, overlay, portal_cache_ttl_seconds=0).runs) == 5
    assert portal.graphql.counts["runs"] == 1


def test_refresh_uses_what_is_fresh_and_reconnect_asks(portal, root):
    assert len(root.runs) == 5
    root.refresh()
    assert len(root.runs) == 5
    assert portal.graphql.counts["runs"] == 1

    root.reconnect()

    assert len(root.runs) == 5
    assert portal.graphql.counts["runs"] == 2


def test_the_environment_wins_over_the_configuration(portal, tmp_path, overlay, monkeypatch):
    monkeypatch.setenv("COPICK_PORTAL_CACHE_DIR", str(tmp_path / "pinned"))
    assert len(open_project(portal, overlay, portal_cache_dir=str(tmp_path / "other")).runs) == 5
    assert list((tmp_path / "pinned").glob("portal_*.json"))
    monkeypatch.setenv("COPICK_PORTAL_CACHE", "off")

    assert len(open_project(portal, overlay).runs) == 5
    assert portal.graphql.counts["runs"] == 2


def test_an_impossible_setting_is_named(portal, overlay, monkeypatch):
    monkeypatch.setenv("COPICK_PORTAL_CACHE_TTL", "soon")

    with pytest.raises(ConfigError, match="COPICK_PORTAL_CACHE_TTL"):
        open_project(portal, overlay).runs  # noqa: B018 - listing is what fails


def test_a_project_without_a_local_overlay_keeps_answers_in_the_users_cache(portal, tmp_path):
    assert len(open_project(portal, None).runs) == 5

    assert list((tmp_path / "cache/copick/portal").glob("portal_*.json"))


def test_where_nothing_can_be_kept_the_portal_is_asked(portal, tmp_path):
    (tmp_path / "file").write_text("")

    assert len(open_project(portal, None, portal_cache_dir=str(tmp_path / "file")).runs) == 5


def test_an_abandoned_lock_is_passed_by(portal, tmp_path):
    cache = DiskCache([tmp_path], {}, 0, lock_timeout=0.2)
    with cache.asking("q"), DiskCache([tmp_path], {}, 0, lock_timeout=0.2).asking("q"):
        cache.store("q", [1])

    assert cache.load("q") == [1]
    assert cache.load("other") is None


def test_the_lock_of_a_process_that_died_is_taken_over_and_released(tmp_path):
    cache = DiskCache([tmp_path], {}, 0, lock_timeout=0.2)
    with cache.asking("q"):
        (lock,) = tmp_path.glob(".*.lock")
    lock.touch()
    os.utime(lock, (0, 0))

    with cache.asking("q"):
        assert lock.exists()

    assert not lock.exists()


def test_who_reads_an_answer_while_it_is_replaced_reads_the_old_one_whole(tmp_path):
    cache = DiskCache([tmp_path], {}, 0, lock_timeout=0.2)
    cache.store("q", [1])
    (path,) = tmp_path.glob(f"{PREFIX}*.json")
    old = path.read_bytes()

    with path.open("rb") as reader:
        cache.store("q", [2])

        assert reader.read() == old
    assert cache.load("q") == [2]


def test_threads_that_ask_the_same_wait_for_one_answer(portal, root):
    barrier = threading.Barrier(8)

    def ask(_):
        barrier.wait()
        return len(root.get_run("501").picks)

    with ThreadPoolExecutor(8) as pool:
        assert {*pool.map(ask, range(8))} == {4}
    assert portal.graphql.counts["annotationFiles"] == 1


def _count_runs(config):
    return len(copick_core.open(json.loads(config)).runs)


def test_processes_that_ask_the_same_share_one_answer(portal, overlay):
    portal.graphql.faults.append(Fault(delay=0.3))
    config = json.dumps(portal.config(10001, 10002, overlay_root=str(overlay)))

    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert pool.map(_count_runs, [config] * 4, chunksize=1) == [5] * 4
    assert portal.graphql.counts["runs"] == 1
