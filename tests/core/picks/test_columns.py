"""Further columns of points."""

import json
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import copick_core
from copick_core.errors import InvalidDataError, MissingDependencyError
from copick_core.picks import arrays_of, decode, decoding, encode, from_arrays, points_of
from copick_core.tree.schema import CopickPicksFile

HEADER = {"pickable_object_name": "ribosome", "user_id": "ana", "session_id": "1"}
COLUMNS = {
    "rlnRandomSubset": np.array([1, 2, 1]),
    "fom": np.array([0.25, np.nan, -1e-9]),
    "micrograph": np.array(["TS_1", 'a "b"\n', "é, %d"]),
    "good": np.array([True, False, True]),
}


def picks(columns, n=3):
    return from_arrays(np.arange(3.0 * n).reshape(n, 3), columns=columns, header=HEADER)


def assert_same(a, b):
    assert [*a] == [*b]
    for name in a:
        assert a[name].dtype.kind == b[name].dtype.kind, name
        np.testing.assert_array_equal(a[name], b[name], name)


@pytest.fixture
def stored():
    root = copick_core.open({"config_type": "memory", "pickable_objects": [{"name": "ribosome", "is_particle": True}]})
    return root.new_run("TS_1").new_picks("ribosome", "1", "ana")


def test_columns_survive_the_file():
    assert_same(decode(encode(picks(COLUMNS)), "f").columns, COLUMNS)


def test_each_point_of_the_file_holds_its_own_values():
    points = json.loads(encode(picks({"class": [3, 4, 5]})))["points"]

    assert [point["metadata"] for point in points] == [{"class": 3}, {"class": 4}, {"class": 5}]


def test_a_missing_value_is_left_out_of_the_file():
    points = json.loads(encode(picks({"fom": [0.5, float("nan"), None], "name": ["a", None, "b"]})))["points"]

    assert [point.get("metadata") for point in points] == [{"fom": 0.5, "name": "a"}, None, {"name": "b"}]


def test_picks_without_columns_are_written_as_before():
    assert b"metadata" not in encode(picks(None))


def test_columns_survive_point_objects():
    again = arrays_of(points_of(picks(COLUMNS)), HEADER, "f")

    assert_same(again.columns, COLUMNS)


def test_a_point_that_is_removed_takes_its_values_with_it(stored):
    stored.from_numpy(np.eye(3), columns=COLUMNS)

    del stored.points[0]
    stored.store()
    stored.refresh()

    np.testing.assert_array_equal(stored.columns["rlnRandomSubset"], [2, 1])


def test_pieces_of_a_long_file_have_the_columns_of_the_whole(monkeypatch):
    n = 400
    values = [i if i < 200 else i / 2 for i in range(n)]
    text = ["a"] * 300 + ["long text"] * 100
    data = encode(picks({"value": values, "text": text, "rare": [None] * 399 + ["x"]}, n))
    monkeypatch.setattr(decoding, "PIECE_BYTES", 4096)
    with_pieces = decode(data, "f").columns

    monkeypatch.setattr(decoding, "PIECE_BYTES", 1 << 30)

    assert_same(with_pieces, decode(data, "f").columns)
    np.testing.assert_array_equal(with_pieces["value"], values)


