"""A cell that cannot be read is an error with file, row and column, in every format of tables; nothing is stored."""

from __future__ import annotations

import struct

import emfile
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

import copick_core
from copick_core.errors import InvalidDataError
from copick_core.plugins.format_functions import PicksTable
from support.points import read, table, write
from support.projects import project_in

RELION = ["rlnTomoName", "rlnCoordinateX", "rlnCoordinateY", "rlnCoordinateZ", "rlnPixelSize"]
STOPGAP = [
    "motl_idx",
    "tomo_num",
    "object",
    "subtomo_num",
    "halfset",
    "orig_x",
    "orig_y",
    "orig_z",
    "score",
    "x_shift",
    "y_shift",
    "z_shift",
    "phi",
    "psi",
    "the",
    "class",
]
CBOX = ["CoordinateX", "CoordinateY", "CoordinateZ", "Width", "Height", "Confidence"]


def star(name, labels, rows):
    head = "".join(f"_{label}\n" for label in labels)
    return f"data_{name}\nloop_\n{head}" + "".join(" ".join(row) + "\n" for row in rows)


def relion(cell):
    return star("particles", RELION, [["TS_1", "1", "2", "3", "4"], ["TS_1", "1", cell or "''", "3", "4"]])


def stopgap(cell):
    good = ["1", "1", "1", "1", "A", "1", "2", "3", "0.5", "0", "0", "0", "0", "0", "0", "1"]
    bad = [cell or "''" if label == "orig_y" else value for label, value in zip(STOPGAP, good, strict=True)]
    return star("stopgap_motivelist", STOPGAP, [good, bad])


def cbox(cell):
    rows = [["1", "2", "3", "4", "5", "0.5"], ["1", cell or "''", "3", "4", "5", "0.5"]]
    return "data_global\n_cbox_format_version 1.0\n\n" + star("cryolo", CBOX, rows)


def dynamo(cell):
    good = ["1"] * 35
    return " ".join(good) + "\n" + " ".join([*good[:24], cell, *good[25:]]) + "\n"


def csv(cell, comma=","):
    return f"run_name,x,y,z\nTS_1,1,2,3\nTS_1,1,{cell},3\n".replace(",", comma)


TEXTS = {
    "a.star": (relion, "rlnCoordinateY"),
    "b.star": (stopgap, "orig_y"),
    "a.cbox": (cbox, "CoordinateY"),
    "a.tbl": (dynamo, "y"),
    "a.csv": (csv, "y"),
    "a.tsv": (lambda cell: csv(cell, "\t"), "y"),
}


@pytest.fixture
def root(tmp_path):
    root = project_in(tmp_path, [{"name": "ribosome", "is_particle": True}])
    for name in ("TS_1", "1", "a"):
        root.new_run(name).new_voxel_spacing(10.0).new_tomogram("wbp").from_numpy(np.zeros((20, 40, 30), "f4"), levels=1)
    return root


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        (name, cell)
        for name in TEXTS
        for cell in ("", "nan", "inf", "-inf", "1e999", "three", "1;5")
        if cell or name != "a.tbl"  # there, a row with an empty cell is one that is cut off
    ],
)
def test_a_bad_cell_is_named_and_nothing_is_stored(root, tmp_path, name, cell):
    text, column = TEXTS[name]
    path = tmp_path / name
    path.write_text(text(cell))

    (row,) = copick_core.import_picks(root, path, "1", "ribosome").rows

    assert row.state == "failed"
    for part in (str(path), "row 2", f"column {column}"):
        assert part in row.error
    assert [picks for run in root.runs for picks in run.picks] == []


@pytest.mark.parametrize("name", TEXTS)
def test_a_file_that_is_cut_off_is_an_error_with_its_name(root, tmp_path, name):
    text, _ = TEXTS[name]
    path = tmp_path / name
    content = text("2").rstrip()
    path.write_text(content[: content.rindex("\t" if name.endswith("tsv") else "," if name.endswith("csv") else " ")])

    (row,) = copick_core.import_picks(root, path, "1", "ribosome").rows

    assert row.state == "failed"
    assert str(path) in row.error
    assert [picks for run in root.runs for picks in run.picks] == []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None])
def test_a_bad_value_of_a_parquet_file_is_named(tmp_path, value):
    path = tmp_path / "a.parquet"
    columns = {"run_name": ["TS_1", "TS_1"], "x": [1.0, 2.0], "y": [1.0, value], "z": [1.0, 2.0]}
    pyarrow.parquet.write_table(pyarrow.table(columns), path)

    with pytest.raises(InvalidDataError, match="row 2, column y") as caught:
        read(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_bad_value_of_a_motive_list_is_named(tmp_path, value):
    rows = np.ones((1, 3, 20), np.float32)
    rows[0, 1, 8] = value
    emfile.write(tmp_path / "a.em", rows)

    with pytest.raises(InvalidDataError, match="row 9 of particle 2"):
        read(tmp_path / "a.em")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_bad_point_of_a_model_is_named(tmp_path, value):
    path = write(tmp_path / "a.mod", [PicksTable(table(3).positions, object_name="ribosome")], "imod")
    content = bytearray(path.read_bytes())
    at = content.index(b"CONT") + 4 + 16 + 12
    content[at : at + 4] = struct.pack(">f", value)
    path.write_bytes(content)

    with pytest.raises(InvalidDataError, match="point 2 of contour 1 of object 'ribosome'"):
        read(path)


@pytest.mark.parametrize("value", ["NaN", "Infinity", '"1"', "null"])
def test_a_bad_value_of_eman2_is_named(tmp_path, value):
    path = tmp_path / "a.json"
    boxes = '[[1, 2, 3, "manual", 0.0, 0], [1, VALUE, 3, "manual", 0.0, 0]]'.replace("VALUE", value)
    path.write_text(f'{{"apix_unbin": 2.0, "boxes_3d": {boxes}}}')

    with pytest.raises(InvalidDataError, match="row 2, column y"):
        read(path)


@pytest.mark.parametrize("name", ["a.em", "a.mod", "a.parquet"])
def test_a_binary_file_that_is_cut_off_is_an_error_with_its_name(tmp_path, name):
    formats = {"a.em": "em", "a.mod": "imod", "a.parquet": "parquet"}
    one = PicksTable(table(9).positions, run="1", object_name="ribosome")
    path = write(tmp_path / name, [one], formats[name])
    path.write_bytes(path.read_bytes()[:-30])

    with pytest.raises(InvalidDataError) as caught:
        read(path)
    assert str(path) in str(caught.value)
