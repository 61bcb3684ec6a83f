"""Examining a project: what is wrong in any of its layers, and mending what is certain."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from copick_core.errors import redacted
from copick_core.layers.problems import Problem
from copick_core.tree.keys import FeaturesKey

if TYPE_CHECKING:
    from copick_core.layers import Layer
    from copick_core.overlay import CopickRootOverlay


@dataclass(frozen=True)
class Found:
    """A problem, and the layer that it is in.

    Attributes:
        layer: Name of the layer.
        problem: The problem.
    """

    layer: str
    problem: Problem


def doctor(root: CopickRootOverlay, *, contents: bool = False) -> list[Found]:
    """Examine all layers of a project, and change nothing.

    Args:
        root: The project.
        contents: Read all annotations and segmentations too, and look for what contradicts the configuration or the
            tomograms: labels of no object, points outside, empty annotations, shapes that differ, and what cannot be read.

    Returns:
        What is wrong, errors first. A layer that cannot be examined is a problem itself, and hides no other.
    """
    found = [
        Found(layer.name, problem)
        for layer in root.layers.all
        for problem in _problems(layer)
        if not _is_in_another_layer(root, problem)
    ]
    if contents:
        from copick_core.projects.content_problems import content_problems

        found += [Found(layer, problem) for layer, problem in content_problems(root)]
    return sorted(found, key=lambda f: f.problem.severity != "error")


def repair(found: Iterable[Found]) -> list[Found]:
    """Mend what can be mended.

    Args:
        found: What :func:`doctor` returned.

    Returns:
        What remains: problems without a repair, and those whose repair failed, with its cause.
    """
    remaining = []
    for item in found:
        problem = item.problem
        if problem.repair is None:
            remaining.append(item)
            continue
        try:
            problem.repair.apply()
        except FileNotFoundError:
            continue  # somebody else has mended it
        except Exception as error:  # storage of third parties may raise anything, and the other problems wait
            remaining.append(Found(item.layer, _failed(problem, error)))
    return remaining


def _is_in_another_layer(root: CopickRootOverlay, problem: Problem) -> bool:
    """Whether features that lie without their tomogram have it in another layer, as those in an overlay do."""
    if problem.id != "orphan-features" or not isinstance(problem.key, FeaturesKey):
        return False
    tomogram = problem.key.parent
    try:
        return any(layer.exists(tomogram) for layer in root.layers.all)
    except Exception:  # as below; that layer has a problem of its own
        return True


def _problems(layer: Layer) -> Iterable[Problem]:
    try:
        return [*layer.problems()]
    except Exception as error:  # as above
        message = f"it cannot be examined: {redacted(str(error)) or type(error).__name__}"
        return [Problem("unexamined-layer", None, f"layer {layer.name!r}", "error", message)]


def _failed(problem: Problem, error: Exception) -> Problem:
    from dataclasses import replace

    return replace(problem, message=f"{problem.message}; the repair failed: {redacted(str(error)) or type(error).__name__}")
