"""Reference of configuration fields: from the pydantic model of every backend, wrapper and object."""

from __future__ import annotations

import inspect
import json
import re
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from copick_core import plugins
from copick_core.models import PickableObject
from copick_core.tree.schema import CopickConfig

INTRODUCTION = """# Every configuration field

Made from the models in the code. [Configuration](../configuration.md) explains how the fields go together.
"""


def models() -> dict[str, type[BaseModel]]:
    """Every model of a configuration, under the title of its section."""
    found: dict[str, type[BaseModel]] = {"Every backend": CopickConfig, "Objects": PickableObject}
    for name in plugins.backends.names():
        found[f"Backend {name}"] = plugins.backends.get(name).config_cls
    for name in plugins.wrappers.names():
        options = plugins.resolved(plugins.wrappers.get(name).options_cls)
        if options is not None:
            found[f"Wrapper {name}"] = options
    return found


def fields(model: type[BaseModel]) -> list[str]:
    """The fields of a model that the base configuration does not have already."""
    own = model is CopickConfig or not issubclass(model, CopickConfig)
    return [name for name in model.model_fields if own or name not in CopickConfig.model_fields]


def page() -> str:
    """The page, in Markdown."""
    return "\n".join([INTRODUCTION, *(_section(title, model) for title, model in models().items())])


def _section(title: str, model: type[BaseModel]) -> str:
    words = meanings(model)
    rows = [_row(name, model, words) for name in fields(model)]
    if not rows:
        return f"## {title}\n\nNo fields of its own.\n"
    return "\n".join([f"## {title}\n", "| field | type | default | meaning |", "| --- | --- | --- | --- |", *rows, ""])


def _row(name: str, model: type[BaseModel], words: dict[str, str]) -> str:
    field = model.model_fields[name]
    default = "required" if field.is_required() else f"`{_shown(field.get_default(call_default_factory=True))}`"
    return f"| `{field.alias or name}` | {_type(field.annotation)} | {default} | {_cell(words[name])} |"


def _shown(value: Any) -> str:
    return json.dumps(value, default=lambda v: v.model_dump(mode="json"))


def _type(annotation: Any) -> str:
    return f"`{_words(annotation)}`".replace("|", "\\|")


def _words(annotation: Any) -> str:
    """A type as people write it, without modules and without what pydantic is told beside it."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _words(arguments[0])
    if origin in (Union, UnionType):
        return " | ".join(map(_words, arguments))
    if origin is Literal:
        return " | ".join(map(repr, arguments))
    if origin:
        return f"{origin.__name__}[{', '.join(map(_words, arguments))}]"
    return {NoneType: "None", Ellipsis: "..."}.get(annotation) or getattr(annotation, "__name__", str(annotation))


def _cell(text: str) -> str:
    return re.sub(r":\w+:`~?([^`]+)`", r"`\1`", text.replace("``", "`")).replace("|", "\\|")


def meanings(model: type[BaseModel]) -> dict[str, str]:
    """What each field means, as the ``Attributes`` of the docstrings of the model and its bases tell."""
    found: dict[str, str] = {}
    for cls in reversed(model.__mro__):
        section = re.search(r"^Attributes:\n((?:[ ]{4}.*\n?|\n)+)", inspect.cleandoc(cls.__doc__ or "") + "\n", re.M)
        if section and issubclass(cls, BaseModel) and cls is not BaseModel:
            for names, text in re.findall(r"^    ([\w, ]+?)(?: \(.*?\))?: (.*(?:\n {6,}.*)*)", section[1], re.M):
                found.update(dict.fromkeys(re.findall(r"\w+", names), " ".join(text.split())))
    return found
