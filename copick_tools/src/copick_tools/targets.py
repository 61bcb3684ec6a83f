"""Targets: which key the copy of an entity gets, from an address with the parts that change."""

from __future__ import annotations

import re
from typing import Any

from copick_core.errors import AddressError, InvalidNameError
from copick_core.tree.addresses import Address, escaped, parse
from copick_core.tree.keys import CONTAINER_KINDS, Key, Kind
from copick_core.tree.layout import file_name
from copick_core.tree.names import check_run_name, sanitize_name

_FIELD = re.compile(r"\{(\w*)\}")
#: Other names of fields, as copick 1.x calls them.
_ALIASES = {"object_name": "name", "tomo_type": "name", "user_id": "user", "session_id": "session"}


class Target:
    """A template of addresses: ``ribosome:bob/2``, ``{run}-copy/``, ``{name}:reviewed/{session}``.

    Parts that are left out, or ``*``, stay what they are in the source. ``{name}``, ``{user}``, ``{session}``, ``{run}`` and
    ``{feature}`` stand for the parts of the source, with the names of copick 1.x as well (``{object_name}``, ``{user_id}`` …).

    Raises:
        AddressError: The text is not an address, or has an unknown field or a pattern.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        for found in _FIELD.finditer(text):
            if _ALIASES.get(found[1], found[1]) not in ("run", "name", "user", "session", "feature"):
                reason = f"{found[0]} is not a field: {{run}}, {{name}}, {{user}}, {{session}} or {{feature}}"
                raise AddressError(address=text, position=found.start(), reason=reason)
        self.address = parse(text)
        for part in ("run", "name", "user_id", "session_id", "voxel_size", "feature_type"):
            value = getattr(self.address, part)
            if value is not None and value != "*" and "{" not in value and self.address.literal(part) is None:
                reason = f"a target names one {part.replace('_', ' ')}, it cannot be a pattern like {value}"
                raise AddressError(address=text, position=max(0, text.find(value)), reason=reason)

    def key(self, source: Key) -> Key:
        """The key that the copy of an entity gets.

        Raises:
            AddressError: The copy would have another voxel size or type than its source, or the address has a part that
                entities of this kind do not have.
            InvalidNameError: A name cannot be stored.
        """
        fields = _fields(source)
        names = _NAMES.get(source.kind, _OWNED)
        changed: dict[str, Any] = {}
        for part, name in _PARTS.items():
            template = getattr(self.address, part)
            if template is None or template == "*":
                continue
            if name not in fields:
                self._refuse(f"a {source.kind.value} has no {name.replace('_', ' ')}")
            text = _FIELD.sub(lambda found: escaped(str(fields[_ALIASES.get(found[1], found[1])])), template)
            literal = Address(run=text, syntax="exact").literal("run")
            if name != "voxel_size":
                changed[names[name]] = literal
            elif Address(voxel_size=text).size != fields["voxel_size"]:
                self._refuse("a copy keeps its voxel size, nothing is resampled")
        if self.address.flags and source.kind is Kind.SEGMENTATION and not self.address.matches_type(source.segmentation_type):
            self._refuse(f"a copy keeps its type, which is {source.segmentation_type}")
        key: Key = source._replace(**changed)
        check_names(source, key)
        return key

    def _refuse(self, reason: str) -> None:
        raise AddressError(address=self.text, position=None, reason=reason)


def check_names(source: Key, target: Key) -> None:
    """Check that the names in which a copy differs from its source can be stored as they are.

    Raises:
        InvalidNameError: A name cannot.
    """
    run_field = "name" if target.kind is Kind.RUN else "run"
    if target.kind is not Kind.OBJECT:
        check_run_name(getattr(target, run_field))
    if target.kind in CONTAINER_KINDS:
        return
    file_name(target)
    for field, old, new in zip(target._fields, source, target, strict=True):
        if field != run_field and isinstance(new, str) and new != old:
            _check_name(field, new)


def _check_name(what: str, name: str) -> None:
    if (clean := sanitize_name(name, suppress_warnings=True)) != name:
        raise InvalidNameError(what=what, name=name, reason=f"file names cannot hold it as it is; {clean!r} is possible")


#: The field that each part of an address is.
_PARTS = {
    "run": "run",
    "name": "name",
    "user_id": "user",
    "session_id": "session",
    "voxel_size": "voxel_size",
    "feature_type": "feature",
}
_OWNED = {"run": "run", "name": "object_name", "user": "user_id", "session": "session_id"}
_SEGMENTATION = {**_OWNED, "name": "name", "voxel_size": "voxel_size"}
_TOMOGRAM = {"run": "run", "name": "tomo_type", "voxel_size": "voxel_size"}
#: What a template's fields are called in the keys of each kind.
_NAMES: dict[Kind, dict[str, str]] = {
    Kind.RUN: {"run": "name"},
    Kind.VOXEL_SPACING: {"run": "run", "voxel_size": "voxel_size"},
    Kind.TOMOGRAM: _TOMOGRAM,
    Kind.FEATURES: {**_TOMOGRAM, "feature": "feature_type"},
    Kind.SEGMENTATION: _SEGMENTATION,
    Kind.OBJECT: {"name": "name"},
}


def _fields(key: Key) -> dict[str, Any]:
    return {name: getattr(key, field) for name, field in _NAMES.get(key.kind, _OWNED).items()}
