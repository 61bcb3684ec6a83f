"""Warnings name the user's line, wherever they come up."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import copick_core
from copick_core.overlay import CopickRootOverlay
from copick_core.tree.names import sanitize_name


def minimal(root: CopickRootOverlay) -> dict[str, str]:
    return {"config_type": "filesystem", "overlay_root": str(root.config.overlay_root)}


def load_foreign_picks(root: CopickRootOverlay) -> Any:
    picks = root.new_run("TS_2").new_picks("ribosome", "1")
    picks.from_numpy([[0.0, 0.0, 0.0]])
    path = Path(str(root.config.overlay_root), "ExperimentRuns/TS_2/Picks/alice_1_ribosome.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "user_id": "bob"}))
    root.refresh()
    return root.get_run("TS_2").get_picks("ribosome")[0].points


ACTIONS: dict[str, Callable[[CopickRootOverlay], Any]] = {
    "a name": lambda root: sanitize_name("a b"),
    "a tomogram": lambda root: root.get_run("TS_1").new_voxel_spacing(10).new_tomogram("a b"),
    "picks": lambda root: root.get_run("TS_1").new_picks("ribosome", "a b"),
    "picks of a user": lambda root: root.get_run("TS_1").new_picks("ribosome", "1", "a b"),
    "the user of a project": lambda root: setattr(root, "user_id", "a b"),
    "an object": lambda root: root.new_object("x-multilabel", True),
    "picks that another user's file holds": load_foreign_picks,
    "a configuration without type": lambda root: copick_core.open({"overlay_root": minimal(root)["overlay_root"]}),
    "a misspelt field": lambda root: copick_core.open({**minimal(root), "userid": "bob"}),
}


@pytest.mark.parametrize("action", ACTIONS)
def test_a_warning_names_the_callers_line(project_config: Any, action: str) -> None:
    root = copick_core.open(project_config())
    root.new_run("TS_1")
    function = ACTIONS[action]

    with pytest.warns((UserWarning, DeprecationWarning)) as caught:
        function(root)

    [warning] = caught
    first = function.__code__.co_firstlineno
    last = max(line for *_, line in function.__code__.co_lines() if line)
    assert (warning.filename, first <= warning.lineno <= last) == (__file__, True), str(warning)
