"""The version of the drop-in: that of the copick that it takes the place of, with a local part of its own."""

__version__ = "2.0.0+core.1"
