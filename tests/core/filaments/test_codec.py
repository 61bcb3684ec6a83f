"""The file of filaments."""

from __future__ import annotations

import json

import numpy as np
import pytest

from copick_core.errors import InvalidDataError
from copick_core.filaments.codec import decode, encode, filaments_of
from copick_core.models import CopickFilament, CopickFilamentsFile

NAMES = {"pickable_object_name": "mt", "user_id": "ann", "session_id": "1"}
POINTS = [[0.0, 0.0, 0.0], [0.1, 1e-30, -12345.678901234567]]


def file_of(*filaments, **header):
    return json.dumps({**NAMES, **header, "filaments": [*filaments]}).encode()


def test_a_file_is_written_in_the_order_of_the_released_library():
    file = CopickFilamentsFile(**NAMES, run_name="TS", filaments=[CopickFilament(instance_id=3, points=POINTS)])

    assert encode(file, "mt").decode() == (
        '{"pickable_object_name":"mt","user_id":"ann","session_id":"1","run_name":"TS","voxel_spacing":null,'
        '"unit":"angstrom","version":1,"filaments":[{"instance_id":3,'
        '"points":[[0.0,0.0,0.0],[0.1,1e-30,-12345.678901234567]],'
        '"polarity_known":false,"score":1.0,"radius":null,"metadata":{},"curve":null}]}'
    )


def test_keys_that_the_released_library_does_not_know_stand_last():
    document = {**NAMES, "history": ["x"], "filaments": []}

    written = encode(decode(json.dumps(document).encode(), "mt"), "mt")

    assert written.endswith(b',"filaments":[],"history":["x"]}')


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("edit", "index"),
    [
        (lambda file: file.filaments.append(file.filaments[0]), 1),
        (lambda file: file.__dict__.update(version="one"), None),
        (lambda file: file.filaments[0].__dict__.update(points=[[0.0, 0.0, 0.0]]), 0),
    ],
)
def test_what_was_edited_in_place_is_checked_before_it_is_written(edit, index):
    file = CopickFilamentsFile(**NAMES, filaments=[CopickFilament(instance_id=3, points=POINTS)])
    edit(file)

    with pytest.raises(InvalidDataError) as caught:
        encode(file, "mt")

    assert caught.value.index == index


def test_floats_and_unknown_keys_come_back():
    curve = {"kind": "nurbs", "control_points": POINTS, "step": 1.0, "weights": [1, 2]}
    filament = {"instance_id": 1, "points": POINTS, "curve": curve, "lumen": {"a": [1]}}
    written = encode(decode(file_of(filament, unit="angstrom", history=["x"]), "mt"), "mt")

    again = json.loads(written)

    assert (again["history"], again["filaments"][0]["lumen"]) == (["x"], {"a": [1]})
    assert again["filaments"][0]["curve"] == curve
    assert again["filaments"][0]["points"] == POINTS
    assert encode(decode(written, "mt"), "mt") == written


@pytest.mark.parametrize("filaments", [None, []])
def test_a_file_without_filaments_is_empty(filaments):
    assert decode(json.dumps({**NAMES, "filaments": filaments}).encode(), "mt").filaments == []


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b'{"filaments": 3}', b"\xff"])
def test_what_is_no_file_of_filaments_is_refused(data):
    with pytest.raises(InvalidDataError, match=r"^mt:"):
        decode(data, "mt")


@pytest.mark.parametrize(
    "bad",
    [
        {"points": [[0, 0, 0], [1, float("nan"), 0]]},
        {"points": [[0, 0, 0]]},
        {"points": [[0, 0, 0], [1, 1]]},
        {"instance_id": 0},
        {"instance_id": 7},
        {"score": float("inf")},
        {"curve": {"kind": "linear", "control_points": [[0, 0, 0]], "step": 1}},
    ],
    ids=str,
)
def test_the_first_filament_at_fault_is_named(bad):
    good, other = {"instance_id": 7, "points": POINTS}, {"instance_id": 9, "points": POINTS}

    with pytest.raises(InvalidDataError, match=r"^mt: filament 1: ") as caught:
        decode(file_of(good, {**other, **bad}), "mt")

    assert caught.value.index == 1


