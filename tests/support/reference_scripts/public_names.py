"""Public names of an installed ``copick``, as JSON: run with its interpreter, as ``public_names.py OUT``.

For each module, what it defines itself: functions, classes, constants, and the public members of the classes of
``copick.models`` and ``copick.impl``. Beside each name stand where it comes from in copick-core's distributions, or null, the
names of its arguments, or null where it takes none, and, of the drop-in, the names of those that it does not use.
"""

from __future__ import annotations

import dis
import importlib
import inspect
import json
import pkgutil
import sys
import types
from pathlib import Path

import copick

#: Where the classes and functions of our packages are.
OURS = ("copick_core", "copick_backend_fs", "copick_backend_portal", "copick_formats", "copick_tools")
NOT_ITS_OWN = {"TYPE_CHECKING"}
#: Whether this is the drop-in.
IS_OURS = hasattr(copick, "_installation")
#: Modules whose classes are listed with their members.
OF_CLASSES = ("copick.models", "copick.impl.")


def home(found: object) -> str | None:
    """Where copick-core has what a name of the drop-in stands for: the thing itself, or the class that it adapts."""
    classes = inspect.getmro(found) if inspect.isclass(found) else (found,)
    named = [one for one in classes if getattr(one, "__name__", "").startswith("Copick")]
    for one in named or classes:
        module = getattr(one, "__module__", None) or ""
        if module.split(".")[0] in OURS:
            return f"{module}.{one.__qualname__}"
    return None


def arguments(found: object) -> list[str] | None:
    """Names of the arguments of a function; of ``*args`` and ``**options`` only the stars."""
    if not inspect.isfunction(found):
        return None
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    return [stars.get(p.kind, p.name) for p in inspect.signature(found).parameters.values()]


def used(code: types.CodeType) -> set[str]:
    """Names of local variables that a function reads, or that functions in it do."""
    names = {i.argval for i in dis.get_instructions(code) if i.opname.startswith(("LOAD_FAST", "LOAD_CLOSURE", "LOAD_DEREF"))}
    return names.union(*(used(inner) for inner in code.co_consts if isinstance(inner, types.CodeType)))


def unused(found: object) -> list[str]:
    """Arguments of a function of the drop-in that change nothing; those of functions that only raise are not listed."""
    if not IS_OURS or not inspect.isfunction(found) or not found.__module__.startswith("copick."):
        return []
    code = inspect.unwrap(found).__code__
    if not any(i.opname.startswith("RETURN") for i in dis.get_instructions(code)):
        return []
    read = used(code)
    return [name for name in inspect.signature(found).parameters if name != "self" and name not in read]


def is_its_own(value: object, module: types.ModuleType) -> bool:
    """Whether a module defines something, or has it of a private module of the same package."""
    place = getattr(value, "__module__", None) or ""
    if place == module.__name__:
        return True
    # Of the drop-in, also what it takes from our packages: that is what it is made of.
    return IS_OURS and (place.split(".")[0] in OURS or (place.startswith("copick.") and "._" in place))


def names_of(module: types.ModuleType) -> dict[str, tuple[str | None, list[str] | None, list[str]]]:
    own: dict[str, tuple[str | None, list[str] | None, list[str]]] = {}
    for name, value in vars(module).items():
        if name.startswith("_") or name in NOT_ITS_OWN:
            continue
        if inspect.isclass(value) or inspect.isfunction(value):
            if not (is_its_own(value, module) or module is copick):
                continue
            own[name] = home(value), arguments(value), unused(value)
            if inspect.isclass(value) and module.__name__.startswith(OF_CLASSES):
                for member in dir(value):
                    if not member.startswith(("_", "model_")) and not hasattr(object, member):
                        found = getattr(value, member, None)
                        own[f"{name}.{member}"] = home(value), arguments(found), unused(found)
        elif name.isupper():
            own[name] = None, None, []
    return own


def main(out: Path) -> None:
    found = {"copick": names_of(copick)}
    for info in pkgutil.walk_packages(copick.__path__, "copick."):
        try:
            found[info.name] = names_of(importlib.import_module(info.name))
        except ImportError:  # what needs something that is not installed
            continue
    out.write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
