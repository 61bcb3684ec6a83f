"""The layer contract (:mod:`copick_core.layers.layer`), and what layers are built from."""

from copick_core.layers.layer import ANY, Layer, Layers, Revision
from copick_core.layers.wrapper import WrapperLayer

__all__ = ["ANY", "Layer", "Layers", "Revision", "WrapperLayer"]
