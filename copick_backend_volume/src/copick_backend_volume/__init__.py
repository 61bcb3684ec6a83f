"""Compose-volume backend of copick-core: the shared volume of a segmentation web app as a project.

Nothing in this package loads a model file: they are pickles, and loading one runs whatever is in it.
"""

__version__ = "0.1.0"
