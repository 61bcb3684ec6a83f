"""Runs that are too much for the portal by themselves: a gap that is marked and told once, never an empty list."""

from __future__ import annotations

import warnings

import pytest

from copick_backend_portal.errors import PortalQueryError, PortalWarning
from copick_core.layers.layer import PartialListing
from copick_core.tree.keys import Kind, RunKey
from support.portal_loopback import Fault
from support.portals import open_project

#: Run 501 has four tomograms, all others together have two.
TOO_MANY = {"row_limit": 3, "fields": frozenset({"tomograms"})}
REFUSALS = [{}, {"status": 413}, {"status": 502}, {"error": "canceling statement due to statement timeout"}]


def runs_of(root):
    return [run.key for run in root.runs]


@pytest.mark.parametrize("refusal", REFUSALS, ids=["too-large", "413", "502", "statement-timeout"])
def test_one_run_that_is_refused_hides_no_other(portal, root, refusal):
    portal.graphql.faults.append(Fault(**TOO_MANY, **refusal))

    listed = root.layers.static[0].list_many(Kind.VOXEL_SPACING, runs_of(root))

    assert isinstance(listed, PartialListing)
    assert [*listed.failures] == [RunKey("501")]
    assert {run.name: len(sizes) for run, sizes in listed.items()} == {"502": 1, "503": 0, "601": 1, "602": 0}


def test_a_run_that_is_refused_is_an_error_and_its_neighbours_are_listed(portal, root):
    portal.graphql.faults.append(Fault(**TOO_MANY))

    assert [t.tomo_type for t in root.get_run("502").voxel_spacings[0].tomograms] != []
    with pytest.raises(PortalQueryError, match="one run alone is too much"):
        root.get_run("501").voxel_spacings  # noqa: B018 - listing is what fails


def test_tables_leave_a_refused_run_out_and_tell_once(portal, root):
    portal.graphql.faults.append(Fault(**TOO_MANY))

    with pytest.warns(UserWarning, match=r"voxel spacings of run '?501'?.* could not be listed and are left out") as told:
        rows = root.table("voxel_spacings")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = root.table("voxel_spacings")

    assert rows["run"] == again["run"] == ["502", "601"]
    assert len(told) == 1


def test_a_refused_run_costs_the_others_no_request(portal, root):
    portal.graphql.faults.append(Fault(**TOO_MANY))
    root.layers.static[0].list_many(Kind.VOXEL_SPACING, runs_of(root))

    # 5 runs and 2 are refused, 501 too; 502, and 503 with 601 and 602, which are asked together, are not.
    assert portal.graphql.counts["tomograms"] == 5


def test_a_refused_run_is_not_asked_for_again_before_a_refresh(portal, root):
    portal.graphql.faults.append(Fault(**TOO_MANY))
    run = root.get_run("501")
    for _ in range(2):
        with pytest.raises(PortalQueryError):
            run.voxel_spacings  # noqa: B018 - listing is what fails
    asked = portal.graphql.counts["tomograms"]
    portal.graphql.faults.clear()
    root.refresh()

    assert asked == 5
    assert [s.voxel_size for s in root.get_run("501").voxel_spacings] == [4.99, 7.84]


def test_a_refused_run_is_a_problem_of_the_project(portal, root):
    portal.graphql.faults.append(Fault(**TOO_MANY))

    (problem,) = [one.problem for one in root.problems() if one.problem.id == "unlisted-run"]

    assert problem.key == RunKey("501")
    assert "voxel spacings and tomograms cannot be listed: Query result too large" in problem.message


def test_of_a_refused_run_the_old_answer_is_used(portal, overlay):
    before = open_project(portal, overlay).table("voxel_spacings")
    portal.graphql.faults.append(Fault(**TOO_MANY))
    root = open_project(portal, overlay, portal_cache_ttl_seconds=1e-9)

    with pytest.warns(PortalWarning, match="kept on disk"):
        assert root.table("voxel_spacings") == before


def test_answers_with_a_gap_are_not_kept_on_disk(portal, overlay):
    portal.graphql.faults.append(Fault(**TOO_MANY))
    open_project(portal, overlay).layers.static[0].list_many(Kind.VOXEL_SPACING, [RunKey("501"), RunKey("502")])
    portal.graphql.faults.clear()

    assert len(open_project(portal, overlay).get_run("501").voxel_spacings) == 2
