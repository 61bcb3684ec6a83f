"""What an object's metadata declare of a filament, and how a declaration is put in and taken out."""

import pytest
from pydantic import ValidationError

from copick_core.errors import InvalidDataError
from copick_core.tree.filament_spec import FilamentSpec, declared, with_declaration

MINE = {"source": "here"}


@pytest.mark.parametrize("metadata", [{}, MINE, {"copick": 5}, {"copick": None}, {"copick": {}}, {"copick": {"other": 1}}])
def test_metadata_without_a_declaration_declare_nothing(metadata):
    assert declared(metadata) is None
    assert with_declaration(metadata, None) == metadata


def test_a_declaration_is_read_with_what_others_add():
    spec = declared({"copick": {"filament": {"polar": True, "helical_rise_a": 27.5, "mine": 1}}})

    assert (spec.polar, spec.helical_rise_a, spec.helical_twist_deg) == (True, 27.5, None)
    assert spec.model_extra == {"mine": 1}


@pytest.mark.parametrize(
    "wrong", [{"helical_rise_a": 0}, {"helical_rise_a": -1}, {"polar": "maybe"}, {"helical_twist_deg": float("inf")}]
)
def test_a_declaration_that_is_not_possible_is_refused(wrong):
    with pytest.raises(ValidationError):
        declared({"copick": {"filament": wrong}})
    with pytest.raises(ValidationError):
        with_declaration({}, wrong)


@pytest.mark.parametrize("spec", [FilamentSpec(polar=False), {"polar": False}])
def test_a_declaration_takes_its_place_and_all_else_stays(spec):
    before = {**MINE, "copick": {"other": 1, "filament": {"polar": True, "helical_rise_a": 5.0}}}

    after = with_declaration(before, spec)

    assert after == {**MINE, "copick": {"other": 1, "filament": {"polar": False}}}
    assert before["copick"]["filament"]["polar"] is True


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({**MINE, "copick": {"filament": {}}}, MINE),
        ({**MINE, "copick": {"filament": {}, "other": 1}}, {**MINE, "copick": {"other": 1}}),
    ],
)
def test_a_declaration_that_is_removed_takes_an_empty_mapping_with_it(before, after):
    assert with_declaration(before, None) == after


def test_what_is_no_mapping_is_not_overwritten():
    with pytest.raises(InvalidDataError, match="it is reserved for a mapping, but holds 5") as caught:
        with_declaration({"copick": 5}, {})

    assert caught.value.source == "metadata['copick']"
