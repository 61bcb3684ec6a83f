"""The layer contract (:mod:`copick_core.layers.layer`), and what layers are built from."""

from typing import TYPE_CHECKING, Any

from copick_core import deferred
from copick_core.layers.layer import ANY, AnyRevision, Layer, Layers, Revision
from copick_core.layers.revisions import FileChangedError

if TYPE_CHECKING:
    from copick_core.layers.problems import Problem, Removal, Repair
    from copick_core.layers.wrapper import WrapperLayer

__all__ = [
    "ANY",
    "AnyRevision",
    "FileChangedError",
    "Layer",
    "Layers",
    "Problem",
    "Removal",
    "Repair",
    "Revision",
    "WrapperLayer",
]

#: What opening a project needs nothing of is imported when it is used.
_HOMES = {
    "Problem": "copick_core.layers.problems",
    "Removal": "copick_core.layers.problems",
    "Repair": "copick_core.layers.problems",
    "WrapperLayer": "copick_core.layers.wrapper",
}


def __getattr__(name: str) -> Any:
    return deferred(__name__, _HOMES, name)
