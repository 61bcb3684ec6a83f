"""What napari calls a path, for entities of a project: ``copick://CONFIG#ADDRESS``."""

from __future__ import annotations

import os
from typing import NamedTuple

from copick_core.errors import InvalidDataError

SCHEME = "copick://"
#: napari opens URLs only that name a host; an absolute path has it in front, as in ``file://localhost/…``.
_HOST = "localhost/"
#: What napari puts behind a path without an ending, when it saves.
_ENDING = ".copick"


class Place(NamedTuple):
    """Where entities are.

    Attributes:
        config: File of a configuration, or a folder or URL of a project.
        address: The address of entities, or None.
    """

    config: str
    address: str | None = None

    def __str__(self) -> str:
        config = f"localhost{self.config}" if os.path.isabs(self.config) else self.config
        return f"{SCHEME}{config}" + (f"#{self.address}" if self.address else "")


def place_of(path: str) -> Place:
    """Parse a path.

    Args:
        path: ``copick://CONFIG#ADDRESS``, where CONFIG is what ``copick-core -c`` takes, or a file of a configuration. An
            absolute CONFIG follows ``localhost``: ``copick://localhost/data/config.json#TS_001/``. An ending ``.copick``,
            which napari needs where an address ends in a decimal, means nothing.

    Raises:
        InvalidDataError: It names no project.

    Example:
        >>> place_of("copick://./config.json#TS_001/wbp@10.0")
        Place(config='./config.json', address='TS_001/wbp@10.0')
    """
    path = path.removesuffix(_ENDING)
    if not path.startswith(SCHEME):
        return Place(path)
    config, _, address = path.removeprefix(SCHEME).partition("#")
    if config.startswith(_HOST):
        config = config.removeprefix(_HOST.rstrip("/"))
    if not config:
        raise InvalidDataError(source=path, reason="it names no project; write copick://CONFIG#ADDRESS")
    return Place(config, address or None)
