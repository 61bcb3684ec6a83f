"""The bytes of a filaments file to value models and back, and filaments from arrays."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json

from copick_core.errors import InvalidDataError
from copick_core.filaments.values import CopickFilament, CopickFilamentCurve, CopickFilamentsFile, plain


def decode(data: bytes, source: str) -> CopickFilamentsFile:
    """Read a filaments file.

    Args:
        data: The bytes of the file, UTF-8 JSON.
        source: What the bytes are called in errors.

    Raises:
        InvalidDataError: They are not JSON or no filaments file; ``index`` is the first filament at fault.
    """
    try:
        document = from_json(data)
    except ValueError as error:
        raise InvalidDataError(source=source, reason=f"not valid JSON: {error}") from error
    if type(document) is not dict:
        raise InvalidDataError(source=source, reason="not a filaments file: the JSON is not an object")
    if document.get("filaments", ()) is None:
        document["filaments"] = []
    return _validated(document, source)


def encode(file: CopickFilamentsFile, source: str) -> bytes:
    """Write a filaments file: compact JSON in the key order of copick 1.28 and later, floats exact.

    Everything is checked before the first byte is made, models that were edited in place included.

    Args:
        file: The content.
        source: What it is called in errors.

    Returns:
        UTF-8 JSON.

    Raises:
        InvalidDataError: A value cannot be stored; ``index`` is the first filament at fault.
    """
    content = file.model_dump(exclude={"filaments"}, warnings=False)
    unknown = {key: content.pop(key) for key in file.model_extra or {}}
    filaments = [f.model_dump(warnings=False) if isinstance(f, CopickFilament) else f for f in file.filaments]
    parts = [_json(content, source)[:-1] + ',"filaments":[']
    parts.append(",".join(_json(filament, source, index) for index, filament in enumerate(filaments)))
    parts.append("]" + ("," + _json(unknown, source)[1:] if unknown else "}"))
    text = "".join(parts).encode()
    _validated(from_json(text), source)
    return text


def checked_filaments(filaments: Iterable[CopickFilament | Mapping[str, Any]], source: str) -> list[CopickFilament]:
    """Filaments as a file may hold them; those that are models already stay the same objects.

    Raises:
        InvalidDataError: One is not a filament, or two have the same id; ``index`` is the first at fault.
    """
    names = {"pickable_object_name": "", "user_id": "", "session_id": ""}
    return _validated({**names, "filaments": [*filaments]}, source).filaments


def filaments_of(
    shapes: Sequence[Mapping[str, Any]],
    source: str,
    *,
    instance_ids: Iterable[int] | None = None,
    **columns: Iterable[Any] | None,
) -> list[CopickFilament]:
    """Make filaments of what has one entry for each of them.

    Args:
        shapes: For each filament its ``points``, and its ``curve`` where there is one.
        source: What they are called in errors.
        instance_ids: Their ids; 1, 2, … by default.
        **columns: Other fields by name, an entry for each filament; None for the field's default.

    Raises:
        InvalidDataError: A column has another length, or a value cannot be stored; ``index`` is the first filament at fault.
    """
    ids = range(1, len(shapes) + 1) if instance_ids is None else instance_ids
    given = {"instance_id": ids, **columns}
    names = {"instance_id": "instance_ids", "score": "scores", "radius": "radii"}
    rows = [dict(shape) for shape in shapes]
    for field, column in given.items():
        if column is None:
            continue
        values = [*column]
        if len(values) != len(rows):
            reason = f"{names.get(field, field)} must have one entry for each of {len(rows)} filaments, not {len(values)}"
            raise InvalidDataError(source=source, reason=reason)
        for row, value in zip(rows, values, strict=True):
            row[field] = plain(value)
    return checked_filaments(rows, source)


def evaluated(curve: CopickFilamentCurve | Mapping[str, Any], source: str, index: int) -> dict[str, Any]:
    """A curve, and the points (n, 3) on it, as fields of a filament.

    Raises:
        InvalidDataError: It cannot be evaluated; ``index`` is that of the filament.
    """
    try:
        model = CopickFilamentCurve.model_validate(curve)
        return {"points": model.evaluate(), "curve": model}
    except (ValidationError, InvalidDataError) as error:
        reason, place, _ = _problem(error) if isinstance(error, ValidationError) else (error.reason, (), None)
        raise _invalid(reason, source, index, place) from error


def _validated(document: Mapping[str, Any], source: str) -> CopickFilamentsFile:
    try:
        return CopickFilamentsFile.model_validate(document)
    except ValidationError as error:
        reason, place, index = _problem(error)
        if place[:1] == ("filaments",):
            index, place = (int(place[1]), place[2:]) if len(place) > 1 else (index, ())
        raise _invalid(reason, source, index, place) from error


def _problem(error: ValidationError) -> tuple[str, tuple[int | str, ...], int | None]:
    """What is wrong first: why, where, and the index of an error of our own."""
    problem = error.errors(include_url=False)[0]
    cause = problem.get("ctx", {}).get("error")
    if isinstance(cause, InvalidDataError):
        return cause.reason, problem["loc"], cause.index
    return problem["msg"], problem["loc"], None


def _invalid(reason: str, source: str, index: int | None, place: Sequence[int | str]) -> InvalidDataError:
    where = ".".join(map(str, place))
    whose = source if index is None else f"{source}: filament {index}"
    return InvalidDataError(source=whose, reason=f"{where}: {reason}" if where else reason, index=index)


def _json(value: Any, source: str, index: int | None = None) -> str:
    try:
        return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"), default=_as_json)
    except (ValueError, TypeError, RecursionError) as error:
        where = source if index is None else f"{source}: filament {index}"
        raise InvalidDataError(source=where, reason=f"it cannot be written as JSON: {error}", index=index) from error


def _as_json(value: Any) -> Any:
    """NumPy's numbers and arrays, which users put into metadata."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not a value of JSON")


__all__ = ["checked_filaments", "decode", "encode", "evaluated", "filaments_of"]
