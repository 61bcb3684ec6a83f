"""docs/day.md and the day in the README: every command prints what the page shows."""

from __future__ import annotations

import re
from pathlib import Path

from support.sessions import run_page

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "day.md"


def without_dates(text):
    return re.sub(r"\d{4}-\d\d-\d\d", "DATE", text)


def write_files_of_other_programs(folder):
    """The tomograms and the picks of a model that the README imports."""
    import mrcfile
    import numpy as np

    for name in ("TS_001", "TS_002"):
        with mrcfile.new(folder / f"{name}.mrc", np.random.default_rng(0).normal(size=(16, 64, 64)).astype("float32")) as file:
            file.voxel_size = 10.0
    points = [f"{name},{x},{y},80" for name in ("TS_001", "TS_002") for x, y in ((100, 200), (300, 410), (500, 120))]
    (folder / "model.csv").write_text("\n".join(["run_name,x,y,z", *points]))


def test_every_command_of_the_readme_prints_what_it_shows_in_forty_lines(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_files_of_other_programs(tmp_path)

    commands, wrong = run_page(ROOT / "README.md", without_dates, monkeypatch, capsys)

    assert wrong == []
    assert commands >= 10
    (block,) = re.findall(r"```console\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert block.count("\n") <= 40


def test_every_command_of_the_day_prints_what_the_page_shows(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))

    commands, wrong = run_page(PAGE, without_dates, monkeypatch, capsys)

    assert wrong == []
    assert commands >= 40
