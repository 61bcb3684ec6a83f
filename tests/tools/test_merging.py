"""Merging picks: one set, which remembers who found each point."""

from __future__ import annotations

import time

import pytest

from copick_core.errors import AddressError, AlreadyExistsError
from copick_core.tree.keys import PicksKey
from copick_tools.merging import merge, plan_merge
from tools.conftest import changed, contents, stored

MERGED = PicksKey("TS_1", "ribosome", "merged", "1")


@pytest.fixture
def picked(make_root):
    """Three annotators: two points of all, one of two of them, and one of bob alone."""
    root = make_root()
    run = root.new_run("TS_1")
    run.new_picks("ribosome", "1", "alice").from_numpy([[0, 0, 0], [100, 0, 0], [0, 300, 0]])
    run.new_picks("ribosome", "1", "bob").from_numpy([[103, 0, 0], [3, 0, 0], [500, 500, 500]])
    run.new_picks("ribosome", "1", "carol").from_numpy([[0, 303, 0], [0, 3, 0], [100, 3, 0]])
    return root


def test_points_of_several_annotators_become_one_in_their_middle_with_the_names_of_who_found_it(picked):
    merge(picked.select("ribosome:*/1", "picks"), "*:merged/1", 10)

    arrays, _ = picked.layers.overlay.load_picks(MERGED)
    assert arrays.positions.tolist() == [[1, 1, 0], [101, 1, 0], [0, 301.5, 0], [500, 500, 500]]
    assert arrays.columns["votes"].tolist() == [3, 3, 2, 1]
    assert arrays.columns["found_by"].tolist() == ["alice/1, bob/1, carol/1"] * 2 + ["alice/1, carol/1", "bob/1"]


def test_points_that_too_few_found_are_left_out(picked):
    merge(picked.select("ribosome:*/1", "picks"), "*:merged/1", 10, at_least=3)

    assert len(picked.entity("TS_1/ribosome:merged/1", "picks").points) == 2


def test_points_of_one_annotator_are_never_merged(picked):
    picked.get_run("TS_1").new_picks("ribosome", "2", "dave").from_numpy([[0, 0, 0], [1, 0, 0]])

    merge(picked.select("ribosome:dave/2", "picks"), "*:merged/1", 10)

    assert len(picked.entity("TS_1/ribosome:merged/1", "picks").points) == 2


def test_the_plan_tells_what_is_disputed_and_running_it_changes_what_it_lists(picked):
    before, files = contents(picked), stored(picked)
    plan = plan_merge(picked.select("ribosome:*/1", "picks"), "*:merged/1", 10)

    assert "4 points, of which 2 were not found by everybody" in str(plan)
    assert stored(picked) == files
    assert plan.run(verify=True).keys == plan.keys == changed(before, contents(picked)) == {MERGED}


def test_a_merge_replaces_nothing_unless_asked(picked):
    selection = picked.select("re:ribosome:(alice|bob)/1", "picks")
    merge(selection, "*:merged/1", 10)
    before = contents(picked)

    with pytest.raises(AlreadyExistsError, match="choose if_exists='skip' or 'replace'"):
        merge(selection, "*:merged/1", 1)
    assert merge(selection, "*:merged/1", 1, if_exists="skip").keys == set()
    assert contents(picked) == before
    assert merge(selection, "*:merged/1", 1, if_exists="replace").keys == {MERGED}


def test_merging_again_finds_nothing_to_do(picked):
    selection = picked.select("re:ribosome:(alice|bob)/1", "picks")
    merge(selection, "*:merged/1", 10)

    assert plan_merge(selection, "*:merged/1", 10).changes == []


def test_newer_merges_again_what_somebody_has_changed_since(picked):
    selection = picked.select("re:ribosome:(alice|bob)/1", "picks")
    merge(selection, "*:merged/1", 10)
    time.sleep(1.1)  # servers of S3 tell whole seconds
    picked.entity("TS_1/ribosome:bob/1", "picks").from_numpy([[0.0, 0.0, 0.0]])

    assert merge(selection, "*:merged/1", 10, if_exists="newer").keys == {MERGED}
    assert len(picked.entity("TS_1/ribosome:merged/1", "picks").points) == 3


def test_newer_keeps_a_merge_that_somebody_has_edited_since(picked):
    selection = picked.select("re:ribosome:(alice|bob)/1", "picks")
    merge(selection, "*:merged/1", 10)
    time.sleep(1.1)
    picked.entity("TS_1/ribosome:merged/1", "picks").from_numpy([[0.0, 0.0, 0.0]])

    plan = plan_merge(selection, "*:merged/1", 10, if_exists="newer")

    assert (plan.changes, [str(one) for one in plan.skipped]) == ([], [f"skip {MERGED}: none of its sources is newer"])


def test_picks_are_not_merged_into_one_of_themselves(picked):
    with pytest.raises(AddressError, match="one of its own sources"):
        plan_merge(picked.select("ribosome:*/1", "picks"), "*:alice/1", 10)
