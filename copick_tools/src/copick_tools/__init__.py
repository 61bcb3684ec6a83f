"""Commands for everyday work with projects of copick-core."""

__version__ = "0.1.0"
