"""The portal's tables: rows in memory, filtered as the portal's ``where`` clauses say."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

from graphql import GraphQLObjectType, GraphQLSchema, build_schema, get_named_type, is_leaf_type, is_non_null_type

Row = dict[str, Any]

DEFAULTS: dict[str, Any] = {
    "Int": 0,
    "Float": 0.0,
    "String": "",
    "Boolean": False,
    "ID": "",
    "DateTime": "2024-01-31T00:00:00+00:00",
}


def shipped_schema() -> GraphQLSchema:
    """The schema that the installed client ships."""
    import cryoet_data_portal

    path = os.path.join(os.path.dirname(cryoet_data_portal.__file__), "data", "schema.graphql")
    with open(path, encoding="utf-8") as file:
        return build_schema(file.read(), assume_valid=True)


def _like(pattern: str, fold: bool) -> Callable[[Any], bool]:
    glob = "".join(f"[{c}]" if c in "*?[" else c for c in pattern).replace("%", "*").replace("_", "?")
    if fold:
        return lambda value: value is not None and fnmatch.fnmatchcase(str(value).lower(), glob.lower())
    return lambda value: value is not None and fnmatch.fnmatchcase(str(value), glob)


def _in(values: Iterable[Any]) -> Callable[[Any], bool]:
    wanted = frozenset(values)
    return lambda value: value in wanted


def _not_in(values: Iterable[Any]) -> Callable[[Any], bool]:
    unwanted = frozenset(values)
    return lambda value: value not in unwanted


#: What each comparison operator of the schema tests, given its operand.
OPERATORS: dict[str, Callable[[Any], Callable[[Any], bool]]] = {
    "_eq": lambda operand: lambda value: value == operand,
    "_neq": lambda operand: lambda value: value != operand,
    "_gt": lambda operand: lambda value: value is not None and value > operand,
    "_gte": lambda operand: lambda value: value is not None and value >= operand,
    "_lt": lambda operand: lambda value: value is not None and value < operand,
    "_lte": lambda operand: lambda value: value is not None and value <= operand,
    "_is_null": lambda operand: lambda value: (value is None) == operand,
    "_in": _in,
    "_nin": _not_in,
    "_like": lambda operand: _like(operand, fold=False),
    "_nlike": lambda operand: lambda value: not _like(operand, fold=False)(value),
    "_ilike": lambda operand: _like(operand, fold=True),
    "_nilike": lambda operand: lambda value: not _like(operand, fold=True)(value),
}


class Database:
    """Rows by type name; missing fields that the schema requires are filled in."""

    def __init__(self) -> None:
        self.schema = shipped_schema()
        self.tables: dict[str, list[Row]] = {}
        self._by_id: dict[str, dict[int, Row]] = {}
        self._templates: dict[str, Row] = {}

    def _type(self, name: str) -> GraphQLObjectType:
        found = self.schema.type_map[name]
        assert isinstance(found, GraphQLObjectType), name
        return found

    def add(self, type_name: str, **fields: Any) -> Row:
        """Store one row; returns it."""
        if type_name not in self._templates:
            self._templates[type_name] = {
                name: self._default(field.type)
                for name, field in self._type(type_name).fields.items()
                if self._is_scalar(field)
            }
        template = self._templates[type_name]
        unknown = fields.keys() - template.keys()
        assert not unknown, f"{type_name} has no {unknown}"
        row = {**template, **fields}
        self.tables.setdefault(type_name, []).append(row)
        self._by_id.setdefault(type_name, {})[row["id"]] = row
        return row

    @staticmethod
    def _is_scalar(field: Any) -> bool:
        return is_leaf_type(get_named_type(field.type))

    @staticmethod
    def _default(field_type: Any) -> Any:
        if not is_non_null_type(field_type):
            return None
        named = get_named_type(field_type)
        return DEFAULTS[named.name] if named.name in DEFAULTS else next(iter(named.values))

    @cached_property
    def root_fields(self) -> dict[str, str]:
        """Type name of each list field of ``Query``."""
        query = self.schema.query_type
        assert query is not None
        return {name: get_named_type(f.type).name for name, f in query.fields.items() if not name.endswith("Aggregate")}

    def select(self, type_name: str, where: dict[str, Any] | None) -> list[Row]:
        """Rows that pass a ``where`` clause."""
        passes = self._compile(type_name, where or {})
        return [row for row in self.tables.get(type_name, []) if passes(row)]

    def related(self, type_name: str, row: Row, field: str) -> list[Row]:
        """Rows at the other end of a relation."""
        target = get_named_type(self._type(type_name).fields[field].type).name
        if f"{field}Id" in row:
            other = self._by_id.get(target, {}).get(row[f"{field}Id"])
            return [] if other is None else [other]
        target = target.removesuffix("Connection")
        column = next(f"{name}Id" for name, f in self._type(target).fields.items() if get_named_type(f.type).name == type_name)
        return [other for other in self.tables.get(target, []) if other[column] == row["id"]]

    def _compile(self, type_name: str, where: dict[str, Any]) -> Callable[[Row], bool]:
        tests: list[Callable[[Row], bool]] = []
        fields = self._type(type_name).fields
        for name, clause in where.items():
            if clause is None:
                continue
            if self._is_scalar(fields[name]):
                tests += [self._scalar_test(name, OPERATORS[op](operand)) for op, operand in clause.items()]
            else:
                tests.append(self._relation_test(type_name, name, clause))
        return lambda row: all(test(row) for test in tests)

    @staticmethod
    def _scalar_test(name: str, passes: Callable[[Any], bool]) -> Callable[[Row], bool]:
        return lambda row: passes(row[name])

    def _relation_test(self, type_name: str, name: str, clause: dict[str, Any]) -> Callable[[Row], bool]:
        target = get_named_type(self._type(type_name).fields[name].type).name.removesuffix("Connection")
        if f"{name}Id" in self._templates.get(type_name, {}):
            ids = {row["id"] for row in self.select(target, clause)}
            return lambda row: row[f"{name}Id"] in ids
        passes = self._compile(target, clause)
        return lambda row: any(passes(other) for other in self.related(type_name, row, name))
