"""Listings of many parents of which some failed: one folder that may not be read does not hide the others."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")

#: Errors that concern one folder; all others, such as those of a lost connection, concern the place.
_OF_ONE_FOLDER = {errno.EACCES, errno.EPERM, errno.EIO, errno.ELOOP, getattr(errno, "ESTALE", errno.EIO)}


def list_what_can_be(
    folders: Sequence[str], list_folders: Callable[[Sequence[str]], Mapping[str, T]]
) -> tuple[Mapping[str, T], dict[str, OSError]]:
    """List many folders at once, and again in halves where one of them fails.

    Args:
        folders: The folders.
        list_folders: Lists folders.

    Returns:
        What each folder holds, and the errors of those that could not be listed.

    Raises:
        OSError: No folder could be listed, or the place itself fails.
    """
    if not folders:
        return {}, {}
    failures: dict[str, OSError] = {}

    def listed(part: Sequence[str]) -> dict[str, T]:
        try:
            return dict(list_folders(part))
        except OSError as error:
            if not (isinstance(error, PermissionError) or error.errno in _OF_ONE_FOLDER):
                raise
            if len(part) == 1:
                failures[part[0]] = error
                return {}
        middle = len(part) // 2
        return listed(part[:middle]) | listed(part[middle:])

    found = listed(folders)
    if not found:
        raise next(iter(failures.values()))
    return found, failures
