"""Storage framework for collaborative cryoET annotation: the hierarchy, overlays and backend plugins."""

__version__ = "0.1.0"
