"""URIs of copick: one line that names entities of one type, or a pattern.

They are addresses of copick-core without the run, in an older reading: the type is given beside them, no character can be
escaped, and numbers that are none match everything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Any

from copick_core.errors import InvalidDataError
from copick_core.models import (
    CopickFeatures,
    CopickFilaments,
    CopickMesh,
    CopickPicks,
    CopickRoot,
    CopickSegmentation,
    CopickTomogram,
)

_ANNOTATIONS = ("picks", "filaments", "mesh")
_FLAGS = ("multilabel", "instance", "panoptic")
_TRUE = ("true", "1", "yes")
#: What the parts of a URI of each type are called.
_PARTS = {
    **dict.fromkeys(_ANNOTATIONS, ("object_name", "user_id", "session_id")),
    "segmentation": ("name", "user_id", "session_id", "voxel_spacing"),
    "tomogram": ("tomo_type", "voxel_spacing"),
    "feature": ("tomo_type", "voxel_spacing", "feature_type"),
}


def _wrong(uri: str, reason: str) -> ValueError:
    return InvalidDataError(source=f"URI {uri!r}", reason=reason)


def parse_copick_uri(uri: str, object_type: str) -> dict[str, Any]:
    """Take a URI apart.

    Args:
        uri: ``object:user/session`` for picks, filaments and meshes, ``name:user/session@spacing?instance=true`` for
            segmentations, ``type@spacing`` for tomograms, ``type@spacing:feature`` for features. Parts that are left out
            match everything; ``re:`` in front makes all parts regular expressions.
        object_type: ``"picks"``, ``"filaments"``, ``"mesh"``, ``"segmentation"``, ``"tomogram"`` or ``"feature"``.

    Returns:
        ``object_type``, ``pattern_type`` (``"glob"`` or ``"regex"``), and the parts as text; of segmentations also
        ``multilabel``, ``instance`` and ``panoptic``, each True, False or None.

    Raises:
        ValueError: It has too many parts or types, or the type is unknown.
    """
    if object_type not in _PARTS:
        raise _wrong(uri, f"Unknown object type {object_type!r}: it is none of {', '.join(_PARTS)}")
    text = uri.strip()
    parsed: dict[str, Any] = {"object_type": object_type, "pattern_type": "glob"}
    if text.startswith("re:"):
        parsed["pattern_type"] = "regex"
        text = text[3:]
    flags: dict[str, bool | None] = dict.fromkeys(_FLAGS)
    if object_type == "segmentation":
        text, _, query = text.partition("?")
        for name, _, value in (part.partition("=") for part in query.split("&") if part):
            if name in flags:
                flags[name] = value.strip().lower() in _TRUE
        if sum(map(bool, flags.values())) > 1:
            raise _wrong(uri, "a segmentation has one type")
    if text.count(":") > 1:
        raise _wrong(uri, "it has more than one ':'")
    parsed.update(zip(_PARTS[object_type], _split(text, object_type), strict=True))
    if object_type == "segmentation":
        parsed.update(flags)
    return parsed


def _split(text: str, object_type: str) -> list[str]:
    """The parts of a URI without prefix and query; ``*`` for those that are missing."""
    if object_type in ("tomogram", "feature"):
        tomo_type, _, rest = text.partition("@")
        spacing, _, feature = rest.partition(":")
        parts = [tomo_type, spacing, feature]
    else:
        body, _, spacing = text.partition("@") if object_type == "segmentation" else (text, "", "")
        name, _, rest = body.partition(":")
        user, _, session = rest.partition("/")
        parts = [name, user, session, spacing]
    return [part.strip() or "*" for part in parts[: len(_PARTS[object_type])]]


def _is_pattern(text: str) -> bool:
    return any(char in text for char in "*?[")


def serialize_copick_uri(obj: Any) -> str:
    """The URI of an entity.

    Raises:
        ValueError: It is of no type that has URIs.
    """
    if isinstance(obj, CopickPicks | CopickMesh | CopickFilaments):
        return f"{obj.pickable_object_name}:{obj.user_id}/{obj.session_id}"
    if isinstance(obj, CopickSegmentation):
        kind = obj.segmentation_type
        query = "" if kind == "binary" else f"?{kind}=true"
        return f"{obj.name}:{obj.user_id}/{obj.session_id}@{float(obj.voxel_size)}{query}"
    if isinstance(obj, CopickTomogram):
        return f"{obj.tomo_type}@{float(obj.voxel_spacing.voxel_size)}"
    if isinstance(obj, CopickFeatures):
        return f"{obj.tomo_type}@{float(obj.tomogram.voxel_spacing.voxel_size)}:{obj.feature_type}"
    raise InvalidDataError(source=repr(obj), reason="entities of its type have no URI")


def serialize_copick_uri_from_dict(
    object_type: str,
    object_name: str | None = None,
    name: str | None = None,
    user_id: str | None = None,
    session_id: str | None = None,
    tomo_type: str | None = None,
    voxel_spacing: float | str | None = None,
    feature_type: str | None = None,
    multilabel: bool | None = None,
    instance: bool | None = None,
    panoptic: bool | None = None,
) -> str:
    """The URI of parts, as :func:`parse_copick_uri` takes it apart.

    Args:
        object_type: Type of the entities.
        object_name: Object of picks, filaments and meshes.
        name: Name of segmentations.
        user_id: User.
        session_id: Session.
        tomo_type: Type of tomograms, and of those of features.
        voxel_spacing: Voxel size in angstrom.
        feature_type: Type of features.
        multilabel: Whether segmentations are multilabel ones.
        instance: Whether they are instance segmentations.
        panoptic: Whether they are panoptic ones.

    Raises:
        ValueError: A part is missing, or a segmentation has two types.
    """
    if object_type not in _PARTS:
        raise _wrong("", f"Unknown object type {object_type!r}: it is none of {', '.join(_PARTS)}")
    given = {
        "object_name": object_name,
        "name": name,
        "user_id": user_id,
        "session_id": session_id,
        "tomo_type": tomo_type,
        "voxel_spacing": voxel_spacing,
        "feature_type": feature_type,
    }
    needed = _PARTS[object_type]
    if missing := [part for part in needed if given[part] is None]:
        raise _wrong("", f"URIs of {object_type} require {', '.join(missing)}")
    values = {part: str(given[part]) for part in needed}
    if object_type in ("tomogram", "feature"):
        feature = f":{values['feature_type']}" if object_type == "feature" else ""
        return f"{values['tomo_type']}@{values['voxel_spacing']}{feature}"
    text = f"{values['name' if object_type == 'segmentation' else 'object_name']}:{values['user_id']}/{values['session_id']}"
    if object_type != "segmentation":
        return text
    flags = [flag for flag, value in zip(_FLAGS, (multilabel, instance, panoptic), strict=True) if value]
    if len(flags) > 1:
        raise _wrong(text, f"a segmentation has one type, not {' and '.join(flags)}")
    return f"{text}@{values['voxel_spacing']}{f'?{flags[0]}=true' if flags else ''}"


def resolve_copick_objects(uri: str, root: CopickRoot, object_type: str, run_name: str | None = None) -> list[Any]:
    """The entities that a URI names.

    Args:
        uri: The URI.
        root: The project.
        object_type: Their type.
        run_name: Only those of this run.

    Returns:
        The entities, in the order of the project's runs.

    Raises:
        ValueError: There is no such run, or it is not a URI of that type.
    """
    filters = parse_copick_uri(uri, object_type)
    del filters["object_type"]
    return get_copick_objects_by_type(root, object_type, run_name, **filters)


def get_copick_objects_by_type(root: CopickRoot, object_type: str, run_name: str | None = None, **filters: Any) -> list[Any]:
    """The entities of one type that pass all filters.

    Args:
        root: The project.
        object_type: As :func:`parse_copick_uri` takes it.
        run_name: Only those of this run.
        **filters: What :func:`parse_copick_uri` returns; those that are left out or None match everything.

    Raises:
        ValueError: There is no such run or type.
        TypeError: No type has such a filter: without it, more would be found than was asked for.
    """
    if object_type not in _PARTS:
        raise _wrong("", f"Unknown object type {object_type!r}: it is none of {', '.join(_PARTS)}")
    known = {part for parts in _PARTS.values() for part in parts} | {*_FLAGS, "pattern_type"}
    if unknown := sorted(filters.keys() - known):
        raise TypeError(f"get_copick_objects_by_type() has no filter {unknown[0]!r}; it has {', '.join(sorted(known))}")
    runs: Iterable[Any]
    if run_name is None:
        runs = root.runs
    else:
        run = root.get_run(run_name)
        if run is None:
            raise InvalidDataError(source=f"run {run_name!r}", reason="not found in the project")
        runs = [run]
    regex = filters.get("pattern_type") == "regex"
    tests = {name: _test(filters.get(name), regex, name) for name in _PARTS[object_type]}
    literal = not regex and not any(_is_pattern(str(filters[n])) for n in tests if filters.get(n) not in (None, "*"))
    found: list[Any] = []
    for run in runs:
        found += _of_run(run, object_type, filters, tests, literal)
    return found


Test = Callable[[Any], bool]


def _test(wanted: Any, regex: bool, part: str) -> Test:
    """Whether a value of an entity passes a filter."""
    if wanted is None or (wanted == "*" and not regex):
        return lambda value: True
    text = str(wanted)
    if regex:
        # "*" stands for a part that was left out.
        pattern = re.compile(".*" if text == "*" else text)
        return lambda value: pattern.match(str(value)) is not None
    if part == "voxel_spacing":
        try:
            size = float(text)
        except ValueError:
            return lambda value: fnmatchcase(str(value), text)
        return lambda value: abs(float(value) - size) < 1e-3
    return lambda value: fnmatchcase(str(value), text)


def _matches_pattern(value: str, pattern: str, pattern_type: str) -> bool:
    """Whether a part of a URI has a value; tests of copick call it by this name."""
    if pattern_type not in ("glob", "regex"):
        raise _wrong(pattern, f"Unknown pattern type {pattern_type!r}: glob or regex")
    try:
        return _test(pattern, pattern_type == "regex", "name")(value)
    except re.error as error:
        raise _wrong(pattern, f"Invalid regex pattern: {error}") from error


def _matches_numeric_pattern(value: float | str, pattern: str, pattern_type: str) -> bool:
    """Whether a voxel size of a URI has a value."""
    try:
        return _test(pattern, pattern_type == "regex", "voxel_spacing")(value)
    except ValueError:  # the value is not a number
        return _matches_pattern(str(value), pattern, pattern_type)


def _of_run(run: Any, object_type: str, filters: dict[str, Any], tests: dict[str, Test], literal: bool) -> list[Any]:
    """The entities of one run."""
    if object_type in _ANNOTATIONS:
        getter = {"picks": run.get_picks, "filaments": run.get_filaments, "mesh": run.get_meshes}[object_type]
        exact = {n: None if filters.get(n) == "*" else filters.get(n) for n in tests} if literal else {}
        return [
            e
            for e in getter(**exact)
            if tests["object_name"](e.pickable_object_name)
            and tests["user_id"](e.user_id)
            and tests["session_id"](e.session_id)
        ]
    if object_type == "segmentation":
        return [
            s
            for s in run.segmentations
            if _has_type(s, filters)
            and tests["name"](s.name)
            and tests["user_id"](s.user_id)
            and tests["session_id"](s.session_id)
            and tests["voxel_spacing"](s.voxel_size)
        ]
    tomograms = [
        t
        for spacing in run.voxel_spacings
        if tests["voxel_spacing"](spacing.voxel_size)
        for t in spacing.tomograms
        if tests["tomo_type"](t.tomo_type)
    ]
    if object_type == "tomogram":
        return tomograms
    return [f for t in tomograms for f in t.features if tests["feature_type"](f.feature_type)]


def _has_type(segmentation: Any, filters: dict[str, Any]) -> bool:
    """Whether a segmentation has the type that is meant; without one, binary and multilabel ones are."""
    wanted = {flag: filters.get(flag) for flag in _FLAGS}
    if wanted["instance"] is None and wanted["panoptic"] is None:
        wanted["instance"] = wanted["panoptic"] = False
    return all(value is None or getattr(segmentation, f"is_{flag}") == value for flag, value in wanted.items())


def expand_output_uri(
    output_uri: str,
    input_uri: str,
    input_type: str,
    output_type: str,
    command_name: str | None = None,
    individual_outputs: bool = False,
) -> str:
    """Fill in what an output URI leaves out, from the input.

    Args:
        output_uri: ``name``, ``name/session``, ``/session``, ``{instance_id}`` or any URI.
        input_uri: The input.
        input_type: Type of the input.
        output_type: Type of the output: picks, filaments, mesh or segmentation.
        command_name: User of the output if it names none; ``"converter"`` by default.
        individual_outputs: Whether each instance has an output of its own.

    Returns:
        The complete URI; may hold ``{instance_id}`` and ``{input_session_id}``.

    Raises:
        ValueError: Entities of that type cannot be made.
    """
    if output_type not in (*_ANNOTATIONS, "segmentation"):
        raise _wrong(output_uri, f"Unsupported output_type {output_type!r}: it cannot be an output")
    given = parse_copick_uri(input_uri, input_type)
    text, has_query, query = output_uri.strip().partition("?")
    body, _, spacing = text.partition("@")
    name, has_user, rest = body.partition(":")
    if has_user:
        user, _, session = rest.partition("/")
    else:
        user = ""
        name, _, session = name.partition("/")
        if name == "{instance_id}" and not session:
            name, session = "", name
    input_name = given.get("object_name") or given.get("name") or given.get("tomo_type") or ""
    name = name or input_name
    user = user or command_name or "converter"
    if not session:
        parts = [str(given.get(part, "")) for part in _PARTS[input_type]]
        patterned = given["pattern_type"] == "regex" or any(_is_pattern(part) for part in parts)
        session = "{instance_id}" if individual_outputs else "{input_session_id}" if patterned else "converted-001"
    uri = f"{name}:{user}/{session}"
    if output_type != "segmentation":
        return uri
    spacing = spacing or ("" if given.get("voxel_spacing") in (None, "*") else str(given["voxel_spacing"]))
    if spacing:
        uri += f"@{spacing}"
    stated = parse_copick_uri(f"x?{query}", "segmentation") if has_query else given
    flag = next((flag for flag in _FLAGS if stated.get(flag)), None)
    return f"{uri}?{flag}=true" if flag else uri
