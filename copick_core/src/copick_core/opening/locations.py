"""Locations that a configuration names, and what a relative one is relative to."""

from __future__ import annotations

import os
import posixpath
import re

from copick_core.errors import ConfigError

#: ``scheme://`` of a URL.
SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.\-]*)(?:://|::)")
_LOCAL_SCHEMES = ("local", "file")
#: Paths of Windows: with a drive, or of a share.
_OF_WINDOWS = re.compile(r"[A-Za-z]:[\\/]|\\\\")
#: A part of a path that is, or begins with, a variable.
_VARIABLE = re.compile(r"(?<![^/])\$(?:\{(\w+)\}|([A-Za-z_]\w*))")
#: Variables that say where a user's files are, and nothing secret. A configuration may come from somebody else.
_HARMLESS = ("HOME", "USER")


def resolved(location: str, folder: str | None) -> str:
    """A location as seen from everywhere: relative local paths become absolute, URLs stay as they are.

    Raises:
        ConfigError: A path of Windows on another system, or a path with a variable other than ``$HOME`` and ``$USER``.
    """
    inside, chain, outermost = location.rpartition("::")
    if chain:  # zip://folder::archive.zip
        return f"{inside}::{resolved(outermost, folder)}"
    match = SCHEME.match(location)
    if match and match[1] not in _LOCAL_SCHEMES:
        return location
    prefix = location[: match.end()] if match else ""
    path = _expanded(location[len(prefix) :])
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
    return os.path.abspath(_expanded(name[match.end() :] if match else name))


def _expanded(path: str) -> str:
    """A local path with ``~``, ``$HOME`` and ``$USER`` filled in."""
    if os.name != "nt" and _OF_WINDOWS.match(path):
        raise ConfigError(
            source="<config>",
            reason=f"{path!r} is a path of Windows; write the path by which this system knows the place (where it is mounted)",
        )
    return os.path.expanduser(_VARIABLE.sub(_value_of, path) if "$" in path else path)


def _value_of(variable: re.Match[str]) -> str:
    name = variable[1] or variable[2]
    if name not in _HARMLESS:
        raise ConfigError(
            source="<config>",
            reason=f"the variable ${name} in {variable.string!r} is not filled in, since a config may come from somebody "
            "else; only ~, $HOME and $USER are. Write the path itself",
        )
    if name == "HOME":
        return os.path.expanduser("~")
    import getpass

    return getpass.getuser()


def folder_of(name: str) -> str:
    """The folder of a file, as a path or a URL."""
    match = SCHEME.match(name)
    if match and is_remote(name):
        return name[: match.end()] + posixpath.dirname(name[match.end() :])
    return os.path.dirname(os.path.realpath(local_path(name)))  # of a link: the folder that relative paths were written for


def place_of(name: str) -> str:
    """What is equal for two names of one file."""
    return name if is_remote(name) else os.path.realpath(local_path(name))
