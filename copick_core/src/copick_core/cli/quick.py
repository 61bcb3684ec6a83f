"""What a process that is one command leaves out, so that a short command takes little time.

A process that uses the library, or calls :func:`copick_core.__main__.main` with arguments, is left as it is.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
import threading
from importlib.util import find_spec
from types import ModuleType
from typing import Any

#: Objects that are made before Python looks for garbage; imports alone make 40,000, all of which stay.
_BETWEEN_COLLECTIONS = 50_000


def start() -> None:
    """Prepare a process that is a command: a tenth of its time would go into searches that find nothing."""
    gc.set_threshold(_BETWEEN_COLLECTIONS)
    from copick_core.plugins.discovery import entry_points_of

    if not entry_points_of("pydantic"):
        # pydantic would look through the metadata of everything for its plugins, and imports what reads them in any case.
        os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
        _defer("importlib.metadata")


def end() -> None:
    """Let the process end without Python's last search for garbage, which takes a fifth of the time of a short command.

    Whatever is in a circle then is not finalised, which Python never promises at the end of a process.
    """
    gc.freeze()


_swapping = threading.Lock()


class _Deferred(ModuleType):
    """A module that is imported when somebody asks for one of its names, in whatever thread."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._imported(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._imported(), name, value)

    def _imported(self) -> ModuleType:
        name = self.__name__
        with _swapping:
            if sys.modules.get(name) is self:
                del sys.modules[name]
        return importlib.import_module(name)


def _defer(name: str) -> None:
    """Import a module only when it is used; one that is imported already stays as it is."""
    if name in sys.modules or (spec := find_spec(name)) is None:
        return
    module = _Deferred(name)
    vars(module)["__spec__"] = spec
    sys.modules[name] = module
    parent, _, child = name.rpartition(".")
    setattr(sys.modules[parent], child, module)
