"""In-memory backend of copick-core: for tests, notebooks and sandboxes."""

__version__ = "0.1.0"
