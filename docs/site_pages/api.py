"""Reference of the public names: which there are, and one page of autodoc directives for each public module."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

from site_pages import distributions

#: Public modules that define what they promise without listing it in ``__all__``: every name without an underscore counts.
WITHOUT_LIST = (
    "copick_core.errors",
    "copick_core.meshes",
    "copick_core.layers.path_layer",
    "copick_core.tree.keys",
    "copick_core.tree.names",
    "copick_core.tree.schema",
    "copick_core.tree.wrapper_options",
)

#: Modules whose classes are shown with the methods that they inherit, because their bases are not public.
WITH_INHERITED = ("copick_core.models",)

#: Where inheritance stops being of interest.
FOREIGN_BASES = "BaseModel, Exception, object, Enum, tuple"


@cache
def modules() -> dict[str, list[str]]:
    """The public names of every public module of the installed distributions, modules in the order of their names."""
    found: dict[str, list[str]] = {}
    for name, source in sources():
        if re.search(r"^__all__ =", source, re.M):
            found[name] = sorted(import_module(name).__all__)
        elif name in WITHOUT_LIST:
            module = import_module(name)
            found[name] = sorted(n for n, o in vars(module).items() if _defined(module, n, o))
    return found


def sources() -> Iterator[tuple[str, str]]:
    """Every module of the distributions, and its code; nothing is imported for it."""
    for source in distributions.sources():
        if (source / "copick").exists():
            continue  # the drop-in is not installed with the others; a page of its own lists its names
        for path in sorted(source.rglob("*.py")):
            parts = path.relative_to(source).with_suffix("").parts
            yield ".".join(parts).removesuffix(".__init__"), path.read_text(encoding="utf-8")


def _defined(module: ModuleType, name: str, value: Any) -> bool:
    return not name.startswith("_") and getattr(value, "__module__", None) == module.__name__ and not inspect.ismodule(value)


@cache
def homes() -> dict[tuple[str, str], str]:
    """Where each public name is described: in the first of the shortest of the modules that list the same object."""
    found: dict[tuple[str, str], str] = {}
    by_origin: dict[tuple[str, str], str] = {}
    for module in sorted(modules(), key=lambda name: (name.count("."), name)):
        for name in modules()[module]:
            origin = (_origin(module, name), name)
            found[module, name] = by_origin.setdefault(origin, module)
    return found


def _origin(module: str, name: str) -> str:
    value = getattr(import_module(module), name)
    return getattr(value, "__module__", None) or module


def aliases() -> dict[str, str]:
    """The full name by which code knows each public object, and the one under which it is described."""
    found = {}
    for (module, name), home in homes().items():
        found[f"{module}.{name}"] = f"{home}.{name}"
        value = getattr(import_module(module), name)
        if inspect.isclass(value) or inspect.isroutine(value):
            found[f"{value.__module__}.{value.__qualname__}"] = f"{home}.{name}"
    return found


def exists(target: str) -> bool:
    """Whether a dotted name leads to something in the code, public or not."""
    parts = target.split(".")
    for length in range(len(parts), 0, -1):
        try:
            value: Any = import_module(".".join(parts[:length]))
        except ImportError:
            continue
        try:
            for part in parts[length:]:
                value = getattr(value, part)
        except AttributeError:
            return False
        return True
    return False


def pages() -> dict[str, str]:
    """A page for each public module, in reStructuredText."""
    return {module: _page(module, names) for module, names in modules().items()}


def _page(module: str, names: list[str]) -> str:
    parts = [
        module,
        "=" * len(module),
        "",
        f".. automodule:: {module}",
        "   :no-members:",
        "",
        f".. currentmodule:: {module}",
        "",
    ]
    elsewhere = []
    for name in names:
        home = homes()[module, name]
        if home == module:
            parts += _directive(module, name)
        else:
            elsewhere.append(f"* :py:obj:`{name} <{home}.{name}>`")
    if elsewhere:
        parts += ["Described elsewhere:", "", *elsewhere, ""]
    return "\n".join(parts)


def _directive(module: str, name: str) -> list[str]:
    value = getattr(import_module(module), name)
    full = f"{module}.{name}"
    if inspect.isclass(value):
        inherited = [f"   :inherited-members: {FOREIGN_BASES}"] if module in WITH_INHERITED else []
        return [f".. autoclass:: {full}", "   :members:", "   :show-inheritance:", *inherited, ""]
    if inspect.isroutine(value):
        return [f".. autofunction:: {full}", ""]
    return [f".. autodata:: {full}", "   :no-value:", ""]


def index() -> str:
    """The page that lists the public modules."""
    head = ["Public names", "============", "", "Everything that other code may rely on, by module.", ""]
    return "\n".join([*head, ".. toctree::", "   :maxdepth: 1", "", *(f"   {module}" for module in modules()), ""])