def test_values_that_were_edited_in_place_are_checked_before_anything_is_written():
    file = decode(file_of({"instance_id": 1, "points": POINTS}, {"instance_id": 2, "points": POINTS}), "mt")
    file.filaments[1].points[0] = (0.0, float("nan"), 0.0)

    with pytest.raises(InvalidDataError) as caught:
        encode(file, "mt")

    assert caught.value.index == 1


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, b"x"])
def test_metadata_that_json_cannot_hold_are_refused(value):
    [filament] = filaments_of([{"points": POINTS}], "mt")
    filament.metadata["length"] = value

    with pytest.raises(InvalidDataError, match="filament 0"):
        encode(CopickFilamentsFile(**NAMES, filaments=[filament]), "mt")


def test_numbers_of_numpy_are_written_as_numbers():
    shapes = [{"points": np.array(POINTS, np.float32)}]
    [filament] = filaments_of(shapes, "mt", instance_ids=np.array([4]), score=np.float32([0.5]), metadata=[{"n": np.int64(3)}])

    again = json.loads(encode(CopickFilamentsFile(**NAMES, filaments=[filament]), "mt"))["filaments"][0]

    assert (again["instance_id"], again["score"], again["metadata"]) == (4, 0.5, {"n": 3})


@pytest.mark.parametrize("name", ["polarity_known", "scores", "radii", "metadata"])
def test_a_column_of_another_length_is_named(name):
    field = {"scores": "score", "radii": "radius"}.get(name, name)

    with pytest.raises(InvalidDataError, match=f"{name} must have one entry for each of 1 filaments, not 2"):
        filaments_of([{"points": POINTS}], "mt", **{field: [1, 2]})


@pytest.mark.parametrize(
    ("document", "source", "reason", "index"),
    [
        (
            {"filaments": [{"instance_id": 1, "points": POINTS}, {"instance_id": 2, "points": POINTS, "score": "x"}]},
            "mt: filament 1",
            "score: ",
            1,
        ),
        ({"filaments": [3]}, "mt: filament 0", "Input should be ", 0),
        ({"filaments": 3}, "mt", "Input should be a valid list", None),
        ({"filaments": [], "version": "one"}, "mt", "version: ", None),
    ],
)
def test_what_is_wrong_is_named_with_its_filament_and_field(document, source, reason, index):
    with pytest.raises(InvalidDataError) as caught:
        decode(json.dumps({**NAMES, **document}).encode(), "mt")

    assert (caught.value.source, caught.value.index) == (source, index)
    assert caught.value.reason.startswith(reason), caught.value.reason


@pytest.mark.parametrize(
    ("edit", "source", "index"),
    [
        (lambda file: file.filaments[0].metadata.update(a=object()), "mt: filament 0", 0),
        (lambda file: file.model_extra.update(a=float("nan")), "mt", None),
    ],
)
def test_what_is_no_json_is_named_with_its_filament(edit, source, index):
    file = CopickFilamentsFile(**NAMES, note=1, filaments=[CopickFilament(instance_id=3, points=POINTS)])
    edit(file)

    with pytest.raises(InvalidDataError, match="it cannot be written as JSON: ") as caught:
        encode(file, "mt")

    assert (caught.value.source, caught.value.index) == (source, index)


def test_a_column_of_another_length_is_named_as_users_know_it():
    shapes = [{"points": POINTS}, {"points": POINTS}]

    for given, name in (("instance_id", "instance_ids"), ("score", "scores"), ("radius", "radii"), ("metadata", "metadata")):
        column = {"instance_ids" if given == "instance_id" else given: [1]}
        with pytest.raises(InvalidDataError) as caught:
            filaments_of(shapes, "mt", **column)
        assert caught.value.source == "mt"
        assert caught.value.reason == f"{name} must have one entry for each of 2 filaments, not 1"
