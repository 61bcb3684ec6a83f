"""Whether this thread records the provenance of what it stores; asked at every read and write, so it imports nothing."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from copick_core.layers.layer import Layer
    from copick_core.layers.provenance import Recording
    from copick_core.tree.keys import Key

#: Key of the provenance in the JSON of picks and filaments.
KEY = "provenance"
#: Key of the provenance in the attributes of volumes and in the extras of meshes.
ATTRIBUTE = "copick_provenance"


class _Current(threading.local):
    recording: Recording | None = None


current = _Current()


def note_read(layer: Layer, key: Key) -> None:
    """Note that an entity is read, if this thread records."""
    if current.recording is not None:
        current.recording.read(layer, key)


def for_output(layer: Layer, key: Key) -> dict[str, Any] | None:
    """The provenance to store with an entity; None if this thread does not record."""
    return None if current.recording is None else current.recording.provenance(layer, key)
