"""Objects of a project: what a new one has, what an old one keeps, and what is refused."""

import warnings

import numpy as np
import pytest

from copick_core.errors import AlreadyExistsError, InvalidDataError, InvalidNameError, UnknownObjectError

FIELDS = {
    "label": 12,
    "color": (1, 2, 3, 4),
    "emdb_id": "EMD-1",
    "pdb_id": "1ABC",
    "identifier": "GO:1",
    "map_threshold": 0.5,
    "radius": 60.0,
    "metadata": {"source": "here"},
}


def fields_of(obj):
    return {name: getattr(obj.meta, name) for name in FIELDS}


def test_a_new_object_has_all_that_was_given_and_is_in_the_configuration(root):
    obj = root.new_object("actin", True, **FIELDS)

    assert fields_of(obj) == FIELDS
    assert (obj.name, obj.is_particle, obj.label, obj.color) == ("actin", True, 12, (1, 2, 3, 4))
    assert (obj.emdb_id, obj.pdb_id, obj.identifier, obj.map_threshold, obj.radius) == ("EMD-1", "1ABC", "GO:1", 0.5, 60.0)
    assert root.get_object("actin") is obj
    assert root.pickable_objects[-1] is obj
    assert root.config.pickable_objects[-1] is obj.meta


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_of_an_object_is_changed_and_the_others_stay(root, field):
    obj = root.new_object("actin", True, **FIELDS)
    other = {"label": 13, "color": (9, 9, 9, 9), "map_threshold": 0.0, "radius": 1.0, "metadata": {}}.get(field, "other")

    changed = root.new_object("actin", False, exist_ok=True, **{field: other})

    assert changed is obj
    assert fields_of(obj) == {**FIELDS, field: other}
    assert not obj.is_particle
    assert len([o for o in root.pickable_objects if o.name == "actin"]) == 1
    assert [m for m in root.config.pickable_objects if m.name == "actin"] == [obj.meta]


def test_an_object_that_exists_is_refused_with_the_way_out(root):
    with pytest.raises(AlreadyExistsError, match="Pass exist_ok=True to update it") as caught:
        root.new_object("ribosome", True)

    assert caught.value.key == root.get_object("ribosome").key


def test_a_label_of_another_object_is_refused_with_its_name(root):
    with pytest.raises(InvalidDataError, match="label 2 already exists: it belongs to object 'membrane'") as caught:
        root.new_object("actin", True, label=2)

    assert caught.value.source == "object 'actin'"
    assert root.get_object("actin") is None
    assert root.new_object("membrane", False, label=2, exist_ok=True).label == 2  # its own


def test_a_name_that_cannot_be_stored_is_refused_with_one_that_can(root):
    with pytest.raises(InvalidNameError, match="use 'my-object'") as caught:
        root.new_object("my object", True)

    assert (caught.value.name, caught.value.what) == ("my object", "object name")


def test_a_name_that_can_have_no_binary_segmentation_is_warned_of(root):
    with pytest.warns(UserWarning, match="'x-multilabel' ends in '-multilabel'"):
        root.new_object("x-multilabel", False)


def test_a_deleted_object_is_in_no_list_any_more(root):
    obj = root.get_object("ribosome")
    obj.from_numpy(np.ones((2, 2, 2)), 10.0)

    obj.delete()

    assert root.get_object("ribosome") is None
    assert "ribosome" not in [meta.name for meta in root.config.pickable_objects]
    root.refresh()
    assert root.get_object("ribosome") is None


def test_lists_of_objects_are_snapshots(root):
    root.pickable_objects.clear()

    assert [obj.name for obj in root.pickable_objects] == ["ribosome", "membrane", "proteasome"]


@pytest.mark.parametrize("field", ["user_id", "session_id"])
def test_who_annotates_is_stored_as_it_is_sanitised_or_not_at_all(root, field):
    with pytest.warns(UserWarning, match="sanitized to 'a-b'"):
        setattr(root, field, "a b")
    assert (getattr(root, field), getattr(root.config, field)) == ("a-b", "a-b")

    setattr(root, field, None)

    assert (getattr(root, field), getattr(root.config, field)) == (None, None)


def test_a_project_shows_how_many_runs_it_has_once_they_were_listed(root):
    assert "user_id='alice', len(pickable_objects)=3, len(runs)=None)" in repr(root)

    root.new_run("TS_1")
    assert len(root.runs) == 1

    assert "len(runs)=1)" in repr(root)


def test_forgetting_the_runs_lists_them_again(root):
    run = root.new_run("TS_1")
    assert root.runs == [run]
    assert root._runs == [run]

    root._runs = None

    assert root._runs is None
    assert [again.name for again in root.runs] == ["TS_1"]
    assert root.runs[0] is not run


def test_reconnecting_forgets_all_handles(root):
    run, obj = root.new_run("TS_1"), root.get_object("ribosome")

    root.reconnect()

    assert root.get_run("TS_1") is not run
    assert root.get_object("ribosome") is not obj


@pytest.mark.parametrize(("flags", "wrong"), [({"is_particle": "yes"}, "is_particle"), ({"exist_ok": 1}, "exist_ok")])
def test_a_flag_of_an_object_is_true_or_false(root, flags, wrong):
    with pytest.raises(InvalidDataError, match=f"^{wrong}: .* neither True nor False"):
        root.new_object("actin", **{"is_particle": True, **flags})

    assert root.get_object("actin") is None


def test_a_name_of_no_object_is_told_without_a_warning_and_one_that_is_sanitised_with_one(root):
    run = root.new_run("TS_1")
    root.new_object("my-object", is_particle=True)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(UnknownObjectError) as unknown:
            run.new_picks("no_object", "1")
        assert not caught
        run.new_picks("my_object", "1")
        assert len(caught) == 1

    assert (unknown.value.name, unknown.value.known) == ("no_object", ["ribosome", "membrane", "proteasome", "my-object"])
