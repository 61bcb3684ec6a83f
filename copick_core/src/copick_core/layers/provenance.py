"""Provenance: who made an entity, when, with what and from what; written with the entity while a function records it.

It stands in a place of each kind that copick 1.x reads past:

* picks and filaments: the key ``provenance`` of the JSON file;
* meshes: ``copick_provenance`` in the extras of the asset of the GLB file;
* volumes: the attribute ``copick_provenance`` of the root group.

Copies keep their content byte for byte: what made them stands in the record ``provenance`` of their run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from copick_core.errors import CopickError, InvalidDataError
from copick_core.layers.recording import ATTRIBUTE, KEY, current
from copick_core.layers.records import change_document, read_document
from copick_core.tree.addresses import address_of
from copick_core.tree.keys import FILE_KINDS, VOLUME_KINDS, Key, Kind, RunKey

if TYPE_CHECKING:
    from zarr.abc.store import Store

    from copick_core.layers.layer import Layer

#: Name of the record of a run that tells what made copies, and what functions were called.
RECORD = "provenance"
#: Documents that hold the attributes of the root group, of zarr formats 3 and 2.
_DOCUMENTS = ("zarr.json", ".zattrs")


@dataclass
class Recording:
    """What is recorded while a function runs.

    Attributes:
        made_with: Fields of the provenance that are the same for everything that the function stores.
        inputs: What it has read so far: the mark of each entity, by key and name of the layer.
        outputs: What it has stored so far, and in which layer.
    """

    made_with: dict[str, Any]
    inputs: dict[tuple[Key, str], str | None] = field(default_factory=dict)
    outputs: dict[Key, Layer] = field(default_factory=dict)

    def read(self, layer: Layer, key: Key) -> None:
        """Note that an entity is read; what the function itself has stored is not an input."""
        if key not in self.outputs and (key, layer.name) not in self.inputs:
            self.inputs[key, layer.name] = mark_of(layer, key)

    def provenance(self, layer: Layer, key: Key) -> dict[str, Any]:
        """The provenance of an entity that is about to be stored; notes it as an output."""
        self.outputs[key] = layer
        self.inputs.pop((key, layer.name), None)  # writing over something may read it first
        inputs = [described_input(one, name, mark) for (one, name), mark in self.inputs.items() if one != key]
        return {**self.made_with, "at": _now(), "inputs": [*self.made_with.get("inputs", ()), *inputs]}


@contextmanager
def recording(
    tool: str,
    *,
    function: str | None = None,
    version: str | None = None,
    by: str | None = None,
    arguments: Mapping[str, Any] | None = None,
    inputs: list[dict[str, Any]] | None = None,
) -> Iterator[Recording]:
    """Record the provenance of everything that is stored, through handles, while the block runs in this thread.

    Args:
        tool: What makes it: a command, such as ``"copick-core merge"``, or a program.
        function: The function behind it, as ``"module:name"``.
        version: Version of the tool.
        by: User.
        arguments: What the tool was told, as JSON values; others are written as text.
        inputs: What it is made from besides the entities that are read while the block runs, such as ``[{"file": "a.star"}]``.

    Example:
        >>> with recording("my-detector", version="1.2", arguments={"threshold": 0.5}):  # doctest: +SKIP
        ...     run.new_picks("ribosome", "1", "my-detector").from_numpy(detect(run))
    """
    given = {"tool": tool, "function": function, "version": version, "by": by}
    made_with: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    made_with["arguments"] = json.loads(json.dumps(arguments or {}, default=str))
    if inputs:
        made_with["inputs"] = inputs
    one, before = Recording(made_with), current.recording
    current.recording = one
    try:
        yield one
    finally:
        current.recording = before


def described_input(key: Key, layer: str, mark: str | None) -> dict[str, Any]:
    """What something was made from, as provenance has it."""
    return {"kind": key.kind.value, "address": str(address_of(key)), "layer": layer, "revision": mark}


def stamp_volume(store: Store, provenance: Mapping[str, Any]) -> None:
    """Write provenance into the attributes of the root group of a volume that is being staged."""
    from zarr.core.buffer import default_buffer_prototype
    from zarr.core.sync import sync

    async def stamp() -> None:
        prototype = default_buffer_prototype()
        for name in _DOCUMENTS:
            found = await store.get(name, prototype)
            if found is None:
                continue
            document = json.loads(found.to_bytes())
            attributes = document.setdefault("attributes", {}) if name == "zarr.json" else document
            attributes[ATTRIBUTE] = dict(provenance)
            await store.set(name, prototype.buffer.from_bytes(json.dumps(document, indent=2).encode()))
            return

    sync(stamp())


def provenance_of(layer: Layer, key: Key) -> dict[str, Any] | None:
    """What made an entity; None if nothing says so.

    A copy has the provenance of what copied it; that of what it is a copy of is in its ``"original"``, where there is one.

    Args:
        layer: The layer that holds it.
        key: The entity.

    Returns:
        The provenance as JSON values: ``tool``, ``at`` (UTC), ``arguments`` and ``inputs``, and where they are known
        ``function``, ``version`` and ``by``.
    """
    try:
        inside = _inside(layer, key)
    except (CopickError, ValueError, OSError, KeyError, IndexError):  # what cannot be read has no provenance either
        return None
    copied = _copied(layer, key)
    if copied is None:
        return inside
    last = copied
    while isinstance(last.get("original"), dict):
        last = last["original"]
    if inside is not None:
        last["original"] = inside
    return copied


def _inside(layer: Layer, key: Key) -> dict[str, Any] | None:
    """The provenance in the content of an entity."""
    if key.kind in VOLUME_KINDS:
        found = _attributes(layer.zarr(key)).get(ATTRIBUTE)
    elif key.kind is Kind.MESH:
        from copick_core.meshes import extras_of

        found = extras_of(layer.read(key)).get(ATTRIBUTE)
    elif key.kind in FILE_KINDS:
        data = layer.read(key)
        found = json.loads(data).get(KEY) if b'"provenance"' in data else None
    else:
        found = None
    return found if isinstance(found, dict) else None


def _attributes(store: Store) -> dict[str, Any]:
    """Attributes of the root group of a volume."""
    documents = _documents(store)
    for name, data in documents.items():
        document = json.loads(data)
        attributes = document.get("attributes", {}) if name == "zarr.json" else document
        return attributes if isinstance(attributes, dict) else {}
    return {}


def _documents(store: Store) -> dict[str, bytes]:
    from zarr.core.buffer import default_buffer_prototype
    from zarr.core.sync import sync

    async def read() -> dict[str, bytes]:
        found = {name: await store.get(name, default_buffer_prototype()) for name in _DOCUMENTS}
        return {name: data.to_bytes() for name, data in found.items() if data is not None}

    return sync(read())


def mark_of(layer: Layer, key: Key) -> str | None:
    """What tells one content of an entity from another: a digest of a file, the identity of a volume; None if there is none.

    Regions that are written into a volume do not change its identity.
    """
    try:
        if key.kind in FILE_KINDS:
            return f"sha256:{hashlib.sha256(layer.read(key)).hexdigest()}"
        if key.kind not in VOLUME_KINDS:
            return None
        version = layer.volume_version(key)
        if version is not None:
            return f"version:{version}"
        documents = _documents(layer.zarr(key))
    except (CopickError, OSError):
        return None
    text = b"".join(documents.values())
    return f"metadata:{hashlib.sha256(text).hexdigest()}" if documents else None


# ---------------------------------------------------------------------------------------------------- records of runs


def note_copy(layer: Layer, key: Key, provenance: Mapping[str, Any]) -> None:
    """Note in the record of its run what made a copy; a layer that keeps no records does not.

    Args:
        layer: The layer that holds the copy.
        key: The copy.
        provenance: As :func:`recording` makes it.
    """
    run = _run_of(key)
    if run is None or not layer.keeps_records:
        return
    entry = {**provenance, "of": mark_of(layer, key)}

    def add(document: dict[str, Any]) -> dict[str, Any]:
        return {**document, "entities": {**document.get("entities", {}), _name(key): entry}}

    change_document(layer, run, RECORD, add)


def copy_provenance(tool: str, source: Layer, key: Key, **fields: Any) -> dict[str, Any]:
    """The provenance of a copy of an entity."""
    inputs = [described_input(key, source.name, mark_of(source, key))]
    given = {name: value for name, value in fields.items() if value is not None}
    copied = _copied(source, key)  # what is in the content goes with it
    return {"tool": tool, **given, "at": _now(), "inputs": inputs, **({"original": copied} if copied else {})}


def _copied(layer: Layer, key: Key) -> dict[str, Any] | None:
    """What made a copy, unless something else has been stored in its place since."""
    run = _run_of(key)
    if run is None or not layer.keeps_records:
        return None
    try:
        entry = read_document(layer, run, RECORD)[0].get("entities", {}).get(_name(key))
    except (InvalidDataError, AttributeError):
        return None
    if not isinstance(entry, dict) or entry.get("of") != mark_of(layer, key):
        return None
    return {name: value for name, value in entry.items() if name != "of"}


def _name(key: Key) -> str:
    return f"{key.kind.value} {address_of(key)}"


def _run_of(key: Key) -> RunKey | None:
    name = getattr(key, "run", None)
    return None if name is None else RunKey(name)


def _now() -> str:
    from datetime import UTC, datetime

    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
