"""Names: what may stand in a key.

Every name ends up in file names, so this module decides once what is safe. Ids and the names of objects, tomograms,
features and segmentations are sanitised the way copick has always done it; run names, which come from microscopes and
other software, are taken as they are or refused.
"""

from __future__ import annotations

import re
from functools import lru_cache

from copick_core.callers import warn_caller
from copick_core.errors import InvalidNameError

#: Longest file or folder name that common file systems take, in bytes of UTF-8.
MAX_NAME_BYTES = 255

#: Key of metadata of objects that is copick's own.
RESERVED = "copick"

#: What copick replaces by "-": characters that are special to paths, shells or its own file names, and white space.
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f\s_]')
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def sanitize_name(name: str, suppress_warnings: bool = False) -> str:
    r"""Replace the characters that file names of the layout cannot hold.

    Each of ``< > : " / \ | ? *``, control characters, white space and the underscore (which separates the parts of a file
    name) becomes ``-``; dashes at either end are removed.

    Args:
        name: The name.
        suppress_warnings: Do not warn when the name changes.

    Returns:
        The name as it can be stored.

    Raises:
        InvalidNameError: Nothing is left of the name.

    Example:
        >>> sanitize_name("my tool_v2", suppress_warnings=True)
        'my-tool-v2'
    """
    clean = _FORBIDDEN.sub("-", str(name)).strip("-")
    if not clean:
        raise InvalidNameError(what="name", name=name, reason="nothing is left after replacing invalid characters")
    if clean != name and not suppress_warnings:
        warn_caller(f"Name {name!r} has been sanitized to {clean!r}: it contains invalid characters.")
    return clean


@lru_cache(1024)
def spellings(name: str) -> tuple[str, ...]:
    """A name that is looked for, and what ``new_…`` makes of it if that differs.

    Example:
        >>> spellings("my_tool")
        ('my_tool', 'my-tool')
    """
    try:
        clean = sanitize_name(name, suppress_warnings=True)
    except InvalidNameError:
        return (name,)
    return (name,) if clean == name else (name, clean)


def has_control_characters(name: str) -> bool:
    """Whether a name has characters that no name can have: what is looked for under it cannot exist."""
    return not name.isprintable() and _CONTROL.search(name) is not None


def check_run_name(name: str) -> str:
    """Check that a run name is safe as the name of one folder.

    Characters that are special to globs are legal: names are never read as patterns.

    Raises:
        InvalidNameError: The name is empty, has path separators or control characters, starts with a dot, or is longer
            than 255 bytes.
    """
    if not isinstance(name, str):
        raise InvalidNameError(what="run name", name=name, reason=f"it must be a string, not {type(name).__name__}")
    if "/" in name or "\\" in name:
        raise InvalidNameError(what="run name", name=name, reason="path separators are not allowed")
    _check_component("run name", name)
    return name


def is_run_name(name: str) -> bool:
    """Whether :func:`check_run_name` takes a name."""
    try:
        check_run_name(name)
    except InvalidNameError:
        return False
    return True


def checked_name(what: str, name: str, suppress_warnings: bool = False) -> str:
    """Sanitise a name and refuse what sanitising does not make safe.

    Args:
        what: Which name it is, for messages: ``"user_id"``.
        name: The name.
        suppress_warnings: Do not warn when sanitising changes it.

    Raises:
        InvalidNameError: Nothing is left of it, it starts with a dot (such files are hidden and never listed), or it is
            too long.
    """
    if not isinstance(name, str):
        raise InvalidNameError(what=what, name=name, reason=f"it must be a string, not {type(name).__name__}")
    try:
        clean = sanitize_name(name, suppress_warnings)
    except InvalidNameError as error:
        raise InvalidNameError(what=what, name=name, reason=error.reason) from None
    _check_component(what, clean)
    return clean


def _check_component(what: str, name: str) -> None:
    if not name:
        raise InvalidNameError(what=what, name=name, reason="it is empty")
    if name.startswith("."):
        raise InvalidNameError(what=what, name=name, reason="names that start with a dot are hidden and never listed")
    if name.isascii() and name.isprintable() and len(name) <= MAX_NAME_BYTES:
        return  # most names; nothing that follows applies to them
    if _CONTROL.search(name):
        raise InvalidNameError(what=what, name=name, reason="control characters are not allowed")
    try:
        length = len(name.encode())
    except UnicodeEncodeError as error:
        raise InvalidNameError(what=what, name=name, reason="it cannot be encoded as UTF-8") from error
    if length > MAX_NAME_BYTES:
        raise InvalidNameError(what=what, name=name, reason=f"it takes {length} bytes; {MAX_NAME_BYTES} are possible")
