"""Rows of the index: which column of the table holds which field of a key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from copick_core.tree.keys import KEY_CLASSES, Key, Kind, ParentKey, RootKey, RunKey, TomogramKey, field_names

#: Columns that name an entity, in the order of the primary key.
COLUMNS = ("kind", "run", "voxel_size", "name", "user", "session", "type", "variant")
_EMPTY = {"voxel_size": 0.0}
#: Column of each field of a key whose name differs.
_COLUMN = {
    "object_name": "name",
    "tomo_type": "name",
    "user_id": "user",
    "session_id": "session",
    "segmentation_type": "type",
    "feature_type": "type",
}


def _columns(kind: Kind) -> tuple[str, ...]:
    return tuple("run" if kind is Kind.RUN else _COLUMN.get(field, field) for field in field_names(kind))


#: Columns of the fields of a key, in their order, by kind.
FIELDS = {kind: _columns(kind) for kind in Kind}
#: Rows of keys without their fields, and where in the row each field comes, by kind.
_START = {kind: [kind.value, *(_EMPTY.get(column, "") for column in COLUMNS[1:])] for kind in Kind}
_PLACES = {kind: [COLUMNS.index(column) for column in FIELDS[kind]] for kind in Kind}


def row_of(key: Key) -> tuple[Any, ...]:
    """The values of :data:`COLUMNS` for a key."""
    row: list[Any] = [*_START[key.kind]]
    for place, value in zip(_PLACES[key.kind], key, strict=False):  # the last item of a key is its kind
        row[place] = value
    return tuple(row)


def keys_of(kind: Kind, rows: Sequence[tuple[Any, ...]]) -> list[Key]:
    """Keys of rows that have the columns of :data:`FIELDS`."""
    cls: Any = KEY_CLASSES[kind]
    return [cls(*row) for row in rows]


def below(kind: Kind, parent: ParentKey) -> tuple[str, list[Any]]:
    """The condition that finds the children of a parent, and its values."""
    columns: list[str] = []
    values: list[Any] = []
    if not isinstance(parent, RootKey):
        columns, values = [*FIELDS[parent.kind]], [*parent[:-1]]
    return " AND ".join(["kind = ?", *(f"{column} = ?" for column in columns)]), [kind.value, *values]


def with_all_below(key: Key) -> tuple[str, list[Any]]:
    """The condition that finds an entity and everything below it, and its values."""
    if isinstance(key, RunKey):
        return "run = ?", [key.name]
    kinds: tuple[Kind, ...] = (key.kind,)
    if key.kind is Kind.VOXEL_SPACING:
        kinds = (Kind.VOXEL_SPACING, Kind.TOMOGRAM, Kind.FEATURES)
    elif isinstance(key, TomogramKey):
        kinds = (Kind.TOMOGRAM, Kind.FEATURES)
    condition = " AND ".join(f"{column} = ?" for column in FIELDS[key.kind])
    marks = ", ".join("?" for _ in kinds)
    return f"kind IN ({marks}) AND {condition}", [*(kind.value for kind in kinds), *key[:-1]]


def run_of(key: Key | ParentKey) -> str:
    """Name of the run of an entity; "" for the project and its objects."""
    if isinstance(key, RootKey) or key.kind is Kind.OBJECT:
        return ""
    return key.name if isinstance(key, RunKey) else key.run
