"""In which order, and in which words, the doctor tells what is wrong over several layers."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import copick_core
from copick_core.layers import Problem, Repair, WrapperLayer
from copick_core.projects.doctor import Found, doctor, repair


class Ill(WrapperLayer):
    """A layer with problems of its own."""

    found: Sequence[Problem] = ()

    def problems(self) -> list[Problem]:
        return [*self.found]


def ill(root: Any, *severities: str) -> Any:
    layer = Ill(root.layers.overlay)
    layer.found = [Problem(f"{n}", None, "here", severity, "torn") for n, severity in enumerate(severities)]
    return type(root.layers)(overlay=layer)


def test_errors_come_first_and_keep_their_order():
    root = copick_core.open({"config_type": "memory"})
    root.layers = ill(root, "warning", "error", "warning", "error")

    assert [item.problem.id for item in doctor(root)] == ["1", "3", "0", "2"]


def failing(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def test_each_repair_is_tried_though_others_fail():
    done: list[str] = []
    repairs = [
        Repair("mend", failing(OSError("disk full"))),
        None,
        Repair("mend", failing(TimeoutError())),
        Repair("mend", failing(FileNotFoundError("gone"))),
        Repair("mend", lambda: done.append("mended")),
    ]
    found = [Found(f"layer {n}", Problem(f"{n}", None, "here", "error", "torn", one)) for n, one in enumerate(repairs)]

    remaining = repair(found)

    assert [(item.layer, item.problem.message) for item in remaining] == [
        ("layer 0", "torn; the repair failed: disk full"),
        ("layer 1", "torn"),
        ("layer 2", "torn; the repair failed: TimeoutError"),
    ]
    assert [item.problem.id for item in remaining] == ["0", "1", "2"]
    assert done == ["mended"]


def test_a_layer_that_cannot_be_examined_says_why():
    root = copick_core.open({"config_type": "memory"})

    class Failing(WrapperLayer):
        def problems(self) -> list[Problem]:
            raise OSError("no route")

    root.layers = type(root.layers)(overlay=Failing(root.layers.overlay))

    (found,) = doctor(root)
    assert (found.problem.id, found.problem.key) == ("unexamined-layer", None)
    assert found.problem.message == "it cannot be examined: no route"


# ------------------------------------------------------------------------------------------------------------- content


@pytest.fixture
def layered_twice(project_config):
    """A run in two layers: what is below cannot be written."""
    below = copick_core.open(project_config("below"))
    run = below.new_run("TS_1")
    run.new_voxel_spacing(10.0).new_tomogram("wbp").from_numpy(np.ones((4, 5, 6), np.float32), levels=1)
    run.new_picks("ribosome", "1").from_numpy(np.zeros((0, 3)))
    root = copick_core.open(project_config("overlay", "below"))
    root.get_run("TS_1").new_picks("ribosome", "2").from_numpy(np.zeros((0, 3)))
    return root


def shown(root: Any) -> list[tuple[str, str, str, str]]:
    root.refresh()
    return [(i.layer, i.problem.id, i.problem.place, i.problem.severity) for i in root.problems(contents=True)]


def test_annotations_of_all_layers_are_examined(layered_twice):
    below, over = layered_twice.layers.all

    assert shown(layered_twice) == [
        (layer.name, "empty-annotation", f"layer '{layer.name}', picks 'ribosome' of alice/{n} in run 'TS_1'", "warning")
        for n, layer in ((1, below), (2, over))
    ]


def test_points_are_looked_for_in_tomograms_of_all_layers(layered_twice):
    run = layered_twice.get_run("TS_1")
    (below, over) = run.picks
    over.from_numpy([[55.0, 45.0, 35.0]])
    assert [one[1] for one in shown(layered_twice)] == ["empty-annotation"]

    run.new_voxel_spacing(20.0).new_tomogram("large").from_numpy(np.ones((10, 10, 10), np.float32), levels=1)
    layered_twice.get_run("TS_1").get_picks(session_id="2")[0].from_numpy([[55.0, 45.0, 35.0], [150.0, 150.0, 150.0]])

    assert [one[1] for one in shown(layered_twice)] == ["empty-annotation"]
    assert below.session_id == "1"


def test_what_spans_layers_is_in_none(layered_twice):
    spacing = layered_twice.get_run("TS_1").get_voxel_spacing(10.0)
    spacing.new_tomogram("raw").from_numpy(np.ones((8, 5, 6), np.float32), levels=1)

    (place,) = [one for one in shown(layered_twice) if one[1] == "shapes-differ"]

    assert place == ("", "shapes-differ", "voxel spacing 10.000 of run 'TS_1'", "warning")


def test_a_tomogram_that_cannot_be_read_is_found_and_is_of_no_shape(project_config, tmp_path):
    root = copick_core.open(project_config())
    spacing = root.new_run("TS_1").new_voxel_spacing(10.0)
    for name, size in (("torn", 4), ("wbp", 5)):
        spacing.new_tomogram(name).from_numpy(np.ones((size, 5, 6), np.float32), levels=1)
    (folder,) = tmp_path.rglob("torn.zarr")
    shutil.rmtree(folder / "0")

    (only,) = root.problems(contents=True)

    assert (only.problem.id, only.problem.severity) == ("unreadable-content", "error")
    assert only.problem.message.startswith("it cannot be read: ")
    assert len(only.problem.message) > len("it cannot be read: ")


def test_an_error_without_words_is_told_by_its_kind(project_config, monkeypatch):
    root = copick_core.open(project_config())
    root.new_run("TS_1").new_picks("ribosome", "1").from_numpy([[1.0, 2.0, 3.0]])
    monkeypatch.setattr(copick_core.models.CopickPicks, "numpy", lambda picks: failing(TimeoutError())())

    (only,) = root.problems(contents=True)

    assert only.problem.message == "it cannot be read: TimeoutError"


def test_objects_without_a_label_share_none(project_config):
    objects = [{"name": name, "is_particle": True, "label": label} for name, label in (("a", 1), ("b", 2), ("c", 3))]
    root = copick_core.open({**project_config(), "pickable_objects": objects})
    for obj in root.config.pickable_objects[:2]:
        obj.label = None

    assert root.problems(contents=True) == []
