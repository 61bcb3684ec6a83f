"""Records of runs as JSON documents: read, and changed so that of several writers none is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from copick_core.errors import ConflictError, InvalidDataError, NotFoundError

if TYPE_CHECKING:
    from copick_core.layers.layer import Layer
    from copick_core.layers.revisions import Revision
    from copick_core.tree.keys import RunKey

#: How often a change is tried again while others change the same record; each failure is somebody else's success.
ATTEMPTS = 1000


def record_source(layer: Layer, run: RunKey, name: str) -> str:
    """What a record is called in errors."""
    return f"the {name} of {run} in layer {layer.name!r}"


def read_document(layer: Layer, run: RunKey, name: str) -> tuple[dict[str, Any], Revision | None]:
    """The document of a record, and its revision; an empty one where there is none.

    Raises:
        InvalidDataError: What is stored is not a JSON object.
    """
    try:
        data, revision = layer.read_record(run, name)
    except NotFoundError:
        return {}, None
    try:
        document = json.loads(data)
    except ValueError as error:
        raise InvalidDataError(source=record_source(layer, run, name), reason=f"it is not JSON ({error})") from error
    if not isinstance(document, dict):
        raise InvalidDataError(source=record_source(layer, run, name), reason="it is not a JSON object")
    return document, revision


def write_document(layer: Layer, run: RunKey, name: str, document: dict[str, Any], revision: Revision | None) -> bool:
    """Write the document of a record; False if somebody else has changed it since its revision was read."""
    data = json.dumps({"version": 1, **document}, indent=1, ensure_ascii=False).encode()
    try:
        layer.write_record(run, name, data, if_revision=revision)
    except ConflictError:
        return False
    return True


def change_document(layer: Layer, run: RunKey, name: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Change the document of a record; what others write meanwhile stays.

    Args:
        layer: A layer that keeps records.
        run: The run.
        name: Name of the record.
        change: Makes the new document of the one that is stored; called again if somebody else was faster.

    Raises:
        ConflictError: Others changed it all the time.
        InvalidDataError: What is stored is not a JSON object.
        ReadOnlyError: The layer is read-only.
    """
    for _ in range(ATTEMPTS):
        document, revision = read_document(layer, run, name)
        if write_document(layer, run, name, change(document), revision):
            return
    raise ConflictError(key=record_source(layer, run, name), layer=layer.name, expected=revision, found=None)
