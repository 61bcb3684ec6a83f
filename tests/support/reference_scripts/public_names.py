"""Public names of an installed ``copick``, as JSON: run with its interpreter, as ``public_names.py OUT``.

For each module, what it defines itself: functions, classes, constants, and the public members of the classes of
``copick.models``. Beside each name stand where it comes from in copick-core's distributions, or null, and the names of its
arguments, or null where it takes none.
"""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import sys
from pathlib import Path

import copick

#: Where the classes and functions of our packages are.
OURS = ("copick_core", "copick_backend_fs", "copick_backend_portal", "copick_formats", "copick_tools")
NOT_ITS_OWN = {"TYPE_CHECKING"}


def home(found: object) -> str | None:
    """Where copick-core has what a name of the drop-in stands for: the thing itself, or the class that it adapts."""
    for one in inspect.getmro(found) if inspect.isclass(found) else (found,):
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


def names_of(module) -> dict[str, tuple[str | None, list[str] | None]]:
    own: dict[str, tuple[str | None, list[str] | None]] = {}
    for name, value in vars(module).items():
        if name.startswith("_") or name in NOT_ITS_OWN:
            continue
        place = getattr(value, "__module__", None) or ""
        if inspect.isclass(value) or inspect.isfunction(value):
            # Of the drop-in, also what it takes from our packages: that is what it is made of.
            if place != module.__name__ and place.split(".")[0] not in OURS:
                continue
            own[name] = home(value), arguments(value)
            if inspect.isclass(value) and module.__name__ == "copick.models":
                members = (m for m in dir(value) if not m.startswith(("_", "model_")) and not hasattr(object, m))
                own.update({f"{name}.{member}": (home(value), arguments(getattr(value, member, None))) for member in members})
        elif name.isupper():
            own[name] = None, None
    return own


def main(out: Path) -> None:
    found = {}
    for info in pkgutil.walk_packages(copick.__path__, "copick."):
        try:
            found[info.name] = names_of(importlib.import_module(info.name))
        except ImportError:  # what needs something that is not installed
            continue
    out.write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
