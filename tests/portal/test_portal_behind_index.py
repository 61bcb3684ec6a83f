"""The portal behind the wrapper ``index``: its dates tell which runs have changed."""

import copy

import pytest

from copick_layers.index.layer import IndexLayer
from support.portal_loopback import LoopbackPortal, content
from support.portals import open_project


@pytest.fixture(scope="module")
def own_portal():
    """A portal of this file, whose rows its tests change."""
    portal = content.fill(LoopbackPortal())
    yield portal
    portal.stop()


@pytest.fixture
def portal(own_portal, tmp_path, monkeypatch):
    """The portal; its rows are afterwards as they were."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    database = own_portal.database
    before = copy.deepcopy((database.tables, database._by_id))
    own_portal.reset()
    yield own_portal
    database.tables, database._by_id = before


@pytest.fixture
def opened(portal, tmp_path):
    """A project without an overlay, which nobody can write; its index lies elsewhere."""

    def make(freshness="check", **fields):
        index = {"name": "index", "path": str(tmp_path / "elsewhere" / "index.sqlite"), "freshness": freshness}
        return open_project(portal, None, **{"wrappers": [index], **fields})

    return make


def index_of(root):
    return root.layers.all[0].unwrap(IndexLayer)


def picks_of(root):
    return [*zip(root.table("picks")["run"], root.table("picks")["object_name"], strict=True)]


def added(portal):
    """One more annotation of run 502."""
    content.annotation(portal, 399, 502, content.FERRITIN)
    content.file(portal, 1099, 399, "Point", 803, portal.s3.put_points("d/502/Annotations/399/f.ndjson", content.points(2)))


def test_an_index_of_the_portal_answers_without_it(portal, opened):
    index_of(opened()).update()
    portal.reset()

    root = opened("trust")

    assert {"501", "502"} <= {run.name for run in root.runs}
    assert ("502", "ribosome") in picks_of(root)
    assert portal.graphql.requests == 0


def test_what_the_portal_says_has_not_changed_is_not_listed_again(portal, opened):
    index_of(opened()).update()
    portal.reset()

    before = picks_of(opened("trust"))
    found = picks_of(opened("check"))

    assert found == before
    assert {*portal.graphql.counts} == {"runs", "annotations", "tomograms"}
    assert portal.graphql.columns["annotations"] == {"id", "runId", "lastModifiedDate"}


@pytest.mark.parametrize("freshness", ["check", "update"])
def test_an_annotation_that_the_portal_got_since_is_found(portal, opened, freshness):
    picks_of(opened())  # answers of the portal are on disk now, and fresh for a day
    index_of(opened()).update()

    added(portal)

    assert ("502", "ferritin") not in picks_of(opened("trust"))
    assert ("502", "ferritin") in picks_of(opened(freshness))


def test_an_annotation_that_was_modified_is_listed_again(portal, opened):
    index_of(opened()).update()
    (row,) = [row for row in portal.database.tables["Annotation"] if row["id"] == 305]
    row |= {"objectId": content.FERRITIN, "lastModifiedDate": "2026-01-01T00:00:00+00:00"}

    assert ("502", "ferritin") in picks_of(opened("check"))


def test_a_run_that_the_portal_got_since_is_found(portal, opened):
    index_of(opened()).update()
    portal.database.add("Run", id=777, name="TS_777", datasetId=10001)

    assert "777" in {run.name for run in opened("check").runs}


def test_while_the_portal_cannot_be_reached_a_trusted_index_still_answers(portal, opened):
    index_of(opened()).update()
    before = picks_of(opened("trust"))

    away = opened("trust", graphql_url="http://127.0.0.1:1/graphql")

    assert picks_of(away) == before != []
