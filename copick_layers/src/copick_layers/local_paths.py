"""Paths in options that must be on a local disk."""

from __future__ import annotations


def local_path(location: str, reason: str) -> str:
    """The path that a location names.

    Args:
        location: A path, or a URL of one.
        reason: What to say of a location that is not local.

    Raises:
        ValueError: It is not local.
    """
    for scheme in ("local://", "file://"):
        location = location.removeprefix(scheme)
    if "://" in location or "::" in location:
        raise ValueError(reason)
    return location
