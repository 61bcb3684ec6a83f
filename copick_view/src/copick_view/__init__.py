"""A project in the browser: the viewer, and the server that it and other viewers read from."""

__version__ = "0.1.0"
