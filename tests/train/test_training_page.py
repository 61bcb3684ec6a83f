"""The page about training runs as it stands."""

import re
from pathlib import Path

import numpy as np
import pytest

import copick_core
from copick_core.__main__ import main
from support.objects import OBJECTS

PAGE = Path(__file__).parents[2] / "docs" / "training.md"


def test_the_page_about_training_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COPICK_CONFIG", "config.json")
    root = copick_core.new_config("config.json", "project", pickable_objects=OBJECTS, user_id="alice")
    for name in ("TS_001", "TS_002", "TS_003"):
        run = root.new_run(name)
        run.new_voxel_spacing(10.0).new_tomogram("wbp").from_numpy(np.zeros((64, 96, 96), "f4"))
        run.new_picks("ribosome", "1", "alice").from_numpy([[300, 400, 500]])
    text = PAGE.read_text()
    commands = re.findall(r"^\$ copick-core (.*)$", text, re.M)
    (code,) = re.findall(r"```python\n(.*?)```", text, re.S)

    assert [main(command.split()) for command in commands] == [0, 0]
    exec(code, {})
