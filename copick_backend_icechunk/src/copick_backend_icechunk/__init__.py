"""Icechunk backend of copick-core: projects with a history of commits, branches and tags."""

__version__ = "0.1.0"
