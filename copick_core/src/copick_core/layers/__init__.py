"""The layer contract (:mod:`copick_core.layers.layer`), and what layers are built from."""

from copick_core.layers.layer import ANY, AnyRevision, Layer, Layers, Revision
from copick_core.layers.problems import Problem, Repair
from copick_core.layers.revisions import FileChangedError
from copick_core.layers.wrapper import WrapperLayer

__all__ = ["ANY", "AnyRevision", "FileChangedError", "Layer", "Layers", "Problem", "Repair", "Revision", "WrapperLayer"]
