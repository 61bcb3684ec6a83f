"""Splits of runs, in the config and on the command line."""

import json
from pathlib import Path
from typing import Any

import pytest

import copick_core
from copick_core.__main__ import main
from copick_core.errors import InvalidDataError
from copick_train.splits import divided, runs_of, set_splits, splits
from support.objects import OBJECTS


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "config.json"
    root = copick_core.new_config(path, "project", pickable_objects=OBJECTS)
    for number in range(10):
        root.new_run(f"TS_{number}")
    monkeypatch.setenv("COPICK_CONFIG", str(path))
    return path


def test_runs_are_divided_by_shares_that_add_up(config: Path, capsys: Any) -> None:
    assert main(["split", "--share", "train=0.7", "--share", "validation=0.15", "--share", "test=0.15", "--json"]) == 0

    printed = json.loads(capsys.readouterr().out)
    assert {name: len(runs) for name, runs in printed.items()} == {"train": 7, "validation": 2, "test": 1}
    assert sorted(run for runs in printed.values() for run in runs) == [f"TS_{number}" for number in range(10)]
    assert json.loads(config.read_text())["metadata"]["splits"] == printed
    assert splits(copick_core.open(config)) == printed


def test_the_same_seed_gives_the_same_splits() -> None:
    runs = [f"TS_{number}" for number in range(100)]
    shares = {"train": 8, "test": 2}

    assert divided(runs, shares, 1) == divided(runs[::-1], shares, 1) != divided(runs, shares, 2)


def test_assigning_moves_runs_between_splits(config: Path, capsys: Any) -> None:
    main(["split", "--assign", "train=TS_1,TS_2", "--assign", "test=TS_2"])

    assert splits(copick_core.open(config)) == {"train": ["TS_1"], "test": ["TS_2"]}
    assert capsys.readouterr().out == "train: 1 run: TS_1\ntest: 1 run: TS_2\n"


def test_a_run_that_does_not_exist_is_not_assigned(config: Path, capsys: Any) -> None:
    assert main(["split", "--assign", "train=TS_11"]) == 2

    assert "TS_11" in capsys.readouterr().err
    assert splits(copick_core.open(config)) == {}


def test_clearing_leaves_other_metadata(config: Path) -> None:
    content = json.loads(config.read_text())
    config.write_text(json.dumps({**content, "metadata": {"splits": {"train": ["TS_1"]}, "doi": "10.1"}}))

    assert main(["split", "--clear"]) == 0

    assert json.loads(config.read_text())["metadata"] == {"doi": "10.1"}


def test_a_run_in_two_splits_is_refused(config: Path) -> None:
    root = copick_core.open(config)

    with pytest.raises(InvalidDataError, match="TS_1"):
        set_splits(root, {"train": ["TS_1"], "test": ["TS_1"]})
    with pytest.raises(InvalidDataError, match="copick-core split"):
        runs_of(root, "train")


@pytest.mark.parametrize("shares", [{"train": -1.0, "test": 2.0}, {"train": 0.0}, {}])
def test_shares_that_mean_nothing_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(InvalidDataError):
        divided(["TS_1"], shares)
