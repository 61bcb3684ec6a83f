"""CSV, TSV and Parquet; pandas is the oracle."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from copick_core.errors import InvalidDataError
from support.points import read, table, unknown, write

FILES = ["a.csv", "a.tsv", "a.parquet"]


def named(path):
    return "parquet" if path.endswith("parquet") else "csv"


def frame(path):
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    return pd.read_csv(path, sep="\t" if path.suffix == ".tsv" else ",", dtype={"run_name": str})


@pytest.mark.parametrize("name", FILES)
def test_pandas_reads_the_same_values(tmp_path, name):
    one = table(
        30,
        "001",
        scores=np.linspace(0, 1, 30),
        instance_ids=np.arange(30),
        columns={"note": np.array([f'a, "{i}"' for i in range(30)])},
    )

    found = frame(write(tmp_path / name, [one], named(name), unknown))

    np.testing.assert_allclose(found[["x", "y", "z"]], one.positions, rtol=1e-15)
    np.testing.assert_allclose(found.filter(like="transform_"), one.transforms.reshape(-1, 16), rtol=1e-15)
    assert found["run_name"].tolist() == ["001"] * 30
    assert found["note"].tolist() == one.columns["note"].tolist()


@pytest.mark.parametrize("name", FILES)
def test_points_survive_bit_for_bit(tmp_path, name):
    tables = [
        table(30, run, seed, scores=np.linspace(0, 1, 30), instance_ids=np.arange(30)) for seed, run in enumerate(["a", "b"])
    ]

    again = read(write(tmp_path / name, tables, named(name), unknown), unknown)

    for one, two in zip(tables, again, strict=True):
        assert two.run == one.run
        for field in ("positions", "transforms", "scores", "instance_ids"):
            np.testing.assert_array_equal(getattr(two, field), getattr(one, field))


def test_only_coordinates_are_required(tmp_path):
    (tmp_path / "a.csv").write_text("x,y,z\n1,2,3\n")

    (found,) = read(tmp_path / "a.csv", unknown)

    assert (found.positions.tolist(), found.run, found.transforms) == ([[1, 2, 3]], None, None)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("x,y,z\n1,2,3\n1,,3\n", "row 2, column y"),
        ("x,y,z\n1,2,3\n1,nan,3\n", "row 2, column y"),
        ("x,y,z\n1,2,3\n1,2\n", "row 2, column z"),
        ("x,y,z,run_name\n1,2,3,\n", "row 1, column run_name"),
        ("x,y,z,instance_id\n1,2,3,1.5\n", "row 1, column instance_id"),
    ],
)
def test_a_cell_that_cannot_be_read_is_named_by_row_and_column(tmp_path, text, where):
    (tmp_path / "a.csv").write_text(text)

    with pytest.raises(InvalidDataError, match=where):
        read(tmp_path / "a.csv", unknown)


def test_a_missing_coordinate_is_named(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")

    with pytest.raises(InvalidDataError, match="no column z"):
        read(tmp_path / "a.csv", unknown)
