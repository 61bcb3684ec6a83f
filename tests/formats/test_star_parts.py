"""Long loops of STAR files are read in parts: with the same cells, the same errors, and little memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from copick_core.errors import InvalidDataError
from copick_formats import cells, star
from copick_formats.cells import Cells
from support.shared_data import shared

FILES = [
    "relion30_warp", "relion31_two_optics", "relion40_particles", "relion50_microtubule", "relion50_particles",
    "relion50_tomograms", "relion51_warp_particles", "star_blocks", "star_quotes", "stopgap_motl", "warp2_particles",
]  # fmt: skip
ROWS = "".join(f"TS_{n} {n}.5 'a b' \"it's\" x;y\n" for n in range(10))
LOOP = "data_a\nloop_\n_name #1\n_x #2\n_quoted #3\n_other #4\n_plain #5\n"


def content(path):
    return [(block.name, {label: [*values] for label, values in block.columns.items()}) for block in star.read_star(str(path))]


@pytest.fixture
def in_parts(monkeypatch):
    monkeypatch.setattr(star, "_LARGE", 0)
    monkeypatch.setattr(star, "_LINES", 3)
    monkeypatch.setattr(cells, "_AT_ONCE", 4)


def both(path, monkeypatch):
    """What is read as a whole, and in parts."""
    whole = content(path)
    monkeypatch.setattr(star, "_LARGE", 0)
    monkeypatch.setattr(star, "_LINES", 3)
    monkeypatch.setattr(cells, "_AT_ONCE", 4)
    return whole, content(path)


@pytest.mark.parametrize("name", FILES)
def test_a_real_file_has_the_same_cells_in_parts(name, monkeypatch):
    whole, parts = both(shared(f"formats/{name}.star"), monkeypatch)

    assert parts == whole


@pytest.mark.parametrize(
    "text",
    [
        LOOP + ROWS,
        LOOP + ROWS.replace(" 'a b'", "\n'a b'"),
        LOOP + ROWS.replace("\n", "\n# a comment\n\n"),
        LOOP + ROWS + "\ndata_b\n_pair 5\n" + LOOP.replace("data_a", "data_c") + ROWS + "# the end",
        LOOP + ROWS + "_pair 5\n".replace("_pair 5\n", "\n"),
        "data_a\nloop_ _x _y\n" + "1 2\n" * 10,
        "data_a\nloop_\n_x\n_y\n" + "1\n;two\nlines\n;\n" * 10,
        "data_a\nloop_\n_x\n_y\n" + "1 e\n" * 10 + "1 " + "long" * 200000 + "\n",
    ],
)
def test_whatever_its_lines_are_a_file_has_the_same_cells_in_parts(tmp_path, monkeypatch, text):
    (tmp_path / "a.star").write_text(text)

    whole, parts = both(tmp_path / "a.star", monkeypatch)

    assert parts == whole
    assert any(len(values) >= 10 for values in parts[0][1].values())


@pytest.mark.usefixtures("in_parts")
def test_a_long_loop_is_kept_as_bytes(tmp_path):
    (tmp_path / "a.star").write_text(LOOP + ROWS)

    (block,) = star.read_star(str(tmp_path / "a.star"))

    assert {type(values) for values in block.columns.values()} == {Cells}
    assert block.columns["x"].floats().tolist() == [n + 0.5 for n in range(10)]
    assert block.columns["name"][3] == "TS_3"
    assert block.columns["name"][2:7] == [f"TS_{n}" for n in range(2, 7)]
    assert block.columns["name"][-1] == "TS_9"
    with pytest.raises(IndexError):
        block.columns["name"][10]


@pytest.mark.usefixtures("in_parts")
@pytest.mark.parametrize("end", ["TS_9 1.5\n", "TS_9 1 2 3 4 5\n", "data_a\n_x 1\n"])
def test_a_damaged_file_is_refused_in_parts_as_it_is_as_a_whole(tmp_path, end, monkeypatch):
    (tmp_path / "a.star").write_text(LOOP + ROWS + end)

    with pytest.raises(InvalidDataError) as parts:
        content(tmp_path / "a.star")
    monkeypatch.undo()
    with pytest.raises(InvalidDataError) as whole:
        content(tmp_path / "a.star")

    assert str(parts.value) == str(whole.value)


MEASURE = """
import sys
from copick_formats.relion import read_relion
from support.memory import peak_mib, reset_peak
tables = [*read_relion(sys.argv[1], frame=lambda run: None, tomograms=sys.argv[3])]
del tables
reset_peak()
level = peak_mib()
tables = [*read_relion(sys.argv[2], frame=lambda run: None, tomograms=sys.argv[3])]
print(peak_mib() - level)
"""


def test_a_table_of_particles_takes_at_most_four_times_its_size_in_memory(tmp_path):
    labels = ["rlnTomoName", *(f"rlnCenteredCoordinate{axis}Angst" for axis in "XYZ"), "rlnAngleRot", "rlnAngleTilt"]
    labels += ["rlnAnglePsi", *(f"rlnOrigin{axis}Angst" for axis in "XYZ"), "rlnRandomSubset"]
    values = np.random.default_rng(0).uniform(-1000, 1000, (100_000, 9))
    line = "TS_%04d " + " ".join(["%.6f"] * 9) + " 1\n"
    rows = [line % (index // 1000, *row) for index, row in enumerate(values.tolist())]
    head = "data_particles\nloop_\n" + "".join(f"_{label}\n" for label in labels)
    (tmp_path / "small.star").write_text(head + "".join(rows[:10]))
    (tmp_path / "a.star").write_text(head + "".join(rows))
    names = "".join(f"TS_{n:04d} 400 300 200 10\n" for n in range(100))
    sizes = "".join(f"_rlnTomoSize{axis}\n" for axis in "XYZ") + "_rlnTomoTiltSeriesPixelSize\n"
    (tmp_path / "t.star").write_text(f"data_global\nloop_\n_rlnTomoName\n{sizes}{names}")

    command = [sys.executable, "-c", MEASURE, *(str(tmp_path / name) for name in ("small.star", "a.star", "t.star"))]
    tests = {"PYTHONPATH": str(Path(__file__).parents[1]), "PATH": ""}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=tests)

    assert float(done.stdout) <= 4 * (tmp_path / "a.star").stat().st_size / 2**20  # one of small parts is constant
