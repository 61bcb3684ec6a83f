"""Locations that a configuration names, and what a relative one is relative to."""

from __future__ import annotations

import os
import posixpath
import re

#: ``scheme://`` of a URL.
SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.\-]*)(?:://|::)")
_LOCAL_SCHEMES = ("local", "file")


def resolved(location: str, folder: str | None) -> str:
    """A location as seen from everywhere: relative local paths become absolute, URLs stay as they are."""
    inside, chain, outermost = location.rpartition("::")
    if chain:  # zip://folder::archive.zip
        return f"{inside}::{resolved(outermost, folder)}"
    match = SCHEME.match(location)
    if match and match[1] not in _LOCAL_SCHEMES:
        return location
    prefix = location[: match.end()] if match else ""
    path = os.path.expanduser(location[len(prefix) :])
    remote = SCHEME.match(folder or "")
    if folder is not None and remote:
        # Object stores would take "./data" for another place than "data".
        below = posixpath.normpath(posixpath.join(folder[remote.end() :], path))
        return location if os.path.isabs(path) else folder[: remote.end()] + below
    return prefix + os.path.abspath(os.path.join(folder or os.getcwd(), path))


def only_in_working_folder(written: str, location: str) -> str | None:
    """Where copick 1.x looked for a relative location, if that is there and what we take it for is not."""
    before = resolved(written, None)
    if before == location or is_remote(before) or is_remote(location):
        return None
    path = local_path(before)
    return path if os.path.exists(path) and not os.path.exists(local_path(location)) else None


def is_remote(name: str) -> bool:
    """Whether a name is a URL of anything but a local file."""
    match = SCHEME.match(name)
    return match is not None and match[1] not in _LOCAL_SCHEMES


def local_path(name: str) -> str:
    """The absolute local path that a path or a local URL means."""
    match = SCHEME.match(name)
    return os.path.abspath(os.path.expanduser(name[match.end() :] if match else name))


def folder_of(name: str) -> str:
    """The folder of a file, as a path or a URL."""
    match = SCHEME.match(name)
    if match and is_remote(name):
        return name[: match.end()] + posixpath.dirname(name[match.end() :])
    return os.path.dirname(local_path(name))


def place_of(name: str) -> str:
    """What is equal for two names of one file."""
    return name if is_remote(name) else os.path.realpath(local_path(name))
