"""The layer contract (:mod:`copick_core.layers.layer`), and what layers are built from."""

from copick_core.layers.layer import ANY, Layer, Layers, Revision

__all__ = ["ANY", "Layer", "Layers", "Revision"]
