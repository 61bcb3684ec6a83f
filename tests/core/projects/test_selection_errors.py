"""What errors of selections and of entities by address say, and what somebody else may do meanwhile."""

from __future__ import annotations

import numpy as np
import pytest

import copick_core
from copick_core.errors import AddressError, InvalidDataError, NotFoundError, ReadOnlyError, UnknownObjectError
from copick_core.projects.selection import handle_of
from copick_core.tree.keys import ObjectKey
from support.objects import OBJECTS


@pytest.fixture
def root():
    root = copick_core.open({"config_type": "memory", "pickable_objects": OBJECTS, "user_id": "alice"})
    run = root.new_run("TS_1")
    for session in ("1", "2"):
        run.new_picks("ribosome", session).from_numpy([[1.0, 2.0, 3.0]])
    run.new_segmentation(10.0, "ribosome", "1").from_numpy(np.ones((2, 2, 2), int))
    return root


@pytest.mark.parametrize(
    ("ask", "address", "reason"),
    [
        (lambda root: root.select("TS_1/", kind="picks"), "TS_1/", "it can mean run, not picks"),
        (lambda root: root.select("wbp@10:sobel", label=1), "wbp@10:sobel", "nothing that it can mean has labels"),
        (lambda root: root.entity("TS_1/ribosome", kind="picks"), "TS_1/ribosome", "it must match one entity"),
        (lambda root: root.select("ribosome:alice/1").delete(), "ribosome:alice/1", "it matches entities of several kinds"),
    ],
)
def test_an_address_that_means_something_else_is_named_as_a_whole(root, ask, address, reason):
    with pytest.raises(AddressError) as caught:
        ask(root)

    assert (caught.value.address, caught.value.position) == (address, None)
    assert caught.value.reason.startswith(reason)


def test_an_address_of_several_kinds_has_no_table_and_names_them(root):
    with pytest.raises(InvalidDataError) as caught:
        root.select("TS_1/ribosome:alice/1").table()

    assert caught.value.source == "address 'TS_1/ribosome:alice/1'"
    assert caught.value.reason == "it can mean 'picks', 'mesh', 'filaments', 'segmentation'; pass one as kind="


def test_what_is_not_there_is_named_with_the_layers_and_a_way_out(root):
    with pytest.raises(NotFoundError) as caught:
        root.entity("TS_1/ribosome:alice/9*")

    assert (caught.value.key, caught.value.layer) == ("an entity of address 'TS_1/ribosome:alice/9*'", "overlay")
    assert str(caught.value).endswith("Check its spelling.")


def test_an_object_that_is_not_there_is_named_with_the_nearest(root):
    with pytest.raises(UnknownObjectError, match="Did you mean 'ribosome'") as caught:
        handle_of(root, ObjectKey("ribosom"), None)

    assert caught.value.name == "ribosom"


def test_what_somebody_else_deletes_meanwhile_is_left_out(root):
    selection = root.select("TS_1/ribosome", kind="picks")
    first, second = selection
    check, todo = type(first)._check_deletable, [first.key]

    def check_while_somebody_deletes(picks):
        check(picks)
        if picks is second and todo:
            root.layers.overlay.delete(todo.pop())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(first), "_check_deletable", check_while_somebody_deletes)
        deleted = selection.delete()

    assert deleted == [second.key]
    root.refresh()
    assert selection.count() == 0


def test_a_result_is_kept_for_each_entity_though_addresses_are_shared(root):
    root.get_run("TS_1").new_mesh("ribosome", "1").store()

    kinds = root.select("TS_1/ribosome:alice/1").map(lambda entity: entity.key.kind.value)

    assert kinds == {
        "TS_1/ribosome:alice/1 (picks, overlay)": "picks",
        "TS_1/ribosome:alice/1 (mesh, overlay)": "mesh",
        "TS_1/ribosome:alice/1@10.0": "segmentation",
    }


def test_nothing_is_deleted_where_the_last_one_is_read_only(layered):
    root, _ = layered
    root.new_run("TS_0").new_picks("ribosome", "1", "alice").store()

    with pytest.raises(ReadOnlyError):
        root.select("ribosome", kind="picks").delete()

    root.refresh()
    assert [picks.run.name for picks in root.select("ribosome", kind="picks")] == ["TS_0", "TS_1"]


def test_an_object_is_found_by_its_address_and_selected_as_it_is(root):
    ribosome = root.get_object("ribosome")

    assert root.entity("ribosome", kind="object") is ribosome
    assert [*root.select("ribo*", kind="object")] == [ribosome]
