"""Lists of children: one handle for each key and layer, until it is forgotten."""

import threading
from types import SimpleNamespace

import pytest

from copick_core.models.children import Children
from copick_core.tree.keys import RunKey


def handle(name="TS_1", layer="overlay", **fields):
    return SimpleNamespace(key=RunKey(name), _key=RunKey(name), layer=layer, **fields)


@pytest.fixture
def children():
    return Children(threading.RLock())


def same(found, expected):
    return [*map(id, found)] == [*map(id, expected)]


def test_a_handle_that_was_added_is_the_one_of_its_key_and_layer(children):
    first, other = handle(), handle(layer="static")

    assert children.add(first) is first
    assert children.add(handle()) is first
    assert children.add(other) is other
    assert children.known(first.key, "overlay") is first
    assert children.known(first.key, "static") is other
    assert children.known(first.key, "elsewhere") is None
    assert children.known(RunKey("TS_2"), "overlay") is None


def test_a_handle_that_was_looked_for_in_vain_is_found_once_it_was_added(children):
    assert children.known(RunKey("TS_1"), "overlay") is None
    first = children.add(handle())

    assert children.known(RunKey("TS_1"), "overlay") is first


def test_what_was_forgotten_is_asked_for_again(children):
    first = children.add(handle())
    assert children.known(first.key, "overlay") is first
    assert children.all(lambda: [first]) == [first]
    assert children.known(first.key, "overlay") is first

    children.forget()

    assert children.listed is None
    assert children.known(first.key, "overlay") is None
    again = handle()
    assert same(children.get(again.key, lambda: [again]), [again])


def test_storage_is_asked_only_for_what_is_not_known(children):
    first, asked = handle(), []

    def probe():
        asked.append(1)
        return [first]

    assert same(children.get(first.key, probe), [first])
    assert same(children.get(first.key, probe), [first])
    assert asked == [1]
    assert same(children.current(first.key, probe), [first])
    assert asked == [1, 1]


def test_handles_that_storage_has_no_more_are_dropped_and_unsaved_ones_stay(children):
    gone, unsaved, stays = handle(layer="a"), handle(layer="b", _unsaved=True), handle(layer="c")
    for one in (gone, unsaved, stays):
        children.add(one)

    found = children.current(gone.key, lambda: [handle(layer="c"), handle(layer="d")])

    assert [one.layer for one in found] == ["c", "d", "b"]
    assert found[0] is stays
    assert found[2] is unsaved
    assert children.known(gone.key, "a") is None
    assert {one.layer for one in children} == {"b", "c", "d"}


def test_a_listing_keeps_the_handles_that_were_given_out_and_unsaved_ones(children):
    first, unsaved, gone = handle(), handle("TS_3", _unsaved=True), handle("TS_4")
    for one in (first, unsaved, gone):
        children.add(one)
    assert children.known(gone.key, "overlay") is gone
    new = handle("TS_2")

    found = children.all(lambda: [handle(), new])

    assert same(found, [first, new, unsaved])
    assert children.known(gone.key, "overlay") is None
    assert children.known(new.key, "overlay") is new
    assert same(children.listed, found)


def test_a_listing_that_was_made_elsewhere_is_taken_once(children):
    first = handle()

    children.install([first])
    children.install([handle("TS_2")])

    assert same(children.all(lambda: pytest.fail("it was listed already")), [first])


def test_lists_that_are_given_out_are_snapshots(children):
    first = handle()
    children.all(lambda: [first]).clear()
    children.listed.clear()
    children.get(first.key, list).clear()

    assert same(children, [first])
    assert same(children.get(first.key, list), [first])


def test_removing_a_handle_drops_the_one_that_has_taken_its_place_too(children):
    first, other = children.add(handle()), children.add(handle("TS_2"))
    assert children.known(first.key, "overlay") is first

    children.remove(handle())

    assert same(children, [other])
    assert children.known(first.key, "overlay") is None
    assert children.known(other.key, "overlay") is other