@given(
    st.lists(
        st.dictionaries(
            st.text(min_size=1),
            st.one_of(
                st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(), st.lists(st.text())
            ),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_whatever_json_can_hold_survives(rows):
    file = {**HEADER, "points": [{"location": {"x": 1, "y": 2, "z": 3}, "metadata": row} for row in rows]}
    try:
        data = json.dumps(file).encode()
    except UnicodeEncodeError:
        return

    again = json.loads(encode(decode(data, "f")))

    assert [point.get("metadata", {}) for point in again["points"]] == rows


@pytest.mark.parametrize("value", [None, [], {}, "text"])
def test_what_is_no_set_of_values_is_kept_as_it_is(value):
    points = [{"location": {"x": 1, "y": 2, "z": 3}, "metadata": value}, {"location": {"x": 1, "y": 2, "z": 3}}]

    again = json.loads(encode(decode(json.dumps({**HEADER, "points": points}).encode(), "f")))

    assert [point.get("metadata", "missing") for point in again["points"]] == [value, "missing"]


def test_files_with_columns_are_picks_files_to_the_specification():
    file = CopickPicksFile.model_validate_json(encode(picks(COLUMNS)))

    assert file.points[0].location.x == 0.0


@pytest.mark.parametrize(
    ("columns", "index", "reason"),
    [
        ({"a": [1, 2]}, None, "shape"),
        ({"a": np.zeros((3, 1))}, None, "shape"),
        ({"": [1, 2, 3]}, None, "name"),
        ({"a": np.array([b"x", b"y", b"z"])}, None, "numbers or text"),
        ({"a": np.array([0.0, 1.0, np.inf])}, 2, "infinite"),
    ],
)
def test_columns_that_cannot_be_kept_are_refused(columns, index, reason):
    with pytest.raises(InvalidDataError, match=reason) as caught:
        picks(columns)
    assert caught.value.index == index


def test_a_value_that_is_no_json_is_named_by_its_point():
    with pytest.raises(InvalidDataError, match="column 'a'") as caught:
        encode(picks({"a": [1, 2, object()]}))
    assert caught.value.index == 2


def test_columns_are_given_and_taken_as_arrays(stored):
    stored.from_numpy(np.eye(3), columns=COLUMNS)
    stored.refresh()

    assert_same(stored.columns, COLUMNS)


def test_new_points_without_columns_have_none(stored):
    stored.from_numpy(np.eye(3), columns=COLUMNS)

    stored.from_numpy(np.eye(3))

    assert stored.columns == {}


def test_a_table_has_points_and_columns(stored):
    stored.from_numpy(np.eye(3), scores=[1, 2, 3], columns=COLUMNS)

    frame = stored.df()

    assert [*frame][:3] == ["x", "y", "z"]
    assert [*frame][19:] == ["score", "instance_id", *COLUMNS]
    assert frame["micrograph"].tolist() == COLUMNS["micrograph"].tolist()


def test_a_table_that_is_filtered_is_stored_back(stored):
    transforms = np.tile(np.eye(4), (3, 1, 1))
    transforms[:, :3, 3] = 7
    stored.from_numpy(np.eye(3), transforms, [1, 2, 3], columns=COLUMNS)

    frame = stored.df()
    stored.from_df(frame[frame["rlnRandomSubset"] == 1])
    stored.refresh()

    assert stored.instance_ids().tolist() == [1, 3]
    np.testing.assert_array_equal(stored.full_positions(), np.eye(3)[[0, 2]] + 7)
    assert_same(stored.columns, {name: values[[0, 2]] for name, values in COLUMNS.items()})


def test_a_table_needs_coordinates_only(stored):
    import pandas as pd

    stored.from_df(pd.DataFrame({"x": [1], "y": [2], "z": [3], "kind": ["a"]}))

    assert (stored.points[0].location.z, stored.columns["kind"].tolist()) == (3.0, ["a"])


@pytest.mark.parametrize("drop", ["x", "transform_03"])
def test_a_table_that_lacks_a_column_is_refused_with_its_name(stored, drop):
    stored.from_numpy(np.eye(3))

    with pytest.raises(InvalidDataError, match=f"no column '{drop}'"):
        stored.from_df(stored.df().drop(columns=drop))


def test_a_column_with_the_name_of_a_coordinate_makes_no_table(stored):
    stored.from_numpy(np.eye(3), columns={"x": [1, 2, 3]})

    with pytest.raises(InvalidDataError, match="'x'"):
        stored.df()


def test_a_table_without_pandas_names_what_to_install(stored, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)

    with pytest.raises(MissingDependencyError, match="pip install pandas"):
        stored.df()


TRANSFORM = [f"transform_{row}{column}" for row in range(4) for column in range(4)]


def table(rows=2, **columns):
    import pandas as pd

    return pd.DataFrame({"x": [1.0] * rows, "y": [2.0] * rows, "z": [3.0] * rows, **columns}, index=range(5, 5 + rows))


@pytest.mark.parametrize("cells", [12, 16])
def test_a_table_has_the_first_three_rows_of_transforms_or_all_four(stored, cells):
    matrices = np.tile(np.eye(4), (2, 1, 1))
    matrices[:, :3] = np.arange(24).reshape(2, 3, 4)

    stored.from_df(table(**{name: matrices[:, n // 4, n % 4] for n, name in enumerate(TRANSFORM[:cells])}))

    np.testing.assert_array_equal(stored.numpy()[1], matrices)


@pytest.mark.parametrize(
    ("present", "lacking"),
    [
        (TRANSFORM[:1], "transform_01"),
        (TRANSFORM[:11], "transform_23"),
        (TRANSFORM[:13], "transform_31"),
        (TRANSFORM[:15], "transform_33"),
        (TRANSFORM[1:], "transform_00"),
        (TRANSFORM[1:13], "transform_00"),
        (TRANSFORM[:5] + TRANSFORM[6:], "transform_11"),
    ],
)
def test_some_cells_of_transforms_are_refused_with_the_first_that_is_missing(stored, present, lacking):
    with pytest.raises(InvalidDataError, match=f"the table has '{present[0]}', but no column '{lacking}'") as caught:
        stored.from_df(table(**dict.fromkeys(present, 0.0)))

    assert caught.value.source == str(stored.key)


def test_scores_and_ids_of_a_table_are_those_of_its_points(stored):
    stored.from_df(table(score=[0.25, 0.75], instance_id=[7, 8]))

    assert (stored.scores().tolist(), stored.instance_ids().tolist()) == ([0.25, 0.75], [7, 8])
    assert stored.columns == {}


def test_columns_of_a_table_keep_their_type_and_what_is_missing(stored):
    import pandas as pd

    stored.from_df(
        table(
            3,
            number=np.array([1, 2, 3], np.int16),
            flag=[True, False, True],
            nullable=pd.array([1, None, 3], dtype="Int64"),
            text=["a", None, "c"],
            real=[0.5, np.nan, 1.5],
        )
    )
    stored.refresh()

    found = stored.columns
    assert [*found] == ["number", "flag", "nullable", "text", "real"]
    assert (found["number"].tolist(), found["flag"].tolist()) == ([1, 2, 3], [True, False, True])
    assert (found["nullable"].tolist(), found["text"].tolist()) == ([1, None, 3], ["a", None, "c"])
    np.testing.assert_array_equal(found["real"], [0.5, np.nan, 1.5])


@pytest.mark.parametrize("name", ["x", "transform_33", "score", "instance_id"])
def test_a_column_with_a_name_of_the_table_itself_makes_none(stored, name):
    stored.from_numpy(np.eye(3), columns={"fine": [1, 2, 3], name: [1, 2, 3]})

    with pytest.raises(InvalidDataError, match=f"the column '{name}' has a name that the table needs itself"):
        stored.df()
